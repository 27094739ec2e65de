//! Declaring tokens void before they expire.

use model::revocation::RevocationEvent;
use store::{StoreError, Tx};

use crate::app::App;

/// Adds a revocation event, and forgets those that no valid token can be old enough for.
///
/// # Errors
///
/// When the database does not answer.
pub async fn revoke(app: &App, tx: &mut Tx, event: &RevocationEvent) -> Result<(), StoreError> {
    let lifetime = app.config.token.expiration + app.config.revoke.expiration_buffer;
    tx.revocations()
        .insert(event, event.revoked_at - lifetime)
        .await
}
