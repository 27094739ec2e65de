//! Credentials kept for users: EC2 keys, TOTP seeds, certificates.

use crate::db::Conn;
use crate::error::StoreError;

/// Credentials of the database.
pub struct Credentials<'a> {
    pub(crate) db: Conn<'a>,
}

impl Credentials<'_> {
    /// The hashes of all keys under which credentials are stored.
    pub async fn key_hashes(&mut self) -> Result<Vec<String>, StoreError> {
        let rows = self
            .db
            .query("SELECT DISTINCT key_hash FROM credential")
            .rows()
            .await?;
        rows.iter().map(|row| row.text("key_hash")).collect()
    }
}
