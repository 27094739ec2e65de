//! The resources of federation: who is trusted to speak of users, and whom we speak to.

use crate::ids::{DomainId, IdentityProviderId, MappingId, ProtocolId, ServiceProviderId};
use crate::listing::TextMatch;

/// Somebody who is trusted to say who a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its id.
    pub id: IdentityProviderId,
    /// Whether it is trusted at present.
    pub enabled: bool,
    /// What people wrote about it.
    pub description: Option<String>,
    /// The domain of its users.
    pub domain_id: DomainId,
    /// Under what names it signs what it says. No two providers share one.
    pub remote_ids: Vec<String>,
    /// For how many minutes a user stays in the groups that it named.
    pub authorization_ttl: Option<u32>,
}

/// Which identity providers or service providers to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderFilter {
    /// Only those with such an id.
    pub id: Option<TextMatch>,
    /// Only enabled, or only disabled ones.
    pub enabled: Option<bool>,
}

/// A way in which an identity provider speaks to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its id, unique within the provider.
    pub id: ProtocolId,
    /// Whose it is.
    pub identity_provider_id: IdentityProviderId,
    /// What its assertions are mapped with. The mapping may be gone.
    pub mapping_id: MappingId,
    /// The attribute of an assertion that names the provider.
    pub remote_id_attribute: Option<String>,
    /// How it is spoken; `None` where nobody said, so that a front proxy does.
    pub driver: Option<ProtocolDriver>,
}

impl Protocol {
    /// How we speak it ourselves; `None` when a front proxy does, also where that was said
    /// outright.
    pub fn own_driver(&self) -> Option<&ProtocolDriver> {
        let driver = self.driver.as_ref();
        driver.filter(|driver| driver.name != ProtocolDriver::EXTERNAL)
    }
}

/// How a protocol is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolDriver {
    /// The name of the driver.
    pub name: String,
    /// Its settings: a JSON object without secrets.
    pub settings: serde_json::Value,
    /// Its secrets: a JSON object, encrypted, and the hash of the key that did it.
    pub secrets: Option<(String, String)>,
}

impl ProtocolDriver {
    /// The driver of what a front proxy speaks.
    pub const EXTERNAL: &str = "external";
}

/// Rules that turn assertions into users, as they are stored: still unread.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// Its id.
    pub id: MappingId,
    /// The rules, as they were written.
    pub rules: serde_json::Value,
    /// The version of their language.
    pub schema_version: String,
}

/// A cloud that accepts what we say about our users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceProvider {
    /// Its id.
    pub id: ServiceProviderId,
    /// Whether users are told of it.
    pub enabled: bool,
    /// What people wrote about it.
    pub description: Option<String>,
    /// Where its users log in.
    pub auth_url: String,
    /// Where it takes assertions.
    pub sp_url: String,
    /// What the relay state begins with that goes with an assertion.
    pub relay_state_prefix: String,
}
