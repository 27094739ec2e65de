//! A running server: it listens, follows files and other nodes, removes what nobody needs, and ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use auth::flows::revoke::lifetime;
use auth::parts::Parts;
use chrono::TimeDelta;
use secrets::key_repository::Follower;
use secrets::watch::Watch;
use web::listen::{self, Limits, Listener};

use crate::app::App;
use crate::keystone_cache;
use crate::service::Service;

/// How long the end may take once every request is answered or cut off.
pub const CLOSING: Duration = Duration::from_secs(5);

/// How much of it the connections to the database may take to close.
const CLOSING_DATABASE: Duration = Duration::from_secs(3);

/// Serves until `shutdown` completes and the requests in flight are answered, or cut off after
/// `[archstone] shutdown_grace`.
///
/// # Errors
///
/// When accepting connections breaks down.
pub async fn serve(
    app: Arc<App>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let settings = &app.parts.config.archstone;
    let limits = Limits {
        max_connections: settings.max_connections as usize,
        header_read_timeout: settings.request_header_timeout,
        tls_handshake_timeout: settings.request_header_timeout,
        shutdown_grace: settings.shutdown_grace,
        ..Limits::DEFAULT
    };
    let service = Arc::new(Service::new(Arc::clone(&app.parts), crate::routes()));
    // Until the end of this function.
    let _files = follow_files(&app)?;
    app.parts.store.follow();
    let sweeper = tokio::spawn(sweep(Arc::clone(&app.parts)));
    let dropper = tokio::spawn(keystone_cache::follow_own_changes(Arc::clone(&app.parts)));
    let served = listen::serve(listeners, service, limits, shutdown).await;
    sweeper.abort();
    dropper.abort();
    keystone_cache::flush(&app.parts).await;
    // A connection that the database does not let go must not hold up the end.
    let closing = tokio::time::timeout(CLOSING_DATABASE, app.parts.store.close());
    if closing.await.is_err() {
        tracing::warn!(
            "the database did not let go of its connections within {CLOSING_DATABASE:?}"
        );
    }
    served
}

/// How often a node asks whether it is its turn to remove what nobody needs any more.
const SWEEP: Duration = Duration::from_secs(60);

/// Removes from the database what nobody needs any more, for as long as the server lives. What fails is
/// tried again; when it goes on to fail, the operator is told.
async fn sweep(parts: Arc<Parts>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        ticks.tick().await;
        let lifetime = lifetime(&parts);
        let lifetime = TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::MAX);
        match parts.store.sweep(lifetime).await {
            Ok(true) => failures = 0,
            // Another node's turn, or not yet.
            Ok(false) => {}
            Err(error) => {
                failures += 1;
                if failures == 3 {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what nobody needs any more is not removed from the database"
                    );
                }
            }
        }
    }
}

/// Follows the key repositories and policy files of a server until the result is dropped, each on a
/// thread of its own, so that one that hangs holds up no other.
///
/// # Errors
///
/// When the system has no thread left.
fn follow_files(app: &Arc<App>) -> std::io::Result<impl Drop + use<>> {
    let followed = Arc::clone(&app.parts);
    let mut followers = Followers {
        _policy: Watch::start("policy", move || followed.policy.refresh())?,
        keys: vec![app.parts.credential_cipher.follow()?],
    };
    let [tokens, receipts] = &app.key_rings;
    followers.keys.push(tokens.follow()?);
    if !Arc::ptr_eq(tokens, receipts) {
        followers.keys.push(receipts.follow()?);
    }
    Ok(followers)
}

struct Followers {
    _policy: Watch,
    keys: Vec<Follower>,
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.keys.clear();
    }
}
