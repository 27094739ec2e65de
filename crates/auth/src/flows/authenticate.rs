//! From the proofs of a login to who the user is.

use std::sync::Arc;

use model::subject::Login;
use model::token::FederatedLogin;
use model::{Method, Timestamp};

use crate::delegation::Delegation;
use crate::error::ApiError;
use crate::flows::multi_factor::ShownReceipt;
use crate::methods::login_request::LoginRequest;
use crate::methods::users::require_enabled;
use crate::methods::{self, Attempt, AuthenticationMethod, Proof, Timing};
use crate::parts::Parts;
use crate::tokens::ValidToken;

/// A user who has proved who they are.
pub(crate) struct Authenticated {
    /// Who.
    pub login: Arc<Login>,
    /// By which methods, those of the source token included.
    pub methods: Vec<Method>,
    /// The token that was one of the proofs.
    pub source: Option<Arc<ValidToken>>,
    /// By what the token is to act, when not by the user's own authority.
    pub delegation: Option<Delegation>,
    /// Who vouched for the user, and for which groups, when that was an identity provider.
    pub federated: Option<FederatedLogin>,
    /// The receipt that proves some of the methods.
    pub receipt: Option<ShownReceipt>,
    /// Whether the proofs took their time: what was looked up before them may have changed.
    pub hashed: bool,
}

/// Tries all methods of a login, in their order. They must agree on the user.
///
/// # Errors
///
/// 401 for every proof that fails, without a word about which; 400 for what is no proof.
pub(crate) async fn authenticate(
    parts: &Parts,
    request: &LoginRequest,
    now: Timestamp,
) -> Result<Authenticated, ApiError> {
    for name in &request.methods {
        if !methods::is_enabled(parts, name.as_str()) {
            return Err(methods::unsupported(parts));
        }
    }
    let attempt = Attempt {
        parts,
        request,
        now,
    };
    let mut proofs = Proofs::default();
    for method in methods::unasked() {
        if !methods::is_enabled(parts, method.name().as_str()) {
            continue;
        }
        match method.prove(attempt).await {
            Ok(proof) => proofs.add(method, proof)?,
            Err(ApiError::Unauthorized { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for name in &request.methods {
        let method = methods::find(name).ok_or_else(|| methods::proves_nothing(name))?;
        proofs.add(method, method.prove(attempt).await?)?;
    }
    if proofs.are_slow() {
        proofs.confirm(parts).await?;
    }
    proofs.into_user()
}

/// What the methods so far have proved, in their order.
#[derive(Default)]
struct Proofs(Vec<(&'static dyn AuthenticationMethod, Proof)>);

impl Proofs {
    fn add(
        &mut self,
        method: &'static dyn AuthenticationMethod,
        proof: Proof,
    ) -> Result<(), ApiError> {
        match self.0.last() {
            Some((_, known)) if known.login().subject.id != proof.login().subject.id => {
                Err(ApiError::unauthorized("the methods name different users"))
            }
            _ => {
                self.0.push((method, proof));
                Ok(())
            }
        }
    }

    /// Whether a proof took its time.
    fn are_slow(&self) -> bool {
        let mut proofs = self.0.iter();
        proofs.any(|(_, proof)| proof.timing() != Timing::Quick)
    }

    /// The user, when the last of the methods that took their time has looked them up again after that.
    fn confirmed_login(&self) -> Option<Arc<Login>> {
        let mut proofs = self.0.iter().map(|(_, proof)| proof);
        let last = proofs.rfind(|proof| proof.timing() != Timing::Quick)?;
        (last.timing() == Timing::SlowAndConfirmed).then(|| Arc::clone(last.login()))
    }

    /// Looks again at all that was proved, after a proof that took its time: somebody may have disabled
    /// the user, changed the password, or revoked the token or the credential meanwhile.
    async fn confirm(&mut self, parts: &Parts) -> Result<(), ApiError> {
        let now = parts.clock.now();
        // A token is not issued on facts from before the slow step either.
        parts.store.sync().await?;
        let Some((_, last)) = self.0.last() else {
            return Ok(());
        };
        let login = match self.confirmed_login() {
            Some(login) => login,
            None => {
                let found = parts.store.login(&last.login().subject.id).await?;
                let found = found.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
                require_enabled(parts, &found, now)?;
                found
            }
        };
        for (method, proof) in &mut self.0 {
            proof.renew_login(&login);
            method.confirm(parts, proof, now).await?;
        }
        Ok(())
    }

    fn into_user(self) -> Result<Authenticated, ApiError> {
        let (_, last) = self
            .0
            .last()
            .ok_or_else(|| ApiError::unauthorized("no method found a user"))?;
        let mut methods: Vec<Method> = Vec::new();
        for (method, proof) in &self.0 {
            let own = method.name();
            for name in proof.source_methods().iter().chain([&own]) {
                if !methods.contains(name) {
                    methods.push(name.clone());
                }
            }
        }
        let proofs = || self.0.iter().rev().map(|(_, proof)| proof);
        let source = proofs().find_map(Proof::source);
        Ok(Authenticated {
            login: Arc::clone(last.login()),
            methods,
            federated: source.and_then(|source| source.token.federated_login().cloned()),
            source: source.cloned(),
            delegation: proofs().find_map(Proof::delegation).cloned(),
            receipt: None,
            hashed: self.are_slow(),
        })
    }
}
