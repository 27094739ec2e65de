//! Role assignments: who holds which role on what.

use model::Timestamp;
use model::assignment::{Actor, Assignment, AssignmentTarget, EffectiveRoles};
use model::ids::{DomainId, GroupId, ProjectId, RoleId, UserId};
use model::role::Role;

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::memberships::GroupsOf;
use crate::roles::{COLUMNS, OPTIONS};
use crate::value::{FromRow, Value};

/// Reads role assignments.
pub struct Assignments<'a> {
    pub(crate) db: Conn<'a>,
}

impl Assignments<'_> {
    /// The roles that a user was given on projects directly, which are not inherited.
    pub async fn list_on_projects(
        &mut self,
        user_id: &UserId,
    ) -> Result<Vec<(ProjectId, RoleId)>, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT target_id, role_id FROM assignment \
                 WHERE type = 'UserProject' AND actor_id = ? AND inherited = ?",
            )
            .bind(user_id)
            .bind(false)
            .rows()
            .await?;
        let pairs = rows.iter();
        pairs
            .map(|row| Ok((row.id("target_id")?, row.id("role_id")?)))
            .collect()
    }

    /// The roles that an actor was given on a target.
    pub async fn list_granted(
        &mut self,
        actor: &Actor,
        target: &AssignmentTarget,
        inherited: bool,
    ) -> Result<Vec<Role>, StoreError> {
        let (table, _) = table_and_type(actor, target);
        // As in Keystone, the type does not count: a domain's id stands for the domain and for
        // the project that it can act as.
        let sql = format!(
            "SELECT {COLUMNS} FROM role {OPTIONS} \
             WHERE role.id IN (SELECT role_id FROM {table} \
               WHERE actor_id = ? AND target_id = ? AND inherited = ?) \
             ORDER BY role.id"
        );
        self.db
            .built_query(sql)
            .bind(actor.id())
            .bind(target.id())
            .bind(inherited)
            .all()
            .await
    }

    /// Whether there is such an assignment.
    pub async fn exists(&mut self, assignment: &Assignment) -> Result<bool, StoreError> {
        let (table, kind) = place(assignment);
        let sql = format!(
            "SELECT role_id FROM {table} WHERE type = '{kind}' AND actor_id = ? \
             AND target_id = ? AND role_id = ? AND inherited = ?"
        );
        let rows = self
            .db
            .built_query(sql)
            .bind(assignment.actor.id())
            .bind(assignment.target.id())
            .bind(&assignment.role_id)
            .bind(assignment.inherited)
            .rows()
            .await?;
        Ok(!rows.is_empty())
    }

    /// The roles that a user holds in effect on a project: directly, through groups, inherited
    /// from above, and implied by another; without the roles of single domains.
    ///
    /// `brought` are the groups of a federated login, beyond the stored memberships; the tokens of
    /// such a login carry roles on the system, too.
    pub async fn effective_on_project(
        &mut self,
        user_id: &UserId,
        brought: Option<&[GroupId]>,
        project_id: &ProjectId,
        now: Timestamp,
    ) -> Result<EffectiveRoles, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, brought.unwrap_or_default(), now);
        let (on_project, on_project_values) = groups.assignments(
            "role_id",
            "'UserProject'",
            "'GroupProject'",
            "target_id = ? AND inherited = ?",
            &[project_id.into(), false.into()],
        );
        let (inherited, inherited_values) = groups.assignments(
            "role_id",
            "'UserProject', 'UserDomain'",
            "'GroupProject', 'GroupDomain'",
            "target_id IN (SELECT id FROM above) AND inherited = ?",
            &[true.into()],
        );
        let held = format!(
            "above (id) AS ( \
               SELECT parent_id FROM project WHERE id = ? \
               UNION SELECT project.parent_id FROM above JOIN project ON project.id = above.id), \
             held (role_id) AS ( \
               {on_project} UNION {inherited} \
               UNION SELECT implied_role_id FROM held \
               JOIN implied_role ON prior_role_id = held.role_id)"
        );
        let mut values: Vec<Value> = vec![project_id.into()];
        values.extend(on_project_values);
        values.extend(inherited_values);
        let also = brought.map(|brought| SystemRoles::of(user_id, brought));
        self.read_effective(&held, values, &groups, also).await
    }

    /// The same on a domain, where nothing is inherited.
    pub async fn effective_on_domain(
        &mut self,
        user_id: &UserId,
        brought: Option<&[GroupId]>,
        domain_id: &DomainId,
        now: Timestamp,
    ) -> Result<EffectiveRoles, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, brought.unwrap_or_default(), now);
        let (on_domain, values) = groups.assignments(
            "role_id",
            "'UserDomain'",
            "'GroupDomain'",
            "target_id = ? AND inherited = ?",
            &[domain_id.into(), false.into()],
        );
        let held = format!(
            "held (role_id) AS ( \
               {on_domain} \
               UNION SELECT implied_role_id FROM held \
               JOIN implied_role ON prior_role_id = held.role_id)"
        );
        let also = brought.map(|brought| SystemRoles::of(user_id, brought));
        self.read_effective(&held, values, &groups, also).await
    }

    /// The same on the whole deployment.
    pub async fn effective_on_system(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
        now: Timestamp,
    ) -> Result<EffectiveRoles, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, groups, now);
        let members = groups.ids();
        let held = format!(
            "held (role_id) AS ( \
               SELECT role_id FROM system_assignment \
               WHERE ((type = 'UserSystem' AND actor_id = ?) \
                   OR (type = 'GroupSystem' AND actor_id IN ({members}))) \
                 AND target_id = 'system' \
               UNION SELECT implied_role_id FROM held \
               JOIN implied_role ON prior_role_id = held.role_id)"
        );
        self.read_effective(&held, groups.actors(), &groups, None)
            .await
    }

    /// Reads the roles of `held`, and how long they can be relied on.
    async fn read_effective(
        &mut self,
        held: &str,
        mut values: Vec<Value>,
        groups: &GroupsOf<'_>,
        also: Option<SystemRoles>,
    ) -> Result<EffectiveRoles, StoreError> {
        let (carried, more) = match also {
            None => ("held".to_owned(), Vec::new()),
            Some(SystemRoles { sql, values }) => {
                (format!("(SELECT role_id FROM held UNION {sql})"), values)
            }
        };
        let sql = format!(
            "WITH RECURSIVE {held} SELECT {COLUMNS}, ({}) AS ends_at \
             FROM {carried} AS carried \
             JOIN role ON role.id = carried.role_id {OPTIONS} WHERE role.domain_id = ? \
             ORDER BY role.name, role.id",
            groups.first_end()
        );
        values.extend(groups.first_end_values());
        values.extend(more);
        values.push(GLOBAL_ROLE.into());
        let rows = self.db.built_query(sql).bind_all(values).rows().await?;
        let ends_at = match rows.first() {
            Some(row) => row.optional_time("ends_at")?,
            None => None,
        };
        let roles = rows.iter().map(Role::from_row);
        Ok(EffectiveRoles {
            roles: roles.collect::<Result<_, _>>()?,
            ends_at,
        })
    }

    /// Whether a user holds a role on the whole deployment, or one of these groups does. Stored
    /// memberships do not count.
    pub async fn holds_system_role(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
    ) -> Result<bool, StoreError> {
        let SystemRoles { sql, values } = SystemRoles::of(user_id, groups);
        let rows = self.db.built_query(sql).bind_all(values).rows().await?;
        Ok(!rows.is_empty())
    }

    /// What some roles come to, with all that they imply; without the roles of single domains.
    pub async fn with_implied(
        &mut self,
        role_ids: &[model::ids::RoleId],
    ) -> Result<Vec<Role>, StoreError> {
        if role_ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "WITH RECURSIVE held (role_id) AS ( \
               SELECT id FROM role WHERE id IN ({}) \
               UNION SELECT implied_role_id FROM held \
               JOIN implied_role ON prior_role_id = held.role_id) \
             SELECT {COLUMNS} FROM held JOIN role ON role.id = held.role_id {OPTIONS} \
             WHERE role.domain_id = ? ORDER BY role.name, role.id",
            placeholders(role_ids.len())
        );
        self.db
            .built_query(sql)
            .bind_all(role_ids)
            .bind(GLOBAL_ROLE)
            .all()
            .await
    }
}

/// Changes role assignments, in a transaction.
pub struct AssignmentsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl AssignmentsMut<'_> {
    /// Adds an assignment.
    pub async fn insert(&mut self, assignment: &Assignment) -> Result<(), StoreError> {
        let (table, kind) = place(assignment);
        // The type is an enum on two databases, which take a literal and no bound text.
        let rest = format!(
            "(type, actor_id, target_id, role_id, inherited) VALUES ('{kind}', ?, ?, ?, ?)"
        );
        self.tx
            .insert(table, whose(&assignment.actor), rest)
            .bind(assignment.actor.id())
            .bind(assignment.target.id())
            .bind(&assignment.role_id)
            .bind(assignment.inherited)
            .execute()
            .await
            .map_err(|error| error.on_unique("role assignment"))?;
        Ok(())
    }

    /// Removes an assignment; tells whether it was there.
    pub async fn delete(&mut self, assignment: &Assignment) -> Result<bool, StoreError> {
        let (table, kind) = place(assignment);
        let rest = format!(
            "WHERE type = '{kind}' AND actor_id = ? AND target_id = ? AND role_id = ? \
             AND inherited = ?"
        );
        let removed = self
            .tx
            .delete(table, whose(&assignment.actor), rest)
            .bind(assignment.actor.id())
            .bind(assignment.target.id())
            .bind(&assignment.role_id)
            .bind(assignment.inherited)
            .execute()
            .await?;
        Ok(removed > 0)
    }
}

/// A query for the roles on the whole deployment, without what they imply. Keystone adds them to
/// the project and domain tokens of federated logins, and to no others.
struct SystemRoles {
    sql: String,
    values: Vec<Value>,
}

impl SystemRoles {
    /// Those of a user, and of groups that a login brought. Stored memberships do not count.
    fn of(user_id: &UserId, groups: &[GroupId]) -> Self {
        let mut sql = "SELECT role_id FROM system_assignment \
                       WHERE (type = 'UserSystem' AND actor_id = ?)"
            .to_owned();
        if !groups.is_empty() {
            let marks = placeholders(groups.len());
            sql.push_str(&format!(
                " OR (type = 'GroupSystem' AND actor_id IN ({marks}))"
            ));
        }
        let mut values = vec![Value::from(user_id)];
        values.extend(groups.iter().map(Value::from));
        Self { sql, values }
    }
}

/// Whose roles an assignment to an actor changes.
fn whose(actor: &Actor) -> Entity<'_> {
    match actor {
        Actor::User(id) => id.into(),
        Actor::Group(_) => Entity::Any,
    }
}

/// The table of an assignment and its type there.
fn place(assignment: &Assignment) -> (&'static str, &'static str) {
    table_and_type(&assignment.actor, &assignment.target)
}

fn table_and_type(actor: &Actor, target: &AssignmentTarget) -> (&'static str, &'static str) {
    match (actor, target) {
        (Actor::User(_), AssignmentTarget::Project(_)) => ("assignment", "UserProject"),
        (Actor::Group(_), AssignmentTarget::Project(_)) => ("assignment", "GroupProject"),
        (Actor::User(_), AssignmentTarget::Domain(_)) => ("assignment", "UserDomain"),
        (Actor::Group(_), AssignmentTarget::Domain(_)) => ("assignment", "GroupDomain"),
        (Actor::User(_), AssignmentTarget::System) => ("system_assignment", "UserSystem"),
        (Actor::Group(_), AssignmentTarget::System) => ("system_assignment", "GroupSystem"),
    }
}

/// `role.domain_id` of the roles that belong to no domain.
pub(crate) const GLOBAL_ROLE: &str = "<<null>>";
