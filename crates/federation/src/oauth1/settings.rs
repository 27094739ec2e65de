//! The settings of a provider that speaks OAuth 1.0a.

use model::Secret;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::signature::SignatureMethod;
use crate::client::document;
use crate::outbound;
use crate::outbound::Limits;
use crate::settings::{self, WrongSetting, provider_url};

/// All settings.
pub const SETTINGS: &[&str] = &[
    "request_token_url",
    "authorization_url",
    "access_token_url",
    "attributes_url",
    "consumer_key",
    "consumer_secret",
    "signature_method",
    "realm",
    "issuer",
    "subject",
    "claim_prefix",
    "ca_certificates",
];

/// The settings that are never shown.
pub const SECRETS: &[&str] = &["consumer_secret"];

/// The settings, after every check.
#[derive(Debug)]
pub(super) struct Settings {
    /// Where temporary credentials are given (RFC 5849 §2.1).
    pub(super) request_token: Url,
    /// Where the user agrees (§2.2).
    pub(super) authorization: Url,
    /// Where token credentials are given (§2.3).
    pub(super) access_token: Url,
    /// Where the document about the user is.
    pub(super) attributes: Url,
    /// Who we are there.
    pub(super) consumer_key: String,
    pub(super) consumer_secret: Secret<String>,
    pub(super) method: SignatureMethod,
    pub(super) realm: Option<String>,
    /// The name of the provider.
    pub(super) issuer: Option<String>,
    /// Which attribute names the user.
    pub(super) subject: String,
    /// What the names of attributes begin with.
    pub(super) claim_prefix: String,
    /// Whom to trust.
    pub(super) tls: outbound::TlsFiles,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    request_token_url: String,
    authorization_url: String,
    access_token_url: String,
    attributes_url: String,
    consumer_key: String,
    consumer_secret: Secret<String>,
    #[serde(default)]
    signature_method: SignatureMethod,
    realm: Option<String>,
    issuer: Option<String>,
    subject: String,
    #[serde(default = "usual_prefix")]
    claim_prefix: String,
    ca_certificates: Option<String>,
}

fn usual_prefix() -> String {
    "OAUTH1-".into()
}

impl Settings {
    pub(super) fn read(settings: &Value, limits: &Limits) -> Result<Self, WrongSetting> {
        let written: Written = settings::read(settings, SETTINGS)?;
        let method = written.signature_method;
        let signed = |name: &str, text: &str| {
            let url = provider_url(name, text, limits)?;
            if method == SignatureMethod::Plaintext && url.scheme() != "https" {
                let reason = "PLAINTEXT sends the secret itself, so https:// is required.";
                return Err(WrongSetting::new(name, reason));
            }
            Ok(url)
        };
        let texts = [
            ("consumer_key", written.consumer_key.as_str()),
            ("consumer_secret", written.consumer_secret.expose()),
            ("subject", &written.subject),
        ];
        if let Some((name, _)) = texts.into_iter().find(|(_, text)| text.is_empty()) {
            return Err(WrongSetting::new(name, "it is empty."));
        }
        // A name alone: nothing is asked there.
        if let Some(issuer) = &written.issuer {
            settings::url("issuer", issuer)?;
        }
        Ok(Self {
            request_token: signed("request_token_url", &written.request_token_url)?,
            authorization: provider_url("authorization_url", &written.authorization_url, limits)?,
            access_token: signed("access_token_url", &written.access_token_url)?,
            attributes: signed("attributes_url", &written.attributes_url)?,
            claim_prefix: document::prefix(&written.claim_prefix)?,
            consumer_key: written.consumer_key,
            consumer_secret: written.consumer_secret,
            method,
            realm: written.realm,
            issuer: written.issuer,
            subject: written.subject,
            tls: outbound::TlsFiles {
                authorities: written.ca_certificates,
                identity: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_names_the_setting() {
        let good = json!({
            "request_token_url": "https://p.example/initiate",
            "authorization_url": "https://p.example/authorize",
            "access_token_url": "https://p.example/token",
            "attributes_url": "http://127.0.0.1/me?fields=all",
            "consumer_key": "us",
            "consumer_secret": "secret",
            "subject": "id",
        });
        let limits = Limits {
            private_addresses: true,
            ..Limits::default()
        };
        assert!(Settings::read(&good, &limits).is_ok());
        for (name, value) in [
            ("request_token_url", json!("initiate")),
            ("authorization_url", json!(7)),
            ("access_token_url", json!("https://p.example/#here")),
            ("request_token_url", json!("http://p.example/initiate")),
            ("authorization_url", json!("http://p.example/authorize")),
            ("access_token_url", json!("http://10.0.0.1/token")),
            ("attributes_url", json!("http://localhost.example/me")),
            ("attributes_url", json!(null)),
            ("consumer_key", json!("")),
            ("consumer_secret", json!("")),
            ("consumer_secret", json!(["x"])),
            ("signature_method", json!("RSA-SHA1")),
            ("issuer", json!("p.example")),
            ("subject", json!("")),
            ("claim_prefix", json!("a b")),
            ("nonsense", json!(1)),
        ] {
            let mut settings = good.clone();
            settings[name] = value.clone();
            let wrong = Settings::read(&settings, &limits).expect_err(name);
            assert_eq!(wrong.name, name, "{value}: {wrong}");
        }
        let wrong = Settings::read(&good, &Limits::default()).expect_err("not to be tried out");
        assert_eq!(wrong.name, "attributes_url");
        let mut settings = good.clone();
        settings["signature_method"] = json!("PLAINTEXT");
        let wrong = Settings::read(&settings, &limits).expect_err("a secret without TLS");
        assert_eq!(wrong.name, "attributes_url");
    }
}
