//! What a browser carries between the two halves of a login: sealed, so that it can neither be
//! read nor made, and so that any node can finish what another began.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use federation::{Callback, FlowSecret, Login};
use model::federation::Protocol;
use model::ids::{IdentityProviderId, ProtocolId};
use model::{Secret, Timestamp};
use secrets::key_repository::KeyRing;
use secrets::random::{self, Random};
use serde::{Deserialize, Serialize};

/// A login that has begun.
pub struct BegunLogin {
    /// With whom.
    pub provider: IdentityProviderId,
    /// How.
    pub protocol: ProtocolId,
    /// Where its one-time values come from.
    pub secret: FlowSecret,
    /// The dashboard that waits for the token.
    pub origin: String,
    /// Where the provider sends the user back to.
    pub callback_url: String,
    /// What the driver keeps.
    pub kept: String,
    /// When it began.
    pub began: Timestamp,
}

impl BegunLogin {
    /// A login that begins now, for a dashboard or, without one, for a client that is no browser.
    pub fn new(protocol: &Protocol, login: &Login, origin: &str, kept: String) -> Self {
        Self {
            provider: protocol.identity_provider_id.clone(),
            protocol: protocol.id.clone(),
            secret: login.secret.clone(),
            origin: origin.to_owned(),
            callback_url: login.callback_url.clone(),
            kept,
            began: login.now,
        }
    }

    /// Whether it began with this provider and protocol.
    pub fn is_with(&self, provider: &IdentityProviderId, protocol: &ProtocolId) -> bool {
        self.provider == *provider && self.protocol == *protocol
    }

    /// The name of its cookie.
    pub fn cookie_name(&self) -> String {
        name(&self.secret, &self.callback_url)
    }

    /// What a driver judges of a login that comes back.
    pub fn callback(self, parameters: Vec<(String, String)>, now: Timestamp) -> Callback {
        Callback {
            parameters,
            secret: Some(self.secret),
            kept: self.kept,
            began: self.began,
            callback_url: self.callback_url,
            now,
        }
    }
}

/// The callback of an unsolicited response, which the identity provider sent by itself. It is up to the
/// driver whether it accepts it.
pub fn unsolicited(
    parameters: Vec<(String, String)>,
    callback_url: String,
    now: Timestamp,
) -> Callback {
    Callback {
        parameters,
        secret: None,
        kept: String::new(),
        began: now,
        callback_url,
        now,
    }
}

/// For how long a login may take, in seconds.
pub const LIFETIME: i64 = 15 * 60;

#[derive(Serialize, Deserialize)]
struct Content {
    /// Tells this from whatever else the keys protect.
    kind: String,
    provider: IdentityProviderId,
    protocol: ProtocolId,
    secret: String,
    origin: String,
    callback_url: String,
    kept: String,
    /// Microseconds since the epoch.
    began: i64,
}

const KIND: &str = "archstone-login-1";

/// Seals and opens logins with the keys of tokens, which all nodes share.
pub struct LoginCookies {
    keys: std::sync::Arc<KeyRing>,
}

impl LoginCookies {
    /// Cookies under the keys of tokens.
    pub fn new(keys: std::sync::Arc<KeyRing>) -> Self {
        Self { keys }
    }

    /// Seals a login.
    pub fn seal(&self, login: &BegunLogin) -> String {
        let content = Content {
            kind: KIND.into(),
            provider: login.provider.clone(),
            protocol: login.protocol.clone(),
            secret: BASE64_STANDARD_NO_PAD.encode(login.secret.expose()),
            origin: login.origin.clone(),
            callback_url: login.callback_url.clone(),
            kept: login.kept.clone(),
            began: login.began.timestamp_micros(),
        };
        let text = Secret::new(serde_json::json!(content).to_string());
        self.keys
            .current()
            .encrypt(text.expose().as_bytes(), login.began, random::bytes())
    }

    /// Opens a sealed login; `None` when it is none of ours, or took too long.
    pub fn open(&self, sealed: &str, now: Timestamp) -> Option<BegunLogin> {
        let message = self.keys.decrypt(sealed).ok()?;
        let content: Content = serde_json::from_slice(&message.content).ok()?;
        let secret = BASE64_STANDARD_NO_PAD.decode(content.secret).ok()?;
        let began = Timestamp::from_timestamp_micros(content.began)?;
        let age = (now - began).num_seconds();
        (content.kind == KIND && (0..=LIFETIME).contains(&age)).then_some(BegunLogin {
            provider: content.provider,
            protocol: content.protocol,
            secret: FlowSecret::new(secret.try_into().ok()?),
            origin: content.origin,
            callback_url: content.callback_url,
            kept: content.kept,
            began,
        })
    }
}

/// The name of the cookie of a login; several may run side by side in one browser. With TLS, the
/// browser takes it from this very host alone: somebody else in the same domain could make a person
/// finish a login of theirs (RFC 6265bis §4.1.3.2).
pub fn name(secret: &FlowSecret, callback_url: &str) -> String {
    let prefix = match is_secure(callback_url) {
        true => "__Host-",
        false => "",
    };
    let state = secret.derive("state");
    let letters = state.chars().filter(char::is_ascii_alphanumeric);
    let short: String = letters.take(16).collect();
    format!("{prefix}archstone-login-{short}")
}

/// Whether a cookie for this URL is for TLS alone.
pub fn is_secure(callback_url: &str) -> bool {
    callback_url.starts_with("https://")
}

/// A secret for a new login.
pub fn new_secret(random: &dyn Random) -> FlowSecret {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    FlowSecret::new(bytes)
}
