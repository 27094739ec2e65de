//! Scope: what a token is valid on.

use crate::ids::{DomainId, ProjectId};

/// What a token is valid on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nothing: the token only says who its user is.
    #[default]
    Unscoped,
    /// One project.
    Project(ProjectId),
    /// One domain.
    Domain(DomainId),
    /// The whole deployment.
    System,
}
