//! OAuth 1.0a (RFC 5849): temporary credentials, the user's consent, token credentials, and then a
//! document with the user's attributes.
//!
//! OAuth 1.0 has no state of its own: the temporary credentials do its work. Their secret travels,
//! sealed, with the user's browser ([`AuthorizationRequest::kept`]), so nobody else can bring the login to its end.
//! `subject` names the attribute that names the user. How attributes are named is in
//! `document.rs`.

mod check;
mod settings;
pub mod signature;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use model::{Secret, Timestamp};
use reqwest::Url;
use serde_json::Value;

pub use settings::{SECRETS, SETTINGS};

use self::settings::Settings;
use self::signature::Keys;
use crate::client::document::Document;
use crate::driver::{
    Answer, AuthorizationRequest, Callback, CheckResult, Driver, Failure, Login, Redirect,
    ReplayId, Verified,
};
use crate::outbound::throttle::{Questions, Throttle};
use crate::outbound::{Limits, Outbound, Reply, place};
use crate::settings::WrongSetting;

/// How long a login is remembered as used: longer than any may take.
const LONGEST_LOGIN: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// How much of temporary credentials fits into the cookie that keeps them.
const MOST_KEPT: usize = 1024;

/// A provider that speaks OAuth 1.0a.
#[derive(Debug)]
pub struct OAuth1 {
    settings: Settings,
    outbound: Outbound,
    beginning: Throttle,
    completing: Questions<Verified>,
}

/// Credentials that the provider issued, temporary ones or a token's.
struct Credentials {
    token: String,
    secret: Secret<String>,
}

impl OAuth1 {
    /// Reads the settings of one. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] for the first setting that cannot be.
    pub fn open(settings: &Value, limits: Limits) -> Result<Self, WrongSetting> {
        let settings = Settings::read(settings, &limits)?;
        let outbound = Outbound::new(limits, &settings.tls)
            .map_err(|reason| WrongSetting::new("ca_certificates", format!("{reason}.")))?;
        let patience = outbound.limits().timeout;
        Ok(Self {
            settings,
            outbound,
            beginning: Throttle::new(patience),
            completing: Questions::new(patience),
        })
    }

    /// Sends a signed request. `nonce` is new for each.
    async fn signed(
        &self,
        method: http::Method,
        url: &Url,
        credentials: Option<&Credentials>,
        more: &[(&str, &str)],
        (nonce, now): (&str, Timestamp),
    ) -> Result<Reply, Failure> {
        let settings = &self.settings;
        let timestamp = now.timestamp().to_string();
        let mut fields = vec![
            ("oauth_consumer_key", settings.consumer_key.as_str()),
            ("oauth_signature_method", settings.method.as_str()),
            ("oauth_timestamp", &timestamp),
            ("oauth_nonce", nonce),
            ("oauth_version", "1.0"),
        ];
        fields.extend(credentials.map(|given| ("oauth_token", given.token.as_str())));
        fields.extend(more);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut parameters: Vec<(String, String)> = fields.into_iter().map(owned).collect();
        let none = Secret::default();
        let keys = Keys {
            client: &settings.consumer_secret,
            token: credentials.map_or(&none, |given| &given.secret),
        };
        let base = signature::base_string(method.as_str(), url, &parameters);
        let signature = keys.sign(settings.method, &base);
        parameters.push(("oauth_signature".into(), signature.expose().clone()));
        let header = signature::authorization(settings.realm.as_deref(), &parameters);
        // Everything in it is encoded, so it is a header's value.
        let mut header = HeaderValue::from_str(&header).unwrap_or(HeaderValue::from_static(""));
        header.set_sensitive(true);
        let request = match method {
            http::Method::POST => self.outbound.post(url.clone()),
            _ => self.outbound.get(url.clone()),
        };
        let accept = request.header(
            ACCEPT,
            "application/json, application/x-www-form-urlencoded",
        );
        self.outbound
            .send(accept.header(AUTHORIZATION, header))
            .await
    }

    /// Asks for temporary credentials (RFC 5849 §2.1).
    async fn temporary(
        &self,
        callback_url: &str,
        fresh: (&str, Timestamp),
    ) -> Result<Credentials, Failure> {
        let url = &self.settings.request_token;
        let more = [("oauth_callback", callback_url)];
        let post = http::Method::POST;
        let reply = self.signed(post, url, None, &more, fresh).await?;
        if reply.status != StatusCode::OK {
            return Err(odd(url, &format!("it answers {}", reply.status)));
        }
        let answer = Answered::read(&reply);
        // RFC 5849 §2.1: else it is a provider of OAuth 1.0, where logins could be exchanged. Some
        // write `True`.
        let confirmed = answer.one("oauth_callback_confirmed");
        if !confirmed.is_some_and(|said| said.eq_ignore_ascii_case("true")) {
            return Err(odd(
                url,
                "it does not confirm where the user is sent back to",
            ));
        }
        answer.credentials(url)
    }

    async fn authorization_url(&self, login: &Login) -> Result<AuthorizationRequest, Failure> {
        let nonce = login.secret.derive("request_token_nonce");
        let fresh = (nonce.as_str(), login.now);
        // The protocol has no state, but the URL may: it tells which of several logins comes back.
        let callback_url = with_state(&login.callback_url, &login.secret.derive("state"));
        let given = self.temporary(&callback_url, fresh).await?;
        let mut kept = form_urlencoded::Serializer::new(String::new());
        kept.append_pair("oauth_token", &given.token);
        kept.append_pair("oauth_token_secret", given.secret.expose());
        let kept = kept.finish();
        if kept.len() > MOST_KEPT {
            let url = &self.settings.request_token;
            return Err(odd(url, "the temporary credentials are too long"));
        }
        let mut url = self.settings.authorization.clone();
        url.query_pairs_mut()
            .append_pair("oauth_token", &given.token);
        Ok(AuthorizationRequest {
            redirect: Redirect::Url(url.into()),
            kept,
        })
    }

    async fn judge(&self, callback: &Callback) -> Result<Verified, Failure> {
        let Some(secret) = &callback.secret else {
            return refused("this browser has not begun a login with the provider");
        };
        if !secret.matches("state", callback.parameter("state").unwrap_or_default()) {
            return refused("the state is not the one of this login");
        }
        let Ok(temporary) =
            Answered::parse(callback.kept.as_bytes()).credentials(&self.settings.request_token)
        else {
            return refused("this browser has not begun such a login with the provider");
        };
        // The RFC does not say how a provider tells that the user said no; these ways are known.
        for name in ["denied", "oauth_problem", "error"] {
            if let Some(why) = callback.parameter(name) {
                let plain = why.chars().filter(char::is_ascii_graphic).take(100);
                let why: String = plain.collect();
                return Err(Failure::Denied(format!("{name} {why}")));
            }
        }
        if callback.parameter("oauth_token") != Some(&temporary.token) {
            return refused("the token is not the one of the login that this browser began");
        }
        let verifier = callback.parameter("oauth_verifier").unwrap_or_default();
        if verifier.is_empty() {
            return refused("there is no oauth_verifier, or more than one");
        }
        let more = [("oauth_verifier", verifier)];
        let nonce = secret.derive("access_token_nonce");
        let fresh = (nonce.as_str(), callback.now);
        let url = &self.settings.access_token;
        let post = http::Method::POST;
        let reply = self.signed(post, url, Some(&temporary), &more, fresh);
        let access = Answered::read(&accepted(url, reply.await?)?).credentials(url)?;

        let nonce = secret.derive("attributes_nonce");
        let fresh = (nonce.as_str(), callback.now);
        let url = &self.settings.attributes;
        let get = http::Method::GET;
        let reply = self.signed(get, url, Some(&access), &[], fresh).await?;
        let document = Document::parse(&accepted(url, reply)?.body);
        let document = document.ok_or_else(|| odd(url, "the answer is no JSON object"))?;
        let named = &self.settings.subject;
        let Some(subject) = document.name(named) else {
            return Err(Failure::Refused(format!(
                "the attribute '{named}', which shall name the user, is not in the answer"
            )));
        };
        let (prefix, issuer) = (&self.settings.claim_prefix, &self.settings.issuer);
        Ok(Verified {
            assertion: document.assertion(prefix, subject, issuer.as_deref()),
            replay_id: Some(ReplayId {
                id: temporary.token,
                until: callback.began + LONGEST_LOGIN,
            }),
            session: None,
        })
    }
}

impl Driver for OAuth1 {
    fn begin<'a>(&'a self, login: &'a Login) -> Answer<'a, AuthorizationRequest> {
        Box::pin(self.beginning.run(self.authorization_url(login)))
    }

    fn complete<'a>(&'a self, callback: &'a Callback) -> Answer<'a, Verified> {
        Box::pin(
            self.completing
                .ask(callback.question(), self.judge(callback)),
        )
    }

    fn check<'a>(
        &'a self,
        callback_url: &'a str,
        now: Timestamp,
    ) -> std::pin::Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>> {
        Box::pin(check::results(self, callback_url, now))
    }
}

/// The fields of an answer in form encoding.
struct Answered(Vec<(String, String)>);

impl Answered {
    fn read(reply: &Reply) -> Self {
        Self::parse(&reply.body)
    }

    fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a field that is there once.
    fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    fn credentials(&self, url: &Url) -> Result<Credentials, Failure> {
        let token = self.one("oauth_token").filter(|token| !token.is_empty());
        match (token, self.one("oauth_token_secret")) {
            (Some(token), Some(secret)) => Ok(Credentials {
                token: token.to_owned(),
                secret: Secret::new(secret.to_owned()),
            }),
            _ => Err(odd(url, "the answer holds no oauth_token with its secret")),
        }
    }
}

/// A good answer to a request for which the user's login may be to blame.
fn accepted(url: &Url, reply: Reply) -> Result<Reply, Failure> {
    match reply.status {
        StatusCode::OK => Ok(reply),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(
            Failure::Refused(format!("{}: it answers {}", place(url), reply.status)),
        ),
        other => Err(odd(url, &format!("it answers {other}"))),
    }
}

/// The URL that users come back to, for one login.
fn with_state(callback_url: &str, state: &str) -> String {
    let mark = if callback_url.contains('?') { '&' } else { '?' };
    format!("{callback_url}{mark}state={state}")
}

fn refused<T>(why: &str) -> Result<T, Failure> {
    Err(Failure::Refused(why.into()))
}

fn odd(url: &Url, what: &str) -> Failure {
    Failure::Unavailable(format!("{}: {what}", place(url)))
}
