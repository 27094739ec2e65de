//! Groups of users, and who belongs to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::Timestamp;
use model::ids::{DomainId, GroupId, UserId};
use model::json;
use model::listing::Page;
use model::user::{Group, GroupFilter, Membership};

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::memberships::{self, ENDING, GroupsOf};
use crate::value::{FromRow, Row, Value};

stored! {
    Group as group, "g." {
        id: "id" (id) = &group.id,
        domain_id: "domain_id" (id) = &group.domain_id,
    } changing {
        name: "name" (text) = &group.name,
        description: "description" (optional_text) = group.description.as_deref(),
        extra: "extra" (extra) = json::spaced(&group.extra),
    }
}

/// Reads groups.
pub struct Groups<'a> {
    pub(crate) db: Conn<'a>,
}

/// How many groups are asked for by one statement.
const TOGETHER: usize = 1000;

const COLUMNS: &str = columns!();

impl Groups<'_> {
    /// Finds a group by id; `None` when there is none.
    pub async fn find(&mut self, id: &GroupId) -> Result<Option<Group>, StoreError> {
        let sql = format!(r#"SELECT {COLUMNS} FROM "group" g WHERE g.id = ?"#);
        self.db.built_query(sql).bind(id).optional().await
    }

    /// Lists groups by id.
    pub async fn list(
        &mut self,
        filter: &GroupFilter,
        page: &Page,
    ) -> Result<Vec<Group>, StoreError> {
        let dialect = self.db.dialect();
        let mut conditions = Where::default();
        conditions
            .equals("g.domain_id", filter.domain_id.as_ref())
            .equals("g.domain_id", filter.within.as_ref())
            .text(dialect, "g.name", filter.name.as_ref())
            .after("g.id", page);
        let head = format!(r#"SELECT {COLUMNS} FROM "group" g"#);
        let sql = conditions.statement(&head, "g.id", page);
        let query = self.db.built_query(sql).bind_all(conditions.into_values());
        query.all().await
    }

    /// Lists the groups of a user by id: lasting memberships, and those that a federated login
    /// brought and that have not ended by `now`.
    pub async fn list_of_user(
        &mut self,
        user_id: &UserId,
        filter: &GroupFilter,
        now: Timestamp,
    ) -> Result<Vec<Membership>, StoreError> {
        let dialect = self.db.dialect();
        let end = memberships::end(&self.db);
        let lasting = (
            r#"NULL AS ends_at FROM "group" g JOIN user_group_membership m ON m.group_id = g.id"#
                .to_owned(),
            None,
        );
        let ending = (
            format!(r#"{end} AS ends_at FROM {ENDING} JOIN "group" g ON g.id = m.group_id"#),
            Some((format!("{end} > ?"), now)),
        );
        let mut found: Vec<Membership> = Vec::new();
        for (tables, alive) in [lasting, ending] {
            let mut conditions = Where::default();
            conditions
                .and("m.user_id = ?", [user_id])
                .equals("g.domain_id", filter.domain_id.as_ref())
                .equals("g.domain_id", filter.within.as_ref())
                .text(dialect, "g.name", filter.name.as_ref());
            if let Some((alive, now)) = alive {
                conditions.and(alive, [now]);
            }
            let head = format!("SELECT {COLUMNS}, {tables}");
            let sql = conditions.statement(&head, "g.id", &Page::default());
            let query = self.db.built_query(sql).bind_all(conditions.into_values());
            found.extend(query.all::<Membership>().await?);
        }
        Ok(found)
    }

    /// When the first membership of a user ends that a federated login brought; `None` when none does.
    pub(crate) async fn first_end(
        &mut self,
        user_id: &UserId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, &[], now);
        let sql = format!("SELECT ({}) AS ends_at", groups.first_end());
        let values = groups.first_end_values();
        let rows = self.db.built_query(sql).bind_all(values).rows().await?;
        rows.first()
            .map_or(Ok(None), |row| row.optional_time("ends_at"))
    }

    /// Finds each of some groups by its id; in their order, `None` for one that there is not.
    pub async fn find_each(&mut self, ids: &[GroupId]) -> Result<Vec<Option<GroupId>>, StoreError> {
        let mut known: HashSet<GroupId> = HashSet::new();
        for ids in ids.chunks(TOGETHER) {
            let marks = placeholders(ids.len());
            let sql = format!(r#"SELECT id FROM "group" WHERE id IN ({marks})"#);
            for row in self.db.built_query(sql).bind_all(ids).rows().await? {
                known.insert(row.id("id")?);
            }
        }
        // Letter by letter, whatever the database thinks.
        Ok(ids.iter().map(|id| known.get(id).cloned()).collect())
    }

    /// Finds each of some groups by its domain and name, as [`Groups::find_each`].
    pub async fn find_each_named(
        &mut self,
        names: &[(DomainId, String)],
    ) -> Result<Vec<Option<GroupId>>, StoreError> {
        let mut by_domain: BTreeMap<&DomainId, Vec<&str>> = BTreeMap::new();
        for (domain_id, name) in names {
            by_domain.entry(domain_id).or_default().push(name);
        }
        let mut known: HashMap<(&DomainId, String), GroupId> = HashMap::new();
        for (domain_id, names) in by_domain {
            for names in names.chunks(TOGETHER) {
                let marks = placeholders(names.len());
                let sql = format!(
                    r#"SELECT id, name FROM "group" WHERE domain_id = ? AND name IN ({marks})"#
                );
                let query = self.db.built_query(sql).bind(domain_id);
                for row in query.bind_all(names.iter().copied()).rows().await? {
                    known.insert((domain_id, row.text("name")?), row.id("id")?);
                }
            }
        }
        let found = names.iter().map(|(domain_id, name)| {
            // To MariaDB `ádmins` is `admins`: who may choose the one is not meant to get the other.
            known.get(&(domain_id, name.clone())).cloned()
        });
        Ok(found.collect())
    }

    /// Whether a group was given any role.
    pub async fn holds_roles(&mut self, id: &GroupId) -> Result<bool, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT role_id FROM assignment WHERE actor_id = ? \
                 AND type IN ('GroupProject', 'GroupDomain') \
                 UNION SELECT role_id FROM system_assignment WHERE actor_id = ? \
                 AND type = 'GroupSystem'",
            )
            .bind(id)
            .bind(id)
            .rows()
            .await?;
        Ok(!rows.is_empty())
    }

    /// Whether a user is a member of a group now, for good or for a while.
    pub async fn is_member(
        &mut self,
        id: &GroupId,
        user_id: &UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let groups = GroupsOf::user(&self.db, user_id, &[], now);
        let sql = format!(
            r#"SELECT g.id FROM "group" g WHERE g.id = ? AND g.id IN ({})"#,
            groups.ids()
        );
        let query = self.db.built_query(sql).bind(id).bind_all(groups.values());
        Ok(!query.rows().await?.is_empty())
    }

    /// Whether a user is a lasting member of a group.
    pub async fn has_member(&mut self, id: &GroupId, user_id: &UserId) -> Result<bool, StoreError> {
        let rows = self
            .db
            .query("SELECT user_id FROM user_group_membership WHERE group_id = ? AND user_id = ?")
            .bind(id)
            .bind(user_id)
            .rows()
            .await?;
        Ok(!rows.is_empty())
    }
}

/// Changes groups, in a transaction.
pub struct GroupsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl GroupsMut<'_> {
    /// Adds a group. The unique index decides about names: to read first would race.
    pub async fn insert(&mut self, group: &Group) -> Result<(), StoreError> {
        self.tx
            .insert("group", Entity::New, Group::INSERT)
            .bind_all(group.values())
            .execute()
            .await
            .map_err(|error| error.on_unique("group"))?;
        Ok(())
    }

    /// Writes all attributes of a group that may change.
    pub(crate) async fn update(&mut self, group: &Group) -> Result<(), StoreError> {
        self.tx
            .update(
                "group",
                Entity::Any,
                format!("{} WHERE id = ?", Group::UPDATE),
            )
            .bind_all(group.changing())
            .bind(&group.id)
            .execute()
            .await
            .map_err(|error| error.on_unique("group"))?;
        Ok(())
    }

    /// Removes a group with its memberships and role assignments.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such group.
    pub async fn delete(&mut self, id: &GroupId) -> Result<(), StoreError> {
        self.lock(id).await?;
        self.release("= ?", id.into()).await?;
        let delete = self.tx.delete("group", Entity::Any, "WHERE id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }

    /// Removes all groups of a domain, and what hangs on them, in a fixed number of statements.
    pub(crate) async fn delete_of_domain(&mut self, id: &DomainId) -> Result<(), StoreError> {
        let of_domain = r#"IN (SELECT id FROM "group" WHERE domain_id = ?)"#;
        self.release(of_domain, id.into()).await?;
        let delete = self.tx.delete("group", Entity::Any, "WHERE domain_id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }

    /// Removes what hangs on some groups; `which` follows the name of a column with their ids.
    async fn release(&mut self, which: &str, value: Value) -> Result<(), StoreError> {
        for (table, column) in [
            (
                "assignment",
                "type IN ('GroupProject', 'GroupDomain') AND actor_id",
            ),
            ("system_assignment", "type = 'GroupSystem' AND actor_id"),
            // In the order in which the index by user has them, too: SQLite then comes to each of its
            // pages once.
            ("user_group_membership", "user_id >= '' AND group_id"),
            ("expiring_user_group_membership", "group_id"),
            ("id_mapping", "public_id"),
        ] {
            let rest = format!("WHERE {column} {which}");
            let delete = self.tx.delete(table, Entity::Any, rest);
            delete.bind(value.clone()).execute().await?;
        }
        Ok(())
    }

    /// Adds a member.
    pub async fn insert_member(
        &mut self,
        id: &GroupId,
        user_id: &UserId,
    ) -> Result<(), StoreError> {
        self.tx
            .insert(
                "user_group_membership",
                user_id,
                "(group_id, user_id) VALUES (?, ?)",
            )
            .bind(id)
            .bind(user_id)
            .execute()
            .await
            .map_err(|error| error.on_unique("user_group_membership"))?;
        Ok(())
    }

    /// Removes a member; tells whether there was one.
    pub async fn delete_member(
        &mut self,
        id: &GroupId,
        user_id: &UserId,
    ) -> Result<bool, StoreError> {
        let removed = self
            .tx
            .delete(
                "user_group_membership",
                user_id,
                "WHERE group_id = ? AND user_id = ?",
            )
            .bind(id)
            .bind(user_id)
            .execute()
            .await?;
        Ok(removed > 0)
    }
}

impl FromRow for Membership {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            group: Group::from_row(row)?,
            expires_at: row.optional_time("ends_at")?,
        })
    }
}
