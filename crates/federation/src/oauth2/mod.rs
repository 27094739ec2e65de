//! OAuth 2.0 without OpenID Connect: a code grant (RFC 6749 §4.1, with PKCE as RFC 9700 wants it),
//! and then introspection (RFC 7662) or a userinfo endpoint for the attributes.
//!
//! OAuth 2.0 says what a token allows, not who its user is: `subject` names the attribute that
//! does, and there is no login without it. How attributes are named is in `document.rs`.
//!
//! A bearer's token is verified as `bearer` says. By introspection, it has to be meant for one of
//! `bearer_audiences` or issued to one of `bearer_clients`; where neither is set, for us or to us.
//! By userinfo, every token of the provider is as good as another, no matter to whom it was issued: any
//! service that a user logs in to with the same provider could log in here as that user.

mod check;
mod client;
mod metadata;
mod requests;
mod settings;

use std::sync::Arc;

use model::{Secret, Timestamp};
use serde_json::Value;

pub use settings::{SECRETS, SETTINGS};

use self::metadata::{Provider, needed};
use self::settings::{Settings, Source};
use crate::client::authorization::{self, ResponseMode};
use crate::client::cached::Cached;
use crate::client::document::Document;
use crate::driver::{
    Answer, AuthorizationRequest, Callback, CheckResult, Driver, Failure, Login, NO_BEARER,
    Redirect, ReplayId, Verified,
};
use crate::outbound::throttle::{Questions, Throttle};
use crate::outbound::{Limits, Outbound};
use crate::settings::WrongSetting;

/// How long a login is remembered as used: longer than any may take.
const LONGEST_LOGIN: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// By how much the provider's clock may be off.
const SKEW: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// A provider that speaks OAuth 2.0.
#[derive(Debug)]
pub struct OAuth2 {
    settings: Settings,
    outbound: Outbound,
    provider: Cached<Provider>,
    beginning: Throttle,
    completing: Questions<Verified>,
    bearing: Questions<Verified>,
}

impl OAuth2 {
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
            provider: Cached::new(),
            beginning: Throttle::new(patience),
            completing: Questions::new(patience),
            bearing: Questions::new(patience),
        })
    }

    async fn provider(&self, now: Timestamp) -> Result<Arc<Provider>, Failure> {
        let fetch = async || metadata::fetch(&self.settings, &self.outbound).await;
        self.provider.fresh(now, fetch).await
    }

    async fn authorization_url(&self, login: &Login) -> Result<String, Failure> {
        let provider = self.provider(login.now).await?;
        let endpoint = needed(&provider.endpoints.authorization, "authorization_endpoint")?;
        let request = self.authorization_request(
            &login.callback_url,
            &login.secret.derive("state"),
            &challenge(&login.secret.derive("code_verifier")),
        );
        if let Some(place) = provider.pushing.wanted()? {
            let push = requests::push(&self.outbound, place, &self.settings.client, &request);
            let pushed = self.beginning.run(push).await?;
            let id = &self.settings.client.id;
            return Ok(authorization::pushed(place, &pushed, endpoint, id)?.into());
        }
        let mut url = endpoint.clone();
        url.query_pairs_mut().extend_pairs(request);
        Ok(url.into())
    }

    /// What a request to authorize says (RFC 6749 §4.1.1, RFC 7636 §4.3).
    fn authorization_request(
        &self,
        callback_url: &str,
        state: &str,
        challenge: &str,
    ) -> Vec<(String, String)> {
        let settings = &self.settings;
        let scopes = settings.scopes.join(" ");
        let mut request = vec![
            ("response_type", "code"),
            ("client_id", &settings.client.id),
            ("redirect_uri", callback_url),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ];
        request.extend(settings.response_mode.parameter());
        if !scopes.is_empty() {
            request.push(("scope", &scopes));
        }
        let more = settings.authorization_parameters.iter();
        request.extend(more.map(|(name, value)| (name.as_str(), value.as_str())));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        request.into_iter().map(owned).collect()
    }

    async fn judge(&self, callback: &Callback) -> Result<Verified, Failure> {
        let Some(secret) = &callback.secret else {
            return refused("this browser has not begun a login with the provider");
        };
        let state = callback.parameter("state").unwrap_or_default();
        if !secret.matches("state", state) {
            return refused("the state is not the one of the login that this browser began");
        }
        let provider = self.provider(callback.now).await?;
        come_from(&provider, callback)?;
        if callback.parameters.iter().any(|(name, _)| name == "error") {
            let said = |name| requests::short(callback.parameter(name).unwrap_or_default());
            let (error, why) = (said("error"), said("error_description"));
            return Err(Failure::Denied(format!("{error} {why}").trim().to_owned()));
        }
        let Some(code) = callback.parameter("code").filter(|code| !code.is_empty()) else {
            return refused("there is no code, or more than one");
        };
        let url = needed(&provider.endpoints.token, "token_endpoint")?;
        let verifier = secret.derive("code_verifier");
        let client = &self.settings.client;
        let back = &callback.callback_url;
        let token = requests::token(&self.outbound, url, client, code, back, &verifier).await?;
        let source = self.settings.attributes;
        let document = self.ask(source, &provider, &token, callback.now).await?;
        if source == Source::Introspection
            && document
                .0
                .get("client_id")
                .is_some_and(|id| *id != client.id)
        {
            return refused("the token was issued to another client");
        }
        self.check_authentication(&document, Some(callback.began), callback.now)?;
        let mut verified = self.verified(&document, &provider)?;
        verified.replay_id = Some(ReplayId {
            id: state.to_owned(),
            until: callback.began + LONGEST_LOGIN,
        });
        Ok(verified)
    }

    async fn judge_bearer(
        &self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Verified, Failure> {
        let Some(by) = self.settings.bearer else {
            return Err(Failure::NotSupported(NO_BEARER));
        };
        if !requests::is_token(token.expose()) {
            return refused("this is no bearer's token (RFC 6750 section 2.1)");
        }
        let provider = self.provider(now).await?;
        let proof = self.ask(by, &provider, token, now).await?;
        if by == Source::Introspection {
            self.meant_for_us(&proof)?;
        }
        issued_by(&provider, &proof)?;
        if by == self.settings.attributes {
            self.check_authentication(&proof, None, now)?;
            return self.verified(&proof, &provider);
        }
        let source = self.settings.attributes;
        let document = self.ask(source, &provider, token, now).await?;
        // Introspection tells of the authentication (RFC 9470 §6.2), whatever else is asked.
        let told = match by {
            Source::Introspection => &proof,
            Source::Userinfo => &document,
        };
        self.check_authentication(told, None, now)?;
        if let (Some(one), Some(other)) = (proof.text("sub"), document.text("sub"))
            && one != other
        {
            return refused("introspection and userinfo name different users");
        }
        self.verified(&document, &provider)
    }

    /// What one of the endpoints says of a token.
    async fn ask(
        &self,
        source: Source,
        provider: &Provider,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Document, Failure> {
        let endpoints = &provider.endpoints;
        match source {
            Source::Introspection => {
                let url = needed(&endpoints.introspection, "introspection_endpoint")?;
                let client = &self.settings.client;
                requests::introspection(&self.outbound, url, client, token, now).await
            }
            Source::Userinfo => {
                let url = needed(&endpoints.userinfo, "userinfo_endpoint")?;
                let document = requests::userinfo(&self.outbound, url, token).await?;
                let requested = &self.settings.requested;
                let claims = requested.check_userinfo(|name| document.0.get(name));
                claims.map_err(Failure::Refused)?;
                Ok(document)
            }
        }
    }

    /// Whether the user was authenticated as the request asked.
    fn check_authentication(
        &self,
        document: &Document,
        began: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let requested = &self.settings.requested;
        let claims = requested.check_claims(|name| document.0.get(name));
        claims.map_err(Failure::Refused)?;
        let told = document.0.get("auth_time").and_then(Value::as_i64);
        let told = told.and_then(|seconds| Timestamp::from_timestamp(seconds, 0));
        let time = requested.check_time(told, began, now, SKEW);
        time.map_err(Failure::Refused)
    }

    /// Whether a token is for us: `aud` says for whom it is, `client_id` to whom it was issued.
    fn meant_for_us(&self, token: &Document) -> Result<(), Failure> {
        let us = std::slice::from_ref(&self.settings.client.id);
        let (mut audiences, mut clients) = (
            self.settings.bearer_audiences.as_slice(),
            self.settings.bearer_clients.as_slice(),
        );
        if audiences.is_empty() && clients.is_empty() {
            (audiences, clients) = (us, us);
        }
        let listed = |list: &[String], value: &Value| {
            value
                .as_str()
                .is_some_and(|text| list.iter().any(|known| known == text))
        };
        let meant = match token.0.get("aud") {
            Some(Value::Array(all)) => all.iter().any(|one| listed(audiences, one)),
            Some(one) => listed(audiences, one),
            None => false,
        };
        let issued = token
            .0
            .get("client_id")
            .is_some_and(|id| listed(clients, id));
        if meant || issued {
            return Ok(());
        }
        let came = |name| requests::short(&token.0.get(name).unwrap_or(&Value::Null).to_string());
        Err(Failure::Refused(format!(
            "the token was issued for somebody else: aud {} and client_id {} came, and an audience \
             of {audiences:?} or a client of {clients:?} is expected",
            came("aud"),
            came("client_id"),
        )))
    }

    fn verified(&self, document: &Document, provider: &Provider) -> Result<Verified, Failure> {
        let named = &self.settings.subject;
        let Some(subject) = document.name(named) else {
            return Err(Failure::Refused(format!(
                "the attribute '{named}', which shall name the user, is not in the answer"
            )));
        };
        issued_by(provider, document)?;
        let issuer = provider.issuer.as_deref();
        Ok(Verified {
            assertion: document.assertion(&self.settings.claim_prefix, subject, issuer),
            replay_id: None,
            session: None,
        })
    }
}

impl Driver for OAuth2 {
    fn begin<'a>(&'a self, login: &'a Login) -> Answer<'a, AuthorizationRequest> {
        Box::pin(async {
            Ok(AuthorizationRequest {
                redirect: Redirect::Url(self.authorization_url(login).await?),
                kept: String::new(),
            })
        })
    }

    fn complete<'a>(&'a self, callback: &'a Callback) -> Answer<'a, Verified> {
        Box::pin(
            self.completing
                .ask(callback.question(), self.judge(callback)),
        )
    }

    fn bearer<'a>(&'a self, token: &'a Secret<String>, now: Timestamp) -> Answer<'a, Verified> {
        let question = [token.expose().as_bytes()];
        Box::pin(self.bearing.ask(question, self.judge_bearer(token, now)))
    }

    fn answers_by_post(&self) -> bool {
        self.settings.response_mode == ResponseMode::FormPost
    }

    fn check<'a>(
        &'a self,
        callback_url: &'a str,
        now: Timestamp,
    ) -> std::pin::Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>> {
        Box::pin(check::results(self, callback_url, now))
    }
}

/// Whether an answer, where it names an issuer, names that of the provider.
fn issued_by(provider: &Provider, document: &Document) -> Result<(), Failure> {
    match (&provider.issuer, document.0.get("iss")) {
        (Some(issuer), Some(found)) if found != issuer.as_str() => {
            let found = requests::short(&found.to_string());
            Err(Failure::Refused(format!(
                "the answer is of another issuer: {found} came, and \"{issuer}\" is expected"
            )))
        }
        _ => Ok(()),
    }
}

fn refused<T>(why: &str) -> Result<T, Failure> {
    Err(Failure::Refused(why.into()))
}

/// Whether the answer came from the provider that was asked (RFC 9207 §2.4).
fn come_from(provider: &Provider, callback: &Callback) -> Result<(), Failure> {
    let named = callback.parameters.iter().any(|(name, _)| name == "iss");
    match (&provider.issuer, callback.parameter("iss")) {
        (Some(issuer), Some(iss)) if iss != issuer => {
            refused("the answer is of another provider than the one that was asked")
        }
        (Some(_), None) if named || provider.names_itself => {
            refused("the answer does not say once which provider it is of")
        }
        _ => Ok(()),
    }
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
fn challenge(verifier: &str) -> String {
    use base64::Engine as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    /// RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        assert_eq!(
            super::challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
