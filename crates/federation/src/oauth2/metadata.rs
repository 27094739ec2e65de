//! Where a provider answers what, as it says itself (RFC 8414).

use reqwest::Url;
use serde::Deserialize;

use super::settings::{Endpoints, Settings};
use crate::Outbound;
use crate::client::authorization::Pushing;
use crate::driver::Failure;
use crate::settings::named_url;

/// What is known of a provider.
#[derive(Clone, Debug, Default)]
pub(super) struct Provider {
    /// Its name.
    pub(super) issuer: Option<String>,
    /// Its endpoints.
    pub(super) endpoints: Endpoints,
    /// Whether its answers to a login always name it (RFC 9207 §3).
    pub(super) names_itself: bool,
    /// Whether and where requests are pushed first.
    pub(super) pushing: Pushing,
    /// How it answers, when it says so.
    pub(super) response_modes: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    // Of OpenID Connect Discovery, but others say it too.
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    // RFC 9126 §5.
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    response_modes_supported: Option<Vec<String>>,
}

/// Asks the provider for its metadata, where the settings do not say all. What they say wins.
pub(super) async fn fetch(settings: &Settings, outbound: &Outbound) -> Result<Provider, Failure> {
    let Some(url) = &settings.metadata_url else {
        return Ok(Provider {
            issuer: settings.issuer.clone(),
            endpoints: settings.endpoints.clone(),
            names_itself: false,
            pushing: Pushing {
                endpoint: settings.endpoints.pushing.clone(),
                required: false,
                set: settings.endpoints.pushing.is_some(),
            },
            response_modes: None,
        });
    };
    let reply = outbound.fetch(url.clone(), "application/json").await?;
    let wrong = |what: String| Failure::Unavailable(format!("{url}: {what}"));
    let metadata: Metadata = serde_json::from_slice(&reply.body)
        .map_err(|error| wrong(format!("this is no metadata (RFC 8414): {error}")))?;
    if let Some(wanted) = &settings.issuer
        && *wanted != metadata.issuer
    {
        let named = &metadata.issuer;
        return Err(wrong(format!(
            "the metadata is of the issuer '{named}' instead of '{wanted}'"
        )));
    }
    let choose = |name: &str, set: &Option<Url>, found: Option<String>| match (set, found) {
        (Some(url), _) => Ok(Some(url.clone())),
        (None, Some(text)) => named_url(name, &text, outbound.limits()).map(Some),
        (None, None) => Ok(None),
    };
    let set = &settings.endpoints;
    let endpoints = Endpoints {
        authorization: choose(
            "authorization_endpoint",
            &set.authorization,
            metadata.authorization_endpoint,
        )?,
        token: choose("token_endpoint", &set.token, metadata.token_endpoint)?,
        introspection: choose(
            "introspection_endpoint",
            &set.introspection,
            metadata.introspection_endpoint,
        )?,
        userinfo: choose(
            "userinfo_endpoint",
            &set.userinfo,
            metadata.userinfo_endpoint,
        )?,
        pushing: choose(
            "pushed_authorization_request_endpoint",
            &set.pushing,
            metadata.pushed_authorization_request_endpoint,
        )?,
    };
    let pushing = Pushing {
        endpoint: endpoints.pushing.clone(),
        required: metadata.require_pushed_authorization_requests,
        set: set.pushing.is_some(),
    };
    Ok(Provider {
        issuer: Some(metadata.issuer),
        endpoints,
        names_itself: metadata.authorization_response_iss_parameter_supported,
        pushing,
        response_modes: metadata.response_modes_supported,
    })
}

/// An endpoint that is needed now.
pub(super) fn needed<'a>(endpoint: &'a Option<Url>, name: &str) -> Result<&'a Url, Failure> {
    endpoint.as_ref().ok_or_else(|| {
        Failure::Unavailable(format!(
            "its metadata names no {name}, and none is set in the settings"
        ))
    })
}
