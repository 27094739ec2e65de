//! Certificates of PKI tokens, which no release issues any more.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use web::operation::Operation;

/// The operations on certificates.
pub fn routes() -> Routes {
    Routes::new().on(&SHOW_AUTHORITY, refuse).on(&LIST, refuse)
}

static SHOW_AUTHORITY: Operation = Operation::get(
    "/v3/OS-SIMPLE-CERT/ca",
    "Show the CA certificate of PKI tokens",
)
.public("the endpoint has been removed")
.answers(&[(410, "PKI tokens are no longer supported.")]);
static LIST: Operation = Operation::get(
    "/v3/OS-SIMPLE-CERT/certificates",
    "List the signing certificates of PKI tokens",
)
.public("the endpoint has been removed")
.answers(&[(410, "PKI tokens are no longer supported.")]);

async fn refuse(_: Call) -> Result<Reply<()>, ApiError> {
    Err(ApiError::Gone(
        "This API is no longer available due to the removal of support for PKI tokens.",
    ))
}
