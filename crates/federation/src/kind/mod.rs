//! Which driver speaks for a protocol.

mod destinations;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::driver::Driver;
use crate::oauth1::{self, OAuth1};
use crate::oauth2::{self, OAuth2};
use crate::oidc::{self, Oidc};
use crate::outbound::Limits;
use crate::saml2::{self, Saml2};
use crate::settings::WrongSetting;

/// The drivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// A front proxy has done the work, and passes variables.
    #[default]
    External,
    /// OpenID Connect.
    Oidc,
    /// OAuth 2.0 without OpenID Connect.
    OAuth2,
    /// SAML 2.0.
    Saml2,
    /// OAuth 1.0a.
    OAuth1,
}

impl DriverKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::External,
        Self::Oidc,
        Self::OAuth2,
        Self::Saml2,
        Self::OAuth1,
    ];

    /// The name, as settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Oidc => "oidc",
            Self::OAuth2 => "oauth2",
            Self::Saml2 => "saml2",
            Self::OAuth1 => "oauth1",
        }
    }

    /// Reads a name; `None` when no driver has it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Makes the driver of these settings.
    ///
    /// # Errors
    ///
    /// The first setting that is wrong.
    pub fn open(self, settings: &Value, limits: Limits) -> Result<Arc<dyn Driver>, WrongSetting> {
        match self {
            Self::External => Err(WrongSetting::new(
                "driver",
                "'external' is what a front proxy speaks, so that there is nothing to open.",
            )),
            Self::Oidc => Ok(Arc::new(Oidc::open(settings, limits)?)),
            Self::OAuth2 => Ok(Arc::new(OAuth2::open(settings, limits)?)),
            Self::Saml2 => Ok(Arc::new(Saml2::open(settings, limits)?)),
            Self::OAuth1 => Ok(Arc::new(OAuth1::open(settings, limits)?)),
        }
    }

    /// The names of the settings that are written and never shown.
    pub fn secrets(self) -> &'static [&'static str] {
        match self {
            Self::External => &[],
            Self::Oidc => oidc::SECRETS,
            Self::OAuth2 => oauth2::SECRETS,
            Self::Saml2 => saml2::SECRETS,
            Self::OAuth1 => oauth1::SECRETS,
        }
    }

    /// The kind of provider, as the public list of providers names it. What a front proxy speaks can
    /// only be told by the name of the protocol.
    pub fn provider_type(self, protocol: &str) -> &'static str {
        match (self, protocol) {
            (Self::Saml2, _) | (Self::External, "saml2" | "mapped") => "IDP.SAML",
            (Self::Oidc | Self::External, _) => "IDP.OIDC",
            (Self::OAuth2 | Self::OAuth1, _) => "IDP.OAuth",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_front_proxy_speaks_is_told_by_its_name() {
        for (kind, protocol, named) in [
            (DriverKind::External, "saml2", "IDP.SAML"),
            (DriverKind::External, "mapped", "IDP.SAML"),
            (DriverKind::External, "openid", "IDP.OIDC"),
            (DriverKind::Oidc, "saml2", "IDP.OIDC"),
            (DriverKind::Saml2, "openid", "IDP.SAML"),
            (DriverKind::OAuth1, "mapped", "IDP.OAuth"),
        ] {
            assert_eq!(kind.provider_type(protocol), named, "{kind} {protocol}");
        }
    }
}
