//! Connections from the outside: real sockets, TLS, limits, and the end of the server.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests panics where a test would"
)]

mod certificates;
mod connections;
mod stopping;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use model::clock::{Clock as _, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use web::listen::local_ca::LocalAuthority;
use web::listen::{
    CertificateStore, Limits, Listener, Peer, Service, TlsSettings, TlsVersion, serve,
};

/// Longer than anything here takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A limit to be run into.
const SHORT: Duration = Duration::from_millis(200);

/// A server on a free port, with what its slow request waits for.
struct TestServer {
    address: SocketAddr,
    slow: Arc<Slow>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

#[derive(Default)]
struct Slow {
    begun: Notify,
    finish: Notify,
}

impl TestServer {
    async fn http(limits: Limits) -> Self {
        Self::start(limits, Listener::http).await
    }

    async fn https(certificates: &Arc<CertificateStore>, limits: Limits) -> Self {
        Self::start(limits, |socket| {
            Listener::https(socket, Arc::clone(certificates))
        })
        .await
    }

    async fn start(limits: Limits, listener: impl FnOnce(TcpListener) -> Listener) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let slow = Arc::default();
        let (stop, task) = start(vec![listener(socket)], limits, &slow);
        Self {
            address,
            slow,
            stop,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect_tls(
        &self,
        config: &Arc<ClientConfig>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(config))
            .connect(name, self.connect().await)
            .await
    }

    async fn stopped(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

/// What is served: some of it slow, some of it bad.
struct Answers(Arc<Slow>);

impl Service for Answers {
    type Body = Full<Bytes>;

    async fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let body = match request.uri().path() {
            "/peer" => {
                let certificate = peer
                    .client_certificate
                    .as_ref()
                    .map(|certificate| certificate.unverified().len());
                format!("{} {} {certificate:?}", peer.address, peer.secure)
            }
            "/slow" => {
                self.0.begun.notify_one();
                self.0.finish.notified().await;
                "slow".to_owned()
            }
            "/large" => "x".repeat(32 << 20),
            "/panic" => panic!("as asked"),
            _ => "hello".to_owned(),
        };
        Response::new(Full::from(body))
    }
}

/// Serves on a listener until told to stop.
fn start(
    listeners: Vec<Listener>,
    limits: Limits,
    slow: &Arc<Slow>,
) -> (oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let (stop, stopped) = oneshot::channel();
    let service = Arc::new(Answers(Arc::clone(slow)));
    let stopped = async { stopped.await.unwrap() };
    (
        stop,
        tokio::spawn(serve(listeners, service, limits, stopped)),
    )
}

/// An authority and a server certificate in a directory of their own.
struct Files {
    directory: TempDir,
    local: LocalAuthority,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let local =
            LocalAuthority::open_or_create(directory.path(), &names, SystemClock::default().now())
                .unwrap();
        Self { directory, local }
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            certificate: self.local.certificate.clone(),
            key: self.local.key.clone(),
            client_authorities: None,
            minimum_version: TlsVersion::Tls12,
        }
    }

    fn open(&self) -> Arc<CertificateStore> {
        Arc::new(CertificateStore::open(self.settings(), SystemClock::default().now()).unwrap())
    }

    fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.client_for(&[&TLS13, &TLS12]))
    }

    fn client_for(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.local.authority).unwrap())
            .unwrap();
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// As [`Self::client`], showing a certificate.
    fn client_showing(&self, user: &User) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.local.authority).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![user.certificate.clone()], user.key.clone_key())
            .unwrap();
        Arc::new(config)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Somebody with a certificate, and its authority as PEM.
struct User {
    authority: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl User {
    fn new() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default()
            .signed_by(&key, &Issuer::from_params(&authority, &authority_key))
            .unwrap();
        Self {
            authority: authority.self_signed(&authority_key).unwrap().pem(),
            certificate: certificate.into(),
            key: key.into(),
        }
    }
}

/// Sends a GET on a connection that stays open, and returns the answer's head and body.
async fn ask<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T, path: &str) -> (String, String) {
    send(stream, path).await;
    receive(stream).await
}

async fn send<T: AsyncWrite + Unpin>(stream: &mut T, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn receive<T: AsyncRead + Unpin>(stream: &mut T) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .expect("a length")
        .lines()
        .next()
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Waits for the server to close the connection, and returns what it still sent.
async fn closed<T: AsyncRead + Unpin>(stream: &mut T) -> String {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // A reset is as good an end as any other.
    let _ = end.expect("the server closes the connection");
    String::from_utf8_lossy(&rest).to_lowercase()
}
