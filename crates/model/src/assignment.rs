//! Role assignments: a role given to an actor on a target.

use crate::ids::{DomainId, GroupId, ProjectId, RoleId, UserId};

/// A role given to an actor on a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The role.
    pub role_id: RoleId,
    /// Who has it.
    pub actor: Actor,
    /// On what.
    pub target: AssignmentTarget,
    /// Whether it holds on everything below the target, and not on the target itself.
    pub inherited: bool,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// One user.
    User(UserId),
    /// All members of a group.
    Group(GroupId),
}

/// On what a role is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AssignmentTarget {
    /// A project.
    Project(ProjectId),
    /// A domain.
    Domain(DomainId),
    /// The whole deployment.
    System,
}

impl Actor {
    /// The id, whichever it is.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Group(id) => id.as_str(),
        }
    }
}

impl AssignmentTarget {
    /// The id, whichever it is; `system` for the whole deployment.
    pub fn id(&self) -> &str {
        match self {
            Self::Project(id) => id.as_str(),
            Self::Domain(id) => id.as_str(),
            Self::System => "system",
        }
    }
}
