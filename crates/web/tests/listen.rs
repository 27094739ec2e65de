//! Connections from the outside: real sockets, TLS, limits, and the end of the server.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests panics where a test would"
)]

use std::{convert::Infallible, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use chrono::Utc;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use web::listen::local_ca::LocalAuthority;
use web::listen::{CertificateStore, Limits, Listener, Peer, TlsSettings, TlsVersion, serve};

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
async fn answer(slow: Arc<Slow>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let peer: &Peer = request.extensions().get().expect("a peer in every request");
    let body = match request.uri().path() {
        "/peer" => {
            let certificate = peer
                .client_certificate
                .as_ref()
                .map(|certificate| certificate.unverified().len());
            format!("{} {} {certificate:?}", peer.address, peer.secure)
        }
        "/slow" => {
            slow.begun.notify_one();
            slow.finish.notified().await;
            "slow".to_owned()
        }
        "/large" => "x".repeat(32 << 20),
        "/panic" => panic!("as asked"),
        _ => "hello".to_owned(),
    };
    Ok(Response::new(Full::from(body)))
}

type Answer = Response<Full<Bytes>>;

/// Serves on a listener until told to stop.
fn start(
    listeners: Vec<Listener>,
    limits: Limits,
    slow: &Arc<Slow>,
) -> (oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let (stop, stopped) = oneshot::channel();
    let slow = Arc::clone(slow);
    let service = tower::service_fn(move |request| answer(Arc::clone(&slow), request));
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
        let local = LocalAuthority::open_or_create(directory.path(), &names, Utc::now()).unwrap();
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
        Arc::new(CertificateStore::open(self.settings(), Utc::now()).unwrap())
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

/// The certificate that the server showed.
fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let files = Files::new();
    let server = TestServer::https(&files.open(), Limits::default()).await;
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = Arc::new(files.client_for(&[version]));
        let mut stream = server.connect_tls(&config).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        let address = stream.get_ref().0.local_addr().unwrap();
        assert_eq!(
            ask(&mut stream, "/peer").await.1,
            format!("{address} true None")
        );
    }
    server.stopped().await;
}

#[tokio::test]
async fn tls_1_2_can_be_ruled_out() {
    let files = Files::new();
    let settings = TlsSettings {
        minimum_version: TlsVersion::Tls13,
        ..files.settings()
    };
    let store = Arc::new(CertificateStore::open(settings, Utc::now()).unwrap());
    let server = TestServer::https(&store, Limits::default()).await;
    let old = Arc::new(files.client_for(&[&TLS12]));
    server
        .connect_tls(&old)
        .await
        .expect_err("TLS 1.2 is refused");
    server
        .connect_tls(&files.client())
        .await
        .expect("TLS 1.3 is spoken");
}

#[tokio::test]
async fn another_authority_does_not_vouch_for_the_server() {
    let files = Files::new();
    let server = TestServer::https(&files.open(), Limits::default()).await;
    let error = server
        .connect_tls(&Files::new().client())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn http_2_is_chosen_by_alpn_and_serves_requests_side_by_side() {
    let files = Files::new();
    let server = TestServer::https(&files.open(), Limits::default()).await;
    let mut config = files.client_for(&[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = server.connect_tls(&Arc::new(config)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    side_by_side(stream, &server.slow).await;
}

#[tokio::test]
async fn http_2_needs_no_tls() {
    let server = TestServer::http(Limits::default()).await;
    side_by_side(server.connect().await, &server.slow).await;
}

/// Over HTTP/2, a second request overtakes a first.
async fn side_by_side<T>(stream: T, slow: &Slow)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut get = |path: &str| {
        let request = Request::get(format!("https://localhost{path}"));
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        async {
            answer
                .await
                .unwrap()
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
        }
    };
    let first = tokio::spawn(get("/slow"));
    slow.begun.notified().await;
    assert_eq!(get("/").await, "hello");
    slow.finish.notify_one();
    assert_eq!(first.await.unwrap(), "slow");
}

#[tokio::test]
async fn a_client_may_prove_itself_by_a_certificate() {
    let (files, user, stranger) = (Files::new(), User::new(), User::new());
    let authorities = files.path("users.crt");
    fs::write(&authorities, &user.authority).unwrap();
    let settings = TlsSettings {
        client_authorities: Some(authorities),
        ..files.settings()
    };
    let store = Arc::new(CertificateStore::open(settings, Utc::now()).unwrap());
    let server = TestServer::https(&store, Limits::default()).await;

    let mut stream = server.connect_tls(&files.client()).await.unwrap();
    assert!(ask(&mut stream, "/peer").await.1.ends_with("true None"));

    let mut stream = server
        .connect_tls(&files.client_showing(&user))
        .await
        .unwrap();
    let certificate = format!("true Some({})", user.certificate.len());
    assert!(ask(&mut stream, "/peer").await.1.ends_with(&certificate));

    // In TLS 1.3 the client has finished its part before the server has judged it.
    let stream = server.connect_tls(&files.client_showing(&stranger)).await;
    let error = stream.unwrap().read_u8().await.unwrap_err();
    assert!(
        error.to_string().contains("received fatal alert"),
        "{error}"
    );
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let (files, replacement) = (Files::new(), Files::new());
    let store = files.open();
    let server = TestServer::https(&store, Limits::default()).await;
    let mut old = server.connect_tls(&files.client()).await.unwrap();
    assert_eq!(ask(&mut old, "/").await.1, "hello");
    assert!(!store.refresh(Utc::now()), "nothing has changed");

    fs::rename(&replacement.local.key, &files.local.key).unwrap();
    fs::rename(&replacement.local.certificate, &files.local.certificate).unwrap();
    assert!(store.refresh(Utc::now()));
    assert!(!store.refresh(Utc::now()), "once is enough");

    let mut new = server.connect_tls(&replacement.client()).await.unwrap();
    assert_eq!(ask(&mut new, "/").await.1, "hello");
    assert_ne!(shown(&new), shown(&old));
    assert_eq!(ask(&mut old, "/").await.1, "hello");
}

#[tokio::test]
async fn files_that_do_not_fit_leave_the_old_certificate_until_they_do() {
    let (files, replacement) = (Files::new(), Files::new());
    let store = files.open();
    let server = TestServer::https(&store, Limits::default()).await;
    let old = shown(&server.connect_tls(&files.client()).await.unwrap());
    let old_certificate = fs::read(&files.local.certificate).unwrap();
    let new_certificate = fs::read(&replacement.local.certificate).unwrap();

    // Cut off in the middle, empty, without its key, gone.
    for step in [
        Some(&new_certificate[..200]),
        Some(b""),
        Some(&new_certificate),
        None,
    ] {
        match step {
            Some(content) => fs::write(&files.local.certificate, content).unwrap(),
            None => fs::remove_file(&files.local.certificate).unwrap(),
        }
        assert!(!store.refresh(Utc::now()));
        assert_eq!(
            shown(&server.connect_tls(&files.client()).await.unwrap()),
            old
        );
    }

    // Taken back.
    fs::write(&files.local.certificate, &old_certificate).unwrap();
    assert!(store.refresh(Utc::now()));
    assert_eq!(
        shown(&server.connect_tls(&files.client()).await.unwrap()),
        old
    );

    // Done one file after the other.
    fs::write(&files.local.certificate, &new_certificate).unwrap();
    assert!(!store.refresh(Utc::now()));
    fs::copy(&replacement.local.key, &files.local.key).unwrap();
    assert!(store.refresh(Utc::now()));
    let new = shown(&server.connect_tls(&replacement.client()).await.unwrap());
    assert_ne!(new, old);
}

#[test]
fn a_start_with_bad_files_names_the_file_and_what_is_wrong() {
    let files = Files::new();
    let other_key = files.path("other.key");
    fs::copy(Files::new().local.key, &other_key).unwrap();
    let text = files.path("text");
    fs::write(&text, "not PEM").unwrap();
    let nonsense = files.path("nonsense");
    fs::write(
        &nonsense,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let encrypted = files.path("encrypted.key");
    fs::write(
        &encrypted,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let missing = files.path("missing");

    let good = &files.local;
    for (certificate, key, expected) in [
        (
            &missing,
            &good.key,
            "missing: No such file or directory (os error 2)".to_owned(),
        ),
        (
            &good.certificate,
            &missing,
            "missing: No such file or directory (os error 2)".to_owned(),
        ),
        (
            &text,
            &good.key,
            "text: no certificate in PEM form: no items found".to_owned(),
        ),
        (
            &good.certificate,
            &text,
            "text: no unencrypted private key in PEM form: no items found".to_owned(),
        ),
        (
            &good.certificate,
            &encrypted,
            "encrypted.key: no unencrypted private key in PEM form: no items found".to_owned(),
        ),
        (
            &nonsense,
            &good.key,
            "nonsense: invalid peer certificate: BadEncoding".to_owned(),
        ),
        (
            &good.certificate,
            &other_key,
            format!(
                "other.key: not the key of the certificate in {}",
                good.certificate.display()
            ),
        ),
    ] {
        let settings = TlsSettings {
            certificate: certificate.clone(),
            key: key.clone(),
            ..files.settings()
        };
        let error = CertificateStore::open(settings, Utc::now())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("{}/{expected}", files.directory.path().display())
        );
    }
}

#[test]
fn an_expired_certificate_is_served_nevertheless() {
    let files = Files::new();
    let later = Utc::now() + chrono::TimeDelta::days(500);
    CertificateStore::open(files.settings(), later).unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let files = Files::new();
    let limits = Limits {
        tls_handshake_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::https(&files.open(), limits).await;
    let mut silent = server.connect().await;
    let mut stuck = server.connect().await;
    // A record of 512 bytes is announced, and two of them come.
    stuck.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    assert_eq!(closed(&mut silent).await, "");
    assert_eq!(closed(&mut stuck).await, "");
}

#[tokio::test]
async fn a_request_that_does_not_end_is_ended() {
    let files = Files::new();
    let limits = Limits {
        header_read_timeout: SHORT,
        ..Limits::default()
    };
    let plain = TestServer::http(limits.clone()).await;
    let secure = TestServer::https(&files.open(), limits).await;

    for begun in [
        "",
        "P",
        "GET / HTTP/1.1\r\nhost:",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = plain.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(
            !closed(&mut stream).await.contains("http/1.1 200"),
            "{begun}"
        );
        let mut stream = secure.connect_tls(&files.client()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(
            !closed(&mut stream).await.contains("http/1.1 200"),
            "{begun}"
        );
    }
}

#[tokio::test]
async fn a_second_request_is_timed_too_but_idling_is_not() {
    let limits = Limits {
        header_read_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::http(limits).await;
    let mut stream = server.connect().await;
    ask(&mut stream, "/").await;
    tokio::time::sleep(2 * SHORT).await;
    ask(&mut stream, "/").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    assert_eq!(closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let limits = Limits {
        keep_alive_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::http(limits).await;
    let mut stream = server.connect().await;
    assert_eq!(ask(&mut stream, "/").await.1, "hello");
    assert_eq!(closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let limits = Limits {
        keep_alive_timeout: SHORT,
        max_connections: 1,
        ..Limits::default()
    };
    let server = TestServer::http(limits).await;
    let mut stuck = server.connect().await;
    send(&mut stuck, "/large").await;
    // There is room for one, so the next is served when the first is gone.
    let mut next = server.connect().await;
    let answer = timeout(PATIENCE, ask(&mut next, "/")).await;
    assert_eq!(answer.expect("the first is let go").1, "hello");
}

#[tokio::test]
async fn a_running_request_is_not_idle() {
    let limits = Limits {
        keep_alive_timeout: SHORT,
        header_read_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::http(limits).await;
    let mut stream = server.connect().await;
    send(&mut stream, "/slow").await;
    server.slow.begun.notified().await;
    tokio::time::sleep(2 * SHORT).await;
    server.slow.finish.notify_one();
    assert_eq!(receive(&mut stream).await.1, "slow");
}

#[tokio::test]
async fn a_head_may_be_large_but_not_too_large() {
    let server = TestServer::http(Limits::default()).await;
    let head = |size| {
        format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nx-large: {}\r\n\r\n",
            "x".repeat(size)
        )
    };
    let mut stream = server.connect().await;
    stream.write_all(head(60 * 1024).as_bytes()).await.unwrap();
    assert_eq!(receive(&mut stream).await.1, "hello");
    // The server may close before it has read all, so its answer may be lost.
    let mut stream = server.connect().await;
    let _ = stream.write_all(head(80 * 1024).as_bytes()).await;
    let answer = closed(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("http/1.1 431"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_full_server_lets_newcomers_wait() {
    let server = TestServer::http(Limits {
        max_connections: 2,
        ..Limits::default()
    })
    .await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    ask(&mut first, "/").await;
    ask(&mut second, "/").await;
    let mut third = server.connect().await;
    send(&mut third, "/").await;
    timeout(SHORT, third.readable())
        .await
        .expect_err("the third waits");
    drop(first);
    assert_eq!(receive(&mut third).await.1, "hello");
    assert_eq!(ask(&mut second, "/").await.1, "hello");
}

#[tokio::test]
async fn many_connections_are_served_at_once() {
    const MANY: usize = 300;
    let files = Files::new();
    let server = TestServer::https(&files.open(), Limits::default()).await;
    let client = files.client();
    let mut clients = JoinSet::new();
    for _ in 0..MANY {
        let stream = server.connect().await;
        let connector = TlsConnector::from(Arc::clone(&client));
        clients.spawn(async move {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            for _ in 0..3 {
                assert_eq!(ask(&mut stream, "/").await.1, "hello");
            }
            stream
        });
    }
    // All stay open until the last is done.
    assert_eq!(clients.join_all().await.len(), MANY);
    server.stopped().await;
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let server = TestServer::http(Limits::default()).await;
    let mut other = server.connect().await;
    ask(&mut other, "/").await;
    let mut stream = server.connect().await;
    send(&mut stream, "/panic").await;
    assert_eq!(closed(&mut stream).await, "");
    assert_eq!(ask(&mut other, "/").await.1, "hello");
    assert_eq!(ask(&mut server.connect().await, "/").await.1, "hello");
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_takes_nothing_new() {
    let server = TestServer::http(Limits::default()).await;
    let (mut busy, mut idle, mut fresh) = (
        server.connect().await,
        server.connect().await,
        server.connect().await,
    );
    ask(&mut idle, "/").await;
    send(&mut busy, "/slow").await;
    server.slow.begun.notified().await;

    server.stop.send(()).unwrap();
    assert_eq!(closed(&mut idle).await, "");
    assert_eq!(closed(&mut fresh).await, "");
    TcpStream::connect(server.address)
        .await
        .expect_err("nobody listens any more");

    server.slow.finish.notify_one();
    let (head, body) = receive(&mut busy).await;
    assert_eq!(body, "slow");
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(closed(&mut busy).await, "");
    timeout(PATIENCE, server.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn stopping_ends_requests_that_outlive_their_grace() {
    let server = TestServer::http(Limits {
        shutdown_grace: SHORT,
        ..Limits::default()
    })
    .await;
    let mut stream = server.connect().await;
    send(&mut stream, "/slow").await;
    server.slow.begun.notified().await;
    server.stop.send(()).unwrap();
    assert_eq!(closed(&mut stream).await, "");
    timeout(PATIENCE, server.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_handshakes() {
    let files = Files::new();
    let server = TestServer::https(&files.open(), Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(&[0x16, 3, 1]).await.unwrap();
    // Served after the first, so the first is in its handshake by now.
    server.connect_tls(&files.client()).await.unwrap();
    let address = server.address;
    timeout(Limits::DEFAULT.tls_handshake_timeout / 2, server.stopped())
        .await
        .unwrap();
    TcpStream::connect(address)
        .await
        .expect_err("nobody listens any more");
}

#[tokio::test]
async fn several_listeners_end_together() {
    let files = Files::new();
    let sockets = [
        TcpListener::bind("127.0.0.1:0").await,
        TcpListener::bind("[::1]:0").await,
    ];
    let [plain, secure] = sockets.map(Result::unwrap);
    let addresses = [plain.local_addr().unwrap(), secure.local_addr().unwrap()];
    let listeners = vec![Listener::http(plain), Listener::https(secure, files.open())];
    let (stop, task) = start(listeners, Limits::default(), &Arc::default());

    let mut stream = TcpStream::connect(addresses[0]).await.unwrap();
    assert!(ask(&mut stream, "/peer").await.1.ends_with("false None"));
    let stream = TcpStream::connect(addresses[1]).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(files.client())
        .connect(name, stream)
        .await
        .unwrap();
    assert!(ask(&mut stream, "/peer").await.1.ends_with("true None"));

    stop.send(()).unwrap();
    timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
    for address in addresses {
        TcpStream::connect(address)
            .await
            .expect_err("nobody listens any more");
    }
}
