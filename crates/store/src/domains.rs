//! Domains: rows of the project table that act as the top of a tree.

use model::Timestamp;
use model::ids::{DomainId, GroupId, UserId};
use model::listing::Page;
use model::project::{Domain, DomainFilter, Project, ProjectFilter};

use crate::db::Conn;
use crate::error::StoreError;
use crate::groups::Groups;
use crate::identity_providers::IdentityProviders;
use crate::projects::Projects;
use crate::users::Users;

/// Domains of the database.
pub struct Domains<'a> {
    pub(crate) db: Conn<'a>,
}

impl Domains<'_> {
    /// Finds a domain by id.
    pub async fn find(&mut self, id: &DomainId) -> Result<Option<Domain>, StoreError> {
        let found = self.projects().find(&id.clone().into()).await?;
        Ok(found.filter(Project::is_domain).map(Domain::from))
    }

    /// Finds a domain to change it: nobody else does until the transaction ends.
    pub async fn find_for_update(&mut self, id: &DomainId) -> Result<Option<Domain>, StoreError> {
        let found = self.projects().find_for_update(&id.clone().into()).await?;
        Ok(found.filter(Project::is_domain).map(Domain::from))
    }

    /// Makes sure, until the transaction ends, that there is such a domain, which something new
    /// shall name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is none.
    pub async fn require(&mut self, id: &DomainId) -> Result<(), StoreError> {
        let how = self.db.dialect().for_share();
        let sql = format!("SELECT id FROM project WHERE id = ? AND is_domain = ?{how}");
        let query = self.db.built_query(sql).bind(id).bind(true);
        match query.rows().await?.is_empty() {
            true => Err(StoreError::missing("domain", id)),
            false => Ok(()),
        }
    }

    /// Lists domains by id.
    pub async fn list(
        &mut self,
        filter: &DomainFilter,
        page: &Page,
    ) -> Result<Vec<Domain>, StoreError> {
        let filter = ProjectFilter {
            enabled: filter.enabled,
            name: filter.name.clone(),
            is_domain: Some(true),
            id: filter.id.clone().map(Into::into),
            ..ProjectFilter::default()
        };
        let found = self.projects().list(&filter, page).await?;
        Ok(found.into_iter().map(Domain::from).collect())
    }

    /// Writes all attributes of a domain that may change.
    pub async fn update(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.projects().update(&domain.clone().into()).await
    }

    /// Removes a domain with its users, groups, projects and identity providers, and all that
    /// hangs on them, in a fixed number of statements. Its roles stay, as they do in Keystone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such domain.
    pub async fn delete(&mut self, id: &DomainId, now: Timestamp) -> Result<(), StoreError> {
        self.db
            .require_for_update("project", id.as_str(), "domain")
            .await?;
        // Nothing more is added to the domain now; and to what it holds nothing from here on.
        for table in ["identity_provider", "project", r#""user""#, r#""group""#] {
            self.db
                .lock_all(table, "domain_id = ?", [id.into()])
                .await?;
        }
        let groups = &mut Groups {
            db: self.db.reborrow(),
        };
        groups.delete_of_domain(id).await?;
        let users = &mut Users {
            db: self.db.reborrow(),
        };
        users.delete_of_domain(id, now).await?;
        let providers = &mut IdentityProviders {
            db: self.db.reborrow(),
        };
        providers.delete_of_domain(id, now).await?;
        self.projects().delete_of_domain(id, now).await?;
        for statement in [
            "DELETE FROM assignment WHERE type IN ('UserDomain', 'GroupDomain') AND target_id = ?",
            "DELETE FROM whitelisted_config WHERE domain_id = ?",
            "DELETE FROM sensitive_config WHERE domain_id = ?",
            "DELETE FROM config_register WHERE domain_id = ?",
            "DELETE FROM \"limit\" WHERE domain_id = ?",
        ] {
            self.db.query(statement).bind(id).execute().await?;
        }
        self.projects().delete(&id.clone().into(), now).await
    }

    /// Lists by id the domains on which a user holds a role in effect, directly or through a
    /// group. `groups` are those that a federated login brought.
    pub async fn list_of_user(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
        now: Timestamp,
    ) -> Result<Vec<Domain>, StoreError> {
        let found = self
            .projects()
            .list_domains_of_user(user_id, groups, now)
            .await?;
        Ok(found.into_iter().map(Domain::from).collect())
    }

    /// Adds a domain.
    pub async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.projects().insert(&domain.clone().into()).await
    }

    fn projects(&mut self) -> Projects<'_> {
        Projects {
            db: self.db.reborrow(),
        }
    }
}
