//! The token endpoint (RFC 6749 §3.2): application credentials, and users by their certificates,
//! obtain access tokens.

use std::collections::HashSet;

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::flows::certificate_login::certificate_login;
use auth::flows::issue_token::issue_token;
use auth::methods::login_request::LoginRequest;
use config::OAuth2ClientAuthentication;
use http::{HeaderValue, header};
use model::Method;
use model::ids::UserId;
use serde::Serialize;
use serde_json::json;
use web::listen::ClientCertificate;
use web::operation::Operation;

use crate::oauth2::client_secret::{ClientSecret, basic_credentials};
use crate::oauth2::error::OAuthError;

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
const WHY_PUBLIC: &str = "the client authenticates in the request";

static ISSUE: Operation = Operation::post(PATH, "Issue an access token for client credentials")
    .form()
    .public(WHY_PUBLIC)
    .answers(&[(200, "The access token.")]);
static GET: Operation = Operation::get(PATH, "Reject methods other than POST")
    .public(WHY_PUBLIC)
    .answers(&[(405, "The method is not allowed.")]);
static PUT: Operation = Operation::put(PATH, "Reject methods other than POST")
    .public(WHY_PUBLIC)
    .answers(&[(405, "The method is not allowed.")]);
static PATCH: Operation = Operation::patch(PATH, "Reject methods other than POST")
    .public(WHY_PUBLIC)
    .answers(&[(405, "The method is not allowed.")]);
static DELETE: Operation = Operation::delete(PATH, "Reject methods other than POST")
    .public(WHY_PUBLIC)
    .answers(&[(405, "The method is not allowed.")]);

async fn issue(call: Call) -> Result<Reply<AccessToken>, OAuthError> {
    let issued = match Client::of(&call)? {
        Client::Secret { id, secret } => {
            let secret = secret.resolve(&call.parts, &id, call.now()).await?;
            let login = LoginRequest {
                methods: vec![Method::ApplicationCredential],
                identity: json!({
                    "application_credential": {"id": id, "secret": secret.expose()},
                }),
                scope: None,
                remote_user: None,
            };
            issue_token(&call.parts, &login, None, false, call.now()).await?
        }
        Client::Certificate { id, certificate } => {
            let issued = certificate_login(&call.parts, &id, &certificate, call.now()).await;
            issued.map_err(OAuthError::of_certificate)?
        }
    };
    let token = &issued.valid.token;
    let lifetime = token.expires_at - token.issued_at;
    let document = AccessToken {
        access_token: issued.text,
        // Of this token (RFC 6749 §5.1): less than the configured lifetime where what it was
        // obtained by ends sooner. The reference tells the configured one then too.
        expires_in: u64::try_from(lifetime.num_seconds()).unwrap_or(0),
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

/// Who wants a token, and the proof.
enum Client {
    /// `client_secret_basic`: an application credential.
    Secret { id: String, secret: ClientSecret },
    /// `tls_client_auth` (RFC 8705 §2.1): a user.
    Certificate {
        id: UserId,
        certificate: ClientCertificate,
    },
}

impl Client {
    /// Reads a request of the client-credentials grant (RFC 6749 §4.4.2), in the order in which
    /// the reference looks. HTTP Basic counts more than the form (RFC 6749 §2.3.1), and a client
    /// certificate (RFC 8705 §2) more than both.
    fn of(call: &Call) -> Result<Self, OAuthError> {
        refuse_repetition(call)?;
        let field = |name| call.request.form_field(name);
        let grant_type = field("grant_type").ok_or(OAuthError::MissingParameter("grant_type"))?;
        if grant_type != "client_credentials" {
            return Err(OAuthError::UnsupportedGrantType(grant_type));
        }
        let peer = call.request.peer.as_ref();
        let certificate = peer.and_then(|peer| peer.client_certificate.clone());
        let basic = call
            .request
            .header("authorization")
            .and_then(basic_credentials);
        let (id, secret) = match basic {
            Some((id, secret)) if certificate.is_none() => (Some(id), Some(secret)),
            _ => (
                field("client_id"),
                field("client_secret").map(ClientSecret::in_form),
            ),
        };
        let id = id.filter(|id| !id.is_empty());
        let id = id.ok_or(OAuthError::NotAuthenticated("no client_id"))?;
        let allowed = &call.parts.config.oauth2.oauth2_authn_methods;
        if let Some(certificate) = certificate {
            if !allowed.contains(&OAuth2ClientAuthentication::TlsClientAuth) {
                return Err(OAuthError::NotAuthenticated(
                    "tls_client_auth is not allowed",
                ));
            }
            let id = id.into();
            return Ok(Self::Certificate { id, certificate });
        }
        let secret = secret.filter(|secret| !secret.is_empty());
        let secret = secret.ok_or(OAuthError::NotAuthenticated("no client_secret"))?;
        if !allowed.contains(&OAuth2ClientAuthentication::ClientSecretBasic) {
            return Err(OAuthError::NotAuthenticated(
                "client_secret_basic is not allowed",
            ));
        }
        Ok(Self::Secret { id, secret })
    }
}

/// No parameter may be there twice (RFC 6749 §3.2): two readers could take different ones for it.
fn refuse_repetition(call: &Call) -> Result<(), OAuthError> {
    let mut names = HashSet::new();
    for (name, _) in call.request.form() {
        if names.contains(&name) {
            return Err(OAuthError::RepeatedParameter(name));
        }
        names.insert(name);
    }
    Ok(())
}

/// A successful answer (RFC 6749 §5.1).
#[derive(Serialize)]
struct AccessToken {
    access_token: String,
    expires_in: u64,
    token_type: &'static str,
}
