//! What can be wrong with a policy.

use std::fmt;

/// A policy file that cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file is neither YAML nor JSON; the message says where.
    #[error("the policy file is not well-formed: {0}")]
    Malformed(String),
    /// The name of a rule is a number, a boolean, null or a collection.
    #[error("line {line}: the name of a rule must be a text, and is {found}")]
    NotAName {
        /// The line of the name, counted from 1.
        line: u64,
        /// What stands there.
        found: &'static str,
    },
    /// A rule is something other than text or a list.
    #[error("line {line}: the rule {rule:?} must be a text or a list of texts, and is {found}")]
    NotARule {
        /// The rule's name.
        rule: String,
        /// The line of its name, counted from 1.
        line: u64,
        /// What stands there.
        found: &'static str,
    },
    /// A rule asks a remote server (`http:`, `https:`).
    #[error(
        "line {line}: the rule {rule:?} asks a remote server ({check}), which is not supported: \
         write what that server decides by as roles, scopes and attributes of the target, or leave \
         the rule out to have its default"
    )]
    RemoteCheck {
        /// The rule's name.
        rule: String,
        /// The line of its name, counted from 1.
        line: u64,
        /// The check, as written.
        check: String,
    },
}

/// Something about a rule that its author will not have meant. The rules work regardless, as oslo.policy's would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule's name.
    pub rule: String,
    /// The line of its name in the policy file, counted from 1; `None` for a default.
    pub line: Option<u64>,
    /// What is wrong.
    pub flaw: Flaw,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "the rule {:?} {}", self.rule, self.flaw)
    }
}

/// What is wrong with a rule; each text continues "the rule …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The text does not follow the grammar.
    #[error("cannot be read and so denies everybody: {0}")]
    Unreadable(String),
    /// A part has no colon.
    #[error("holds {0:?}, which is no check (those look like kind:value) and never holds")]
    NotACheck(String),
    /// The left side cannot be read.
    #[error(
        "holds {0:?}, whose left side is neither the name of a credential nor a literal; it denies everyone who reaches it"
    )]
    LeftSide(String),
    /// The right side cannot be read.
    #[error(
        "holds {0:?}, whose right side has a percent sign outside of %(key)s and %%; it denies everyone who reaches it"
    )]
    RightSide(String),
    /// A remote check among the defaults.
    #[error(
        "asks a remote server ({0}), which is not supported; it denies everyone who reaches it"
    )]
    RemoteCheck(String),
    /// Null in place of a rule.
    #[error(
        "is empty and so allows everybody who is logged in; to deny everybody write \"!\" in quotes"
    )]
    Null,
    /// A reference to nothing.
    #[error(
        "refers to the rule {0:?}, which is not defined and never matches; the rest of the rule applies"
    )]
    Undefined(String),
    /// A reference to nothing, where there is a default rule.
    #[error("refers to the rule {0:?}, which is not defined; the rule {1:?} stands in")]
    Replaced(String, String),
    /// A reference that leads back.
    #[error("refers to itself by way of the rule {0:?}; it denies everyone who reaches it")]
    Cycle(String),
    /// A key that the target of this rule never has.
    #[error("{}", not_offered(.key, .named_by.as_deref(), *.may_be_stored))]
    NotOffered {
        /// The key.
        key: String,
        /// The rule that names it, when it is another one that this rule refers to.
        named_by: Option<String>,
        /// Whether it could be an attribute that clients stored beside those that the service knows.
        may_be_stored: bool,
    },
    /// Two declarations that differ.
    #[error("is declared twice and differently; the first declaration counts")]
    Conflict,
}

fn not_offered(key: &str, named_by: Option<&str>, may_be_stored: bool) -> String {
    let by = named_by.map_or_else(String::new, |rule| {
        format!(", by way of the rule {rule:?},")
    });
    let unless = match may_be_stored {
        true => ", unless clients store an additional attribute of that name",
        false => "",
    };
    format!("asks{by} for %({key})s, which it is never given: the check does not hold{unless}")
}
