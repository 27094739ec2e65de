//! Authentication methods: the ways in which a user proved who they are.

use std::fmt;

/// Defines the methods that have a meaning here, each with its name in `[auth] methods`.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A way in which a user proved who they are.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
            /// A method that only a neighbouring Keystone knows, by a plugin of its own.
            Other(OtherMethod),
        }

        impl Method {
            /// The name that requests, token bodies and `[auth] methods` use.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(other) => &other.0,
                }
            }
        }

        impl From<&str> for Method {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other(OtherMethod(name.into())),
                }
            }
        }
    };
}

methods! {
    /// The secret of an application credential.
    ApplicationCredential = "application_credential",
    /// A signature made with EC2 keys; marks tokens, and is refused in requests.
    Ec2Credential = "ec2credential",
    /// The web server in front (`REMOTE_USER`).
    External = "external",
    /// The web server in front, by Kerberos.
    Kerberos = "kerberos",
    /// A federated login.
    Mapped = "mapped",
    /// An OAuth 1.0a signature with an access token.
    OAuth1 = "oauth1",
    /// A client certificate at the OAuth 2.0 token endpoint; in no list of methods, so no token carries it.
    OAuth2Credential = "oauth2_credential",
    /// A federated login, named for OpenID Connect.
    OpenId = "openid",
    /// A password.
    Password = "password",
    /// A federated login, named for SAML.
    Saml2 = "saml2",
    /// Another token.
    Token = "token",
    /// A time-based one-time passcode (RFC 6238).
    Totp = "totp",
    /// The web server in front, by a client certificate.
    X509 = "x509",
}

/// The name of a method that has no variant of its own; made only by [`Method::from`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherMethod(Box<str>);

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_has_its_own_variant_and_any_other_is_kept() {
        assert_eq!(Method::from("password"), Method::Password);
        assert_eq!(Method::from("openid").as_str(), "openid");
        assert_eq!(Method::from("smartcard").to_string(), "smartcard");
        assert_ne!(Method::from("Password"), Method::Password);
    }
}
