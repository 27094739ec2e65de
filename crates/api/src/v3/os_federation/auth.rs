//! Federated logins without a browser: a token for what a front proxy says, or for a token of the
//! identity provider.

use auth::admission::proxy_variables::variables;
use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::federated_login::{FederatedAuthentication, federated_login};
use auth::methods::source::{Source, find_source};
use http::header;
use model::Secret;
use model::ids::{IdentityProviderId, ProtocolId};
use web::operation::Operation;

use crate::v3::auth::os_federation::ecp;
use crate::v3::auth::tokens;

/// The operations that log in.
pub fn routes() -> Routes {
    Routes::new().on(&SHOW, log_in).on(&CREATE, log_in)
}

static SHOW: Operation = Operation::get(
    PATH,
    "Authenticate with an identity provider and issue a token",
)
.public("the request authenticates the caller")
.answers(&[
    (
        200,
        "A SAML authentication request, for clients that support ECP.",
    ),
    (201, "The token, in `X-Subject-Token`, and its details."),
]);
static CREATE: Operation = Operation::post(
    PATH,
    "Authenticate with an identity provider and issue a token",
)
.public("the request authenticates the caller")
.answers(&[
    (
        200,
        "A SAML authentication request, for clients that support ECP.",
    ),
    (201, "The token, in `X-Subject-Token`, and its details."),
]);

const PATH: &str = "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth";

async fn log_in(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, ApiError> {
    let source = find_source(&call.parts, &provider, &protocol).await?;
    if let Some(driver) = call.parts.drivers.driver(&source.protocol)?
        && ecp::is_spoken(&call)
    {
        return ecp::begin(&call, &source, driver.as_ref()).await;
    }
    let said = listen(&call, &source).await?;
    let issued = federated_login(&call.parts, &source, &said, call.now()).await?;
    tokens::created(&call, &issued).await
}

/// What somebody vouches for, who is not a browser.
async fn listen(call: &Call, source: &Source) -> Result<FederatedAuthentication, ApiError> {
    let Some(driver) = call.parts.drivers.driver(&source.protocol)? else {
        return Ok(variables(&call.parts.config, &call.request).into());
    };
    let token = bearer(call).ok_or_else(|| ApiError::unauthorized("no token of the provider"))?;
    let verified = driver.bearer(&token, call.now()).await?;
    Ok(verified.into())
}

/// The token in `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer(call: &Call) -> Option<Secret<String>> {
    let value = call.request.header(header::AUTHORIZATION.as_str())?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
        .then(|| Secret::new(token.to_owned()))
}
