//! Users and groups of users.

use crate::ids::{DomainId, GroupId, IdentityProviderId, ProjectId, ProtocolId, UserId};
use crate::listing::TextMatch;
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
    /// The last day on which the user logged in, or was created when that never happened.
    pub last_seen: Option<chrono::NaiveDate>,
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

/// A group as one of its members sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// The group.
    pub group: Group,
    /// When the membership ends that a federated login brought; `None` for a lasting one.
    pub expires_at: Option<Timestamp>,
}

/// Under which name an identity provider knows a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedIdentity {
    /// The identity provider.
    pub identity_provider_id: IdentityProviderId,
    /// The protocol by which it speaks of the user.
    pub protocol_id: ProtocolId,
    /// What it calls the user, unique for that provider and protocol.
    pub unique_id: String,
}

/// Which users to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserFilter {
    /// Only those of this domain.
    pub domain_id: Option<DomainId>,
    /// Only enabled, or only disabled ones.
    pub enabled: Option<bool>,
    /// Only those so named.
    pub name: Option<TextMatch>,
    /// Only those whom this identity provider knows.
    pub identity_provider_id: Option<IdentityProviderId>,
    /// Only those who are known by this protocol.
    pub protocol_id: Option<ProtocolId>,
    /// Only those whom an identity provider calls so.
    pub unique_id: Option<String>,
    /// Only those whose password ends then.
    pub password_expires: Vec<(Comparison, Timestamp)>,
    /// Only the members of this group.
    pub group_id: Option<GroupId>,
    /// Only those of this domain as well: beyond it, the asker sees nothing.
    pub within: Option<DomainId>,
}

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFilter {
    /// Only those of this domain.
    pub domain_id: Option<DomainId>,
    /// Only those so named.
    pub name: Option<TextMatch>,
    /// Only those of this domain as well: beyond it, the asker sees nothing.
    pub within: Option<DomainId>,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `eq`
    Equal,
    /// `neq`
    NotEqual,
    /// `lt`
    Less,
    /// `lte`
    AtMost,
    /// `gt`
    Greater,
    /// `gte`
    AtLeast,
}

impl Comparison {
    /// Reads an operator of a filter; `None` when it is none.
    pub fn parse(operator: &str) -> Option<Self> {
        Some(match operator {
            "eq" => Self::Equal,
            "neq" => Self::NotEqual,
            "lt" => Self::Less,
            "lte" => Self::AtMost,
            "gt" => Self::Greater,
            "gte" => Self::AtLeast,
            _ => return None,
        })
    }
}
