//! Grants: roles given to a user or group on a project, a domain or the whole deployment.
//!
//! All these routes are one, with another actor, target or kind of inheritance in the path.

use std::borrow::Cow;

use auth::call::Call;
use auth::call::reply::{Permit, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::{Target, keys_of};
use auth::tokens::RoleDocument;
use model::assignment::{Actor, Assignment, AssignmentTarget};
use model::ids::RoleId;
use model::project::{Domain, Project};
use model::role::Role;
use model::user::{Group, User};
use policy::{Keys, Rule, ScopeType};
use store::{StoreError, Tx};
use web::operation::Operation;
use web::reply::Collection;

/// The operations on grants.
pub fn routes() -> Routes {
    let mut routes = Routes::new();
    for operation in &LIST {
        routes = routes.on(operation, list);
    }
    for operation in &CHECK {
        routes = routes.on(operation, check);
    }
    for operation in &CREATE {
        routes = routes.on(operation, create);
    }
    for operation in &REVOKE {
        routes = routes.on(operation, revoke);
    }
    routes
}

/// The same operation at every place where one role is granted: on projects and domains by one
/// rule, on the system by a rule for each kind of actor.
macro_rules! on_each_grant {
    ($method:ident, $before:literal, $between:literal, $answer:literal, $rule:expr, $user_rule:expr, $group_rule:expr) => {
        [
            Operation::$method(
                "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}",
                concat!($before, "a user", $between, "a project"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/projects/{project_id}/groups/{group_id}/roles/{role_id}",
                concat!($before, "a group", $between, "a project"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}",
                concat!($before, "a user", $between, "a domain"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/domains/{domain_id}/groups/{group_id}/roles/{role_id}",
                concat!($before, "a group", $between, "a domain"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects",
                concat!($before, "a user", $between, "projects in a subtree"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects",
                concat!($before, "a group", $between, "projects in a subtree"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects",
                concat!($before, "a user", $between, "projects owned by a domain"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects",
                concat!($before, "a group", $between, "projects owned by a domain"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$rule]),
            Operation::$method(
                "/v3/system/users/{user_id}/roles/{role_id}",
                concat!($before, "a user", $between, "the system"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$user_rule]),
            Operation::$method(
                "/v3/system/groups/{group_id}/roles/{role_id}",
                concat!($before, "a group", $between, "the system"),
            )
            .answers(&[(204, $answer)])
            .rules(&[$group_rule]),
        ]
    };
}

static CHECK: [Operation; 10] = on_each_grant!(
    get,
    "Check whether ",
    " has a role assignment on ",
    "The role is assigned.",
    CHECK_GRANT,
    CHECK_SYSTEM_USER,
    CHECK_SYSTEM_GROUP
);
static CREATE: [Operation; 10] = on_each_grant!(
    put,
    "Assign a role to ",
    " on ",
    "The role is assigned.",
    CREATE_GRANT,
    CREATE_SYSTEM_USER,
    CREATE_SYSTEM_GROUP
);
static REVOKE: [Operation; 10] = on_each_grant!(
    delete,
    "Unassign a role from ",
    " on ",
    "The role is unassigned.",
    REVOKE_GRANT,
    REVOKE_SYSTEM_USER,
    REVOKE_SYSTEM_GROUP
);
static LIST: [Operation; 8] = [
    Operation::get(
        "/v3/projects/{project_id}/users/{user_id}/roles",
        "List the roles of a user on a project",
    )
    .rules(&[LIST_GRANTS]),
    Operation::get(
        "/v3/projects/{project_id}/groups/{group_id}/roles",
        "List the roles of a group on a project",
    )
    .rules(&[LIST_GRANTS]),
    Operation::get(
        "/v3/domains/{domain_id}/users/{user_id}/roles",
        "List the roles of a user on a domain",
    )
    .rules(&[LIST_GRANTS]),
    Operation::get(
        "/v3/domains/{domain_id}/groups/{group_id}/roles",
        "List the roles of a group on a domain",
    )
    .rules(&[LIST_GRANTS]),
    Operation::get(
        "/v3/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/inherited_to_projects",
        "List the roles of a user on projects owned by a domain",
    )
    .rules(&[LIST_GRANTS]),
    Operation::get(
        "/v3/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/inherited_to_projects",
        "List the roles of a group on projects owned by a domain",
    )
    .rules(&[LIST_GRANTS]),
    Operation::get(
        "/v3/system/users/{user_id}/roles",
        "List the roles of a user on the system",
    )
    .rules(&[LIST_SYSTEM_USER]),
    Operation::get(
        "/v3/system/groups/{group_id}/roles",
        "List the roles of a group on the system",
    )
    .rules(&[LIST_SYSTEM_GROUP]),
];

const ANY_SCOPE: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const SYSTEM_PROJECT: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const ADMIN_OR_SYSTEM_READER: &str = "rule:admin_required or (role:reader and system_scope:all)";

/// Actor and target in the domain of the caller's token, for a role of that caller.
macro_rules! within_domain {
    ($role:literal) => {
        concat!(
            "(role:",
            $role,
            " and domain_id:%(target.user.domain_id)s and \
             domain_id:%(target.project.domain_id)s) or \
             (role:",
            $role,
            " and domain_id:%(target.user.domain_id)s and \
             domain_id:%(target.domain.id)s) or \
             (role:",
            $role,
            " and domain_id:%(target.group.domain_id)s and \
             domain_id:%(target.project.domain_id)s) or \
             (role:",
            $role,
            " and domain_id:%(target.group.domain_id)s and \
             domain_id:%(target.domain.id)s)"
        )
    };
}

const LIST_GRANTS: Rule = Rule::new(
    "identity:list_grants",
    concat!(
        "(rule:admin_required) or ((role:reader and system_scope:all) or ",
        within_domain!("reader"),
        ")"
    ),
)
.scopes(ANY_SCOPE)
.deprecated(ADMIN)
.about(keys_of::<Named>());
const CHECK_GRANT: Rule = Rule::new(
    "identity:check_grant",
    concat!(
        "(rule:admin_required) or ((role:reader and system_scope:all) or (",
        within_domain!("reader"),
        ") and (domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s))"
    ),
)
.scopes(ANY_SCOPE)
.deprecated(ADMIN)
.about(keys_of::<Named>());
const MANAGE: &str = concat!(
    "(rule:admin_required) or (",
    within_domain!("admin"),
    ") and (domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s) or (",
    within_domain!("manager"),
    ") and rule:domain_managed_target_role"
);
const CREATE_GRANT: Rule = Rule::new("identity:create_grant", MANAGE)
    .scopes(ANY_SCOPE)
    .deprecated(ADMIN)
    .about(keys_of::<Named>());
const REVOKE_GRANT: Rule = Rule::new("identity:revoke_grant", MANAGE)
    .scopes(ANY_SCOPE)
    .deprecated(ADMIN)
    .about(keys_of::<Named>());

macro_rules! system_rules {
    ($($rule:ident = $name:literal, $check:expr;)*) => {$(
        const $rule: Rule =
            Rule::new($name, $check).scopes(SYSTEM_PROJECT).deprecated(ADMIN).about(keys_of::<Named>());
    )*};
}

system_rules! {
    LIST_SYSTEM_USER = "identity:list_system_grants_for_user", ADMIN_OR_SYSTEM_READER;
    CHECK_SYSTEM_USER = "identity:check_system_grant_for_user", ADMIN_OR_SYSTEM_READER;
    CREATE_SYSTEM_USER = "identity:create_system_grant_for_user", ADMIN;
    REVOKE_SYSTEM_USER = "identity:revoke_system_grant_for_user", ADMIN;
    LIST_SYSTEM_GROUP = "identity:list_system_grants_for_group", ADMIN_OR_SYSTEM_READER;
    CHECK_SYSTEM_GROUP = "identity:check_system_grant_for_group", ADMIN_OR_SYSTEM_READER;
    CREATE_SYSTEM_GROUP = "identity:create_system_grant_for_group", ADMIN;
    REVOKE_SYSTEM_GROUP = "identity:revoke_system_grant_for_group", ADMIN;
}

async fn list(call: Call) -> Result<Reply<Collection<RoleDocument>>, ApiError> {
    let (named, permit) = authorized(&call, Existence::Required).await?;
    named.require_target()?;
    let Place {
        actor,
        target,
        inherited,
        ..
    } = &named.place;
    let roles = call
        .store
        .assignments()
        .list_granted(actor, target, *inherited)
        .await?;
    let documents = roles
        .into_iter()
        .map(|role| RoleDocument::new(role, &call.links))
        .collect();
    Ok(permit.ok(call.collection("roles", documents)))
}

async fn check(call: Call) -> Result<Reply<()>, ApiError> {
    let (named, permit) = authorized(&call, Existence::Required).await?;
    named.require_role()?;
    named.require_target()?;
    let assignment = named.assignment()?;
    if !call.store.assignments().exists(&assignment).await? {
        return Err(not_granted(&assignment));
    }
    Ok(permit.confirmed())
}

async fn create(call: Call) -> Result<Reply<()>, ApiError> {
    let (named, permit) = authorized(&call, Existence::Required).await?;
    let role = named.require_role()?;
    named.require_target()?;
    named.refuse_foreign(role)?;
    let assignment = named.assignment()?;
    let mut tx = call.begin().await?;
    named.require_again(&mut tx, &assignment).await?;
    if !tx.assignments().exists(&assignment).await? {
        match tx.assignments_mut().insert(&assignment).await {
            // Somebody else was faster.
            Err(StoreError::Conflict { .. }) => return Ok(permit.confirmed()),
            outcome => outcome?,
        }
    }
    Ok(permit.done(tx.commit().await?))
}

async fn revoke(call: Call) -> Result<Reply<()>, ApiError> {
    // A grant may outlive its user or group, and must then be removable.
    let (named, permit) = authorized(&call, Existence::OfActorOptional).await?;
    named.require_role()?;
    let assignment = named.assignment()?;
    let mut tx = call.begin().await?;
    // Tokens need not be revoked: what they allow is looked up each time they are validated. And
    // application credentials stay, for the roles that are left.
    if !tx.assignments_mut().delete(&assignment).await? {
        return Err(not_granted(&assignment));
    }
    Ok(permit.done(tx.commit().await?))
}

/// What a path says: who, where, and perhaps which role.
struct Place {
    actor: Actor,
    target: AssignmentTarget,
    role_id: Option<RoleId>,
    inherited: bool,
}

/// What of a path must exist before the policy is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existence {
    Required,
    OfActorOptional,
}

impl Place {
    fn of(call: &Call) -> Self {
        let variable = |name: &str| {
            let found = call.request.variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_str())
        };
        let actor = match variable("user_id") {
            Some(id) => Actor::User(id.into()),
            None => Actor::Group(
                variable("group_id")
                    .expect("the path names a user or a group")
                    .into(),
            ),
        };
        let target = match (variable("project_id"), variable("domain_id")) {
            (Some(id), _) => AssignmentTarget::Project(id.into()),
            (None, Some(id)) => AssignmentTarget::Domain(id.into()),
            (None, None) => {
                let path = call.request.operation.path;
                assert!(path.starts_with("/v3/system/"), "{path} names no target");
                AssignmentTarget::System
            }
        };
        let inherited = call
            .request
            .operation
            .path
            .ends_with("/inherited_to_projects");
        Self {
            actor,
            target,
            role_id: variable("role_id").map(Into::into),
            inherited,
        }
    }
}

/// What a path says, and what of it there is.
struct Named {
    place: Place,
    role: Option<Role>,
    domain: Option<Domain>,
    project: Option<Project>,
    user: Option<User>,
    group: Option<Group>,
}

impl Target for Named {
    const KEYS: Keys = Keys::All(&[
        User::KEYS,
        Group::KEYS,
        Role::KEYS,
        Project::KEYS,
        Domain::KEYS,
    ]);

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        self.user
            .find(key)
            .or_else(|| self.group.find(key))
            .or_else(|| self.role.find(key))
            .or_else(|| self.project.find(key))
            .or_else(|| self.domain.find(key))
    }
}

impl Named {
    fn has_actor(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    fn require_role(&self) -> Result<&Role, ApiError> {
        let id = self.place.role_id.as_ref();
        self.role
            .as_ref()
            .ok_or_else(|| ApiError::not_found("role", id.map_or("", |id| id.as_str())))
    }

    fn require_target(&self) -> Result<(), ApiError> {
        match &self.place.target {
            AssignmentTarget::Domain(id) if self.domain.is_none() => {
                Err(ApiError::not_found("domain", id))
            }
            AssignmentTarget::Project(id) if self.project.is_none() => {
                Err(ApiError::not_found("project", id))
            }
            _ => Ok(()),
        }
    }

    fn require_actor(&self) -> Result<(), ApiError> {
        match &self.place.actor {
            _ if self.has_actor() => Ok(()),
            Actor::User(id) => Err(ApiError::not_found("user", id)),
            Actor::Group(id) => Err(ApiError::not_found("group", id)),
        }
    }

    /// Makes sure of all that a new assignment names, in the transaction that adds it. An actor who
    /// was not there before either is no concern here.
    async fn require_again(&self, tx: &mut Tx, assignment: &Assignment) -> Result<(), ApiError> {
        match &assignment.target {
            AssignmentTarget::Domain(id) => tx.domains_mut().require(id).await?,
            AssignmentTarget::Project(id) => tx.projects_mut().require(id).await?,
            AssignmentTarget::System => {}
        }
        match &assignment.actor {
            _ if !self.has_actor() => {}
            Actor::User(id) => tx.users_mut().require(id).await?,
            Actor::Group(id) => tx.groups_mut().require(id).await?,
        }
        Ok(tx.roles_mut().require(&assignment.role_id).await?)
    }

    /// Refuses a role of one domain on the projects of others and on the system. The reference
    /// lets it pass on other domains, where it comes to what it implies.
    fn refuse_foreign(&self, role: &Role) -> Result<(), ApiError> {
        let Some(domain_id) = &role.domain_id else {
            return Ok(());
        };
        match &self.place.target {
            AssignmentTarget::Domain(_) => Ok(()),
            AssignmentTarget::System => Err(ApiError::BadRequest(format!(
                "Role {} is a domain-specific role. Unable to use a domain-specific role in a \
                 system assignment.",
                role.id
            ))),
            AssignmentTarget::Project(id) => {
                let owner = self.project.as_ref().and_then(|it| it.domain_id.as_ref());
                if owner == Some(domain_id) {
                    return Ok(());
                }
                Err(ApiError::Forbidden(format!(
                    "Project {id} must be in the same domain as the role {} being assigned.",
                    role.id
                )))
            }
        }
    }

    fn assignment(&self) -> Result<Assignment, ApiError> {
        let place = &self.place;
        Ok(Assignment {
            role_id: self.require_role()?.id.clone(),
            actor: place.actor.clone(),
            target: place.target.clone(),
            inherited: place.inherited,
        })
    }
}

/// Looks up what the path names, and asks the policy about it.
///
/// What is missing is told before the policy is asked; of an inherited grant only after it has
/// agreed, and then the actor is not missed at all.
async fn authorized(call: &Call, existence: Existence) -> Result<(Named, Permit), ApiError> {
    call.require_token()?;
    let mut place = Place::of(call);
    let role = match &place.role_id {
        None => None,
        Some(id) => call.store.roles().find(id).await?,
    };
    let (domain, project) = match &place.target {
        AssignmentTarget::System => (None, None),
        AssignmentTarget::Domain(id) => (call.store.domains().find(id).await?, None),
        AssignmentTarget::Project(id) => (None, call.store.projects().find(id).await?),
    };
    let (user, group) = match &place.actor {
        Actor::User(id) => {
            let user = call.store.users().find(id).await?;
            (user, None)
        }
        Actor::Group(id) => {
            let group = call.store.groups().find(id).await?;
            (None, group)
        }
    };
    // From here on by the ids that are stored: MariaDB finds them by other spellings as well.
    if let Some(user) = &user {
        place.actor = Actor::User(user.id.clone());
    }
    if let Some(group) = &group {
        place.actor = Actor::Group(group.id.clone());
    }
    if let Some(domain) = &domain {
        place.target = AssignmentTarget::Domain(domain.id.clone());
    }
    if let Some(project) = &project {
        place.target = AssignmentTarget::Project(project.id.clone());
    }
    let named = Named {
        place,
        role,
        domain,
        project,
        user,
        group,
    };
    if !named.place.inherited {
        if named.place.role_id.is_some() {
            named.require_role()?;
        }
        if existence == Existence::Required {
            named.require_actor()?;
        }
        named.require_target()?;
    }
    let rules = call.request.operation.rules;
    let rule = rules
        .first()
        .copied()
        .expect("every operation on grants has one rule");
    let permit = call.authorize(rule, &named)?;
    Ok((named, permit))
}

fn not_granted(assignment: &Assignment) -> ApiError {
    ApiError::NotFoundAs(format!(
        "Could not find role assignment with role: {}, user or group: {}, project, domain, or \
         system: {}.",
        assignment.role_id,
        assignment.actor.id(),
        assignment.target.id()
    ))
}
