//! Shadow users: whom a login makes of what a mapping says, with groups, projects and roles.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::assignment::{Actor, Assignment, AssignmentTarget};
use model::federation::Mapping;
use model::ids::{DomainId, GroupId, ProjectId, RoleId, UserId};
use model::mapping::{DomainReference, Mapped, MappedProject, SchemaVersion};
use model::user::FederatedIdentity;
use model::{Project, Role, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrets::hex::sha256;
use store::{ShadowUser, StoreError, Tx, retrying};

use crate::error::ApiError;
use crate::flows::checks::{in_disabled_branch, refuse_reserved_characters};
use crate::flows::federated_login::{FederatedAuthentication, consume};
use crate::flows::revoke::revoke_former;
use crate::methods::source::{Source, confirm_source, find_groups};
use crate::parts::Parts;

/// A shadow user, as a login leaves them.
pub(super) struct Shadowed {
    /// Our id of the user.
    pub(super) id: UserId,
    /// The groups that the login brought.
    pub(super) group_ids: Vec<GroupId>,
    /// When the token of the login counts as issued: the user's former ones may have been revoked.
    pub(super) token_issued_at: Timestamp,
}

/// Everything that a mapping names, looked up before anything is written.
struct Wanted {
    identity: FederatedIdentity,
    display_name: String,
    email: Option<String>,
    domain_id: DomainId,
    group_ids: Vec<GroupId>,
    projects: Vec<WantedProject>,
}

struct WantedProject {
    name: String,
    domain_id: DomainId,
    role_ids: Vec<RoleId>,
    /// The first of the roles that is of another domain than the project.
    foreign_role: Option<RoleId>,
}

/// Provisions the shadow user of a login: creates it, or updates it.
///
/// # Errors
///
/// 401 when the mapping names nobody or somebody disabled, 400 for names that do not fit, 403 and 404
/// for roles and domains that cannot be, 400 for groups that are gone.
pub(super) async fn provision(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    mapping: &Mapping,
    mapped: &Mapped,
    now: Timestamp,
) -> Result<Shadowed, ApiError> {
    // What somebody else added or deleted at this moment (the user at another first login, a
    // project, a role, a group) is found or missed when it is looked at again.
    // What asks for a retry by itself, the whole login retries.
    let was_overtaken = |outcome: &_| matches!(outcome, Err(ApiError::Conflict { .. }));
    retrying(was_overtaken, || {
        look_up_and_write(parts, source, authentication, mapping, mapped, now)
    })
    .await
}

async fn look_up_and_write(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    mapping: &Mapping,
    mapped: &Mapped,
    now: Timestamp,
) -> Result<Shadowed, ApiError> {
    let wanted = look_up(parts, source, authentication, mapped).await?;
    write(
        parts,
        source,
        authentication,
        mapping,
        mapped.version,
        &wanted,
        now,
    )
    .await
}

async fn look_up(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    mapped: &Mapped,
) -> Result<Wanted, ApiError> {
    let mut domains = Domains::new(parts, &source.provider.domain_id);
    // As in Keystone what is wrong with groups is told first.
    let group_ids = groups(parts, source, mapped, &mut domains).await?;
    refuse_long_token(&group_ids)?;
    let user = &mapped.user;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let name = given(&user.name).or_else(|| given(&authentication.remote_user));
    let id = given(&user.id);
    let (unique, display_name) = match (id, name) {
        (Some(id), Some(name)) => (id, name),
        (Some(id), None) => (id.clone(), id),
        (None, Some(name)) => (name.clone(), name),
        (None, None) => {
            return Err(ApiError::unauthorized(
                "the mapping names neither a user id nor a name, and nor does REMOTE_USER",
            ));
        }
    };
    let domain_id = domains.resolve(user.domain.as_ref()).await?;
    let unique_id = utf8_percent_encode(&unique, PYTHON_QUOTED).to_string();
    ApiError::check_length(&unique_id, "unique_id", 255)?;
    ApiError::check_length(&display_name, "display_name", 255)?;
    let projects = projects(parts, source, &domain_id, &mapped.projects, &mut domains).await?;
    Ok(Wanted {
        identity: FederatedIdentity {
            identity_provider_id: source.provider.id.clone(),
            protocol_id: source.protocol.id.clone(),
            unique_id,
        },
        display_name,
        email: given(&user.email),
        domain_id,
        group_ids,
        projects,
    })
}

/// What Python's `quote` escapes: everything but letters, digits, `_.-~` and `/`.
const PYTHON_QUOTED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// Finds domains by name, each once.
struct Domains<'a> {
    parts: &'a Parts,
    of_provider: &'a DomainId,
    known: HashMap<String, DomainId>,
}

impl<'a> Domains<'a> {
    fn new(parts: &'a Parts, of_provider: &'a DomainId) -> Self {
        Self {
            parts,
            of_provider,
            known: HashMap::new(),
        }
    }

    /// The domain that a mapping means; that of the provider when it names none.
    async fn resolve(&mut self, named: Option<&DomainReference>) -> Result<DomainId, ApiError> {
        let Some(DomainReference { id, name }) = named else {
            return Ok(self.of_provider.clone());
        };
        match (id, name) {
            (Some(id), _) => Ok(id.as_str().into()),
            (None, None) => Ok(self.of_provider.clone()),
            (None, Some(name)) => {
                if let Some(id) = self.known.get(name) {
                    return Ok(id.clone());
                }
                let found = self.parts.store.logins().find_domain_by_name(name).await?;
                let found = found.filter(|found| found.name == *name);
                let found = found.ok_or_else(|| ApiError::not_found("domain", name))?;
                let id = DomainId::from(found.id.to_string());
                self.known.insert(name.clone(), id.clone());
                Ok(id)
            }
        }
    }
}

/// The groups that a mapping names. One named by id must exist; a name that means nothing is
/// passed over, so that a provider may know more groups than we do.
async fn groups(
    parts: &Parts,
    source: &Source,
    mapped: &Mapped,
    domains: &mut Domains<'_>,
) -> Result<Vec<GroupId>, ApiError> {
    let by_id: Vec<GroupId> = mapped
        .group_ids
        .iter()
        .map(|id| id.as_str().into())
        .collect();
    let mut by_name: Vec<(DomainId, String)> = Vec::new();
    let mut seen: HashSet<(DomainId, &str)> = HashSet::new();
    for group in &mapped.group_names {
        let domain_id = domains.resolve(Some(&group.domain)).await?;
        if seen.insert((domain_id.clone(), &group.name)) {
            by_name.push((domain_id, group.name.clone()));
        }
    }
    let known = find_groups(parts, &by_id, &source.protocol).await?;
    let named = parts.store.groups().find_each_named(&by_name).await?;
    for ((_, name), id) in by_name.iter().zip(&named) {
        if id.is_none() {
            tracing::debug!(
                group.name = name,
                "the mapping names a group that is not there"
            );
        }
    }
    let mut seen = HashSet::new();
    let all = known.into_iter().chain(named.into_iter().flatten());
    Ok(all.filter(|id| seen.insert(id.clone())).collect())
}

/// Refuses more groups than a token has room for: it travels in a header, and with the rest of a
/// request's head it has to fit into what servers accept. Some 1800 do.
///
/// # Errors
///
/// 403 in words that tell, for nobody else can help the user.
fn refuse_long_token(groups: &[GroupId]) -> Result<(), ApiError> {
    const MOST: usize = 32 * 1024;
    // A UUID packs into 16 bytes, behind two of their own.
    let packed = groups.iter().map(|group| match group.as_str().len() {
        32 => 18,
        length => length + 3,
    });
    if packed.sum::<usize>() <= MOST {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "The identity provider and its mapping bring {} groups, more than a token can hold.",
        groups.len()
    )))
}

/// Checks that the groups can be, which a mapping names though it makes no member of anybody.
///
/// # Errors
///
/// As [`shadow`], for groups and domains.
pub(super) async fn check_groups(
    parts: &Parts,
    source: &Source,
    mapped: &Mapped,
) -> Result<(), ApiError> {
    let mut domains = Domains::new(parts, &source.provider.domain_id);
    groups(parts, source, mapped, &mut domains).await.map(drop)
}

/// The projects that a mapping names, with their roles, all of which must exist.
async fn projects(
    parts: &Parts,
    source: &Source,
    user_domain: &DomainId,
    mapped: &[MappedProject],
    domains: &mut Domains<'_>,
) -> Result<Vec<WantedProject>, ApiError> {
    let mut seen = HashSet::new();
    let names = mapped.iter().flat_map(|project| &project.roles);
    let names = names.map(String::as_str).filter(|name| seen.insert(*name));
    let names: Vec<&str> = names.collect();
    let known = parts.store.roles().list_by_names(&names).await?;
    let mut picked: HashMap<&str, Option<&Role>> = HashMap::new();
    for name in names {
        picked.insert(name, pick_role(&known, name, user_domain));
    }
    let mut wanted = Vec::with_capacity(mapped.len());
    for project in mapped {
        let mut role_ids = Vec::new();
        let mut seen = HashSet::new();
        let mut foreign_role = None;
        let domain_id = domains.resolve(project.domain.as_ref()).await?;
        for name in &project.roles {
            let role = picked.get(name.as_str()).copied().flatten();
            let role = role.ok_or_else(|| ApiError::not_found("role", name))?;
            if role.domain_id.as_ref().is_some_and(|of| of != user_domain) {
                return Err(ApiError::Forbidden(format!(
                    "role: {name} must be within the same domain as the identity provider: {}.",
                    source.provider.id
                )));
            }
            if role.domain_id.as_ref().is_some_and(|of| *of != domain_id) {
                foreign_role.get_or_insert_with(|| role.id.clone());
            }
            if seen.insert(&role.id) {
                role_ids.push(role.id.clone());
            }
        }
        wanted.push(WantedProject {
            // As of all projects, space around it is no part of the name.
            name: project.name.trim().to_owned(),
            domain_id,
            role_ids,
            foreign_role,
        });
    }
    Ok(wanted)
}

/// The role of a name that can be given to users of a domain; when none can, any of that name.
fn pick_role<'a>(known: &'a [Role], name: &str, domain: &DomainId) -> Option<&'a Role> {
    let mut named: Vec<_> = known.iter().filter(|role| role.name == name).collect();
    named.sort_by_key(|role| match &role.domain_id {
        None => 0,
        Some(of) if of == domain => 1,
        Some(_) => 2,
    });
    named.first().copied()
}

/// Writes everything in one transaction: the one-time value, the user, memberships, projects and
/// roles.
async fn write(
    parts: &Parts,
    source: &Source,
    authentication: &FederatedAuthentication,
    mapping: &Mapping,
    version: SchemaVersion,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Shadowed, ApiError> {
    let mut tx = parts.store.begin().await?;
    confirm_source(&mut tx, source, mapping).await?;
    consume(&mut tx, source, authentication.replay_id.as_ref()).await?;
    let known = tx.shadow_users().find(&wanted.identity).await?;
    let is_new = known.is_none();
    let user = match known {
        None => insert_user(&mut tx, wanted, now).await?,
        Some(user) => {
            let user = hold_user(&mut tx, user.id, &wanted.identity).await?;
            update_user(&mut tx, user, wanted, now).await?
        }
    };
    let changed = tx
        .shadow_users_mut()
        .renew_memberships(&user.id, &source.provider.id, &wanted.group_ids, now)
        .await?;
    let token_issued_at = match changed && !is_new {
        true => revoke_former(parts, &mut tx, &user.id, now).await?,
        false => now,
    };
    if version.synchronises_roles() || !wanted.projects.is_empty() {
        assign(parts, &mut tx, &user.id, version, &wanted.projects).await?;
    }
    let _ = tx.commit().await?;
    Ok(Shadowed {
        id: user.id,
        group_ids: wanted.group_ids.clone(),
        token_issued_at,
    })
}

/// Finds a user as they are now, and keeps everybody else from changing them until the login is
/// written.
async fn hold_user(
    tx: &mut Tx,
    id: UserId,
    identity: &FederatedIdentity,
) -> Result<ShadowUser, ApiError> {
    // For writing at once: two logins that share the lock would deadlock when they write.
    let locked = tx.users_mut().lock(&id).await;
    locked.map_err(ApiError::overtaken)?;
    let user = tx.shadow_users().find(identity).await?;
    // The identity may be somebody else's by now.
    let user = user.filter(|user| user.id == id);
    let user = user.ok_or_else(|| ApiError::overtaken(StoreError::missing("user", &id)))?;
    if !user.enabled {
        return Err(ApiError::unauthorized("the user or the domain is disabled"));
    }
    Ok(user)
}

async fn insert_user(tx: &mut Tx, wanted: &Wanted, now: Timestamp) -> Result<ShadowUser, ApiError> {
    tx.domains_mut().require(&wanted.domain_id).await?;
    let domain = tx.domains().find(&wanted.domain_id).await?;
    let domain = domain.ok_or_else(|| ApiError::not_found("domain", &wanted.domain_id))?;
    if !domain.enabled {
        return Err(ApiError::unauthorized("the user or the domain is disabled"));
    }
    let mut user = ShadowUser {
        id: public_id(&wanted.domain_id, &wanted.identity.unique_id),
        display_name: Some(wanted.display_name.clone()),
        enabled: true,
        extra: serde_json::Map::new(),
    };
    if let Some(email) = &wanted.email {
        user.extra.insert("email".into(), email.as_str().into());
    }
    tx.shadow_users_mut()
        .insert(&user, &wanted.domain_id, &wanted.identity, now)
        .await?;
    Ok(user)
}

async fn update_user(
    tx: &mut Tx,
    known: ShadowUser,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<ShadowUser, ApiError> {
    let mut user = known.clone();
    user.display_name = Some(wanted.display_name.clone());
    if let Some(email) = &wanted.email {
        user.extra.insert("email".into(), email.as_str().into());
    }
    if user != known {
        tx.shadow_users_mut()
            .update(&user, &wanted.identity)
            .await?;
    }
    tx.users_mut()
        .note_active(&user.id, now.date_naive())
        .await?;
    Ok(user)
}

/// The id of a shadow user: SHA-256 of domain, kind and name, so that every node makes the same.
fn public_id(domain_id: &DomainId, unique_id: &str) -> UserId {
    let text = format!("{domain_id}user{unique_id}");
    sha256(&text).into()
}

/// Makes missing projects, and gives the user the roles that the mapping names. From version 3.0
/// on, roles on projects that it does not name are taken away.
async fn assign(
    parts: &Parts,
    tx: &mut Tx,
    user_id: &UserId,
    version: SchemaVersion,
    wanted: &[WantedProject],
) -> Result<(), ApiError> {
    let held = tx.assignments().list_on_projects(user_id).await?;
    let ids = find_or_create(parts, tx, wanted).await?;
    let mut named: Vec<(ProjectId, RoleId)> = Vec::new();
    let mut seen: HashSet<(ProjectId, RoleId)> = HashSet::new();
    for (project, id) in wanted.iter().zip(ids) {
        if let Some(role_id) = &project.foreign_role {
            return Err(ApiError::Forbidden(format!(
                "Project {id} must be in the same domain as the role {role_id} being assigned."
            )));
        }
        for role_id in &project.role_ids {
            let pair = (id.clone(), role_id.clone());
            if seen.insert(pair.clone()) {
                named.push(pair);
            }
        }
    }
    let known: HashSet<_> = held.iter().collect();
    let added = named.iter().filter(|pair| !known.contains(pair));
    let added: Vec<_> = added.collect();
    let (projects, roles): (BTreeSet<_>, BTreeSet<_>) = added.iter().copied().cloned().unzip();
    let still = tx
        .projects_mut()
        .require_all(&Vec::from_iter(projects))
        .await;
    still.map_err(ApiError::overtaken)?;
    tx.roles_mut().require_all(&Vec::from_iter(roles)).await?;
    for pair in added {
        tx.assignments_mut()
            .insert(&assignment(user_id, pair))
            .await?;
    }
    if version.synchronises_roles() {
        for pair in held.iter().filter(|pair| !seen.contains(pair)) {
            tx.assignments_mut()
                .delete(&assignment(user_id, pair))
                .await?;
        }
    }
    Ok(())
}

fn assignment(user_id: &UserId, (project_id, role_id): &(ProjectId, RoleId)) -> Assignment {
    Assignment {
        role_id: role_id.clone(),
        actor: Actor::User(user_id.clone()),
        target: AssignmentTarget::Project(project_id.clone()),
        inherited: false,
    }
}

/// The ids of the projects, in their order. One that there is not is made, once.
async fn find_or_create(
    parts: &Parts,
    tx: &mut Tx,
    wanted: &[WantedProject],
) -> Result<Vec<ProjectId>, ApiError> {
    let names = wanted.iter();
    let names = names.map(|project| (project.domain_id.clone(), project.name.clone()));
    let names: Vec<_> = names.collect();
    let mut made: HashMap<&(DomainId, String), ProjectId> = HashMap::new();
    let mut ids = Vec::with_capacity(names.len());
    let found = tx.projects().find_each_named(&names).await?;
    for (name, found) in names.iter().zip(found) {
        let id = match found.or_else(|| made.get(name).cloned()) {
            Some(id) => id,
            None => create(parts, tx, name).await?,
        };
        made.insert(name, id.clone());
        ids.push(id);
    }
    Ok(ids)
}

async fn create(
    parts: &Parts,
    tx: &mut Tx,
    (domain_id, name): &(DomainId, String),
) -> Result<ProjectId, ApiError> {
    refuse_reserved_characters(parts.config.resource.project_name_url_safe, "Project", name)?;
    ApiError::check_length(name, "name", 64)?;
    tx.domains_mut().require(domain_id).await?;
    let domain = tx.domains().find(domain_id).await?;
    let domain = domain.ok_or_else(|| ApiError::not_found("domain", domain_id))?;
    if !domain.enabled {
        return Err(in_disabled_branch(domain.id.as_str()));
    }
    let project = Project {
        id: parts.random.id().into(),
        name: name.clone(),
        domain_id: Some(domain_id.clone()),
        parent_id: Some(domain_id.clone().into()),
        description: Some(String::new()),
        enabled: true,
        tags: Vec::new(),
        options: Default::default(),
        extra: Default::default(),
    };
    tx.projects_mut().insert(&project).await?;
    tracing::info!(
        project.id = %project.id,
        project.name = project.name,
        "a federated login made a project"
    );
    Ok(project.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_room_for_a_thousand_groups_and_not_for_ten_thousand() {
        let groups = |count: usize| -> Vec<GroupId> {
            let ids = (0..count).map(|number| format!("{number:032x}").into());
            ids.collect()
        };
        assert!(refuse_long_token(&groups(1000)).is_ok());
        let refused = refuse_long_token(&groups(10_000)).unwrap_err();
        assert!(refused.to_string().contains("bring 10000 groups"));
        // What is no UUID takes the room of its text.
        let long: Vec<GroupId> = vec!["x".repeat(64).into(); 1000];
        assert!(refuse_long_token(&long).is_err());
    }

    #[test]
    fn ids_of_shadow_users_are_those_of_keystone() {
        // Of `sha256(b"default" + b"user" + b"jane%40example.com")`.
        let unique = utf8_percent_encode("jane@example.com", PYTHON_QUOTED).to_string();
        assert_eq!(unique, "jane%40example.com");
        assert_eq!(public_id(&"default".into(), &unique).as_str(), EXPECTED);
    }

    const EXPECTED: &str = "4239e39e1b92226f3f855e4591057304e81ed2d1e2b65a07310ad42900e481ca";
}
