//! Ids, and bytes that nobody can guess.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

/// A source of ids and of bytes that nobody can guess.
pub trait Random: Send + Sync {
    /// Fills the whole slice.
    fn fill(&self, bytes: &mut [u8]);

    /// An id: a random UUID (RFC 9562 §5.4) as 32 hexadecimal digits.
    fn id(&self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .simple()
            .to_string()
    }
}

/// The random source of the machine.
#[derive(Debug, Default)]
pub struct SystemRandomness(SystemRandom);

impl Random for SystemRandomness {
    #[expect(
        clippy::disallowed_methods,
        reason = "everyone else has random bytes from here"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .fill(bytes)
            .expect("the operating system always has random bytes for us");
    }
}

/// Bytes that nobody can guess, for what tests need not steer: keys, salts, initialization vectors.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandomness::default().fill(&mut bytes);
    bytes
}
