//! OpenID Connect, as relying party: the authorization code flow with PKCE, state and nonce
//! (OpenID Connect Core 1.0 §3.1), bearer's tokens, and back-channel logout.

mod bearer;
mod check;
mod claims;
mod discovery;
mod exchange;
mod id_token;
mod jwt;
mod keys;
mod logout;
mod settings;
mod signing_key;
mod userinfo;
mod written;

use std::pin::Pin;
use std::sync::Arc;

use chrono::TimeDelta;
use model::{Secret, Timestamp};
use reqwest::Url;
use serde_json::Value;

use crate::FlowSecret;
use crate::client::authorization::{self, ResponseMode};
use crate::client::cached::Cached;
use crate::driver::{
    Answer, AuthorizationRequest, Callback, CheckResult, Driver, Failure, Login, ProviderSession,
    ProviderSessionEnd, Redirect, ReplayId, Verified,
};
use crate::outbound::throttle::{Questions, Throttle};
use crate::outbound::{Limits, Outbound};
use crate::settings::WrongSetting;
use discovery::Metadata;
use jwt::{Claims, Rejection, Rules, Unverified, refused};
use keys::KeySet;
use settings::{ClientAuthentication, Settings};

pub use settings::{SECRETS, SETTINGS};

/// For how long a user may take to log in at the provider.
const LOGIN_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// One provider that speaks OpenID Connect.
pub struct Oidc {
    settings: Settings,
    outbound: Outbound,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
    beginning: Throttle,
    completing: Questions<Verified>,
    bearing: Questions<Claims>,
}

impl Oidc {
    /// Reads the settings of a provider. Nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] names the first setting that cannot be.
    pub fn open(settings: &Value, limits: Limits) -> Result<Self, WrongSetting> {
        let (settings, outbound) = settings::read(settings, limits)?;
        let patience = outbound.limits().timeout;
        Ok(Self {
            settings,
            outbound,
            metadata: Cached::new(),
            keys: Cached::new(),
            beginning: Throttle::new(patience),
            completing: Questions::new(patience),
            bearing: Questions::new(patience),
        })
    }

    async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, Failure> {
        let fetch = async || discovery::fetch(&self.settings, &self.outbound).await;
        self.metadata.fresh(now, fetch).await
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<KeySet, Failure> {
        let url = metadata.keys.clone();
        let reply = self
            .outbound
            .fetch(url, "application/jwk-set+json, application/json");
        KeySet::parse(&reply.await?.body)
            .map_err(|reason| Failure::Unavailable(format!("its keys cannot be used: {reason}")))
    }

    /// What a token must say that is meant for us alone.
    fn rules<'a>(&'a self, audiences: &'a [&'a str], now: Timestamp) -> Rules<'a> {
        Rules {
            issuer: &self.settings.issuer,
            audiences,
            algorithms: &self.settings.algorithms,
            types: &["jwt"],
            must_expire: true,
            now,
            skew: self.settings.clock_skew,
        }
    }

    /// Checks a token's signature, issuer, audience and times. When no key fits, there may be newer
    /// ones (OpenID Connect Core §10.1.1), even of the same name.
    async fn verify(&self, token: &str, rules: &Rules<'_>) -> Result<jwt::Verified, Failure> {
        let unverified = Unverified::parse(token)?;
        let metadata = self.metadata(rules.now).await?;
        let fetch = async || self.fetch_keys(&metadata).await;
        let keys = self.keys.fresh(rules.now, fetch).await?;
        match unverified.verify(&keys, rules) {
            Err(Rejection::Unsigned(_)) => {
                let fetch = async || self.fetch_keys(&metadata).await;
                let newer = self.keys.renewed(rules.now, fetch).await?;
                Ok(unverified.verify(&newer, rules)?)
            }
            other => Ok(other?),
        }
    }

    async fn authorize(&self, login: &Login) -> Result<AuthorizationRequest, Failure> {
        let metadata = self.metadata(login.now).await?;
        let request = self.authorization_request(&login.secret, &login.callback_url);
        let url = match metadata.pushing.wanted()? {
            Some(place) => {
                let push = self.push(&metadata, place, &request, login.now);
                self.beginning.run(push).await?
            }
            None => {
                let mut url = metadata.authorization.clone();
                url.query_pairs_mut().extend_pairs(request);
                url
            }
        };
        Ok(AuthorizationRequest {
            redirect: Redirect::Url(url.into()),
            kept: self.settings.issuer.clone(),
        })
    }

    /// What a request to authenticate says (§3.1.2.1, RFC 7636 §4.3).
    fn authorization_request(
        &self,
        secret: &FlowSecret,
        callback_url: &str,
    ) -> Vec<(String, String)> {
        let settings = &self.settings;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let more = settings.authorization_parameters.iter();
        let more = more.map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = [
            ("response_type", "code"),
            ("client_id", &settings.client_id),
            ("redirect_uri", callback_url),
            ("scope", &settings.scopes.join(" ")),
            ("state", &secret.derive("state")),
            ("nonce", &secret.derive("nonce")),
            ("code_challenge", &exchange::code_challenge(secret)),
            ("code_challenge_method", "S256"),
        ];
        let mode = settings.response_mode.parameter();
        more.chain(ours).chain(mode).map(owned).collect()
    }

    /// Pushes a request, and gives the URL at which the user goes on (RFC 9126).
    async fn push(
        &self,
        metadata: &Metadata,
        place: &Url,
        request: &[(String, String)],
        now: Timestamp,
    ) -> Result<Url, Failure> {
        let id = &self.settings.client_id;
        // How we prove who we are says the name where it is needed.
        let fields = request.iter().filter(|(name, _)| name != "client_id");
        let mut fields: Vec<_> = fields
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if matches!(self.settings.client, ClientAuthentication::Basic(_)) {
            fields.push(("client_id", id));
        }
        let request = self.as_client(metadata, place.clone(), &fields, now)?;
        let reply = self.outbound.send(request).await?;
        authorization::pushed(place, &reply, &metadata.authorization, id)
    }

    async fn accept(&self, callback: &Callback) -> Result<Verified, Failure> {
        let now = callback.now;
        // OpenID Connect has logins that the provider begins, but they only ask us to begin one.
        let secret = callback.secret.as_ref();
        let secret = secret.ok_or_else(|| refused("nobody began this login here"))?;
        let state = callback.parameter("state").unwrap_or_default();
        if !secret.matches("state", state) {
            return Err(refused("the state is not the one of this login"));
        }
        if callback.kept != self.settings.issuer {
            return Err(refused("the login began at another provider"));
        }
        if now > callback.began + LOGIN_LIFETIME {
            return Err(refused("the login took too long"));
        }
        let metadata = self.metadata(now).await?;
        self.check_issuer(callback, &metadata)?;
        let said = |name: &str| callback.parameters.iter().any(|(known, _)| known == name);
        if said("error") {
            let text = |name| shown(callback.parameter(name).unwrap_or("?"));
            let failure = match said("error_description") {
                true => format!("{}: {}", text("error"), text("error_description")),
                false => text("error"),
            };
            return Err(Failure::Denied(failure));
        }
        let code = callback.parameter("code").unwrap_or_default();
        if code.is_empty() {
            return Err(refused("there is no code"));
        }
        let tokens = self
            .exchange(&metadata, code, secret, &callback.callback_url, now)
            .await?;
        let began = callback.began;
        let claims = self.check_id_token(&tokens, secret, began, now).await?;
        let subject = claims.subject().map_err(refused)?.to_owned();
        let session = ProviderSession {
            subject,
            id: claims.text("sid").map(str::to_owned),
        };
        let claims = self.with_userinfo(&metadata, claims, &tokens, now).await?;
        Ok(Verified {
            assertion: self.assertion(&claims),
            replay_id: Some(ReplayId {
                id: format!("state:{state}"),
                until: callback.began + LOGIN_LIFETIME,
            }),
            session: Some(session),
        })
    }

    /// Checks that the callback comes from this provider, so that none can pass on the code of
    /// another (RFC 9207 §2.4).
    fn check_issuer(&self, callback: &Callback, metadata: &Metadata) -> Result<(), Failure> {
        let told = callback.parameters.iter().any(|(name, _)| name == "iss");
        if !told && !metadata.names_issuer {
            return Ok(());
        }
        if callback.parameter("iss") == Some(&self.settings.issuer) {
            return Ok(());
        }
        Err(refused(match told {
            true => "the callback is of another issuer",
            false => "the callback does not name its issuer, as the provider says it does",
        }))
    }

    async fn with_userinfo(
        &self,
        metadata: &Metadata,
        claims: Claims,
        tokens: &exchange::Tokens,
        now: Timestamp,
    ) -> Result<Claims, Failure> {
        if !self.settings.userinfo {
            return Ok(claims);
        }
        let more = match self.userinfo(metadata, &tokens.access_token, now).await {
            // The provider does not like the token that it has just issued.
            Err(Failure::Refused(reason)) => return Err(Failure::Unavailable(reason)),
            other => other?,
        };
        // OpenID Connect Core §5.3.2: else the claims of another user could be slipped in.
        if more.text("sub") != claims.text("sub") {
            return Err(refused("userinfo speaks of another user than the ID token"));
        }
        let requested = &self.settings.requested;
        let asked_for = requested.check_userinfo(|name| more.value(name));
        asked_for.map_err(refused)?;
        Ok(claims.or(more))
    }
}

impl Driver for Oidc {
    fn begin<'a>(&'a self, login: &'a Login) -> Answer<'a, AuthorizationRequest> {
        Box::pin(self.authorize(login))
    }

    fn complete<'a>(&'a self, callback: &'a Callback) -> Answer<'a, Verified> {
        Box::pin(
            self.completing
                .ask(callback.question(), self.accept(callback)),
        )
    }

    fn bearer<'a>(&'a self, token: &'a Secret<String>, now: Timestamp) -> Answer<'a, Verified> {
        Box::pin(self.judge_bearer(token, now))
    }

    fn answers_by_post(&self) -> bool {
        self.settings.response_mode == ResponseMode::FormPost
    }

    fn logout<'a>(
        &'a self,
        token: &'a Secret<String>,
        now: Timestamp,
    ) -> Answer<'a, ProviderSessionEnd> {
        Box::pin(self.judge_logout(token, now))
    }

    fn check<'a>(
        &'a self,
        callback_url: &'a str,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>> {
        Box::pin(self.results(callback_url, now))
    }
}

/// A text of somebody else's, for a log: short and on one line.
fn shown(text: &str) -> String {
    let printable = text.chars().filter(|letter| !letter.is_control());
    printable.take(200).collect()
}

/// Reads texts as a token and as a set of keys, and tells whether the token would be good: what
/// the fuzzer calls.
#[doc(hidden)]
pub fn is_signed_by(token: &str, keys: &str, now: Timestamp) -> bool {
    let every: Vec<_> = settings::ALGORITHMS
        .iter()
        .map(|(_, every)| *every)
        .collect();
    let keys = KeySet::parse(keys.as_bytes());
    let (Ok(token), Ok(keys)) = (Unverified::parse(token), keys) else {
        return false;
    };
    let rules = Rules {
        issuer: "https://provider.example",
        audiences: &["client"],
        algorithms: &every,
        types: &["jwt"],
        must_expire: true,
        now,
        skew: TimeDelta::zero(),
    };
    token.verify(&keys, &rules).is_ok()
}
