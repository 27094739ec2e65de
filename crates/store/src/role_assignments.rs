//! Lists of role assignments, as given and expanded to who holds them where.
//!
//! Each list is one statement that reads only what its filters select, and costs the same number
//! of statements whatever its length.

use std::collections::HashMap;
use std::hash::Hash;

use model::Timestamp;
use model::assignment::{Actor, AssignmentFilter, AssignmentTarget, Held, RoleGraph, RoleNode};
use model::ids::{DomainId, ProjectId, RoleId, UserId};

use crate::assignments::{Assignments, GLOBAL_ROLE};
use crate::db::Each;
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::memberships::GroupsOf;
use crate::projects::ROOT;
use crate::value::{Row, Value};

/// A list of assignments.
#[derive(Debug, Default)]
pub struct HeldRoles {
    /// Who holds what where.
    pub held: Vec<Held>,
    /// What users and groups are called; empty unless names were asked for.
    pub actors: HashMap<Actor, Name>,
    /// What projects and domains are called; empty unless names were asked for.
    pub targets: HashMap<AssignmentTarget, Name>,
}

/// How something is called, and the id and name of the domain that owns it, if one does.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// Its name.
    pub name: String,
    /// The domain's id and name.
    pub domain: Option<(DomainId, String)>,
}

/// Whether those of whom a list is asked are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mentioned {
    /// Whether there is such a user.
    pub user: bool,
    /// The project's domain, when there is such a project; `None` inside when it is a domain.
    pub project: Option<Option<DomainId>>,
}

impl Assignments<'_> {
    /// Looks up a user and a project, in one statement.
    pub async fn mentioned(
        &mut self,
        user_id: Option<&UserId>,
        project_id: Option<&ProjectId>,
    ) -> Result<Mentioned, StoreError> {
        let mut found = Mentioned::default();
        if user_id.is_none() && project_id.is_none() {
            return Ok(found);
        }
        let rows = self
            .db
            .query(
                "SELECT 'user' AS kind, domain_id FROM \"user\" WHERE id = ? \
                 UNION ALL SELECT 'project', domain_id FROM project WHERE id = ? AND id <> ?",
            )
            .bind(user_id)
            .bind(project_id)
            .bind(ROOT)
            .rows()
            .await?;
        for row in &rows {
            if row.text("kind")? == "user" {
                found.user = true;
            } else {
                found.project =
                    Some(Some(row.id("domain_id")?).filter(|id: &DomainId| id.as_str() != ROOT));
            }
        }
        Ok(found)
    }

    /// The assignments as they were given.
    pub async fn list_given(
        &mut self,
        filter: &AssignmentFilter,
        names: bool,
    ) -> Result<HeldRoles, StoreError> {
        let mut sql = Sql::default();
        let system_alone = filter.target == Some(AssignmentTarget::System);
        let mut parts = Vec::new();
        if !system_alone {
            parts.push(given_on_projects_and_domains(filter));
        }
        if (system_alone || filter.target.is_none()) && filter.within.is_none() {
            parts.push(given_on_the_system(filter));
        }
        if parts.is_empty() {
            return Ok(HeldRoles::default());
        }
        sql.push("WITH RECURSIVE ");
        if let (true, Some(AssignmentTarget::Project(id))) = (filter.subtree, &filter.target) {
            sql.tree(id);
            sql.push(", ");
        }
        sql.push("held (kind, actor_id, group_id, origin_id, target_id, role_id, inherited) AS (");
        for (number, (part, conditions)) in parts.into_iter().enumerate() {
            sql.push(if number == 0 { "" } else { " UNION ALL " });
            sql.select(&part, conditions);
        }
        sql.push(") ");
        self.read(sql, names).await
    }

    /// Who holds roles by them on what: groups replaced by their members, and what is inherited
    /// by each project that inherits it; without what is implied, and without the system.
    ///
    /// With a role, the assignments of those that imply it are listed too. As in Keystone, the
    /// memberships that an identity provider brought count when one user is asked of.
    pub async fn list_expanded(
        &mut self,
        filter: &AssignmentFilter,
        names: bool,
        now: Timestamp,
    ) -> Result<HeldRoles, StoreError> {
        let user_id = match &filter.actor {
            None => None,
            Some(Actor::User(id)) => Some(id),
            // Members hold what was given to a group.
            Some(Actor::Group(_)) => return Ok(HeldRoles::default()),
        };
        let project_id = match &filter.target {
            Some(AssignmentTarget::Project(id)) => Some(id),
            Some(AssignmentTarget::Domain(_) | AssignmentTarget::System) | None => None,
        };
        let mut sql = Sql::default();
        sql.push("WITH RECURSIVE ");
        if let Some(role_id) = &filter.role_id {
            sql.push(
                "reaching (id) AS (SELECT id FROM role WHERE id = ? \
                   UNION SELECT prior_role_id FROM reaching \
                   JOIN implied_role ON implied_role_id = reaching.id), ",
            );
            sql.values.push(role_id.into());
        }
        if let Some(id) = project_id {
            if filter.subtree {
                sql.tree(id);
            } else {
                sql.push("tree (id) AS (SELECT id FROM project WHERE id = ?)");
                sql.values.push(id.into());
            }
            // From the projects that are asked for up to what they inherit from.
            sql.push(
                ", heir (origin_id, id) AS (\
                   SELECT parent_id, id FROM project WHERE id IN (SELECT id FROM tree) \
                   UNION SELECT project.parent_id, heir.id FROM heir \
                   JOIN project ON project.id = heir.origin_id), \
                 concerned (id) AS (\
                   SELECT id FROM tree UNION SELECT origin_id FROM heir), ",
            );
        }
        sql.push("given (kind, user_id, group_id, target_id, role_id, inherited) AS (");
        let mut conditions = expanded_conditions(filter, "'UserProject'", "'UserDomain'");
        conditions.equals("actor_id", user_id);
        sql.push(
            "SELECT CASE type WHEN 'UserProject' THEN 'UserProject' ELSE 'UserDomain' END, \
             actor_id, NULL, target_id, role_id, inherited FROM ",
        );
        // Where to begin, which SQLite does where a `CROSS JOIN` does: at the few that an index leads from.
        let (begin, joined) = match (user_id, project_id, &filter.role_id) {
            (None, Some(_), _) => ("concerned CROSS JOIN ", Some("target_id = concerned.id")),
            (None, None, Some(_)) if filter.target.is_none() => {
                ("reaching CROSS JOIN ", Some("role_id = reaching.id"))
            }
            _ => ("", None),
        };
        if let Some(joined) = joined {
            conditions.and::<Value>(joined, []);
        }
        sql.push(begin);
        sql.select("assignment", conditions);
        sql.push(" UNION ALL ");
        sql.push(
            "SELECT CASE type WHEN 'GroupProject' THEN 'UserProject' ELSE 'UserDomain' END, \
             member.user_id, actor_id, target_id, role_id, inherited FROM ",
        );
        let mut conditions = expanded_conditions(filter, "'GroupProject'", "'GroupDomain'");
        conditions.and::<Value>("member.group_id = actor_id", []);
        if let Some(joined) = joined {
            conditions.and::<Value>(joined, []);
        }
        match user_id {
            None => {
                sql.push(begin);
                sql.push("assignment CROSS JOIN user_group_membership member");
            }
            Some(user_id) => {
                let groups = GroupsOf::user(&self.db, user_id, &[], now);
                // The type of a value that is selected has to be said.
                sql.push(&format!(
                    "(SELECT u.id AS user_id, joined.group_id FROM \"user\" u \
                     CROSS JOIN ({}) joined WHERE u.id = ?) member CROSS JOIN assignment",
                    groups.ids()
                ));
                sql.values.extend(groups.values());
                sql.values.push(user_id.into());
            }
        }
        sql.select("", conditions);
        sql.push("), ");
        if project_id.is_none() {
            // From what was given down to the projects that inherit it.
            let join = self.db.dialect().join_in_order();
            // MariaDB would look at all projects for those that inherit.
            sql.push(&format!(
                "heir (origin_id, id) AS (\
                   SELECT parent_id, project.id FROM given {join} project \
                   WHERE given.inherited = ? AND parent_id = given.target_id \
                   UNION SELECT heir.origin_id, project.id FROM heir {join} project \
                   WHERE project.parent_id = heir.id), ",
            ));
            sql.values.push(true.into());
        }
        sql.push("held (kind, actor_id, group_id, origin_id, target_id, role_id, inherited) AS (");
        let mut on_target = Where::default();
        on_target.and("inherited = ?", [false]);
        within(&mut on_target, filter, "kind = 'UserDomain'", "target_id");
        sql.select(
            "SELECT kind, user_id, group_id, NULL, target_id, role_id, inherited FROM given",
            on_target,
        );
        sql.push(" UNION ALL ");
        let mut below_target = Where::default();
        below_target.and("inherited = ?", [true]);
        if let Some(domain_id) = &filter.within {
            below_target.and(
                "heir.id IN (SELECT id FROM project WHERE domain_id = ?)",
                [domain_id],
            );
        }
        sql.select(
            "SELECT kind, user_id, group_id, given.target_id, heir.id, role_id, inherited \
             FROM given JOIN heir ON heir.origin_id = given.target_id",
            below_target,
        );
        sql.push(") ");
        self.read(sql, names).await
    }

    /// Some roles, those that they imply, and so on, with their names.
    pub async fn role_graph(&mut self, role_ids: &[RoleId]) -> Result<RoleGraph, StoreError> {
        let mut graph = RoleGraph::new();
        if role_ids.is_empty() {
            return Ok(graph);
        }
        let sql = format!(
            "WITH RECURSIVE reached (role_id) AS ( \
               SELECT id FROM role WHERE id IN ({}) \
               UNION SELECT implied_role_id FROM reached \
               JOIN implied_role ON prior_role_id = reached.role_id) \
             SELECT role.id, role.name, role.domain_id, owner.name AS domain_name, \
               implied_role_id \
             FROM reached JOIN role ON role.id = reached.role_id \
             LEFT JOIN project owner ON owner.id = role.domain_id \
             LEFT JOIN implied_role ON prior_role_id = role.id \
             ORDER BY role.id, implied_role_id",
            placeholders(role_ids.len())
        );
        let rows = self.db.built_query(sql).bind_all(role_ids).rows().await?;
        for row in &rows {
            let domain_id: DomainId = row.id("domain_id")?;
            let domain_name = row.optional_text("domain_name")?.unwrap_or_default();
            let node = RoleNode {
                name: row.text("name")?,
                domain: (domain_id.as_str() != GLOBAL_ROLE).then_some((domain_id, domain_name)),
                implies: Vec::new(),
            };
            let node = graph.entry(row.id("id")?).or_insert(node);
            node.implies.extend(row.optional_id("implied_role_id")?);
        }
        Ok(graph)
    }

    /// Reads what the statement's `held` comes to.
    async fn read(&mut self, mut sql: Sql, names: bool) -> Result<HeldRoles, StoreError> {
        sql.push(
            "SELECT held.kind, actor_id, held.group_id, origin_id, target_id, role_id, inherited",
        );
        if names {
            sql.push(NAMES);
        } else {
            sql.push(" FROM held");
        }
        sql.push(" ORDER BY target_id, actor_id, role_id, held.kind, inherited, held.group_id, origin_id");
        let query = self.db.built_query(sql.text).bind_all(sql.values);
        let each: Each<HeldRoles> = match names {
            true => |list, row| {
                let held = held(&row)?;
                learn(&mut list.actors, &held.actor, &row, "actor")?;
                learn(&mut list.targets, &held.target, &row, "target")?;
                list.held.push(held);
                Ok(())
            },
            false => |list, row| {
                list.held.push(held(&row)?);
                Ok(())
            },
        };
        query.fold(each).await
    }
}

/// The names of those who hold roles and of what they hold them on.
const NAMES: &str = r#",
    COALESCE(local_user.name, nonlocal_user.name,
      (SELECT MIN(display_name) FROM federated_user WHERE federated_user.user_id = u.id),
      g.name) AS actor_name,
    actor_domain.id AS actor_domain_id, actor_domain.name AS actor_domain_name,
    target.name AS target_name,
    target_domain.id AS target_domain_id, target_domain.name AS target_domain_name
  FROM held
  LEFT JOIN "user" u ON u.id = actor_id AND held.kind LIKE 'User%'
  LEFT JOIN local_user ON local_user.user_id = u.id
  LEFT JOIN nonlocal_user ON nonlocal_user.user_id = u.id
  LEFT JOIN "group" g ON g.id = actor_id AND held.kind LIKE 'Group%'
  LEFT JOIN project actor_domain ON actor_domain.id = COALESCE(u.domain_id, g.domain_id)
  LEFT JOIN project target ON target.id = target_id
  LEFT JOIN project target_domain ON target_domain.id = target.domain_id"#;

/// Assignments on projects and domains as they were given, and which of them.
fn given_on_projects_and_domains(filter: &AssignmentFilter) -> (String, Where) {
    let mut conditions = Where::default();
    match &filter.actor {
        None => {}
        Some(Actor::User(id)) => {
            conditions.and(
                "type IN ('UserProject', 'UserDomain') AND actor_id = ?",
                [id],
            );
        }
        Some(Actor::Group(id)) => {
            conditions.and(
                "type IN ('GroupProject', 'GroupDomain') AND actor_id = ?",
                [id],
            );
        }
    }
    match &filter.target {
        None | Some(AssignmentTarget::System) => {}
        Some(AssignmentTarget::Project(_)) if filter.subtree => {
            conditions.and::<Value>(
                "type IN ('UserProject', 'GroupProject') AND target_id = tree.id",
                [],
            );
        }
        Some(AssignmentTarget::Project(id)) => {
            conditions.and(
                "type IN ('UserProject', 'GroupProject') AND target_id = ?",
                [id],
            );
        }
        Some(AssignmentTarget::Domain(id)) => {
            conditions.and(
                "type IN ('UserDomain', 'GroupDomain') AND target_id = ?",
                [id],
            );
        }
    }
    conditions
        .equals("role_id", filter.role_id.as_ref())
        .equals("inherited", filter.inherited);
    within(
        &mut conditions,
        filter,
        "type IN ('UserDomain', 'GroupDomain')",
        "target_id",
    );
    owned_alone(&mut conditions, filter);
    // The type is an enum on two databases, and such a column fits no other one.
    let head = "SELECT CASE type WHEN 'UserProject' THEN 'UserProject' \
                WHEN 'GroupProject' THEN 'GroupProject' WHEN 'UserDomain' THEN 'UserDomain' \
                ELSE 'GroupDomain' END AS kind, actor_id, NULL AS group_id, NULL AS origin_id, \
                target_id, role_id, inherited FROM ";
    // SQLite begins at the left of a `CROSS JOIN`: at the few projects.
    let tables = match &filter.target {
        Some(AssignmentTarget::Project(_)) if filter.subtree => "tree CROSS JOIN assignment",
        _ => "assignment",
    };
    (format!("{head}{tables}"), conditions)
}

/// Assignments on the system, of which none is inherited whatever the filter says.
fn given_on_the_system(filter: &AssignmentFilter) -> (String, Where) {
    let mut conditions = Where::default();
    match &filter.actor {
        None => {}
        Some(Actor::User(id)) => {
            conditions.and("type = 'UserSystem' AND actor_id = ?", [id]);
        }
        Some(Actor::Group(id)) => {
            conditions.and("type = 'GroupSystem' AND actor_id = ?", [id]);
        }
    }
    conditions
        .and::<Value>("target_id = 'system'", [])
        .equals("role_id", filter.role_id.as_ref());
    let head = "SELECT type AS kind, actor_id, NULL AS group_id, NULL AS origin_id, target_id, \
                role_id, inherited FROM system_assignment";
    (head.to_owned(), conditions)
}

/// Which assignments of a kind of actor may come to something that the filter asks for.
fn expanded_conditions(filter: &AssignmentFilter, project: &str, domain: &str) -> Where {
    let mut conditions = Where::default();
    match &filter.target {
        // Nothing is held on the system by what was given elsewhere.
        None | Some(AssignmentTarget::System) => {
            conditions.and::<Value>(format!("type IN ({project}, {domain})"), []);
            conditions.equals("inherited", filter.inherited);
            // What is inherited within a domain was given there.
            owned_alone(&mut conditions, filter);
        }
        Some(AssignmentTarget::Domain(id)) => {
            // A domain inherits nothing.
            conditions
                .and(format!("type = {domain} AND target_id = ?"), [id])
                .and("inherited = ?", [false]);
        }
        Some(AssignmentTarget::Project(_)) => {
            // By the type SQLite would find a part of all assignments, and by the target few.
            let on_target = format!(
                "(CASE WHEN type = {project} THEN 1 ELSE 0 END = 1 AND inherited = ? \
                 AND target_id IN (SELECT id FROM tree))"
            );
            let above_target = format!(
                "(CASE WHEN type IN ({project}, {domain}) THEN 1 ELSE 0 END = 1 AND inherited = ? \
                 AND target_id IN (SELECT origin_id FROM heir))"
            );
            match filter.inherited {
                None => conditions.and(format!("({on_target} OR {above_target})"), [false, true]),
                Some(false) => conditions.and(on_target, [false]),
                Some(true) => conditions.and(above_target, [true]),
            };
        }
    }
    if filter.role_id.is_some() {
        conditions.and::<Value>("role_id IN (SELECT id FROM reaching)", []);
    }
    conditions
}

/// Adds that the target is the caller's domain or a project that it owns.
fn within(conditions: &mut Where, filter: &AssignmentFilter, on_domain: &str, target: &str) {
    if let Some(domain_id) = &filter.within {
        conditions.and(
            format!(
                "CASE WHEN {on_domain} THEN {target} ELSE \
                 (SELECT domain_id FROM project WHERE project.id = {target}) END = ?"
            ),
            [domain_id],
        );
    }
}

/// Adds where an index finds what may belong to the caller's domain, when no filter is there that selects
/// less than that.
fn owned_alone(conditions: &mut Where, filter: &AssignmentFilter) {
    let is_filtered = filter.actor.is_some() || filter.target.is_some() || filter.role_id.is_some();
    if let (Some(domain_id), false) = (&filter.within, is_filtered) {
        conditions.and(
            "target_id IN (SELECT id FROM project WHERE domain_id = ? OR id = ?)",
            [domain_id, domain_id],
        );
    }
}

/// A statement that grows together with its values.
#[derive(Default)]
struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The table `tree`: a project and all that are below it.
    fn tree(&mut self, id: &ProjectId) {
        self.push(
            "tree (id) AS (SELECT id FROM project WHERE id = ? \
               UNION SELECT project.id FROM tree JOIN project ON project.parent_id = tree.id)",
        );
        self.values.push(id.into());
    }

    fn select(&mut self, head: &str, conditions: Where) {
        self.push(head);
        self.push(&conditions.clause());
        self.values.extend(conditions.into_values());
    }
}

fn held(row: &Row) -> Result<Held, StoreError> {
    let kind = row.text("kind")?;
    let actor = row.text("actor_id")?;
    let target = row.text("target_id")?;
    let target = match kind.as_str() {
        "UserProject" | "GroupProject" => AssignmentTarget::Project(target.into()),
        "UserDomain" | "GroupDomain" => AssignmentTarget::Domain(target.into()),
        _ => AssignmentTarget::System,
    };
    let (target, origin) = match row.optional_text("origin_id")? {
        None => (target, None),
        // The kind is that of what was given; only projects inherit.
        Some(origin) => {
            let origin = match target {
                AssignmentTarget::Domain(_) => AssignmentTarget::Domain(origin.into()),
                _ => AssignmentTarget::Project(origin.into()),
            };
            (
                AssignmentTarget::Project(row.id("target_id")?),
                Some(origin),
            )
        }
    };
    Ok(Held {
        actor: if kind.starts_with("User") {
            Actor::User(actor.into())
        } else {
            Actor::Group(actor.into())
        },
        target,
        role_id: row.id("role_id")?,
        inherited: row.bool("inherited")?,
        group_id: row.optional_id("group_id")?,
        origin,
        prior_role_id: None,
    })
}

/// Notes the name of something that a row is about.
fn learn<Key: Clone + Eq + Hash>(
    names: &mut HashMap<Key, Name>,
    key: &Key,
    row: &Row,
    what: &str,
) -> Result<(), StoreError> {
    if names.contains_key(key) {
        return Ok(());
    }
    let Some(name) = row.optional_text(&format!("{what}_name"))? else {
        return Ok(());
    };
    let domain_id: Option<DomainId> = row.optional_id(&format!("{what}_domain_id"))?;
    let domain = match domain_id.filter(|id| id.as_str() != ROOT) {
        Some(id) => Some((id, row.text(&format!("{what}_domain_name"))?)),
        None => None,
    };
    names.insert(key.clone(), Name { name, domain });
    Ok(())
}
