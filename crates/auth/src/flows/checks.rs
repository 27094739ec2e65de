//! Checks that handlers and flows share.

use config::UrlSafe;
use model::project::{ResourceOptions, reserved_characters};

use crate::error::ApiError;

/// Refuses to touch what is marked as immutable.
///
/// # Errors
///
/// 403, saying how to lift the mark.
pub fn refuse_immutable(
    act: &str,
    kind: &str,
    id: &str,
    options: ResourceOptions,
) -> Result<(), ApiError> {
    if options.immutable == Some(true) {
        return Err(ApiError::Forbidden(format!(
            "Unable to {act} immutable {kind} resource: `{id}. Set resource option \"immutable\" \
             to false first."
        )));
    }
    Ok(())
}

/// 400: nothing new may stand below what is disabled.
pub fn in_disabled_branch(disabled: &str) -> ApiError {
    ApiError::BadRequest(format!(
        "cannot create a project in a branch containing a disabled project: {disabled}"
    ))
}

/// Refuses, when the operator wants it, a name with characters that a URL gives a meaning.
pub fn refuse_reserved_characters(rule: UrlSafe, kind: &str, name: &str) -> Result<(), ApiError> {
    let reserved = reserved_characters(name);
    if rule == UrlSafe::Off || reserved.is_empty() {
        return Ok(());
    }
    Err(ApiError::BadRequest(format!(
        "{kind} name cannot contain the following reserved characters: {reserved}"
    )))
}
