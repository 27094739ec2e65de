//! The ways in which users prove who they are, a file for each.
//!
//! A new one is a file with an `AuthenticationMethod`, and its line in `ALL`. What it is called in
//! `[auth] methods` has to be a [`Method`] too; its place there is its bit in tokens and receipts
//! (`secrets::tokens::payload::MethodBits`).

pub mod application_credential;
mod external;
pub mod hashes;
pub mod login_request;
mod mapped;
pub mod password;
pub mod source;
mod token;
pub(crate) mod users;

use std::pin::Pin;
use std::sync::Arc;

use model::subject::Login;
use model::{Method, Timestamp};
use serde_json::{Value, json};

use crate::delegation::Delegation;
use crate::error::ApiError;
use crate::parts::Parts;
use crate::tokens::ValidToken;
use login_request::LoginRequest;

/// Every method by which a request can prove who its user is. Others that `[auth] methods` names mark
/// tokens, and prove nothing.
static ALL: [&dyn AuthenticationMethod; 8] = [
    &application_credential::BySecret,
    &external::ByProxy(Method::External),
    &external::ByProxy(Method::Kerberos),
    &mapped::ByFederatedToken(Method::Mapped),
    &mapped::ByFederatedToken(Method::OpenId),
    &mapped::ByFederatedToken(Method::Saml2),
    &password::ByPassword,
    &token::ByToken,
];

/// What a method answers, once it has asked the database or computed a hash.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// A way in which users prove who they are.
pub(crate) trait AuthenticationMethod: Sync {
    /// What it is called in requests, in tokens and in `[auth] methods`.
    fn name(&self) -> Method;

    /// Whether it is tried before all others in each login, also where the request does not name it.
    /// One that fails unasked is passed over.
    fn is_tried_unasked(&self) -> bool {
        false
    }

    /// Refuses a request that it cannot be part of, before anything is looked up.
    fn check_request(&self, request: &LoginRequest) -> Result<(), ApiError> {
        let _ = request;
        Ok(())
    }

    /// Reads its part of a request, and checks it. What fails takes the same time and gets the same 401,
    /// whether there is such a user or not; what is no proof at all is a 400.
    fn prove<'a>(&'a self, attempt: Attempt<'a>) -> Answer<'a, Proof>;

    /// Looks again at what it proved, after some proof of the login took its time: somebody may have
    /// changed or revoked it meanwhile. By now the proof has the user as they are, who may log in. Fails
    /// with a 401, and puts what it finds in place of what was found before.
    fn confirm<'a>(
        &'a self,
        parts: &'a Parts,
        proof: &'a mut Proof,
        now: Timestamp,
    ) -> Answer<'a, ()>;

    /// Whether a receipt proves it for the rest of a login.
    fn is_kept_by_receipts(&self) -> bool {
        true
    }

    /// Whether what a receipt of `issued_at` says was proved by it is another one by now.
    fn is_outdated(&self, login: &Login, issued_at: Timestamp) -> bool {
        let _ = (login, issued_at);
        false
    }
}

/// A login that is tried.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub parts: &'a Parts,
    pub request: &'a LoginRequest,
    pub now: Timestamp,
}

/// What a method proved. Only methods make one.
pub(crate) struct Proof {
    login: Arc<Login>,
    source: Option<Arc<ValidToken>>,
    source_methods: Vec<Method>,
    delegation: Option<Delegation>,
    secret_hash: Option<String>,
    timing: Timing,
}

/// How a proof was come by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Without a slow hash.
    Quick,
    /// By a slow hash: what was looked up before it may have changed.
    Slow,
    /// By a slow hash, and the user was looked up again after it.
    SlowAndConfirmed,
}

impl Proof {
    /// The proof that somebody is this user, and nothing more.
    fn of(login: Arc<Login>) -> Self {
        Self {
            login,
            source: None,
            source_methods: Vec::new(),
            delegation: None,
            secret_hash: None,
            timing: Timing::Quick,
        }
    }

    /// Who the user is.
    pub(crate) fn login(&self) -> &Arc<Login> {
        &self.login
    }

    /// The token that was shown.
    pub(crate) fn source(&self) -> Option<&Arc<ValidToken>> {
        self.source.as_ref()
    }

    /// The methods by which the token was obtained that was shown, where they count as passed again.
    pub(crate) fn source_methods(&self) -> &[Method] {
        &self.source_methods
    }

    /// By what the token is to act, when not by the user's own authority.
    pub(crate) fn delegation(&self) -> Option<&Delegation> {
        self.delegation.as_ref()
    }

    /// How it was come by.
    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// Puts the user as they are now in place of the one who was found before.
    pub(crate) fn renew_login(&mut self, login: &Arc<Login>) {
        self.login = Arc::clone(login);
    }
}

/// The method of a name, when it proves anything here.
pub(crate) fn find(name: &Method) -> Option<&'static dyn AuthenticationMethod> {
    ALL.into_iter().find(|method| method.name() == *name)
}

/// The methods that are tried though a request does not name them.
pub(crate) fn unasked() -> impl Iterator<Item = &'static dyn AuthenticationMethod> {
    ALL.into_iter().filter(|method| method.is_tried_unasked())
}

/// 401: a method that is enabled, and by which nobody can prove anything.
pub(crate) fn proves_nothing(name: &Method) -> ApiError {
    ApiError::unauthorized(format!("{name} proves nothing here"))
}

/// Whether `[auth] methods` has a name.
pub(crate) fn is_enabled(parts: &Parts, name: &str) -> bool {
    parts.config.auth.methods.iter().any(|known| known == name)
}

/// 401: a login by a method that is not enabled. It tells which are.
pub(crate) fn unsupported(parts: &Parts) -> ApiError {
    ApiError::LoginIncomplete {
        message: "Attempted to authenticate with an unsupported method.".into(),
        identity: json!({ "methods": parts.config.auth.methods }),
    }
}

/// The part of a request that is this method's.
fn proof<'a>(attempt: &Attempt<'a>, name: &Method) -> &'a Value {
    &attempt.request.identity[name.as_str()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_name_of_its_own() {
        for method in ALL {
            let called_so = ALL
                .into_iter()
                .filter(|other| other.name() == method.name());
            assert_eq!(called_so.count(), 1, "{}", method.name());
        }
        assert!(find(&Method::Ec2Credential).is_none());
    }

    #[test]
    fn a_receipt_keeps_no_proof_that_can_be_revoked_by_itself() {
        let kept = ALL
            .into_iter()
            .filter(|method| method.is_kept_by_receipts());
        let kept: Vec<Method> = kept.map(|method| method.name()).collect();
        use Method::*;
        assert_eq!(kept, [External, Kerberos, Mapped, OpenId, Saml2, Password]);
    }
}
