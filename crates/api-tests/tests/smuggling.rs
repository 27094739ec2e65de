//! Requests that a proxy in front may read otherwise than this server: what it sees as one never gets
//! two answers, for the second would go to somebody else.

use std::time::Duration;

use testkit::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything here takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What hides in another request.
const HIDDEN: &str = "GET /v3/hidden HTTP/1.1\r\nHost: server\r\n\r\n";

/// Sends this, and gives the statuses of all that the server answers until it closes the connection.
async fn statuses(server: &TestServer, sent: &str) -> Vec<u16> {
    let address = server.url.strip_prefix("http://").unwrap();
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let bytes = sent.as_bytes().to_vec();
    // The server may close the connection before it has read everything.
    let writer = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        write
    });
    let mut answers = Vec::new();
    let mut part = [0; 4096];
    let all = async {
        while let Ok(count @ 1..) = read.read(&mut part).await {
            answers.extend_from_slice(&part[..count]);
        }
    };
    let closed = tokio::time::timeout(PATIENCE, all).await;
    assert!(closed.is_ok(), "the connection stays open after {sent:?}");
    drop(writer.await.unwrap());
    let answers = String::from_utf8(answers).unwrap();
    let statuses = answers.split("HTTP/1.1 ").skip(1);
    statuses.map(|it| it[..3].parse().unwrap()).collect()
}

/// A request with these fields and this body.
fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /v3/auth/tokens HTTP/1.1\r\nHost: server\r\n\
         Content-Type: application/json\r\n{fields}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_body_whose_length_is_told_in_two_ways_ends_the_connection() {
    let server = TestServer::start().await;
    let chunks = format!("0\r\n\r\n{HIDDEN}");
    let length = format!("Content-Length: {}", chunks.len());
    for fields in [
        format!("{length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\n{length}"),
        format!("{length}\r\ntransfer-encoding: CHUNKED"),
        format!("{length}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        format!("{length}\r\nTransfer-Encoding: gzip, chunked"),
    ] {
        let answered = statuses(&server, &post(&fields, &chunks)).await;
        assert_eq!(answered, [400], "{fields}");
    }
}

#[tokio::test]
async fn a_body_whose_length_is_told_badly_is_refused_and_ends_the_connection() {
    let server = TestServer::start().await;
    let chunks = format!("0\r\n\r\n{HIDDEN}");
    let length = chunks.len();
    for fields in [
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {length}"),
        "Content-Length: +0".to_owned(),
        "Content-Length: -0".to_owned(),
        "Content-Length: 0x0".to_owned(),
        "Content-Length: ".to_owned(),
        "Content-Length: 99999999999999999999".to_owned(),
        format!("Content-Length: {length}\r\nTransfer-Encoding: xchunked"),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: \u{b}chunked".to_owned(),
        // A space before the colon, a line that goes on in the next, and a line end that is none.
        "Transfer-Encoding : chunked".to_owned(),
        format!("Content-Length : {length}"),
        "Transfer-Encoding:\r\n chunked".to_owned(),
        format!("Content-Length:\r\n {length}"),
        format!("X: a\r\n Content-Length: {length}"),
        "X: a\rTransfer-Encoding: chunked".to_owned(),
        " Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding\0: chunked".to_owned(),
    ] {
        let answered = statuses(&server, &post(&fields, &chunks)).await;
        assert_eq!(answered, [400], "{fields:?}");
    }
    let old = post("Transfer-Encoding: chunked", &chunks).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(statuses(&server, &old).await.len(), 1);
}

#[tokio::test]
async fn a_length_that_hides_behind_a_line_feed_counts_as_told_twice() {
    let server = TestServer::start().await;
    let chunks = format!("0\r\n\r\n{HIDDEN}");
    let length = chunks.len();
    for fields in [
        format!("X: a\nTransfer-Encoding: chunked\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nX: a\nTransfer-Encoding: chunked"),
        format!("X: a\nContent-Length: 0\r\nContent-Length: {length}"),
    ] {
        let answered = statuses(&server, &post(&fields, &chunks)).await;
        assert_eq!(answered, [400], "{fields:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_end_the_connection() {
    let server = TestServer::start().await;
    for chunks in [
        "0x2\r\n{}\r\n",
        "+2\r\n{}\r\n",
        "2 2\r\n{}\r\n",
        "2\r\n{}0\r\n\r\n",
        "2;a\nb\r\n{}\r\n",
        "10000000000000002\r\n{}\r\n",
    ] {
        let sent = post(
            "Transfer-Encoding: chunked",
            &format!("{chunks}0\r\n\r\n{HIDDEN}"),
        );
        assert_eq!(statuses(&server, &sent).await, [400], "{chunks:?}");
    }
}

#[tokio::test]
async fn the_body_of_a_request_that_is_refused_is_no_request() {
    let server = TestServer::start().await;
    let last = "GET /v3 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
    let length = format!("Content-Length: {}", HIDDEN.len());
    let chunked = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    for (fields, body) in [
        (length.as_str(), HIDDEN),
        ("Transfer-Encoding: chunked", &chunked),
    ] {
        let sent = post(fields, body) + last;
        assert_eq!(statuses(&server, &sent).await, [400, 200], "{sent}");
    }
    // One that is too long is not read to its end.
    let long = HIDDEN.repeat(10_000);
    let sent = post(&format!("Content-Length: {}", long.len()), &long);
    assert_eq!(statuses(&server, &sent).await, [413]);
}
