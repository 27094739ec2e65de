//! The body of a login: `{"auth": {"identity": ..., "scope": ...}}`.

use std::collections::HashSet;

use config::UrlSafe;
use model::Method;
use model::ids::{DomainId, ProjectId, TrustId, UserId};
use model::project::reserved_characters;
use serde_json::Value;
use store::NamedDomain;

use crate::admission::proxy_variables::RemoteUser;
use crate::error::ApiError;
use crate::parts::Parts;

/// A login: proofs of who the user is, and what the token should be valid on.
pub struct LoginRequest {
    /// The methods in the order in which they are tried, without repetition.
    pub methods: Vec<Method>,
    /// Their proofs, as the client wrote them.
    pub identity: Value,
    /// What the client asked for; `None` when it left that to the server.
    pub scope: Option<ScopeRequest>,
    /// Whom the proxy in front has logged in, where its word counts.
    pub remote_user: Option<RemoteUser>,
}

/// What a token should be valid on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeRequest {
    /// Nothing.
    Unscoped,
    /// A project.
    Project(Named<ProjectId>),
    /// A domain.
    Domain(DomainName),
    /// The whole deployment.
    System,
    /// What a trust names.
    Trust(TrustId),
}

/// Something within a domain, by id or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<Id> {
    /// By id.
    Id(Id),
    /// By its name in a domain.
    Name(String, DomainName),
}

/// A domain, by id or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainName {
    /// By id.
    Id(DomainId),
    /// By name.
    Name(String),
}

impl DomainName {
    /// As the store looks names up by it.
    pub(crate) fn as_named(&self) -> NamedDomain<'_> {
        match self {
            Self::Id(id) => NamedDomain::Id(id),
            Self::Name(name) => NamedDomain::Name(name),
        }
    }
}

impl LoginRequest {
    /// Reads the body, once the schema has judged `auth`.
    ///
    /// # Errors
    ///
    /// 400 as Keystone words it, in the order in which it looks.
    pub fn parse(auth: &Value) -> Result<Self, ApiError> {
        check_names(auth)?;
        let identity = auth.get("identity").cloned().unwrap_or_default();
        let names = identity["methods"].as_array().into_iter().flatten();
        let names = names.map(|name| name.as_str().unwrap_or_default());
        let mut seen = HashSet::new();
        let names = names.filter(|name| seen.insert(*name));
        let methods: Vec<Method> = names.map(Method::from).collect();
        for method in &methods {
            if identity.get(method.as_str()).is_none() {
                return Err(ApiError::expecting(method.as_str(), "identity"));
            }
        }
        let scope = auth.get("scope").map(ScopeRequest::parse).transpose()?;
        Ok(Self {
            methods,
            identity,
            scope,
            remote_user: None,
        })
    }
}

/// What Keystone looks for beyond its schema.
fn check_names(auth: &Value) -> Result<(), ApiError> {
    let places = [
        "identity/password/user",
        "identity/password/user/domain",
        "scope/project",
        "scope/project/domain",
        "scope/domain",
    ];
    for place in places {
        let found = place
            .split('/')
            .try_fold(auth, |value, name| value.get(name));
        let found = found.and_then(Value::as_object);
        let nameless = |found: &serde_json::Map<String, Value>| {
            !found.contains_key("id") && !found.contains_key("name")
        };
        if found.is_some_and(nameless) {
            return Err(ApiError::BadRequest(format!(
                "Invalid input for field {place}: id or name must be present."
            )));
        }
    }
    Ok(())
}

impl ScopeRequest {
    /// Reads a scope. A text counts by the word that it contains, as in the reference.
    fn parse(scope: &Value) -> Result<Self, ApiError> {
        let has = |name: &str| match scope {
            Value::String(text) => text.contains(name),
            other => other.get(name).is_some(),
        };
        let kinds = ["system", "project", "domain", "OS-TRUST:trust", "unscoped"];
        let mut given = kinds.into_iter().filter(|kind| has(kind));
        let (Some(kind), None) = (given.next(), given.next()) else {
            return Err(ApiError::expecting(
                "system, project, domain, OS-TRUST:trust or unscoped",
                "scope",
            ));
        };
        let value = &scope[kind];
        Ok(match kind {
            "system" => Self::System,
            "unscoped" => Self::Unscoped,
            "project" => Self::Project(Named::parse(value, "project")?),
            "domain" => Self::Domain(DomainName::parse(value, "domain")?),
            _ => Self::Trust(
                text(value, "id")
                    .ok_or_else(|| ApiError::expecting("trust_id", "trust"))?
                    .into(),
            ),
        })
    }
}

impl<Id: From<String>> Named<Id> {
    /// Reads `{"id"}` or `{"name", "domain"}`; a name is looked at first.
    ///
    /// # Errors
    ///
    /// 400 when a name stands without its domain.
    pub fn parse(value: &Value, kind: &str) -> Result<Self, ApiError> {
        match (text(value, "name"), text(value, "id")) {
            (Some(name), _) => {
                let domain = value
                    .get("domain")
                    .ok_or_else(|| ApiError::expecting("domain", kind))?;
                Ok(Self::Name(name, DomainName::parse(domain, "domain")?))
            }
            (None, Some(id)) => Ok(Self::Id(id.into())),
            (None, None) => Err(ApiError::expecting("id or name", kind)),
        }
    }
}

impl DomainName {
    fn parse(value: &Value, kind: &str) -> Result<Self, ApiError> {
        match (text(value, "name"), text(value, "id")) {
            (Some(name), _) => Ok(Self::Name(name)),
            (None, Some(id)) => Ok(Self::Id(id.into())),
            (None, None) => Err(ApiError::expecting("id or name", kind)),
        }
    }
}

/// Users are looked up by id when there is one, unlike scopes.
pub(super) fn by_id_first(user: &Value) -> Result<Named<UserId>, ApiError> {
    match text(user, "id") {
        Some(id) if user.get("name").is_none() => Ok(Named::Id(id.into())),
        _ => Named::parse(user, "user"),
    }
}

/// `[resource] domain_name_url_safe` says whether a login may name the domain.
///
/// # Errors
///
/// 401 when it may not.
pub(crate) fn refuse_unsafe_domain(parts: &Parts, domain: &DomainName) -> Result<(), ApiError> {
    match domain {
        DomainName::Id(_) => Ok(()),
        DomainName::Name(name) => {
            refuse_unsafe_name(parts.config.resource.domain_name_url_safe, "Domain", name)
        }
    }
}

pub(crate) fn refuse_unsafe_name(rule: UrlSafe, kind: &str, name: &str) -> Result<(), ApiError> {
    if rule == UrlSafe::Strict && !reserved_characters(name).is_empty() {
        return Err(ApiError::unauthorized(format!(
            "{kind} name cannot contain reserved characters."
        )));
    }
    Ok(())
}

pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}
