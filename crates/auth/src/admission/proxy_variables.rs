//! What a front proxy that logs users in itself says of them, as Apache's modules do: variables,
//! passed in headers.

use std::collections::HashMap;

use config::Config;
use http::{HeaderName, header};
use model::Assertion;
use web::request::Request;

/// What a trusted proxy said. Only [`variables`] makes it.
#[non_exhaustive]
pub struct Variables {
    /// All of it, as mappings see it.
    pub assertion: Assertion,
    /// Whom it has logged in.
    pub remote_user: Option<RemoteUser>,
}

/// A user whom a trusted proxy has logged in.
#[non_exhaustive]
pub struct RemoteUser {
    /// `REMOTE_USER`.
    pub name: String,
    /// `REMOTE_DOMAIN`: the name of the user's domain.
    pub domain: Option<String>,
    /// `AUTH_TYPE` (RFC 3875 §4.1.1): how, `Negotiate` for Kerberos.
    pub auth_type: Option<String>,
}

/// Headers that are for the server alone, and none of a mapping's business.
const OURS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-auth-token"),
];

/// Reads the variables of a request: each header `Oidc-Sub` as `HTTP_OIDC_SUB`, as a WSGI server
/// shows it (PEP 3333), and under its own name too where it has one. Names are found in
/// any case. One that two headers come to (`Oidc-Sub` and `Oidc_Sub`) is not said. None, when the
/// other end is no trusted proxy: anybody can write headers.
pub fn variables(config: &Config, request: &Request) -> Variables {
    let mut said = Variables {
        assertion: Assertion::new(),
        remote_user: None,
    };
    if !is_trusted(config, request) {
        return said;
    }
    let prefix = config.archstone.proxy_variable_prefix.as_str();
    let wanted = &config.federation.assertion_prefix;
    let mut found: Vec<(String, String)> = Vec::new();
    for name in request.headers.keys().filter(|name| !OURS.contains(name)) {
        let values = request.headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| text(value.as_bytes())).collect();
        let value = values.join(",");
        // Nothing is what a proxy says of a variable that it does not have.
        let own = own_name(name, prefix).filter(|_| !value.is_empty());
        found.extend(own.map(|own| (own, value.clone())));
        found.push((format!("HTTP_{}", variable(name.as_str())), value));
    }
    // Of two headers that come to the same variable, one may be the proxy's and one the client's.
    let mut times: HashMap<String, usize> = HashMap::new();
    for (name, _) in &found {
        *times.entry(name.clone()).or_default() += 1;
    }
    found.retain(|(name, _)| times.get(name) == Some(&1));
    let one = |wanted: &str| {
        let mut found = found.iter();
        let found = found.find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    said.remote_user = one("REMOTE_USER").map(|name| RemoteUser {
        name,
        domain: one("REMOTE_DOMAIN"),
        auth_type: one("AUTH_TYPE"),
    });
    found.retain(|(name, _)| without_prefix(name, wanted).is_some());
    said.assertion = Assertion::of_variables(found).in_any_case();
    said
}

/// The name of a variable in the proxy's own environment, if a header passes one: what follows
/// `[archstone] proxy_variable_prefix`, and all of mod_auth_openidc's `OIDC-sub` and
/// `OIDC_CLAIM_sub`, which Apache's environment has under the names of its headers.
fn own_name(header: &HeaderName, prefix: &str) -> Option<String> {
    let header = header.as_str();
    let own = match without_prefix(header, prefix) {
        Some(own) if !prefix.is_empty() && !own.is_empty() => own,
        _ if header.starts_with("oidc-") || header.starts_with("oidc_") => header,
        _ => return None,
    };
    // What is called as the variable of another header is no variable of its own: modules that
    // clear a client's headers look for that other one only.
    //
    // A `-` stays one: else a client's X-Env-REMOTE-USER could speak for the proxy's
    // X-Env-REMOTE_USER.
    (!variable(own).starts_with("HTTP_")).then(|| own.to_ascii_uppercase())
}

/// What follows a prefix in whatever case.
fn without_prefix<'text>(text: &'text str, prefix: &str) -> Option<&'text str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn is_trusted(config: &Config, request: &Request) -> bool {
    let Some(peer) = &request.peer else {
        return false;
    };
    if peer.local_socket {
        return true;
    }
    let address = peer.address.ip().to_canonical();
    let trusted = &config.archstone.trusted_proxies;
    trusted.iter().any(|network| network.contains(address))
}

fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// UTF-8 where it is, else ISO 8859-1, which is what headers are in (RFC 9110 §5.5).
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_wsgi_server_gives() {
        assert_eq!(variable("oidc-sub"), "OIDC_SUB");
        assert_eq!(variable("remote_user"), "REMOTE_USER");
    }

    #[test]
    fn headers_of_a_proxy_have_names_of_their_own() {
        let own = |name: &'static str| own_name(&HeaderName::from_static(name), "X-Env-");
        assert_eq!(own("x-env-mellon_uid").as_deref(), Some("MELLON_UID"));
        assert_eq!(own("x-env-shib-idp").as_deref(), Some("SHIB-IDP"));
        assert_eq!(own("oidc-sub").as_deref(), Some("OIDC-SUB"));
        assert_eq!(own("oidc_claim_sub").as_deref(), Some("OIDC_CLAIM_SUB"));
        for none in [
            "x-env-",
            "x-env-http-a",
            "x-env-http_a",
            "oidcsub",
            "mellon_uid",
        ] {
            assert_eq!(own(none), None, "{none}");
        }
        let header = HeaderName::from_static("mellon_uid");
        assert_eq!(own_name(&header, ""), None);
    }

    #[test]
    fn values_are_read_as_utf_8_first() {
        assert_eq!(text("Zoë".as_bytes()), "Zoë");
        assert_eq!(text(b"Zo\xeb"), "Zoë");
    }
}
