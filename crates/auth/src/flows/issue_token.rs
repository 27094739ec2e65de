//! From a login to a token.

use std::sync::Arc;

use chrono::SubsecRound as _;
use model::ids::ProjectId;
use model::subject::{CatalogService, Login, ScopeTarget};
use model::token::{AuditId, AuditIds, NoFederatedSystemScope, TokenKind};
use model::{Method, Scope, Timestamp, Token};

use crate::admission::validate_token::effective_roles;
use crate::delegation::Delegation;
use crate::error::ApiError;
use crate::flows::authenticate::{Authenticated, authenticate};
use crate::flows::multi_factor;
use crate::methods::login_request::{
    DomainName, LoginRequest, Named, ScopeRequest, refuse_unsafe_domain, refuse_unsafe_name,
};
use crate::methods::{self, users::require_enabled};
use crate::parts::Parts;
use crate::tokens::ValidToken;
use crate::tokens::rights::Facts;

/// A new token.
pub struct IssuedToken {
    /// What the client keeps.
    pub text: String,
    /// What the token is good for.
    pub valid: ValidToken,
    /// The services that it can be used at; `None` when nobody asked, or it has no scope.
    pub catalog: Option<Arc<Vec<CatalogService>>>,
}

/// Issues a token.
///
/// # Errors
///
/// 400 for what is no login, 401 for proofs and scopes that fail, without a word about which.
pub async fn issue_token(
    parts: &Parts,
    request: &LoginRequest,
    receipt: Option<&str>,
    with_catalog: bool,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    // The scope is looked at before the proofs, and with the same answer for all that is wrong.
    for method in request.methods.iter().filter_map(methods::find) {
        method.check_request(request)?;
    }
    // A token is never issued on facts that are older than the request.
    parts.store.sync().await?;
    let mut asked = match &request.scope {
        None => None,
        Some(scope) => Some(find_scope(parts, scope).await?),
    };
    let mut user = authenticate(parts, request, now).await?;
    if user.hashed
        && let Some(target) = asked.as_mut().and_then(|found| found.target.as_mut())
    {
        // It may have been disabled or deleted meanwhile.
        *target = find_usable(parts, &target.id).await?;
    }
    multi_factor::check(parts, &mut user, receipt, now).await?;
    if let (Some(source), None) = (&user.source, &user.federated) {
        check_rescoping(parts, source, asked.as_ref())?;
    }
    let authority = match (&user.delegation, asked) {
        (Some(delegation), _) => Authority::delegated(parts, delegation.clone()).await?,
        (None, Some(found)) => Authority::own(kind_of(&user, found.scope)?, found.target),
        (None, None) if user.federated.is_some() => {
            Authority::own(kind_of(&user, Scope::Unscoped)?, None)
        }
        (None, None) => default_scope(parts, &user, now).await?,
    };
    finish(parts, user, authority, with_catalog, now).await
}

/// Issues a token to somebody who has proved who they are and asks for nothing: one without scope
/// to whom an identity provider vouched for, else one for the default project.
///
/// # Errors
///
/// As [`issue_token`].
pub(crate) async fn issue_for(
    parts: &Parts,
    mut user: Authenticated,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    multi_factor::check(parts, &mut user, None, now).await?;
    let authority = match user.federated {
        Some(_) => Authority::own(kind_of(&user, Scope::Unscoped)?, None),
        None => default_scope(parts, &user, now).await?,
    };
    finish(parts, user, authority, true, now).await
}

/// Issues a token for the user's default project that is bound to a certificate (RFC 8705 §3).
/// Multi-factor rules do not count, as in the reference: nobody is there to pass them.
///
/// # Errors
///
/// 401 without a default project that can be used, or without a role there.
pub(crate) async fn issue_bound(
    parts: &Parts,
    login: Arc<Login>,
    thumbprint: String,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    require_enabled(parts, &login, now)?;
    let project_id = login.subject.default_project_id.clone();
    let project_id =
        project_id.ok_or_else(|| ApiError::unauthorized("the user has no default project"))?;
    let target = find_usable(parts, &project_id).await?;
    let user = Authenticated {
        login,
        methods: vec![Method::from("oauth2_credential")],
        source: None,
        delegation: None,
        federated: None,
        receipt: None,
        hashed: false,
    };
    let kind = TokenKind::Certificate {
        thumbprint,
        project_id,
    };
    let authority = Authority::own(kind, Some(target));
    finish(parts, user, authority, false, now).await
}

/// By whose authority a token is valid on what its user asked for.
fn kind_of(user: &Authenticated, scope: Scope) -> Result<TokenKind, ApiError> {
    let Some(login) = &user.federated else {
        return Ok(TokenKind::Direct(scope));
    };
    Ok(TokenKind::Federated {
        login: login.clone(),
        scope: scope
            .try_into()
            .map_err(|error: NoFederatedSystemScope| ApiError::denied(error.to_string()))?,
    })
}

/// What a token is to be valid on, and by whose authority.
struct Authority {
    kind: TokenKind,
    target: Option<Arc<ScopeTarget>>,
    delegation: Option<Delegation>,
}

impl Authority {
    /// The user's own.
    fn own(kind: TokenKind, target: Option<Arc<ScopeTarget>>) -> Self {
        Self {
            kind,
            target,
            delegation: None,
        }
    }

    /// That of a delegation, on what it names.
    async fn delegated(parts: &Parts, delegation: Delegation) -> Result<Self, ApiError> {
        let kind = delegation.token_kind();
        let kind =
            kind.ok_or_else(|| ApiError::unauthorized("what was delegated leads to no token"))?;
        let target = match kind.project_id() {
            None => None,
            Some(project_id) => Some(find_usable(parts, project_id).await?),
        };
        Ok(Self {
            kind,
            target,
            delegation: Some(delegation),
        })
    }
}

async fn finish(
    parts: &Parts,
    mut user: Authenticated,
    authority: Authority,
    with_catalog: bool,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    let Authority {
        kind,
        target,
        delegation,
    } = authority;
    let token = token(parts, &user, kind, delegation.as_ref(), now);
    let scope = token.scope();
    let facts = Facts {
        subject: Arc::clone(&user.login.subject),
        target,
        held: effective_roles(&parts.store, &token, delegation.as_ref(), &scope, now).await?,
        delegation,
    };
    let rights = parts
        .token_cache
        .rights(&parts.config.resource, &token, facts);
    if rights.roles.is_empty() && *scope != Scope::Unscoped {
        return Err(ApiError::unauthorized("the user has no role there"));
    }
    let catalog = match *scope {
        Scope::Unscoped => None,
        _ if !with_catalog => None,
        _ => Some(parts.store.services_for(token.project_id()).await?),
    };
    let text = parts.tokens.issue(&token).map_err(ApiError::internal)?;
    // Last, so that a receipt is not lost to a login that fails.
    if let Some(receipt) = user.receipt.take() {
        receipt.consume(parts).await?;
    }
    Ok(IssuedToken {
        text,
        valid: ValidToken::new(token, rights),
        catalog,
    })
}

/// What a token shall be valid on, looked up.
struct FoundScope {
    scope: Scope,
    target: Option<Arc<ScopeTarget>>,
}

async fn find_scope(parts: &Parts, asked: &ScopeRequest) -> Result<FoundScope, ApiError> {
    let target = match asked {
        ScopeRequest::Unscoped => {
            return Ok(FoundScope {
                scope: Scope::Unscoped,
                target: None,
            });
        }
        ScopeRequest::System => {
            return Ok(FoundScope {
                scope: Scope::System,
                target: None,
            });
        }
        ScopeRequest::Trust(_) => {
            return Err(ApiError::unauthorized("there is no such trust"));
        }
        ScopeRequest::Project(Named::Id(id)) => known_target(parts, id).await?,
        ScopeRequest::Project(Named::Name(name, domain)) => {
            let rule = parts.config.resource.project_name_url_safe;
            refuse_unsafe_name(rule, "Project", name)?;
            refuse_unsafe_domain(parts, domain)?;
            let domain = domain.as_named();
            parts.store.project_by_name(name, domain).await?
        }
        ScopeRequest::Domain(DomainName::Id(id)) => known_target(parts, &id.clone().into()).await?,
        ScopeRequest::Domain(domain @ DomainName::Name(name)) => {
            refuse_unsafe_domain(parts, domain)?;
            let found = parts.store.logins().find_domain_by_name(name).await?;
            found.map(Arc::new)
        }
    };
    let target = target
        .filter(|target| target.is_usable())
        .ok_or_else(|| ApiError::unauthorized("no such project or domain, or it is disabled"))?;
    let wants_domain = matches!(asked, ScopeRequest::Domain(_));
    match (&target.domain, wants_domain) {
        (None, true) => Ok(FoundScope {
            scope: Scope::Domain(target.id.clone().into()),
            target: Some(target),
        }),
        (Some(_), false) => Ok(FoundScope {
            scope: Scope::Project(target.id.clone()),
            target: Some(target),
        }),
        _ => Err(ApiError::unauthorized(
            "a domain is no project, nor the other way round",
        )),
    }
}

async fn known_target(parts: &Parts, id: &ProjectId) -> Result<Option<Arc<ScopeTarget>>, ApiError> {
    Ok(parts.store.target(id).await?)
}

async fn find_usable(parts: &Parts, id: &ProjectId) -> Result<Arc<ScopeTarget>, ApiError> {
    let target = known_target(parts, id).await?;
    target
        .filter(|target| target.is_usable())
        .ok_or_else(|| ApiError::unauthorized("its project is gone or disabled"))
}

/// The user's default project, when it can be used and the user has a role there; else no scope.
async fn default_scope(
    parts: &Parts,
    user: &Authenticated,
    now: Timestamp,
) -> Result<Authority, ApiError> {
    let unscoped = Authority::own(TokenKind::Direct(Scope::Unscoped), None);
    let Some(id) = &user.login.subject.default_project_id else {
        return Ok(unscoped);
    };
    let target = known_target(parts, id).await?;
    let Some(target) = target.filter(|target| target.is_usable() && target.domain.is_some()) else {
        return Ok(unscoped);
    };
    let user_id = &user.login.subject.id;
    let scope = Scope::Project(id.clone());
    let held = parts
        .store
        .effective_roles(user_id, None, &scope, now)
        .await?;
    if held.roles.is_empty() {
        return Ok(unscoped);
    }
    Ok(Authority::own(TokenKind::Direct(scope), Some(target)))
}

/// Which tokens may be exchanged for which others.
fn check_rescoping(
    parts: &Parts,
    source: &ValidToken,
    asked: Option<&FoundScope>,
) -> Result<(), ApiError> {
    let token = &source.token;
    let wants_target = asked.is_some_and(|found| found.target.is_some());
    if token.access_token_id().is_some() || token.trust_id().is_some() {
        return Err(ApiError::denied("rescope a delegated token"));
    }
    if token.has_system_scope() && wants_target {
        return Err(ApiError::denied("rescope a system-scoped token"));
    }
    if source.is_delegated(&parts.config.auth.additional_primary_auth_methods) {
        return Err(ApiError::denied(
            "Using a delegated token to create another token is not allowed.",
        ));
    }
    if !parts.config.token.allow_rescope_scoped_token && *token.scope() != Scope::Unscoped {
        return Err(ApiError::denied("rescope a scoped token"));
    }
    Ok(())
}

fn token(
    parts: &Parts,
    user: &Authenticated,
    kind: TokenKind,
    delegation: Option<&Delegation>,
    now: Timestamp,
) -> Token {
    let issued_at = now.trunc_subsecs(0);
    let mut audit_id = [0; 16];
    parts.random.fill(&mut audit_id);
    let own = AuditId::from_bytes(audit_id);
    let (audit_ids, mut expires_at) = match &user.source {
        Some(source) => (
            AuditIds::descended(own, &source.token.audit_ids),
            source.token.expires_at,
        ),
        None => (
            AuditIds::root(own),
            issued_at + parts.config.token.expiration,
        ),
    };
    if let Some(end) = delegation.and_then(|delegation| delegation.expires_at()) {
        expires_at = expires_at.min(end.trunc_subsecs(0));
    }
    Token {
        user_id: user.login.subject.id.clone(),
        methods: user.methods.clone(),
        kind,
        audit_ids,
        issued_at,
        expires_at,
    }
}
