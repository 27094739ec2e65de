//! Asking providers: with a time limit, a size limit, no redirects, and no way into the operator's
//! own network unless that is allowed.

pub(crate) mod readers;
pub(crate) mod throttle;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::driver::Failure;
use crate::outbound::readers::Readers;

/// What is allowed when asking others.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For how long one request may take in all.
    pub timeout: Duration,
    /// How many bytes an answer may have.
    pub max_bytes: usize,
    /// Whether loopback, link-local and private addresses may be asked.
    pub private_addresses: bool,
    /// Where documents are read that take a while.
    pub readers: Readers,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            max_bytes: 1024 * 1024,
            private_addresses: false,
            readers: Readers::default(),
        }
    }
}

impl Limits {
    /// Whether secrets may be told at a URL: by https, as every document demands; without TLS only
    /// within this machine, and when private addresses are allowed, so for trying out.
    pub(crate) fn trust(&self, url: &Url) -> bool {
        let here = url.host_str() == Some("localhost")
            || literal_address(url).is_some_and(|address| address.is_loopback());
        url.scheme() == "https" || (url.scheme() == "http" && self.private_addresses && here)
    }
}

/// Asks providers.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    limits: Limits,
}

/// Whom to trust and who to be, in TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificates of authorities to trust besides those of the system, in PEM.
    pub authorities: Option<String>,
    /// Our own certificate chain and its key, in PEM.
    pub identity: Option<(String, model::Secret<String>)>,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Outbound {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// A sentence, when a certificate or key cannot be used.
    #[expect(clippy::disallowed_methods, reason = "everyone else asks through this")]
    pub fn new(limits: Limits, tls: &TlsFiles) -> Result<Self, String> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls_config(tls)?)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(limits.timeout)
            .connect_timeout(limits.timeout)
            .dns_resolver(Arc::new(Resolver {
                private_addresses: limits.private_addresses,
            }))
            .user_agent(concat!("archstone/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, limits })
    }

    /// What is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Begins a request to fetch something.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Begins a request to post something.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Sends a request and reads the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] when the address may not be asked, when there is no answer in
    /// time, or too long a one.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let request = request.build().map_err(|error| unavailable(&error))?;
        let url = request.url().clone();
        let place = place(&url);
        if let (false, Some(address)) = (self.limits.private_addresses, literal_address(&url))
            && is_private(address)
        {
            return Err(Failure::Unavailable(format!(
                "{place}: {}",
                forbidden(address)
            )));
        }
        let named = |what: String| Failure::Unavailable(format!("{place}: {what}"));
        // The client's own limit counts from the request to the end of the body.
        let mut response = self
            .client
            .execute(request)
            .await
            .map_err(|error| named(whole_story(&error)))?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| named(whole_story(&error)))?
        {
            if body.len() + chunk.len() > self.limits.max_bytes {
                let most = self.limits.max_bytes;
                return Err(named(format!("the answer is longer than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.freeze(),
        })
    }

    /// The same, for requests of which only 200 is a good answer.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] for any other status too. A redirect is not followed.
    pub async fn fetch(&self, url: Url, accept: &str) -> Result<Reply, Failure> {
        let shown = place(&url);
        let request = self.get(url).header(http::header::ACCEPT, accept);
        let reply = self.send(request).await?;
        if reply.status != StatusCode::OK {
            return Err(Failure::Unavailable(format!(
                "{shown}: it answers {}",
                reply.status
            )));
        }
        Ok(reply)
    }
}

/// The URL without its query, which may hold what no log should.
pub(crate) fn place(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.to_string()
}

fn unavailable(error: &reqwest::Error) -> Failure {
    Failure::Unavailable(whole_story(error))
}

/// An error with its causes, without the URL.
fn whole_story(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".into();
    }
    let mut story = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if !story.is_empty() {
            story.push_str(": ");
        }
        story.push_str(&next.to_string());
        cause = next.source();
    }
    if story.is_empty() {
        "the request failed".into()
    } else {
        story
    }
}

/// The authorities that the system trusts, read once: they are files, and many.
static SYSTEM_ROOTS: LazyLock<Vec<CertificateDer<'static>>> =
    LazyLock::new(|| rustls_native_certs::load_native_certs().certs);

fn tls_config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    // A certificate of the system that cannot be read is as good as absent.
    roots.add_parsable_certificates(SYSTEM_ROOTS.iter().cloned());
    if let Some(pem) = &files.authorities {
        for certificate in certificates(pem)? {
            roots
                .add(certificate)
                .map_err(|error| format!("a certificate authority cannot be used: {error}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match &files.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| "the private key is not in PEM".to_owned())?;
            builder
                .with_client_auth_cert(certificates(chain)?, key)
                .map_err(|error| format!("the certificate cannot be used: {error}"))
        }
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err("no certificate in PEM is there".into()),
    }
}

/// Looks names up as the system does, and leaves out what may not be asked, so that a name that
/// points somewhere else a moment later gains nothing.
struct Resolver {
    private_addresses: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let all = self.private_addresses;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed(found.collect(), all)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Those addresses of a name that may be asked.
fn allowed(found: Vec<SocketAddr>, private_addresses: bool) -> Result<Vec<SocketAddr>, String> {
    let first = found.first().map(SocketAddr::ip);
    let mut allowed = found;
    allowed.retain(|address| private_addresses || !is_private(address.ip()));
    match (allowed.is_empty(), first) {
        (true, Some(address)) => Err(forbidden(address)),
        _ => Ok(allowed),
    }
}

fn forbidden(address: IpAddr) -> String {
    format!(
        "{address} is an address of a private network; set [archstone] private_providers = true \
         to allow those"
    )
}

/// The address, when the URL names one instead of a host.
fn literal_address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// Whether an address lies within the machine or its network: whatever is not reachable from
/// everywhere (RFC 6890).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && (18..20).contains(&second))
                || (first == 192 && second == 0 && third == 0)
                || address.is_documentation()
        }
        IpAddr::V6(address) => {
            if let Some(mapped) = address.to_ipv4_mapped() {
                return is_private(mapped.into());
            }
            let segments = address.segments();
            let inner = |high: u16, low: u16| {
                let inner = (u32::from(high) << 16) | u32::from(low);
                is_private(IpAddr::V4(inner.into()))
            };
            let [first, second, third, .., high, low] = segments;
            let translated = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || segments[..6] == [0; 6]
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || (translated && inner(high, low))
                // Translation within a network, 6to4, Teredo, site-local, documentation.
                || segments[..3] == [0x64, 0xff9b, 1]
                || (first == 0x2002 && inner(second, third))
                || (first == 0x2001 && second == 0)
                || first & 0xffc0 == 0xfec0
                || (first == 0x2001 && second == 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(text: &str) -> bool {
        is_private(text.parse().expect("an address"))
    }

    #[test]
    fn private_addresses_are_known_in_every_dress() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "ff02::1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2001::1",
            "fec0::1",
            "2001:db8::1",
            "192.0.2.1",
        ] {
            assert!(private(address), "{address}");
        }
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(!private(address), "{address}");
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_the_private_ones_are_left_out() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            let addresses = texts.iter().map(|text| text.parse().expect("an address"));
            addresses
                .map(|address: IpAddr| (address, 0).into())
                .collect()
        };
        let mixed = addresses(&["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"]);
        let public = addresses(&["1.1.1.1", "2606:4700::1111"]);
        assert_eq!(allowed(mixed.clone(), false), Ok(public));
        assert_eq!(allowed(mixed.clone(), true), Ok(mixed));
        assert!(allowed(addresses(&["10.0.0.1", "::1"]), false).is_err());
        assert_eq!(allowed(Vec::new(), false), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_private_address_is_not_asked() {
        let outbound = Outbound::new(Limits::default(), &TlsFiles::default()).expect("a client");
        for url in [
            "http://127.0.0.1:9/",
            "http://[::1]:9/",
            "http://localhost:9/",
            "http://2130706433:9/",
        ] {
            let url = Url::parse(url).expect("a URL");
            let failure = outbound.fetch(url, "*/*").await.expect_err("refused");
            assert!(failure.to_string().contains("private network"), "{failure}");
        }
    }
}
