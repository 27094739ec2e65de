//! Receipts: proof of the methods that a user has passed while others are still required.

use crate::{Timestamp, ids::UserId, method::Method};

/// What an authentication receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who passed the methods.
    pub user_id: UserId,
    /// The methods passed so far.
    pub methods: Vec<Method>,
    /// When the receipt was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// The first moment at which the receipt is no longer valid, in whole seconds.
    pub expires_at: Timestamp,
}

impl Receipt {
    /// Whether the receipt is no longer valid at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}
