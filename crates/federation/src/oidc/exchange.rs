//! The token endpoint: a code becomes tokens (RFC 6749 §4.1.3), and we prove who we are.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use model::{Secret, Timestamp};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;

use super::discovery::Metadata;
use super::jwt::refused;
use super::settings::ClientAuthentication;
use super::{Oidc, shown};
use crate::FlowSecret;
use crate::driver::Failure;
use crate::outbound::Reply;

/// What a code is exchanged for (OpenID Connect Core §3.1.3.3).
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: Secret<String>,
    pub(super) id_token: Secret<String>,
    token_type: String,
}

/// What the provider answers when it refuses (RFC 6749 §5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What the provider must see again as the verifier (RFC 7636 §4.2).
pub(super) fn code_challenge(secret: &FlowSecret) -> String {
    let verifier = secret.derive("code_verifier");
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

impl Oidc {
    pub(super) async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        secret: &FlowSecret,
        callback_url: &str,
        now: Timestamp,
    ) -> Result<Tokens, Failure> {
        let reply = self.bring_code(metadata, code, secret, callback_url, now);
        let reply = reply.await?;
        if reply.status != StatusCode::OK {
            return Err(refusal("token endpoint", &reply));
        }
        let tokens: Tokens = serde_json::from_slice(&reply.body)
            .map_err(|error| Failure::Unavailable(format!("its tokens cannot be read: {error}")))?;
        // RFC 6749 §7.1: a kind that is not understood is not used.
        if !tokens.token_type.eq_ignore_ascii_case("bearer") {
            let kind = shown(&tokens.token_type);
            let reason = format!("it issues tokens of the kind '{kind}', not 'Bearer'");
            return Err(Failure::Unavailable(reason));
        }
        Ok(tokens)
    }

    /// Brings a code to the token endpoint.
    pub(super) async fn bring_code(
        &self,
        metadata: &Metadata,
        code: &str,
        secret: &FlowSecret,
        callback_url: &str,
        now: Timestamp,
    ) -> Result<Reply, Failure> {
        let verifier = secret.derive("code_verifier");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback_url),
            ("code_verifier", &verifier),
        ];
        let request = self.as_client(metadata, metadata.token.clone(), &form, now)?;
        self.outbound.send(request).await
    }

    /// A form that we post as the client that we are.
    pub(super) fn as_client(
        &self,
        metadata: &Metadata,
        url: Url,
        form: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<RequestBuilder, Failure> {
        let id = self.settings.client_id.as_str();
        let request = self.outbound.post(url).header(ACCEPT, "application/json");
        let mut form = form.to_vec();
        let assertion;
        let request = match &self.settings.client {
            ClientAuthentication::Basic(secret) => {
                request.header(AUTHORIZATION, basic(id, secret)?)
            }
            ClientAuthentication::Post(secret) => {
                form.extend([("client_id", id), ("client_secret", secret.expose())]);
                request
            }
            ClientAuthentication::PrivateKeyJwt(key) => {
                // OpenID Connect Core §9: the audience is the token endpoint, wherever it is used.
                assertion = key.assert_client(id, metadata.token.as_str(), now)?;
                form.extend([
                    ("client_id", id),
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", &assertion),
                ]);
                request
            }
            ClientAuthentication::Tls | ClientAuthentication::None => {
                form.push(("client_id", id));
                request
            }
        };
        Ok(request.form(&form))
    }
}

/// Name and password are encoded as in a form before they become what HTTP calls basic (RFC 6749
/// §2.3.1).
fn basic(id: &str, secret: &Secret<String>) -> Result<HeaderValue, Failure> {
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Secret::new(format!("{}:{}", encode(id), encode(secret.expose())));
    let value = format!("Basic {}", BASE64_STANDARD.encode(pair.expose()));
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Failure::Unavailable("our client secret cannot be sent".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a refusal means: only what says that the user's proof is bad is the user's fault.
pub(super) fn refusal(place: &str, reply: &Reply) -> Failure {
    let error = serde_json::from_slice::<Refusal>(&reply.body).map(|refusal| refusal.error);
    match error.as_deref() {
        Ok("invalid_grant") => refused("the provider does not accept the code"),
        Ok(error) => Failure::Unavailable(format!("its {place} answers '{}'", shown(error))),
        Err(_) => Failure::Unavailable(format!("its {place} answers {}", reply.status)),
    }
}
