//! Logins with a browser: from a dashboard to the identity provider.

use federation::{DriverKind, Login, SendTo};
use http::{HeaderValue, StatusCode, header};
use model::ids::{IdentityProviderId, ProtocolId};

use super::identity_providers::{Way, login_url};
use crate::call::Call;
use crate::error::ApiError;
use crate::extract::Path;
use crate::flows::federated_login::{
    Said, Source, federated_login, find_source, remote_id_attribute,
};
use crate::login_cookie::{self, BegunLogin};
use crate::operation::{Operation, Routes};
use crate::pages::{Choice, Page, PageError};
use crate::proxy_variables::variables;
use crate::reply::Reply;

/// The operations by which a browser begins.
pub fn routes() -> Routes {
    Routes::new()
        .on(&CHOOSE, choose)
        .on(&GET_ANY, any_provider)
        .on(&POST_ANY, any_provider)
        .on(&GET_ONE, one_provider)
        .on(&POST_ONE, one_provider)
}

static CHOOSE: Operation = Operation::get(
    "/v3/auth/OS-FEDERATION/websso",
    "Choose an identity provider, with a browser",
)
.public(WHY_PUBLIC);
static GET_ANY: Operation = Operation::get(ANY, "Log in with a browser").public(WHY_PUBLIC);
static POST_ANY: Operation = Operation::post(ANY, "Log in with a browser").public(WHY_PUBLIC);
static GET_ONE: Operation =
    Operation::get(ONE, "Log in with a browser and this provider").public(WHY_PUBLIC);
static POST_ONE: Operation =
    Operation::post(ONE, "Log in with a browser and this provider").public(WHY_PUBLIC);

const ANY: &str = "/v3/auth/OS-FEDERATION/websso/{protocol_id}";
const ONE: &str =
    "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso";
const WHY_PUBLIC: &str = "a login is how somebody becomes known";

async fn choose(call: Call) -> Result<Reply<()>, PageError> {
    let origin = trusted_origin(&call)?;
    let ways = Way::list(&call.app).await?;
    chooser(&call, &origin, ways)
}

/// Where only the protocol is named: the provider is the one that a proxy names, else the only one
/// that there is, else the user chooses.
async fn any_provider(
    call: Call,
    Path(protocol): Path<ProtocolId>,
) -> Result<Reply<()>, PageError> {
    if let Some(provider) = named_by_proxy(&call, &protocol).await? {
        let origin = trusted_origin(&call)?;
        let source = find_source(&call.app, &provider, &protocol).await?;
        return by_proxy(&call, &source, &origin).await;
    }
    let ways = Way::list(&call.app).await?;
    let mut ways: Vec<Way> = ways
        .into_iter()
        .filter(|way| way.protocol.id == protocol)
        .collect();
    if ways.is_empty() {
        return Err(ApiError::unauthorized("Missing entity ID from environment").into());
    }
    let origin = trusted_origin(&call)?;
    if let (Some(way), true) = (ways.pop(), ways.is_empty()) {
        let source = find_source(&call.app, &way.provider.id, &way.protocol.id).await?;
        return begin(&call, &source, &origin).await;
    }
    let ways = Way::list(&call.app).await?;
    let ways = ways.into_iter().filter(|way| way.protocol.id == protocol);
    chooser(&call, &origin, ways.collect())
}

async fn one_provider(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, PageError> {
    let origin = trusted_origin(&call)?;
    let source = find_source(&call.app, &provider, &protocol).await?;
    begin(&call, &source, &origin).await
}

/// The dashboard that waits for the token, which must be one of those that the operator trusts.
///
/// # Errors
///
/// 400 when none is named, 401 when it is not trusted.
fn trusted_origin(call: &Call) -> Result<String, ApiError> {
    let origin = call.request.query.get("origin").unwrap_or_default();
    if origin.is_empty() {
        return Err(ApiError::BadRequest(
            "Request must have an origin query parameter".into(),
        ));
    }
    // As in Keystone it may be escaped twice.
    let origin =
        form_urlencoded::parse(format!("origin={}", origin.replace('&', "%26")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
    let trusted = &call.app.config.federation.trusted_dashboard;
    if trusted.iter().any(|known| lower_host(known) == origin) {
        return Ok(origin);
    }
    Err(ApiError::unauthorized(format!(
        "{origin} is not a trusted dashboard host"
    )))
}

/// A URL with its host in lower case.
pub(super) fn lower_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    format!("{scheme}://{}{path}", host.to_ascii_lowercase())
}

/// The provider that a front proxy names in the variable that each provider's protocol says.
async fn named_by_proxy(
    call: &Call,
    protocol: &ProtocolId,
) -> Result<Option<IdentityProviderId>, ApiError> {
    let said = variables(&call.app, &call.request);
    let protocols = call.app.store.protocols().list_all().await?;
    let named = protocols
        .iter()
        .filter(|known| known.id == *protocol)
        .filter_map(|known| remote_id_attribute(&call.app, known))
        .map(|attribute| said.assertion.values(&attribute).join(";"))
        .find(|value| !value.is_empty());
    let Some(remote_id) = named else {
        return Ok(None);
    };
    let providers = call.app.store.identity_providers();
    let found = { providers }.list(&Default::default()).await?;
    let found = found
        .into_iter()
        .find(|provider| provider.remote_ids.contains(&remote_id));
    match found {
        Some(provider) => Ok(Some(provider.id)),
        None => Err(ApiError::not_found("Identity Provider", remote_id)),
    }
}

/// Sends the user to the provider, or logs them in at once where a proxy has done the work.
async fn begin(call: &Call, source: &Source, origin: &str) -> Result<Reply<()>, PageError> {
    let Some(driver) = call.app.driver(&source.protocol)? else {
        return by_proxy(call, source, origin).await;
    };
    let place = login_url(
        call.links.base_url(),
        &source.provider.id,
        &source.protocol.id,
    );
    let login = Login {
        secret: login_cookie::new_secret(&call.app),
        callback_url: callback_url(&place),
        now: call.now(),
    };
    let begun = driver.begin(&login).await?;
    let state = login.secret.derive("state");
    let sealed = call.app.login_cookies.seal(&BegunLogin {
        provider: source.provider.id.clone(),
        protocol: source.protocol.id.clone(),
        secret: login.secret,
        origin: origin.to_owned(),
        callback_url: login.callback_url.clone(),
        kept: begun.kept,
        began: call.now(),
    });
    let comes_by_post = source
        .protocol
        .driver
        .as_ref()
        .is_some_and(|driver| driver.name == DriverKind::Saml2.as_str());
    let cookie = set_cookie(
        &login_cookie::name(&state),
        &sealed,
        login_cookie::LIFETIME,
        &login.callback_url,
        comes_by_post,
    )?;
    let reply = match begun.send_to {
        SendTo::Url(url) => {
            let url = HeaderValue::try_from(url).map_err(ApiError::internal)?;
            call.public()
                .reply(StatusCode::SEE_OTHER, None)
                .header(header::LOCATION, url)
                .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        }
        SendTo::Form { action, fields } => call
            .public()
            .page(Page::forward(&call.app, &action, &fields)?),
    };
    Ok(reply.header(header::SET_COOKIE, cookie))
}

/// Where a provider sends users back to.
pub(crate) fn callback_url(login_url: &str) -> String {
    format!("{login_url}/callback")
}

/// A cookie for the callback alone. A provider that posts its answer does so across sites, where
/// browsers send only what is marked for that, and only with TLS.
pub(super) fn set_cookie(
    name: &str,
    value: &str,
    lifetime: i64,
    callback_url: &str,
    comes_by_post: bool,
) -> Result<HeaderValue, ApiError> {
    let (scheme, rest) = callback_url.split_once("://").unwrap_or(("http", ""));
    let path = rest.find('/').map_or("/", |start| &rest[start..]);
    let across = match (scheme, comes_by_post) {
        ("https", true) => "; Secure; SameSite=None",
        ("https", false) => "; Secure; SameSite=Lax",
        _ => "; SameSite=Lax",
    };
    let text = format!("{name}={value}; Path={path}; Max-Age={lifetime}; HttpOnly{across}");
    HeaderValue::try_from(text).map_err(ApiError::internal)
}

async fn by_proxy(call: &Call, source: &Source, origin: &str) -> Result<Reply<()>, PageError> {
    let said = variables(&call.app, &call.request);
    let said = Said {
        assertion: said.assertion,
        remote_user: said.remote_user,
        one_time: None,
        session: None,
    };
    let issued = federated_login(&call.app, source, &said, call.now()).await?;
    hand_over(call, origin, &issued.text)
}

/// Gives the token to the dashboard, by the operator's page when there is one.
pub(super) fn hand_over(call: &Call, origin: &str, token: &str) -> Result<Reply<()>, PageError> {
    let template = &call.app.config.federation.sso_callback_template;
    let page = match std::fs::read_to_string(template) {
        Ok(text) => Page::written_by_operator(fill(&text, origin, token)),
        Err(_) => Page::hand_over(&call.app, origin, token)?,
    };
    Ok(call.public().page(page))
}

/// Fills `$host` and `$token`, also in braces; `$$` is a dollar (Python's `string.Template`).
fn fill(template: &str, host: &str, token: &str) -> String {
    let mut out = String::with_capacity(template.len() + token.len());
    let mut rest = template;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let places = [
            ("$$", "$"),
            ("${host}", host),
            ("${token}", token),
            ("$host", host),
            ("$token", token),
        ];
        let found = places.iter().find(|(place, _)| rest.starts_with(place));
        let (place, value) = found.copied().unwrap_or(("$", "$"));
        out.push_str(value);
        rest = &rest[place.len()..];
    }
    out.push_str(rest);
    out
}

fn chooser(call: &Call, origin: &str, ways: Vec<Way>) -> Result<Reply<()>, PageError> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("origin", origin)
        .finish();
    let choices: Vec<Choice> = ways
        .into_iter()
        .map(|way| Choice {
            url: format!("{}/websso?{query}", way.url(call.links.base_url())),
            name: way.name(),
            about: way
                .provider
                .description
                .filter(|description| !description.is_empty()),
        })
        .collect();
    Ok(call.public().page(Page::choose(&call.app, &choices)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_as_python_fills_it() {
        let filled = fill("<a href=$host>${token}$$ $other", "H", "T");
        assert_eq!(filled, "<a href=H>T$ $other");
    }

    #[test]
    fn only_the_host_of_a_trusted_dashboard_is_lowered() {
        assert_eq!(
            lower_host("https://Horizon.EXAMPLE/Auth/WebSSO/"),
            "https://horizon.example/Auth/WebSSO/"
        );
        assert_eq!(lower_host("nonsense"), "nonsense");
    }

    #[test]
    fn a_cookie_goes_to_the_callback_alone() {
        let cookie = |url, posted| set_cookie("n", "v", 60, url, posted).unwrap();
        assert_eq!(
            cookie("https://a.example/v3/callback", true),
            "n=v; Path=/v3/callback; Max-Age=60; HttpOnly; Secure; SameSite=None"
        );
        assert_eq!(
            cookie("https://a.example/v3/callback", false),
            "n=v; Path=/v3/callback; Max-Age=60; HttpOnly; Secure; SameSite=Lax"
        );
        assert_eq!(
            cookie("http://a.example/v3/callback", true),
            "n=v; Path=/v3/callback; Max-Age=60; HttpOnly; SameSite=Lax"
        );
    }
}
