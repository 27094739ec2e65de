//! The domains that a federated user can get a token for: the same list as `/v3/auth/domains`.

use crate::operation::{Operation, Routes};
use crate::v3::auth::domains::{GET_DOMAINS, list};

/// The operations on the caller's domains.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get(
    "/v3/OS-FEDERATION/domains",
    "List the domains of the caller",
)
.rules(&[GET_DOMAINS]);
