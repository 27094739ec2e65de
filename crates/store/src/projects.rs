//! Projects. Domains share their table, marked by `is_domain` and a reserved owner.

use model::Timestamp;
use model::ids::{DomainId, GroupId, ProjectId, UserId};
use model::json;
use model::listing::Page;
use model::project::{Project, ProjectFilter, ProjectLimit, ResourceOptions, TagFilter};

use crate::assignments::GLOBAL_ROLE;
use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::{Where, find_each};
use crate::memberships::GroupsOf;
use crate::value::{FromRow, Row, Value};

/// The row above all domains, which is never shown.
pub(crate) const ROOT: &str = "<<keystone.domain.root>>";

/// The option `immutable` in `project_option` and `role_option`.
pub(crate) const IMMUTABLE: &str = "IMMU";

stored! {
    Project as project, "project." {
        "id" = &project.id,
        "domain_id" = project.domain_id.as_ref().map_or(ROOT, |id| id.as_str()),
        "parent_id" = project.parent_id.as_ref(),
        "is_domain" = project.is_domain(),
    } changing {
        "name" = &project.name,
        "description" = project.description.as_deref(),
        "enabled" = project.enabled,
        "extra" = json::spaced(&project.extra),
    }
}

const COLUMNS: &str = columns!();

/// Reads projects.
pub struct Projects<'a> {
    pub(crate) db: Conn<'a>,
}

impl Projects<'_> {
    /// Finds a project, or a domain acting as one, by id; `None` when there is none.
    pub async fn find(&mut self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        let found = format!("SELECT {COLUMNS} FROM project WHERE id = ? AND id <> ?");
        let values = vec![id.into(), ROOT.into()];
        Ok(self.read("", &found, "id", values).await?.pop())
    }

    /// Lists projects by id.
    pub async fn list(
        &mut self,
        filter: &ProjectFilter,
        page: &Page,
    ) -> Result<Vec<Project>, StoreError> {
        let dialect = self.db.dialect();
        let mut conditions = Where::default();
        conditions
            .and("id <> ?", [ROOT])
            .equals("id", filter.id.as_ref())
            .equals("domain_id", filter.domain_id.as_ref())
            .equals("domain_id", filter.within.as_ref())
            .equals("enabled", filter.enabled)
            .equals("parent_id", filter.parent_id.as_ref())
            .equals("is_domain", filter.is_domain)
            // All domains are owned by the root, which is how an index finds them.
            .equals("domain_id", filter.is_domain.filter(|is| *is).map(|_| ROOT))
            .text(dialect, "name", filter.name.as_ref())
            .after("id", page);
        for tags in &filter.tags {
            tag_condition(&mut conditions, tags);
        }
        let found = conditions.statement(&format!("SELECT {COLUMNS} FROM project"), "id", page);
        self.read("", &found, "id", conditions.into_values()).await
    }

    /// Lists by id the projects on which a user holds a role in effect: directly, through a group,
    /// or inherited from above. Roles of single domains count when they imply another.
    ///
    /// `groups` are those that a federated login brought, beyond the stored memberships.
    pub async fn list_of_user(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
        filter: &ProjectFilter,
        now: Timestamp,
    ) -> Result<Vec<Project>, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, groups, now);
        let mut conditions = Where::default();
        conditions
            .and("is_domain = ?", [false])
            .equals("domain_id", filter.domain_id.as_ref())
            .equals("enabled", filter.enabled)
            .text(self.db.dialect(), "name", filter.name.as_ref());
        let (given, given_values) = groups.assignments(
            "type, target_id, inherited",
            "'UserProject', 'UserDomain'",
            "'GroupProject', 'GroupDomain'",
            "role_id IN (SELECT id FROM useful)",
            &[],
        );
        let tables = format!(
            "{USEFUL_ROLES}, \
             given (type, target_id, inherited) AS ({given}), \
             below (id) AS ( \
               SELECT project.id FROM project \
               JOIN given ON given.target_id = project.parent_id AND given.inherited = ? \
               UNION SELECT project.id FROM below JOIN project ON project.parent_id = below.id), "
        );
        // What is given and what is inherited together, to begin with: by `OR` no index would serve.
        let head = format!(
            "SELECT {COLUMNS} FROM ( \
               SELECT id AS held_id FROM below UNION SELECT target_id FROM given \
               WHERE inherited = ? AND type IN ('UserProject', 'GroupProject')) held \
             CROSS JOIN project"
        );
        conditions
            .before([false])
            .and::<Value>("project.id = held_id", []);
        let found = head + &conditions.clause();
        let mut values: Vec<Value> = vec![GLOBAL_ROLE.into()];
        values.extend(given_values);
        values.push(true.into());
        values.extend(conditions.into_values());
        self.read(&tables, &found, "id", values).await
    }

    /// The same for domains, where nothing is inherited. They are given as the projects that
    /// stand for them.
    pub(crate) async fn list_domains_of_user(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
        now: Timestamp,
    ) -> Result<Vec<Project>, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, groups, now);
        let (given, given_values) = groups.assignments(
            "target_id",
            "'UserDomain'",
            "'GroupDomain'",
            "role_id IN (SELECT id FROM useful) AND inherited = ?",
            &[false.into()],
        );
        let found = format!(
            "SELECT {COLUMNS} FROM ({given}) given JOIN project ON project.id = given.target_id \
             WHERE is_domain = ?"
        );
        let mut values: Vec<Value> = vec![GLOBAL_ROLE.into()];
        values.extend(given_values);
        values.push(true.into());
        let tables = format!("{USEFUL_ROLES}, ");
        self.read(&tables, &found, "id", values).await
    }

    /// Finds each of some projects by its domain and name; in their order, `None` for one that there
    /// is not.
    pub async fn find_each_named(
        &mut self,
        names: &[(DomainId, String)],
    ) -> Result<Vec<Option<ProjectId>>, StoreError> {
        let each = "SELECT id, name FROM project WHERE domain_id = ? AND name = ?";
        let mut values: Vec<[Value; 2]> = Vec::with_capacity(names.len());
        for (domain_id, name) in names {
            values.push([domain_id.into(), name.into()]);
        }
        find_each(&mut self.db, each, values).await
    }

    /// Whether a project has projects below it.
    pub async fn has_children(&mut self, id: &ProjectId) -> Result<bool, StoreError> {
        let rows = self
            .db
            .query("SELECT id FROM project WHERE parent_id = ? LIMIT 1")
            .bind(id)
            .rows()
            .await?;
        Ok(!rows.is_empty())
    }

    /// The first, by id, of the immutable projects of a domain.
    pub async fn find_immutable(
        &mut self,
        domain_id: &DomainId,
    ) -> Result<Option<ProjectId>, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT project.id FROM project \
                 JOIN project_option ON project_option.project_id = project.id \
                 WHERE domain_id = ? AND option_id = ? AND option_value = ? \
                 ORDER BY project.id LIMIT 1",
            )
            .bind(domain_id)
            .bind(IMMUTABLE)
            .bind(true.to_string())
            .rows()
            .await?;
        rows.first().map(|row| row.id("id")).transpose()
    }

    /// The projects from a project's parent up to its domain, nearest first.
    pub async fn ancestors(&mut self, id: &ProjectId) -> Result<Vec<Project>, StoreError> {
        let above = "above (id, depth) AS ( \
               SELECT parent_id, 1 FROM project WHERE id = ? \
               UNION ALL \
               SELECT project.parent_id, above.depth + 1 \
               FROM above JOIN project ON project.id = above.id WHERE above.depth < 100), ";
        let found =
            format!("SELECT {COLUMNS}, depth FROM above JOIN project ON project.id = above.id");
        self.read(above, &found, "depth, id", vec![id.into()]).await
    }

    /// All projects below a project, parents before their children.
    pub async fn descendants(&mut self, id: &ProjectId) -> Result<Vec<Project>, StoreError> {
        let below = "below (id, depth) AS ( \
               SELECT id, 1 FROM project WHERE parent_id = ? \
               UNION ALL \
               SELECT project.id, below.depth + 1 \
               FROM below JOIN project ON project.parent_id = below.id \
               WHERE below.depth < 100), ";
        let found =
            format!("SELECT {COLUMNS}, depth FROM below JOIN project ON project.id = below.id");
        self.read(below, &found, "depth, id", vec![id.into()]).await
    }

    /// All limits of the projects of a domain.
    pub async fn list_limits(
        &mut self,
        domain_id: &DomainId,
    ) -> Result<Vec<ProjectLimit>, StoreError> {
        self.db
            .query(
                "SELECT l.id, l.project_id, r.service_id, r.region_id, r.resource_name, \
                        l.resource_limit, l.description \
                 FROM \"limit\" l JOIN project ON project.id = l.project_id \
                 LEFT JOIN registered_limit r ON r.id = l.registered_limit_id \
                 WHERE project.domain_id = ? ORDER BY l.id",
            )
            .bind(domain_id)
            .all()
            .await
    }

    /// Reads projects with their tags and options in one statement, whatever their number.
    ///
    /// `found` selects the projects, and `tables` are the table expressions that it needs, each
    /// with a comma behind it.
    async fn read(
        &mut self,
        tables: &str,
        found: &str,
        order: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Project>, StoreError> {
        // One row for each tag and one for the option: to join both would repeat the option.
        let sql = format!(
            "WITH RECURSIVE {tables}found AS ({found}) \
             SELECT found.*, project_tag.name AS tag, NULL AS immutable FROM found \
             LEFT JOIN project_tag ON project_tag.project_id = found.id \
             UNION ALL \
             SELECT found.*, NULL, project_option.option_value FROM found \
             JOIN project_option ON project_option.project_id = found.id \
               AND project_option.option_id = '{IMMUTABLE}' \
             ORDER BY {order}"
        );
        let rows = self.db.built_query(sql).bind_all(values).rows().await?;
        gather(&rows)
    }
}

/// Changes projects, in a transaction.
pub struct ProjectsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ProjectsMut<'_> {
    /// The same for several projects.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] for the first that there is not.
    pub async fn require_all(&mut self, ids: &[ProjectId]) -> Result<(), StoreError> {
        let ids = ids.iter().map(ProjectId::as_str);
        let ids = ids.collect();
        self.tx.require_all("project", ids, "project").await
    }

    /// Adds a project. The unique index decides about names: to read first would race.
    pub async fn insert(&mut self, project: &Project) -> Result<(), StoreError> {
        self.tx
            .insert("project", Entity::New, Project::INSERT)
            .bind_all(project.values())
            .execute()
            .await
            .map_err(|error| error.on_unique("project"))?;
        self.write_labels(project).await
    }

    /// Writes all attributes of a project that may change.
    pub(crate) async fn update(&mut self, project: &Project) -> Result<(), StoreError> {
        // A domain is part of what is known of its users and projects, too.
        let entity = match project.is_domain() {
            true => Entity::Any,
            false => Entity::from(&project.id),
        };
        self.tx
            .update(
                "project",
                entity,
                format!("{} WHERE id = ?", Project::UPDATE),
            )
            .bind_all(project.changing())
            .bind(&project.id)
            .execute()
            .await
            .map_err(|error| error.on_unique("project"))?;
        for table in ["project_tag", "project_option"] {
            self.delete_labels(table, &project.id).await?;
        }
        self.write_labels(project).await
    }

    /// Removes a project and everything that hangs on it alone: role assignments, credentials,
    /// limits, endpoint associations, and its place as somebody's default project. Its trusts are
    /// marked as deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such project.
    pub async fn delete(&mut self, id: &ProjectId, now: Timestamp) -> Result<(), StoreError> {
        self.lock(id).await?;
        self.release("= ?", id.into(), now).await?;
        let delete = self.tx.delete("project", id, "WHERE id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }

    /// Removes all projects of a domain, and what hangs on them, in a fixed number of statements.
    pub(crate) async fn delete_of_domain(
        &mut self,
        id: &DomainId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let of_domain = "IN (SELECT id FROM project WHERE domain_id = ?)";
        self.release(of_domain, id.into(), now).await?;
        // MariaDB looks at each row alone: a child must not refer to its parent any more.
        let rest = "SET parent_id = NULL WHERE domain_id = ?";
        let update = self.tx.update("project", Entity::Any, rest);
        update.bind(id).execute().await?;
        let delete = self
            .tx
            .delete("project", Entity::Any, "WHERE domain_id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }

    /// Removes what hangs on some projects; `which` follows the name of a column with their ids.
    async fn release(
        &mut self,
        which: &str,
        value: Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rest = format!("SET deleted_at = ? WHERE project_id {which} AND deleted_at IS NULL");
        let trusts = self.tx.update("trust", Entity::Any, rest);
        trusts.bind(now).bind(value.clone()).execute().await?;
        for (table, column) in [
            (
                "assignment",
                "type IN ('UserProject', 'GroupProject') AND target_id",
            ),
            ("credential", "project_id"),
            ("project_endpoint", "project_id"),
            ("project_endpoint_group", "project_id"),
            ("limit", "project_id"),
        ] {
            let rest = format!("WHERE {column} {which}");
            let delete = self.tx.delete(table, Entity::Any, rest);
            delete.bind(value.clone()).execute().await?;
        }
        let rest = format!("SET default_project_id = NULL WHERE default_project_id {which}");
        let users = self.tx.update("user", Entity::Any, rest);
        users.bind(value.clone()).execute().await?;
        for table in ["project_tag", "project_option"] {
            let rest = format!("WHERE project_id {which}");
            let delete = self.tx.delete(table, Entity::Any, rest);
            delete.bind(value.clone()).execute().await?;
        }
        Ok(())
    }

    async fn write_labels(&mut self, project: &Project) -> Result<(), StoreError> {
        if let Some(immutable) = project.options.immutable {
            self.tx
                .insert(
                    "project_option",
                    Entity::Any,
                    "(project_id, option_id, option_value) VALUES (?, ?, ?)",
                )
                .bind(&project.id)
                .bind(IMMUTABLE)
                .bind(immutable.to_string())
                .execute()
                .await?;
        }
        self.insert_tags(&project.id, &project.tags).await
    }

    async fn insert_tags(&mut self, id: &ProjectId, tags: &[String]) -> Result<(), StoreError> {
        if tags.is_empty() {
            return Ok(());
        }
        let rows = vec!["(?, ?)"; tags.len()].join(", ");
        let rest = format!("(project_id, name) VALUES {rows}");
        let values = tags.iter().flat_map(|tag| [id.as_str(), tag.as_str()]);
        let insert = self.tx.insert("project_tag", Entity::Any, rest);
        // MariaDB takes tags that differ in case only for the same.
        let added = insert.bind_all(values).execute().await;
        added.map_err(|error| error.on_unique("project"))?;
        Ok(())
    }

    async fn delete_labels(
        &mut self,
        table: &'static str,
        id: &ProjectId,
    ) -> Result<(), StoreError> {
        let delete = self.tx.delete(table, Entity::Any, "WHERE project_id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }
}

/// The roles that come to something outside of their own domain, as a common table expression:
/// those of no domain, and those that imply one.
const USEFUL_ROLES: &str = "useful (id) AS ( \
     SELECT id FROM role WHERE domain_id = ? \
     UNION SELECT prior_role_id FROM useful \
     JOIN implied_role ON implied_role_id = useful.id)";

/// `project.id` of those that have any, or all, of some tags.
fn tag_condition(conditions: &mut Where, filter: &TagFilter) {
    let (tags, all, negated) = match filter {
        TagFilter::All(tags) => (tags, true, false),
        TagFilter::Any(tags) => (tags, false, false),
        TagFilter::NotAll(tags) => (tags, true, true),
        TagFilter::NotAny(tags) => (tags, false, true),
    };
    let not = if negated { "NOT " } else { "" };
    let marks = placeholders(tags.len());
    let having = if all {
        format!(" GROUP BY project_id HAVING COUNT(*) = {}", tags.len())
    } else {
        String::new()
    };
    conditions.and(
        format!("id {not}IN (SELECT project_id FROM project_tag WHERE name IN ({marks}){having})"),
        tags,
    );
}

impl FromRow for ProjectLimit {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            project_id: row.id("project_id")?,
            service_id: row.optional_text("service_id")?,
            region_id: row.optional_text("region_id")?,
            resource_name: row.optional_text("resource_name")?,
            resource_limit: row.int("resource_limit")?,
            description: row.optional_text("description")?,
        })
    }
}

/// Makes one project of the rows that follow each other with its id.
fn gather(rows: &[Row]) -> Result<Vec<Project>, StoreError> {
    let mut found: Vec<Project> = Vec::new();
    for row in rows {
        let id: ProjectId = row.id("id")?;
        if found.last().is_none_or(|last| last.id != id) {
            found.push(Project::from_row(row)?);
        }
        let Some(project) = found.last_mut() else {
            continue;
        };
        project.tags.extend(row.optional_text("tag")?);
        if let Some(immutable) = row.json("immutable")?.as_bool() {
            project.options.immutable = Some(immutable);
        }
    }
    for project in &mut found {
        project.tags.sort_unstable();
    }
    Ok(found)
}

impl FromRow for Project {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let acts_as_domain = row.bool("is_domain")?;
        Ok(Self {
            id: row.id("id")?,
            name: row.text("name")?,
            domain_id: if acts_as_domain {
                None
            } else {
                row.optional_id("domain_id")?
            },
            parent_id: row.optional_id("parent_id")?,
            description: row.optional_text("description")?,
            enabled: row.bool("enabled")?,
            tags: Vec::new(),
            options: ResourceOptions::default(),
            extra: row.extra("extra")?,
        })
    }
}
