//! What providers say of a token when they are asked of it (RFC 7662).

use serde_json::Value;

/// Whether the token that an answer speaks of is an access token for its bearer, as far as
/// the answer says: not one to refresh others, nor one that wants the proof of a key besides.
/// `member` finds a member of the answer.
pub(crate) fn is_bearers<'a>(member: impl Fn(&str) -> Option<&'a Value>) -> bool {
    is_one_of(&[BEARERS], member)
}

/// Whether a signed token is one of those by which a user is known: an access token or an ID token,
/// as far as it says.
pub(crate) fn is_access_or_id_token<'a>(member: impl Fn(&str) -> Option<&'a Value>) -> bool {
    is_one_of(&[BEARERS, ID_TOKENS], member)
}

/// Where a token tells its kind: the first is of RFC 7662 §2.2, the others of no RFC, but providers
/// say them.
const MEMBERS: [&str; 3] = ["token_type", "token_use", "typ"];

/// What it tells there: some write the name of the kind, and some what a header says.
const BEARERS: &[&str] = &[
    "bearer",
    "access",
    "access_token",
    "at+jwt",
    "application/at+jwt",
    "jwt",
];
const ID_TOKENS: &[&str] = &["id", "id_token"];

fn is_one_of<'a>(kinds: &[&[&str]], member: impl Fn(&str) -> Option<&'a Value>) -> bool {
    MEMBERS.into_iter().all(|name| {
        let told = member(name).filter(|told| !told.is_null());
        told.is_none_or(|told| {
            let told = told.as_str().unwrap_or_default();
            let mut known = kinds.iter().copied().flatten();
            known.any(|kind| kind.eq_ignore_ascii_case(told))
        })
    })
}
