//! The signatures of OAuth 1.0a (RFC 5849 §3.4): of requests that are made here, and of requests
//! that came from others.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use model::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::Deserialize;

/// How a request is signed. RSA is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum SignatureMethod {
    /// HMAC with SHA-1, the one that everybody knows.
    #[default]
    #[serde(rename = "HMAC-SHA1")]
    HmacSha1,
    /// HMAC with SHA-256, which came after the RFC.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// The secrets themselves: for TLS alone.
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
}

impl SignatureMethod {
    /// The name in `oauth_signature_method`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::Plaintext => "PLAINTEXT",
        }
    }

    /// Reads a name; `None` when it is of no method known here.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::HmacSha1, Self::HmacSha256, Self::Plaintext];
        all.into_iter().find(|method| method.as_str() == name)
    }
}

/// Who signs: the secret of the client, and that of its token; empty where there is none.
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    /// The client's.
    pub client: &'a Secret<String>,
    /// The token's.
    pub token: &'a Secret<String>,
}

impl Keys<'_> {
    /// The signature of a base string (RFC 5849 §3.4.2, §3.4.4).
    pub fn sign(&self, method: SignatureMethod, base_string: &str) -> Secret<String> {
        let (client, token) = (encode(self.client.expose()), encode(self.token.expose()));
        let joined = Secret::new(format!("{client}&{token}"));
        let algorithm = match method {
            SignatureMethod::Plaintext => return joined,
            SignatureMethod::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            SignatureMethod::HmacSha256 => hmac::HMAC_SHA256,
        };
        let key = hmac::Key::new(algorithm, joined.expose().as_bytes());
        let tag = hmac::sign(&key, base_string.as_bytes());
        Secret::new(BASE64_STANDARD.encode(tag))
    }

    /// Whether a signature that came from somebody is the right one.
    pub fn verify(&self, method: SignatureMethod, base_string: &str, signature: &str) -> bool {
        self.sign(method, base_string) == Secret::new(signature.to_owned())
    }
}

/// What stays as it is when something is encoded (RFC 5849 §3.6).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes in OAuth's own way (RFC 5849 §3.6).
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// What is signed (RFC 5849 §3.4.1). `parameters` are those of the header, without `realm` and
/// `oauth_signature`, and those of a posted form; the parameters of the URL's query are added here.
pub fn base_string(http_method: &str, url: &Url, parameters: &[(String, String)]) -> String {
    let of_query = url.query_pairs();
    let mut encoded: Vec<(String, String)> = of_query
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    let others = parameters.iter();
    encoded.extend(others.map(|(name, value)| (encode(name), encode(value))));
    // Sorted after encoding, by name and then by value.
    encoded.sort();
    let pairs: Vec<String> = encoded
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    [
        encode(&http_method.to_ascii_uppercase()),
        encode(&base_url(url)),
        encode(&pairs.join("&")),
    ]
    .join("&")
}

/// The URL without its query, and without a port that goes without saying (RFC 5849 §3.4.1.2).
/// `Url` has put scheme and host in lower case, and left the usual port out.
fn base_url(url: &Url) -> String {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    base.to_string()
}

/// The value of an `Authorization` header (RFC 5849 §3.5.1).
pub fn authorization(realm: Option<&str>, parameters: &[(String, String)]) -> String {
    let realm = realm.map(|realm| format!("realm=\"{}\"", encode(realm)));
    let fields = parameters
        .iter()
        .map(|(name, value)| format!("{}=\"{}\"", encode(name), encode(value)));
    let all: Vec<String> = realm.into_iter().chain(fields).collect();
    format!("OAuth {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        all.iter().map(owned).collect()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    /// RFC 5849 §3.4.1.1.
    #[test]
    fn the_base_string_is_that_of_the_rfc() {
        let parameters = pairs(&[
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
            ("c2", ""),
            ("a3", "2 q"),
        ]);
        let url = url("http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b");
        assert_eq!(
            base_string("post", &url, &parameters),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q\
             %26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_\
             key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_m\
             ethod%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk\
             9d7dh3k39sjv7"
        );
    }

    /// RFC 5849 §1.2: the second request for the photos.
    #[test]
    fn the_signature_is_that_of_the_rfc() {
        let base = base_string(
            "GET",
            &url("http://photos.example.net/photos?file=vacation.jpg&size=original"),
            &pairs(&[
                ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
                ("oauth_token", "nnch734d00sl2jdk"),
                ("oauth_signature_method", "HMAC-SHA1"),
                ("oauth_timestamp", "137131202"),
                ("oauth_nonce", "chapoH"),
            ]),
        );
        let (client, token) = (secret("kd94hf93k423kf44"), secret("pfkkdhi9sl3r4s00"));
        let keys = Keys {
            client: &client,
            token: &token,
        };
        let signature = "MdpQcU8iPSUjWoN/UDMsK2sui9I=";
        assert!(keys.verify(SignatureMethod::HmacSha1, &base, signature));
        for wrong in ["", "MdpQcU8iPSUjWoN/UDMsK2sui9J=", "kd94hf93k423kf44&"] {
            assert!(!keys.verify(SignatureMethod::HmacSha1, &base, wrong));
        }
        assert_eq!(
            keys.sign(SignatureMethod::HmacSha256, &base).expose(),
            "7NYnfiUN//Gcjb9IY6/4CCsThBHtV2M8qinB+HZr4js="
        );
        assert_eq!(
            keys.sign(SignatureMethod::Plaintext, &base).expose(),
            "kd94hf93k423kf44&pfkkdhi9sl3r4s00"
        );
    }

    /// RFC 5849 §3.4.4.
    #[test]
    fn secrets_are_encoded_in_a_key() {
        let (client, token) = (secret("djr9rjt0jd78jf88&"), secret(""));
        let keys = Keys {
            client: &client,
            token: &token,
        };
        assert_eq!(
            keys.sign(SignatureMethod::Plaintext, "").expose(),
            "djr9rjt0jd78jf88%26&"
        );
    }

    #[test]
    fn a_port_that_is_not_the_usual_one_stays() {
        assert_eq!(
            base_string("GET", &url("https://example.net:8080/?q=1"), &[]),
            "GET&https%3A%2F%2Fexample.net%3A8080%2F&q%3D1"
        );
    }

    #[test]
    fn what_is_not_ascii_is_encoded_as_utf_8() {
        assert_eq!(encode("Ladies + ☃~-._"), "Ladies%20%2B%20%E2%98%83~-._");
    }

    #[test]
    fn a_header_has_its_values_encoded() {
        assert_eq!(
            authorization(Some("Photos"), &pairs(&[("oauth_signature", "a+b=")])),
            r#"OAuth realm="Photos", oauth_signature="a%2Bb%3D""#
        );
        assert_eq!(authorization(None, &pairs(&[("a", "b")])), r#"OAuth a="b""#);
    }

    #[test]
    fn each_method_is_known_by_its_name() {
        for name in ["HMAC-SHA1", "HMAC-SHA256", "PLAINTEXT"] {
            let found = SignatureMethod::parse(name).map(SignatureMethod::as_str);
            assert_eq!(found, Some(name));
        }
        assert_eq!(SignatureMethod::parse("RSA-SHA1"), None);
    }
}
