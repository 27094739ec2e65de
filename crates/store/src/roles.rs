//! Roles, and which role implies which.

use model::ids::{DomainId, RoleId};
use model::project::ResourceOptions;
use model::role::Role;

use crate::assignments::GLOBAL_ROLE;
use crate::db::Conn;
use crate::error::StoreError;
use crate::projects::IMMUTABLE;
use crate::value::{FromRow, Row};

/// Roles of the database.
pub struct Roles<'a> {
    pub(crate) db: Conn<'a>,
}

/// A role with its only known option.
macro_rules! roles {
    ($rest:literal) => {
        concat!(
            "SELECT role.id, role.name, role.domain_id, role.description, role.extra, \
             option_value FROM role \
             LEFT JOIN role_option ON role_option.role_id = role.id AND option_id = 'IMMU' ",
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

    /// Adds a role.
    pub async fn insert(&mut self, role: &Role) -> Result<(), StoreError> {
        self.db
            .query(
                "INSERT INTO role (id, name, domain_id, description, extra) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(&role.id)
            .bind(&role.name)
            .bind(
                role.domain_id
                    .as_ref()
                    .map_or(GLOBAL_ROLE, |id| id.as_str()),
            )
            .bind(role.description.as_deref())
            .bind(serde_json::Value::Object(role.extra.clone()).to_string())
            .execute()
            .await
            .map_err(|error| error.on_unique("role"))?;
        self.write_options(role).await
    }

    /// Adds that one role implies another.
    pub async fn insert_implication(
        &mut self,
        prior: &RoleId,
        implied: &RoleId,
    ) -> Result<(), StoreError> {
        self.db
            .query("INSERT INTO implied_role (prior_role_id, implied_role_id) VALUES (?, ?)")
            .bind(prior)
            .bind(implied)
            .execute()
            .await
            .map_err(|error| error.on_unique("implied_role"))?;
        Ok(())
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

    async fn write_options(&mut self, role: &Role) -> Result<(), StoreError> {
        if let Some(immutable) = role.options.immutable {
            self.db
                .query(
                    "INSERT INTO role_option (role_id, option_id, option_value) VALUES (?, ?, ?)",
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
