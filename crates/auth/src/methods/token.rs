//! The method `token`: a token is exchanged for another.

use std::sync::Arc;

use model::{Method, Timestamp};

use super::source::check_source;
use super::users::require_enabled;
use super::{Answer, Attempt, AuthenticationMethod, Proof, proof};
use crate::admission::validate_token::{
    ValidationError, ValidationOptions, validate_again, validate_token,
};
use crate::error::ApiError;
use crate::parts::Parts;
use crate::tokens::ValidToken;

/// By a token that is valid.
pub(super) struct ByToken;

impl AuthenticationMethod for ByToken {
    fn name(&self) -> Method {
        Method::Token
    }

    fn prove<'a>(&'a self, attempt: Attempt<'a>) -> Answer<'a, Proof> {
        Box::pin(async move {
            let text = proof(&attempt, &self.name())["id"].as_str();
            let source = find_token(attempt, text.unwrap_or_default()).await?;
            let mut proof = exchange(attempt, &source).await?;
            proof.source_methods = source.token.methods.clone();
            Ok(proof)
        })
    }

    fn confirm<'a>(
        &'a self,
        parts: &'a Parts,
        proof: &'a mut Proof,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(confirm_source(parts, proof, now))
    }

    /// It may be revoked by itself, and a receipt does not say which one it was.
    fn is_kept_by_receipts(&self) -> bool {
        false
    }
}

/// A token that is shown as a proof.
pub(super) async fn find_token(
    attempt: Attempt<'_>,
    text: &str,
) -> Result<Arc<ValidToken>, ApiError> {
    let Attempt { parts, now, .. } = attempt;
    let source = validate_token(parts, text, now, ValidationOptions::default()).await;
    let source = source.map_err(ValidationError::of_proof)?;
    check_origin(parts, &source).await?;
    Ok(source)
}

/// What a valid token proves: who its user is, who may log in still.
pub(super) async fn exchange(
    attempt: Attempt<'_>,
    source: &Arc<ValidToken>,
) -> Result<Proof, ApiError> {
    let Attempt { parts, now, .. } = attempt;
    let login = parts.store.login(&source.subject.id).await?;
    let login = login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
    require_enabled(parts, &login, now)?;
    Ok(Proof {
        source: Some(Arc::clone(source)),
        ..Proof::of(login)
    })
}

/// Sees whether the token is valid still, and what it came from stands.
pub(super) async fn confirm_source(
    parts: &Parts,
    proof: &mut Proof,
    now: Timestamp,
) -> Result<(), ApiError> {
    let Some(source) = &mut proof.source else {
        return Ok(());
    };
    *source = validate_again(parts, source, now)
        .await
        .map_err(ValidationError::of_proof)?;
    check_origin(parts, source).await
}

/// Checks that what a federated token came from still stands.
async fn check_origin(parts: &Parts, source: &ValidToken) -> Result<(), ApiError> {
    match source.token.federated_login() {
        Some(login) => check_source(parts, login).await,
        None => Ok(()),
    }
}
