//! Projects. Domains share their table, marked by `is_domain` and a reserved owner.

use std::collections::HashMap;

use model::ids::{GroupId, ProjectId, UserId};
use model::listing::Page;
use model::project::{Project, ProjectFilter, ResourceOptions, TagFilter};

use crate::assignments::{GLOBAL_ROLE, actors, membership};
use crate::db::Conn;
use crate::error::StoreError;
use crate::filter::{Where, placeholders};
use crate::value::{FromRow, Row, Value};

/// The row above all domains, which is never shown.
pub(crate) const ROOT: &str = "<<keystone.domain.root>>";

/// The option `immutable` in `project_option` and `role_option`.
pub(crate) const IMMUTABLE: &str = "IMMU";

const COLUMNS: &str = "id, name, domain_id, parent_id, description, enabled, is_domain, extra";

/// Projects of the database.
pub struct Projects<'a> {
    pub(crate) db: Conn<'a>,
}

impl Projects<'_> {
    /// Finds a project, or a domain acting as one, by id; `None` when there is none.
    pub async fn find(&mut self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        let found = self
            .db
            .query(
                "SELECT id, name, domain_id, parent_id, description, enabled, is_domain, extra \
                 FROM project WHERE id = ? AND id <> ?",
            )
            .bind(id)
            .bind(ROOT)
            .optional::<Project>()
            .await?;
        let mut found = Vec::from_iter(found);
        self.add_labels(&mut found).await?;
        Ok(found.pop())
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
            .equals("enabled", filter.enabled)
            .equals("parent_id", filter.parent_id.as_ref())
            .equals("is_domain", filter.is_domain)
            .text(dialect, "name", filter.name.as_ref())
            .after("id", page);
        for tags in &filter.tags {
            tag_condition(&mut conditions, tags);
        }
        let sql = conditions.statement(&format!("SELECT {COLUMNS} FROM project"), "id", page);
        let mut found = self
            .db
            .built_query(sql)
            .bind_all(conditions.into_values())
            .all::<Project>()
            .await?;
        if let Some(name) = &filter.name {
            found.retain(|project| name.holds_beyond_sql(&project.name));
        }
        self.add_labels(&mut found).await?;
        Ok(found)
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
    ) -> Result<Vec<Project>, StoreError> {
        let members = membership(groups);
        let mut conditions = Where::default();
        conditions
            .and("is_domain = ?", [false])
            .and(
                "(id IN (SELECT id FROM below) OR id IN ( \
                   SELECT target_id FROM given WHERE inherited = ? \
                   AND type IN ('UserProject', 'GroupProject')))",
                [false],
            )
            .equals("domain_id", filter.domain_id.as_ref())
            .equals("enabled", filter.enabled)
            .text(self.db.dialect(), "name", filter.name.as_ref());
        let head = format!(
            "WITH RECURSIVE {USEFUL_ROLES}, \
             given (type, target_id, inherited) AS ( \
               SELECT type, target_id, inherited FROM assignment \
               WHERE role_id IN (SELECT id FROM useful) \
                 AND ((type IN ('UserProject', 'UserDomain') AND actor_id = ?) \
                   OR (type IN ('GroupProject', 'GroupDomain') AND actor_id IN ({members})))), \
             below (id) AS ( \
               SELECT project.id FROM project \
               JOIN given ON given.target_id = project.parent_id AND given.inherited = ? \
               UNION SELECT project.id FROM below JOIN project ON project.parent_id = below.id) \
             SELECT {COLUMNS} FROM project"
        );
        let sql = conditions.statement(&head, "id", &Page::default());
        let mut values: Vec<Value> = vec![GLOBAL_ROLE.into()];
        values.extend(actors(user_id, groups));
        values.push(true.into());
        values.extend(conditions.into_values());
        let query = self.db.built_query(sql).bind_all(values);
        let mut found = query.all::<Project>().await?;
        if let Some(name) = &filter.name {
            found.retain(|project| name.holds_beyond_sql(&project.name));
        }
        self.add_labels(&mut found).await?;
        Ok(found)
    }

    /// The same for domains, where nothing is inherited. They are given as the projects that
    /// stand for them.
    pub(crate) async fn list_domains_of_user(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
    ) -> Result<Vec<Project>, StoreError> {
        let members = membership(groups);
        let sql = format!(
            "WITH RECURSIVE {USEFUL_ROLES} \
             SELECT {COLUMNS} FROM project WHERE is_domain = ? AND id IN ( \
               SELECT target_id FROM assignment \
               WHERE role_id IN (SELECT id FROM useful) AND inherited = ? \
                 AND ((type = 'UserDomain' AND actor_id = ?) \
                   OR (type = 'GroupDomain' AND actor_id IN ({members})))) ORDER BY id"
        );
        let mut values: Vec<Value> = vec![GLOBAL_ROLE.into(), true.into(), false.into()];
        values.extend(actors(user_id, groups));
        let query = self.db.built_query(sql).bind_all(values);
        let mut found = query.all::<Project>().await?;
        self.add_labels(&mut found).await?;
        Ok(found)
    }

    /// Adds a project. The unique index judges names: to read first would race.
    pub async fn insert(&mut self, project: &Project) -> Result<(), StoreError> {
        self.db
            .query(
                "INSERT INTO project \
                 (id, name, domain_id, parent_id, description, enabled, is_domain, extra) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&project.id)
            .bind(&project.name)
            .bind(project.domain_id.as_ref().map_or(ROOT, |id| id.as_str()))
            .bind(project.parent_id.as_ref())
            .bind(project.description.as_deref())
            .bind(project.enabled)
            .bind(project.is_domain())
            .bind(serde_json::Value::Object(project.extra.clone()).to_string())
            .execute()
            .await
            .map_err(|error| error.on_unique("project"))?;
        self.write_labels(project).await
    }

    /// Writes all attributes of a project that may change.
    pub async fn update(&mut self, project: &Project) -> Result<(), StoreError> {
        self.db
            .query(
                "UPDATE project SET name = ?, description = ?, enabled = ?, extra = ? \
                 WHERE id = ?",
            )
            .bind(&project.name)
            .bind(project.description.as_deref())
            .bind(project.enabled)
            .bind(serde_json::Value::Object(project.extra.clone()).to_string())
            .bind(&project.id)
            .execute()
            .await
            .map_err(|error| error.on_unique("project"))?;
        for table in ["project_tag", "project_option"] {
            self.delete_labels(table, &project.id).await?;
        }
        self.write_labels(project).await
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

    /// The projects from a project's parent up to its domain, nearest first.
    pub async fn ancestors(&mut self, id: &ProjectId) -> Result<Vec<Project>, StoreError> {
        let mut found = self
            .db
            .query(
                "WITH RECURSIVE above (id, depth) AS ( \
                   SELECT parent_id, 1 FROM project WHERE id = ? \
                   UNION ALL \
                   SELECT project.parent_id, above.depth + 1 \
                   FROM above JOIN project ON project.id = above.id \
                   WHERE above.depth < 100) \
                 SELECT project.id, name, domain_id, parent_id, description, enabled, is_domain, \
                        extra \
                 FROM above JOIN project ON project.id = above.id ORDER BY above.depth",
            )
            .bind(id)
            .all::<Project>()
            .await?;
        self.add_labels(&mut found).await?;
        Ok(found)
    }

    /// All projects below a project, parents before their children.
    pub async fn descendants(&mut self, id: &ProjectId) -> Result<Vec<Project>, StoreError> {
        let mut found = self
            .db
            .query(
                "WITH RECURSIVE below (id, depth) AS ( \
                   SELECT id, 1 FROM project WHERE parent_id = ? \
                   UNION ALL \
                   SELECT project.id, below.depth + 1 \
                   FROM below JOIN project ON project.parent_id = below.id \
                   WHERE below.depth < 100) \
                 SELECT project.id, name, domain_id, parent_id, description, enabled, is_domain, \
                        extra \
                 FROM below JOIN project ON project.id = below.id ORDER BY below.depth, project.id",
            )
            .bind(id)
            .all::<Project>()
            .await?;
        self.add_labels(&mut found).await?;
        Ok(found)
    }

    /// Removes a project and everything that hangs on it alone: role assignments, credentials,
    /// limits, endpoint associations, and its place as somebody's default project.
    pub async fn delete(&mut self, id: &ProjectId) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM assignment WHERE target_id = ? \
             AND type IN ('UserProject', 'GroupProject')",
            "DELETE FROM credential WHERE project_id = ?",
            "DELETE FROM project_endpoint WHERE project_id = ?",
            "DELETE FROM project_endpoint_group WHERE project_id = ?",
            "DELETE FROM \"limit\" WHERE project_id = ?",
            "UPDATE \"user\" SET default_project_id = NULL WHERE default_project_id = ?",
            "DELETE FROM project_tag WHERE project_id = ?",
            "DELETE FROM project_option WHERE project_id = ?",
            "DELETE FROM project WHERE id = ?",
        ] {
            self.db.query(statement).bind(id).execute().await?;
        }
        Ok(())
    }

    /// Replaces the tags of a project.
    pub async fn replace_tags(
        &mut self,
        id: &ProjectId,
        tags: &[String],
    ) -> Result<(), StoreError> {
        self.delete_labels("project_tag", id).await?;
        self.insert_tags(id, tags).await
    }

    /// Reads tags and options of all the given projects in one statement.
    async fn add_labels(&mut self, projects: &mut [Project]) -> Result<(), StoreError> {
        if projects.is_empty() {
            return Ok(());
        }
        let marks = placeholders(projects.len());
        let sql = format!(
            "SELECT project_id, NULL AS option_id, name AS value FROM project_tag \
             WHERE project_id IN ({marks}) \
             UNION ALL \
             SELECT project_id, option_id, option_value AS value FROM project_option \
             WHERE project_id IN ({marks})"
        );
        let ids = || projects.iter().map(|project| &project.id);
        let rows = self
            .db
            .built_query(sql)
            .bind_all(ids().chain(ids()))
            .rows()
            .await?;
        let mut places = HashMap::with_capacity(projects.len());
        for (place, project) in projects.iter().enumerate() {
            places.insert(project.id.clone(), place);
        }
        for row in rows {
            let Some(&place) = places.get(&row.id("project_id")?) else {
                continue;
            };
            match row.optional_text("option_id")?.as_deref() {
                None => projects[place].tags.push(row.text("value")?),
                Some(IMMUTABLE) => {
                    projects[place].options.immutable = row.json("value")?.as_bool();
                }
                Some(_) => {}
            }
        }
        for project in projects {
            project.tags.sort_unstable();
        }
        Ok(())
    }

    async fn write_labels(&mut self, project: &Project) -> Result<(), StoreError> {
        if let Some(immutable) = project.options.immutable {
            self.db
                .query(
                    "INSERT INTO project_option (project_id, option_id, option_value) \
                     VALUES (?, ?, ?)",
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
        let sql = format!("INSERT INTO project_tag (project_id, name) VALUES {rows}");
        let values = tags.iter().flat_map(|tag| [id.as_str(), tag.as_str()]);
        self.db.built_query(sql).bind_all(values).execute().await?;
        Ok(())
    }

    async fn delete_labels(
        &mut self,
        table: &'static str,
        id: &ProjectId,
    ) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM {table} WHERE project_id = ?");
        self.db.built_query(sql).bind(id).execute().await?;
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
