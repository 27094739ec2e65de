//! Who we are at a provider that speaks OAuth 2.0.

use model::Secret;
use serde::Deserialize;

use crate::settings::WrongSetting;

/// Who we are at the provider.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    /// Empty for a public client.
    pub(super) secret: Secret<String>,
    pub(super) authentication: Authentication,
}

/// How we prove who we are (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Authentication {
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
    #[serde(rename = "none")]
    None,
}

impl Client {
    /// Reads the settings of one.
    pub(super) fn read(
        id: String,
        secret: Option<Secret<String>>,
        authentication: Option<Authentication>,
    ) -> Result<Self, WrongSetting> {
        if id.is_empty() {
            return Err(WrongSetting::new("client_id", "it is empty."));
        }
        let secret = secret.unwrap_or_default();
        let public = secret.expose().is_empty();
        let authentication = match authentication {
            Some(Authentication::None) if !public => {
                let reason = "it is never sent where 'token_endpoint_auth_method' is \"none\".";
                return Err(WrongSetting::new("client_secret", reason));
            }
            Some(Authentication::Basic | Authentication::Post) | None if public => {
                let reason = "it is needed, unless 'token_endpoint_auth_method' is \"none\".";
                return Err(WrongSetting::new("client_secret", reason));
            }
            Some(chosen) => chosen,
            None => Authentication::Basic,
        };
        Ok(Self {
            id,
            secret,
            authentication,
        })
    }
}
