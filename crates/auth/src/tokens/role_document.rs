//! A role, as resources and tokens show it.

use model::Extra;
use model::ids::{DomainId, RoleId};
use model::project::ResourceOptions;
use model::role::Role;
use serde::Serialize;
use web::reply::{Links, SelfLink};

/// A role, as clients see it.
#[derive(Debug, Serialize)]
pub struct RoleDocument {
    #[serde(flatten)]
    attributes: Extra,
    /// Its id.
    pub id: RoleId,
    name: String,
    domain_id: Option<DomainId>,
    description: Option<String>,
    options: ResourceOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<SelfLink>,
}

impl RoleDocument {
    /// A role with links.
    pub fn new(role: Role, links: &Links) -> Self {
        let link = links.to(&format!("roles/{}", role.id));
        Self {
            links: Some(link),
            ..Self::inside(role)
        }
    }

    /// A role within another document: whole, but without links.
    pub fn inside(role: Role) -> Self {
        Self {
            links: None,
            id: role.id,
            name: role.name,
            domain_id: role.domain_id,
            description: role.description,
            options: role.options,
            attributes: role.extra,
        }
    }
}
