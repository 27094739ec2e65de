//! Domains: rows of the project table that act as the top of a tree.

use model::ids::{DomainId, GroupId, UserId};
use model::listing::Page;
use model::project::{Domain, DomainFilter, Project, ProjectFilter};

use crate::db::Conn;
use crate::error::StoreError;
use crate::identity_providers::IdentityProviders;
use crate::projects::Projects;

/// Domains of the database.
pub struct Domains<'a> {
    pub(crate) db: Conn<'a>,
}

impl Domains<'_> {
    /// Finds a domain by id.
    pub async fn find(&mut self, id: &DomainId) -> Result<Option<Domain>, StoreError> {
        let found = self.projects().find(&id.clone().into()).await?;
        Ok(found.filter(Project::is_domain).map(domain))
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
        Ok(found.into_iter().map(domain).collect())
    }

    /// Writes all attributes of a domain that may change.
    pub async fn update(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.projects().update(&project(domain)).await
    }

    /// Removes a domain with its identity providers, users, groups and projects, and all that
    /// hangs on them.
    pub async fn delete(&mut self, id: &DomainId) -> Result<(), StoreError> {
        self.identity_providers().delete_of_domain(id).await?;
        for statement in [
            // What refers to the domain's projects.
            "DELETE FROM assignment WHERE target_id IN \
             (SELECT id FROM project WHERE domain_id = ?)",
            "DELETE FROM credential WHERE project_id IN \
             (SELECT id FROM project WHERE domain_id = ?)",
            "DELETE FROM project_endpoint WHERE project_id IN \
             (SELECT id FROM project WHERE domain_id = ?)",
            "DELETE FROM project_endpoint_group WHERE project_id IN \
             (SELECT id FROM project WHERE domain_id = ?)",
            "DELETE FROM \"limit\" WHERE project_id IN \
             (SELECT id FROM project WHERE domain_id = ?)",
            "UPDATE \"user\" SET default_project_id = NULL WHERE default_project_id IN \
             (SELECT id FROM project WHERE domain_id = ?)",
            // What refers to its users and groups.
            "DELETE FROM assignment WHERE actor_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM assignment WHERE actor_id IN \
             (SELECT id FROM \"group\" WHERE domain_id = ?)",
            "DELETE FROM system_assignment WHERE actor_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM system_assignment WHERE actor_id IN \
             (SELECT id FROM \"group\" WHERE domain_id = ?)",
            "DELETE FROM user_group_membership WHERE user_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM user_group_membership WHERE group_id IN \
             (SELECT id FROM \"group\" WHERE domain_id = ?)",
            "DELETE FROM expiring_user_group_membership WHERE user_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM expiring_user_group_membership WHERE group_id IN \
             (SELECT id FROM \"group\" WHERE domain_id = ?)",
            "DELETE FROM credential WHERE user_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM application_credential WHERE user_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM access_rule WHERE user_id IN \
             (SELECT id FROM \"user\" WHERE domain_id = ?)",
            "DELETE FROM \"user\" WHERE domain_id = ?",
            "DELETE FROM \"group\" WHERE domain_id = ?",
            // What refers to the domain itself.
            "DELETE FROM assignment WHERE target_id = ? \
             AND type IN ('UserDomain', 'GroupDomain')",
            "DELETE FROM whitelisted_config WHERE domain_id = ?",
            "DELETE FROM sensitive_config WHERE domain_id = ?",
            "DELETE FROM \"limit\" WHERE domain_id = ?",
        ] {
            self.db.query(statement).bind(id).execute().await?;
        }
        // Children go before their parents, which they refer to.
        let mut below = self.projects().descendants(&id.clone().into()).await?;
        below.reverse();
        for project in below {
            self.projects().delete(&project.id).await?;
        }
        self.projects().delete(&id.clone().into()).await
    }

    /// Lists by id the domains on which a user holds a role in effect, directly or through a
    /// group. `groups` are those that a federated login brought.
    pub async fn list_of_user(
        &mut self,
        user_id: &UserId,
        groups: &[GroupId],
    ) -> Result<Vec<Domain>, StoreError> {
        let found = self
            .projects()
            .list_domains_of_user(user_id, groups)
            .await?;
        Ok(found.into_iter().map(domain).collect())
    }

    /// Adds a domain.
    pub async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.projects().insert(&project(domain)).await
    }

    fn identity_providers(&mut self) -> IdentityProviders<'_> {
        IdentityProviders {
            db: self.db.reborrow(),
        }
    }

    fn projects(&mut self) -> Projects<'_> {
        Projects {
            db: self.db.reborrow(),
        }
    }
}

fn domain(project: Project) -> Domain {
    Domain {
        id: project.id.into(),
        name: project.name,
        description: project.description,
        enabled: project.enabled,
        tags: project.tags,
        options: project.options,
        extra: project.extra,
    }
}

fn project(domain: &Domain) -> Project {
    Project {
        id: domain.id.clone().into(),
        name: domain.name.clone(),
        domain_id: None,
        parent_id: None,
        description: domain.description.clone(),
        enabled: domain.enabled,
        tags: domain.tags.clone(),
        options: domain.options,
        extra: domain.extra.clone(),
    }
}
