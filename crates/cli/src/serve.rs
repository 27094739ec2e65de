//! `archstone serve`: the server, as a keystone.conf says.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use server::app::App;
use server::config::{Config, TlsVersion as ConfiguredVersion};
use server::listen::{CertificateStore, Listener, TlsSettings, TlsVersion};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::settings::{self, Settings};

/// Serve, as a keystone.conf says.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<()> {
        let config = self.settings.load()?;
        let sockets = Sockets::bind(&config).await?;
        let app = settings::open(config)?;
        app.store
            .check_schema()
            .await
            .context("[database] connection")?;
        serve(app, sockets).await
    }
}

/// Bound sockets, and the certificate of those that speak TLS.
pub(crate) struct Sockets {
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    certificates: Option<Arc<CertificateStore>>,
}

impl Sockets {
    /// Binds everything that the settings name, before anything else is started.
    pub(crate) async fn bind(config: &Config) -> Result<Self> {
        let ours = &config.archstone;
        if ours.http_listen.is_empty() && ours.https_listen.is_empty() {
            bail!(
                "[archstone] https_listen and http_listen are both unset: give at least one, \
                 such as https_listen = 127.0.0.1:5000"
            );
        }
        let certificates = match (&ours.tls_certificate, &ours.tls_key) {
            _ if ours.https_listen.is_empty() => None,
            (Some(certificate), Some(key)) => Some(open_certificates(config, certificate, key)?),
            _ => bail!("[archstone] https_listen needs tls_certificate and tls_key"),
        };
        Ok(Self {
            http: bind_all("http_listen", &ours.http_listen).await?,
            https: bind_all("https_listen", &ours.https_listen).await?,
            certificates,
        })
    }

    fn into_listeners(self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = self.http.into_iter().map(Listener::http).collect();
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
        client_authorities: None,
        minimum_version: match config.archstone.tls_minimum_version {
            ConfiguredVersion::V1_2 => TlsVersion::Tls12,
            ConfiguredVersion::V1_3 => TlsVersion::Tls13,
        },
    };
    let store = CertificateStore::open(settings, chrono::Utc::now())
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

/// Serves until SIGTERM or SIGINT. SIGHUP reads certificates, keys and policy at once instead of
/// within the next second.
pub(crate) async fn serve(app: App, sockets: Sockets) -> Result<()> {
    let app = Arc::new(app);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let follower = tokio::spawn(follow_files(Arc::clone(&app), sockets.certificates.clone()));
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests in flight are finished first");
    };
    let served = server::serve(app, sockets.into_listeners(), shutdown).await;
    follower.abort();
    Ok(served?)
}

async fn follow_files(app: Arc<App>, certificates: Option<Arc<CertificateStore>>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => app.refresh(),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        if let Some(certificates) = &certificates {
            certificates.refresh(app.clock.now());
        }
    }
}
