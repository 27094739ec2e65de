//! How the server stops: what it finishes, what it cuts off, what it does not wait for.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use web::listen::{Limits, Listener};

use super::{Files, PATIENCE, SHORT, TestServer, ask, closed, receive, send, start};

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
