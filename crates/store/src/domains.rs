//! Domains: rows of the project table that act as the top of a tree.

use model::ids::DomainId;
use model::project::{Domain, Project};

use crate::db::Conn;
use crate::error::StoreError;
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

    /// Adds a domain.
    pub async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        self.projects().insert(&project(domain)).await
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
