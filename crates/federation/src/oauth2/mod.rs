//! OAuth 2.0 without OpenID Connect: a code grant (RFC 6749 §4.1, with PKCE as RFC 9700 wants it),
//! and then introspection (RFC 7662) or a userinfo endpoint for the attributes.
//!
//! OAuth 2.0 says what a token allows, not who its user is: `subject` names the attribute that
//! does, and there is no login without it. How attributes are named is in `document.rs`.
//!
//! A bearer's token is verified as `bearer` says. By introspection, it has to be meant for one of
//! `bearer_audiences` or issued to one of `bearer_clients`; where neither is set, for us or to us.
//! By userinfo, every token of the provider is as good as another, whoever it was issued to: any
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
use crate::document::Document;
use crate::driver::{
    Answer, Begun, Callback, Driver, Failure, Finding, Login, NO_BEARER, OneTime, SendTo, Verified,
};
use crate::kept::Kept;
use crate::outbound::{Limits, Outbound};
use crate::settings::WrongSetting;

/// How long a login is remembered as used: longer than any may take.
const LONGEST_LOGIN: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// A provider that speaks OAuth 2.0.
#[derive(Debug)]
pub struct OAuth2 {
    settings: Settings,
    outbound: Outbound,
    provider: Kept<Provider>,
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
        Ok(Self {
            settings,
            outbound,
            provider: Kept::new(),
        })
    }

    async fn provider(&self, now: Timestamp) -> Result<Arc<Provider>, Failure> {
        let fetch = async || metadata::fetch(&self.settings, &self.outbound).await;
        self.provider.fresh(now, fetch).await
    }

    async fn authorization_url(&self, login: &Login) -> Result<String, Failure> {
        let provider = self.provider(login.now).await?;
        let endpoint = needed(&provider.endpoints.authorization, "authorization_endpoint")?;
        let mut url = endpoint.clone();
        let challenge = challenge(&login.secret.derive("code_verifier"));
        let scopes = self.settings.scopes.join(" ");
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client.id)
            .append_pair("redirect_uri", &login.callback_url)
            .append_pair("state", &login.secret.derive("state"))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if !scopes.is_empty() {
            query.append_pair("scope", &scopes);
        }
        query.extend_pairs(&self.settings.authorization_parameters);
        drop(query);
        Ok(url.into())
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
        let mut verified = self.verified(&document, &provider)?;
        verified.one_time = Some(OneTime {
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
        if by == self.settings.attributes {
            return self.verified(&proof, &provider);
        }
        let source = self.settings.attributes;
        let document = self.ask(source, &provider, token, now).await?;
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
                requests::userinfo(&self.outbound, url, token).await
            }
        }
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
        refused("the token was issued for somebody else")
    }

    fn verified(&self, document: &Document, provider: &Provider) -> Result<Verified, Failure> {
        let named = &self.settings.subject;
        let Some(subject) = document.name(named) else {
            return Err(Failure::Refused(format!(
                "the attribute '{named}', which shall name the user, is not in the answer"
            )));
        };
        let issuer = provider.issuer.as_deref();
        if let (Some(issuer), Some(found)) = (issuer, document.0.get("iss"))
            && found != issuer
        {
            return refused("the answer is of another issuer");
        }
        Ok(Verified {
            assertion: document.assertion(&self.settings.claim_prefix, subject, issuer),
            one_time: None,
            session: None,
        })
    }
}

impl Driver for OAuth2 {
    fn begin<'a>(&'a self, login: &'a Login) -> Answer<'a, Begun> {
        Box::pin(async {
            Ok(Begun {
                send_to: SendTo::Url(self.authorization_url(login).await?),
                kept: String::new(),
            })
        })
    }

    fn complete<'a>(&'a self, callback: &'a Callback) -> Answer<'a, Verified> {
        Box::pin(self.judge(callback))
    }

    fn bearer<'a>(&'a self, token: &'a Secret<String>, now: Timestamp) -> Answer<'a, Verified> {
        Box::pin(self.judge_bearer(token, now))
    }

    fn check<'a>(
        &'a self,
        now: Timestamp,
    ) -> std::pin::Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>> {
        Box::pin(check::findings(&self.settings, &self.outbound, now))
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
