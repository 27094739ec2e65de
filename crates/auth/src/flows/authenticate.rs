//! From the proofs of a login to who the user is.

use std::sync::Arc;

use config::ExternalUsers;
use model::application_credential::{ApplicationCredential, StoredCredential};
use model::ids::UserId;
use model::subject::Login;
use model::token::FederatedLogin;
use model::{Method, Secret, Timestamp};
use secrets::passwords::PasswordError;
use serde_json::json;
use store::{Store, Tx};

use crate::admission::validate_token::{
    ValidationError, ValidationOptions, validate_again, validate_token,
};
use crate::error::ApiError;
use crate::flows::federated_login::check_source;
use crate::flows::issue_token::refuse_unsafe_domain;
use crate::flows::login_request::{
    ApplicationCredentialProof, CredentialName, DomainName, LoginRequest, Named, PasswordProof,
};
use crate::flows::multi_factor::ShownReceipt;
use crate::parts::Parts;
use crate::tokens::ValidToken;

/// A user who has proved who they are.
pub(crate) struct Authenticated {
    /// Who.
    pub login: Arc<Login>,
    /// By which methods, those of the source token included.
    pub methods: Vec<Method>,
    /// The token that was one of the proofs.
    pub source: Option<Arc<ValidToken>>,
    /// The application credential that was one of the proofs.
    pub application_credential: Option<Arc<ApplicationCredential>>,
    /// Who vouched for the user, and for which groups, when that was an identity provider.
    pub federated: Option<FederatedLogin>,
    /// The receipt that proves some of the methods.
    pub receipt: Option<ShownReceipt>,
    /// Whether the proofs took their time: what was looked up before them may have changed.
    pub hashed: bool,
}

/// The methods that are for federated logins in Keystone.
const FEDERATED: [&str; 3] = ["mapped", "openid", "saml2"];

/// Tries all methods of a login, in their order. They must agree on the user.
///
/// # Errors
///
/// 401 for every proof that fails, without a word about which; 400 for what is no proof.
pub(crate) async fn authenticate(
    parts: &Parts,
    request: &LoginRequest,
    now: Timestamp,
) -> Result<Authenticated, ApiError> {
    let enabled = &parts.config.auth.methods;
    let is_enabled = |method: &Method| enabled.iter().any(|name| name == method.as_str());
    for method in &request.methods {
        if !is_enabled(method) {
            return Err(ApiError::LoginIncomplete {
                message: "Attempted to authenticate with an unsupported method.".into(),
                identity: json!({ "methods": enabled }),
            });
        }
    }
    let mut proved = Proved::default();
    if is_enabled(&Method::External) {
        // Unasked, and when the proxy's word leads to nobody, the methods may.
        match find_external(parts, request, &Method::External, now).await {
            Ok(login) => {
                proved.user(login)?;
                proved.methods.push(Method::External);
            }
            Err(ApiError::Unauthorized { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for method in &request.methods {
        let proof = request.proof(method);
        match method {
            Method::Password => {
                let proof = PasswordProof::parse(proof)?;
                let login = find_login(&parts.store, &proof.user).await?;
                let checked = check_password(parts, &proof.user, login, &proof.password, now).await;
                let checked = checked.map_err(hide_disabled)?;
                proved.hashed |= checked.slow;
                proved.password_hash = checked.login.password_hash.clone();
                proved.rechecked = checked.slow;
                proved.user(checked.login)?;
            }
            Method::Token => {
                let text = proof["id"].as_str().unwrap_or_default();
                let source = find_token(parts, text, now).await?;
                let login = parts.store.login(&source.subject.id).await?;
                let login = login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
                require_enabled(parts, &login, now)?;
                proved.user(login)?;
                proved.methods.extend(source.token.methods.iter().cloned());
                proved.source = Some(source);
            }
            Method::ApplicationCredential => {
                let proof = ApplicationCredentialProof::parse(proof)?;
                let checked = check_secret(parts, &proof, now).await?;
                proved.hashed |= checked.slow;
                proved.rechecked &= !checked.slow;
                proved.user(checked.login)?;
                proved.application_credential = Some(checked.credential);
            }
            Method::External | Method::Kerberos => {
                proved.user(find_external(parts, request, method, now).await?)?;
            }
            // Older clients exchange the tokens of federated logins so.
            other if FEDERATED.contains(&other.as_str()) && proof["id"].is_string() => {
                let text = proof["id"].as_str().unwrap_or_default();
                let source = find_token(parts, text, now).await?;
                if source.token.federated_login().is_none() {
                    let reason = format!("{other} wants a token of a federated login");
                    return Err(ApiError::unauthorized(reason));
                }
                let login = parts.store.login(&source.subject.id).await?;
                let login = login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
                require_enabled(parts, &login, now)?;
                proved.user(login)?;
                proved.source = Some(source);
            }
            other => {
                return Err(ApiError::unauthorized(format!(
                    "{other} proves nothing here"
                )));
            }
        }
        proved.methods.push(method.clone());
    }
    if proved.hashed {
        look_again(parts, &mut proved).await?;
    }
    let login = proved
        .login
        .ok_or_else(|| ApiError::unauthorized("no method found a user"))?;
    let mut methods: Vec<Method> = Vec::new();
    for method in proved.methods {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    let federated = proved
        .source
        .as_ref()
        .and_then(|source| source.token.federated_login().cloned());
    let application_credential = proved.application_credential;
    Ok(Authenticated {
        login,
        methods,
        federated,
        source: proved.source,
        application_credential: application_credential.map(|stored| Arc::clone(&stored.credential)),
        receipt: None,
        hashed: proved.hashed,
    })
}

/// What the methods so far have come to.
#[derive(Default)]
struct Proved {
    login: Option<Arc<Login>>,
    methods: Vec<Method>,
    source: Option<Arc<ValidToken>>,
    application_credential: Option<Arc<StoredCredential>>,
    /// The hash that a password was held against.
    password_hash: Option<String>,
    /// Whether a proof took its time.
    hashed: bool,
    /// Whether the user was looked up after all that took its time.
    rechecked: bool,
}

impl Proved {
    fn user(&mut self, login: Arc<Login>) -> Result<(), ApiError> {
        match &self.login {
            Some(known) if known.subject.id != login.subject.id => {
                Err(ApiError::unauthorized("the methods name different users"))
            }
            _ => {
                self.login = Some(login);
                Ok(())
            }
        }
    }
}

/// Looks again at all that was proved, after a proof that took its time: somebody may have disabled
/// the user, changed the password, or revoked the token or the credential meanwhile.
async fn look_again(parts: &Parts, proved: &mut Proved) -> Result<(), ApiError> {
    let now = parts.clock.now();
    // A token is not issued on facts from before the slow step either.
    parts.store.sync().await?;
    if let Some(source) = &mut proved.source {
        *source = validate_again(parts, source, now)
            .await
            .map_err(ValidationError::of_proof)?;
        check_origin(parts, source).await?;
    }
    if let Some(stored) = &mut proved.application_credential {
        let id = &stored.credential.id;
        let found = parts.store.application_credential(id).await?;
        let found = found.filter(|found| found.secret_hash == stored.secret_hash);
        *stored = found.ok_or_else(|| {
            ApiError::unauthorized("the application credential was deleted meanwhile")
        })?;
        refuse_expired(&stored.credential, now)?;
    }
    if let Some(login) = proved.login.as_mut().filter(|_| !proved.rechecked) {
        let found = parts.store.login(&login.subject.id).await?;
        *login = found.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
        require_enabled(parts, login, now)?;
        if proved.password_hash.is_some() && proved.password_hash != login.password_hash {
            return Err(ApiError::unauthorized("the password was changed meanwhile"));
        }
    }
    Ok(())
}

/// Whether somebody may log in at all, whatever the proof: the one judge of every way in.
///
/// # Errors
///
/// 401 when the user or the domain is disabled, or the user has been away for too long.
pub(crate) fn require_enabled(
    parts: &Parts,
    login: &Login,
    now: Timestamp,
) -> Result<(), ApiError> {
    match parts.login_rules().admits(&login.subject, now.date_naive()) {
        true => Ok(()),
        false => Err(ApiError::unauthorized("the user or the domain is disabled")),
    }
}

/// A token that is shown as a proof.
async fn find_token(
    parts: &Parts,
    text: &str,
    now: Timestamp,
) -> Result<Arc<ValidToken>, ApiError> {
    let source = validate_token(parts, text, now, ValidationOptions::default()).await;
    let source = source.map_err(ValidationError::of_proof)?;
    check_origin(parts, &source).await?;
    Ok(source)
}

/// Checks that what a federated token came from still stands.
async fn check_origin(parts: &Parts, source: &ValidToken) -> Result<(), ApiError> {
    match source.token.federated_login() {
        Some(login) => check_source(parts, login).await,
        None => Ok(()),
    }
}

async fn find_login(store: &Store, user: &Named<UserId>) -> Result<Option<Arc<Login>>, ApiError> {
    Ok(match user {
        Named::Id(id) => store.login(id).await?,
        Named::Name(name, domain) => store.login_by_name(name, domain.as_named()).await?,
    })
}

/// The user of whom the proxy in front says that it has logged them in.
///
/// # Errors
///
/// 401 when it says nothing, or not what the method asks for, or there is no such user.
async fn find_external(
    parts: &Parts,
    request: &LoginRequest,
    method: &Method,
    now: Timestamp,
) -> Result<Arc<Login>, ApiError> {
    let user = request.remote_user.as_ref();
    let user = user.ok_or_else(|| ApiError::unauthorized("no proxy vouches for the user"))?;
    let negotiated = user.auth_type.as_deref() == Some("Negotiate");
    if *method == Method::Kerberos && !negotiated {
        return Err(ApiError::unauthorized("auth_type is not Negotiate"));
    }
    let by_domain =
        *method == Method::Kerberos || parts.config.auth.external == Some(ExternalUsers::Domain);
    let domain = match user.domain.clone().filter(|_| by_domain) {
        Some(name) => DomainName::Name(name),
        None => DomainName::Id(parts.config.identity.default_domain_id.clone()),
    };
    let name = Named::Name(user.name.clone(), domain);
    let login = find_login(&parts.store, &name).await?;
    let login =
        login.ok_or_else(|| ApiError::unauthorized("nobody is called as the proxy says"))?;
    require_enabled(parts, &login, now)?;
    Ok(login)
}

/// A password that was right when it was tried.
pub struct CheckedPassword {
    /// Whose it is.
    pub login: Arc<Login>,
    /// Whether a slow hash was computed for it: what is known of the user may have changed.
    pub slow: bool,
}

/// Checks a password, in the order locked, wrong, disabled, expired: so expiry is told only to
/// who knows the password.
///
/// # Errors
///
/// The same 401 for all but who knows the password of a disabled user, or one that has expired.
pub async fn check_password(
    parts: &Parts,
    asked: &Named<UserId>,
    login: Option<Arc<Login>>,
    password: &Secret<String>,
    now: Timestamp,
) -> Result<CheckedPassword, ApiError> {
    let checked = try_password(parts, asked, login, password, now).await?;
    require_usable(parts, &checked.login, now)?;
    settle_password(parts, checked).await
}

/// Notes that a right password was used, once it is sure that it still is right.
///
/// # Errors
///
/// 401 when it is not.
pub async fn settle_password(
    parts: &Parts,
    checked: CheckedPassword,
) -> Result<CheckedPassword, ApiError> {
    let now = parts.clock.now();
    let CheckedPassword { login, slow } = checked;
    let is_noted = login.last_active_at == Some(now.date_naive()) && login.failed_attempts == 0;
    if !slow && is_noted {
        return Ok(CheckedPassword { login, slow });
    }
    let mut tx = parts.store.begin().await?;
    let login = Arc::new(confirm_password(parts, &mut tx, &login).await?);
    require_usable(parts, &login, now)?;
    tx.logins_mut()
        .note_success(&login, now.date_naive())
        .await?;
    let _ = tx.commit().await?;
    Ok(CheckedPassword { login, slow })
}

/// Tries a password, without a word about whether its user may use it.
///
/// # Errors
///
/// 401 when it is wrong, or the account is locked.
pub async fn try_password(
    parts: &Parts,
    asked: &Named<UserId>,
    login: Option<Arc<Login>>,
    password: &Secret<String>,
    now: Timestamp,
) -> Result<CheckedPassword, ApiError> {
    let rules = parts.login_rules();
    let counts = rules.lockout_failure_attempts.is_some();
    let Some(mut login) = login else {
        let _attempt = match counts {
            true => Some(parts.attempt_queues.begin(&account(asked)).await?),
            false => None,
        };
        return refuse_slowly(parts, password, "no such user").await;
    };
    let usable = |login: &Login| rules.admits(&login.subject, now.date_naive());
    if let Some(hash) = &login.password_hash
        && usable(&login)
        && !rules.is_locked(&login, now)
        && parts.hasher.remembers(password, hash, now)
    {
        return Ok(CheckedPassword { login, slow: false });
    }
    // Also where it is locked or no failure locks it: to be answered sooner would tell.
    let _attempt = if counts {
        let attempt = parts
            .attempt_queues
            .begin(login.subject.id.as_str())
            .await?;
        // Others may have had their turn since the account was looked up.
        let found = parts.store.logins().find(&login.subject.id).await?;
        login = Arc::new(found.ok_or_else(|| ApiError::unauthorized("the user is gone"))?);
        Some(attempt)
    } else {
        None
    };
    let now = parts.clock.now();
    let Some(hash) = &login.password_hash else {
        return refuse_slowly(parts, password, "the user has no password").await;
    };
    if rules.is_locked(&login, now) {
        return refuse_slowly(parts, password, "the account is locked").await;
    }
    let right = if usable(&login) {
        parts.hasher.verify(password, hash, now).await
    } else {
        parts.hasher.verify_slowly(password, hash).await
    };
    if right.map_err(refuse_hash)? {
        return Ok(CheckedPassword { login, slow: true });
    }
    if counts {
        let is_over = rules.lock_is_over(&login, now);
        let over = login.failed_at.filter(|_| is_over);
        let mut tx = parts.store.begin().await?;
        tx.logins_mut()
            .note_failure(&login.subject.id, over, now)
            .await?;
        let _saved = tx.commit().await?;
    }
    Err(ApiError::unauthorized("wrong password"))
}

/// The account that a login names, where there is none: as users are named who do exist.
fn account(asked: &Named<UserId>) -> String {
    match asked {
        Named::Id(id) => id.to_string(),
        Named::Name(name, _) => name.to_lowercase(),
    }
}

/// Finds the user of a password that was right, as they are now, and locks them: what was verified
/// outside of the transaction that acts on it may not hold any more.
///
/// # Errors
///
/// 401 when the password is another one now, or the account is locked.
pub async fn confirm_password(
    parts: &Parts,
    tx: &mut Tx,
    proved: &Login,
) -> Result<Login, ApiError> {
    let login = tx.logins_mut().find_for_update(&proved.subject.id).await?;
    let login = login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
    if login.password_hash != proved.password_hash {
        return Err(ApiError::unauthorized("the password was changed meanwhile"));
    }
    if parts.login_rules().is_locked(&login, parts.clock.now()) {
        return Err(ApiError::unauthorized("the account was locked meanwhile"));
    }
    Ok(login)
}

/// Whether the user of a right password may use it.
///
/// # Errors
///
/// 401, which tells whether the user is disabled or the password expired.
pub fn require_usable(parts: &Parts, login: &Login, now: Timestamp) -> Result<(), ApiError> {
    if !login.subject.domain.enabled {
        return Err(ApiError::unauthorized("the domain is disabled"));
    }
    if require_enabled(parts, login, now).is_err() {
        return Err(ApiError::AccountDisabled {
            user_id: login.subject.id.clone(),
        });
    }
    if login.password_is_expired(now) {
        return Err(ApiError::PasswordExpired {
            user_id: login.subject.id.clone(),
        });
    }
    Ok(())
}

/// Refuses after as much time as a hash takes, so that the time does not tell why.
async fn refuse_slowly<T>(
    parts: &Parts,
    secret: &Secret<String>,
    reason: &'static str,
) -> Result<T, ApiError> {
    let absent = parts.hasher.verify_absent(secret).await;
    absent.map_err(refuse_hash)?;
    Err(ApiError::unauthorized(reason))
}

/// A login does not tell that the password of a disabled user was right.
fn hide_disabled(error: ApiError) -> ApiError {
    match error {
        ApiError::AccountDisabled { .. } => ApiError::unauthorized("the user is disabled"),
        other => other,
    }
}

/// An application credential whose secret was right when it was tried.
struct CheckedSecret {
    credential: Arc<StoredCredential>,
    login: Arc<Login>,
    /// Whether a slow hash was computed for it.
    slow: bool,
}

/// Checks the secret of an application credential. An unknown credential takes the same time as a
/// wrong secret, and gets the same answer.
async fn check_secret(
    parts: &Parts,
    proof: &ApplicationCredentialProof,
    now: Timestamp,
) -> Result<CheckedSecret, ApiError> {
    let found = match &proof.credential {
        CredentialName::Id(id) => parts.store.application_credential(id).await?,
        CredentialName::Name(name, user) => {
            if let Named::Name(_, domain) = user {
                refuse_unsafe_domain(parts, domain)?;
            }
            match find_login(&parts.store, user).await? {
                None => None,
                Some(login) => {
                    let user_id = &login.subject.id;
                    parts
                        .store
                        .application_credentials()
                        .find_by_name(user_id, name)
                        .await?
                        .map(Arc::new)
                }
            }
        }
    };
    let Some(found) = found else {
        return refuse_slowly(parts, &proof.secret, "no such application credential").await;
    };
    let hash = &found.secret_hash;
    let slow = !parts.hasher.remembers(&proof.secret, hash, now);
    let owner = parts.store.login(&found.credential.user_id).await?;
    let usable = is_usable(parts, &found.credential, owner.as_deref(), now).await?;
    let right = if usable {
        parts.hasher.verify(&proof.secret, hash, now).await
    } else {
        // Takes the same time with the right secret, also where that is remembered.
        parts.hasher.verify_slowly(&proof.secret, hash).await
    };
    if !right.map_err(refuse_hash)? {
        return Err(ApiError::unauthorized(
            "wrong secret of an application credential",
        ));
    }
    refuse_expired(&found.credential, now)?;
    let login = owner.ok_or_else(|| ApiError::unauthorized("its user is gone"))?;
    require_enabled(parts, &login, now)?;
    Ok(CheckedSecret {
        credential: found,
        login,
        slow,
    })
}

/// Whether an application credential lets anybody in who knows its secret.
///
/// # Errors
///
/// When the database does not answer.
pub async fn is_usable(
    parts: &Parts,
    credential: &ApplicationCredential,
    owner: Option<&Login>,
    now: Timestamp,
) -> Result<bool, ApiError> {
    let rules = parts.login_rules();
    let is_admitted = |owner: &Login| rules.admits(&owner.subject, now.date_naive());
    if credential.is_expired(now) || !owner.is_some_and(is_admitted) {
        return Ok(false);
    }
    let Some(project_id) = &credential.project_id else {
        return Ok(true);
    };
    let target = parts.store.target(project_id).await?;
    Ok(target.is_some_and(|target| target.is_usable()))
}

fn refuse_expired(credential: &ApplicationCredential, now: Timestamp) -> Result<(), ApiError> {
    match credential.is_expired(now) {
        true => Err(ApiError::unauthorized(
            "the application credential has expired",
        )),
        false => Ok(()),
    }
}

/// What a hash that could not be computed means for a login.
pub fn refuse_hash(error: PasswordError) -> ApiError {
    match error {
        PasswordError::Busy => ApiError::Unavailable("too many logins wait to be hashed".into()),
        PasswordError::Aborted => ApiError::internal(error),
        PasswordError::TooLong { .. } | PasswordError::UnknownFormat => {
            ApiError::unauthorized(error.to_string())
        }
    }
}
