//! Access tokens for client certificates (RFC 8705 §2.1), which hold when a token is issued, and not
//! only when the connection was made.

use std::sync::Arc;

use chrono::TimeDelta;
use config::Config;
use model::clock::{Clock as _, SystemClock};
use model::ids::UserId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use testkit::{Scope, TestServer, home};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use web::listen::local_ca::LocalAuthority;
use web::listen::{CertificateStore, Listener, TlsSettings, TlsVersion};

/// A server with TLS beside the one without, and a user with a certificate until 2027.
struct Deployment {
    server: TestServer,
    certificates: Arc<CertificateStore>,
    address: std::net::SocketAddr,
    local: LocalAuthority,
    user_id: UserId,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn authority() -> (CertificateParams, KeyPair, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2090, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (params, key, pem)
}

impl Deployment {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::start_with(change).await;
        let admin = server.admin().await;
        let user_id = server
            .add_person("ada", &[("member", Scope::Project)])
            .await;
        let body = json!({"user": {"default_project_id": home()}});
        let path = format!("/v3/users/{user_id}");
        admin.patch(&path, body).await.expect(200);
        let rules = json!([{
            "local": [{"user": {"name": "{0}"}}],
            "remote": [{"type": "SSL_CLIENT_SUBJECT_DN_CN"}],
        }]);
        let path = "/v3/OS-FEDERATION/mappings/oauth2_mapping";
        let body = json!({"mapping": {"rules": rules}});
        admin.put(path, body).await.expect(201);

        let names = ["localhost".to_owned()];
        let local =
            LocalAuthority::open_or_create(server.folder(), &names, SystemClock::default().now())
                .unwrap();
        let (params, authority_key, pem) = authority();
        std::fs::write(server.folder().join("users.crt"), pem).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut its_own = CertificateParams::default();
        its_own.distinguished_name = DistinguishedName::new();
        its_own.distinguished_name.push(DnType::CommonName, "ada");
        its_own.not_after = date_time_ymd(2090, 1, 1);
        let certificate = its_own
            .signed_by(&key, &Issuer::from_params(&params, &authority_key))
            .unwrap();
        let settings = TlsSettings {
            certificate: local.certificate.clone(),
            key: local.key.clone(),
            client_authorities: Some(server.folder().join("users.crt")),
            minimum_version: TlsVersion::Tls12,
        };
        let certificates =
            Arc::new(CertificateStore::open(settings, SystemClock::default().now()).unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listeners = vec![Listener::https(socket, Arc::clone(&certificates))];
        let app = Arc::clone(&server.app);
        tokio::spawn(api::serve::serve(app, listeners, std::future::pending()));
        Self {
            server,
            certificates,
            address,
            local,
            user_id,
            certificate: certificate.into(),
            key: key.into(),
        }
    }

    fn client(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(&self.local.authority).unwrap();
        roots.add(authority).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }

    async fn connect(&self, client: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(client));
        connector.connect(name, stream).await.unwrap()
    }

    /// Asks for a token on a connection that stays open, and returns the status.
    async fn obtain(&self, stream: &mut TlsStream<TcpStream>) -> u16 {
        let body = format!("grant_type=client_credentials&client_id={}", self.user_id);
        let request = format!(
            "POST /v3/OS-OAUTH2/token HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").expect("a length");
        let length = length.lines().next().unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Moves the clock behind the end of the certificate.
    fn let_expire(&self) {
        let end = chrono::DateTime::parse_from_rfc3339("2090-01-01T00:00:01Z").unwrap();
        let now = self.server.app.parts.clock.now();
        self.server.clock.advance(end.to_utc() - now);
    }

    fn remove_authority(&self) {
        let (_, _, another) = authority();
        std::fs::write(self.server.folder().join("users.crt"), another).unwrap();
        assert!(self.certificates.refresh(SystemClock::default().now()));
    }
}

#[tokio::test]
async fn a_connection_outlives_its_certificate_and_obtains_nothing() {
    for version in [&TLS12, &TLS13] {
        let deployment = Deployment::new(|_| {}).await;
        let mut stream = deployment.connect(&deployment.client(version)).await;
        assert_eq!(deployment.obtain(&mut stream).await, 200);
        deployment.let_expire();
        assert_eq!(deployment.obtain(&mut stream).await, 401);
    }
}

#[tokio::test]
async fn a_session_that_is_resumed_does_not_bring_an_expired_certificate_back() {
    for version in [&TLS12, &TLS13] {
        let deployment = Deployment::new(|_| {}).await;
        let client = deployment.client(version);
        let mut stream = deployment.connect(&client).await;
        assert_eq!(deployment.obtain(&mut stream).await, 200);
        drop(stream);
        let mut stream = deployment.connect(&client).await;
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(deployment.obtain(&mut stream).await, 200);
        deployment.let_expire();
        drop(stream);
        let mut stream = deployment.connect(&client).await;
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(deployment.obtain(&mut stream).await, 401);
    }
}

#[tokio::test]
async fn a_connection_outlives_the_authority_of_its_certificate_and_obtains_nothing() {
    for version in [&TLS12, &TLS13] {
        let deployment = Deployment::new(|_| {}).await;
        let mut stream = deployment.connect(&deployment.client(version)).await;
        assert_eq!(deployment.obtain(&mut stream).await, 200);
        deployment.remove_authority();
        assert_eq!(deployment.obtain(&mut stream).await, 401);
    }
}

#[tokio::test]
async fn a_certificate_does_not_let_in_who_has_been_away_for_too_long() {
    let deployment = Deployment::new(|config| {
        config
            .security_compliance
            .disable_user_account_days_inactive = Some(90);
    })
    .await;
    let mut stream = deployment.connect(&deployment.client(&TLS13)).await;
    assert_eq!(deployment.obtain(&mut stream).await, 200);
    deployment.server.clock.advance(TimeDelta::days(90));
    assert_eq!(deployment.obtain(&mut stream).await, 401);
}
