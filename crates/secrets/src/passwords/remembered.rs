//! Secrets that have verified lately, so that a machine client pays the slow hash once.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use chrono::TimeDelta;
use model::Timestamp;
use quick_cache::sync::Cache;

/// A bounded set of recently verified secrets.
///
/// It holds neither secrets nor hashes, only digests under a key that this process made up and
/// never shows. As the stored hash is part of the digest, changing the secret forgets the old one.
pub(super) struct Remembered {
    key: hmac::Key,
    until: Cache<Digest, Timestamp>,
    lifetime: TimeDelta,
}

/// Names one pair of secret and stored hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Remembered {
    /// An empty set of at most about `capacity` secrets, each forgotten after `lifetime`.
    pub(super) fn new(capacity: usize, lifetime: TimeDelta) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            key: key.expect("the system has a random source"),
            until: Cache::new(capacity),
            lifetime,
        }
    }

    pub(super) fn digest(&self, secret: &[u8], stored: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        context.update(&(secret.len() as u64).to_be_bytes());
        context.update(secret);
        context.update(stored.as_bytes());
        let tag = context.sign();
        Digest(tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes"))
    }

    /// Whether this pair verified less than a lifetime before `now`.
    ///
    /// Looking it up in a map is safe although not constant in time: without the key nobody can
    /// steer a digest towards another one.
    pub(super) fn contains(&self, digest: &Digest, now: Timestamp) -> bool {
        // The second half guards against a clock that was set back after the entry was made.
        self.until
            .get(digest)
            .is_some_and(|until| now < until && until - now <= self.lifetime)
    }

    /// Notes that this pair verified at `now`.
    pub(super) fn insert(&self, digest: Digest, now: Timestamp) {
        self.until.insert(digest, now + self.lifetime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_secret_is_remembered_for_its_lifetime_only() {
        let remembered = Remembered::new(8, TimeDelta::minutes(5));
        let digest = remembered.digest(b"secret", "$hash");
        assert!(!remembered.contains(&digest, noon()));
        remembered.insert(digest, noon());
        assert!(remembered.contains(&digest, noon() + TimeDelta::seconds(299)));
        assert!(!remembered.contains(&digest, noon() + TimeDelta::seconds(300)));
        assert!(!remembered.contains(&digest, noon() - TimeDelta::seconds(1)));
    }

    #[test]
    fn another_hash_or_secret_is_not_remembered() {
        let remembered = Remembered::new(8, TimeDelta::minutes(5));
        remembered.insert(remembered.digest(b"secret", "$hash"), noon());
        for (secret, stored) in [("secret", "$hash2"), ("secre", "t$hash"), ("", "$hash")] {
            let digest = remembered.digest(secret.as_bytes(), stored);
            assert!(!remembered.contains(&digest, noon()));
        }
    }

    #[test]
    fn two_processes_make_different_digests() {
        let one = Remembered::new(8, TimeDelta::minutes(5));
        let two = Remembered::new(8, TimeDelta::minutes(5));
        assert!(one.digest(b"secret", "$hash") != two.digest(b"secret", "$hash"));
    }

    #[test]
    fn the_number_of_remembered_secrets_is_bounded() {
        let remembered = Remembered::new(8, TimeDelta::minutes(5));
        for number in 0..1000_u32 {
            let digest = remembered.digest(&number.to_be_bytes(), "$hash");
            remembered.insert(digest, noon());
        }
        assert!(remembered.until.len() <= 8);
    }
}
