//! The cache of what every request needs: users, projects and domains, roles, the catalog, service
//! providers, revocations.
//!
//! A fact is valid for as long as nothing was written that it was read from; [`crate::change`] says
//! what a write changes. Each entity has an epoch that moves on when something of it changed; a fact
//! remembers the epoch from before it was read, and is worth nothing once that has moved on. So a
//! reader that was overtaken by a change keeps nothing stale.
//!
//! What other nodes and a Keystone on the same database change, [`crate::follower`] finds out.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::application_credential::StoredCredential;
use model::assignment::EffectiveRoles;
use model::clock::Clock;
use model::federation::ServiceProvider;
use model::ids::{ApplicationCredentialId, GroupId, IdentityProviderId, ProjectId, UserId};
use model::project::Project;
use model::revocation::{RevocationEvent, TokenFacts};
use model::revocation_index::RevocationIndex;
use model::subject::{CatalogService, Login, ScopeTarget, Subject};
use model::{Scope, Timestamp};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use crate::change::{CacheRegion, Changes};
use crate::named::NameKey;
use crate::sync_state::SyncState;

/// How facts are kept.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Whether any are kept but revocation events.
    pub enabled: bool,
    /// How old a fact may get that nobody reported as changed.
    pub foreign_ttl: Duration,
    /// Nobody else writes to the database, so that nobody has to be asked for changes.
    pub sole_writer: bool,
    /// How often the database is asked for changes although no request needs to know; `None` means
    /// never.
    pub poll: Option<Duration>,
    /// For how long a transaction of any node may be open. What it has written is looked for for so long.
    pub longest_transaction: Duration,
}

impl CacheSettings {
    /// Nothing is kept: for tools that look once.
    pub const NONE: Self = Self {
        enabled: false,
        foreign_ttl: Duration::ZERO,
        sole_writer: false,
        poll: None,
        longest_transaction: Duration::from_secs(60),
    };
}

/// The facts of one database.
pub(crate) struct Caches {
    pub(crate) settings: CacheSettings,
    pub(crate) clock: Arc<dyn Clock>,
    epochs: Epochs,
    pub(crate) subjects: Cache<UserId, Cached<Subject>>,
    pub(crate) logins: Cache<UserId, Cached<Login>>,
    /// Who had a name when somebody logged in by it, and which project did: only ever where to look
    /// first.
    pub(crate) named_users: Cache<NameKey, UserId>,
    pub(crate) named_projects: Cache<NameKey, ProjectId>,
    pub(crate) targets: Cache<ProjectId, Cached<ScopeTarget>>,
    pub(crate) roles: Cache<RolesKey, Cached<EffectiveRoles>>,
    /// Of users, without groups that a federated login brought.
    pub(crate) own_projects: Cache<UserId, Cached<OwnProjects>>,
    pub(crate) credentials: Cache<ApplicationCredentialId, Cached<StoredCredential>>,
    /// By project. Those to whom the whole catalog is shown share it.
    pub(crate) catalogs: Cache<Option<ProjectId>, Cached<Vec<CatalogService>>>,
    /// Whether identity providers are enabled. They share the region of the roles.
    pub(crate) identity_providers: Cache<IdentityProviderId, Cached<bool>>,
    /// All that are enabled, under the one key.
    pub(crate) service_providers: Cache<(), Cached<Vec<ServiceProvider>>>,
    revocations: RwLock<Revocations>,
    pub(crate) sync_state: SyncState,
}

/// Whose roles, with which groups of a federated login, where.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct RolesKey(
    pub(crate) UserId,
    pub(crate) Option<Vec<GroupId>>,
    pub(crate) Scope,
);

/// The same, to find something by.
#[derive(Hash)]
pub(crate) struct RolesOf<'a>(
    pub(crate) &'a UserId,
    pub(crate) Option<&'a [GroupId]>,
    pub(crate) &'a Scope,
);

impl Equivalent<RolesKey> for RolesOf<'_> {
    fn equivalent(&self, key: &RolesKey) -> bool {
        *self.0 == key.0 && self.1 == key.1.as_deref() && *self.2 == key.2
    }
}

/// The project whose catalog it is, to find that by.
#[derive(Hash)]
pub(crate) struct CatalogOf<'a>(pub(crate) Option<&'a ProjectId>);

impl Equivalent<Option<ProjectId>> for CatalogOf<'_> {
    fn equivalent(&self, key: &Option<ProjectId>) -> bool {
        self.0 == key.as_ref()
    }
}

/// The projects on which a user holds roles.
pub(crate) struct OwnProjects {
    pub(crate) projects: Arc<Vec<Project>>,
    /// When time alone takes one away.
    pub(crate) ends_at: Option<Timestamp>,
}

pub(crate) struct Cached<T> {
    fact: Arc<T>,
    moment: Moment,
}

/// From when a fact is.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    epoch: u64,
    /// By the clock that never goes back.
    at: Duration,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self {
            fact: Arc::clone(&self.fact),
            ..*self
        }
    }
}

/// For each region, how often all of it, or one of its entities, has changed. Entities share counters by
/// their hash, so that these need the same memory however many entities there are; a change of one
/// invalidates a few others without need.
///
/// MariaDB takes ids for the same that differ in case, in accents or in spaces at the end, and so a
/// change may name an entity otherwise than its row does. Ids are hashed without what differs; those
/// with other letters than ASCII change with any entity of their region.
struct Epochs {
    whole: [AtomicU64; CacheRegion::COUNT],
    /// How often any single entity has changed.
    single: [AtomicU64; CacheRegion::COUNT],
    stripes: Vec<AtomicU64>,
    seed: u64,
}

/// How many counters the entities of a region share.
const STRIPES: usize = 1024;

impl Epochs {
    fn new() -> Self {
        let stripes = (0..STRIPES * CacheRegion::COUNT).map(|_| AtomicU64::new(0));
        Self {
            whole: Default::default(),
            single: Default::default(),
            stripes: stripes.collect(),
            seed: RandomState::new().hash_one(0),
        }
    }

    fn stripe(&self, region: CacheRegion, id: &str) -> &AtomicU64 {
        // What tells capitals from small letters, in each of eight bytes.
        const CASE: u64 = 0x2020_2020_2020_2020;
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        // From a start that nobody knows. Ids that meet invalidate each other, and nothing worse.
        let mut hash = self.seed;
        for bytes in id.trim_end_matches(' ').as_bytes().chunks(8) {
            let mut word = [b' '; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let mixed = u128::from(hash ^ (u64::from_le_bytes(word) | CASE)) * FACTOR;
            hash = (mixed ^ (mixed >> 64)) as u64;
        }
        let stripe = hash as usize % STRIPES;
        &self.stripes[region as usize * STRIPES + stripe]
    }

    /// Moves on whenever the region or the entity changes: all counters only ever grow, and so does their
    /// sum.
    fn of(&self, region: CacheRegion, id: &str) -> u64 {
        // A login is judged by all that is known of its user, and projects are listed by roles.
        let others = match region {
            CacheRegion::Logins => self.of(CacheRegion::Subjects, id),
            CacheRegion::OwnProjects => self.of(CacheRegion::Roles, id),
            _ => 0,
        };
        let own = match id.is_ascii() {
            true => self.stripe(region, id),
            false => &self.single[region as usize],
        };
        let whole = self.whole[region as usize].load(Ordering::SeqCst);
        others + whole + own.load(Ordering::SeqCst)
    }

    fn advance(&self, changes: &Changes) {
        for (region, id) in changes.iter() {
            match id.filter(|id| id.is_ascii()) {
                Some(id) => {
                    self.stripe(region, id).fetch_add(1, Ordering::SeqCst);
                    self.single[region as usize].fetch_add(1, Ordering::SeqCst);
                }
                None => {
                    self.whole[region as usize].fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// The revocation events of the database.
#[derive(Default)]
struct Revocations {
    index: RevocationIndex,
    /// Those that came while all were being read again.
    meanwhile: Option<Vec<RevocationEvent>>,
}

impl Caches {
    pub(crate) fn new(settings: CacheSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            clock,
            epochs: Epochs::new(),
            subjects: Cache::new(20_000),
            logins: Cache::new(20_000),
            named_users: Cache::new(20_000),
            named_projects: Cache::new(20_000),
            targets: Cache::new(20_000),
            roles: Cache::new(50_000),
            own_projects: Cache::new(5_000),
            credentials: Cache::new(20_000),
            catalogs: Cache::new(20_000),
            identity_providers: Cache::new(1_000),
            service_providers: Cache::new(1),
            revocations: RwLock::default(),
            sync_state: SyncState::default(),
        }
    }

    /// The state of an entity before something of it is read.
    pub(crate) fn before_reading(&self, (region, id): (CacheRegion, &str)) -> Moment {
        Moment {
            epoch: self.epochs.of(region, id),
            at: self.clock.elapsed(),
        }
    }

    /// Whether an event revokes the token, as far as they were read.
    pub(crate) fn is_revoked(&self, token: &TokenFacts<'_>) -> bool {
        let revocations = self.revocations.read();
        let revocations = revocations.unwrap_or_else(PoisonError::into_inner);
        revocations.index.revokes(token)
    }

    /// What was written is visible now, to us and to everybody.
    pub(crate) fn changed(&self, changes: &Changes) {
        self.epochs.advance(changes);
    }

    /// Tokens are revoked now. Of many events, others read what is known in between, and get the
    /// thread too: who validates a token is not to wait until a hundred thousand are applied.
    pub(crate) async fn revoked(&self, events: impl IntoIterator<Item = RevocationEvent>) {
        const TOGETHER: usize = 500;
        let mut events = events.into_iter();
        loop {
            let some = events.by_ref().take(TOGETHER);
            if self.revoke_some(some) < TOGETHER {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The same at once; how many there were.
    fn revoke_some(&self, events: impl Iterator<Item = RevocationEvent>) -> usize {
        let mut revocations = self.revocations_mut();
        let mut count = 0;
        for event in events {
            if let Some(meanwhile) = &mut revocations.meanwhile {
                meanwhile.push(event.clone());
            }
            revocations.index.insert(event);
            count += 1;
        }
        count
    }

    /// From here on all events are read again; until [`Self::replace_revocations`], those known count.
    pub(crate) fn begin_replacing_revocations(&self) {
        self.revocations_mut().meanwhile = Some(Vec::new());
    }

    /// Puts the events that the database holds in the place of those known.
    pub(crate) fn replace_revocations(&self, events: Vec<RevocationEvent>) {
        let mut index = RevocationIndex::default();
        for event in events {
            index.insert(event);
        }
        let mut revocations = self.revocations_mut();
        // What was committed here while they were read may not be among them.
        for event in revocations.meanwhile.take().into_iter().flatten() {
            index.insert(event);
        }
        revocations.index = index;
    }

    /// Drops the events that were made before a moment.
    pub(crate) fn forget(&self, before: Timestamp) {
        self.revocations_mut().index.forget(before);
    }

    fn revocations_mut(&self) -> std::sync::RwLockWriteGuard<'_, Revocations> {
        let lock = self.revocations.write();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get<K: Eq + Hash, Q: Hash + Equivalent<K> + ?Sized, T>(
        &self,
        cache: &Cache<K, Cached<T>>,
        key: &Q,
        (region, id): (CacheRegion, &str),
    ) -> Option<Arc<T>> {
        let kept = cache.get(key)?;
        let age = || self.clock.elapsed().saturating_sub(kept.moment.at);
        let valid = kept.moment.epoch == self.epochs.of(region, id)
            && (self.settings.sole_writer || age() < self.settings.foreign_ttl);
        valid.then_some(kept.fact)
    }

    /// Keeps a fact that was read after this moment.
    pub(crate) fn insert<K: Eq + Hash, T>(
        &self,
        cache: &Cache<K, Cached<T>>,
        key: K,
        moment: Moment,
        fact: Arc<T>,
    ) -> Arc<T> {
        if self.settings.enabled {
            let kept = Cached {
                fact: Arc::clone(&fact),
                moment,
            };
            cache.insert(key, kept);
        }
        fact
    }

    /// The same of an entity that the client names, unless the database took another spelling of its id for
    /// the same: the moment is of what was asked for, and of one id there are as many spellings as
    /// anybody likes.
    pub(crate) fn insert_as_asked<K: Clone + Eq + Hash, T>(
        &self,
        cache: &Cache<K, Cached<T>>,
        (asked, found): (&K, &K),
        moment: Moment,
        fact: Arc<T>,
    ) -> Arc<T> {
        match asked == found {
            true => self.insert(cache, asked.clone(), moment, fact),
            false => fact,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::change::Entity;
    use crate::scratch::{self, HandClock};

    fn caches() -> (Caches, Arc<HandClock>) {
        let settings = CacheSettings {
            enabled: true,
            foreign_ttl: Duration::from_secs(60),
            ..CacheSettings::NONE
        };
        let clock = Arc::new(HandClock::default());
        (Caches::new(settings, Arc::clone(&clock) as _), clock)
    }

    const ADA: (CacheRegion, &str) = (CacheRegion::Roles, "ada");

    fn keeps_roles(caches: &Caches, moment: Moment) -> bool {
        let key = RolesKey(UserId::from("ada"), None, Scope::System);
        caches.insert(&caches.roles, key, moment, Arc::default());
        kept_roles(caches)
    }

    fn kept_roles(caches: &Caches) -> bool {
        let key = RolesKey(UserId::from("ada"), None, Scope::System);
        caches.get(&caches.roles, &key, ADA).is_some()
    }

    #[test]
    fn a_fact_is_kept_until_something_of_it_changes() {
        let (caches, _) = caches();
        let before = caches.before_reading(ADA);
        assert!(keeps_roles(&caches, before));
        caches.changed(&Changes::of("endpoint", Entity::Any));
        caches.changed(&Changes::of("password", Entity::One("ada")));
        assert!(kept_roles(&caches), "another region");
        caches.changed(&Changes::of("assignment", Entity::One("ada")));
        assert!(!kept_roles(&caches), "a grant to her");
        assert!(!keeps_roles(&caches, before), "read before the change");
        assert!(keeps_roles(&caches, caches.before_reading(ADA)));
        caches.changed(&Changes::of("assignment", Entity::Any));
        assert!(!kept_roles(&caches), "a grant to many");
    }

    #[test]
    fn a_change_counts_however_the_database_lets_the_id_be_written() {
        let (caches, _) = caches();
        for (kept, changed) in [
            ("ab12", "AB12"),
            ("ab12", "ab12  "),
            ("Ab12 ", "aB12"),
            ("é12", "e12"),
            ("e12", "é12"),
            ("É12", "é12"),
        ] {
            let before = caches.epochs.of(CacheRegion::Roles, kept);
            caches.changed(&Changes::of("assignment", Entity::One(changed)));
            let after = caches.epochs.of(CacheRegion::Roles, kept);
            assert_ne!(before, after, "{kept} and {changed}");
        }
    }

    #[test]
    fn what_is_granted_to_others_invalidates_few_entries() {
        let (caches, _) = caches();
        let everybody: Vec<String> = (0..500).map(|number| format!("user {number}")).collect();
        let epoch = |user: &String| caches.epochs.of(CacheRegion::Roles, user);
        let before: Vec<u64> = everybody.iter().map(epoch).collect();
        caches.changed(&Changes::of("assignment", Entity::One("user 7")));
        let after = everybody.iter().map(epoch);
        let invalid = before
            .iter()
            .zip(after)
            .filter(|(before, after)| **before != *after);
        let invalid = invalid.count();
        assert!((1..10).contains(&invalid), "{invalid}");
    }

    #[test]
    fn a_fact_that_nobody_reports_as_changed_gets_too_old() {
        let (caches, clock) = caches();
        assert!(keeps_roles(&caches, caches.before_reading(ADA)));
        clock.advance(Duration::from_secs(59));
        assert!(kept_roles(&caches));
        clock.set(clock.now() - chrono::TimeDelta::hours(1));
        assert!(
            kept_roles(&caches),
            "the time of day has nothing to do with it"
        );
        clock.advance(Duration::from_secs(1));
        assert!(!kept_roles(&caches));
    }

    #[tokio::test]
    async fn a_commit_that_is_given_up_midway_is_noticed_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let settings = CacheSettings {
            enabled: true,
            foreign_ttl: Duration::from_secs(60),
            sole_writer: true,
            ..CacheSettings::NONE
        };
        let store = scratch::store_with(&folder, |options| options.cache = settings).await;
        // The first is given up before it begins, and the last is not.
        const LAST: u64 = 5;
        let mut committed = 0;
        for turns in 0..=LAST {
            let before = store.caches().epochs.of(CacheRegion::Targets, "");
            let mut tx = store.begin().await.unwrap();
            let set = format!("SET description = '{turns}'");
            let update = tx.update("project", Entity::Any, set);
            update.execute().await.unwrap();
            let mut commit = Box::pin(tx.commit());
            if turns == LAST {
                let _saved = commit.await.unwrap();
            } else {
                for _ in 0..turns {
                    let polled =
                        poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
                    if polled.is_ready() {
                        break;
                    }
                    // Long enough for the database to have answered, most often.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                drop(commit);
            }
            // Its rows are free once it is over, by one end or the other.
            let mut next = store.begin().await.unwrap();
            let free = next.update("project", Entity::Uncached, "SET enabled = enabled");
            free.execute().await.unwrap();
            let mut reading = next.read();
            let look = reading.query("SELECT description FROM project LIMIT 1");
            let rows = look.rows().await.unwrap();
            let there = rows[0].text("description").unwrap() == turns.to_string();
            if there {
                committed += 1;
                let noticed = async {
                    while store.caches().epochs.of(CacheRegion::Targets, "") == before {
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
