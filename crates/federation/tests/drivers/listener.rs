//! A small HTTP server, that answers what a test wants and remembers what it was asked.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests panics where a test would"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header, whose name is in lower case.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// A field of the posted form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// How long it takes.
    pub(crate) after: Duration,
}

pub(crate) fn json(status: u16, body: impl ToString) -> Answered {
    Answered {
        status,
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string(),
        after: Duration::ZERO,
    }
}

pub(crate) fn form(status: u16, body: &str) -> Answered {
    Answered {
        headers: vec![("content-type", "application/x-www-form-urlencoded".into())],
        ..json(status, body)
    }
}

type Handler = Box<dyn FnMut(&Asked) -> Answered + Send>;

/// The server. It ends with the test.
pub(crate) struct Listener {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    handler: Arc<Mutex<Handler>>,
}

impl Listener {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same with TLS; gives the certificate too, in PEM.
    pub(crate) async fn start_with_tls() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        (Self::start_with(Some(acceptor)).await, made.cert.pem())
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let url = match tls {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let nothing: Handler = Box::new(|_| json(404, "nothing"));
        let handler = Arc::new(Mutex::new(nothing));
        let (log, judge) = (asked.clone(), handler.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (log, judge) = (log.clone(), judge.clone());
                match tls.clone() {
                    None => drop(tokio::spawn(one(stream, log, judge))),
                    Some(tls) => drop(tokio::spawn(async move {
                        one(tls.accept(stream).await.ok()?, log, judge).await
                    })),
                }
            }
        });
        Self {
            url,
            asked,
            handler,
        }
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, handler: impl FnMut(&Asked) -> Answered + Send + 'static) {
        *self.handler.lock().unwrap() = Box::new(handler);
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Reads one request and answers it.
async fn one(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    log: Arc<Mutex<Vec<Asked>>>,
    handler: Arc<Mutex<Handler>>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let mut asked = Asked {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        ..Asked::default()
    };
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        let name = name.to_ascii_lowercase();
        asked.headers.push((name, value.to_owned()));
    }
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    while bytes.len() < head + 4 + length {
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
    asked.body = String::from_utf8(bytes[head + 4..].to_vec()).ok()?;
    let answer = (handler.lock().unwrap())(&asked);
    log.lock().unwrap().push(asked);
    tokio::time::sleep(answer.after).await;
    let mut reply = format!(
        "HTTP/1.1 {} Whatever\r\ncontent-length: {}\r\nconnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        reply.push_str(&format!("{name}: {value}\r\n"));
    }
    reply.push_str("\r\n");
    reply.push_str(&answer.body);
    stream.write_all(reply.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// A port of this machine that nobody is to knock at.
pub(crate) struct Hidden(std::net::TcpListener);

impl Hidden {
    pub(crate) fn listen() -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// Where it is, by address and by name.
    pub(crate) fn urls(&self) -> [String; 2] {
        let port = self.0.local_addr().unwrap().port();
        ["127.0.0.1", "localhost"].map(|host| format!("https://{host}:{port}"))
    }

    /// Whether somebody has knocked since the last time.
    pub(crate) fn was_found(&self) -> bool {
        self.0.accept().is_ok()
    }
}
