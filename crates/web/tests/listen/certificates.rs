//! TLS: its versions, the certificates of both sides, and new files with them.

use std::{fs, sync::Arc};

use model::clock::{Clock as _, SystemClock};
use rustls::{
    ProtocolVersion,
    pki_types::CertificateDer,
    version::{TLS12, TLS13},
};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::client::TlsStream;
use web::listen::{CertificateStore, Limits, TlsSettings, TlsVersion};

use super::{Files, TestServer, User, ask};

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
    let store = Arc::new(CertificateStore::open(settings, SystemClock::default().now()).unwrap());
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
async fn a_client_may_prove_itself_by_a_certificate() {
    let (files, user, stranger) = (Files::new(), User::new(), User::new());
    let authorities = files.path("users.crt");
    fs::write(&authorities, &user.authority).unwrap();
    let settings = TlsSettings {
        client_authorities: Some(authorities),
        ..files.settings()
    };
    let store = Arc::new(CertificateStore::open(settings, SystemClock::default().now()).unwrap());
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
    assert!(
        !store.refresh(SystemClock::default().now()),
        "nothing has changed"
    );

    fs::rename(&replacement.local.key, &files.local.key).unwrap();
    fs::rename(&replacement.local.certificate, &files.local.certificate).unwrap();
    assert!(store.refresh(SystemClock::default().now()));
    assert!(
        !store.refresh(SystemClock::default().now()),
        "once is enough"
    );

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
        assert!(!store.refresh(SystemClock::default().now()));
        assert_eq!(
            shown(&server.connect_tls(&files.client()).await.unwrap()),
            old
        );
    }

    // Taken back.
    fs::write(&files.local.certificate, &old_certificate).unwrap();
    assert!(store.refresh(SystemClock::default().now()));
    assert_eq!(
        shown(&server.connect_tls(&files.client()).await.unwrap()),
        old
    );

    // Done one file after the other.
    fs::write(&files.local.certificate, &new_certificate).unwrap();
    assert!(!store.refresh(SystemClock::default().now()));
    fs::copy(&replacement.local.key, &files.local.key).unwrap();
    assert!(store.refresh(SystemClock::default().now()));
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
        let error = CertificateStore::open(settings, SystemClock::default().now())
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
    let later = SystemClock::default().now() + chrono::TimeDelta::days(500);
    CertificateStore::open(files.settings(), later).unwrap();
}
