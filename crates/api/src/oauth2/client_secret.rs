//! The id and secret of HTTP Basic, which some clients encode and others do not.

use auth::error::ApiError;
use auth::methods::application_credential::is_usable;
use auth::methods::hashes::refuse_hash;
use auth::parts::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Secret, Timestamp};
use percent_encoding::percent_decode_str;
use secrets::passwords::PasswordError;

/// A client's secret, which has yet to be checked.
pub(super) struct ClientSecret {
    /// As it was sent.
    sent: Secret<String>,
    /// Read as form-url-encoded text (RFC 6749 §2.3.1), where that may be meant and is another.
    decoded: Option<Secret<String>>,
}

/// The client's id and secret in a header of HTTP Basic (RFC 7617); without a colon there is only an
/// id.
///
/// RFC 6749 has clients encode both; some do, and the reference knows nothing of it. Ids have no
/// character that encoding changes, so they are decoded. A secret may be meant either way.
pub(super) fn basic_credentials(header: &str) -> Option<(String, ClientSecret)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // Older clients send ISO 8859-1, which RFC 7617 §2.1 leaves open.
    let text = match String::from_utf8(STANDARD.decode(encoded.trim()).ok()?) {
        Ok(text) => text,
        Err(error) => error.as_bytes().iter().copied().map(char::from).collect(),
    };
    let (id, secret) = text.split_once(':').unwrap_or((&text, ""));
    let id = decoded(id).unwrap_or_else(|| id.to_owned());
    let secret = ClientSecret {
        decoded: decoded(secret).map(Secret::new),
        sent: Secret::new(secret.to_owned()),
    };
    Some((id, secret))
}

impl ClientSecret {
    /// The secret in a form, whose encoding is that of the form.
    pub(super) fn in_form(text: String) -> Self {
        Self {
            sent: Secret::new(text),
            decoded: None,
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.expose().is_empty()
    }

    /// The reading that the client means: the secret as it was sent, unless the other reading is
    /// the right one.
    ///
    /// Where there is one reading, as of every secret that is made here, this costs nothing. Where
    /// there are two, a login that fails computes one hash more, whether there is such a client or
    /// not; one that succeeds computes none once the right reading is remembered.
    ///
    /// # Errors
    ///
    /// When the database does not answer, or too many secrets wait to be hashed.
    pub(super) async fn resolve(
        self,
        parts: &Parts,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Secret<String>, ApiError> {
        let Some(decoded) = self.decoded else {
            return Ok(self.sent);
        };
        let id = client_id.into();
        let found = parts.store.application_credential(&id).await?;
        let usable = match &found {
            None => false,
            Some(found) => {
                let owner = parts.store.login(&found.credential.user_id).await?;
                is_usable(parts, &found.credential, owner.as_deref(), now).await?
            }
        };
        let hasher = &parts.hasher;
        let is_right = match &found {
            None => hasher.verify_absent(&decoded).await.map(|()| false),
            // What is refused even with the right secret takes the same time with any.
            Some(found) if !usable => hasher.verify_slowly(&decoded, &found.secret_hash).await,
            Some(found) if hasher.remembers(&self.sent, &found.secret_hash, now) => Ok(false),
            Some(found) => hasher.verify(&decoded, &found.secret_hash, now).await,
        };
        match is_right {
            Ok(true) => Ok(decoded),
            Ok(false) | Err(PasswordError::TooLong { .. } | PasswordError::UnknownFormat) => {
                Ok(self.sent)
            }
            Err(error) => Err(refuse_hash(error)),
        }
    }
}

/// Decodes form-url-encoded text; `None` when it is none, or means itself.
fn decoded(text: &str) -> Option<String> {
    let is_escape = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.contains(['%', '+']) || !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (decoded != text).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_told_from_what_is_not() {
        for (text, expected) in [
            ("plain-secret_1.~", None),
            ("", None),
            ("100%", None),
            ("100%2", None),
            ("50%-100%25", None),
            ("%C3", None),
            ("100%25", Some("100%")),
            ("100%2525", Some("100%25")),
            ("a+b", Some("a b")),
            ("a%20b", Some("a b")),
            ("%41", Some("A")),
            ("%2541", Some("%41")),
            ("p%2Bq%2Fr%25+s%3A%C3%A9", Some("p+q/r% s:é")),
        ] {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_id_ends_at_the_first_colon() {
        let parse = |text: &str| {
            let header = format!("bAsIc {}", STANDARD.encode(text));
            basic_credentials(&header).unwrap()
        };
        let (id, secret) = parse("%69d:a:b");
        assert_eq!((&*id, secret.sent.expose().as_str()), ("id", "a:b"));
        assert!(secret.decoded.is_none());
        assert!(parse("id").1.is_empty());
        assert!(parse("id:").1.is_empty());
        assert_eq!(parse(":secret").0, "");
        let (_, secret) = basic_credentials("Basic aWQ66Q==").unwrap();
        assert_eq!(secret.sent.expose(), "é");
        assert!(basic_credentials("Basic !").is_none());
        assert!(basic_credentials("Bearer aWQ6c2VjcmV0").is_none());
    }
}
