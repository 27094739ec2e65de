//! Where a request came from and how the client addressed us, as told by proxies in between.
//!
//! Keystone believes the last value of X-Forwarded-Proto and X-Forwarded-For, that of the nearest
//! proxy, always. With `[oslo_middleware] enable_proxy_headers_parsing` it believes, more than
//! those, the first hop of Forwarded (RFC 7239), or without that header all of X-Forwarded-*.
//! Where Keystone would pass nonsense on into its links (quotes, lists, schemes other than HTTP's),
//! the value is read properly here or left aside.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header, request::Parts, uri::Authority};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::listen::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How the client sees us, and how we see the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Scheme, host, port unless it is the scheme's own, and the path under which a proxy shows
    /// us; without `/v3` and without a final slash.
    pub base_url: String,
    /// The client's address. Good for logs: with no proxy that sets X-Forwarded-For, a client can
    /// claim any.
    pub client: IpAddr,
}

impl Origin {
    /// The origin of a request that came in from `peer`.
    pub fn of(request: &Parts, peer: &Peer, enable_proxy_headers_parsing: bool) -> Self {
        let headers = &request.headers;
        let mut scheme = if peer.secure { "https" } else { "http" };
        // HTTP/2 and requests to proxies carry the host in the URI (RFC 9113 §8.3.1).
        let mut host = request.uri.authority().cloned().or_else(|| {
            let host = headers.get(header::HOST)?;
            parse_host(host.to_str().ok()?)
        });
        let mut client = peer.address.ip();
        let mut path = String::new();

        let mut told = None;
        if enable_proxy_headers_parsing {
            told = Some(Hop::forwarded(headers).unwrap_or_else(|| Hop::farthest(headers)));
            path = values(headers, X_FORWARDED_PREFIX)
                .next()
                .map(parse_prefix)
                .unwrap_or_default();
        }
        for hop in std::iter::once(Hop::nearest(headers)).chain(told) {
            scheme = hop.scheme.and_then(parse_scheme).unwrap_or(scheme);
            host = hop.host.and_then(parse_host).or(host);
            client = hop.client.and_then(parse_client).unwrap_or(client);
        }

        let host = host.unwrap_or_else(|| {
            let local = SocketAddr::new(peer.local_address.ip(), peer.local_address.port());
            local
                .to_string()
                .parse()
                .expect("an address and a port are an authority")
        });
        let own_port = if scheme == "https" { 443 } else { 80 };
        let host = match host.port_u16() {
            Some(port) if port == own_port => host.host(),
            _ => host.as_str(),
        };
        Self {
            base_url: format!("{scheme}://{host}{path}"),
            client: client.to_canonical(),
        }
    }
}

/// What a proxy says of the request that it passed on.
#[derive(Default)]
struct Hop<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    client: Option<&'a str>,
}

impl<'a> Hop<'a> {
    /// What the proxy before us saw. It cannot be told from a client who says the same.
    fn nearest(headers: &'a HeaderMap) -> Self {
        Self {
            scheme: values(headers, X_FORWARDED_PROTO).next_back(),
            host: None,
            client: values(headers, X_FORWARDED_FOR).next_back(),
        }
    }

    /// What the first proxy saw.
    fn farthest(headers: &'a HeaderMap) -> Self {
        Self {
            scheme: values(headers, X_FORWARDED_PROTO).next(),
            host: values(headers, X_FORWARDED_HOST).next(),
            client: values(headers, X_FORWARDED_FOR).next(),
        }
    }

    /// What the first proxy saw, as RFC 7239 writes it; `None` without a Forwarded header.
    fn forwarded(headers: &'a HeaderMap) -> Option<Self> {
        let element = values(headers, header::FORWARDED).next()?;
        let mut hop = Self::default();
        for (name, value) in element.split(';').filter_map(|pair| pair.split_once('=')) {
            let value = Some(unquote(value));
            match name.trim().to_ascii_lowercase().as_str() {
                "proto" => hop.scheme = value,
                "host" => hop.host = value,
                "for" => hop.client = value,
                _ => {}
            }
        }
        Some(hop)
    }
}

/// The members of a list that may be spread over several fields (RFC 9110 §5.6.1).
fn values(headers: &HeaderMap, name: HeaderName) -> impl DoubleEndedIterator<Item = &str> {
    let fields = headers
        .get_all(name)
        .into_iter()
        .filter_map(|field| field.to_str().ok());
    fields
        .flat_map(|field| field.split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

/// Nothing that stands here in quotes needs escapes.
fn unquote(value: &str) -> &str {
    value.trim().trim_matches('"')
}

fn parse_scheme(value: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|scheme| unquote(value).eq_ignore_ascii_case(scheme))
}

/// A host and perhaps a port, but no user (RFC 9110 §7.2).
fn parse_host(value: &str) -> Option<Authority> {
    unquote(value)
        .parse()
        .ok()
        .filter(|host: &Authority| !host.as_str().contains('@'))
}

/// An address, perhaps in brackets, perhaps with a port (RFC 7239 §6).
fn parse_client(value: &str) -> Option<IpAddr> {
    let value = unquote(value);
    let address = value
        .strip_prefix('[')
        .and_then(|value| value.strip_suffix(']'));
    let address = address.unwrap_or(value).parse().ok();
    address.or_else(|| value.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

/// What Keystone leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path with a slash before and none behind. Some proxies include the version, which links add
/// themselves.
fn parse_prefix(value: &str) -> String {
    let path = value.trim_end_matches('/');
    let path = path
        .strip_suffix("/v3")
        .or_else(|| path.strip_suffix("/v2.0"))
        .unwrap_or(path);
    match utf8_percent_encode(path.trim_matches('/'), PATH).to_string() {
        empty if empty.is_empty() => empty,
        path => format!("/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;

    fn peer(secure: bool) -> Peer {
        Peer {
            address: "127.0.0.1:40000".parse().unwrap(),
            local_address: "192.0.2.1:5000".parse().unwrap(),
            local_socket: false,
            secure,
            client_certificate: None,
        }
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The base URL and client, first without and then with the parsing of proxies' headers.
    fn origins(headers: &[(&str, &str)]) -> [(String, String); 2] {
        let headers = [&[("host", "id.example:5000")], headers].concat();
        let request = request("/v3", &headers);
        [false, true].map(|enable| {
            let origin = Origin::of(&request, &peer(false), enable);
            (origin.base_url, origin.client.to_string())
        })
    }

    fn pair(base_url: &str, client: &str) -> (String, String) {
        (base_url.to_owned(), client.to_owned())
    }

    const PLAIN: &str = "http://id.example:5000";
    const SECURE: &str = "https://id.example:5000";
    const PEER: &str = "127.0.0.1";

    #[test]
    fn the_host_header_decides_and_default_ports_are_dropped() {
        let base_url = |secure, host| {
            Origin::of(&request("/v3", &[("host", host)]), &peer(secure), false).base_url
        };
        assert_eq!(base_url(false, "id.example"), "http://id.example");
        assert_eq!(base_url(false, "id.example:80"), "http://id.example");
        assert_eq!(base_url(false, "ID.example:443"), "http://ID.example:443");
        assert_eq!(base_url(true, "id.example:443"), "https://id.example");
        assert_eq!(base_url(true, "id.example:80"), "https://id.example:80");
        assert_eq!(base_url(true, "[::1]:443"), "https://[::1]");
        assert_eq!(base_url(true, "[::1]:5000"), "https://[::1]:5000");
    }

    #[test]
    fn without_a_good_host_the_local_address_serves() {
        let local = "http://192.0.2.1:5000";
        assert_eq!(
            Origin::of(&request("/v3", &[]), &peer(false), false).base_url,
            local
        );
        for host in ["", "a b\"c/d", "user@id.example"] {
            let request = request("/v3", &[("host", host)]);
            assert_eq!(
                Origin::of(&request, &peer(false), false).base_url,
                local,
                "{host}"
            );
        }
    }

    #[test]
    fn the_authority_of_http_2_is_the_host() {
        let mut request = request("https://id.example/v3", &[]);
        request.version = Version::HTTP_2;
        assert_eq!(
            Origin::of(&request, &peer(true), false).base_url,
            "https://id.example"
        );
    }

    #[test]
    fn an_address_of_ipv4_inside_ipv6_is_one_of_ipv4() {
        let mut peer = peer(false);
        peer.address = "[::ffff:192.0.2.7]:1".parse().unwrap();
        let origin = Origin::of(&request("/v3", &[]), &peer, false);
        assert_eq!(origin.client.to_string(), "192.0.2.7");
    }

    #[test]
    fn the_nearest_proxy_is_believed_about_the_scheme() {
        let secure = pair(SECURE, PEER);
        for value in ["https", "HTTPS", "\"https\"", "https,"] {
            assert_eq!(
                origins(&[("x-forwarded-proto", value)])[0],
                secure,
                "{value}"
            );
        }
        assert_eq!(
            origins(&[("x-forwarded-proto", "https, http")])[0],
            pair(PLAIN, PEER)
        );
        let two = [
            ("x-forwarded-proto", "http"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(origins(&two)[0], secure);
        for value in ["", "wss"] {
            assert_eq!(
                origins(&[("x-forwarded-proto", value)])[0],
                pair(PLAIN, PEER),
                "{value}"
            );
        }
    }

    #[test]
    fn the_nearest_proxy_is_believed_about_the_client() {
        let client = |value| origins(&[("x-forwarded-for", value)])[0].1.clone();
        assert_eq!(client("10.0.0.1"), "10.0.0.1");
        assert_eq!(client("10.0.0.1, 10.0.0.2"), "10.0.0.2");
        assert_eq!(client("10.0.0.1:99"), "10.0.0.1");
        assert_eq!(client("[2001:db8::1]:99"), "2001:db8::1");
        assert_eq!(client("2001:db8::1"), "2001:db8::1");
        assert_eq!(client("nonsense"), PEER);
        let two = [
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
        ];
        assert_eq!(origins(&two)[0].1, "10.0.0.2");
    }

    #[test]
    fn other_headers_of_proxies_need_to_be_enabled() {
        let host = [("x-forwarded-host", "other.example")];
        assert_eq!(
            origins(&host),
            [pair(PLAIN, PEER), pair("http://other.example", PEER)]
        );

        let host = [
            ("x-forwarded-host", "other.example:443"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(
            origins(&host),
            [pair(SECURE, PEER), pair("https://other.example", PEER)]
        );

        let port = [("x-forwarded-port", "99")];
        assert_eq!(origins(&port), [pair(PLAIN, PEER), pair(PLAIN, PEER)]);

        let chain = [
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
        ];
        assert_eq!(
            origins(&chain),
            [pair(PLAIN, "10.0.0.2"), pair(SECURE, "10.0.0.1")]
        );
    }

    #[test]
    fn a_prefix_becomes_part_of_the_base() {
        for (prefix, path) in [
            ("/identity", "/identity"),
            ("/identity//", "/identity"),
            ("/identity/v3/", "/identity"),
            ("/identity/v3/x", "/identity/v3/x"),
            ("/v3", ""),
            ("identity", "/identity"),
            ("/a b", "/a%20b"),
            ("/", ""),
        ] {
            let [ignored, used] = origins(&[("x-forwarded-prefix", prefix)]);
            assert_eq!(ignored, pair(PLAIN, PEER));
            assert_eq!(used, pair(&format!("{PLAIN}{path}"), PEER), "{prefix}");
        }
    }

    #[test]
    fn the_first_hop_of_forwarded_decides() {
        let used = |value| {
            let [ignored, used] = origins(&[("forwarded", value)]);
            assert_eq!(ignored, pair(PLAIN, PEER));
            used
        };
        let all = pair("https://f.example", "192.0.2.60");
        assert_eq!(used("for=192.0.2.60;proto=https;host=f.example"), all);
        assert_eq!(
            used("for=192.0.2.60;proto=https;host=f.example, for=1.2.3.4;proto=http"),
            all
        );
        assert_eq!(
            used(r#"For="[2001:db8::1]:4711"; Proto="https"; Host="f.example:443""#),
            pair("https://f.example", "2001:db8::1")
        );
        assert_eq!(used("for=_hidden"), pair(PLAIN, PEER));
    }

    #[test]
    fn what_forwarded_leaves_out_the_nearest_proxy_fills_in() {
        let headers = [
            ("forwarded", "for=192.0.2.60"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "x.example"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        let nearest = pair(SECURE, "203.0.113.9");
        assert_eq!(origins(&headers), [nearest, pair(SECURE, "192.0.2.60")]);
    }
}
