//! What a rule asks, as a tree.

use std::fmt;

use crate::template::Template;

/// A rule, or a part of one, ready to be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Check {
    Always,
    Never,
    Not(Box<Check>),
    All(Vec<Check>),
    Any(Vec<Check>),
    Rule(Reference),
    Role(Template),
    Compare(Comparison),
    /// A question to a remote server, which we never ask.
    Remote(String),
}

/// Another rule: its name and, once all rules are known, its place among them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) place: Option<usize>,
}

/// `left:right`, where both must print the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// The left side as written.
    pub(crate) source: String,
    pub(crate) left: Left,
    pub(crate) right: Template,
}

/// The left side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Left {
    /// The path of a credential.
    Credential(Vec<String>),
    /// A literal, as it prints.
    Literal(String),
    Unreadable,
}

impl Check {
    /// A check that nothing but its name is known of.
    pub(crate) fn reference(name: &str) -> Self {
        Self::Rule(Reference {
            name: name.to_owned(),
            place: None,
        })
    }

    /// Calls `visit` on each reference in the tree.
    pub(crate) fn for_each_reference<'a>(&'a self, visit: &mut impl FnMut(&'a Reference)) {
        match self {
            Self::Rule(reference) => visit(reference),
            Self::Not(part) => part.for_each_reference(visit),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.for_each_reference(visit))
            }
            Self::Always | Self::Never | Self::Role(_) | Self::Compare(_) | Self::Remote(_) => {}
        }
    }

    /// Calls `visit` on each key of the target that the tree itself asks for.
    pub(crate) fn for_each_key<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::Role(template) => template.keys().for_each(visit),
            Self::Compare(comparison) => comparison.right.keys().for_each(visit),
            Self::Not(part) => part.for_each_key(visit),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.for_each_key(visit))
            }
            Self::Always | Self::Never | Self::Rule(_) | Self::Remote(_) => {}
        }
    }

    /// Sets the place of each reference in the tree.
    pub(crate) fn resolve(&mut self, place: &impl Fn(&str) -> Option<usize>) {
        match self {
            Self::Rule(reference) => reference.place = place(&reference.name),
            Self::Not(part) => part.resolve(place),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter_mut().for_each(|part| part.resolve(place))
            }
            Self::Always | Self::Never | Self::Role(_) | Self::Compare(_) | Self::Remote(_) => {}
        }
    }
}

/// The text of a rule with the same meaning.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("@"),
            Self::Never => f.write_str("!"),
            Self::Not(part) => write!(f, "not {part}"),
            Self::All(parts) => write_joined(f, parts, " and "),
            Self::Any(parts) => write_joined(f, parts, " or "),
            Self::Rule(reference) => write!(f, "rule:{}", reference.name),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Compare(comparison) => write!(f, "{}:{}", comparison.source, comparison.right),
            Self::Remote(check) => f.write_str(check),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Check], operator: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "(" } else { operator })?;
        write!(f, "{part}")?;
    }
    f.write_str(")")
}

/// Why a rule cannot be evaluated. The reference raises an exception there, so no `not` and no `or` turns it round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the left side cannot be read")]
    LeftSide,
    #[error("the right side cannot be read")]
    Template,
    #[error("remote checks are not supported")]
    Remote,
    #[error("the rule refers to itself, or is nested too deep")]
    TooDeep,
    #[error("a part of the name leads to a value that has no parts")]
    NotAnObject,
    #[error("the caller's roles are not a list of names")]
    Roles,
}
