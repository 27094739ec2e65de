//! What an operator says of a provider.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use model::Secret;
use reqwest::Url;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::signing_key::SigningKey;
use super::written::Written;
use crate::WrongSetting;
use crate::client::authorization::ResponseMode;
use crate::client::document;
use crate::client::requested::Requested;
use crate::outbound::{Limits, Outbound, TlsFiles};
use crate::settings::{self, provider_url};

/// The settings that are written and never shown.
pub const SECRETS: &[&str] = &["client_secret", "private_key", "tls_key"];

/// All settings.
pub const SETTINGS: &[&str] = &[
    "issuer",
    "client_id",
    "client_secret",
    "token_endpoint_auth_method",
    "private_key",
    "key_id",
    "signing_algorithm",
    "tls_certificate",
    "tls_key",
    "ca_certificates",
    "scopes",
    "authorization_parameters",
    "response_mode",
    "bearer",
    "bearer_audiences",
    "bearer_clients",
    "userinfo",
    "claim_prefix",
    "id_token_signing_algorithms",
    "clock_skew",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "introspection_endpoint",
    "pushed_authorization_request_endpoint",
];

/// Parameters of the authorization request that are ours to choose (RFC 6749 §4.1.1, RFC 7636
/// §4.3, OpenID Connect Core §3.1.2.1 and §6).
const OUR_PARAMETERS: &[&str] = &[
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Signatures that can be checked by a public key. `none` and HMAC are not among them, so no
/// setting and no token can ask for them.
pub(super) const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The settings, after every check.
pub(super) struct Settings {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) client: ClientAuthentication,
    pub(super) scopes: Vec<String>,
    pub(super) authorization_parameters: BTreeMap<String, String>,
    /// What they ask of the authentication, which the answer has to say.
    pub(super) requested: Requested,
    pub(super) response_mode: ResponseMode,
    pub(super) bearer: Option<Bearer>,
    pub(super) bearer_audiences: Vec<String>,
    pub(super) bearer_clients: Vec<String>,
    pub(super) userinfo: bool,
    pub(super) claim_prefix: String,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) clock_skew: TimeDelta,
    pub(super) endpoints: Endpoints,
}

/// How we prove who we are.
pub(super) enum ClientAuthentication {
    Basic(Secret<String>),
    Post(Secret<String>),
    PrivateKeyJwt(Box<SigningKey>),
    Tls,
    None,
}

impl ClientAuthentication {
    /// The name, as settings and metadata write it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
            Self::Tls => "tls_client_auth",
            Self::None => "none",
        }
    }
}

/// How a bearer's token is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    Jwt,
    Introspection,
    Userinfo,
}

/// The endpoints that are given by hand.
#[derive(Clone, Default)]
pub(super) struct Endpoints {
    pub(super) authorization: Option<Url>,
    pub(super) token: Option<Url>,
    pub(super) keys: Option<Url>,
    pub(super) userinfo: Option<Url>,
    pub(super) introspection: Option<Url>,
    pub(super) pushing: Option<Url>,
}

/// Reads the settings of a provider, and makes what asks it.
pub(super) fn read(given: &Value, limits: Limits) -> Result<(Settings, Outbound), WrongSetting> {
    let mut written: Written = settings::read(given, SETTINGS)?;
    let issuer = provider_url("issuer", &written.issuer, &limits)?;
    if issuer.query().is_some() {
        return Err(WrongSetting::new("issuer", "no query may stand in it."));
    }
    if written.client_id.is_empty() {
        return Err(WrongSetting::new("client_id", "it is empty."));
    }
    let client = client_authentication(&mut written)?;
    let scopes = scopes(written.scopes.take())?;
    let authorization_parameters = written.authorization_parameters.take().unwrap_or_default();
    let requested = requested(&authorization_parameters)?;
    if written.userinfo != Some(true) {
        requested.forbid_userinfo()?;
    }
    let bearer = match written.bearer.as_deref() {
        None => None,
        Some("jwt") => Some(Bearer::Jwt),
        Some("introspection") => Some(Bearer::Introspection),
        Some("userinfo") => Some(Bearer::Userinfo),
        Some(other) => {
            let reason = format!("'{other}' is not one of 'jwt', 'introspection' and 'userinfo'.");
            return Err(WrongSetting::new("bearer", reason));
        }
    };
    let bearer_clients = written.bearer_clients.take().unwrap_or_default();
    if !bearer_clients.is_empty() && matches!(bearer, None | Some(Bearer::Userinfo)) {
        let reason = "it can be checked only where 'bearer' is 'jwt' or 'introspection'.";
        return Err(WrongSetting::new("bearer_clients", reason));
    }
    let clock_skew = written.clock_skew.unwrap_or(60);
    if clock_skew > 600 {
        let reason = "more than 600 seconds are not accepted: set the clocks.";
        return Err(WrongSetting::new("clock_skew", reason));
    }
    let endpoint = |name, text: &Option<String>| {
        let read = text
            .as_deref()
            .map(|text| provider_url(name, text, &limits));
        read.transpose()
    };
    let endpoints = Endpoints {
        authorization: endpoint("authorization_endpoint", &written.authorization_endpoint)?,
        token: endpoint("token_endpoint", &written.token_endpoint)?,
        keys: endpoint("jwks_uri", &written.jwks_uri)?,
        userinfo: endpoint("userinfo_endpoint", &written.userinfo_endpoint)?,
        introspection: endpoint("introspection_endpoint", &written.introspection_endpoint)?,
        pushing: endpoint(
            "pushed_authorization_request_endpoint",
            &written.pushed_authorization_request_endpoint,
        )?,
    };
    if let Some(url) = &endpoints.authorization {
        Requested::forbid_in_query("authorization_endpoint", url)?;
    }
    let claim_prefix = written.claim_prefix.take();
    let claim_prefix = document::prefix(claim_prefix.as_deref().unwrap_or("OIDC-"))?;
    let algorithms = algorithms(written.id_token_signing_algorithms.take())?;
    let outbound = outbound(&mut written, limits)?;
    let settings = Settings {
        issuer: written.issuer,
        client_id: written.client_id,
        client,
        scopes,
        authorization_parameters,
        requested,
        response_mode: ResponseMode::read(written.response_mode.as_deref())?,
        bearer,
        bearer_audiences: written.bearer_audiences.unwrap_or_default(),
        bearer_clients,
        userinfo: written.userinfo.unwrap_or(false),
        claim_prefix,
        algorithms,
        clock_skew: TimeDelta::seconds(clock_skew.into()),
        endpoints,
    };
    Ok((settings, outbound))
}

fn client_authentication(written: &mut Written) -> Result<ClientAuthentication, WrongSetting> {
    let method = written.token_endpoint_auth_method.as_deref();
    let method = method.unwrap_or("client_secret_basic");
    let needed = |name: &str| WrongSetting::new(name, format!("'{method}' needs one."));
    let secret = written.client_secret.take();
    let secret = secret.filter(|secret| !secret.expose().is_empty());
    match method {
        "client_secret_basic" => {
            let secret = secret.ok_or_else(|| needed("client_secret"))?;
            Ok(ClientAuthentication::Basic(secret))
        }
        "client_secret_post" => {
            let secret = secret.ok_or_else(|| needed("client_secret"))?;
            Ok(ClientAuthentication::Post(secret))
        }
        "private_key_jwt" => {
            let pem = written.private_key.as_ref();
            let pem = pem.ok_or_else(|| needed("private_key"))?;
            let algorithm = match written.signing_algorithm.as_deref() {
                None => None,
                Some(name) => Some(algorithm("signing_algorithm", name)?),
            };
            let key = SigningKey::read(pem, algorithm, written.key_id.take())?;
            Ok(ClientAuthentication::PrivateKeyJwt(Box::new(key)))
        }
        "tls_client_auth" => match (&written.tls_certificate, &written.tls_key) {
            (Some(_), Some(_)) => Ok(ClientAuthentication::Tls),
            (None, _) => Err(needed("tls_certificate")),
            (_, None) => Err(needed("tls_key")),
        },
        "none" => Ok(ClientAuthentication::None),
        other => {
            let reason = format!(
                "'{other}' is not one of 'client_secret_basic', 'client_secret_post', \
                 'private_key_jwt', 'tls_client_auth' and 'none'."
            );
            Err(WrongSetting::new("token_endpoint_auth_method", reason))
        }
    }
}

fn scopes(given: Option<Vec<String>>) -> Result<Vec<String>, WrongSetting> {
    let Some(scopes) = given else {
        return Ok(["openid", "email", "profile"].map(str::to_owned).to_vec());
    };
    // RFC 6749 §3.3.
    let fits = |scope: &String| {
        let letters = |byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        !scope.is_empty() && scope.bytes().all(letters)
    };
    if let Some(scope) = scopes.iter().find(|scope| !fits(scope)) {
        let reason = format!("'{scope}' is not the name of one scope.");
        return Err(WrongSetting::new("scopes", reason));
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(WrongSetting::new("scopes", "'openid' must be among them."));
    }
    Ok(scopes)
}

fn requested(parameters: &BTreeMap<String, String>) -> Result<Requested, WrongSetting> {
    if let Some(name) = parameters
        .keys()
        .find(|name| OUR_PARAMETERS.contains(&name.as_str()))
    {
        let reason = format!("'{name}' may not be set here.");
        return Err(WrongSetting::new("authorization_parameters", reason));
    }
    Requested::read(parameters)
}

fn algorithm(setting: &str, name: &str) -> Result<Algorithm, WrongSetting> {
    let found = ALGORITHMS.iter().find(|(known, _)| *known == name);
    found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let known: Vec<_> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        let reason = format!("'{name}' is not one of {}.", known.join(", "));
        WrongSetting::new(setting, reason)
    })
}

fn algorithms(given: Option<Vec<String>>) -> Result<Vec<Algorithm>, WrongSetting> {
    const NAME: &str = "id_token_signing_algorithms";
    let Some(names) = given else {
        return Ok(ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect());
    };
    if names.is_empty() {
        return Err(WrongSetting::new(NAME, "at least one is required."));
    }
    names.iter().map(|name| algorithm(NAME, name)).collect()
}

fn outbound(written: &mut Written, limits: Limits) -> Result<Outbound, WrongSetting> {
    let identity = match (written.tls_certificate.take(), written.tls_key.take()) {
        (Some(chain), Some(key)) => {
            PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| WrongSetting::new("tls_key", "it is no private key in PEM."))?;
            Some((chain, key))
        }
        (None, None) => None,
        (Some(_), None) => {
            return Err(WrongSetting::new("tls_key", "tls_certificate needs one."));
        }
        (None, Some(_)) => {
            return Err(WrongSetting::new("tls_certificate", "tls_key needs one."));
        }
    };
    let authorities = written.ca_certificates.take();
    let files = TlsFiles {
        authorities,
        identity,
    };
    Outbound::new(limits.clone(), &files).map_err(|reason| {
        // It does not say which file it speaks of.
        let alone = TlsFiles {
            identity: None,
            ..files
        };
        let culprit = match Outbound::new(limits, &alone) {
            Err(_) => "ca_certificates",
            Ok(_) => "tls_certificate",
        };
        WrongSetting::new(culprit, format!("{reason}."))
    })
}
