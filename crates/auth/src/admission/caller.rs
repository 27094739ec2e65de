//! The caller of a request: what its token in `X-Auth-Token` says, as credentials for the policy.

use std::borrow::Cow;
use std::sync::Arc;

use model::ids::DomainId;
use policy::Credentials;
use serde_json::Value;

use crate::tokens::ValidToken;

/// The caller of a request. Only admission makes one.
#[derive(Clone)]
pub struct Caller(Kind);

#[derive(Clone)]
enum Kind {
    /// There was no token, or no valid one.
    Anonymous {
        /// Why, for the operator.
        reason: Cow<'static, str>,
    },
    /// The holder of the token in `[DEFAULT] admin_token`, who may do everything.
    AdminToken,
    /// The holder of a valid token.
    User(Arc<ValidToken>),
}

impl Caller {
    /// A caller without a valid token, and why.
    pub(crate) fn anonymous(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Anonymous {
            reason: reason.into(),
        })
    }

    /// The holder of the administrator's token.
    pub(crate) fn admin_token() -> Self {
        Self(Kind::AdminToken)
    }

    /// The holder of a valid token.
    pub(crate) fn user(token: Arc<ValidToken>) -> Self {
        Self(Kind::User(token))
    }

    /// What policy rules see; `None` for an anonymous caller.
    pub fn credentials(&self) -> Option<&dyn Credentials> {
        match &self.0 {
            Kind::Anonymous { .. } => None,
            Kind::AdminToken => Some(&Value::Null),
            Kind::User(token) => Some(&**token),
        }
    }

    /// Whether the caller may do everything, without asking the policy.
    pub fn is_admin_token(&self) -> bool {
        matches!(self.0, Kind::AdminToken)
    }

    /// The token of a user.
    pub fn token(&self) -> Option<&Arc<ValidToken>> {
        match &self.0 {
            Kind::User(token) => Some(token),
            Kind::Anonymous { .. } | Kind::AdminToken => None,
        }
    }

    /// The domain that the caller's token is valid on, and beyond which it sees nothing.
    pub fn domain_scope(&self) -> Option<DomainId> {
        self.token()?.token.domain_id().cloned()
    }

    /// Why the caller is not a user, for the log.
    pub fn reason(&self) -> Cow<'static, str> {
        match &self.0 {
            Kind::Anonymous { reason } => reason.clone(),
            Kind::AdminToken | Kind::User(_) => Cow::Borrowed("a user is needed"),
        }
    }
}
