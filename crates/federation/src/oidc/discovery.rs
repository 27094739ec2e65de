//! What the provider says of itself (OpenID Connect Discovery 1.0, RFC 8414).

use reqwest::Url;
use serde::Deserialize;

use super::settings::{ClientAuthentication, Endpoints, Settings};
use crate::client::authorization::Pushing;
use crate::driver::Failure;
use crate::outbound::{Limits, Outbound};
use crate::settings::named_url;

/// The endpoints of a provider, and what it says that it can.
#[derive(Clone)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) introspection: Option<Url>,
    /// Whether and where requests are pushed first.
    pub(super) pushing: Pushing,
    /// Whether every callback names the issuer (RFC 9207 §3).
    pub(super) names_issuer: bool,
    /// What else it says; `None` when it was not asked.
    pub(super) discovered: Option<Discovered>,
}

/// What the metadata say beyond the endpoints.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Discovered {
    pub(super) code_challenge_methods_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(super) scopes_supported: Option<Vec<String>>,
    pub(super) id_token_signing_alg_values_supported: Option<Vec<String>>,
    pub(super) response_types_supported: Option<Vec<String>>,
    pub(super) response_modes_supported: Option<Vec<String>>,
    /// RFC 9126 §5.
    pub(super) require_pushed_authorization_requests: Option<bool>,
    pub(super) acr_values_supported: Option<Vec<String>>,
    pub(super) backchannel_logout_supported: Option<bool>,
}

/// The metadata as they are written.
#[derive(Deserialize)]
struct Written {
    issuer: String,
    #[serde(flatten)]
    endpoints: WrittenEndpoints,
    /// RFC 8705 §5: where clients with certificates go.
    mtls_endpoint_aliases: Option<WrittenEndpoints>,
    authorization_response_iss_parameter_supported: Option<bool>,
    #[serde(flatten)]
    discovered: Discovered,
}

#[derive(Clone, Default, Deserialize)]
struct WrittenEndpoints {
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
}

impl WrittenEndpoints {
    fn parse(self, limits: &Limits) -> Result<Endpoints, Failure> {
        let parse = |name: &str, text: Option<String>| {
            text.map(|text| named_url(name, &text, limits)).transpose()
        };
        Ok(Endpoints {
            authorization: parse("authorization_endpoint", self.authorization_endpoint)?,
            token: parse("token_endpoint", self.token_endpoint)?,
            keys: parse("jwks_uri", self.jwks_uri)?,
            userinfo: parse("userinfo_endpoint", self.userinfo_endpoint)?,
            introspection: parse("introspection_endpoint", self.introspection_endpoint)?,
            pushing: parse(
                "pushed_authorization_request_endpoint",
                self.pushed_authorization_request_endpoint,
            )?,
        })
    }
}

impl Endpoints {
    /// These, and others where these are absent.
    fn or(self, others: Self) -> Self {
        Self {
            authorization: self.authorization.or(others.authorization),
            token: self.token.or(others.token),
            keys: self.keys.or(others.keys),
            userinfo: self.userinfo.or(others.userinfo),
            introspection: self.introspection.or(others.introspection),
            pushing: self.pushing.or(others.pushing),
        }
    }
}

/// Where the metadata are (OpenID Connect Discovery 1.0 §4).
fn location(issuer: &str) -> Option<Url> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()
}

/// Asks the provider for its metadata, unless all that is needed was given by hand.
pub(super) async fn fetch(settings: &Settings, outbound: &Outbound) -> Result<Metadata, Failure> {
    let unavailable = |what: &str| Failure::Unavailable(what.to_owned());
    let given = settings.endpoints.clone();
    let pushing_is_set = given.pushing.is_some();
    let (endpoints, names_issuer, discovered) =
        if given.authorization.is_some() && given.token.is_some() && given.keys.is_some() {
            (given, false, None)
        } else {
            let url = location(&settings.issuer)
                .ok_or_else(|| unavailable("no URL can be made of the issuer"))?;
            let reply = outbound.fetch(url, "application/json").await?;
            let written: Written = serde_json::from_slice(&reply.body)
                .map_err(|error| unavailable(&format!("its metadata cannot be read: {error}")))?;
            // OpenID Connect Discovery 1.0 §4.3: letter by letter.
            if written.issuer != settings.issuer {
                return Err(Failure::Unavailable(format!(
                    "its metadata are of the issuer {:?}, not of {:?}",
                    written.issuer, settings.issuer
                )));
            }
            let limits = outbound.limits();
            let mut endpoints = written.endpoints.parse(limits)?;
            if matches!(settings.client, ClientAuthentication::Tls) {
                let aliases = written.mtls_endpoint_aliases.unwrap_or_default();
                let aliases = aliases.parse(limits)?;
                endpoints = Endpoints {
                    authorization: None,
                    keys: None,
                    ..aliases
                }
                .or(endpoints);
            }
            let names_issuer = written.authorization_response_iss_parameter_supported;
            let names_issuer = names_issuer.unwrap_or(false);
            (given.or(endpoints), names_issuer, Some(written.discovered))
        };
    let required = discovered
        .as_ref()
        .and_then(|discovered: &Discovered| discovered.require_pushed_authorization_requests);
    let absent = |name: &str| unavailable(&format!("its metadata have no {name}"));
    Ok(Metadata {
        authorization: endpoints
            .authorization
            .ok_or_else(|| absent("authorization_endpoint"))?,
        token: endpoints.token.ok_or_else(|| absent("token_endpoint"))?,
        keys: endpoints.keys.ok_or_else(|| absent("jwks_uri"))?,
        userinfo: endpoints.userinfo,
        introspection: endpoints.introspection,
        pushing: Pushing {
            endpoint: endpoints.pushing,
            required: required.unwrap_or(false),
            set: pushing_is_set,
        },
        names_issuer,
        discovered,
    })
}
