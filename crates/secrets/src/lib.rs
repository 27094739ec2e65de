//! What is secret, and what is made with it: keys, tokens, receipts, encrypted credentials, hashes.
//!
//! Slow work has threads apart from those that answer requests: hashes ([`passwords`]), files that are
//! looked at again and again ([`watch`]), and all else that waits for a disk ([`blocking_pool`]).

pub mod blocking_pool;
pub mod credential_encryption;
pub mod fernet;
pub mod hex;
pub mod key_repository;
pub mod passwords;
pub mod random;
pub mod tokens;
pub mod watch;
