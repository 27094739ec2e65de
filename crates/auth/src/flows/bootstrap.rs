//! What a new deployment needs before anybody can log in (`keystone-manage bootstrap`).
//!
//! Everything here may be run again: what exists stays, but for the administrator's password and
//! the URLs of endpoints, which become those that are given.

use model::assignment::{Actor, Assignment, AssignmentTarget};
use model::ids::{DomainId, ProjectId, RegionId, RoleId, UserId};
use model::project::{Domain, Project, ResourceOptions};
use model::role::Role;
use model::service::{Endpoint, EndpointFilter, Region, Service};
use model::subject::UserOptions;
use model::user::{StoredPassword, User};
use model::{Extra, Secret, Timestamp};
use store::{StoreError, Tx};

use crate::error::ApiError;
use crate::flows::revoke::revoke_user;
use crate::parts::Parts;

/// How the first things are called.
#[derive(Debug)]
pub struct Bootstrap {
    /// The administrator's name.
    pub username: String,
    /// The administrator's password.
    pub password: Secret<String>,
    /// The administrator's project.
    pub project_name: String,
    /// The administrator's role.
    pub role_name: String,
    /// The name of the identity service in the catalog.
    pub service_name: String,
    /// The region of its endpoints.
    pub region_id: Option<RegionId>,
    /// Its endpoints: interface and URL.
    pub endpoints: Vec<(&'static str, String)>,
    /// Whether the roles are protected against changes.
    pub immutable_roles: bool,
}

/// The roles that policies speak of, each implying the next; `service` stands alone.
const ROLES: [&str; 3] = ["manager", "member", "reader"];

/// Creates what is missing.
///
/// # Errors
///
/// When the database does not answer or the password cannot be hashed.
pub async fn bootstrap(parts: &Parts, wanted: &Bootstrap) -> Result<(), ApiError> {
    let now = parts.clock.now();
    let password = missing_password(parts, wanted, now).await?;
    let mut tx = parts.store.begin().await?;
    let domain_id = domain(parts, &mut tx).await?;
    let project_id = project(parts, &mut tx, &domain_id, &wanted.project_name).await?;

    let mut prior = role(parts, &mut tx, &wanted.role_name, wanted).await?;
    let admin_role = prior.clone();
    for name in ROLES {
        let implied = role(parts, &mut tx, name, wanted).await?;
        let known = tx.roles().list_implied(&prior).await?;
        if !known.iter().any(|role| role.id == implied) {
            tx.roles_mut().insert_implication(&prior, &implied).await?;
        }
        prior = implied;
    }
    role(parts, &mut tx, "service", wanted).await?;

    let user_id = user(parts, &mut tx, &domain_id, wanted, password.as_ref()).await?;
    for target in [
        AssignmentTarget::Project(project_id),
        AssignmentTarget::System,
    ] {
        let assignment = Assignment {
            role_id: admin_role.clone(),
            actor: Actor::User(user_id.clone()),
            target,
            inherited: false,
        };
        if !tx.assignments().exists(&assignment).await? {
            tx.assignments_mut().insert(&assignment).await?;
        }
    }
    catalog(parts, &mut tx, wanted).await?;
    let _saved = tx.commit().await?;
    Ok(())
}

async fn domain(parts: &Parts, tx: &mut Tx) -> Result<DomainId, ApiError> {
    let id = parts.config.identity.default_domain_id.clone();
    if tx.domains().find(&id).await?.is_none() {
        let domain = Domain {
            id: id.clone(),
            name: "Default".into(),
            description: Some("The default domain".into()),
            enabled: true,
            tags: Vec::new(),
            options: ResourceOptions::default(),
            extra: Extra::new(),
        };
        tx.domains_mut().insert(&domain).await?;
    }
    Ok(id)
}

async fn project(
    parts: &Parts,
    tx: &mut Tx,
    domain_id: &DomainId,
    name: &str,
) -> Result<ProjectId, ApiError> {
    if let Some(found) = tx
        .logins()
        .find_project_by_name(name, Some(domain_id), None)
        .await?
    {
        return Ok(found.id);
    }
    let project = Project {
        id: parts.random.id().into(),
        name: name.to_owned(),
        domain_id: Some(domain_id.clone()),
        parent_id: Some(domain_id.clone().into()),
        description: Some("Bootstrap project for initializing the cloud.".into()),
        enabled: true,
        tags: Vec::new(),
        options: ResourceOptions::default(),
        extra: Extra::new(),
    };
    tx.projects_mut().insert(&project).await?;
    Ok(project.id)
}

async fn role(
    parts: &Parts,
    tx: &mut Tx,
    name: &str,
    wanted: &Bootstrap,
) -> Result<RoleId, ApiError> {
    if let Some(found) = tx.roles().find_by_name(name, None).await? {
        return Ok(found.id);
    }
    let role = Role {
        id: parts.random.id().into(),
        name: name.to_owned(),
        domain_id: None,
        description: None,
        options: ResourceOptions {
            immutable: wanted.immutable_roles.then_some(true),
        },
        extra: Extra::new(),
    };
    tx.roles_mut().insert(&role).await?;
    Ok(role.id)
}

/// The password to store; `None` when the administrator has it already. It is slow, so it comes
/// before the transaction.
async fn missing_password(
    parts: &Parts,
    wanted: &Bootstrap,
    now: Timestamp,
) -> Result<Option<StoredPassword>, ApiError> {
    let domain_id = &parts.config.identity.default_domain_id;
    let login = parts
        .store
        .logins()
        .find_by_name(&wanted.username, domain_id)
        .await?;
    if let Some(hash) = login.and_then(|login| login.password_hash) {
        let right = parts.hasher.verify_slowly(&wanted.password, &hash).await;
        if right.is_ok_and(|right| right) {
            return Ok(None);
        }
    }
    let hash = parts.hasher.hash(&wanted.password).await;
    Ok(Some(StoredPassword {
        hash: Some(hash.map_err(ApiError::internal)?),
        created_at: now,
        // Who bootstraps may have no other way in: `[security_compliance]` does not apply.
        expires_at: None,
        self_service: false,
    }))
}

async fn user(
    parts: &Parts,
    tx: &mut Tx,
    domain_id: &DomainId,
    wanted: &Bootstrap,
    password: Option<&StoredPassword>,
) -> Result<UserId, ApiError> {
    let now = parts.clock.now();
    if let Some(found) = tx
        .logins()
        .find_by_name(&wanted.username, domain_id)
        .await?
    {
        let id = found.subject.id.clone();
        tx.users_mut().set_enabled(&id, true).await?;
        if let Some(password) = password {
            let keep = parts.config.security_compliance.unique_last_password_count;
            tx.users_mut().lock(&id).await?;
            let password = StoredPassword {
                created_at: parts.clock.now(),
                ..password.clone()
            };
            tx.users_mut()
                .replace_password(&id, &password, keep.max(1) as usize)
                .await?;
            // Tokens obtained with the former password must not outlive it.
            revoke_user(parts, tx, &id, now).await?;
        }
        return Ok(id);
    }
    let user = User {
        id: parts.random.id().into(),
        name: wanted.username.clone(),
        domain_id: domain_id.clone(),
        enabled: true,
        default_project_id: None,
        password_expires_at: None,
        last_seen: None,
        options: UserOptions::default(),
        extra: Extra::new(),
    };
    tx.users_mut().insert(&user, password, now).await?;
    Ok(user.id)
}

/// The region, the identity service, and its endpoints, which get the URLs that are given.
async fn catalog(parts: &Parts, tx: &mut Tx, wanted: &Bootstrap) -> Result<(), ApiError> {
    if let Some(id) = &wanted.region_id
        && tx.regions().find(id).await?.is_none()
    {
        let region = Region {
            id: id.clone(),
            description: String::new(),
            parent_region_id: None,
            extra: Extra::new(),
        };
        tx.regions_mut().insert(&region).await?;
    }
    if wanted.endpoints.is_empty() {
        return Ok(());
    }
    let known = tx.services().list_by_type("identity").await?;
    let service_id = match known.into_iter().next() {
        Some(service) => service.id,
        None => {
            let mut extra = Extra::new();
            extra.insert("name".into(), wanted.service_name.as_str().into());
            let service = Service {
                id: parts.random.id().into(),
                kind: "identity".into(),
                enabled: true,
                extra,
            };
            tx.services_mut().insert(&service).await?;
            service.id
        }
    };
    let filter = EndpointFilter {
        service_id: Some(service_id.clone()),
        ..Default::default()
    };
    let known = tx.endpoints().list(&filter).await?;
    for (interface, url) in &wanted.endpoints {
        let same = |endpoint: &&Endpoint| {
            let here = wanted.region_id.is_none() || endpoint.region_id == wanted.region_id;
            endpoint.interface == *interface && here
        };
        if let Some(found) = known.iter().find(same) {
            let moved = tx.change(&found.id, |mut endpoint: Endpoint| {
                endpoint.url.clone_from(url);
                Ok::<_, StoreError>(endpoint)
            });
            moved.await?;
            continue;
        }
        let endpoint = Endpoint {
            id: parts.random.id().into(),
            interface: (*interface).to_owned(),
            region_id: wanted.region_id.clone(),
            service_id: service_id.clone(),
            url: url.clone(),
            enabled: true,
            extra: Extra::new(),
        };
        tx.endpoints_mut().insert(&endpoint).await?;
    }
    Ok(())
}
