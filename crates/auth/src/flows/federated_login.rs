//! From what an identity provider said to a token: the mapping, the shadow user, groups, projects
//! and roles.

use std::sync::Arc;

use federation::{ProviderSession, ReplayId, Verified};
use http::StatusCode;
use model::federation::{Mapping, Protocol};
use model::mapping::{DomainReference, Evaluation, MappedUser, Rules, SchemaVersion, UserKind};
use model::subject::{Login, Subject};
use model::token::FederatedLogin;
use model::{Assertion, Method, Timestamp};
use secrets::hex::sha256;
use store::{SessionTokens, StoreError, Tx, retrying};

use crate::admission::proxy_variables::Variables;
use crate::error::ApiError;
use crate::flows::authenticate::Authenticated;
use crate::flows::issue_token::{IssuedToken, issue_for};
use crate::flows::shadow_user::{check_groups, provision};
use crate::methods::source::{Source, confirm_source, method, unusable_mapping};
use crate::methods::users::require_enabled;
use crate::parts::Parts;

/// A verified federated authentication: what a driver verified, or a trusted proxy said.
pub struct FederatedAuthentication {
    /// The words, verified.
    pub(super) assertion: Assertion,
    /// Who a front proxy says it is, for mappings that do not name the user.
    pub(super) remote_user: Option<String>,
    /// The id by which a replay is detected.
    pub(super) replay_id: Option<ReplayId>,
    /// The session at the provider.
    pub(super) session: Option<ProviderSession>,
}

impl From<Variables> for FederatedAuthentication {
    fn from(said: Variables) -> Self {
        Self {
            assertion: said.assertion,
            remote_user: said.remote_user.map(|user| user.name),
            replay_id: None,
            session: None,
        }
    }
}

impl From<Verified> for FederatedAuthentication {
    fn from(verified: Verified) -> Self {
        Self {
            assertion: verified.assertion,
            remote_user: None,
            replay_id: verified.replay_id,
            session: verified.session,
        }
    }
}

/// Logs somebody in on the word of an identity provider.
///
/// # Errors
///
/// 401 when the mapping makes nobody of what was said, 403 when the provider is not the one that
/// was registered, 404 when something that the mapping names does not exist, 400 when the mapping
/// itself is broken, 503 when the database asks for retries in vain: only what comes after the
/// provider's word is retried, which can often be had only once.
pub async fn federated_login(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    let should_retry = |outcome: &_| matches!(outcome, Err(ApiError::Retry(_)));
    match retrying(should_retry, || {
        try_login(parts, source, authentication, now)
    })
    .await
    {
        Err(ApiError::Retry(cause)) => Err(ApiError::Unavailable(cause.to_string())),
        other => other,
    }
}

async fn try_login(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    check_remote_id(parts, source, &authentication.assertion)?;
    let (mapping, evaluation) = evaluate(parts, source, &authentication.assertion).await?;
    let outcome = sign_in(parts, source, authentication, &mapping, &evaluation, now).await;
    if let Err(error) = &outcome
        && error.status() != StatusCode::SERVICE_UNAVAILABLE
        && !matches!(error, ApiError::Retry(_))
    {
        log_explanation(source, &authentication.assertion, &evaluation);
    }
    outcome
}

/// Signs in the user of an evaluated mapping: issues a token.
async fn sign_in(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    mapping: &Mapping,
    evaluation: &Evaluation,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    let method = method(parts, &source.protocol)?;
    let mapped = evaluation.result.as_ref().map_err(|error| {
        let reason = format!("mapping {}: {error}", source.protocol.mapping_id);
        match error.blames_assertion() {
            true => ApiError::unauthorized(reason),
            false => unusable_mapping(&source.protocol, &reason),
        }
    })?;
    parts.store.sync().await?;
    match mapped.user.kind {
        UserKind::Local => {
            check_groups(parts, source, mapped).await?;
            let user = find_local(parts, &mapped.user, now).await?;
            consume_alone(parts, source, authentication, mapping).await?;
            let issued = issue_for(parts, authenticated(user, method, None), now).await?;
            note_session(parts, source, authentication, &issued, now).await?;
            Ok(issued)
        }
        UserKind::Ephemeral => {
            let user = provision(parts, source, authentication, mapping, mapped, now).await?;
            let login = parts.store.logins().find(&user.id).await?;
            let login = login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
            // Again, for a token is issued on what holds now.
            require_enabled(parts, &login, now)?;
            let federated = FederatedLogin {
                identity_provider_id: source.provider.id.clone(),
                protocol_id: source.protocol.id.clone(),
                group_ids: user.group_ids,
            };
            let user_of_token = authenticated(login, method, Some(federated));
            let issued = issue_for(parts, user_of_token, user.token_issued_at).await?;
            note_session(parts, source, authentication, &issued, now).await?;
            Ok(issued)
        }
    }
}

fn authenticated(
    login: model::subject::Login,
    method: Method,
    federated: Option<FederatedLogin>,
) -> Authenticated {
    Authenticated {
        login: Arc::new(login),
        methods: vec![method],
        source: None,
        delegation: None,
        federated,
        receipt: None,
        hashed: false,
    }
}

/// The provider must be the one whose remote ids were registered.
fn check_remote_id(parts: &Parts, source: &Source, assertion: &Assertion) -> Result<(), ApiError> {
    let Some(attribute) = remote_id_attribute(parts, &source.protocol) else {
        return Ok(());
    };
    if source.provider.remote_ids.is_empty() {
        return Ok(());
    }
    match assertion.values(&attribute) {
        [] => Err(ApiError::unauthorized(format!(
            "the assertion does not name its provider: {attribute} is absent"
        ))),
        values => {
            // One value is meant; several stand for a text that a `;` took apart.
            let said = values.join(";");
            if source.provider.remote_ids.contains(&said) {
                return Ok(());
            }
            Err(ApiError::refused(format!(
                "{attribute} says that the provider is {said:?}, which is none of the remote_ids \
                 of {}",
                source.provider.id
            )))
        }
    }
}

/// The attribute that names the provider; `None` when none was configured.
pub fn remote_id_attribute(parts: &Parts, protocol: &Protocol) -> Option<String> {
    let own = protocol.remote_id_attribute.clone();
    let nonempty = |name: &String| !name.is_empty();
    own.filter(nonempty)
        .or_else(|| parts.config.remote_id_attribute(protocol.id.as_str()))
        .or_else(|| parts.config.federation.remote_id_attribute.clone())
        .filter(nonempty)
}

/// Applies the mapping of the protocol.
async fn evaluate(
    parts: &Parts,
    source: &Source,
    assertion: &Assertion,
) -> Result<(Mapping, Evaluation), ApiError> {
    let id = &source.protocol.mapping_id;
    let mapping = parts.store.mappings().find(id).await?;
    let mapping = mapping.ok_or_else(|| ApiError::not_found("mapping", id))?;
    let version = SchemaVersion::parse(&mapping.schema_version).ok_or_else(|| {
        let reason = format!("the unknown version {}", mapping.schema_version);
        unusable_mapping(&source.protocol, &reason)
    })?;
    let rules = Rules::parse(version, &mapping.rules)
        .map_err(|error| unusable_mapping(&source.protocol, &error.to_string()))?;
    let assertion = assertion.clone();
    // As long as the rules and what a stranger says are, and then there are regular expressions.
    let evaluation = parts.mappings.run(move || rules.evaluate(&assertion));
    Ok((mapping, evaluation.await))
}

/// How each condition of each rule fared, without the values, which are about people. Who reports a
/// failed login has its number, and the lines of that number tell this.
fn log_explanation(source: &Source, assertion: &Assertion, evaluation: &Evaluation) {
    let mapping = source.protocol.mapping_id.as_str();
    for rule in &evaluation.rules {
        for condition in rule.conditions.iter().filter(|tested| tested.counted) {
            tracing::info!(
                mapping.id = mapping,
                mapping.rule = rule.rule,
                mapping.attribute = condition.attribute,
                mapping.test = condition.test.as_str(),
                mapping.held = condition.held,
                mapping.reason = condition.reason,
                "a condition of the mapping was tried"
            );
        }
        tracing::info!(
            mapping.id = mapping,
            mapping.rule = rule.rule,
            mapping.applied = rule.applied,
            mapping.error = rule.error,
            "a rule of the mapping was tried"
        );
    }
    let names: Vec<_> = assertion.attributes().map(|(name, _)| name).collect();
    if names.is_empty() && source.protocol.own_driver().is_none() {
        tracing::info!(
            "no variables came: the other end is no trusted proxy, or it passes nothing on"
        );
    }
    tracing::info!(
        mapping.id = mapping,
        attributes = names.join(" "),
        "the login failed; to see it with values, POST the assertion to \
         /v3/OS-FEDERATION/mappings/{mapping}/evaluate"
    );
}

/// The user of ours whom a mapping of type `local` names. As in Keystone a name counts more than an
/// id, of the user as of the domain.
async fn find_local(parts: &Parts, user: &MappedUser, now: Timestamp) -> Result<Login, ApiError> {
    let mut logins = parts.store.logins();
    // All of it letter by letter: to MariaDB `ádmin` is `admin`, and at the provider they are two.
    let found = match (given(&user.name), given(&user.id)) {
        (Some(name), _) => {
            let domain = user.domain.as_ref();
            let domain = domain.ok_or_else(|| ApiError::expecting("domain", "user"))?;
            let found = match (given(&domain.name), given(&domain.id)) {
                (Some(of), _) => logins.find_by_names(name, of).await?,
                (None, Some(id)) => logins.find_by_name(name, &id.into()).await?,
                (None, None) => return Err(ApiError::expecting("id or name", "domain")),
            };
            found.filter(|login| login.subject.name == name && is_in(&login.subject, domain))
        }
        (None, Some(id)) => {
            let found = logins.find(&id.into()).await?;
            found.filter(|login| login.subject.id.as_str() == id)
        }
        (None, None) => return Err(ApiError::expecting("id or name", "user")),
    };
    let login = found.ok_or_else(|| ApiError::unauthorized("the mapping names no user"))?;
    require_enabled(parts, &login, now)?;
    Ok(login)
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn is_in(subject: &Subject, domain: &DomainReference) -> bool {
    match given(&domain.name) {
        Some(name) => subject.domain.name == name,
        None => given(&domain.id) == Some(subject.domain.id.as_str()),
    }
}

/// The key under which a consumed replay id is stored.
pub fn replay_key(source: &Source, once: &ReplayId) -> String {
    let (provider, protocol) = (&source.provider.id, &source.protocol.id);
    sha256(&format!("{provider}\n{protocol}\n{}", once.id))
}

/// Consumes a replay id, in the transaction of the login.
pub async fn consume(
    tx: &mut Tx,
    source: &Source,
    replay_id: Option<&ReplayId>,
) -> Result<(), ApiError> {
    let Some(once) = replay_id else {
        return Ok(());
    };
    let id = replay_key(source, once);
    let used = tx.provider_sessions_mut().use_up(&id, once.until).await;
    used.map_err(|error| match error {
        StoreError::Conflict { .. } => ApiError::unauthorized("the login was used before"),
        other => other.into(),
    })
}

async fn consume_alone(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    mapping: &Mapping,
) -> Result<(), ApiError> {
    let mut tx = parts.store.begin().await?;
    confirm_source(&mut tx, source, mapping).await?;
    consume(&mut tx, source, authentication.replay_id.as_ref()).await?;
    let _ = tx.commit().await?;
    Ok(())
}

/// Under which names the end of a session is noted for logins that are under way: what a logout
/// names, in the hashed form in which sessions are kept. A login whose session nobody knows ends with
/// any session of its subject.
pub fn ends_of_logout(
    source: &Source,
    subject: Option<&str>,
    session_id: Option<&str>,
) -> Vec<String> {
    match (subject, session_id) {
        (None, None) => Vec::new(),
        (Some(subject), None) => vec![end(source, "subject", subject)],
        (None, Some(id)) => vec![end(source, "session", id)],
        (Some(subject), Some(id)) => vec![
            end(source, "session", id),
            end(source, "sessions of subject", subject),
        ],
    }
}

fn end(source: &Source, kind: &str, name: &str) -> String {
    let (provider, protocol) = (&source.provider.id, &source.protocol.id);
    sha256(&format!("end\n{provider}\n{protocol}\n{kind}\n{name}"))
}

/// Refuses a login whose session at the provider ended while it was under way. To be asked when the
/// session has been noted: who ends it later finds its tokens.
async fn refuse_ended(
    parts: &Parts,
    source: &Source,
    subject: &str,
    session_id: Option<&str>,
    began: Timestamp,
) -> Result<(), ApiError> {
    let of_subject = end(source, "subject", subject);
    let ends = match session_id {
        Some(id) => vec![of_subject, end(source, "session", id)],
        None => vec![of_subject, end(source, "sessions of subject", subject)],
    };
    let ended_at = parts.store.provider_sessions().ended_at(&ends).await?;
    if ended_at.is_some_and(|at| at >= began) {
        return Err(ApiError::unauthorized(
            "the session at the provider ended during the login",
        ));
    }
    Ok(())
}

/// Remembers which tokens end with the user's session at the provider.
async fn note_session(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    issued: &IssuedToken,
    began: Timestamp,
) -> Result<(), ApiError> {
    let Some(session) = &authentication.session else {
        return Ok(());
    };
    let token = &issued.valid.token;
    let tokens = SessionTokens {
        user_id: token.user_id.clone(),
        audit_id: token.audit_ids.own,
    };
    // A provider's names may have any length.
    let subject = sha256(&session.subject);
    let id = session.id.as_deref().map(sha256);
    let insert = async || -> Result<(), StoreError> {
        let mut tx = parts.store.begin().await?;
        tx.provider_sessions_mut()
            .insert(
                &source.provider.id,
                &source.protocol.id,
                &subject,
                id.as_deref(),
                &tokens,
                token.expires_at,
            )
            .await?;
        let _ = tx.commit().await?;
        Ok(())
    };
    // What the login used up is used up: to do all of it again would fail.
    let should_retry = |outcome: &_| matches!(outcome, Err(StoreError::Retry(_)));
    match retrying(should_retry, insert).await {
        Err(StoreError::Retry(cause)) => return Err(ApiError::Unavailable(cause.to_string())),
        other => other?,
    }
    refuse_ended(parts, source, &subject, id.as_deref(), began).await
}
