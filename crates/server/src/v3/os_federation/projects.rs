//! The projects that a federated user can get a token for: the same list as `/v3/auth/projects`.

use crate::operation::{Operation, Routes};
use crate::v3::auth::projects::{GET_PROJECTS, list};

/// The operations on the caller's projects.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get(
    "/v3/OS-FEDERATION/projects",
    "List the projects of the caller",
)
.rules(&[GET_PROJECTS]);
