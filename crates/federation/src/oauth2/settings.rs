//! The settings of a provider that speaks OAuth 2.0.

use std::collections::BTreeMap;

use model::Secret;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Authentication, Client};
use crate::client::authorization::ResponseMode;
use crate::client::document;
use crate::client::requested::Requested;
use crate::outbound;
use crate::outbound::Limits;
use crate::settings::{self, WrongSetting, provider_url};

/// All settings.
pub const SETTINGS: &[&str] = &[
    "authorization_endpoint",
    "token_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "pushed_authorization_request_endpoint",
    "issuer",
    "metadata_url",
    "client_id",
    "client_secret",
    "token_endpoint_auth_method",
    "scopes",
    "authorization_parameters",
    "response_mode",
    "attributes",
    "subject",
    "bearer",
    "bearer_audiences",
    "bearer_clients",
    "claim_prefix",
    "ca_certificates",
];

/// The settings that are never shown.
pub const SECRETS: &[&str] = &["client_secret"];

/// What a request to authorize says anyway, so what `authorization_parameters` may not.
const OURS: &[&str] = &[
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// The settings, after every check.
#[derive(Debug)]
pub(super) struct Settings {
    /// The endpoints that were set; the others are the metadata's.
    pub(super) endpoints: Endpoints,
    /// Where the metadata is (RFC 8414); `None` when all endpoints are set.
    pub(super) metadata_url: Option<Url>,
    /// The name of the provider.
    pub(super) issuer: Option<String>,
    /// Who we are there.
    pub(super) client: Client,
    /// What to ask for.
    pub(super) scopes: Vec<String>,
    /// What else to say when asking.
    pub(super) authorization_parameters: BTreeMap<String, String>,
    /// What that asks of the authentication, which the answer has to say.
    pub(super) requested: Requested,
    /// How the answer comes back.
    pub(super) response_mode: ResponseMode,
    /// Where attributes come from.
    pub(super) attributes: Source,
    /// Which attribute names the user.
    pub(super) subject: String,
    /// How a bearer's token is verified; `None` when none is accepted.
    pub(super) bearer: Option<Source>,
    /// For whom a bearer's token may be meant.
    pub(super) bearer_audiences: Vec<String>,
    /// To which clients a bearer's token may have been issued.
    pub(super) bearer_clients: Vec<String>,
    /// What the names of attributes begin with.
    pub(super) claim_prefix: String,
    /// Whom to trust.
    pub(super) tls: outbound::TlsFiles,
}

/// Where to ask what.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    pub(super) authorization: Option<Url>,
    pub(super) token: Option<Url>,
    pub(super) introspection: Option<Url>,
    pub(super) userinfo: Option<Url>,
    pub(super) pushing: Option<Url>,
}

/// What tells of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    /// RFC 7662.
    Introspection,
    /// An endpoint that returns a document to the bearer of the user's token.
    Userinfo,
}

impl Source {
    /// The setting that says where it is.
    fn endpoint(self) -> &'static str {
        match self {
            Self::Introspection => "introspection_endpoint",
            Self::Userinfo => "userinfo_endpoint",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    issuer: Option<String>,
    metadata_url: Option<String>,
    client_id: String,
    client_secret: Option<Secret<String>>,
    token_endpoint_auth_method: Option<Authentication>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    authorization_parameters: BTreeMap<String, String>,
    response_mode: Option<String>,
    attributes: Source,
    #[serde(default = "sub")]
    subject: String,
    bearer: Option<Source>,
    #[serde(default)]
    bearer_audiences: Vec<String>,
    #[serde(default)]
    bearer_clients: Vec<String>,
    #[serde(default = "usual_prefix")]
    claim_prefix: String,
    ca_certificates: Option<String>,
}

fn sub() -> String {
    "sub".into()
}

fn usual_prefix() -> String {
    "OAUTH2-".into()
}

impl Settings {
    pub(super) fn read(settings: &Value, limits: &Limits) -> Result<Self, WrongSetting> {
        let written: Written = settings::read(settings, SETTINGS)?;
        let url = |name: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| provider_url(name, text, limits))
                .transpose()
        };
        let endpoints = Endpoints {
            authorization: url("authorization_endpoint", &written.authorization_endpoint)?,
            token: url("token_endpoint", &written.token_endpoint)?,
            introspection: url("introspection_endpoint", &written.introspection_endpoint)?,
            userinfo: url("userinfo_endpoint", &written.userinfo_endpoint)?,
            pushing: url(
                "pushed_authorization_request_endpoint",
                &written.pushed_authorization_request_endpoint,
            )?,
        };
        if let Some(url) = &endpoints.authorization {
            Requested::forbid_in_query("authorization_endpoint", url)?;
        }
        let issuer = url("issuer", &written.issuer)?;
        let metadata_url = match (url("metadata_url", &written.metadata_url)?, issuer) {
            (Some(url), _) => Some(url),
            (None, Some(issuer)) if !written.says_all() => Some(well_known(&issuer)),
            (None, _) => None,
        };
        if metadata_url.is_none() {
            written.want_endpoints()?;
        }
        written.want_sensible_bearers()?;
        for name in written.authorization_parameters.keys() {
            if OURS.contains(&name.as_str()) {
                let reason = format!("'{name}' is set for each login, and cannot be set here.");
                return Err(WrongSetting::new("authorization_parameters", reason));
            }
        }
        if let Some(scope) = written.scopes.iter().find(|scope| !is_scope(scope)) {
            let reason = format!("'{scope}' is not one scope (RFC 6749 section 3.3).");
            return Err(WrongSetting::new("scopes", reason));
        }
        if written.subject.is_empty() {
            return Err(WrongSetting::new("subject", "it is empty."));
        }
        let requested = Requested::read(&written.authorization_parameters)?;
        if written.attributes != Source::Userinfo {
            requested.forbid_userinfo()?;
        }
        Ok(Self {
            endpoints,
            metadata_url,
            claim_prefix: document::prefix(&written.claim_prefix)?,
            client: Client::read(
                written.client_id,
                written.client_secret,
                written.token_endpoint_auth_method,
            )?,
            issuer: written.issuer,
            scopes: written.scopes,
            requested,
            response_mode: ResponseMode::read(written.response_mode.as_deref())?,
            authorization_parameters: written.authorization_parameters,
            attributes: written.attributes,
            subject: written.subject,
            bearer: written.bearer,
            bearer_audiences: written.bearer_audiences,
            bearer_clients: written.bearer_clients,
            tls: outbound::TlsFiles {
                authorities: written.ca_certificates,
                identity: None,
            },
        })
    }
}

impl Written {
    /// The endpoints that will be asked, and whether they are set.
    fn wanted(&self) -> Vec<(&'static str, bool)> {
        let mut wanted = vec![
            (
                "authorization_endpoint",
                self.authorization_endpoint.is_some(),
            ),
            ("token_endpoint", self.token_endpoint.is_some()),
        ];
        for source in [Some(self.attributes), self.bearer].into_iter().flatten() {
            let set = match source {
                Source::Introspection => self.introspection_endpoint.is_some(),
                Source::Userinfo => self.userinfo_endpoint.is_some(),
            };
            wanted.push((source.endpoint(), set));
        }
        wanted
    }

    fn says_all(&self) -> bool {
        self.wanted().into_iter().all(|(_, set)| set)
    }

    fn want_endpoints(&self) -> Result<(), WrongSetting> {
        match self.wanted().into_iter().find(|(_, set)| !set) {
            Some((name, _)) => {
                let reason = "it is needed, unless 'issuer' or 'metadata_url' is set and the \
                              provider's metadata names it.";
                Err(WrongSetting::new(name, reason))
            }
            None => Ok(()),
        }
    }

    /// Only introspection says for whom a token was issued.
    fn want_sensible_bearers(&self) -> Result<(), WrongSetting> {
        if self.bearer == Some(Source::Introspection) {
            return Ok(());
        }
        let lists = [
            ("bearer_audiences", &self.bearer_audiences),
            ("bearer_clients", &self.bearer_clients),
        ];
        match lists.into_iter().find(|(_, list)| !list.is_empty()) {
            Some((name, _)) => {
                let reason = "it can be checked only where 'bearer' is \"introspection\".";
                Err(WrongSetting::new(name, reason))
            }
            None => Ok(()),
        }
    }
}

/// Where the metadata of an issuer is (RFC 8414 §3.1): the well-known name comes before the path.
fn well_known(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = issuer.path().trim_end_matches('/');
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url
}

/// `scope-token` (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    let good = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(name: &str, value: Value) -> Result<Settings, WrongSetting> {
        let mut settings = json!({
            "authorization_endpoint": "https://p.example/authorize",
            "token_endpoint": "https://p.example/token",
            "userinfo_endpoint": "https://p.example/me",
            "client_id": "us",
            "client_secret": "secret",
            "attributes": "userinfo",
        });
        settings[name] = value;
        Settings::read(&settings, &Limits::default())
    }

    #[test]
    fn an_error_names_the_setting() {
        for (name, value) in [
            ("token_endpoint", json!("/token")),
            ("token_endpoint", json!(null)),
            ("userinfo_endpoint", json!("ftp://p.example")),
            ("userinfo_endpoint", json!(null)),
            ("metadata_url", json!("https://u:p@p.example")),
            ("metadata_url", json!("http://p.example")),
            ("issuer", json!("http://p.example")),
            (
                "authorization_endpoint",
                json!("http://p.example/authorize"),
            ),
            ("token_endpoint", json!("http://127.0.0.1/token")),
            ("userinfo_endpoint", json!("http://p.example/me")),
            ("introspection_endpoint", json!("http://p.example/tokens")),
            ("client_id", json!("")),
            ("client_id", json!(null)),
            ("client_secret", json!(null)),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("scopes", json!(["a b"])),
            ("scopes", json!("a")),
            ("authorization_parameters", json!({"state": "x"})),
            ("authorization_parameters", json!({"redirect_uri": "x"})),
            ("attributes", json!("id_token")),
            ("subject", json!("")),
            ("bearer", json!("always")),
            ("bearer_audiences", json!(["a"])),
            ("claim_prefix", json!("")),
            ("nonsense", json!(1)),
        ] {
            let wrong = with(name, value.clone()).expect_err(name);
            assert_eq!(wrong.name, name, "{value}: {wrong}");
        }
        let wrong = with("bearer", json!("introspection")).expect_err("no endpoint");
        assert_eq!(wrong.name, "introspection_endpoint");
        let wrong = with("token_endpoint_auth_method", json!("none")).expect_err("a secret");
        assert_eq!(wrong.name, "client_secret");
    }

    #[test]
    fn metadata_is_asked_only_for_what_is_not_set() {
        let all = with("issuer", json!("https://p.example")).expect("good");
        assert_eq!(all.metadata_url, None);
        let issuer = json!({
            "issuer": "https://p.example/tenant/",
            "client_id": "us",
            "token_endpoint_auth_method": "none",
            "attributes": "introspection",
        });
        let some = Settings::read(&issuer, &Limits::default()).expect("good");
        assert_eq!(
            some.metadata_url.map(String::from).as_deref(),
            Some("https://p.example/.well-known/oauth-authorization-server/tenant")
        );
    }
}
