//! Filters and pages of lists.

/// How one text attribute must compare for an item to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// Equal, by the rules of the database: MariaDB ignores case, the others do not.
    Equals(String),
    /// Holds the text somewhere.
    Contains {
        /// What to look for.
        text: String,
        /// Whether upper and lower case count as the same.
        ignore_case: bool,
    },
    /// Begins with the text.
    StartsWith {
        /// What to look for.
        text: String,
        /// Whether upper and lower case count as the same.
        ignore_case: bool,
    },
    /// Ends with the text.
    EndsWith {
        /// What to look for.
        text: String,
        /// Whether upper and lower case count as the same.
        ignore_case: bool,
    },
    /// As each of these says.
    All(Vec<TextMatch>),
}

impl TextMatch {
    /// A text that every match equals by the rules of the database, if there is one.
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Equals(text) => Some(text),
            Self::All(all) => all.iter().find_map(Self::exact),
            Self::Contains { .. } | Self::StartsWith { .. } | Self::EndsWith { .. } => None,
        }
    }

    /// Whether a text passes. The database has judged [`TextMatch::Equals`] and what ignores case
    /// already; they pass here.
    pub fn holds_beyond_sql(&self, value: &str) -> bool {
        match self {
            Self::Contains {
                text,
                ignore_case: false,
            } => value.contains(text),
            Self::StartsWith {
                text,
                ignore_case: false,
            } => value.starts_with(text),
            Self::EndsWith {
                text,
                ignore_case: false,
            } => value.ends_with(text),
            Self::All(all) => all.iter().all(|one| one.holds_beyond_sql(value)),
            _ => true,
        }
    }
}

/// Which part of a list to return, in the order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many items; `None` for all.
    pub limit: Option<u32>,
    /// Start behind the item with this id.
    pub marker: Option<String>,
}
