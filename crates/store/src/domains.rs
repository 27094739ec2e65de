//! Domains: rows of the project table that act as the top of a tree.

use model::Timestamp;
use model::ids::{DomainId, GroupId, UserId};
use model::listing::Page;
use model::project::{Domain, DomainFilter, Project, ProjectFilter};

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::projects::Projects;

/// Reads domains.
pub struct Domains<'a> {
    pub(crate) db: Conn<'a>,
}

impl Domains<'_> {
    /// Finds a domain by id.
    pub async fn find(&mut self, id: &DomainId) -> Result<Option<Domain>, StoreError> {
        let found = self.projects().find(&id.clone().into()).await?;
        Ok(found.filter(Project::is_domain).map(Domain::from))
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

    fn projects(&mut self) -> Projects<'_> {
        Projects {
            db: self.db.reborrow(),
        }
    }
}

/// Proof that a domain is locked with all that it holds: what removing it asks for.
#[derive(Debug)]
pub struct LockedDomain(DomainId);

/// Changes domains, in a transaction.
pub struct DomainsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl DomainsMut<'_> {
    /// Makes sure, until the transaction ends, that there is such a domain, which something new
    /// shall name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is none.
    pub async fn require(&mut self, id: &DomainId) -> Result<(), StoreError> {
        let mut read = self.tx.read();
        let how = read.dialect().for_share();
        let sql = format!("SELECT id FROM project WHERE id = ? AND is_domain = ?{how}");
        let query = read.built_query(sql).bind(id).bind(true);
        match query.rows().await?.is_empty() {
            true => Err(StoreError::missing("domain", id)),
            false => Ok(()),
        }
    }

    /// Keeps everybody else from changing a domain and all that it holds, and from adding what
    /// names any of it, until the transaction ends.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such domain.
    pub async fn lock_all_within(&mut self, id: &DomainId) -> Result<LockedDomain, StoreError> {
        if !self.tx.lock("project", id.as_str()).await? {
            return Err(StoreError::missing("domain", id));
        }
        // Nothing more is added to the domain now; and to what it holds nothing from here on.
        for table in ["identity_provider", "project", "user", "group"] {
            self.tx
                .lock_all(table, "domain_id = ?", [id.into()])
                .await?;
        }
        Ok(LockedDomain(id.clone()))
    }

    /// Removes a domain with its users, groups, projects and identity providers, and all that
    /// hangs on them, in a fixed number of statements. Its roles stay, as they do in Keystone.
    pub async fn delete(&mut self, domain: LockedDomain, now: Timestamp) -> Result<(), StoreError> {
        let id = &domain.0;
        self.tx.groups_mut().delete_of_domain(id).await?;
        self.tx.users_mut().delete_of_domain(id, now).await?;
        let mut providers = self.tx.identity_providers_mut();
        providers.delete_of_domain(id, now).await?;
        self.tx.projects_mut().delete_of_domain(id, now).await?;
        for (table, which) in [
            (
                "assignment",
                "WHERE type IN ('UserDomain', 'GroupDomain') AND target_id = ?",
            ),
            ("whitelisted_config", "WHERE domain_id = ?"),
            ("sensitive_config", "WHERE domain_id = ?"),
            ("config_register", "WHERE domain_id = ?"),
            ("limit", "WHERE domain_id = ?"),
        ] {
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(id).execute().await?;
        }
        self.tx.projects_mut().delete(&id.clone().into(), now).await
    }

    /// Adds a domain.
    pub async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.tx.projects_mut().insert(&domain.clone().into()).await
    }
}
