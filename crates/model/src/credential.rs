//! Credentials kept for users: EC2 keys, TOTP seeds, certificates.

use crate::Extra;
use crate::ids::{CredentialId, ProjectId, UserId};

/// Something secret that is kept for a user. The store keeps it encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id; for EC2 keys the SHA-256 of the access key.
    pub id: CredentialId,
    /// Whose it is.
    pub user_id: UserId,
    /// Where it is valid.
    pub project_id: Option<ProjectId>,
    /// What it is (`ec2`, `totp`, `cert`).
    pub kind: String,
    /// The secret, encrypted.
    pub encrypted_blob: String,
    /// Which key encrypts it.
    pub key_hash: String,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

/// Which credentials to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFilter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
    /// Only those of this type.
    pub kind: Option<String>,
}
