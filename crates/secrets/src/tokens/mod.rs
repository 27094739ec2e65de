//! Token formats: how what a token says becomes the text that clients hold.

pub mod payload;
pub mod receipt;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;

use model::{Token, ids::DomainId};

use self::payload::{MethodBits, PayloadCodec};
use crate::fernet::DecryptError;
use crate::key_repository::KeyRing;
use crate::random;

/// A format that carries tokens as text.
pub trait TokenFormat: Send + Sync {
    /// Makes the text of a token.
    fn issue(&self, token: &Token) -> Result<String, IssueError>;

    /// Reads a genuine text. It may have expired or been revoked, and what it speaks of may be gone.
    fn read(&self, text: &str) -> Result<Token, TokenError>;

    /// Which keys [`Self::read`] reads with: another number once they have changed, and with them what can
    /// be read.
    fn keys_version(&self) -> u64;

    /// Waits, for a bounded time, for keys that may have come since they were last looked for: what is
    /// [`TokenError::UnknownKey`] may then be read.
    fn next_keys(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Why a text is no token, in Keystone's words. To the client both are a 404.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no text.
    #[error("No token in the request")]
    Absent,
    /// The text is damaged.
    #[error("Could not recognize Fernet token")]
    Unrecognized,
    /// No key of ours made the text.
    #[error("Could not recognize Fernet token")]
    UnknownKey,
    /// The text is genuine, and of a release that knows more than we do.
    #[error("This is not a recognized Fernet payload version: {0}")]
    UnknownVersion(i64),
}

/// Why a format has no text for a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// Trusts, and domains other than the default one, must be named by a UUID.
    #[error("a Fernet token has no room for the id {0}, which is no UUID")]
    NotAUuid(String),
}

/// The format of `[token] provider = fernet`: an encrypted payload, unreadable to all who lack the keys.
pub struct FernetTokens {
    keys: Arc<KeyRing>,
    payloads: PayloadCodec,
    max_size: usize,
}

impl FernetTokens {
    /// Tokens under the given keys, `[auth] methods` and `[identity] default_domain_id`.
    ///
    /// A token longer than `[DEFAULT] max_token_size` characters is issued, and noted in the log.
    pub fn new(
        keys: Arc<KeyRing>,
        methods: MethodBits,
        default_domain_id: DomainId,
        max_size: usize,
    ) -> Self {
        Self {
            keys,
            payloads: PayloadCodec::new(methods, default_domain_id),
            max_size,
        }
    }

    fn issue_with(&self, token: &Token, iv: [u8; 16]) -> Result<String, IssueError> {
        let payload = self.payloads.write(token)?;
        let mut text = self.keys.current().encrypt(&payload, token.issued_at, iv);
        strip_padding(&mut text);
        if text.len() > self.max_size {
            tracing::info!(
                token.size = text.len(),
                token.max_size = self.max_size,
                "issued a token longer than max_token_size"
            );
        }
        Ok(text)
    }
}

impl TokenFormat for FernetTokens {
    fn issue(&self, token: &Token) -> Result<String, IssueError> {
        self.issue_with(token, random::bytes())
    }

    fn read(&self, text: &str) -> Result<Token, TokenError> {
        if text.is_empty() {
            return Err(TokenError::Absent);
        }
        let message = self.keys.decrypt(text).map_err(|error| match error {
            DecryptError::Malformed => TokenError::Unrecognized,
            DecryptError::NoKeyFits => TokenError::UnknownKey,
        })?;
        self.payloads.read(&message.content, message.created_at)
    }

    fn keys_version(&self) -> u64 {
        self.keys.version()
    }

    fn next_keys(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.keys.next_look())
    }
}

/// Clients put tokens into headers and paths, where `=` had to be escaped.
fn strip_padding(text: &mut String) {
    text.truncate(text.trim_end_matches('=').len());
}
