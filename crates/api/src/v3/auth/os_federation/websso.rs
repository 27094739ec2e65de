//! Logins with a browser: from a dashboard to the identity provider.

use std::collections::HashMap;
use std::net::SocketAddr;

use auth::admission::proxy_variables::variables;
use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::federated_login::{federated_login, remote_id_attribute};
use auth::methods::source::{Source, find_source};
use auth::parts::login_cookie::{self, BegunLogin};
use federation::{Login, Redirect};
use http::{HeaderValue, StatusCode, header};
use model::ids::{IdentityProviderId, ProtocolId};
use web::operation::Operation;

use super::identity_providers::{Way, login_url};
use crate::pages::{self, Choice, PageError};

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
    "Choose an identity provider for the login to a dashboard",
)
.form()
.public(WHY_PUBLIC)
.answers(&[(200, "A page that lists the identity providers.")]);
static GET_ANY: Operation = Operation::get(ANY, "Log in to a dashboard with a federation protocol").public(WHY_PUBLIC).answers(&[(200, "A page that lists the identity providers, forwards to one, or hands the token over to the dashboard."), (303, "A redirect to the identity provider.")]);
static POST_ANY: Operation = Operation::post(ANY, "Log in to a dashboard with a federation protocol")
    .form()
    .public(WHY_PUBLIC).answers(&[(200, "A page that lists the identity providers, forwards to one, or hands the token over to the dashboard."), (303, "A redirect to the identity provider.")]);
static GET_ONE: Operation =
    Operation::get(ONE, "Log in to a dashboard with an identity provider").public(WHY_PUBLIC).answers(&[(200, "A page that forwards to the identity provider, or hands the token over to the dashboard."), (303, "A redirect to the identity provider.")]);
static POST_ONE: Operation = Operation::post(
    ONE,
    "Log in to a dashboard with an identity provider",
)
.from_provider()
.public(WHY_PUBLIC)
.answers(&[
    (
        200,
        "A page that forwards to the identity provider, or hands the token over to the dashboard.",
    ),
    (303, "A redirect to the identity provider."),
]);

const ANY: &str = "/v3/auth/OS-FEDERATION/websso/{protocol_id}";
const ONE: &str =
    "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso";
const WHY_PUBLIC: &str = "the request authenticates the caller";

async fn choose(call: Call) -> Result<Reply<()>, PageError> {
    let origin = trusted_origin(&call)?;
    let ways = Way::list(&call.parts).await?;
    chooser(&call, &origin, ways)
}

/// Where only the protocol is named: the provider is the one that a proxy names, else the only one
/// that there is, else the user chooses.
async fn any_provider(
    call: Call,
    Path(protocol): Path<ProtocolId>,
) -> Result<Reply<()>, PageError> {
    if let Some(remote_id) = named_by_proxy(&call, &protocol).await? {
        let origin = trusted_origin(&call)?;
        let mut providers = call.parts.store.identity_providers();
        let provider = providers.find_id_by_remote_id(&remote_id).await?;
        let provider =
            provider.ok_or_else(|| ApiError::not_found("Identity Provider", remote_id))?;
        let source = find_source(&call.parts, &provider, &protocol).await?;
        return begin(&call, &source, &origin).await;
    }
    let mut ways = Way::list(&call.parts).await?;
    ways.retain(|way| way.protocol.id == protocol);
    match ways.as_slice() {
        [] => Err(ApiError::unauthorized("Missing entity ID from environment").into()),
        [way] => {
            let origin = trusted_origin(&call)?;
            let source = find_source(&call.parts, &way.provider.id, &way.protocol.id).await?;
            begin(&call, &source, &origin).await
        }
        _ => {
            let origin = trusted_origin(&call)?;
            chooser(&call, &origin, ways)
        }
    }
}

async fn one_provider(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, PageError> {
    let origin = trusted_origin(&call)?;
    let source = find_source(&call.parts, &provider, &protocol).await?;
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
    let trusted = &call.parts.config.federation.trusted_dashboard;
    if trusted.iter().any(|known| is_same_url(known, &origin)) {
        return Ok(origin);
    }
    Err(ApiError::unauthorized(format!(
        "{origin} is not a trusted dashboard host"
    )))
}

/// Whether two URLs are one: scheme and host know no case, and everything else is compared letter by
/// letter (RFC 3986 §6.2.2.1).
pub(super) fn is_same_url(one: &str, other: &str) -> bool {
    lower_host(one) == lower_host(other)
}

/// A URL with its scheme and host in lower case.
pub(super) fn lower_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = authority.split_at(authority.rfind('@').unwrap_or(0));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    format!("{scheme}://{user}{host}{path}")
}

/// The name of the provider that a front proxy gives in the variable that each provider's protocol
/// says.
async fn named_by_proxy(call: &Call, protocol: &ProtocolId) -> Result<Option<String>, ApiError> {
    let said = variables(&call.parts.config, &call.request);
    if said.assertion.attributes().next().is_none() {
        return Ok(None);
    }
    let protocols = call.parts.store.protocols().list_all().await?;
    // What a proxy passes counts only where nobody else is asked.
    Ok(protocols
        .iter()
        .filter(|known| known.id == *protocol && known.own_driver().is_none())
        .filter_map(|known| remote_id_attribute(&call.parts, known))
        .map(|attribute| said.assertion.values(&attribute).join(";"))
        .find(|value| !value.is_empty()))
}

/// Sends the user to the provider, or logs them in at once where a proxy has done the work.
async fn begin(call: &Call, source: &Source, origin: &str) -> Result<Reply<()>, PageError> {
    let Some(driver) = call.parts.drivers.driver(&source.protocol)? else {
        return by_proxy(call, source, origin).await;
    };
    let place = login_url(
        public_base_url(call)?,
        &source.provider.id,
        &source.protocol.id,
    );
    let login = Login {
        secret: login_cookie::new_secret(&*call.parts.random),
        callback_url: callback_url(&place),
        now: call.now(),
    };
    let begun = driver.begin(&login).await?;
    let kept = BegunLogin::new(&source.protocol, &login, origin, begun.kept);
    let sealed = call.parts.login_cookies.seal(&kept);
    let cookie = set_cookie(
        &kept.cookie_name(),
        &sealed,
        login_cookie::LIFETIME,
        &login.callback_url,
        driver.answers_by_post(),
    )?;
    let reply = match begun.redirect {
        Redirect::Url(url) => {
            let url = HeaderValue::try_from(url).map_err(ApiError::internal)?;
            call.public()
                .reply(StatusCode::SEE_OTHER, None)
                .header(header::LOCATION, url)
                .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        }
        Redirect::Form { action, fields } => {
            call.public()
                .page(pages::forward(&call.parts, &action, &fields)?)
        }
    };
    Ok(reply.header(header::SET_COOKIE, cookie))
}

/// Where the world finds this server, so that it can be told to a provider. What a client writes as
/// `Host` must not decide where a provider sends people: unless `[DEFAULT] public_endpoint` says
/// it, it can only be the very address to which the client is connected.
///
/// # Errors
///
/// 500 with the name of the option in the log.
pub(crate) fn public_base_url(call: &Call) -> Result<&str, ApiError> {
    let base_url = call.links.base_url();
    if call.parts.config.default.public_endpoint.is_some() {
        return Ok(base_url);
    }
    let peer = call.request.peer.as_ref();
    if peer.is_some_and(|peer| leads_to(base_url, peer.local_address)) {
        return Ok(base_url);
    }
    Err(ApiError::internal(format!(
        "[DEFAULT] public_endpoint is not set, and a provider cannot be told of {base_url}, which \
         is only what the client calls this server"
    )))
}

/// Whether a URL leads to this very address: to another port on this machine somebody else may
/// listen.
fn leads_to(url: &str, connected: SocketAddr) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else {
        return false;
    };
    let host = url.host().unwrap_or_default();
    let usual = if url.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    let here =
        address == Ok(connected.ip()) || (host == "localhost" && connected.ip().is_loopback());
    here && url.port_u16().unwrap_or(usual) == connected.port()
}

/// Where a provider sends users back to.
pub(crate) fn callback_url(login_url: &str) -> String {
    format!("{login_url}/callback")
}

/// A cookie for the callback, which is the whole host where its name binds it to that. A provider
/// that posts its answer does so across sites, where browsers send only what is marked for that, and
/// only with TLS.
pub(super) fn set_cookie(
    name: &str,
    value: &str,
    lifetime: i64,
    callback_url: &str,
    comes_by_post: bool,
) -> Result<HeaderValue, ApiError> {
    let (path, across) = match (login_cookie::is_secure(callback_url), comes_by_post) {
        (true, true) => ("/", "; Secure; SameSite=None"),
        (true, false) => ("/", "; Secure; SameSite=Lax"),
        (false, _) => (path_of(callback_url), "; SameSite=Lax"),
    };
    let text = format!("{name}={value}; Path={path}; Max-Age={lifetime}; HttpOnly{across}");
    HeaderValue::try_from(text).map_err(ApiError::internal)
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}

async fn by_proxy(call: &Call, source: &Source, origin: &str) -> Result<Reply<()>, PageError> {
    let said = variables(&call.parts.config, &call.request);
    let issued = federated_login(&call.parts, source, &said.into(), call.now()).await?;
    hand_over(call, origin, &issued.text).await
}

/// Gives the token to the dashboard, by the operator's page when there is one.
pub(super) async fn hand_over(
    call: &Call,
    origin: &str,
    token: &str,
) -> Result<Reply<()>, PageError> {
    let template = call.parts.config.federation.sso_callback_template.clone();
    let read = move || std::fs::read_to_string(template);
    let page = match call.parts.files.run(read).await {
        Ok(text) => pages::written_by_operator(fill(&text, origin, token)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            pages::hand_over(&call.parts, origin, token)?
        }
        Err(error) => {
            let place = format!("[federation] sso_callback_template: {error}");
            return Err(ApiError::internal(place).into());
        }
    };
    Ok(call.public().page(page))
}

/// Fills `$host` and `$token`, also in braces; `$$` is a dollar. Other words that begin so stay as they
/// are.
fn fill(template: &str, host: &str, token: &str) -> String {
    let mut out = String::with_capacity(template.len() + token.len());
    let mut rest = template;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let word = rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let word = &rest[1..word.map_or(rest.len(), |end| end + 1)];
        let (length, value) = match word {
            "host" => (5, host),
            "token" => (6, token),
            _ if rest.starts_with("${host}") => (7, host),
            _ if rest.starts_with("${token}") => (8, token),
            _ if rest.starts_with("$$") => (2, "$"),
            _ => (1, "$"),
        };
        out.push_str(value);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn chooser(call: &Call, origin: &str, ways: Vec<Way>) -> Result<Reply<()>, PageError> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("origin", origin)
        .finish();
    let mut names: HashMap<String, usize> = HashMap::new();
    for way in &ways {
        *names.entry(way.name()).or_default() += 1;
    }
    let choices: Vec<Choice> = ways
        .into_iter()
        .map(|way| Choice {
            url: format!("{}/websso?{query}", way.url(call.links.base_url())),
            name: match way.name() {
                name if names.get(&name) == Some(&1) => name,
                name => format!("{name} ({})", way.protocol.id),
            },
            about: way
                .provider
                .description
                .filter(|description| !description.is_empty()),
        })
        .collect();
    Ok(call.public().page(pages::choose(&call.parts, &choices)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_template_are_filled() {
        let filled = fill("<a href=$host>${token}$$ $other $hostname $token", "H", "T");
        assert_eq!(filled, "<a href=H>T$ $other $hostname T");
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
    fn a_dashboard_is_the_same_whatever_the_case_of_its_scheme_and_host() {
        let written = "https://Horizon.Example:8443/Auth/?Next=/A";
        for (named, same) in [
            ("https://Horizon.Example:8443/Auth/?Next=/A", true),
            ("HTTPS://horizon.example:8443/Auth/?Next=/A", true),
            ("https://horizon.example:8443/auth/?Next=/A", false),
            ("https://horizon.example:8443/Auth/?next=/A", false),
            ("https://horizon.example/Auth/?Next=/A", false),
            ("http://horizon.example:8443/Auth/?Next=/A", false),
            ("https://horizon.example:8443/Auth?Next=/A", false),
            (
                "https://horizon.example:8443.evil.example/Auth/?Next=/A",
                false,
            ),
        ] {
            assert_eq!(is_same_url(written, named), same, "{named}");
        }
        assert!(is_same_url("https://A.example", "https://a.example"));
        assert!(is_same_url("https://A.example?B", "https://a.example?B"));
        assert!(!is_same_url("https://a.example?B", "https://a.example?b"));
        assert!(!is_same_url(
            "https://User@a.example/",
            "https://user@a.example/"
        ));
    }

    #[test]
    fn only_the_address_to_which_a_client_is_connected_is_told_to_providers() {
        let leads = |url: &str, connected: &str| leads_to(url, connected.parse().unwrap());
        for (url, connected, good) in [
            ("http://127.0.0.1:5000", "127.0.0.1:5000", true),
            ("http://localhost:5000", "127.0.0.1:5000", true),
            ("http://localhost:5000", "[::1]:5000", true),
            ("https://[::1]:5000", "[::1]:5000", true),
            ("https://10.0.0.1", "10.0.0.1:443", true),
            ("http://10.0.0.1", "10.0.0.1:80", true),
            // Another port of this machine may be somebody else's.
            ("http://127.0.0.1:6000", "127.0.0.1:5000", false),
            ("http://localhost:6000", "127.0.0.1:5000", false),
            ("http://127.0.0.1", "127.0.0.1:5000", false),
            ("https://10.0.0.1", "10.0.0.1:80", false),
            ("http://10.0.0.2:5000", "10.0.0.1:5000", false),
            ("http://localhost:5000", "10.0.0.1:5000", false),
            ("http://evil.example:5000", "127.0.0.1:5000", false),
        ] {
            assert_eq!(leads(url, connected), good, "{url} at {connected}");
        }
    }

    #[test]
    fn a_cookie_goes_to_the_callback() {
        let cookie = |url, posted| set_cookie("n", "v", 60, url, posted).unwrap();
        assert_eq!(
            cookie("https://a.example/v3/callback", true),
            "n=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None"
        );
        assert_eq!(
            cookie("https://a.example/v3/callback", false),
            "n=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"
        );
        assert_eq!(
            cookie("http://a.example/v3/callback", true),
            "n=v; Path=/v3/callback; Max-Age=60; HttpOnly; SameSite=Lax"
        );
    }
}
