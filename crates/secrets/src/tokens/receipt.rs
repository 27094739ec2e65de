//! Authentication receipts as text (`Openstack-Auth-Receipt`): Fernet messages like tokens, with a payload of their own.

use std::sync::Arc;

use model::Receipt;

use super::{
    payload::{Malformed, MethodBits, Reader, Writer},
    strip_padding,
};
use crate::key_repository::KeyRing;
use crate::{fernet, random};

/// Reads and writes receipts.
pub struct FernetReceipts {
    keys: Arc<KeyRing>,
    methods: MethodBits,
}

/// A text is no receipt of ours, in Keystone's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Could not find auth receipt: {0}.")]
pub struct ReceiptNotFound(pub String);

impl FernetReceipts {
    /// Receipts under the keys of `[fernet_receipts] key_repository` and the given `[auth] methods`.
    pub fn new(keys: Arc<KeyRing>, methods: MethodBits) -> Self {
        Self { keys, methods }
    }

    /// Makes the text of a receipt.
    pub fn issue(&self, receipt: &Receipt) -> String {
        self.issue_with(receipt, random::bytes())
    }

    /// Reads a genuine text. The receipt may have expired.
    pub fn read(&self, text: &str) -> Result<Receipt, ReceiptNotFound> {
        let message = self.keys.decrypt(text).ok();
        message
            .and_then(|message| self.read_payload(message).ok())
            .ok_or_else(|| ReceiptNotFound(text.to_owned()))
    }

    pub(super) fn issue_with(&self, receipt: &Receipt, iv: [u8; 16]) -> String {
        let mut w = Writer::default();
        w.array(3);
        w.id(receipt.user_id.as_str());
        w.uint(self.methods.encode(&receipt.methods));
        w.time(receipt.expires_at);
        let mut text = self
            .keys
            .current()
            .encrypt(&w.into_bytes(), receipt.issued_at, iv);
        strip_padding(&mut text);
        text
    }

    fn read_payload(&self, message: fernet::Message) -> Result<Receipt, Malformed> {
        let mut r = Reader::new(&message.content);
        if r.array()? != 3 {
            return Err(Malformed);
        }
        let receipt = Receipt {
            user_id: r.id()?.into(),
            methods: self.methods.decode(r.uint()?)?,
            issued_at: message.created_at,
            expires_at: r.time()?,
        };
        r.finish()?;
        Ok(receipt)
    }
}
