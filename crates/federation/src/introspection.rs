//! What providers say of a token when they are asked of it (RFC 7662).

use serde_json::Value;

/// Whether the token that an answer speaks of is an access token for whoever bears it, as far as
/// the answer says: not one to refresh others, nor one that wants the proof of a key besides.
/// `member` finds a member of the answer.
pub(crate) fn is_bearers<'a>(member: impl Fn(&str) -> Option<&'a Value>) -> bool {
    let known = [
        // RFC 7662 §2.2; some write the name of the kind instead.
        ("token_type", ["bearer", "access_token"]),
        // Of no RFC, but others say it.
        ("token_use", ["access", "access_token"]),
    ];
    known.into_iter().all(|(name, good)| {
        member(name).is_none_or(|found| {
            let found = found.as_str().unwrap_or_default();
            good.iter().any(|good| good.eq_ignore_ascii_case(found))
        })
    })
}
