//! Logins with a browser: back from the identity provider, with a token to the dashboard.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::federated_login::federated_login;
use auth::methods::source::{Source, find_source};
use auth::parts::login_cookie::{self, BegunLogin};
use federation::Callback;
use http::header;
use model::ids::{IdentityProviderId, ProtocolId};
use web::operation::Operation;
use web::request::Request;

use super::identity_providers::login_url;
use super::websso::{
    callback_url, hand_over, is_same_url, lower_host, public_base_url, set_cookie,
};
use crate::pages::PageError;

/// The operations that a provider sends the user back to.
pub fn routes() -> Routes {
    Routes::new().on(&GET, complete).on(&POST, complete)
}

static GET: Operation = Operation::get(
    PATH,
    "Handle the authorization response of an identity provider",
)
.public("the request authenticates the caller")
.answers(&[(200, "A page that hands the token over to the dashboard.")]);
static POST: Operation = Operation::post(
    PATH,
    "Handle the authorization response of an identity provider",
)
.from_provider()
.public("the request authenticates the caller")
.answers(&[(200, "A page that hands the token over to the dashboard.")]);

const PATH: &str =
    "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/callback";

async fn complete(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, PageError> {
    let parameters = parameters(&call.request);
    let begun = begun(&call, &parameters, &provider, &protocol);
    let origin = match &begun {
        Some(login) => Some(login.origin.clone()),
        // A SAML provider may begin a login itself.
        None if has(&parameters, "SAMLResponse") => dashboard_of_unsolicited(&call, &parameters),
        None => None,
    };
    let origin = origin
        .ok_or_else(|| ApiError::unauthorized("nobody began this login, or it took too long"))?;
    let place = login_url(public_base_url(&call)?, &provider, &protocol);
    let again = format!(
        "{place}/websso?{}",
        form_urlencoded::Serializer::new(String::new())
            .append_pair("origin", &origin)
            .finish()
    );
    let source = find_source(&call.parts, &provider, &protocol).await?;
    let callback = match begun {
        Some(login) => login.callback(parameters, call.now()),
        None => login_cookie::unsolicited(parameters, callback_url(&place), call.now()),
    };
    let finished = finish(&call, &source, &callback, &origin).await;
    finished.map_err(|error| error.retry(again))
}

async fn finish(
    call: &Call,
    source: &Source,
    callback: &Callback,
    origin: &str,
) -> Result<Reply<()>, PageError> {
    let driver = call.parts.drivers.driver(&source.protocol)?;
    let driver = driver.ok_or_else(|| ApiError::unauthorized("a front proxy speaks for it now"))?;
    let verified = driver.complete(callback).await?;
    let issued = federated_login(&call.parts, source, &verified.into(), call.now()).await?;
    let reply = hand_over(call, origin, &issued.text).await?;
    let Some(secret) = &callback.secret else {
        return Ok(reply);
    };
    let name = login_cookie::name(secret, &callback.callback_url);
    let forget = set_cookie(&name, "", 0, &callback.callback_url, false)?;
    Ok(reply.header(header::SET_COOKIE, forget))
}

/// Where somebody goes whom a provider sent although nobody asked: to the dashboard that the
/// provider names, if it is a trusted one, else to the first that is trusted.
fn dashboard_of_unsolicited(call: &Call, parameters: &[(String, String)]) -> Option<String> {
    let trusted = call.parts.config.federation.trusted_dashboard.iter();
    let mut trusted: Vec<String> = trusted.map(|known| lower_host(known)).collect();
    let named = trusted.iter().position(|known| {
        parameters
            .iter()
            .any(|(name, value)| name == "RelayState" && is_same_url(value, known))
    });
    (!trusted.is_empty()).then(|| trusted.swap_remove(named.unwrap_or(0)))
}

/// The parameters of the query, then those of the posted form. A response of SAML is taken from the
/// form alone: a URL, which ends in logs and histories, may not carry it (SAML Profiles §4.1.2).
fn parameters(request: &Request) -> Vec<(String, String)> {
    let query = form_urlencoded::parse(request.query.raw().as_bytes());
    query
        .into_owned()
        .filter(|(name, _)| name != "SAMLResponse")
        .chain(request.form())
        .collect()
}

fn has(parameters: &[(String, String)], wanted: &str) -> bool {
    parameters.iter().any(|(name, _)| name == wanted)
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
        .map(|(_, value)| value);
    // SAML has one, so this answers no login of ours.
    if state.is_none() && has(parameters, "SAMLResponse") {
        return None;
    }
    let headers = call.request.headers.get_all(header::COOKIE).iter();
    let pairs = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter_map(|(name, sealed)| {
            let login = call.parts.login_cookies.open(sealed, call.now())?;
            // A name without `__Host-` may be another host's doing.
            (login.cookie_name() == name).then_some(login)
        })
        .filter(|login| state.is_none_or(|state| login.secret.derive("state") == *state))
        // One without a dashboard began without a browser.
        .find(|login| login.is_with(provider, protocol) && !login.origin.is_empty())
}
