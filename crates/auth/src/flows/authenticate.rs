//! From the proofs of a login to who the user is.

use std::sync::Arc;

use model::application_credential::ApplicationCredential;
use model::subject::Login;
use model::token::FederatedLogin;
use model::{Method, Timestamp};
use serde_json::json;
use store::StoredCredential;

use crate::admission::validate_token::{ValidationError, validate_again};
use crate::error::ApiError;
use crate::flows::multi_factor::ShownReceipt;
use crate::methods::application_credential::{
    ApplicationCredentialProof, check_secret, refuse_expired,
};
use crate::methods::external::find_external;
use crate::methods::login_request::LoginRequest;
use crate::methods::password::{PasswordProof, check_password, hide_disabled};
use crate::methods::token::{check_origin, find_token};
use crate::methods::users::{find_login, require_enabled};
use crate::parts::Parts;
use crate::tokens::ValidToken;

/// A user who has proved who they are.
pub(crate) struct Authenticated {
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
                let login = parts.store.logins().find(&source.subject.id).await?;
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
                let login = parts.store.logins().find(&source.subject.id).await?;
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
        application_credential: application_credential.map(|stored| stored.credential),
        receipt: None,
        hashed: proved.hashed,
    })
}

/// What the methods so far have come to.
#[derive(Default)]
struct Proved {
    login: Option<Login>,
    methods: Vec<Method>,
    source: Option<Arc<ValidToken>>,
    application_credential: Option<StoredCredential>,
    /// The hash that a password was held against.
    password_hash: Option<String>,
    /// Whether a proof took its time.
    hashed: bool,
    /// Whether the user was looked up after all that took its time.
    rechecked: bool,
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
        let found = parts.store.application_credentials().find(id).await?;
        let found = found.filter(|found| found.secret_hash == stored.secret_hash);
        *stored = found.ok_or_else(|| {
            ApiError::unauthorized("the application credential was deleted meanwhile")
        })?;
        refuse_expired(&stored.credential, now)?;
    }
    if let Some(login) = proved.login.as_mut().filter(|_| !proved.rechecked) {
        let found = parts.store.logins().find(&login.subject.id).await?;
        *login = found.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
        require_enabled(parts, login, now)?;
        if proved.password_hash.is_some() && proved.password_hash != login.password_hash {
            return Err(ApiError::unauthorized("the password was changed meanwhile"));
        }
    }
    Ok(())
}
