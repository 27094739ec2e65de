//! The method `token`: a token is exchanged for another.

use std::sync::Arc;

use model::Timestamp;

use super::source::check_source;
use crate::admission::validate_token::{ValidationError, ValidationOptions, validate_token};
use crate::error::ApiError;
use crate::parts::Parts;
use crate::tokens::ValidToken;

/// A token that is shown as a proof.
pub(crate) async fn find_token(
    parts: &Parts,
    text: &str,
    now: Timestamp,
) -> Result<Arc<ValidToken>, ApiError> {
    let source = validate_token(parts, text, now, ValidationOptions::default()).await;
    let source = source.map_err(ValidationError::of_proof)?;
    check_origin(parts, &source).await?;
    Ok(source)
}

/// Checks that what a federated token came from still stands.
pub(crate) async fn check_origin(parts: &Parts, source: &ValidToken) -> Result<(), ApiError> {
    match source.token.federated_login() {
        Some(login) => check_source(parts, login).await,
        None => Ok(()),
    }
}
