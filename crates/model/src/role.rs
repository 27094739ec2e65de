//! Roles: names for sets of permissions, which policies speak of.

use crate::Extra;
use crate::ids::{DomainId, RoleId};
use crate::listing::TextMatch;
use crate::project::ResourceOptions;

/// A name that policies give a meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Unique within its domain, or among the roles of none.
    pub name: String,
    /// The domain that owns it. Such a role appears in no token, only what it implies.
    pub domain_id: Option<DomainId>,
    /// What people wrote about it.
    pub description: Option<String>,
    /// Options that the server knows.
    pub options: ResourceOptions,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

/// Which roles to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoleFilter {
    /// Only those so named.
    pub name: Option<TextMatch>,
    /// Those of this domain; `None` for those of no domain.
    pub domain_id: Option<DomainId>,
}
