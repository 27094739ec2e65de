//! What requests look up, from the cache where it can.

use std::sync::Arc;

use model::application_credential::StoredCredential;
use model::federation::{ProviderFilter, ServiceProvider};
use model::ids::{ApplicationCredentialId, GroupId, IdentityProviderId, ProjectId, UserId};
use model::project::{Project, ProjectFilter};
use model::revocation::TokenFacts;
use model::subject::{CatalogService, Login, ScopeTarget, Subject};
use model::{Scope, Timestamp};

use crate::Store;
use crate::cache::{CatalogOf, Moment, OwnProjects, RolesKey, RolesOf};
use crate::change::CacheRegion;
use crate::error::StoreError;
use model::assignment::EffectiveRoles;

impl Store {
    /// Whether an event revokes the token, as far as [`Store::ensure_synced`] has read.
    pub fn is_revoked(&self, token: &TokenFacts<'_>) -> bool {
        self.caches().is_revoked(token)
    }

    /// A user, and the project or domain that their token is valid on.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn subject_and_target(
        &self,
        user_id: &UserId,
        target_id: Option<&ProjectId>,
    ) -> Result<(Option<Arc<Subject>>, Option<Arc<ScopeTarget>>), StoreError> {
        let caches = self.caches();
        let subject = caches.get(&caches.subjects, user_id, subject_of(user_id));
        let target = target_id.and_then(|id| caches.get(&caches.targets, id, target_of(id)));
        if subject.is_some() || target.is_some() || target_id.is_none() {
            let subject = match subject {
                Some(subject) => Some(subject),
                None => self.subject(user_id).await?,
            };
            let target = match (target, target_id) {
                (None, Some(id)) => self.target(id).await?,
                (target, _) => target,
            };
            return Ok((subject, target));
        }
        let Some(target_id) = target_id else {
            return Ok((subject, target));
        };
        let moments = self.before_reading_login(user_id);
        let target_moment = caches.before_reading(target_of(target_id));
        let (login, target) = self.logins().find_with_target(user_id, target_id).await?;
        let subject =
            login.map(|login| Arc::clone(&self.keep_login(user_id, moments, login).subject));
        let target = match (target, &subject) {
            (Some(target), _) => Some(self.keep_target(target_id, target_moment, target)),
            // Without the user the statement finds nothing, but the place may be there.
            (None, None) => self.target(target_id).await?,
            (None, Some(_)) => None,
        };
        Ok((subject, target))
    }

    async fn subject(&self, id: &UserId) -> Result<Option<Arc<Subject>>, StoreError> {
        let login = self.read_login(id).await?;
        Ok(login.map(|login| Arc::clone(&login.subject)))
    }

    /// Who logs in, by id.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn login(&self, id: &UserId) -> Result<Option<Arc<Login>>, StoreError> {
        match self.cached_login(id) {
            Some(login) => Ok(Some(login)),
            None => self.read_login(id).await,
        }
    }

    /// The same when it is cached; the database is not asked.
    pub fn cached_login(&self, id: &UserId) -> Option<Arc<Login>> {
        let caches = self.caches();
        caches.get(&caches.logins, id, login_of(id))
    }

    async fn read_login(&self, id: &UserId) -> Result<Option<Arc<Login>>, StoreError> {
        let moments = self.before_reading_login(id);
        let login = self.logins().find(id).await?;
        Ok(login.map(|login| self.keep_login(id, moments, login)))
    }

    /// The state of a user, and of what their logins are judged by.
    fn before_reading_login(&self, id: &UserId) -> (Moment, Moment) {
        let caches = self.caches();
        let subject = caches.before_reading(subject_of(id));
        (subject, caches.before_reading(login_of(id)))
    }

    fn keep_login(&self, asked: &UserId, moments: (Moment, Moment), found: Login) -> Arc<Login> {
        let caches = self.caches();
        let subject = Arc::clone(&found.subject);
        let ids = (asked, &subject.id);
        caches.insert_as_asked(&caches.subjects, ids, moments.0, Arc::clone(&subject));
        caches.insert_as_asked(&caches.logins, ids, moments.1, Arc::new(found))
    }

    fn keep_target(
        &self,
        asked: &ProjectId,
        moment: Moment,
        found: ScopeTarget,
    ) -> Arc<ScopeTarget> {
        let (caches, found) = (self.caches(), Arc::new(found));
        let ids = (asked, &found.id);
        caches.insert_as_asked(&caches.targets, ids, moment, Arc::clone(&found))
    }

    /// A project or domain that a token may be valid on.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn target(&self, id: &ProjectId) -> Result<Option<Arc<ScopeTarget>>, StoreError> {
        let caches = self.caches();
        if let Some(target) = caches.get(&caches.targets, id, target_of(id)) {
            return Ok(Some(target));
        }
        let moment = caches.before_reading(target_of(id));
        let found = self.logins().find_target(id).await?;
        Ok(found.map(|target| self.keep_target(id, moment, target)))
    }

    /// The roles that a user holds in effect in a scope; none without one. `brought` are the
    /// groups of a federated login, when the token comes from one. Time alone takes roles away: what is kept says until when
    /// it counts.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn effective_roles(
        &self,
        user_id: &UserId,
        brought: Option<&[GroupId]>,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Arc<EffectiveRoles>, StoreError> {
        let caches = self.caches();
        let entity = (CacheRegion::Roles, user_id.as_str());
        if let Some(held) = caches.get(&caches.roles, &RolesOf(user_id, brought, scope), entity)
            && held.ends_at.is_none_or(|end| now < end)
        {
            return Ok(held);
        }
        let moment = caches.before_reading(entity);
        let mut assignments = self.assignments();
        let held = match scope {
            Scope::Unscoped => return Ok(Arc::default()),
            Scope::Project(id) => {
                assignments
                    .effective_on_project(user_id, brought, id, now)
                    .await?
            }
            Scope::Domain(id) => {
                assignments
                    .effective_on_domain(user_id, brought, id, now)
                    .await?
            }
            Scope::System => {
                assignments
                    .effective_on_system(user_id, brought.unwrap_or_default(), now)
                    .await?
            }
        };
        if held.roles.is_empty() {
            return Ok(Arc::new(held));
        }
        let key = RolesKey(user_id.clone(), brought.map(<[_]>::to_vec), scope.clone());
        Ok(caches.insert(&caches.roles, key, moment, Arc::new(held)))
    }

    /// The projects on which a user holds roles in effect, by id. `brought` are the groups of a federated
    /// login.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn projects_of(
        &self,
        user_id: &UserId,
        brought: &[GroupId],
        now: Timestamp,
    ) -> Result<Arc<Vec<Project>>, StoreError> {
        let caches = self.caches();
        let entity = (CacheRegion::OwnProjects, user_id.as_str());
        if brought.is_empty()
            && let Some(own) = caches.get(&caches.own_projects, user_id, entity)
            && own.ends_at.is_none_or(|end| now < end)
        {
            return Ok(Arc::clone(&own.projects));
        }
        let moment = caches.before_reading(entity);
        let all = ProjectFilter::default();
        let mut projects = self.projects();
        let listed = projects.list_of_user(user_id, brought, &all, now);
        let projects = Arc::new(listed.await?);
        if brought.is_empty() && (1..=MOST_PROJECTS).contains(&projects.len()) {
            let ends_at = self.groups().first_end(user_id, now).await?;
            let own = OwnProjects {
                projects: Arc::clone(&projects),
                ends_at,
            };
            caches.insert(&caches.own_projects, user_id.clone(), moment, Arc::new(own));
        }
        Ok(projects)
    }

    /// An application credential.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn application_credential(
        &self,
        id: &ApplicationCredentialId,
    ) -> Result<Option<Arc<StoredCredential>>, StoreError> {
        let caches = self.caches();
        let entity = (CacheRegion::ApplicationCredentials, id.as_str());
        if let Some(credential) = caches.get(&caches.credentials, id, entity) {
            return Ok(Some(credential));
        }
        let moment = caches.before_reading(entity);
        let found = self.application_credentials().find(id).await?;
        Ok(found.map(Arc::new).map(|found| {
            let ids = (id, &found.credential.id);
            caches.insert_as_asked(&caches.credentials, ids, moment, Arc::clone(&found))
        }))
    }

    /// The services that a token can be used at, with their endpoints.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn services_for(
        &self,
        project_id: Option<&ProjectId>,
    ) -> Result<Arc<Vec<CatalogService>>, StoreError> {
        let caches = self.caches();
        if let Some(services) = caches.get(&caches.catalogs, &CatalogOf(project_id), CATALOG) {
            return Ok(services);
        }
        let moment = caches.before_reading(CATALOG);
        let shown = self.catalog().list(project_id).await?;
        let mut services = Arc::new(shown.services);
        if !shown.are_chosen {
            // Most projects see the same, which is kept once.
            services = match caches.get(&caches.catalogs, &CatalogOf(None), CATALOG) {
                Some(whole) if whole == services => whole,
                _ => caches.insert(&caches.catalogs, None, moment, services),
            };
        }
        Ok(caches.insert(&caches.catalogs, project_id.cloned(), moment, services))
    }

    /// Whether an identity provider is enabled; `None` when there is no such provider.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn identity_provider_is_enabled(
        &self,
        id: &IdentityProviderId,
    ) -> Result<Option<bool>, StoreError> {
        let caches = self.caches();
        let entity = (CacheRegion::Roles, id.as_str());
        if let Some(enabled) = caches.get(&caches.identity_providers, id, entity) {
            return Ok(Some(*enabled));
        }
        let moment = caches.before_reading(entity);
        let found = self.identity_providers().find(id).await?;
        // That something is not there is never kept.
        let Some(provider) = found else {
            return Ok(None);
        };
        let enabled = Arc::new(provider.enabled);
        let ids = (id, &provider.id);
        caches.insert_as_asked(&caches.identity_providers, ids, moment, enabled);
        Ok(Some(provider.enabled))
    }

    /// The service providers that tokens name: those that are enabled, by id.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn enabled_service_providers(&self) -> Result<Arc<Vec<ServiceProvider>>, StoreError> {
        let caches = self.caches();
        if let Some(providers) = caches.get(&caches.service_providers, &(), SERVICE_PROVIDERS) {
            return Ok(providers);
        }
        let moment = caches.before_reading(SERVICE_PROVIDERS);
        let enabled = ProviderFilter {
            enabled: Some(true),
            ..ProviderFilter::default()
        };
        let providers = self.service_providers().list(&enabled).await?;
        Ok(caches.insert(&caches.service_providers, (), moment, Arc::new(providers)))
    }
}

/// Longer lists are not kept.
const MOST_PROJECTS: usize = 100;

/// What is kept of all together has no id.
const CATALOG: (CacheRegion, &str) = (CacheRegion::Catalog, "");
const SERVICE_PROVIDERS: (CacheRegion, &str) = (CacheRegion::ServiceProviders, "");

fn subject_of(id: &UserId) -> (CacheRegion, &str) {
    (CacheRegion::Subjects, id.as_str())
}

fn login_of(id: &UserId) -> (CacheRegion, &str) {
    (CacheRegion::Logins, id.as_str())
}

fn target_of(id: &ProjectId) -> (CacheRegion, &str) {
    (CacheRegion::Targets, id.as_str())
}

#[cfg(test)]
mod tests {
    use model::ids::DomainId;

    use super::*;
    use crate::named::NamedDomain;
    use crate::scratch;

    /// MariaDB takes each of these spellings for `ada` and `acme`; the other databases find nothing.
    #[tokio::test]
    async fn only_what_is_asked_for_letter_by_letter_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store_with(&folder, |options| options.cache.enabled = true).await;
        scratch::add_user(&store, "ada", "ada", "acme").await;
        let kept = || {
            let caches = store.caches();
            let users = [caches.subjects.len(), caches.logins.len()];
            let places = [caches.targets.len(), caches.named_projects.len()];
            (users, caches.named_users.len(), places)
        };
        let look_up = async |user: &str, domain: &str| {
            store.sync().await.unwrap();
            let (id, place) = (UserId::from(user), ProjectId::from(domain));
            store.login(&id).await.unwrap();
            store.target(&place).await.unwrap();
            store.subject_and_target(&id, Some(&place)).await.unwrap();
            let by_id = DomainId::from(domain);
            for domain in [NamedDomain::Id(&by_id), NamedDomain::Name(domain)] {
                store.login_by_name(user, domain).await.unwrap();
                store.project_by_name(user, domain).await.unwrap();
            }
        };
        for (user, domain) in [
            ("ADA", "ACME"),
            ("ada  ", "acme "),
            ("ad\u{e0}", "acm\u{e9}"),
        ] {
            look_up(user, domain).await;
            assert_eq!(kept(), ([0, 0], 0, [0, 0]), "{user:?} {domain:?}");
        }
        look_up("ada", "acme").await;
        assert_eq!(kept(), ([1, 1], 2, [1, 0]));
    }
}
