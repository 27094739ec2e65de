//! The identity service over HTTP: routes, authentication, authorization, replies.

mod accept;
pub mod app;
mod base_rules;
mod bodies;
pub mod call;
pub mod caller;
mod cors;
pub mod error;
pub mod extract;
pub mod flows;
mod health;
pub mod json;
mod keystone_cache;
pub mod listen;
pub mod local_ca;
pub mod login_cookie;
pub mod oauth2;
pub mod openapi;
pub mod operation;
pub mod pages;
pub mod policy_file;
pub mod providers;
mod proxy_headers;
mod proxy_variables;
pub mod reply;
mod request_path;
pub mod router;
pub mod saml_idp;
pub mod schemas;
pub mod startup;
mod target;
mod times;
mod token_document;
pub mod v3;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use app::App;
use listen::{Limits, Listener};
use operation::Routes;
use router::Router;

/// How long the end may take once every request is answered or cut off.
pub const CLOSING: Duration = Duration::from_secs(5);

/// How much of it the connections to the database may take to close.
const CLOSING_DATABASE: Duration = Duration::from_secs(3);

/// All operations of the server.
pub fn routes() -> Routes {
    Routes::new().and(v3::routes()).and(oauth2::routes())
}

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
    let settings = &app.config.archstone;
    let limits = Limits {
        max_connections: settings.max_connections as usize,
        header_read_timeout: settings.request_header_timeout,
        tls_handshake_timeout: settings.request_header_timeout,
        shutdown_grace: settings.shutdown_grace,
        ..Limits::DEFAULT
    };
    let router = Arc::new(Router::new(Arc::clone(&app), routes()));
    let service = tower::service_fn(move |request| {
        let router = Arc::clone(&router);
        async move { Ok::<_, Infallible>(router.answer(request).await) }
    });
    // Until the end of this function.
    let _files = startup::follow_files(&app)?;
    app.store.follow();
    let sweeper = tokio::spawn(startup::sweep(Arc::clone(&app)));
    let dropper = tokio::spawn(keystone_cache::follow_own_changes(Arc::clone(&app)));
    let served = listen::serve(listeners, service, limits, shutdown).await;
    sweeper.abort();
    dropper.abort();
    keystone_cache::flush(&app).await;
    // A connection that the database does not let go must not hold up the end.
    let closing = tokio::time::timeout(CLOSING_DATABASE, app.store.close());
    if closing.await.is_err() {
        tracing::warn!(
            "the database did not let go of its connections within {CLOSING_DATABASE:?}"
        );
    }
    served
}
