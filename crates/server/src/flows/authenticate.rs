//! From the proofs of a login to who the user is.

use std::sync::Arc;

use model::application_credential::ApplicationCredential;
use model::ids::UserId;
use model::login_rules::LoginRules;
use model::subject::Login;
use model::token::FederatedLogin;
use model::{Method, Secret, Timestamp};
use serde_json::json;
use store::Store;

use crate::app::App;
use crate::config::ExternalUsers;
use crate::error::ApiError;
use crate::flows::federated_login::check_source;
use crate::flows::issue_token::refuse_unsafe_domain;
use crate::flows::login_request::{
    ApplicationCredentialProof, CredentialName, DomainName, LoginRequest, Named, PasswordProof,
};
use crate::flows::validate_token::{Leniency, Refusal, ValidToken, validate_token};
use crate::passwords::PasswordError;

/// A user who has proved who they are.
pub struct Authenticated {
    /// Who.
    pub login: Login,
    /// By which methods, those of the source token included.
    pub methods: Vec<Method>,
    /// The token that was one of the proofs.
    pub source: Option<Arc<ValidToken>>,
    /// The application credential that was one of the proofs.
    pub application_credential: Option<ApplicationCredential>,
    /// Who vouched for the user, and for which groups, when that was an identity provider.
    pub federated: Option<FederatedLogin>,
}

/// The methods that are for federated logins in Keystone.
const FEDERATED: [&str; 3] = ["mapped", "openid", "saml2"];

/// Tries all methods of a login, in their order. They must agree on the user.
///
/// # Errors
///
/// 401 for every proof that fails, without a word about which; 400 for what is no proof.
pub async fn authenticate(
    app: &App,
    request: &LoginRequest,
    now: Timestamp,
) -> Result<Authenticated, ApiError> {
    let enabled = &app.config.auth.methods;
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
        match find_external(app, request, &Method::External, now).await {
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
                let login = find_login(&app.store, &proof.user).await?;
                let checked = check_password(app, login, &proof.password, now).await;
                proved.user(checked.map_err(hide_disabled)?)?;
            }
            Method::Token => {
                let text = proof["id"].as_str().unwrap_or_default();
                let leniency = Leniency::default();
                let source = validate_token(app, text, now, leniency).await;
                let source = source.map_err(Refusal::of_proof)?;
                if let Some(login) = source.token.federated_login() {
                    check_source(app, login).await?;
                }
                let login = app.store.logins().find(&source.subject.id).await?;
                proved.user(login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?)?;
                proved.methods.extend(source.token.methods.iter().cloned());
                proved.source = Some(source);
            }
            Method::ApplicationCredential => {
                let proof = ApplicationCredentialProof::parse(proof)?;
                let (credential, login) = check_secret(app, &proof, now).await?;
                proved.user(login)?;
                proved.application_credential = Some(credential);
            }
            Method::External | Method::Kerberos => {
                proved.user(find_external(app, request, method, now).await?)?;
            }
            // Older clients exchange the tokens of federated logins so.
            other if FEDERATED.contains(&other.as_str()) && proof["id"].is_string() => {
                let text = proof["id"].as_str().unwrap_or_default();
                let source = validate_token(app, text, now, Leniency::default()).await;
                let source = source.map_err(Refusal::of_proof)?;
                let Some(login) = source.token.federated_login() else {
                    let reason = format!("{other} wants a token of a federated login");
                    return Err(ApiError::unauthorized(reason));
                };
                check_source(app, login).await?;
                let login = app.store.logins().find(&source.subject.id).await?;
                proved.user(login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?)?;
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
    Ok(Authenticated {
        login,
        methods,
        federated,
        source: proved.source,
        application_credential: proved.application_credential,
    })
}

/// What the methods so far have come to.
#[derive(Default)]
struct Proved {
    login: Option<Login>,
    methods: Vec<Method>,
    source: Option<Arc<ValidToken>>,
    application_credential: Option<ApplicationCredential>,
}

impl Proved {
    fn user(&mut self, login: Login) -> Result<(), ApiError> {
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

async fn find_login(store: &Store, user: &Named<UserId>) -> Result<Option<Login>, ApiError> {
    Ok(match user {
        Named::Id(id) => store.logins().find(id).await?,
        Named::Name(name, DomainName::Id(id)) => store.logins().find_by_name(name, id).await?,
        Named::Name(name, DomainName::Name(domain)) => {
            store.logins().find_by_names(name, domain).await?
        }
    })
}

/// The user of whom the proxy in front says that it has logged them in.
///
/// # Errors
///
/// 401 when it says nothing, or not what the method asks for, or there is no such user.
async fn find_external(
    app: &App,
    request: &LoginRequest,
    method: &Method,
    now: Timestamp,
) -> Result<Login, ApiError> {
    let user = request.remote_user.as_ref();
    let user = user.ok_or_else(|| ApiError::unauthorized("no proxy vouches for the user"))?;
    let negotiated = user.auth_type.as_deref() == Some("Negotiate");
    if *method == Method::Kerberos && !negotiated {
        return Err(ApiError::unauthorized("auth_type is not Negotiate"));
    }
    let by_domain =
        *method == Method::Kerberos || app.config.auth.external == Some(ExternalUsers::Domain);
    let domain = match user.domain.clone().filter(|_| by_domain) {
        Some(name) => DomainName::Name(name),
        None => DomainName::Id(app.config.identity.default_domain_id.clone()),
    };
    let name = Named::Name(user.name.clone(), domain);
    let login = find_login(&app.store, &name).await?;
    let login =
        login.ok_or_else(|| ApiError::unauthorized("nobody is called as the proxy says"))?;
    let enabled = login_rules(app).is_enabled(&login, now.date_naive());
    if !enabled || !login.subject.domain.enabled {
        return Err(ApiError::unauthorized("the user or the domain is disabled"));
    }
    Ok(login)
}

/// Checks a password, in the order locked, wrong, disabled, expired: so expiry is told only to
/// who knows the password.
///
/// # Errors
///
/// The same 401 for all but who knows the password of a disabled user, or one that has expired.
pub async fn check_password(
    app: &App,
    login: Option<Login>,
    password: &Secret<String>,
    now: Timestamp,
) -> Result<Login, ApiError> {
    let Some(login) = login else {
        app.hasher
            .verify_absent(password)
            .await
            .map_err(refuse_hash)?;
        return Err(ApiError::unauthorized("no such user"));
    };
    let Some(hash) = &login.password_hash else {
        app.hasher
            .verify_absent(password)
            .await
            .map_err(refuse_hash)?;
        return Err(ApiError::unauthorized("the user has no password"));
    };
    let rules = login_rules(app);
    let usable = rules.is_enabled(&login, now.date_naive()) && login.subject.domain.enabled;
    if rules.is_locked(&login, now) {
        app.hasher
            .verify_absent(password)
            .await
            .map_err(refuse_hash)?;
        return Err(ApiError::unauthorized("the account is locked"));
    }
    let right = if usable {
        app.hasher.verify(password, hash, now).await
    } else {
        app.hasher.verify_slowly(password, hash).await
    };
    if !right.map_err(refuse_hash)? {
        if app
            .config
            .security_compliance
            .lockout_failure_attempts
            .is_some()
        {
            let anew = rules.lock_is_over(&login, now);
            app.store
                .logins()
                .note_failure(&login.subject.id, anew, now)
                .await?;
        }
        return Err(ApiError::unauthorized("wrong password"));
    }
    if !login.subject.domain.enabled {
        return Err(ApiError::unauthorized("the domain is disabled"));
    }
    if !usable {
        return Err(ApiError::AccountDisabled {
            user_id: login.subject.id.clone(),
        });
    }
    if login.password_is_expired(now) {
        return Err(ApiError::PasswordExpired {
            user_id: login.subject.id.clone(),
        });
    }
    app.store
        .logins()
        .note_success(&login, now.date_naive())
        .await?;
    Ok(login)
}

/// A login does not tell that the password of a disabled user was right.
fn hide_disabled(error: ApiError) -> ApiError {
    match error {
        ApiError::AccountDisabled { .. } => ApiError::unauthorized("the user is disabled"),
        other => other,
    }
}

/// Checks the secret of an application credential. An unknown credential takes the same time as a
/// wrong secret, and gets the same answer.
async fn check_secret(
    app: &App,
    proof: &ApplicationCredentialProof,
    now: Timestamp,
) -> Result<(ApplicationCredential, Login), ApiError> {
    let found = match &proof.credential {
        CredentialName::Id(id) => app.store.application_credentials().find(id).await?,
        CredentialName::Name(name, user) => {
            if let Named::Name(_, domain) = user {
                refuse_unsafe_domain(app, domain)?;
            }
            match find_login(&app.store, user).await? {
                None => None,
                Some(login) => {
                    let user_id = &login.subject.id;
                    app.store
                        .application_credentials()
                        .find_by_name(user_id, name)
                        .await?
                }
            }
        }
    };
    let Some(found) = found else {
        app.hasher
            .verify_absent(&proof.secret)
            .await
            .map_err(refuse_hash)?;
        return Err(ApiError::unauthorized("no such application credential"));
    };
    let right = if found.credential.is_expired(now) {
        app.hasher
            .verify_slowly(&proof.secret, &found.secret_hash)
            .await
    } else {
        app.hasher
            .verify(&proof.secret, &found.secret_hash, now)
            .await
    };
    if !right.map_err(refuse_hash)? {
        return Err(ApiError::unauthorized(
            "wrong secret of an application credential",
        ));
    }
    if found.credential.is_expired(now) {
        return Err(ApiError::unauthorized(
            "the application credential has expired",
        ));
    }
    let login = app.store.logins().find(&found.credential.user_id).await?;
    let login = login.ok_or_else(|| ApiError::unauthorized("its user is gone"))?;
    let enabled = login_rules(app).is_enabled(&login, now.date_naive());
    if !enabled || !login.subject.domain.enabled {
        return Err(ApiError::unauthorized("the user or the domain is disabled"));
    }
    Ok((found.credential, login))
}

/// The operator's rules about accounts.
pub(crate) fn login_rules(app: &App) -> LoginRules {
    let compliance = &app.config.security_compliance;
    LoginRules {
        lockout_failure_attempts: compliance.lockout_failure_attempts,
        lockout_duration: chrono::TimeDelta::from_std(compliance.lockout_duration)
            .unwrap_or(chrono::TimeDelta::MAX),
        inactive_days: compliance.disable_user_account_days_inactive,
    }
}

/// What a hash that could not be computed means for a login.
pub(crate) fn refuse_hash(error: PasswordError) -> ApiError {
    match error {
        PasswordError::Busy => ApiError::Unavailable("too many logins wait to be hashed".into()),
        PasswordError::BrokenOff => ApiError::internal(error),
        PasswordError::TooLong { .. } | PasswordError::UnknownFormat => {
            ApiError::unauthorized(error.to_string())
        }
    }
}
