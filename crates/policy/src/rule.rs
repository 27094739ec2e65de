//! Rules as a service declares them.

use std::fmt;

use crate::python;
use crate::target::Credentials;

/// A default: what is asked of the caller where the operator says nothing else.
///
/// ```
/// use policy::{Rule, ScopeType};
///
/// const LIST: Rule = Rule::new("identity:list_users", "role:reader")
///     .scopes(&[ScopeType::System, ScopeType::Domain])
///     .deprecated("role:admin");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name that handlers and policy files use.
    pub name: &'static str,
    /// The text of the rule, in the policy language.
    pub check: &'static str,
    /// The kinds of token it may be asked with; empty means any. No override changes this.
    pub scopes: &'static [ScopeType],
    /// What it said before.
    pub deprecated: Option<Deprecated>,
    /// What it sees of the thing that it is asked about.
    pub about: Keys,
}

/// Keys that a target has values for, as `%(key)s` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// These, word for word.
    Named(&'static [&'static str]),
    /// All those of several targets.
    All(&'static [Keys]),
}

impl Keys {
    /// No keys at all.
    pub const NONE: Self = Self::Named(&[]);

    /// Calls `visit` on each key.
    pub fn for_each(&self, visit: &mut impl FnMut(&'static str)) {
        match self {
            Self::Named(keys) => keys.iter().for_each(|key| visit(key)),
            Self::All(parts) => parts.iter().for_each(|part| part.for_each(visit)),
        }
    }
}

/// What a rule said in an earlier release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// The rule's name at that time: an operator's override of it counts still.
    pub name: &'static str,
    /// The rule's text at that time. It suffices as well while `enforce_new_defaults` is false.
    pub check: &'static str,
}

impl Rule {
    /// A rule that any kind of token may be asked with.
    pub const fn new(name: &'static str, check: &'static str) -> Self {
        Self {
            name,
            check,
            scopes: &[],
            deprecated: None,
            about: Keys::NONE,
        }
    }

    /// Says what the rule sees of the thing that it is asked about.
    pub const fn about(mut self, keys: Keys) -> Self {
        self.about = keys;
        self
    }

    /// Restricts the rule to kinds of tokens.
    pub const fn scopes(mut self, scopes: &'static [ScopeType]) -> Self {
        self.scopes = scopes;
        self
    }

    /// Says what the rule was before.
    pub const fn deprecated(self, check: &'static str) -> Self {
        let name = self.name;
        self.formerly(name, check)
    }

    /// Says what the rule was before, and under which name.
    pub const fn formerly(mut self, name: &'static str, check: &'static str) -> Self {
        self.deprecated = Some(Deprecated { name, check });
        self
    }
}

/// What a token is valid on, as far as rules are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeType {
    /// The deployment as a whole.
    System,
    /// A domain.
    Domain,
    /// A project; also a token without any scope.
    Project,
}

impl ScopeType {
    /// The scope that the credentials speak of.
    pub fn of(credentials: &dyn Credentials) -> Self {
        let given = |name| credentials.get(name).is_some_and(python::is_true);
        if given("system_scope") || given("system") {
            Self::System
        } else if given("domain_id") {
            Self::Domain
        } else {
            Self::Project
        }
    }
}

impl fmt::Display for ScopeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Domain => "domain",
            Self::Project => "project",
        })
    }
}
