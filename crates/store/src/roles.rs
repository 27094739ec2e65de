//! Roles, and which role implies which.

use model::ids::{DomainId, RoleId};
use model::json;
use model::listing::Page;
use model::project::ResourceOptions;
use model::role::{Role, RoleFilter};

use crate::assignments::GLOBAL_ROLE;
use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::projects::IMMUTABLE;
use crate::value::{FromRow, Row};

stored! {
    Role as role, "role." {
        "id" = &role.id,
        "domain_id" = role.domain_id.as_ref().map_or(GLOBAL_ROLE, |id| id.as_str()),
    } changing {
        "name" = &role.name,
        "description" = role.description.as_deref(),
        "extra" = json::spaced(&role.extra),
    }
}

/// Reads roles.
pub struct Roles<'a> {
    pub(crate) db: Conn<'a>,
}

macro_rules! options {
    () => {
        "LEFT JOIN role_option ON role_option.role_id = role.id AND option_id = 'IMMU'"
    };
}

/// What a role is read from.
pub(crate) const COLUMNS: &str = concat!(columns!(), ", option_value");

/// Where its options are, beside the table `role`.
pub(crate) const OPTIONS: &str = options!();

/// A role with its only known option.
macro_rules! roles {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", option_value FROM role ",
            options!(),
            " ",
            $rest
        )
    };
}

impl Roles<'_> {
    /// Finds a role by id.
    pub async fn find(&mut self, id: &RoleId) -> Result<Option<Role>, StoreError> {
        self.db
            .query(roles!("WHERE role.id = ?"))
            .bind(id)
            .optional()
            .await
    }

    /// Finds a role by name, within a domain or among those of none.
    pub async fn find_by_name(
        &mut self,
        name: &str,
        domain_id: Option<&DomainId>,
    ) -> Result<Option<Role>, StoreError> {
        self.db
            .query(roles!("WHERE role.name = ? AND role.domain_id = ?"))
            .bind(name)
            .bind(domain_id.map_or(GLOBAL_ROLE, |id| id.as_str()))
            .optional()
            .await
    }

    /// Lists roles by id.
    pub async fn list(
        &mut self,
        filter: &RoleFilter,
        page: &Page,
    ) -> Result<Vec<Role>, StoreError> {
        let dialect = self.db.dialect();
        let mut conditions = Where::default();
        let domain_id = filter
            .domain_id
            .as_ref()
            .map_or(GLOBAL_ROLE, |id| id.as_str());
        conditions.and("role.domain_id = ?", [domain_id]).text(
            dialect,
            "role.name",
            filter.name.as_ref(),
        );
        conditions.after("role.id", page);
        let sql = conditions.statement(roles!(""), "role.id", page);
        let query = self.db.built_query(sql).bind_all(conditions.into_values());
        let mut found = query.all::<Role>().await?;
        if let Some(name) = &filter.name {
            found.retain(|role| name.holds_beyond_sql(&role.name));
        }
        Ok(found)
    }

    /// The roles of these names, in whatever domain.
    pub async fn list_by_names(&mut self, names: &[&str]) -> Result<Vec<Role>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let head = roles!("WHERE");
        let marks = placeholders(names.len());
        let sql = format!("{head} role.name IN ({marks}) ORDER BY role.id");
        self.db
            .built_query(sql)
            .bind_all(names.iter().copied())
            .all()
            .await
    }

    /// Which role implies which, directly.
    pub async fn list_implications(&mut self) -> Result<Vec<(RoleId, RoleId)>, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT prior_role_id, implied_role_id FROM implied_role \
                 ORDER BY prior_role_id, implied_role_id",
            )
            .rows()
            .await?;
        rows.iter()
            .map(|row| Ok((row.id("prior_role_id")?, row.id("implied_role_id")?)))
            .collect()
    }

    /// Finds several roles by id.
    pub async fn find_all(&mut self, ids: &[RoleId]) -> Result<Vec<Role>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let marks = placeholders(ids.len());
        let sql = format!("{} WHERE role.id IN ({marks}) ORDER BY role.id", roles!(""));
        self.db.built_query(sql).bind_all(ids).all().await
    }

    /// Whether one role implies another directly.
    pub async fn implies(&mut self, prior: &RoleId, implied: &RoleId) -> Result<bool, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT prior_role_id FROM implied_role \
                 WHERE prior_role_id = ? AND implied_role_id = ?",
            )
            .bind(prior)
            .bind(implied)
            .rows()
            .await?;
        Ok(!rows.is_empty())
    }

    /// The roles that a role implies directly.
    pub async fn list_implied(&mut self, prior: &RoleId) -> Result<Vec<Role>, StoreError> {
        self.db
            .query(roles!(
                "JOIN implied_role ON implied_role_id = role.id WHERE prior_role_id = ? \
                 ORDER BY role.id"
            ))
            .bind(prior)
            .all()
            .await
    }
}

/// Changes roles, in a transaction.
pub struct RolesMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl RolesMut<'_> {
    /// The same for several roles.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] for the first that there is not.
    pub async fn require_all(&mut self, ids: &[RoleId]) -> Result<(), StoreError> {
        let ids = ids.iter().map(RoleId::as_str);
        self.tx.require_all("role", ids.collect(), "role").await
    }

    /// Adds a role.
    pub async fn insert(&mut self, role: &Role) -> Result<(), StoreError> {
        self.tx
            .insert("role", Entity::New, Role::INSERT)
            .bind_all(role.values())
            .execute()
            .await
            .map_err(|error| error.on_unique("role"))?;
        self.write_options(role).await
    }

    /// Writes all attributes of a role that may change.
    pub(crate) async fn update(&mut self, role: &Role) -> Result<(), StoreError> {
        self.tx
            .update(
                "role",
                Entity::Any,
                format!("{} WHERE id = ?", Role::UPDATE),
            )
            .bind_all(role.changing())
            .bind(&role.id)
            .execute()
            .await
            .map_err(|error| error.on_unique("role"))?;
        self.tx
            .delete("role_option", Entity::Any, "WHERE role_id = ?")
            .bind(&role.id)
            .execute()
            .await?;
        self.write_options(role).await
    }

    /// Removes a role with its assignments and implications.
    ///
    /// With it go the application credentials that were given it, and all those on a project
    /// where their owner was given it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such role.
    pub async fn delete(&mut self, id: &RoleId) -> Result<(), StoreError> {
        self.lock(id).await?;
        for (table, which) in [
            (
                "application_credential",
                "WHERE EXISTS ( \
                   SELECT 1 FROM assignment WHERE type = 'UserProject' AND role_id = ? \
                   AND actor_id = application_credential.user_id \
                   AND target_id = application_credential.project_id)",
            ),
            // Keystone keeps these, and can then show none of their owner's: a role is missing.
            (
                "application_credential",
                "WHERE internal_id \
                 IN (SELECT application_credential_id FROM application_credential_role \
                   WHERE role_id = ?)",
            ),
            ("application_credential_role", "WHERE role_id = ?"),
            ("assignment", "WHERE role_id = ?"),
            ("system_assignment", "WHERE role_id = ?"),
            ("implied_role", "WHERE prior_role_id = ?"),
            ("implied_role", "WHERE implied_role_id = ?"),
            ("role_option", "WHERE role_id = ?"),
            ("role", "WHERE id = ?"),
        ] {
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(id).execute().await?;
        }
        Ok(())
    }

    /// Removes that one role implies another; tells whether it did.
    pub async fn delete_implication(
        &mut self,
        prior: &RoleId,
        implied: &RoleId,
    ) -> Result<bool, StoreError> {
        let removed = self
            .tx
            .delete(
                "implied_role",
                Entity::Any,
                "WHERE prior_role_id = ? AND implied_role_id = ?",
            )
            .bind(prior)
            .bind(implied)
            .execute()
            .await?;
        Ok(removed > 0)
    }

    /// Adds that one role implies another.
    pub async fn insert_implication(
        &mut self,
        prior: &RoleId,
        implied: &RoleId,
    ) -> Result<(), StoreError> {
        self.tx
            .insert(
                "implied_role",
                Entity::Any,
                "(prior_role_id, implied_role_id) VALUES (?, ?)",
            )
            .bind(prior)
            .bind(implied)
            .execute()
            .await
            .map_err(|error| error.on_unique("implied_role"))?;
        Ok(())
    }

    async fn write_options(&mut self, role: &Role) -> Result<(), StoreError> {
        if let Some(immutable) = role.options.immutable {
            self.tx
                .insert(
                    "role_option",
                    Entity::Any,
                    "(role_id, option_id, option_value) VALUES (?, ?, ?)",
                )
                .bind(&role.id)
                .bind(IMMUTABLE)
                .bind(immutable.to_string())
                .execute()
                .await?;
        }
        Ok(())
    }
}

impl FromRow for Role {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            name: row.text("name")?,
            domain_id: Some(row.id("domain_id")?).filter(|id: &DomainId| id != GLOBAL_ROLE),
            description: row.optional_text("description")?,
            options: ResourceOptions {
                immutable: row.json("option_value")?.as_bool(),
            },
            extra: row.extra("extra")?,
        })
    }
}
