//! Logins with a browser: back from the identity provider, with a token to the dashboard.

use federation::Callback;
use http::header;
use model::ids::{IdentityProviderId, ProtocolId};

use super::identity_providers::login_url;
use super::websso::{hand_over, set_cookie};
use crate::call::{Call, Incoming};
use crate::error::ApiError;
use crate::extract::Path;
use crate::flows::federated_login::{federated_login_once, find_source};
use crate::login_cookie::{self, BegunLogin};
use crate::operation::{Operation, Routes};
use crate::pages::PageError;
use crate::reply::Reply;

/// The operations that a provider sends the user back to.
pub fn routes() -> Routes {
    Routes::new().on(&GET, complete).on(&POST, complete)
}

static GET: Operation = Operation::get(PATH, "Come back from an identity provider")
    .public("a login is how somebody becomes known");
static POST: Operation = Operation::post(PATH, "Come back from an identity provider")
    .public("a login is how somebody becomes known");

const PATH: &str =
    "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/callback";

async fn complete(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, PageError> {
    let parameters = parameters(&call.request);
    let begun = begun(&call, &parameters, &provider, &protocol)
        .ok_or_else(|| ApiError::unauthorized("nobody began this login, or it took too long"))?;
    let again = format!(
        "{}/websso?{}",
        login_url(call.links.base_url(), &provider, &protocol),
        form_urlencoded::Serializer::new(String::new())
            .append_pair("origin", &begun.origin)
            .finish()
    );
    let finished = finish(&call, begun, parameters, &provider, &protocol).await;
    finished.map_err(|error| error.retry(again))
}

async fn finish(
    call: &Call,
    begun: BegunLogin,
    parameters: Vec<(String, String)>,
    provider: &IdentityProviderId,
    protocol: &ProtocolId,
) -> Result<Reply<()>, PageError> {
    let source = find_source(&call.app, provider, protocol).await?;
    let driver = call.app.driver(&source.protocol)?;
    let driver = driver.ok_or_else(|| ApiError::unauthorized("a front proxy speaks for it now"))?;
    let state = begun.secret.derive("state");
    let callback = Callback {
        parameters,
        secret: Some(begun.secret),
        kept: begun.kept,
        began: begun.began,
        callback_url: begun.callback_url.clone(),
        now: call.now(),
    };
    let verified = driver.complete(&callback).await?;
    let issued = federated_login_once(&call.app, &source, &verified.into(), call.now()).await?;
    let forget = set_cookie(
        &login_cookie::name(&state),
        "",
        0,
        &begun.callback_url,
        false,
    )?;
    let reply = hand_over(call, &begun.origin, &issued.text)?;
    Ok(reply.header(header::SET_COOKIE, forget))
}

/// The parameters of the query, then those of the posted form.
fn parameters(request: &Incoming) -> Vec<(String, String)> {
    let query = form_urlencoded::parse(request.query.raw().as_bytes());
    let form: &[u8] = if is_form(request) { &request.body } else { &[] };
    let form = form_urlencoded::parse(form);
    query.into_owned().chain(form.into_owned()).collect()
}

/// Whether the body is a form.
pub(super) fn is_form(request: &Incoming) -> bool {
    let content_type = request.header(header::CONTENT_TYPE.as_str());
    let kind = content_type.unwrap_or_default().split(';').next();
    kind.unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The login that this browser began with this provider, by the state that came back; a protocol
/// that has none means the one that there is.
fn begun(
    call: &Call,
    parameters: &[(String, String)],
    provider: &IdentityProviderId,
    protocol: &ProtocolId,
) -> Option<BegunLogin> {
    let state = parameters
        .iter()
        .find(|(name, _)| name == "state" || name == "RelayState")
        .map(|(_, value)| login_cookie::name(value));
    let headers = call.request.headers.get_all(header::COOKIE).iter();
    let pairs = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(name, _)| name.starts_with("archstone-login-"))
        .filter(|(name, _)| state.as_deref().is_none_or(|wanted| wanted == *name))
        .filter_map(|(_, sealed)| call.app.login_cookies.open(sealed, call.now()))
        .find(|login| login.provider == *provider && login.protocol == *protocol)
}
