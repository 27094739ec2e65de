//! Who asks: what the token in `X-Auth-Token` says, in the words of the policy.

use std::borrow::Cow;
use std::sync::Arc;

use model::ids::DomainId;
use serde_json::{Value, json};

use crate::admission::validate_token::ValidToken;

/// Who asks.
#[derive(Clone)]
pub enum Caller {
    /// Nobody: there was no token, or no good one.
    Nobody {
        /// Why, for the operator.
        reason: Cow<'static, str>,
    },
    /// The holder of the token in `[DEFAULT] admin_token`, who may do everything.
    Operator {
        /// An empty set of credentials.
        credentials: Value,
    },
    /// The holder of a valid token.
    User {
        /// The token and what was looked up for it.
        token: Arc<ValidToken>,
        /// What policy rules see of it; shared, because each run of a handler gets the caller.
        credentials: Arc<Value>,
    },
}

impl Caller {
    /// Nobody, for a reason.
    pub fn nobody(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Nobody {
            reason: reason.into(),
        }
    }

    /// The holder of the administrator's token.
    pub fn operator() -> Self {
        Self::Operator {
            credentials: json!({}),
        }
    }

    /// The holder of a valid token.
    pub fn user(token: Arc<ValidToken>) -> Self {
        let credentials = Arc::new(token.credentials());
        Self::User { token, credentials }
    }

    /// What policy rules see; `None` for nobody.
    pub fn credentials(&self) -> Option<&Value> {
        match self {
            Self::Nobody { .. } => None,
            Self::Operator { credentials } => Some(credentials),
            Self::User { credentials, .. } => Some(credentials),
        }
    }

    /// Whether the policy need not be asked.
    pub fn is_operator(&self) -> bool {
        matches!(self, Self::Operator { .. })
    }

    /// The token, when a user asks.
    pub fn token(&self) -> Option<&Arc<ValidToken>> {
        match self {
            Self::User { token, .. } => Some(token),
            Self::Nobody { .. } | Self::Operator { .. } => None,
        }
    }

    /// The domain that the caller's token is valid on, and beyond which it sees nothing.
    pub fn domain_scope(&self) -> Option<DomainId> {
        self.token()?.token.domain_id().cloned()
    }

    /// Why nobody is logged in, for the log.
    pub fn absence(&self) -> Cow<'static, str> {
        match self {
            Self::Nobody { reason } => reason.clone(),
            Self::Operator { .. } | Self::User { .. } => Cow::Borrowed("a user is needed"),
        }
    }
}
