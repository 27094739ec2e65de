//! Attribute mapping: rules that turn an assertion into a user, groups and projects.
//!
//! A mapping is a list of rules. Each has conditions on the attributes of the assertion (`remote`)
//! and says what follows when all of them hold (`local`), in templates where `{0}` stands for the
//! values that the first condition let through. Every rule that applies counts, not only the first
//! one; [`Rules::evaluate`] puts together what they say, and tells why it came to that.
//!
//! The language is Keystone's, which leans on Python: templates are those of `str.format`, several
//! values in a place read as a Python list, and such a text is taken apart again where a list of
//! groups is meant. Those details are in `template`, `literal` and `pattern`.

mod condition;
mod evaluate;
mod literal;
mod local;
mod merge;
mod parse;
mod pattern;
mod template;

use serde::{Deserialize, Serialize};

pub use condition::{ConditionExplanation, Test};
pub use evaluate::{Evaluation, RuleExplanation};
pub use local::Given;
pub use parse::RulesError;

/// The version of the language of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemaVersion {
    /// `1.0`.
    V1,
    /// `2.0`: users and projects may have a domain, which defaults to that of the rule.
    V2,
    /// `3.0`: projects may come from the assertion, as JSON; and roles are kept in step with it.
    V3,
}

impl SchemaVersion {
    /// Reads a version; `None` when there is no such one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(Self::V1),
            "2.0" => Some(Self::V2),
            "3.0" => Some(Self::V3),
            _ => None,
        }
    }

    /// Whether users and projects without a domain are in that of the rule.
    pub fn honours_domains(self) -> bool {
        self >= Self::V2
    }

    /// Whether a login takes away the roles on projects that it does not name.
    pub fn synchronises_roles(self) -> bool {
        self == Self::V3
    }
}

/// The rules of a mapping, read.
#[derive(Clone, Debug)]
pub struct Rules {
    version: SchemaVersion,
    rules: Vec<parse::Rule>,
}

/// What a mapping made of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The version of the rules.
    pub version: SchemaVersion,
    /// Who it is.
    pub user: MappedUser,
    /// The groups, by id; each once.
    pub group_ids: Vec<String>,
    /// The groups, by name. The same one may be named twice.
    pub group_names: Vec<NamedGroup>,
    /// The projects, and the roles on them.
    pub projects: Vec<MappedProject>,
}

/// Who somebody is, as far as the rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedUser {
    /// What identifies the user for the identity provider.
    pub id: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The domain; when unset, that of the identity provider.
    pub domain: Option<DomainReference>,
    /// Whether the user exists on our side.
    pub kind: UserKind,
}

/// Where a user is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    /// By the identity provider; we keep a shadow.
    #[default]
    Ephemeral,
    /// By us; the assertion only says who it is.
    Local,
}

/// A domain by id or name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DomainReference {
    /// The id, which counts more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl DomainReference {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A group by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedGroup {
    /// The name.
    pub name: String,
    /// Whose group it is.
    pub domain: DomainReference,
}

/// A project with the roles that the user shall have on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedProject {
    /// The name.
    pub name: String,
    /// The domain; when unset, that of the identity provider.
    pub domain: Option<DomainReference>,
    /// The names of the roles.
    pub roles: Vec<String>,
}

/// Why a mapping makes nothing of an assertion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// No rule applied, or those that did say nothing.
    #[error(
        "Could not map any federated user properties to identity values. Check debug logs or the \
         mapping used for additional details."
    )]
    NothingMapped,
    /// Groups were named, and it was not said in which domain.
    #[error("The groups {groups} have no domain: say 'domain' beside 'groups'.")]
    GroupsWithoutDomain {
        /// What stands for the groups.
        groups: String,
    },
    /// The JSON of an assertion does not describe projects.
    #[error("These are no projects: {0}.")]
    Projects(String),
    /// A template refers to more than the conditions of its rule let through.
    #[error("{template:?} asks for match {index}, and the conditions of its rule give {matches}.")]
    NoSuchMatch {
        /// The template.
        template: String,
        /// Which match it asks for, from 0.
        index: usize,
        /// How many there are.
        matches: usize,
    },
    /// A template that cannot be read or filled in.
    #[error("{template:?} cannot be filled in: {reason}.")]
    Template {
        /// The template.
        template: String,
        /// Why not.
        reason: String,
    },
    /// A regular expression that cannot be used.
    #[error("The pattern {pattern} cannot be used: {reason}.")]
    Pattern {
        /// The pattern, or what stands in its place.
        pattern: String,
        /// Why not.
        reason: String,
    },
    /// `projects_json` that names no match.
    #[error("projects_json is {0:?}, which names no match as {{0}} does.")]
    ProjectsReference(String),
    /// More comes of an assertion than a login can bring.
    #[error("more than {most} {what}.")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be.
        most: usize,
    },
    /// A value of the assertion that means nothing where it stands.
    #[error("{0}.")]
    Unusable(String),
}

impl MappingError {
    /// Whether the assertion is to blame: then a login is refused. Otherwise the rules are, and
    /// nobody can log in with them who comes that far.
    pub fn blames_assertion(&self) -> bool {
        matches!(
            self,
            Self::NothingMapped
                | Self::GroupsWithoutDomain { .. }
                | Self::Projects(_)
                | Self::TooMany { .. }
                | Self::Unusable(_)
        )
    }
}
