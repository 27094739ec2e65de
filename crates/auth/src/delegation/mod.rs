//! Delegations: authority that a user has handed on, and that tokens act by instead of their user's own.
//!
//! A new kind is a file with a [`Delegated`] and how it is found, a variant of [`Delegation`], and its
//! arms in `Reference`. What issues, validates and revokes tokens asks the trait. A token whose kind of
//! delegation has no arm there is refused: its rights are unknown, and its user's own are others.

mod application_credential;

use std::ops::Deref;
use std::sync::Arc;

use model::Timestamp;
use model::application_credential::ApplicationCredential;
use model::ids::{ApplicationCredentialId, ConsumerId, RoleId, UserId};
use model::token::TokenKind;
use serde_json::Value;
use store::{Store, StoreError};

/// What was delegated, by whom and to whom.
pub trait Delegated: Send + Sync {
    /// Between whom.
    fn parties(&self) -> Parties<'_>;

    /// What its tokens say, with what they are valid on; `None` when it does not lead to any.
    fn token_kind(&self) -> Option<TokenKind>;

    /// Whether a role that the delegator holds there is part of it.
    fn includes(&self, role: &RoleId) -> bool;

    /// When it ends, and all its tokens.
    fn expires_at(&self) -> Option<Timestamp>;

    /// Whether its tokens are for certain requests only. Who validates one has to enforce that.
    fn has_access_rules(&self) -> bool {
        false
    }

    /// Whether its tokens may make a request to a service of this type.
    fn permits(&self, service: &str, method: &str, path: &str) -> bool {
        let _ = (service, method, path);
        true
    }

    /// Whether its tokens may not manage application credentials.
    fn is_restricted(&self) -> bool {
        true
    }

    /// The OAuth 1.0a consumer that acts by it, by which its tokens can be revoked.
    fn consumer_id(&self) -> Option<&ConsumerId> {
        None
    }

    /// What the body of its tokens says of it, and under what name.
    fn describe(&self) -> (&'static str, Value);

    /// Its id, and under what name EC2 keys note it that are made with its tokens: they act by it, too.
    fn noted_in_keys(&self) -> (&'static str, String);
}

/// Between whom something was delegated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties<'a> {
    /// Whose authority it is.
    pub delegator: &'a UserId,
    /// Who acts by it: the user of its tokens.
    pub delegate: &'a UserId,
}

/// What a token acts by.
#[derive(Clone, Debug)]
pub enum Delegation {
    /// The part of its user's authority that an application credential was given.
    ApplicationCredential(Arc<ApplicationCredential>),
}

impl Deref for Delegation {
    type Target = dyn Delegated;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::ApplicationCredential(credential) => &**credential,
        }
    }
}

/// Mostly the very same fact, which takes one comparison.
impl PartialEq for Delegation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ApplicationCredential(one), Self::ApplicationCredential(other)) => {
                Arc::ptr_eq(one, other) || one == other
            }
        }
    }
}

/// Which delegation a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    ApplicationCredential(&'a ApplicationCredentialId),
}

/// A token acts by a delegation that is not implemented here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownDelegation;

/// Why a delegation was not found.
#[derive(Debug)]
pub(crate) enum LookupError {
    /// There is none any more.
    Gone {
        /// What it was.
        kind: &'static str,
        /// Which one.
        id: String,
    },
    /// The database did not say.
    Store(StoreError),
}

impl From<StoreError> for LookupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'a> Reference<'a> {
    /// The delegation that a token names; `None` when it acts by its user's own authority.
    ///
    /// # Errors
    ///
    /// For the kinds of token that only a Keystone on the same database issues.
    pub(crate) fn of(kind: &'a TokenKind) -> Result<Option<Self>, UnknownDelegation> {
        // All kinds, by name: a new one must not pass for its user's own.
        match kind {
            TokenKind::Direct(_) | TokenKind::Federated { .. } | TokenKind::Certificate { .. } => {
                Ok(None)
            }
            TokenKind::ApplicationCredential {
                application_credential_id,
                ..
            } => Ok(Some(Self::ApplicationCredential(application_credential_id))),
            TokenKind::Trust { .. } | TokenKind::AccessToken { .. } => Err(UnknownDelegation),
        }
    }

    /// Looks the delegation up, as it is now. One that its parties may not use any longer is gone, too:
    /// of them, who validates a token looks at its user alone.
    pub(crate) async fn find(self, store: &Store) -> Result<Delegation, LookupError> {
        match self {
            Self::ApplicationCredential(id) => application_credential::find(store, id).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Scope;

    use super::*;

    #[test]
    fn a_delegation_that_nobody_here_understands_is_not_its_users_own_authority() {
        let by_trust = TokenKind::Trust {
            trust_id: "t".into(),
            project_id: Some("p".into()),
        };
        let by_consumer = TokenKind::AccessToken {
            access_token_id: "a".into(),
            project_id: "p".into(),
        };
        for kind in [by_trust, by_consumer] {
            assert_eq!(Reference::of(&kind), Err(UnknownDelegation));
        }
        let own = TokenKind::Direct(Scope::Project("p".into()));
        assert_eq!(Reference::of(&own), Ok(None));
    }
}
