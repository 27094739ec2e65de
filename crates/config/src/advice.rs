//! What an operator should know of a configuration whose values are all accepted.

use super::{Auth, CacheBackend, Config, reader::Reader, report::Warning};

/// The methods of `[auth] methods` that have an effect in this release. By `ec2credential` nobody
/// logs in with Keystone either: it marks tokens.
const METHODS: [&str; 9] = [
    "application_credential",
    "ec2credential",
    "external",
    "kerberos",
    "mapped",
    "openid",
    "password",
    "saml2",
    "token",
];

/// Looks at options together, and at the items of lists.
pub(super) fn advice(config: &Config, reader: &Reader<'_>) -> Vec<Warning> {
    [methods(config, reader), cache(config, reader)]
        .into_iter()
        .flatten()
        .collect()
}

/// A method that is not built lets nobody in, so it need not stop the start: it has to stay in the
/// list as long as a Keystone beside this server has it there, for the order is part of the format
/// of tokens.
fn methods(config: &Config, reader: &Reader<'_>) -> Option<Warning> {
    let place = reader.place("auth", "methods")?;
    let methods = &config.auth.methods;
    let others: Vec<&str> = methods
        .iter()
        .map(String::as_str)
        .filter(|method| !METHODS.contains(method))
        .collect();
    // Who writes down the default asks for nothing.
    let asked = *methods != Auth::default().methods;
    (asked && !others.is_empty()).then(|| Warning::Advice {
        place,
        text: format!(
            "[auth] methods: nobody logs in by {} in this release, and who must by a multi-factor \
             rule cannot log in; leave the order as it is while a Keystone uses the same tokens",
            others.join(", ")
        ),
    })
}

/// Keystone keeps what it read for `[cache] expiration_time`, unless somebody drops it.
fn cache(config: &Config, reader: &Reader<'_>) -> Option<Warning> {
    let cache = &config.cache;
    let place = reader.place("cache", "backend")?;
    let backend = cache.backend.as_str();
    let keeps = cache.enabled && cache.backend != CacheBackend::Null;
    (keeps && cache.memcached().is_none()).then(|| Warning::Advice {
        place,
        text: format!(
            "[cache] backend = {backend}: a Keystone that uses it beside this server does not see \
             the changes made here, revocations among them, until what it keeps is out of date; \
             set [cache] enabled = false there while both serve"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn advice(text: &str) -> Vec<String> {
        let config = Config::parse(Path::new("keystone.conf"), text).unwrap();
        let warnings = config.warnings().iter();
        warnings.map(Warning::to_string).collect()
    }

    #[test]
    fn a_method_that_is_not_built_is_named_where_somebody_asks_for_it() {
        assert_eq!(advice(""), [""; 0]);
        assert_eq!(advice("[auth]\nmethods = password,token,saml2"), [""; 0]);
        let default = Auth::default().methods.join(",");
        assert_eq!(advice(&format!("[auth]\nmethods = {default}")), [""; 0]);
        let [told] = &advice("[auth]\nmethods = password,totp,token,site")[..] else {
            panic!("one warning");
        };
        assert!(told.starts_with("keystone.conf:2: [auth] methods: nobody logs in by totp, site "));
    }

    #[test]
    fn a_cache_of_keystones_that_is_out_of_reach_is_told_of() {
        let backend = "[cache]\nbackend = dogpile.cache.redis\n";
        let [told] = &advice(backend)[..] else {
            panic!("one warning");
        };
        assert!(told.starts_with("keystone.conf:2: [cache] backend = dogpile.cache.redis: "));
        assert_eq!(advice(&format!("{backend}enabled = false")), [""; 0]);
        assert_eq!(advice("[cache]\nenabled = true"), [""; 0]);
        let memcached = "[cache]\nbackend = oslo_cache.memcache_pool\n";
        assert_eq!(advice(memcached), [""; 0]);
        for line in ["tls_enabled = true", "memcache_sasl_enabled = true"] {
            assert_eq!(advice(&format!("{memcached}{line}")).len(), 1, "{line}");
        }
    }

    #[test]
    fn the_memcached_of_keystones_is_found_where_keystone_finds_it() {
        let servers = |text: &str| {
            let text = format!("[cache]\nbackend = dogpile.cache.pymemcache\n{text}");
            let config = Config::parse(Path::new("keystone.conf"), &text).unwrap();
            config.cache.memcached().unwrap_or_default()
        };
        assert_eq!(servers(""), ["localhost:11211"]);
        assert_eq!(servers("memcache_servers = a:1,b:2"), ["a:1", "b:2"]);
        let argument = "memcache_servers = a:1\nbackend_argument = url:c:3\nbackend_argument = x:y";
        assert_eq!(servers(argument), ["c:3"]);
        assert_eq!(servers("enabled = false"), [""; 0]);
    }
}
