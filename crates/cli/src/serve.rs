//! `archstone serve`: the server, as a keystone.conf says.

use std::future::pending;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, process, thread};

use anyhow::{Context as _, Result, bail};
use api::app::App;
use config::{Config, Database, TlsVersion as ConfiguredVersion};
use model::clock::{Clock as _, SystemClock};
use secrets::watch::Watch;
use store::{Store, StoreError};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use web::listen::{CertificateStore, Listener, TlsSettings, TlsVersion};

use crate::settings::{self, Settings};

/// Runs `archstone serve`.
pub(crate) async fn run(settings: Settings) -> Result<()> {
    let config = settings.load()?;
    let sockets = Sockets::bind(&config).await?;
    let settings = config.database.clone();
    let app = settings::open(config)?;
    let store = app.parts.store.clone();
    match store.check_schema().await {
        Ok(()) => serve(app, sockets, pending()).await,
        // Requests are answered with 503 until the database is there.
        Err(error) if error.is_passing() => {
            tracing::error!("serving without the database until it answers: {error}");
            serve(app, sockets, schema_refusal(store, settings)).await
        }
        Err(error) => Err(refused(error)),
    }
}

/// Looks at the database until it answers, however long that takes; ends when its tables are of no
/// use.
async fn schema_refusal(store: Store, settings: Database) -> anyhow::Error {
    let interval = settings.retry_interval.max(Duration::from_secs(1));
    loop {
        tokio::time::sleep(interval).await;
        match store.check_schema().await {
            Ok(()) => {
                tracing::info!("the database answers");
                return pending().await;
            }
            Err(refusal) if !refusal.is_passing() => return refused(refusal),
            Err(failure) => tracing::warn!("the database does not answer yet: {failure}"),
        }
    }
}

fn refused(error: StoreError) -> anyhow::Error {
    anyhow::Error::from(error).context("[database] connection")
}

/// Bound sockets, and the certificate of those that speak TLS.
pub(crate) struct Sockets {
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    proxy: Option<UnixListener>,
    certificates: Option<Arc<CertificateStore>>,
}

impl Sockets {
    /// Binds everything that the settings name, before anything else is started.
    pub(crate) async fn bind(config: &Config) -> Result<Self> {
        let ours = &config.archstone;
        let certificates = match (&ours.tls_certificate, &ours.tls_key) {
            _ if ours.https_listen.is_empty() => None,
            (Some(certificate), Some(key)) => Some(open_certificates(config, certificate, key)?),
            _ => bail!("[archstone] https_listen needs tls_certificate and tls_key"),
        };
        Ok(Self {
            http: bind_all("http_listen", &ours.plain_addresses()).await?,
            https: bind_all("https_listen", &ours.https_listen).await?,
            proxy: ours.proxy_socket.as_deref().map(bind_socket).transpose()?,
            certificates,
        })
    }

    fn into_listeners(self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = self.http.into_iter().map(Listener::http).collect();
        listeners.extend(self.proxy.map(Listener::unix));
        if let Some(certificates) = &self.certificates {
            let https = self.https.into_iter();
            listeners.extend(https.map(|socket| Listener::https(socket, Arc::clone(certificates))));
        }
        listeners
    }
}

fn open_certificates(
    config: &Config,
    certificate: &Path,
    key: &Path,
) -> Result<Arc<CertificateStore>> {
    let settings = TlsSettings {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        client_authorities: config.archstone.tls_client_authorities.clone(),
        minimum_version: match config.archstone.tls_minimum_version {
            ConfiguredVersion::V1_2 => TlsVersion::Tls12,
            ConfiguredVersion::V1_3 => TlsVersion::Tls13,
        },
    };
    let store = CertificateStore::open(settings, SystemClock::default().now())
        .context("[archstone] tls_certificate, tls_key")?;
    Ok(Arc::new(store))
}

async fn bind_all(option: &str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let socket = TcpListener::bind(address).await;
        sockets.push(socket.with_context(|| format!("[archstone] {option} = {address}"))?);
    }
    Ok(sockets)
}

/// Binds the socket of a front proxy. What a server that ended badly left there is replaced; one
/// that still listens is not.
fn bind_socket(path: &Path) -> Result<UnixListener> {
    let named = || format!("[archstone] proxy_socket = {}", path.display());
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            bail!("{}: another server listens there", named());
        }
        let is_socket = fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
        anyhow::ensure!(is_socket, "{}: something else is there", named());
        fs::remove_file(path).with_context(named)?;
    }
    let socket = UnixListener::bind(path).with_context(named)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).with_context(named)?;
    Ok(socket)
}

/// Serves until SIGTERM or SIGINT, or until there is a `reason` to give up. A second such signal
/// ends the process at once. SIGHUP reads certificates, keys and policy at once instead of within
/// the next second.
pub(crate) async fn serve(
    app: App,
    sockets: Sockets,
    reason: impl Future<Output = anyhow::Error>,
) -> Result<()> {
    log_panics();
    let app = Arc::new(app);
    let asked_to_stop =
        shutdown_signal(app.parts.config.archstone.shutdown_grace + api::serve::CLOSING)?;
    let follower = tokio::spawn(reload_on_hangup(
        Arc::clone(&app),
        sockets.certificates.clone(),
    ));
    // Until the end of this function.
    let certificates = sockets.certificates.clone().map(|certificates| {
        let clock = Arc::clone(&app.parts.clock);
        Watch::start("certificates", move || {
            certificates.refresh(clock.now());
        })
    });
    let _certificates = certificates.transpose()?;
    let shutdown = async move {
        // The watcher lives as long as the process.
        let _ = asked_to_stop.await;
        tracing::info!("stopping: requests in flight are finished first");
    };
    let served = tokio::select! {
        served = api::serve::serve(app, sockets.into_listeners(), shutdown) => Ok(served?),
        error = reason => Err(error),
    };
    follower.abort();
    served
}

/// Logs where a panic happens, within the span of its request. Its message goes to standard error
/// alone: it may hold what a client sent.
fn log_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic in the server");
        others(panic);
    }));
}

/// Waits for the signal to stop and hands it on; when the process is still there after the `limit`,
/// or is told to stop a second time, ends it. This has a thread and a runtime of its own, so that
/// nothing which holds up the server can hold up its end.
fn shutdown_signal(limit: Duration) -> Result<oneshot::Receiver<()>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let mut told = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (tell, asked_to_stop) = oneshot::channel();
    let watch = async move {
        told().await;
        // Nobody listens where the server has ended already.
        let _ = tell.send(());
        match tokio::time::timeout(limit, told()).await {
            Ok(()) => "told to stop a second time: ending at once".to_owned(),
            Err(_) => format!("still not stopped after {limit:?}: ending at once"),
        }
    };
    thread::Builder::new()
        .name("end".to_owned())
        .spawn(move || {
            let reason = runtime.block_on(watch);
            // Apart, for what holds up the server may be a log that nobody reads.
            thread::spawn(move || tracing::error!("{reason}"));
            thread::sleep(Duration::from_millis(100));
            process::exit(1);
        })?;
    Ok(asked_to_stop)
}

/// Reads all files again at each SIGHUP: on a thread of its own, for files may hang.
async fn reload_on_hangup(app: Arc<App>, certificates: Option<Arc<CertificateStore>>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangup.recv().await.is_some() {
        let (app, certificates) = (Arc::clone(&app), certificates.clone());
        thread::spawn(move || {
            if let Some(certificates) = certificates {
                certificates.refresh(app.parts.clock.now());
            }
            app.refresh();
        });
    }
}
