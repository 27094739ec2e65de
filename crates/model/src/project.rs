//! Projects, and domains, which are the top of each tree of projects.

use serde::Serialize;

use crate::Extra;
use crate::ids::{DomainId, ProjectId};
use crate::listing::TextMatch;

/// A container of ownership, on which roles are assigned.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Unique within its domain.
    pub name: String,
    /// The domain that owns it. `None` when it acts as a domain itself.
    pub domain_id: Option<DomainId>,
    /// The project or domain above it. `None` when it acts as a domain.
    pub parent_id: Option<ProjectId>,
    /// What people wrote about it.
    pub description: Option<String>,
    /// A disabled project gives no tokens.
    pub enabled: bool,
    /// Labels, sorted.
    pub tags: Vec<String>,
    /// Options that the server knows.
    pub options: ResourceOptions,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

impl Project {
    /// Whether it acts as a domain.
    pub fn is_domain(&self) -> bool {
        self.domain_id.is_none()
    }

    /// The domain that owns it, which is itself when it acts as one.
    pub fn owner(&self) -> DomainId {
        let itself = || self.id.clone().into();
        self.domain_id.clone().unwrap_or_else(itself)
    }
}

/// The top of a tree of projects; owns users and groups too.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// Unique among all domains.
    pub name: String,
    /// What people wrote about it.
    pub description: Option<String>,
    /// In a disabled domain nobody can log in.
    pub enabled: bool,
    /// Labels, sorted.
    pub tags: Vec<String>,
    /// Options that the server knows.
    pub options: ResourceOptions,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

/// A domain is also a project that acts as one.
impl From<Project> for Domain {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.into(),
            name: project.name,
            description: project.description,
            enabled: project.enabled,
            tags: project.tags,
            options: project.options,
            extra: project.extra,
        }
    }
}

impl From<Domain> for Project {
    fn from(domain: Domain) -> Self {
        Self {
            id: domain.id.into(),
            name: domain.name,
            domain_id: None,
            parent_id: None,
            description: domain.description,
            enabled: domain.enabled,
            tags: domain.tags,
            options: domain.options,
            extra: domain.extra,
        }
    }
}

/// How much of something a service lets a project use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectLimit {
    /// The id of the limit.
    pub id: String,
    /// The project.
    pub project_id: ProjectId,
    /// The service.
    pub service_id: Option<String>,
    /// The region in which it counts; `None` for all.
    pub region_id: Option<String>,
    /// What is limited.
    pub resource_name: Option<String>,
    /// How much of it.
    pub resource_limit: i64,
    /// What people wrote about it.
    pub description: Option<String>,
}

/// The options of projects, domains and roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceOptions {
    /// `immutable`: the resource can neither be changed nor deleted until this is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

/// Which projects to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectFilter {
    /// Only this one.
    pub id: Option<ProjectId>,
    /// Only those of this domain.
    pub domain_id: Option<DomainId>,
    /// Only those of this domain as well: beyond it, the asker sees nothing.
    pub within: Option<DomainId>,
    /// Only enabled, or only disabled ones.
    pub enabled: Option<bool>,
    /// Only those so named.
    pub name: Option<TextMatch>,
    /// Only the children of this one.
    pub parent_id: Option<ProjectId>,
    /// Only those that act as domains, or only those that do not.
    pub is_domain: Option<bool>,
    /// Conditions on tags, all of which must hold.
    pub tags: Vec<TagFilter>,
}

/// A condition on the tags of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// It has all of these (`tags`).
    All(Vec<String>),
    /// It has one of these (`tags-any`).
    Any(Vec<String>),
    /// It does not have all of these (`not-tags`).
    NotAll(Vec<String>),
    /// It has none of these (`not-tags-any`).
    NotAny(Vec<String>),
}

/// Which domains to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainFilter {
    /// Only this one.
    pub id: Option<DomainId>,
    /// Only enabled, or only disabled ones.
    pub enabled: Option<bool>,
    /// Only those so named.
    pub name: Option<TextMatch>,
}

/// The characters of a name that have a meaning of their own in a URL (RFC 3986 §2.2).
pub fn reserved_characters(name: &str) -> String {
    let is_reserved = |c: &char| ":/?#[]@!$&'()*+,;=".contains(*c);
    name.chars().filter(is_reserved).collect()
}
