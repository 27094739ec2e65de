//! HTTP/2, and the limits of connections and requests.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{pki_types::ServerName, version::TLS13};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use web::listen::Limits;

use super::{Files, PATIENCE, SHORT, Slow, TestServer, ask, closed, receive, send};

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
