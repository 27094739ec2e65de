//! What is asked of a provider after a login: a token for the code, and who the token speaks of.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use model::{Secret, Timestamp};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;

use super::client::{Authentication, Client};
use crate::Outbound;
use crate::client::document::Document;
use crate::client::introspection::is_bearers;
use crate::driver::Failure;
use crate::outbound::{Reply, place};

const JSON: &str = "application/json";

/// A posted form, from us as client (RFC 6749 §2.3.1).
fn form(
    outbound: &Outbound,
    url: &Url,
    client: &Client,
    fields: &[(&str, &str)],
) -> RequestBuilder {
    let mut fields = fields.to_vec();
    let mut request = outbound.post(url.clone()).header(ACCEPT, JSON);
    match client.authentication {
        Authentication::Basic => {
            let encode = |text: &str| -> String {
                form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let (id, secret) = (encode(&client.id), encode(client.secret.expose()));
            let joined = Secret::new(format!("{id}:{secret}"));
            let coded = BASE64_STANDARD.encode(joined.expose());
            request = request.header(AUTHORIZATION, hidden(&format!("Basic {coded}")));
        }
        Authentication::Post => {
            fields.push(("client_id", &client.id));
            fields.push(("client_secret", client.secret.expose()));
        }
        Authentication::None => fields.push(("client_id", &client.id)),
    }
    request.form(&fields)
}

/// A header's value that is not printed. What no header can hold becomes an empty one.
fn hidden(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Whether a token can stand in a header (RFC 6750 §2.1).
pub(super) fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret<String>,
    token_type: String,
}

/// An error (RFC 6749 §5.2).
#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// Why a token was not given.
#[derive(Debug)]
pub(super) enum NoToken {
    /// The provider says so, with a code of RFC 6749 §5.2 or its own.
    Error(String),
    /// Something else went wrong.
    Failure(Failure),
}

impl From<NoToken> for Failure {
    fn from(no: NoToken) -> Self {
        match no {
            // We are wrong there, and so is every login.
            NoToken::Error(code)
                if matches!(code.as_str(), "invalid_client" | "unauthorized_client") =>
            {
                Self::Unavailable(format!("its token endpoint answers {code}"))
            }
            NoToken::Error(code) => Self::Refused(format!("the token endpoint answers {code}")),
            NoToken::Failure(failure) => failure,
        }
    }
}

/// Asks for the token that a code is good for (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub(super) async fn token(
    outbound: &Outbound,
    url: &Url,
    client: &Client,
    code: &str,
    callback_url: &str,
    verifier: &str,
) -> Result<Secret<String>, NoToken> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", callback_url),
        ("code_verifier", verifier),
    ];
    let reply = outbound.send(form(outbound, url, client, &fields)).await;
    let reply = reply.map_err(NoToken::Failure)?;
    // Some answer errors with status 200.
    if !reply.status.is_server_error()
        && let Ok(answer) = serde_json::from_slice::<ErrorAnswer>(&reply.body)
    {
        return Err(NoToken::Error(short(&answer.error)));
    }
    let wrong = |what: String| NoToken::Failure(odd(url, &what));
    if reply.status != StatusCode::OK {
        return Err(wrong(format!("it answers {}", reply.status)));
    }
    let answer: TokenAnswer = serde_json::from_slice(&reply.body)
        .map_err(|_| wrong("the answer holds no token (RFC 6749 section 5.1)".into()))?;
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        let found = short(&answer.token_type);
        return Err(wrong(format!(
            "the token is of the type '{found}', not Bearer"
        )));
    }
    if !is_token(answer.access_token.expose()) {
        return Err(wrong("the token is none that a header can carry".into()));
    }
    Ok(answer.access_token)
}

/// Pushes an authorization request (RFC 9126 §2.1).
pub(super) async fn push(
    outbound: &Outbound,
    url: &Url,
    client: &Client,
    request: &[(String, String)],
) -> Result<Reply, Failure> {
    let fields = request.iter();
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    // Who does not prove it by the header says it in the form already.
    if client.authentication != Authentication::Basic {
        fields.retain(|(name, _)| *name != "client_id");
    }
    outbound.send(form(outbound, url, client, &fields)).await
}

/// Asks what a token is good for (RFC 7662), and refuses one that is not in force, is no access
/// token, or is bound to a key that the bearer did not prove to have.
pub(super) async fn introspection(
    outbound: &Outbound,
    url: &Url,
    client: &Client,
    token: &Secret<String>,
    now: Timestamp,
) -> Result<Document, Failure> {
    let fields = [
        ("token", token.expose().as_str()),
        ("token_type_hint", "access_token"),
    ];
    let reply = outbound.send(form(outbound, url, client, &fields)).await?;
    let document = document(url, &reply)?;
    match document
        .0
        .get("active")
        .and_then(serde_json::Value::as_bool)
    {
        Some(true) => {}
        Some(false) => return Err(Failure::Refused("the token is not active".into())),
        None => {
            return Err(odd(
                url,
                "the answer does not say whether the token is active",
            ));
        }
    }
    let refused = |what: &str| Err(Failure::Refused(format!("the token {what}")));
    if let Some(end) = time(url, &document, "exp")?
        && end <= now.timestamp()
    {
        return refused("has expired");
    }
    if let Some(begin) = time(url, &document, "nbf")?
        && begin > now.timestamp() + 60
    {
        return refused("is not in force yet");
    }
    if !is_bearers(|member| document.0.get(member)) {
        return refused("is no bearer's access token");
    }
    if document.0.get("cnf").is_some_and(|bound| !bound.is_null()) {
        return refused("is bound to a key of its client");
    }
    Ok(document)
}

/// Asks who the user of a token is.
pub(super) async fn userinfo(
    outbound: &Outbound,
    url: &Url,
    token: &Secret<String>,
) -> Result<Document, Failure> {
    let bearer = hidden(&format!("Bearer {}", token.expose()));
    let request = outbound.get(url.clone()).header(ACCEPT, JSON);
    let reply = outbound.send(request.header(AUTHORIZATION, bearer)).await?;
    if matches!(
        reply.status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        let status = reply.status;
        return Err(Failure::Refused(format!(
            "the userinfo endpoint answers {status} to the token"
        )));
    }
    document(url, &reply)
}

fn document(url: &Url, reply: &Reply) -> Result<Document, Failure> {
    if reply.status != StatusCode::OK {
        return Err(odd(url, &format!("it answers {}", reply.status)));
    }
    let document = Document::parse(&reply.body);
    document.ok_or_else(|| odd(url, "the answer is no JSON object"))
}

/// A time that is a whole number of seconds, or none.
fn time(url: &Url, document: &Document, name: &str) -> Result<Option<i64>, Failure> {
    match document.0.get(name) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(odd(url, &format!("'{name}' is no number of seconds"))),
        },
    }
}

fn odd(url: &Url, what: &str) -> Failure {
    Failure::Unavailable(format!("{}: {what}", place(url)))
}

/// Words of others, cut to a length and to letters that a log can take.
pub(super) fn short(text: &str) -> String {
    let plain = |letter: &char| matches!(letter, ' '..='~');
    text.chars().filter(plain).take(200).collect()
}
