//! A real server on a free port, and people who talk to it.
//!
//! The database is a fresh SQLite file, or a fresh database on the server that
//! `ARCHSTONE_TEST_DATABASE` names. The clock stands still and ids count up.

// What fails here fails the test, and says where.
#![expect(
    clippy::unwrap_used,
    reason = "a test helper panics where a test would"
)]

mod client;
mod fixtures;
pub mod growth;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::app::App;
use auth::flows::bootstrap::{Bootstrap, bootstrap};
use chrono::{TimeDelta, TimeZone as _};
use config::Config;
use model::clock::Clock;
use model::{Secret, Timestamp};
use secrets::key_repository::KeyRepository;
use secrets::random::{Random, SystemRandomness};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use web::listen::Listener;

pub use client::{Answer, Client};
pub use fixtures::{Scope, home};

/// Waits until something is so. How long that takes says nothing.
pub async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";

/// A server with a database of its own.
pub struct TestServer {
    /// Where it listens.
    pub url: String,
    /// The server.
    pub app: Arc<App>,
    /// Its clock.
    pub clock: Arc<TestClock>,
    random: Arc<CountingRandom>,
    http: reqwest::Client,
    folder: Arc<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
}

impl TestServer {
    /// Starts a server with the default settings.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with some settings changed.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        let keys = folder.path().join("fernet-keys");
        KeyRepository::new(&keys).setup(3, None).unwrap();
        let credential_keys = folder.path().join("credential-keys");
        KeyRepository::new(&credential_keys).setup(3, None).unwrap();
        config.fernet_tokens.key_repository = keys.clone();
        config.fernet_receipts.key_repository = keys;
        config.credential.key_repository = credential_keys;
        config.oslo_policy.policy_file = folder.path().join("policy.yaml");
        config.database.connection = Secret::new(fresh_database(&folder).await);
        config.database.max_pool_size = 4;
        config.database.max_overflow = config::Limit::AtMost(0);
        // The cheapest hash: these tests are about other things.
        config.identity.password_hash_rounds = Some(4);
        config.archstone.hash_threads = 1;
        change(&mut config);

        let clock = Arc::new(TestClock::default());
        let random = Arc::new(CountingRandom::default());
        let app = App::open(config, Arc::clone(&clock) as _, Arc::clone(&random) as _).unwrap();
        app.parts.store.sync_schema().await.unwrap();
        bootstrap(&app.parts, &first_things()).await.unwrap();
        // What is created from here on has ids that do not depend on the bootstrap.
        random.next.store(0x1000, Ordering::Relaxed);
        Self::listen(app, clock, random, Arc::new(folder)).await
    }

    /// Starts another node on the same database, with the same clock, keys and settings.
    pub async fn second_node(&self) -> Self {
        let config = self.app.parts.config.clone();
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        let app = App::open(config, Arc::clone(&clock) as _, Arc::clone(&random) as _).unwrap();
        Self::listen(app, clock, random, Arc::clone(&self.folder)).await
    }

    async fn listen(
        app: App,
        clock: Arc<TestClock>,
        random: Arc<CountingRandom>,
        folder: Arc<tempfile::TempDir>,
    ) -> Self {
        let app = Arc::new(app);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let listeners = vec![Listener::http(socket)];
        let serving = api::serve::serve(Arc::clone(&app), listeners, async {
            let _ = stopped.await;
        });
        tokio::spawn(async move { serving.await.unwrap() });
        // A client of TLS wants to know by whose cryptography; that it was said before is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = http_client();
        Self {
            url,
            app,
            clock,
            random,
            http,
            folder,
            stop: Some(stop),
        }
    }

    /// Somebody without a token.
    pub fn nobody(&self) -> Client {
        Client::new(self.http.clone(), self.url.clone(), None)
    }

    /// Writes the operator's policy file, which takes effect at once.
    pub fn set_policy(&self, text: &str) {
        std::fs::write(self.folder.path().join("policy.yaml"), text).unwrap();
        self.app.parts.policy.refresh();
    }

    /// Runs a statement on the database, as another server does that shares it.
    pub async fn sql(&self, statement: &str) {
        store::scratch::execute(&self.app.parts.store, statement)
            .await
            .unwrap();
    }

    /// Waits until a request waits for a lock that a transaction of this test holds, or is answered
    /// without.
    pub async fn until_it_waits(&self, is_answered: impl Fn() -> bool) {
        let store = &self.app.parts.store;
        while !is_answered() && !store::scratch::is_waiting(store).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The folder that holds the server's files, for this test only.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

fn first_things() -> Bootstrap {
    let url = "http://identity.example/v3";
    Bootstrap {
        username: "admin".into(),
        password: Secret::new(PASSWORD.into()),
        project_name: "admin".into(),
        role_name: "admin".into(),
        service_name: "keystone".into(),
        region_id: Some("RegionOne".into()),
        endpoints: vec![
            ("public", url.into()),
            ("internal", url.into()),
            ("admin", url.into()),
        ],
        immutable_roles: true,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the server under test"
)]
fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()
        .unwrap()
}

async fn fresh_database(folder: &tempfile::TempDir) -> String {
    match std::env::var("ARCHSTONE_TEST_DATABASE") {
        Ok(connection) if !connection.is_empty() => {
            let options = store::scratch::options(connection);
            let name = format!("archstone_{}", SystemRandomness::default().id());
            store::scratch::create_database(&options, &name)
                .await
                .unwrap()
        }
        _ => format!("sqlite:///{}", folder.path().join("keystone.db").display()),
    }
}

/// A clock that moves by hand.
pub struct TestClock {
    now: Mutex<Timestamp>,
    elapsed: Mutex<TimeDelta>,
    panics: AtomicBool,
}

impl Default for TestClock {
    fn default() -> Self {
        let now = chrono::Utc.with_ymd_and_hms(2026, 5, 4, 3, 2, 1).unwrap();
        Self {
            now: Mutex::new(now),
            elapsed: Mutex::new(TimeDelta::zero()),
            panics: AtomicBool::new(false),
        }
    }
}

impl TestClock {
    /// Moves the clock. Set back, it is only the time of day that changes.
    pub fn advance(&self, by: TimeDelta) {
        *self.now.lock().unwrap() += by;
        *self.elapsed.lock().unwrap() += by.max(TimeDelta::zero());
    }

    /// Makes the next look at the clock a panic, as a defect of the server would be.
    pub fn panic_once(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        assert!(
            !self.panics.swap(false, Ordering::SeqCst),
            "the clock panics, as a test wants"
        );
        *self.now.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed.lock().unwrap().to_std().unwrap()
    }
}

/// Ids and bytes that count up.
#[derive(Default)]
struct CountingRandom {
    next: AtomicU64,
}

impl Random for CountingRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.fill(0);
        let count = number.len().min(bytes.len());
        let start = bytes.len() - count;
        bytes[start..].copy_from_slice(&number[number.len() - count..]);
    }

    fn id(&self) -> String {
        format!("{:032x}", self.next.fetch_add(1, Ordering::Relaxed))
    }
}
