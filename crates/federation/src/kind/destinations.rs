//! Where the settings of a protocol lead, so that a stored secret is not sent somewhere else without
//! anybody saying it again: who may change an address need not know the secret.

use reqwest::Url;
use serde_json::{Map, Value};

use crate::kind::DriverKind;

impl DriverKind {
    /// The settings that are addresses of the provider.
    fn addresses(self) -> &'static [&'static str] {
        match self {
            // A SAML provider is never told the key of ours that is stored.
            Self::External | Self::Saml2 => &[],
            Self::Oidc => &[
                "issuer",
                "authorization_endpoint",
                "token_endpoint",
                "jwks_uri",
                "userinfo_endpoint",
                "introspection_endpoint",
                "pushed_authorization_request_endpoint",
            ],
            Self::OAuth2 => &[
                "issuer",
                "metadata_url",
                "authorization_endpoint",
                "token_endpoint",
                "introspection_endpoint",
                "userinfo_endpoint",
                "pushed_authorization_request_endpoint",
            ],
            Self::OAuth1 => &[
                "request_token_url",
                "authorization_url",
                "access_token_url",
                "attributes_url",
            ],
        }
    }

    /// The first setting by which a change leads to another host than before; `None` when all stay.
    /// An endpoint that is not set is where the metadata say, so at the host of those.
    pub fn redirected(
        self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
    ) -> Option<&'static str> {
        let addresses = || self.addresses().iter().copied();
        let known: Vec<_> = addresses().filter_map(|name| host(name, before)).collect();
        let moved = |name: &&str| match (host(name, before), host(name, after)) {
            (Some(before), Some(after)) => before != after,
            // One that led nowhere may lead where others do.
            (None, Some(after)) => !known.contains(&after),
            (_, None) => false,
        };
        // The one that the change names, when there is one.
        let changed = |name: &&str| before.get(*name) != after.get(*name);
        let all = || addresses().filter(moved);
        all().find(changed).or_else(|| all().next())
    }
}

/// Scheme, host and port to which a setting leads.
fn host(name: &str, settings: &Map<String, Value>) -> Option<String> {
    let names = [name, "metadata_url", "issuer"];
    let text = names
        .iter()
        .find_map(|name| settings.get(*name)?.as_str())?;
    let url = Url::parse(text).ok()?;
    Some(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{oauth1, oauth2, oidc};

    fn redirected(kind: DriverKind, before: Value, after: Value) -> Option<&'static str> {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        kind.redirected(&map(before), &map(after))
    }

    #[test]
    fn every_address_counts_by_its_host() {
        let same = "https://idp.example/a";
        for (kind, settings) in [
            (DriverKind::Oidc, oidc::SETTINGS),
            (DriverKind::OAuth2, oauth2::SETTINGS),
            (DriverKind::OAuth1, oauth1::SETTINGS),
        ] {
            let endpoint = |name: &&str| {
                ["_endpoint", "_url", "_uri"]
                    .iter()
                    .any(|end| name.ends_with(end))
            };
            for name in settings.iter().copied().filter(endpoint) {
                let to = |url: &str| {
                    let before = json!({"issuer": same, name: same});
                    redirected(kind, before, json!({"issuer": same, name: url}))
                };
                assert_eq!(to("https://idp.example:443/b?c"), None, "{kind} {name}");
                assert_eq!(to("https://IDP.example/b"), None, "{kind} {name}");
                for other in [
                    "https://evil.example/a",
                    "https://idp.example:8443/a",
                    "http://idp.example/a",
                    "https://idp.example@evil.example/a",
                    "https://idp.example.evil.example/a",
                ] {
                    assert_eq!(to(other), Some(name), "{kind} {other}");
                }
            }
        }
    }

    #[test]
    fn an_endpoint_that_is_not_set_is_at_the_host_of_the_metadata() {
        let issuer = json!({"issuer": "https://idp.example"});
        let with = |name: &str, url: &str| json!({"issuer": "https://idp.example", name: url});
        let oidc = |before, after| redirected(DriverKind::Oidc, before, after);
        let here = with("token_endpoint", "https://idp.example/token");
        let there = with("token_endpoint", "https://evil.example/token");
        assert_eq!(oidc(issuer.clone(), here.clone()), None);
        assert_eq!(oidc(here, issuer.clone()), None);
        assert_eq!(oidc(issuer.clone(), there.clone()), Some("token_endpoint"));
        assert_eq!(oidc(there, issuer.clone()), Some("token_endpoint"));
        let elsewhere = json!({"issuer": "https://evil.example"});
        assert_eq!(oidc(issuer.clone(), elsewhere), Some("issuer"));
        // Where there is no issuer, what is added may lead where others do.
        let oauth2 = |before, after| redirected(DriverKind::OAuth2, before, after);
        let token = json!({"token_endpoint": "https://idp.example/token"});
        let added = |url: &str| json!({"token_endpoint": "https://idp.example/token", "introspection_endpoint": url});
        assert_eq!(oauth2(token.clone(), added("https://idp.example/i")), None);
        let elsewhere = added("https://evil.example/i");
        assert_eq!(oauth2(token, elsewhere), Some("introspection_endpoint"));
        let metadata = with("metadata_url", "https://evil.example/metadata");
        let moved = redirected(DriverKind::OAuth2, issuer, metadata);
        assert_eq!(moved, Some("metadata_url"));
    }
}
