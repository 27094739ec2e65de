//! Users and groups of users.

use crate::ids::{DomainId, GroupId, ProjectId, UserId};
use crate::subject::UserOptions;
use crate::{Extra, Timestamp};

/// A person or a program that can log in.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Unique within its domain.
    pub name: String,
    /// The domain that owns the user.
    pub domain_id: DomainId,
    /// A disabled user cannot log in.
    pub enabled: bool,
    /// The project of tokens for which no scope was asked.
    pub default_project_id: Option<ProjectId>,
    /// When the current password ends.
    pub password_expires_at: Option<Timestamp>,
    /// Switches that the server knows.
    pub options: UserOptions,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

/// A password as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPassword {
    /// The slow hash; `None` when the user cannot log in by password.
    pub hash: Option<String>,
    /// When it was set.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether the user set it, and not an administrator.
    pub self_service: bool,
}

/// Users that are given roles together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Unique within its domain.
    pub name: String,
    /// The domain that owns the group.
    pub domain_id: DomainId,
    /// What people wrote about it.
    pub description: Option<String>,
    /// Attributes that the server does not know.
    pub extra: Extra,
}
