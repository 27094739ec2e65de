//! What is wrong with a request.

/// What ends many of Keystone's complaints about a request.
const MALFORMED: &str = "The server could not comply with the request since it is either \
                         malformed or otherwise incorrect. The client is assumed to be in error.";

/// 400: what is wrong with a request, independent of its caller and meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

impl BadRequest {
    /// Something is missing from where it should be.
    pub fn expecting(attribute: &str, target: &str) -> Self {
        Self(format!(
            "Expecting to find {attribute} in {target}. {MALFORMED}"
        ))
    }

    /// With Keystone's common ending.
    pub fn malformed(complaint: &str) -> Self {
        Self(format!("{complaint} {MALFORMED}"))
    }
}
