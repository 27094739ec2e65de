//! Users and projects that a login names, from the cache where it can.
//!
//! A name is looked up in the database once. From then on the cache says which id it led to, and what
//! is known of that id is believed if it has that name still: so a name needs nobody who says that it
//! leads elsewhere now.

use std::sync::Arc;

use model::ids::DomainId;
use model::subject::{DomainRef, Login, ScopeTarget};
use quick_cache::Equivalent;

use crate::Store;
use crate::error::StoreError;

/// A domain, as a login names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedDomain<'a> {
    /// By its id.
    Id(&'a DomainId),
    /// By its name.
    Name(&'a str),
}

/// A name in a domain, which what is found is kept under.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct NameKey(String, DomainKey);

#[derive(PartialEq, Eq, Hash)]
enum DomainKey {
    Id(DomainId),
    Name(String),
}

#[derive(Clone, Copy, Hash)]
struct NameIn<'a>(&'a str, NamedDomain<'a>);

impl NameIn<'_> {
    fn key(self) -> NameKey {
        let domain = match self.1 {
            NamedDomain::Id(id) => DomainKey::Id(id.clone()),
            NamedDomain::Name(name) => DomainKey::Name(name.to_owned()),
        };
        NameKey(self.0.to_owned(), domain)
    }

    fn is_login(self, login: &Login) -> bool {
        self.is_of(&login.subject.name, &login.subject.domain)
    }

    /// Letter by letter, where the database may take more for the same.
    fn is_of(self, name: &str, domain: &DomainRef) -> bool {
        self.0 == name
            && match self.1 {
                NamedDomain::Id(id) => *id == domain.id,
                NamedDomain::Name(name) => name == domain.name,
            }
    }
}

impl Equivalent<NameKey> for NameIn<'_> {
    fn equivalent(&self, key: &NameKey) -> bool {
        let same_domain = match (self.1, &key.1) {
            (NamedDomain::Id(one), DomainKey::Id(other)) => one == other,
            (NamedDomain::Name(one), DomainKey::Name(other)) => one == other,
            _ => false,
        };
        same_domain && self.0 == key.0
    }
}

impl Store {
    /// Who logs in, by name, when it is cached; the database is not asked.
    pub fn cached_login_by_name(&self, name: &str, domain: NamedDomain<'_>) -> Option<Arc<Login>> {
        let wanted = NameIn(name, domain);
        let id = self.caches().named_users.get(&wanted)?;
        let login = self.cached_login(&id)?;
        wanted.is_login(&login).then_some(login)
    }

    /// Who logs in, by name.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn login_by_name(
        &self,
        name: &str,
        domain: NamedDomain<'_>,
    ) -> Result<Option<Arc<Login>>, StoreError> {
        let caches = self.caches();
        let wanted = NameIn(name, domain);
        if let Some(id) = caches.named_users.get(&wanted)
            && let Some(login) = self.login(&id).await?
            && wanted.is_login(&login)
        {
            return Ok(Some(login));
        }
        let found = match domain {
            NamedDomain::Id(id) => self.logins().find_by_name(name, id).await?,
            NamedDomain::Name(domain) => self.logins().find_by_names(name, domain).await?,
        };
        // Itself it is not kept: before the id was known, nobody could tell whether it changed.
        if let Some(login) = &found
            && wanted.is_login(login)
            && caches.settings.enabled
        {
            let id = login.subject.id.clone();
            caches.named_users.insert(wanted.key(), id);
        }
        Ok(found.map(Arc::new))
    }

    /// A project that a token may be valid on, by name.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn project_by_name(
        &self,
        name: &str,
        domain: NamedDomain<'_>,
    ) -> Result<Option<Arc<ScopeTarget>>, StoreError> {
        let caches = self.caches();
        let wanted = NameIn(name, domain);
        let is_wanted = |target: &ScopeTarget| {
            let domain = target.domain.as_ref();
            domain.is_some_and(|domain| wanted.is_of(&target.name, domain))
        };
        if let Some(id) = caches.named_projects.get(&wanted)
            && let Some(target) = self.target(&id).await?
            && is_wanted(&target)
        {
            return Ok(Some(target));
        }
        let (id, domain_name) = match domain {
            NamedDomain::Id(id) => (Some(id), None),
            NamedDomain::Name(name) => (None, Some(name)),
        };
        let found = self
            .logins()
            .find_project_by_name(name, id, domain_name)
            .await?;
        if let Some(target) = &found
            && is_wanted(target)
            && caches.settings.enabled
        {
            let id = target.id.clone();
            caches.named_projects.insert(wanted.key(), id);
        }
        Ok(found.map(Arc::new))
    }
}
