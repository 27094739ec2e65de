//! The identity providers that people can log in with, for everybody to see.

use std::collections::HashMap;

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::parts::Parts;
use federation::DriverKind;
use model::federation::{IdentityProvider, Protocol, ProviderFilter};
use model::ids::{IdentityProviderId, ProtocolId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use web::operation::Operation;
use web::reply::Collection;

/// The operation that lists them.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get(
    "/v3/auth/OS-FEDERATION/identity_providers",
    "List the identity providers of the login page",
)
.public("a login page lists them before anyone has logged in")
.answers(&[(200, "The identity providers.")]);

async fn list(call: Call) -> Result<Reply<Collection<ProviderDocument>>, ApiError> {
    let ways = Way::list(&call.parts).await?;
    let mut documents: Vec<ProviderDocument> = Vec::new();
    for way in ways {
        let base = way.url(call.links.base_url());
        let protocol = ProtocolDocument {
            id: way.protocol.id.clone(),
            kind: way.kind(),
            name: way.name(),
            links: WayLinks {
                websso: format!("{base}/websso"),
                auth: way.login_url(call.links.base_url()),
            },
        };
        match documents.last_mut() {
            Some(last) if last.id == way.provider.id => last.protocols.push(protocol),
            _ => documents.push(ProviderDocument {
                id: way.provider.id,
                description: way.provider.description,
                protocols: vec![protocol],
            }),
        }
    }
    Ok(call
        .public()
        .ok(call.collection("identity_providers", documents)))
}

/// One way to log in: a provider that is enabled, and a protocol of it that may be shown.
pub(crate) struct Way {
    pub(crate) provider: IdentityProvider,
    pub(crate) protocol: Protocol,
}

impl Way {
    /// All of them, by provider and protocol. One that was set as not discoverable is left out,
    /// and so is one that only a front proxy knows of, unless it was made known to us as such.
    pub(crate) async fn list(parts: &Parts) -> Result<Vec<Self>, ApiError> {
        let enabled = ProviderFilter {
            enabled: Some(true),
            ..ProviderFilter::default()
        };
        let providers = parts.store.identity_providers().list(&enabled).await?;
        let providers: HashMap<_, _> = providers
            .into_iter()
            .map(|provider| (provider.id.clone(), provider))
            .collect();
        let protocols = parts.store.protocols().list_all().await?.into_iter();
        let ways = protocols.filter(is_discoverable).filter_map(|protocol| {
            let provider = providers.get(&protocol.identity_provider_id)?.clone();
            Some(Self { provider, protocol })
        });
        Ok(ways.collect())
    }

    fn driver_kind(&self) -> DriverKind {
        let driver = self.protocol.driver.as_ref();
        driver
            .and_then(|driver| DriverKind::parse(&driver.name))
            .unwrap_or_default()
    }

    fn kind(&self) -> &'static str {
        self.driver_kind().provider_type(self.protocol.id.as_str())
    }

    /// What people call it: what the operator says, else the id of the provider.
    pub(crate) fn name(&self) -> String {
        let said = setting(&self.protocol, "display_name").and_then(Value::as_str);
        said.unwrap_or(self.provider.id.as_str()).to_owned()
    }

    /// Where the operations of a login with a browser are.
    pub(crate) fn url(&self, base_url: &str) -> String {
        login_url(base_url, &self.provider.id, &self.protocol.id)
    }

    fn login_url(&self, base_url: &str) -> String {
        format!(
            "{base_url}/v3/OS-FEDERATION/identity_providers/{}/protocols/{}/auth",
            escaped(self.provider.id.as_str()),
            escaped(self.protocol.id.as_str())
        )
    }
}

/// Where the operations of a login with a browser are.
pub(crate) fn login_url(
    base_url: &str,
    provider: &IdentityProviderId,
    protocol: &ProtocolId,
) -> String {
    format!(
        "{base_url}/v3/auth/OS-FEDERATION/identity_providers/{}/protocols/{}",
        escaped(provider.as_str()),
        escaped(protocol.as_str())
    )
}

/// An id within a path. What needs no escape has none (RFC 3986 §2.3): providers compare URLs letter
/// by letter.
fn escaped(id: &str) -> impl std::fmt::Display {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(id, ESCAPED)
}

fn setting<'a>(protocol: &'a Protocol, name: &str) -> Option<&'a Value> {
    protocol.driver.as_ref()?.settings.get(name)
}

fn is_discoverable(protocol: &Protocol) -> bool {
    protocol.driver.is_some()
        && setting(protocol, "discoverable").and_then(Value::as_bool) != Some(false)
}

/// A provider, as everybody sees it.
#[derive(Debug, Serialize)]
struct ProviderDocument {
    id: IdentityProviderId,
    description: Option<String>,
    protocols: Vec<ProtocolDocument>,
}

#[derive(Debug, Serialize)]
struct ProtocolDocument {
    id: ProtocolId,
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    links: WayLinks,
}

#[derive(Debug, Serialize)]
struct WayLinks {
    /// Where a browser begins, with `?origin=` of the dashboard.
    websso: String,
    /// Where a client without a browser logs in.
    auth: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_as_people_write_them() {
        let url = login_url("https://a", &"my-corp_1.x~".into(), &"open id/ü".into());
        let path = "/v3/auth/OS-FEDERATION/identity_providers/my-corp_1.x~/protocols";
        assert_eq!(url, format!("https://a{path}/open%20id%2F%C3%BC"));
    }
}
