//! Logout from the identity provider: it says that a session there has ended, and the tokens that
//! came of it end too (OpenID Connect Back-Channel Logout 1.0).

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::federated_login::{consume, ends_of_logout, replay_key};
use auth::flows::revoke::revoke_chain;
use auth::methods::source::find_source_of_session;
use federation::ProviderSessionEnd;
use http::{HeaderValue, StatusCode, header};
use model::Secret;
use model::ids::{IdentityProviderId, ProtocolId};
use secrets::hex::sha256;
use web::operation::Operation;

/// The operation that a provider calls.
pub fn routes() -> Routes {
    Routes::new().on(&LOG_OUT, log_out)
}

static LOG_OUT: Operation = Operation::post(
    "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/logout",
    "Handle a back-channel logout of an identity provider",
)
.from_provider()
.public("the signature of the logout token authenticates the provider")
.answers(&[(200, "The session has ended and its tokens are revoked.")]);

async fn log_out(
    call: Call,
    Path((provider, protocol)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, ApiError> {
    let source = find_source_of_session(&call.parts, &provider, &protocol).await;
    let source = source.map_err(refuse)?;
    let driver = call.parts.drivers.driver(&source.protocol)?;
    let driver =
        driver.ok_or_else(|| ApiError::BadRequest("a front proxy speaks for it.".into()))?;
    let token = call.request.form_field("logout_token").map(Secret::new);
    let token = token.ok_or_else(|| ApiError::expecting("logout_token", "request body"))?;
    let end = driver.logout(&token, call.now()).await;
    let end = end.map_err(|failure| refuse(failure.into()))?;
    let ProviderSessionEnd {
        subject,
        id,
        replay_id,
    } = end;
    let (subject, id) = (subject.as_deref().map(sha256), id.as_deref().map(sha256));
    // In a transaction before the one that looks for sessions: a login that is under way notes its
    // session first and then looks for this, so that one of the two sees the other.
    let mut tx = call.begin().await?;
    let used = [replay_key(&source, &replay_id)];
    if tx.provider_sessions().ended_at(&used).await?.is_some() {
        return Err(refuse(ApiError::unauthorized("the logout was used before")));
    }
    for end in ends_of_logout(&source, subject.as_deref(), id.as_deref()) {
        let ended_at = call.parts.clock.now();
        tx.provider_sessions_mut().note_end(&end, ended_at).await?;
    }
    let _noted = tx.commit().await?;
    let mut tx = call.begin().await?;
    consume(&mut tx, &source, Some(&replay_id))
        .await
        .map_err(refuse)?;
    let tokens = tx
        .provider_sessions_mut()
        .take(&provider, &protocol, subject.as_deref(), id.as_deref())
        .await?;
    for tokens in &tokens {
        revoke_chain(&call.parts, &mut tx, tokens.audit_id, call.now()).await?;
    }
    let _saved = tx.commit().await?;
    tracing::info!(
        identity_provider.id = %provider,
        sessions = tokens.len(),
        "an identity provider ended sessions"
    );
    let reply = call.public().reply(StatusCode::OK, None);
    Ok(reply.header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// A logout that cannot be done is a 400 (§2.8), whatever the reason, which is for the log alone.
/// What will pass stays as it is, so that the provider tries again.
fn refuse(error: ApiError) -> ApiError {
    match error {
        ApiError::Unavailable(_) | ApiError::Retry(_) | ApiError::Internal(_) => error,
        other => {
            let reason = other.reason();
            tracing::info!(%reason, "a logout of an identity provider was refused");
            ApiError::BadRequest("The logout is not valid.".into())
        }
    }
}
