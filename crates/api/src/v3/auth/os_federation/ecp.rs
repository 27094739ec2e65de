//! Logins of clients without a browser, which relay SOAP messages between us and their identity
//! provider (the SAML ECP profile), as keystoneauth's `v3samlpassword` does (SAML Profiles §4.2).

use std::sync::Arc;

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::federated_login::federated_login;
use auth::methods::source::{Source, find_source};
use auth::parts::login_cookie::{self, BegunLogin};
use federation::saml2::ecp;
use federation::{Driver, Login};
use http::HeaderValue;
use model::ids::{IdentityProviderId, ProtocolId};
use web::operation::Operation;

use super::identity_providers::login_url;
use super::websso::public_base_url;
use crate::v3::auth::tokens;

/// The operation that takes the answer of the provider.
pub fn routes() -> Routes {
    Routes::new().on(&CONSUME, consume)
}

static CONSUME: Operation = Operation::post(
    "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/ecp",
    "Authenticate with a SAML ECP response and issue a token",
)
.from_provider()
.public("the request authenticates the caller")
.answers(&[(201, "The token, in `X-Subject-Token`, and its details.")]);

/// Where the answer of the provider goes to.
fn consumer_url(base_url: &str, source: &Source) -> String {
    let place = login_url(base_url, &source.provider.id, &source.protocol.id);
    format!("{place}/ecp")
}

/// Whether the client supports ECP.
pub(crate) fn is_spoken(call: &Call) -> bool {
    let header = |name| call.request.header(name).unwrap_or_default();
    ecp::is_spoken(header("accept"), header("paos"))
}

/// The SOAP message that the client relays to its provider. It carries the sealed login.
pub(crate) async fn begin(
    call: &Call,
    source: &Source,
    driver: &dyn Driver,
) -> Result<Reply<()>, ApiError> {
    let login = Login {
        secret: login_cookie::new_secret(&*call.parts.random),
        callback_url: consumer_url(public_base_url(call)?, source),
        now: call.now(),
    };
    let begun = BegunLogin::new(&source.protocol, &login, "", String::new());
    let sealed = call.parts.login_cookies.seal(&begun);
    let message = driver.begin_ecp(&login, &sealed).await?;
    let kind = HeaderValue::from_static(ecp::CONTENT_TYPE);
    Ok(call.public().text(kind, message))
}

async fn consume(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, ApiError> {
    let source = find_source(&call.parts, &provider, &protocol).await?;
    let driver = call.parts.drivers.driver(&source.protocol)?;
    let driver = driver.ok_or_else(|| ApiError::unauthorized("a front proxy speaks for it"))?;
    let (parts, now) = (Arc::clone(&call.parts), call.now());
    let url = consumer_url(public_base_url(&call)?, &source);
    let find_login = move |sealed: Option<&str>| {
        let begun = sealed
            .and_then(|sealed| parts.login_cookies.open(sealed, now))
            // One with a dashboard began with a browser.
            .filter(|begun| begun.is_with(&provider, &protocol) && begun.origin.is_empty());
        match begun {
            Some(begun) => begun.callback(Vec::new(), now),
            // A provider may begin a login where the driver allows it, as a Keystone of another
            // cloud does. The client is given its token and no browser is, so nothing can be forced
            // upon anybody by this.
            None => login_cookie::unsolicited(Vec::new(), url.clone(), now),
        }
    };
    // The driver reads the body, if it supports ECP at all: anybody may have written it.
    let message = call.request.body.clone();
    let verified = driver
        .complete_ecp(message, now, Arc::new(find_login))
        .await?;
    let issued = federated_login(&call.parts, &source, &verified.into(), call.now()).await?;
    tokens::created(&call, &issued).await
}
