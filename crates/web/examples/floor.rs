//! The least that an answer costs: a bare hyper server, with the listener's settings, that answers every
//! request with the same number of bytes. `bench/run` measures it beside the real server.
//!
//! ```sh
//! cargo run --release --package archstone-web --example floor -- 127.0.0.1:8000 1500
//! ```

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use web::listen::Limits;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [address, size] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "give an address to listen on, and how many bytes to answer with")?;
    let body = Bytes::from("x".repeat(size.parse()?));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |_| {
                let mut response = Response::new(Full::new(body.clone()));
                let headers = response.headers_mut();
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(Limits::DEFAULT.max_header_size as usize);
            // A client that leaves is no failure.
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
