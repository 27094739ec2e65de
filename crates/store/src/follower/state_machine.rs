//! Two nodes, a Keystone and an operator on one database, and a simple model of what is so.

use std::path::Path;

use ::model::assignment::{Actor, Assignment, AssignmentTarget};
use ::model::clock::Clock as _;
use ::model::ids::{ProjectId, UserId};
use ::model::token::{AuditId, AuditIds, Token, TokenKind};
use ::model::{Method, Scope};
use proptest::prelude::*;

use super::*;
use crate::db::Session;
use crate::named::NamedDomain;
use crate::scratch::{self, HandClock};
use ::model::revocation::TokenFacts;

const USERS: usize = 3;

/// How many names there are for users, and for the project.
const NAMES: usize = 4;

/// For how long tokens are valid, in seconds.
const LIFETIME: i64 = 3600;

/// What may happen. Nodes and users are given by their numbers.
#[derive(Clone, Debug)]
enum Event {
    /// A user logs in; the token before is forgotten.
    Issue(usize),
    /// A node gives a user the role, or takes it away.
    Grant {
        node: usize,
        user: usize,
        given: bool,
    },
    /// A node enables or disables a user.
    Enable {
        node: usize,
        user: usize,
        enabled: bool,
    },
    /// A node gives a user another of the names, if nobody has it.
    Rename {
        node: usize,
        user: usize,
        name: usize,
    },
    /// A node notes a login that fails, or one that succeeds.
    LogIn {
        node: usize,
        user: usize,
        succeeds: bool,
    },
    /// A node gives a user the role on the project, or takes it away.
    GrantProject {
        node: usize,
        user: usize,
        given: bool,
    },
    /// A node gives the project another name.
    RenameProject {
        node: usize,
        name: usize,
    },
    /// A node revokes the token of a user.
    RevokeToken {
        node: usize,
        user: usize,
    },
    /// A node revokes all tokens of a user.
    RevokeUser {
        node: usize,
        user: usize,
    },
    /// The same by a Keystone, which tells nobody.
    ForeignRevoke(usize),
    /// The same by a row whose time cannot be read.
    UnreadableRevoke(usize),
    /// The same by a row that took its id long ago.
    LateRevoke(usize),
    /// A node of the release before disables or enables a user, a gap of so many ids before it.
    OldRelease {
        user: usize,
        enabled: bool,
        gap: i64,
    },
    /// A node of a later release does, and names a region that is unknown here, or unreadable.
    LaterRelease {
        user: usize,
        enabled: bool,
        readable: bool,
    },
    /// The first node removes what nobody needs.
    Sweep,
    /// A Keystone does, and empties the table if it may.
    ForeignPurge,
    /// The operator saves the database, and restores what was saved last.
    Save,
    /// Before it, nodes may have read all that was written; otherwise what they alone did may
    /// stay cached for as long as what a foreign server changes.
    Restore {
        synced: bool,
    },
    Restart(usize),
    /// Time passes, in seconds.
    Pass(i64),
    /// Somebody sets the second node's clock.
    SetClock(i64),
    /// A node issues a token: what it knows must be so.
    Strict(usize),
    /// A node validates tokens after a second without news.
    Bounded(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let (node, user) = (0..2usize, 0..USERS);
    let two = (node.clone(), user.clone());
    let three = (node.clone(), user.clone(), any::<bool>());
    let told = (user.clone(), any::<bool>());
    prop_oneof![
        3 => user.clone().prop_map(Event::Issue),
        3 => three.clone().prop_map(|(node, user, given)| Event::Grant { node, user, given }),
        3 => three.clone().prop_map(|(node, user, enabled)| Event::Enable { node, user, enabled }),
        2 => (two.clone(), 0..NAMES)
            .prop_map(|((node, user), name)| Event::Rename { node, user, name }),
        3 => three.clone().prop_map(|(node, user, succeeds)| Event::LogIn { node, user, succeeds }),
        2 => three.clone().prop_map(|(node, user, given)| Event::GrantProject { node, user, given }),
        1 => (node.clone(), 0..NAMES)
            .prop_map(|(node, name)| Event::RenameProject { node, name }),
        2 => two.clone().prop_map(|(node, user)| Event::RevokeToken { node, user }),
        2 => two.prop_map(|(node, user)| Event::RevokeUser { node, user }),
        3 => user.clone().prop_map(Event::ForeignRevoke),
        1 => user.clone().prop_map(Event::UnreadableRevoke),
        1 => user.prop_map(Event::LateRevoke),
        2 => (told.clone(), 0..5i64)
            .prop_map(|((user, enabled), gap)| Event::OldRelease { user, enabled, gap }),
        1 => (told, any::<bool>())
            .prop_map(|((user, enabled), readable)| Event::LaterRelease { user, enabled, readable }),
        1 => Just(Event::Sweep),
        2 => Just(Event::ForeignPurge),
        1 => Just(Event::Save),
        2 => any::<bool>().prop_map(|synced| Event::Restore { synced }),
        1 => node.clone().prop_map(Event::Restart),
        2 => prop_oneof![0..20i64, 50..70i64, 3000..4000i64].prop_map(Event::Pass),
        1 => (-14..14i64).prop_map(Event::SetClock),
        6 => node.clone().prop_map(Event::Strict),
        3 => node.prop_map(Event::Bounded),
    ]
}

/// What is so.
#[derive(Clone)]
struct Truth {
    disabled: [bool; USERS],
    granted: [bool; USERS],
    names: [usize; USERS],
    failures: [u32; USERS],
    on_project: [bool; USERS],
    project_name: usize,
    revocations: Vec<Revocation>,
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            disabled: Default::default(),
            granted: Default::default(),
            names: std::array::from_fn(|user| user),
            failures: Default::default(),
            on_project: Default::default(),
            project_name: 0,
            revocations: Vec::new(),
        }
    }
}

#[derive(Clone)]
struct Revocation {
    user: usize,
    /// The one token, or all that were issued until then.
    token: Option<AuditId>,
    until: i64,
    made: i64,
}

impl Revocation {
    fn fits(&self, user: usize, token: &Issued) -> bool {
        match self.token {
            Some(id) => id == token.audit_id,
            None => self.user == user && token.at <= self.until,
        }
    }
}

#[derive(Clone, Copy)]
struct Issued {
    audit_id: AuditId,
    at: i64,
}

struct World {
    nodes: [Store; 2],
    clocks: [Arc<HandClock>; 2],
    /// Who writes as others do.
    others: Store,
    folder: tempfile::TempDir,
    truth: Truth,
    saved: Option<Truth>,
    /// What was so and is lost: a node that did it itself may go on to revoke by it.
    lost: Vec<Revocation>,
    tokens: [Issued; USERS],
    issued: u8,
}

fn connect(file: &Path, clock: &Arc<HandClock>) -> Store {
    let mut options = scratch::options(format!("sqlite:///{}", file.display()));
    options.clock = Arc::clone(clock) as _;
    options.cache.enabled = true;
    options.cache.foreign_ttl = Duration::from_secs(5);
    Store::connect(&options).unwrap()
}

fn user_id(user: usize) -> UserId {
    format!("user{user}").as_str().into()
}

fn name(number: usize) -> String {
    format!("name{number}")
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_timestamp(second, 0).unwrap()
}

/// What must be in a database before anything happens.
async fn prepare(file: &Path) {
    let store = connect(file, &Arc::default());
    store.sync_schema().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let mut run = async |sql: String| tx.define(sql).execute().await.unwrap();
    run(
        "INSERT INTO project (id, name, domain_id, is_domain, enabled, extra) \
         SELECT 'default', 'Default', id, 1, 1, '{}' FROM project"
            .into(),
    )
    .await;
    run("INSERT INTO role (id, name, domain_id, extra) VALUES ('r', 'r', '<<null>>', '{}')".into())
        .await;
    run(
        "INSERT INTO project (id, name, domain_id, parent_id, is_domain, enabled, extra) \
         VALUES ('p', 'name0', 'default', 'default', 0, 1, '{}')"
            .into(),
    )
    .await;
    for user in 0..USERS {
        let (id, name) = (user_id(user), name(user));
        run(format!(
            "INSERT INTO \"user\" (id, domain_id, enabled, extra) VALUES ('{id}', 'default', 1, '{{}}')"
        ))
        .await;
        run(format!(
            "INSERT INTO local_user (user_id, domain_id, name) VALUES ('{id}', 'default', '{name}')"
        ))
        .await;
    }
    let _saved = tx.commit().await.unwrap();
    store.close().await;
}

impl World {
    async fn new(template: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keystone.db");
        std::fs::copy(template, &file).unwrap();
        let clocks: [Arc<HandClock>; 2] = Default::default();
        let mut world = Self {
            nodes: [connect(&file, &clocks[0]), connect(&file, &clocks[1])],
            others: connect(&file, &clocks[0]),
            clocks,
            folder,
            truth: Truth::default(),
            saved: None,
            lost: Vec::new(),
            tokens: [Issued {
                audit_id: AuditId::from_bytes([0; 16]),
                at: 0,
            }; USERS],
            issued: 0,
        };
        for user in 0..USERS {
            world.issue(user);
        }
        world
    }

    fn now(&self) -> i64 {
        self.clocks[0].now().timestamp()
    }

    fn issue(&mut self, user: usize) {
        self.issued += 1;
        self.tokens[user] = Issued {
            audit_id: AuditId::from_bytes([self.issued; 16]),
            at: self.now(),
        };
    }

    fn pass(&self, seconds: i64) {
        for clock in &self.clocks {
            clock.advance(Duration::from_secs(seconds.unsigned_abs()));
        }
    }

    /// Runs statements as somebody does who is none of the nodes.
    async fn foreign(&self, statements: &[String]) {
        let mut tx = self.others.begin().await.unwrap();
        for sql in statements {
            tx.define(sql.clone()).execute().await.unwrap();
        }
        let _saved = tx.commit().await.unwrap();
    }

    fn revoke(&mut self, user: usize, token: Option<AuditId>, until: i64) {
        let made = self.now();
        self.truth.revocations.push(Revocation {
            user,
            token,
            until,
            made,
        });
    }

    /// A row of Keystone, or one like it: at the next id, or at this one.
    fn revocation_row(&self, user: usize, id: &str, issued_before: &str) -> String {
        let now = crate::value::Value::sqlite_time(time(self.now()));
        let issued_before = if issued_before.is_empty() {
            &now
        } else {
            issued_before
        };
        format!(
            "INSERT INTO revocation_event (id, user_id, issued_before, revoked_at) \
             VALUES ({id}, '{}', '{issued_before}', '{now}')",
            user_id(user)
        )
    }

    fn enable_row(user: usize, enabled: bool) -> String {
        let enabled = i32::from(enabled);
        format!(
            "UPDATE \"user\" SET enabled = {enabled} WHERE id = '{}'",
            user_id(user)
        )
    }

    async fn happens(&mut self, event: &Event) {
        match *event {
            Event::Issue(user) => self.issue(user),
            Event::Grant { node, user, given } => {
                let mut tx = self.nodes[node].begin().await.unwrap();
                let assignment = Assignment {
                    role_id: "r".into(),
                    actor: Actor::User(user_id(user)),
                    target: AssignmentTarget::System,
                    inherited: false,
                };
                if given && !self.truth.granted[user] {
                    tx.assignments_mut().insert(&assignment).await.unwrap();
                } else if !given {
                    tx.assignments_mut().delete(&assignment).await.unwrap();
                }
                let _saved = tx.commit().await.unwrap();
                self.truth.granted[user] = given;
                self.check_grants(node, user).await;
            }
            Event::Enable {
                node,
                user,
                enabled,
            } => {
                let mut tx = self.nodes[node].begin().await.unwrap();
                let id = user_id(user);
                tx.users_mut().set_enabled(&id, enabled).await.unwrap();
                let _saved = tx.commit().await.unwrap();
                self.truth.disabled[user] = !enabled;
            }
            Event::Rename {
                node,
                user,
                name: to,
            } => {
                if !self.truth.names.contains(&to) {
                    let id = user_id(user);
                    let mut tx = self.nodes[node].begin().await.unwrap();
                    let rename = tx.update("local_user", &id, "SET name = ? WHERE user_id = ?");
                    let rename = rename.bind(name(to)).bind(&id);
                    rename.execute().await.unwrap();
                    let _saved = tx.commit().await.unwrap();
                    self.truth.names[user] = to;
                    self.check_login(node, user).await;
                }
            }
            Event::LogIn {
                node,
                user,
                succeeds,
            } => {
                let (id, now) = (user_id(user), time(self.now()));
                let mut tx = self.nodes[node].begin().await.unwrap();
                let mut logins = tx.logins_mut();
                if succeeds {
                    let login = logins.find_for_update(&id).await.unwrap().unwrap();
                    logins.note_success(&login, now.date_naive()).await.unwrap();
                    self.truth.failures[user] = 0;
                } else {
                    logins.note_failure(&id, None, now).await.unwrap();
                    self.truth.failures[user] += 1;
                }
                let _saved = tx.commit().await.unwrap();
                // One that succeeds may have nothing to write.
                if !succeeds {
                    self.check_login(node, user).await;
                }
            }
            Event::GrantProject { node, user, given } => {
                if given != self.truth.on_project[user] {
                    let mut tx = self.nodes[node].begin().await.unwrap();
                    let mut assignments = tx.assignments_mut();
                    let assignment = Assignment {
                        role_id: "r".into(),
                        actor: Actor::User(user_id(user)),
                        target: AssignmentTarget::Project("p".into()),
                        inherited: false,
                    };
                    if given {
                        assignments.insert(&assignment).await.unwrap();
                    } else {
                        assignments.delete(&assignment).await.unwrap();
                    }
                    let _saved = tx.commit().await.unwrap();
                    self.truth.on_project[user] = given;
                    self.check_projects(node, user).await;
                }
            }
            Event::RenameProject { node, name: to } => {
                let id = ProjectId::from("p");
                let mut tx = self.nodes[node].begin().await.unwrap();
                let rename = tx.update("project", &id, "SET name = ? WHERE id = ?");
                let rename = rename.bind(name(to)).bind(&id);
                rename.execute().await.unwrap();
                let _saved = tx.commit().await.unwrap();
                self.truth.project_name = to;
                for user in 0..USERS {
                    self.check_projects(node, user).await;
                }
            }
            Event::RevokeToken { node, user } => {
                let audit_id = self.tokens[user].audit_id;
                let event = RevocationEvent {
                    audit_id: Some(audit_id),
                    ..RevocationEvent::at(time(self.now()))
                };
                self.commit_revocation(node, event).await;
                self.revoke(user, Some(audit_id), self.now());
                // At once, and without a question.
                assert!(self.is_revoked(node, user));
            }
            Event::RevokeUser { node, user } => {
                let event = RevocationEvent {
                    user_id: Some(user_id(user)),
                    ..RevocationEvent::at(time(self.now()))
                };
                self.commit_revocation(node, event).await;
                self.revoke(user, None, self.now());
                assert!(self.is_revoked(node, user));
            }
            Event::ForeignRevoke(user) => {
                self.foreign(&[self.revocation_row(user, "NULL", "")]).await;
                self.revoke(user, None, self.now());
            }
            Event::UnreadableRevoke(user) => {
                // Beside one that can be read, of another user.
                let other = (user + 1) % USERS;
                let rows = [
                    self.revocation_row(user, "NULL", "not a time"),
                    self.revocation_row(other, "NULL", ""),
                ];
                self.foreign(&rows).await;
                self.revoke(user, None, i64::MAX);
                self.revoke(other, None, self.now());
            }
            Event::LateRevoke(user) => {
                let free = "SELECT COALESCE(MIN(id), 2) - 1 AS number FROM revocation_event e \
                    WHERE id > 1 AND NOT EXISTS \
                    (SELECT 1 FROM revocation_event b WHERE b.id = e.id - 1)";
                let id = crate::scratch::number(&self.others, free).await.unwrap();
                let taken =
                    format!("SELECT COUNT(*) AS number FROM revocation_event WHERE id = {id}");
                if crate::scratch::number(&self.others, &taken).await.unwrap() == 0 {
                    let row = self.revocation_row(user, &id.to_string(), "");
                    self.foreign(&[row]).await;
                    self.revoke(user, None, self.now());
                    for node in 0..2 {
                        self.look_after_a_second(node).await;
                        self.check(node).await;
                    }
                }
            }
            Event::OldRelease { user, enabled, gap } => {
                let at = self.now() * 1_000_000;
                let change = format!(
                    "INSERT INTO archstone_change (id, kind, entity_id, at) \
                     SELECT COALESCE(MAX(id), 0) + 1 + {gap}, 'subjects', '', {at} \
                     FROM archstone_change"
                );
                self.foreign(&[Self::enable_row(user, enabled), change])
                    .await;
                self.truth.disabled[user] = !enabled;
            }
            Event::LaterRelease {
                user,
                enabled,
                readable,
            } => {
                let at = self.now() * 1_000_000;
                let kind = if readable { "'something'" } else { "x'ff'" };
                let change = format!(
                    "INSERT INTO archstone_change (kind, entity_id, at) \
                     VALUES ({kind}, 'somebody', {at})"
                );
                self.foreign(&[Self::enable_row(user, enabled), change])
                    .await;
                self.truth.disabled[user] = !enabled;
            }
            Event::Sweep => {
                let lifetime = TimeDelta::seconds(LIFETIME);
                let swept = self.nodes[0].sweep(lifetime).await.unwrap();
                if swept {
                    // The last row stays, which revokes no token that is valid.
                    self.forget_old();
                }
            }
            Event::ForeignPurge => {
                let horizon = crate::value::Value::sqlite_time(time(self.now() - LIFETIME));
                let purge = format!("DELETE FROM revocation_event WHERE revoked_at < '{horizon}'");
                self.foreign(&[purge]).await;
                self.forget_old();
            }
            Event::Save => {
                let file = self.folder.path().join("saved.db");
                let _ = std::fs::remove_file(&file);
                let save = format!("VACUUM INTO '{}'", file.display());
                Session::run_alone(&self.others.db, save).await.unwrap();
                self.saved = Some(self.truth.clone());
            }
            Event::Restore { synced } => {
                if let Some(saved) = self.saved.clone() {
                    for node in self.nodes.iter().filter(|_| synced) {
                        node.sync().await.unwrap();
                    }
                    self.restore().await;
                    let truth = std::mem::replace(&mut self.truth, saved);
                    self.lost.extend(truth.revocations);
                    // A restore is not done within the second of the last write: rows of before and
                    // after it that have the same id differ by their times.
                    self.pass(if synced { 1 } else { 5 });
                }
            }
            Event::Restart(node) => {
                let file = self.folder.path().join("keystone.db");
                self.nodes[node].close().await;
                self.nodes[node] = connect(&file, &self.clocks[node]);
            }
            Event::Pass(seconds) => self.pass(seconds),
            Event::SetClock(second) => {
                self.clocks[1].set(time(self.now() + second));
            }
            Event::Strict(node) => {
                self.nodes[node].sync().await.unwrap();
                self.check(node).await;
            }
            Event::Bounded(node) => {
                self.look_after_a_second(node).await;
                self.check(node).await;
            }
        }
    }

    async fn commit_revocation(&self, node: usize, event: RevocationEvent) {
        let mut tx = self.nodes[node].begin().await.unwrap();
        tx.revocations_mut().insert(&event).await.unwrap();
        let _saved = tx.commit().await.unwrap();
    }

    fn forget_old(&mut self) {
        let horizon = self.now() - LIFETIME;
        let old = |revocation: &Revocation| revocation.made < horizon;
        self.lost
            .extend(self.truth.revocations.iter().filter(|it| old(it)).cloned());
        self.truth.revocations.retain(|revocation| !old(revocation));
    }

    async fn restore(&self) {
        let file = self.folder.path().join("saved.db");
        let attach = format!("ATTACH '{}' AS saved", file.display());
        Session::run_alone(&self.others.db, attach).await.unwrap();
        let mut statements = Vec::new();
        for table in [
            "\"user\"",
            "local_user",
            "assignment",
            "system_assignment",
            "revocation_event",
            "archstone_change",
            "archstone_lease",
            "sqlite_sequence",
        ] {
            statements.push(format!("DELETE FROM main.{table}"));
            statements.push(format!(
                "INSERT INTO main.{table} SELECT * FROM saved.{table}"
            ));
        }
        statements.push(
            "UPDATE main.project SET name = (SELECT s.name FROM saved.project s WHERE s.id = 'p') \
             WHERE id = 'p'"
                .to_owned(),
        );
        self.foreign(&statements).await;
        let detach = "DETACH saved".to_owned();
        Session::run_alone(&self.others.db, detach).await.unwrap();
    }

    async fn look_after_a_second(&self, node: usize) {
        self.pass(1);
        self.nodes[node].ensure_synced().await.unwrap();
    }

    fn token_of(&self, user: usize) -> Token {
        let issued = &self.tokens[user];
        let another = AuditId::from_bytes([0xff; 16]);
        Token {
            user_id: user_id(user),
            methods: vec![Method::Password],
            kind: TokenKind::Direct(Scope::System),
            audit_ids: AuditIds::descended(issued.audit_id, &AuditIds::root(another)),
            issued_at: time(issued.at),
            expires_at: time(issued.at + LIFETIME),
        }
    }

    fn is_revoked(&self, node: usize, user: usize) -> bool {
        self.nodes[node].is_revoked(&TokenFacts {
            token: &self.token_of(user),
            user_domain_id: &"default".into(),
            role_ids: &[],
            trust: None,
            consumer_id: None,
        })
    }

    async fn check_grants(&self, node: usize, user: usize) {
        let (store, now, id) = (&self.nodes[node], self.clocks[node].now(), user_id(user));
        let roles = store.effective_roles(&id, None, &Scope::System, now);
        let granted = !roles.await.unwrap().roles.is_empty();
        let expected = self.truth.granted[user];
        assert_eq!(granted, expected, "node {node}: user {user} has the role");
    }

    async fn check_login(&self, node: usize, user: usize) {
        let login = self.nodes[node].login(&user_id(user)).await.unwrap();
        let login = login.unwrap();
        let known = (&login.subject.name, login.failed_attempts);
        let expected = (&name(self.truth.names[user]), self.truth.failures[user]);
        assert_eq!(known, expected, "node {node}: user {user}");
    }

    async fn check_names(&self, node: usize) {
        for number in 0..NAMES {
            let (wanted, domain) = (name(number), "default".into());
            let found = self.nodes[node].login_by_name(&wanted, NamedDomain::Id(&domain));
            let found = found.await.unwrap();
            let found = found.map(|login| (login.subject.id.clone(), login.failed_attempts));
            let owner = self.truth.names.iter().position(|own| *own == number);
            let expected = owner.map(|user| (user_id(user), self.truth.failures[user]));
            assert_eq!(found, expected, "node {node}: name {number}");
        }
    }

    async fn check_projects(&self, node: usize, user: usize) {
        let (store, now) = (&self.nodes[node], self.clocks[node].now());
        let listed = store.projects_of(&user_id(user), &[], now).await.unwrap();
        let names: Vec<_> = listed.iter().map(|project| project.name.clone()).collect();
        let expected = match self.truth.on_project[user] {
            true => vec![name(self.truth.project_name)],
            false => Vec::new(),
        };
        assert_eq!(names, expected, "node {node}: projects of user {user}");
    }

    /// Compares all that a node knows of users and of tokens that are valid by their times.
    async fn check(&self, node: usize) {
        self.check_names(node).await;
        for (user, issued) in self.tokens.iter().enumerate() {
            let (subject, _) = self.nodes[node]
                .subject_and_target(&user_id(user), None)
                .await
                .unwrap();
            let enabled = subject.is_some_and(|subject| subject.enabled);
            let expected = !self.truth.disabled[user];
            assert_eq!(enabled, expected, "node {node}: user {user} is enabled");
            self.check_grants(node, user).await;
            self.check_login(node, user).await;
            self.check_projects(node, user).await;
            if self.now() - issued.at >= LIFETIME {
                continue;
            }
            let fits = |revocation: &Revocation| revocation.fits(user, issued);
            let expected = self.truth.revocations.iter().any(fits);
            let may_be = expected || self.lost.iter().any(fits);
            let revoked = self.is_revoked(node, user);
            assert!(
                revoked || !expected,
                "node {node} forgot that user {user} is revoked"
            );
            assert!(
                !revoked || may_be,
                "node {node} revokes user {user} for nothing"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nodes_admit_what_a_simple_model_admits(events in prop::collection::vec(event(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("template.db");
        runtime.block_on(async {
            prepare(&template).await;
            let mut world = World::new(&template).await;
            for event in &events {
                world.happens(event).await;
            }
            for node in 0..2 {
                world.nodes[node].sync().await.unwrap();
                world.check(node).await;
            }
        });
    }
}
