//! The path of a request in the one form by which it is limited, routed and held against access rules.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The path of a request.
pub struct RequestPath<'a> {
    /// As the client wrote it, but for what does not count: slashes at the end, and an escape that
    /// breaks off there.
    pub written: &'a str,
    /// The same with its escapes decoded: what counts.
    pub decoded: Cow<'a, str>,
}

impl<'a> RequestPath<'a> {
    /// Reads the path of a URL. What does not count at the end is what the reference never sees,
    /// for its front end removes it.
    pub fn parse(raw: &'a str) -> Self {
        let whole = match raw.rfind('%') {
            Some(at) if raw.len() - at < 3 => &raw[..at],
            _ => raw,
        };
        let written = trimmed(whole);
        let decoded = match percent_decode_str(written).decode_utf8_lossy() {
            Cow::Borrowed(decoded) => Cow::Borrowed(trimmed(decoded)),
            Cow::Owned(decoded) => Cow::Owned(trimmed(&decoded).to_owned()),
        };
        Self { decoded, written }
    }

    /// Whether it has `.` or `..` as a segment, escaped or not. Clients resolve those before they
    /// ask (RFC 3986 §6.2.2.3). Where a proxy in front decides by the path, it may see another one
    /// than we would: so there is nothing at such a path.
    pub fn has_dot_segments(&self) -> bool {
        let mut segments = self.decoded.split('/');
        segments.any(|segment| matches!(segment, "." | ".."))
    }

    /// The path without empty segments, when it has some.
    pub fn merged(&self) -> Option<String> {
        let segments = self.written.split('/').filter(|part| !part.is_empty());
        let merged: String = segments.flat_map(|segment| ["/", segment]).collect();
        (merged != self.written).then_some(merged)
    }
}

/// A path without the slashes at its end.
fn trimmed(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}

#[cfg(test)]
mod tests {
    use super::RequestPath;

    // Every line without dots was put to Keystone 30.0.0 behind uWSGI.
    #[test]
    fn a_path_has_one_form() {
        for (raw, written, decoded) in [
            ("/", "/", "/"),
            ("//", "/", "/"),
            ("/v3", "/v3", "/v3"),
            ("/v3/", "/v3", "/v3"),
            ("/v3//", "/v3", "/v3"),
            ("/v3//regions", "/v3//regions", "/v3//regions"),
            ("//v3/regions", "//v3/regions", "//v3/regions"),
            ("/v3/regions/%", "/v3/regions", "/v3/regions"),
            ("/v3/regions/%5", "/v3/regions", "/v3/regions"),
            ("/v3/regions/%52", "/v3/regions/%52", "/v3/regions/R"),
            ("/v3/regions%2F", "/v3/regions%2F", "/v3/regions"),
            ("/v3%2fregions", "/v3%2fregions", "/v3/regions"),
            ("/v3/%252e%252e", "/v3/%252e%252e", "/v3/%2e%2e"),
        ] {
            let path = RequestPath::parse(raw);
            assert_eq!((path.written, &*path.decoded), (written, decoded), "{raw}");
            assert!(!path.has_dot_segments(), "{raw}");
        }
    }

    #[test]
    fn dot_segments_are_seen_in_every_spelling() {
        for raw in [
            "/..",
            "/v3/.",
            "/v3/users/../regions",
            "/v3/./regions",
            "/v3/%2e%2e/regions",
            "/v3/.%2E/regions",
            "/v3/x%2f..%2fregions",
            "/v3/regions/..%",
            "//../v3",
        ] {
            assert!(RequestPath::parse(raw).has_dot_segments(), "{raw}");
        }
        for raw in ["/v3/...", "/v3/..x", "/v3/.x", "/v3/x."] {
            assert!(!RequestPath::parse(raw).has_dot_segments(), "{raw}");
        }
    }

    #[test]
    fn empty_segments_are_merged() {
        let merged = |raw| RequestPath::parse(raw).merged();
        assert_eq!(merged("/v3/regions"), None);
        assert_eq!(merged("/v3/regions//"), None);
        for raw in ["//v3/regions", "/v3//regions", "///v3///regions/"] {
            assert_eq!(merged(raw).as_deref(), Some("/v3/regions"), "{raw}");
        }
    }
}
