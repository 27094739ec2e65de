//! Facts that every request needs, kept in memory: users, places, roles, the catalog, service
//! providers, revocations.
//!
//! A fact is valid for as long as nothing was written to the tables that it was read from. Which
//! those are, [`crate::topic`] tells from the statements themselves, so that no repository can
//! forget to say so. Each topic has a number that goes up when something of it changed; a fact
//! remembers the number from before it was read, and is worth nothing once that has moved on. So
//! a reader that was overtaken by a change keeps nothing stale.
//!
//! Other nodes learn of a change from `archstone_change`, which is written in the transaction of
//! the change, and of revocations from `revocation_event`, which a Keystone on the same database
//! writes too. Everything else that such a Keystone changes is seen when a fact gets too old.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use model::application_credential::ApplicationCredential;
use model::federation::{ProviderFilter, ServiceProvider};
use model::ids::{ApplicationCredentialId, GroupId, IdentityProviderId, ProjectId, UserId};
use model::revocation::TokenFacts;
use model::revocation_index::RevocationIndex;
use model::subject::{CatalogService, ScopeTarget, Subject};
use model::{Scope, Timestamp};
use quick_cache::sync::Cache;

use crate::Store;
use crate::assignments::EffectiveRoles;
use crate::db::Conn;
use crate::error::StoreError;
use crate::revocations;
use crate::topic::{Topic, Topics};
use crate::value::Row;

/// How facts are kept.
#[derive(Clone, Copy, Debug)]
pub struct FactSettings {
    /// Whether any are kept but revocation events.
    pub enabled: bool,
    /// How old a fact may get that nobody reported as changed.
    pub foreign_ttl: Duration,
    /// Nobody else writes to the database, so that nobody has to be asked for changes.
    pub sole_writer: bool,
}

/// How long facts may be believed without asking for changes.
const BOUND: Duration = Duration::from_secs(1);

/// How long a missing id is waited for: its transaction may be open still.
const GAP: Duration = Duration::from_secs(60);

/// How many ids below the highest a new node looks at, for transactions open at that time.
const LOOK_BACK: i64 = 1000;

/// For how long a change is kept for nodes that have not read it, in microseconds.
const KEPT_CHANGES: i64 = 3_600_000_000;

/// The facts of one database.
pub(crate) struct Facts {
    settings: FactSettings,
    versions: [AtomicU64; Topic::COUNT],
    subjects: Cache<UserId, Kept<Subject>>,
    targets: Cache<ProjectId, Kept<ScopeTarget>>,
    roles: Cache<RolesKey, Kept<EffectiveRoles>>,
    credentials: Cache<ApplicationCredentialId, Kept<ApplicationCredential>>,
    catalogs: Cache<Option<ProjectId>, Kept<Vec<CatalogService>>>,
    /// Whether identity providers are enabled. What changes one makes roles doubtful too.
    identity_providers: Cache<IdentityProviderId, Kept<bool>>,
    /// All that are enabled, under the one key.
    service_providers: Cache<(), Kept<Vec<ServiceProvider>>>,
    revocations: RwLock<RevocationIndex>,
    /// Numbers those who want to know of changes; see [`Store::catch_up`].
    asked: AtomicU64,
    /// Up to which of them was answered.
    answered: AtomicU64,
    /// The one whose answer revocations must not be judged before.
    revoked: AtomicU64,
    /// When the last answer was asked for.
    fresh_at: Mutex<Option<Instant>>,
    positions: tokio::sync::Mutex<Option<Positions>>,
}

type RolesKey = (UserId, Option<Vec<GroupId>>, Scope);

struct Kept<T> {
    fact: Arc<T>,
    version: u64,
    at: Instant,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self {
            fact: Arc::clone(&self.fact),
            ..*self
        }
    }
}

/// How far the two tables were read.
struct Positions {
    changes: Position,
    revocations: Position,
}

impl FactSettings {
    /// Nothing is kept: for tools that look once.
    pub const NONE: Self = Self {
        enabled: false,
        foreign_ttl: Duration::ZERO,
        sole_writer: false,
    };
}

impl Facts {
    pub(crate) fn new(settings: FactSettings) -> Self {
        Self {
            settings,
            versions: Default::default(),
            subjects: Cache::new(20_000),
            targets: Cache::new(20_000),
            roles: Cache::new(50_000),
            credentials: Cache::new(20_000),
            catalogs: Cache::new(1_000),
            identity_providers: Cache::new(1_000),
            service_providers: Cache::new(1),
            revocations: RwLock::default(),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            fresh_at: Mutex::new(None),
            positions: tokio::sync::Mutex::new(None),
        }
    }

    /// What was written to these topics is visible now, to us and to everybody.
    pub(crate) fn changed(&self, topics: Topics) {
        for topic in topics.iter() {
            self.versions[topic as usize].fetch_add(1, Ordering::SeqCst);
        }
        if topics.contains(Topic::Revocations) {
            let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.revoked.fetch_max(ticket, Ordering::SeqCst);
        }
    }

    fn version(&self, topic: Topic) -> u64 {
        self.versions[topic as usize].load(Ordering::SeqCst)
    }

    fn get<K: Eq + Hash, T>(
        &self,
        cache: &Cache<K, Kept<T>>,
        key: &K,
        topic: Topic,
    ) -> Option<Arc<T>> {
        let kept = cache.get(key)?;
        let valid = kept.version == self.version(topic)
            && (self.settings.sole_writer || kept.at.elapsed() < self.settings.foreign_ttl);
        valid.then_some(kept.fact)
    }

    /// Keeps a fact that was read after the topic had this version.
    fn keep<K: Eq + Hash, T>(
        &self,
        cache: &Cache<K, Kept<T>>,
        key: K,
        version: u64,
        fact: T,
    ) -> Arc<T> {
        let fact = Arc::new(fact);
        if self.settings.enabled {
            let kept = Kept {
                fact: Arc::clone(&fact),
                version,
                at: Instant::now(),
            };
            cache.insert(key, kept);
        }
        fact
    }

    fn is_fresh(&self) -> bool {
        let answered = self.answered.load(Ordering::SeqCst);
        let fresh_at = *self.fresh_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = fresh_at else {
            return false;
        };
        answered >= self.revoked.load(Ordering::SeqCst)
            && (self.settings.sole_writer || at.elapsed() < BOUND)
    }
}

impl Store {
    /// Makes sure that what is kept is at most a second behind the database, and no revocation of
    /// our own is missing.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn ensure_fresh(&self) -> Result<(), StoreError> {
        if self.facts().is_fresh() {
            return Ok(());
        }
        self.catch_up().await
    }

    /// Learns of all changes up to now: to be called before a token is issued on facts that are
    /// kept. Who waits together shares one question, asked after the last of them came.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let facts = self.facts();
        if facts.settings.sole_writer && facts.is_fresh() {
            return Ok(());
        }
        let ticket = facts.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut positions = facts.positions.lock().await;
        if facts.answered.load(Ordering::SeqCst) >= ticket {
            return Ok(());
        }
        let upto = facts.asked.load(Ordering::SeqCst);
        let asked_at = Instant::now();
        self.follow(&mut positions).await?;
        facts.answered.fetch_max(upto, Ordering::SeqCst);
        *facts
            .fresh_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
        Ok(())
    }

    /// Drops revocation events that no valid token can be old enough for, and the changes that
    /// every node has read.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn forget_changes(&self, revoked_before: Timestamp) -> Result<(), StoreError> {
        self.facts()
            .revocations
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(revoked_before);
        self.pool()
            .query("DELETE FROM archstone_change WHERE at < ?")
            .bind(micros() - KEPT_CHANGES)
            .quietly()
            .execute()
            .await?;
        Ok(())
    }

    /// Reads what was added to the two tables since the last time, in one statement.
    async fn follow(&self, positions: &mut Option<Positions>) -> Result<(), StoreError> {
        let facts = self.facts();
        let positions = match positions {
            Some(positions) => positions,
            None => positions.insert(Positions {
                changes: Position::at(self.highest_change().await? - LOOK_BACK),
                revocations: Position::at(0),
            }),
        };
        let rows = self
            .pool()
            .query(
                "SELECT id, 'revocation' AS kind, user_id, project_id, domain_id, role_id, \
                   trust_id, consumer_id, access_token_id, audit_id, audit_chain_id, expires_at, \
                   issued_before, revoked_at \
                 FROM revocation_event WHERE id > ? \
                 UNION ALL \
                 SELECT id, kind, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
                   NULL, NULL \
                 FROM archstone_change WHERE id > ?",
            )
            .bind(positions.revocations.read_up_to)
            .bind(positions.changes.read_up_to)
            .rows()
            .await?;
        let mut changed = Topics::NONE;
        let mut revoked = Vec::new();
        for row in &rows {
            let id = row.int("id")?;
            let kind = row.text("kind")?;
            if kind == "revocation" {
                if positions.revocations.is_new(id) {
                    revoked.extend(revocations::event(row)?);
                }
            } else if positions.changes.is_new(id) {
                // A later release may know of more: then everything may have changed.
                changed |= Topic::named(&kind).map_or(Topics::ALL, Topics::from);
            }
        }
        if !revoked.is_empty() {
            let mut index = facts
                .revocations
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for event in revoked {
                index.insert(event);
            }
        }
        for topic in changed.iter() {
            facts.versions[topic as usize].fetch_add(1, Ordering::SeqCst);
        }
        positions.revocations.advance();
        positions.changes.advance();
        Ok(())
    }

    async fn highest_change(&self) -> Result<i64, StoreError> {
        let mut pool = self.pool();
        let rows = pool
            .query("SELECT COALESCE(MAX(id), 0) AS id FROM archstone_change")
            .rows()
            .await?;
        rows.first().map_or(Ok(0), |row: &Row| row.int("id"))
    }

    /// Whether an event revokes the token, as far as [`Store::ensure_fresh`] has read.
    pub fn is_revoked(&self, token: &TokenFacts<'_>) -> bool {
        self.facts()
            .revocations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .revokes(token)
    }

    /// A user, and the project or domain that their token is valid on.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn parties(
        &self,
        user_id: &UserId,
        target_id: Option<&ProjectId>,
    ) -> Result<(Option<Arc<Subject>>, Option<Arc<ScopeTarget>>), StoreError> {
        let facts = self.facts();
        let subject = facts.get(&facts.subjects, user_id, Topic::Subjects);
        let target = target_id.and_then(|id| facts.get(&facts.targets, id, Topic::Targets));
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
        let versions = (
            facts.version(Topic::Subjects),
            facts.version(Topic::Targets),
        );
        let (login, target) = match target_id {
            Some(id) => self.logins().find_with_target(user_id, id).await?,
            None => (self.logins().find(user_id).await?, None),
        };
        let subject = login
            .map(|login| facts.keep(&facts.subjects, user_id.clone(), versions.0, login.subject));
        let target = match (target, target_id, &subject) {
            (Some(target), Some(id), _) => {
                Some(facts.keep(&facts.targets, id.clone(), versions.1, target))
            }
            // Without the user the statement finds nothing, but the place may be there.
            (None, Some(id), None) => self.target(id).await?,
            _ => None,
        };
        Ok((subject, target))
    }

    async fn subject(&self, id: &UserId) -> Result<Option<Arc<Subject>>, StoreError> {
        let facts = self.facts();
        let version = facts.version(Topic::Subjects);
        let found = self.logins().find(id).await?;
        Ok(found.map(|login| facts.keep(&facts.subjects, id.clone(), version, login.subject)))
    }

    /// A project or domain that a token may be valid on.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn target(&self, id: &ProjectId) -> Result<Option<Arc<ScopeTarget>>, StoreError> {
        let facts = self.facts();
        if let Some(target) = facts.get(&facts.targets, id, Topic::Targets) {
            return Ok(Some(target));
        }
        let version = facts.version(Topic::Targets);
        let found = self.logins().find_target(id).await?;
        Ok(found.map(|target| facts.keep(&facts.targets, id.clone(), version, target)))
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
        let facts = self.facts();
        let key = (user_id.clone(), brought.map(<[_]>::to_vec), scope.clone());
        if let Some(held) = facts.get(&facts.roles, &key, Topic::Roles)
            && held.ends_at.is_none_or(|end| now < end)
        {
            return Ok(held);
        }
        let version = facts.version(Topic::Roles);
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
        Ok(facts.keep(&facts.roles, key, version, held))
    }

    /// An application credential, without its secret.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn application_credential(
        &self,
        id: &ApplicationCredentialId,
    ) -> Result<Option<Arc<ApplicationCredential>>, StoreError> {
        let facts = self.facts();
        let topic = Topic::ApplicationCredentials;
        if let Some(credential) = facts.get(&facts.credentials, id, topic) {
            return Ok(Some(credential));
        }
        let version = facts.version(topic);
        let found = self.application_credentials().find(id).await?;
        Ok(found
            .map(|stored| facts.keep(&facts.credentials, id.clone(), version, stored.credential)))
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
        let facts = self.facts();
        let key = project_id.cloned();
        if let Some(services) = facts.get(&facts.catalogs, &key, Topic::Catalog) {
            return Ok(services);
        }
        let version = facts.version(Topic::Catalog);
        let services = self.catalog().list(project_id).await?;
        Ok(facts.keep(&facts.catalogs, key, version, services))
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
        let facts = self.facts();
        if let Some(enabled) = facts.get(&facts.identity_providers, id, Topic::Roles) {
            return Ok(Some(*enabled));
        }
        let version = facts.version(Topic::Roles);
        let found = self.identity_providers().find(id).await?;
        // That something is not there is never kept.
        let Some(provider) = found else {
            return Ok(None);
        };
        let enabled = provider.enabled;
        let kept = facts.keep(&facts.identity_providers, id.clone(), version, enabled);
        Ok(Some(*kept))
    }

    /// The service providers that tokens name: those that are enabled, by id.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn enabled_service_providers(&self) -> Result<Arc<Vec<ServiceProvider>>, StoreError> {
        let facts = self.facts();
        let topic = Topic::ServiceProviders;
        if let Some(providers) = facts.get(&facts.service_providers, &(), topic) {
            return Ok(providers);
        }
        let version = facts.version(topic);
        let enabled = ProviderFilter {
            enabled: Some(true),
            ..ProviderFilter::default()
        };
        let providers = self.service_providers().list(&enabled).await?;
        Ok(facts.keep(&facts.service_providers, (), version, providers))
    }
}

/// Writes into the open transaction what it has changed, for the other nodes.
pub(crate) async fn announce(conn: &mut Conn<'_>, topics: Topics) -> Result<(), StoreError> {
    // Revocations are followed through their own table.
    let kinds: Vec<_> = topics
        .iter()
        .filter(|topic| *topic != Topic::Revocations)
        .collect();
    if kinds.is_empty() {
        return Ok(());
    }
    let rows = vec!["(?, '', ?)"; kinds.len()].join(", ");
    let sql = format!("INSERT INTO archstone_change (kind, entity_id, at) VALUES {rows}");
    let at = micros();
    let mut query = conn.built_query(sql);
    for topic in kinds {
        query = query.bind(topic.name()).bind(at);
    }
    query.execute().await?;
    Ok(())
}

/// Microseconds since the epoch. Only ever compared with those of other nodes, by the hour.
fn micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// How far a growing table was read. Ids become visible out of order: a transaction that took an
/// early id may commit late. So a gap is waited for, and what comes behind it is read again.
#[derive(Debug)]
struct Position {
    read_up_to: i64,
    /// The ids behind that were seen already, and when.
    seen: BTreeMap<i64, Instant>,
}

impl Position {
    fn at(id: i64) -> Self {
        Self {
            read_up_to: id.max(0),
            seen: BTreeMap::new(),
        }
    }

    fn is_new(&mut self, id: i64) -> bool {
        id > self.read_up_to && self.seen.insert(id, Instant::now()).is_none()
    }

    fn advance(&mut self) {
        while let Some((&id, &at)) = self.seen.first_key_value() {
            if id != self.read_up_to + 1 && at.elapsed() < GAP {
                break;
            }
            self.read_up_to = id;
            self.seen.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::scratch;

    fn facts(foreign_ttl: Duration) -> Facts {
        Facts::new(FactSettings {
            enabled: true,
            foreign_ttl,
            sole_writer: false,
        })
    }

    fn kept_roles(facts: &Facts, version: u64) -> bool {
        let key = (UserId::from("ada"), None, Scope::System);
        facts.keep(
            &facts.roles,
            key.clone(),
            version,
            EffectiveRoles::default(),
        );
        facts.get(&facts.roles, &key, Topic::Roles).is_some()
    }

    #[test]
    fn a_fact_is_kept_until_its_topic_changes() {
        let facts = facts(Duration::from_secs(60));
        let before = facts.version(Topic::Roles);
        assert!(kept_roles(&facts, before));
        facts.changed(Topic::Catalog.into());
        assert!(kept_roles(&facts, before), "another topic");
        facts.changed(Topic::Roles.into());
        assert!(!kept_roles(&facts, before), "read before the change");
        assert!(kept_roles(&facts, facts.version(Topic::Roles)));
    }

    #[test]
    fn a_fact_that_nobody_reports_as_changed_gets_too_old() {
        let facts = facts(Duration::ZERO);
        assert!(!kept_roles(&facts, facts.version(Topic::Roles)));
    }

    #[test]
    fn a_position_waits_at_a_gap_and_passes_it_when_it_is_filled() {
        let mut position = Position::at(4);
        for id in [5, 7, 8] {
            assert!(position.is_new(id));
        }
        position.advance();
        assert_eq!(position.read_up_to, 5);
        assert!(!position.is_new(7), "it was seen before");
        assert!(position.is_new(6), "the late one is new");
        position.advance();
        assert_eq!(position.read_up_to, 8);
        assert!(position.seen.is_empty());
    }

    #[test]
    fn a_gap_that_stays_is_passed_in_the_end() {
        let mut position = Position::at(0);
        let long_ago = Instant::now() - GAP;
        position.seen.insert(3, long_ago);
        position.seen.insert(6, long_ago);
        position.seen.insert(9, Instant::now());
        position.advance();
        assert_eq!(position.read_up_to, 6);
    }

    #[test]
    fn ids_that_were_passed_are_not_new() {
        assert!(!Position::at(4).is_new(4));
    }

    #[tokio::test]
    async fn a_commit_that_is_given_up_midway_is_noticed_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let settings = FactSettings {
            enabled: true,
            foreign_ttl: Duration::from_secs(60),
            sole_writer: true,
        };
        let store = scratch::store_with(&folder, settings).await;
        let mut committed = 0;
        for turns in 0..6 {
            let before = store.facts().version(Topic::Targets);
            let mut tx = store.begin().await.unwrap();
            let sql = format!("UPDATE project SET description = '{turns}'");
            let mut conn = Conn::Tx(&mut tx);
            conn.built_query(sql).execute().await.unwrap();
            let mut commit = Box::pin(tx.commit());
            for _ in 0..turns {
                let polled = poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
                if polled.is_ready() {
                    break;
                }
                // Long enough for the database to have answered.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(commit);
            // Its rows are free once it is over, by one end or the other.
            let mut next = store.begin().await.unwrap();
            let mut conn = Conn::Tx(&mut next);
            let free = "UPDATE project SET enabled = enabled";
            conn.query(free).execute().await.unwrap();
            let look = conn.query("SELECT description FROM project LIMIT 1");
            let rows = look.rows().await.unwrap();
            let there = rows[0].text("description").unwrap() == turns.to_string();
            if there {
                committed += 1;
                let noticed = async {
                    while store.facts().version(Topic::Targets) == before {
                        tokio::task::yield_now().await;
                    }
                };
                let noticed = tokio::time::timeout(Duration::from_secs(10), noticed);
                noticed.await.expect("what was committed is noticed");
            }
        }
        assert!((1..6).contains(&committed), "{committed}");
    }
}
