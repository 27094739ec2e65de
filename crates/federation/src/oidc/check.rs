//! Tries a provider, and says in plain words what works.

use super::Oidc;
use super::discovery::{self, Metadata, Said};
use super::settings::{Bearer, ClientAuthentication};
use crate::driver::Finding;

fn finding(step: &'static str, works: bool, detail: impl Into<String>) -> Finding {
    Finding {
        step,
        works,
        detail: detail.into(),
    }
}

impl Oidc {
    /// Asks the provider anew, whatever is remembered of it.
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let metadata = match discovery::fetch(&self.settings, &self.outbound).await {
            Ok(metadata) => metadata,
            Err(failure) => return vec![finding("discovery", false, sentence(&failure))],
        };
        let mut findings = vec![match metadata.said {
            Some(_) => finding(
                "discovery",
                true,
                "The metadata are of the issuer that is set.",
            ),
            None => finding("discovery", true, "It is not asked: the endpoints are set."),
        }];
        findings.push(match self.fetch_keys(&metadata).await {
            Ok(keys) if keys.len() == 0 => finding(
                "keys",
                false,
                "The provider has no key for a signature that is accepted here.",
            ),
            Ok(keys) => finding("keys", true, format!("Keys to check by: {}.", keys.len())),
            Err(failure) => finding("keys", false, sentence(&failure)),
        });
        if let Some(said) = &metadata.said {
            findings.extend(self.compared(said));
        }
        findings.extend(self.endpoints_found(&metadata));
        findings
    }

    /// What the provider says that it can, beside what we will ask of it.
    fn compared(&self, said: &Said) -> Vec<Finding> {
        let mut findings = Vec::new();
        let types = said.response_types_supported.as_deref().unwrap_or_default();
        findings.push(match types.iter().any(|kind| kind == "code") {
            true => finding(
                "flow",
                true,
                "The provider supports the authorization code flow.",
            ),
            false => finding(
                "flow",
                false,
                "The provider does not say that it supports the authorization code flow, which is \
                 the one that is used.",
            ),
        });
        findings.push(match &said.code_challenge_methods_supported {
            Some(methods) if methods.iter().any(|method| method == "S256") => {
                finding("pkce", true, "The provider supports PKCE with S256.")
            }
            Some(_) => finding(
                "pkce",
                false,
                "The provider does not support PKCE with S256: it may not notice a stolen code. \
                 Logins still work, and the nonce guards them.",
            ),
            None => finding(
                "pkce",
                true,
                "The provider does not say whether it supports PKCE; it is used all the same.",
            ),
        });
        let method = self.settings.client.as_str();
        // OpenID Connect Discovery §3: what is meant when it says nothing.
        let methods = said.token_endpoint_auth_methods_supported.as_deref();
        findings.push(match methods {
            Some(known) if !known.iter().any(|known| known == method) => finding(
                "client authentication",
                false,
                format!(
                    "The provider does not accept '{method}', but: {}. Set \
                     token_endpoint_auth_method to one of them.",
                    known.join(", ")
                ),
            ),
            None if !matches!(self.settings.client, ClientAuthentication::Basic(_)) => finding(
                "client authentication",
                true,
                format!("The provider does not say whether it accepts '{method}'."),
            ),
            _ => finding(
                "client authentication",
                true,
                format!(
                    "The provider accepts '{method}'. Only a login shows whether it knows this \
                     client."
                ),
            ),
        });
        if let Some(known) = &said.scopes_supported {
            let unknown = self.settings.scopes.iter();
            let unknown: Vec<_> = unknown
                .filter(|scope| !known.contains(scope))
                .map(String::as_str)
                .collect();
            findings.push(match unknown.is_empty() {
                true => finding(
                    "scopes",
                    true,
                    "The provider knows all scopes that are set.",
                ),
                false => {
                    let detail = format!("The provider does not list: {}.", unknown.join(", "));
                    finding("scopes", false, detail)
                }
            });
        }
        if let Some(known) = &said.id_token_signing_alg_values_supported {
            let ours = self
                .settings
                .algorithms
                .iter()
                .map(|one| format!("{one:?}"));
            let common: Vec<_> = ours.filter(|name| known.contains(name)).collect();
            findings.push(match common.is_empty() {
                true => finding(
                    "signatures",
                    false,
                    format!(
                        "The provider signs by: {}; none is accepted.",
                        known.join(", ")
                    ),
                ),
                false => finding(
                    "signatures",
                    true,
                    format!("Common: {}.", common.join(", ")),
                ),
            });
        }
        findings.push(match said.backchannel_logout_supported {
            Some(true) => finding(
                "back-channel logout",
                true,
                "The provider can tell us when a session ends.",
            ),
            _ => finding(
                "back-channel logout",
                false,
                "The provider does not say that it tells when a session ends: tokens live on.",
            ),
        });
        findings
    }

    /// The endpoints that these settings need, and those that are good to have.
    fn endpoints_found(&self, metadata: &Metadata) -> Vec<Finding> {
        let mut findings = Vec::new();
        let bearer = self.settings.bearer;
        if self.settings.userinfo || bearer == Some(Bearer::Userinfo) {
            findings.push(match metadata.userinfo {
                Some(_) => finding("userinfo", true, "The provider has a userinfo endpoint."),
                None => finding(
                    "userinfo",
                    false,
                    "The provider has no userinfo endpoint: no user can log in while it is to be \
                     asked. Set userinfo_endpoint, or do not ask it.",
                ),
            });
        }
        if bearer == Some(Bearer::Introspection) {
            findings.push(match metadata.introspection {
                Some(_) => {
                    let detail = "The provider has an introspection endpoint.";
                    finding("introspection", true, detail)
                }
                None => finding(
                    "introspection",
                    false,
                    "The provider has no introspection endpoint, so no bearer's token is \
                     accepted. Set introspection_endpoint.",
                ),
            });
        }
        findings
    }
}

fn sentence(failure: &crate::Failure) -> String {
    let mut text = failure.to_string();
    if let Some(first) = text.get(..1) {
        text = format!("{}{}", first.to_ascii_uppercase(), &text[1..]);
    }
    text.push('.');
    text
}
