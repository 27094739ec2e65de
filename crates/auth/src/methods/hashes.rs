//! Secrets that are held against a slow hash.

use model::Secret;
use secrets::passwords::PasswordError;

use crate::error::ApiError;
use crate::parts::Parts;

/// Refuses after as much time as a hash takes, so that the time does not tell why.
pub(crate) async fn refuse_slowly<T>(
    parts: &Parts,
    secret: &Secret<String>,
    reason: &'static str,
) -> Result<T, ApiError> {
    let absent = parts.hasher.verify_absent(secret).await;
    absent.map_err(refuse_hash)?;
    Err(ApiError::unauthorized(reason))
}

/// What a hash that could not be computed means for a login.
pub fn refuse_hash(error: PasswordError) -> ApiError {
    match error {
        PasswordError::Busy => ApiError::Unavailable("too many logins wait to be hashed".into()),
        PasswordError::Aborted => ApiError::internal(error),
        PasswordError::TooLong { .. } | PasswordError::UnknownFormat => {
            ApiError::unauthorized(error.to_string())
        }
    }
}
