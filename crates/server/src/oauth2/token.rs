//! The token endpoint (RFC 6749 §3.2): application credentials buy access tokens.

use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::json;

use crate::call::Call;
use crate::config::OAuth2ClientAuthentication;
use crate::flows::issue_token::issue_token;
use crate::flows::login_request::LoginRequest;
use crate::oauth2::error::OAuthError;
use crate::operation::{Operation, Routes};
use crate::reply::Reply;

/// The operations of the token endpoint.
pub fn routes() -> Routes {
    Routes::new()
        .on(&ISSUE, issue)
        .on(&GET, refuse)
        .on(&PUT, refuse)
        .on(&PATCH, refuse)
        .on(&DELETE, refuse)
}

const PATH: &str = "/v3/OS-OAUTH2/token";
const WHY_PUBLIC: &str = "the client proves itself in the request";

static ISSUE: Operation =
    Operation::post(PATH, "Buy an access token by the client-credentials grant")
        .public(WHY_PUBLIC)
        .form();
static GET: Operation = Operation::get(PATH, "Refused").public(WHY_PUBLIC).form();
static PUT: Operation = Operation::put(PATH, "Refused").public(WHY_PUBLIC).form();
static PATCH: Operation = Operation::patch(PATH, "Refused").public(WHY_PUBLIC).form();
static DELETE: Operation = Operation::delete(PATH, "Refused").public(WHY_PUBLIC).form();

async fn issue(call: Call) -> Result<Reply<AccessToken>, OAuthError> {
    let request = TokenRequest::parse(&call)?;
    let login = LoginRequest {
        methods: vec![model::Method::ApplicationCredential],
        identity: json!({
            "application_credential": {"id": request.client_id, "secret": request.client_secret},
        }),
        scope: None,
    };
    let issued = issue_token(&call.app, &login, None, false, call.now()).await?;
    let document = AccessToken {
        access_token: issued.text,
        // The configured lifetime, even where the credential ends sooner: as the reference does.
        expires_in: call.app.config.token.expiration.as_secs(),
        token_type: "Bearer",
    };
    Ok(call
        .public()
        .ok(document)
        .compact()
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .header(header::PRAGMA, HeaderValue::from_static("no-cache")))
}

async fn refuse(_: Call) -> Result<Reply<()>, OAuthError> {
    Err(OAuthError::MethodNotAllowed)
}

/// What a client sends (RFC 6749 §4.4.2), with its credentials from wherever they stood.
struct TokenRequest {
    client_id: String,
    client_secret: String,
}

impl TokenRequest {
    /// Reads the form and the `Authorization` header, which counts more (RFC 6749 §2.3.1).
    fn parse(call: &Call) -> Result<Self, OAuthError> {
        let content_type = call.request.header("content-type").unwrap_or_default();
        let is_form = content_type.split(';').next().is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        let body = if is_form { &call.request.body[..] } else { &[] };
        let field = |name: &str| {
            form_urlencoded::parse(body)
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let grant_type = field("grant_type")
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                OAuthError::InvalidRequest("The parameter grant_type is required.".into())
            })?;
        if grant_type != "client_credentials" {
            return Err(OAuthError::UnsupportedGrantType(grant_type));
        }
        let basic = call
            .request
            .header("authorization")
            .and_then(basic_credentials);
        let (client_id, client_secret) = match basic {
            Some((id, secret)) => (Some(id), Some(secret)),
            None => (field("client_id"), field("client_secret")),
        };
        let given = |text: Option<String>| {
            text.filter(|text| !text.is_empty())
                .ok_or_else(OAuthError::client_failed)
        };
        let allowed = &call.app.config.oauth2.oauth2_authn_methods;
        if !allowed.contains(&OAuth2ClientAuthentication::ClientSecretBasic) {
            return Err(OAuthError::client_failed());
        }
        Ok(Self {
            client_id: given(client_id)?,
            client_secret: given(client_secret)?,
        })
    }
}

/// The user and password of HTTP Basic (RFC 7617).
fn basic_credentials(header: &str) -> Option<(String, String)> {
    use base64::Engine as _;

    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// A successful answer (RFC 6749 §5.1).
#[derive(Serialize)]
struct AccessToken {
    access_token: String,
    expires_in: u64,
    token_type: &'static str,
}
