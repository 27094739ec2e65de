//! Bytes as lower-case hexadecimal digits, in which ids and hashes are written.

use aws_lc_rs::digest;

/// The digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digits of the SHA-256 of a text.
pub fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_small_and_come_in_pairs() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(""), empty);
    }
}
