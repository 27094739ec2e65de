//! Listening: accepting connections over plain HTTP and TLS, and ending them in good order.

mod activity;
pub mod local_ca;
mod tls;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Body, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use activity::{Activity, Overdue, Watched};

/// The body of a request while it arrives.
pub use hyper::body::Incoming;
pub use tls::{
    CertificateStore, ClientCertificate, ClientCertificateError, TlsError, TlsSettings, TlsVersion,
};

/// How long accepting rests after an error of the system, such as being out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How long a connection that was told to end may stay without making any progress.
const LINGER: Duration = Duration::from_secs(5);

/// The address of a peer on a Unix socket.
const THIS_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A bound socket, and what is spoken on it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    certificates: Option<Arc<CertificateStore>>,
}

impl Listener {
    /// Plain HTTP on a bound socket.
    pub fn http(socket: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            certificates: None,
        }
    }

    /// Plain HTTP on a bound Unix socket.
    pub fn unix(socket: UnixListener) -> Self {
        Self {
            socket: Socket::Unix(socket),
            certificates: None,
        }
    }

    /// HTTP over TLS on a bound socket, with whatever certificate the store holds when a client
    /// connects.
    pub fn https(socket: TcpListener, certificates: Arc<CertificateStore>) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            certificates: Some(certificates),
        }
    }
}

/// Who sends the requests of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the connection: the client, or a proxy in front of us.
    pub address: SocketAddr,
    /// This end of the connection.
    pub local_address: SocketAddr,
    /// Whether it came through a Unix socket of ours, to which only the operator lets anybody. The
    /// addresses are then those of this machine.
    pub local_socket: bool,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// The certificate by which the client proved itself. It led to one of
    /// [`TlsSettings::client_authorities`] when the connection was made; whether it still does, and
    /// what it entitles to, is for the receiver to say.
    pub client_certificate: Option<ClientCertificate>,
}

/// What clients may cost. A request that runs is not limited here: how long it may take, also to
/// read a slow body, is the service's to bound.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once on each listener. Further ones wait in the system's queue.
    pub max_connections: usize,
    /// Time to finish the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Time from a connection's begin to its first complete request head, and for later heads from
    /// their first byte on.
    pub header_read_timeout: Duration,
    /// Time that a connection may idle between requests, or take nothing of what it is sent.
    pub keep_alive_timeout: Duration,
    /// Size of a request's head (line and header fields) in bytes, at least 8192. A larger one is
    /// answered 431.
    pub max_header_size: u32,
    /// Requests running at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Time for running requests to finish when the server stops.
    pub shutdown_grace: Duration,
}

impl Limits {
    /// What suits a public service.
    pub const DEFAULT: Self = Self {
        max_connections: 10_000,
        tls_handshake_timeout: Duration::from_secs(10),
        header_read_timeout: Duration::from_secs(15),
        keep_alive_timeout: Duration::from_secs(75),
        max_header_size: 64 * 1024,
        max_concurrent_streams: 128,
        shutdown_grace: Duration::from_secs(30),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// The body of a response.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request of a peer.
    fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Serves HTTP/1.1 and HTTP/2 on all listeners until `shutdown` completes and the requests in
/// flight have finished or had their grace.
///
/// Fails only when accepting itself breaks down; no client can bring that about.
pub async fn serve(
    listeners: Vec<Listener>,
    service: Arc<impl Service>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut loops = JoinSet::new();
    for listener in listeners {
        let stopping = Stopping(stopped.clone());
        loops.spawn(accept_all(
            listener,
            Arc::clone(&service),
            limits.clone(),
            stopping,
        ));
    }

    let broken = tokio::select! {
        () = shutdown => None,
        broken = loops.join_next() => broken,
    };
    stop.send_replace(true);
    let mut outcome = broken.map_or(Ok(()), |ended| ended);
    while let Some(ended) = loops.join_next().await {
        outcome = outcome.and(ended);
    }
    outcome.map_err(io::Error::other)
}

/// Accepts connections of one listener until told to stop, then waits for them to end.
async fn accept_all(
    listener: Listener,
    service: Arc<impl Service>,
    limits: Limits,
    mut stopping: Stopping,
) {
    let Listener {
        socket,
        certificates,
    } = listener;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.wait() => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, address) = accept(&socket), if connections.len() < limits.max_connections => {
                let connection = Connection {
                    address,
                    certificates: certificates.clone(),
                    service: Arc::clone(&service),
                    limits: limits.clone(),
                    stopping: stopping.clone(),
                };
                connections.spawn(async move {
                    if let Err(error) = connection.serve(stream).await {
                        tracing::debug!(%error, peer.address = %address, "a connection broke");
                    }
                });
            }
        }
    }

    drop(socket);
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(limits.shutdown_grace, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closing connections after their grace"
        );
        connections.shutdown().await;
    }
}

/// The next connection. Errors of the system are waited out: with no descriptor left, accepting
/// again at once would fail again at once.
async fn accept(socket: &Socket) -> (Stream, SocketAddr) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        let accepted = match socket {
            Socket::Tcp(socket) => {
                let accepted = socket.accept().await;
                accepted.map(|(stream, address)| (Stream::Tcp(stream), address))
            }
            Socket::Unix(socket) => {
                let accepted = socket.accept().await;
                accepted.map(|(stream, _)| (Stream::Unix(stream), THIS_MACHINE))
            }
        };
        match accepted {
            Ok(accepted) => return accepted,
            // The client left before its turn.
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionAborted | ConnectionRefused | ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections, trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A panic ends its own connection and no other.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection was given up");
    }
}

/// Tells when to stop.
#[derive(Clone)]
struct Stopping(watch::Receiver<bool>);

impl Stopping {
    async fn wait(&mut self) {
        // A sender that is gone means the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// One connection, and what is needed to serve it.
struct Connection<S> {
    address: SocketAddr,
    certificates: Option<Arc<CertificateStore>>,
    service: Arc<S>,
    limits: Limits,
    stopping: Stopping,
}

impl<S: Service> Connection<S> {
    async fn serve(mut self, stream: Stream) -> Result<(), BoxError> {
        let mut peer = Peer {
            address: self.address,
            local_address: THIS_MACHINE,
            local_socket: false,
            secure: false,
            client_certificate: None,
        };
        let stream = match stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => {
                peer.local_socket = true;
                return self.serve_http(stream, peer).await;
            }
        };
        stream.set_nodelay(true)?;
        peer.local_address = stream.local_addr()?;
        let Some(certificates) = self.certificates.take() else {
            return self.serve_http(stream, peer).await;
        };
        let handshake = TlsAcceptor::from(certificates.current()).accept(stream);
        let stream = tokio::select! {
            shaken = timeout(self.limits.tls_handshake_timeout, handshake) => shaken??,
            () = self.stopping.wait() => return Ok(()),
        };
        let chain = stream.get_ref().1.peer_certificates();
        peer.secure = true;
        peer.client_certificate = certificates.client_certificate(chain);
        self.serve_http(stream, peer).await
    }

    async fn serve_http<T>(self, stream: T, peer: Peer) -> Result<(), BoxError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self {
            service,
            limits,
            mut stopping,
            ..
        } = self;
        let activity = Activity::new();
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
        let counted = Arc::clone(&activity);
        let peer = Arc::new(peer);
        let service = service_fn(move |request: Request<Incoming>| {
            let running = counted.begin(request.version());
            let answer = Arc::clone(&service).answer(Arc::clone(&peer), request);
            async move {
                let answer = answer.await;
                drop(running);
                Ok::<_, Infallible>(answer)
            }
        });
        let builder = limits.http();
        let mut connection = std::pin::pin!(builder.serve_connection(stream, service));

        tokio::select! {
            ended = connection.as_mut() => return ended,
            overdue = activity.overdue(&limits) => if overdue == Overdue::Head {
                return Err("the head of a request took too long".into());
            },
            () = stopping.wait() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => ended,
            () = activity.quiet_for(LINGER.min(limits.keep_alive_timeout)) => Ok(()),
        }
    }
}

impl Limits {
    fn http(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // `Activity` measures it.
            .header_read_timeout(None)
            .max_buf_size(self.max_header_size.max(8192) as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(self.max_header_size)
            .max_concurrent_streams(self.max_concurrent_streams);
        builder
    }
}
