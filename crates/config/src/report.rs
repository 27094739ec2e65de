//! What an operator is told about a configuration: errors that stop the start, and warnings.

use std::{fmt, io, path::PathBuf};

use super::ini::SyntaxError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder that cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says, or that it is not text.
        source: io::Error,
    },
    /// A file that is not in oslo.config's format.
    #[error("{}:{}: {error}", path.display(), error.line)]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The first line that is wrong.
        error: SyntaxError,
    },
    /// All values that were refused, a line each.
    #[error("{}", lines(.0))]
    Values(Vec<BadValue>),
}

/// A value that its option does not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// The section as the option is found in it.
    pub section: String,
    /// The option's name as it is found.
    pub name: String,
    /// The value as written; `None` when it is missing or secret.
    pub value: Option<String>,
    /// Where it stands.
    pub place: Place,
    /// What would be accepted.
    pub expected: String,
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            section,
            name,
            expected,
            ..
        } = self;
        if self.place == Place::Default {
            return write!(f, "[{section}] {name} is not set; expected {expected}");
        }
        write!(f, "{}: [{section}] {name}", self.place)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        write!(f, " is refused; expected {expected}")
    }
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file's line, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the option's name.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// Nowhere: it is not set.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// Something that does not stop the start but is probably not what the operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A section that neither Keystone nor we know.
    UnknownSection {
        /// The section as written.
        section: String,
        /// Its first value.
        place: Place,
    },
    /// An option that neither Keystone nor we know, in a section that is known.
    UnknownOption {
        /// Section and name as written.
        written: (String, String),
        /// Where it stands.
        place: Place,
    },
    /// An option under a name that it had before.
    FormerName {
        /// Section and name as written.
        written: (String, String),
        /// Section and name today.
        present: (&'static str, &'static str),
        /// Where it stands.
        place: Place,
    },
    /// An option that Keystone means to remove.
    Deprecated {
        /// Section and name as written.
        written: (String, String),
        /// Where it stands.
        place: Place,
    },
    /// What an accepted value leads to that its author may not expect.
    Advice {
        /// Where it stands.
        place: Place,
        /// The option and what it leads to.
        text: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSection { section, place } => {
                write!(
                    f,
                    "{place}: [{section}] is not a known section; it is ignored"
                )
            }
            Self::UnknownOption {
                written: (section, name),
                place,
            } => {
                write!(
                    f,
                    "{place}: [{section}] {name} is not a known option; it is ignored"
                )
            }
            Self::FormerName {
                written: (section, name),
                present,
                place,
            } => write!(
                f,
                "{place}: [{section}] {name} is now [{}] {}; the former name will go",
                present.0, present.1
            ),
            Self::Deprecated {
                written: (section, name),
                place,
            } => {
                write!(f, "{place}: [{section}] {name} is deprecated and will go")
            }
            Self::Advice { place, text } => write!(f, "{place}: {text}"),
        }
    }
}

/// An option of Keystone that is set to something other than its default and has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedOption {
    /// The section.
    pub section: String,
    /// The option's name.
    pub name: String,
    /// Where it is set.
    pub place: Place,
    /// Why it has no effect.
    pub reason: &'static str,
}

impl fmt::Display for UnsupportedOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            section,
            name,
            place,
            reason,
        } = self;
        write!(
            f,
            "{place}: [{section}] {name} has no effect in this release: {reason}"
        )
    }
}

fn lines(values: &[BadValue]) -> String {
    let lines: Vec<String> = values.iter().map(BadValue::to_string).collect();
    lines.join("\n")
}
