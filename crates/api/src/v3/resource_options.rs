//! The options of projects, domains and roles.

use model::project::ResourceOptions;
use serde::{Deserialize, Serialize};
use web::request::extract::nullable;

/// The options of projects, domains and roles, as clients write and see them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct OptionsDocument {
    /// Absent: say nothing; null: take the option back.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) immutable: Option<Option<bool>>,
}

impl OptionsDocument {
    /// Whether it takes back that the resource is immutable.
    pub(crate) fn lifts_the_mark(self) -> bool {
        matches!(self.immutable, Some(None | Some(false)))
    }

    /// Writes what the client said.
    pub(crate) fn apply(self, options: &mut ResourceOptions) {
        if let Some(immutable) = self.immutable {
            options.immutable = immutable;
        }
    }
}

impl From<OptionsDocument> for ResourceOptions {
    fn from(document: OptionsDocument) -> Self {
        Self {
            immutable: document.immutable.flatten(),
        }
    }
}

impl From<ResourceOptions> for OptionsDocument {
    fn from(options: ResourceOptions) -> Self {
        Self {
            immutable: options.immutable.map(Some),
        }
    }
}
