//! What every protocol does, whichever it is.

pub(crate) mod flow_secret;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use model::{Assertion, Secret, Timestamp};

use crate::driver::flow_secret::FlowSecret;

/// What a driver answers, once its provider has.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Finds the login that a SOAP message answers, by the `RelayState` in it.
pub type FindLogin = Arc<dyn Fn(Option<&str>) -> Callback + Send + Sync>;

/// What a driver lacks that could judge bearers' tokens, where no setting says how.
pub(crate) const NO_BEARER: &str =
    "tokens as a bearer's proof, because the setting 'bearer' is absent";

/// A protocol as one provider speaks it, with its settings.
pub trait Driver: Send + Sync {
    /// Request issuing: where to send the user, and what to keep meanwhile.
    fn begin<'a>(&'a self, login: &'a Login) -> Answer<'a, AuthorizationRequest>;

    /// Credential validation: judges what the user's browser brought back.
    fn complete<'a>(&'a self, callback: &'a Callback) -> Answer<'a, Verified>;

    /// Credential validation without a browser: judges a token that the provider issued to a
    /// client.
    fn bearer<'a>(&'a self, token: &'a Secret<String>, now: Timestamp) -> Answer<'a, Verified> {
        let _ = (token, now);
        Box::pin(async { Err(Failure::NotSupported("tokens as a bearer's proof")) })
    }

    /// Judges a message of the provider that a session there has ended.
    fn logout<'a>(
        &'a self,
        token: &'a Secret<String>,
        now: Timestamp,
    ) -> Answer<'a, ProviderSessionEnd> {
        let _ = (token, now);
        Box::pin(async { Err(Failure::NotSupported("the end of sessions")) })
    }

    /// Our own metadata, which the provider has to know; `None` where the protocol has none. The
    /// URLs are those to which its answers come: with a browser, and with an
    /// ECP client.
    fn metadata(&self, callback_url: &str, ecp_url: &str) -> Option<String> {
        let _ = (callback_url, ecp_url);
        None
    }

    /// Begins a login of a client without a browser, which relays SOAP messages between us and its
    /// provider (SAML Profiles §4.2). What stands in `relay_state` comes back.
    fn begin_ecp<'a>(&'a self, login: &'a Login, relay_state: &'a str) -> Answer<'a, String> {
        let _ = (login, relay_state);
        Box::pin(async { Err(Failure::NotSupported("ECP clients")) })
    }

    /// Validates the SOAP message that such a client relayed back. Of what `find_login` gives, the
    /// parameters do not matter. Only a driver that supports ECP reads it at all.
    fn complete_ecp<'a>(
        &'a self,
        message: Bytes,
        now: Timestamp,
        find_login: FindLogin,
    ) -> Answer<'a, Verified> {
        let _ = (message, now, find_login);
        Box::pin(async { Err(Failure::NotSupported("ECP clients")) })
    }

    /// Whether the provider's answer comes as a form that the browser posts, so across sites.
    fn answers_by_post(&self) -> bool {
        false
    }

    /// Tries everything that a login will need, and says in plain words what works. The URL is the
    /// one that the provider sends users back to.
    fn check<'a>(
        &'a self,
        callback_url: &'a str,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>>;
}

/// A login that begins.
#[derive(Clone, Debug)]
pub struct Login {
    /// Its secret.
    pub secret: FlowSecret,
    /// Where the provider sends the user back to: a URL of ours, always the same one for a
    /// provider and protocol.
    pub callback_url: String,
    /// When it began.
    pub now: Timestamp,
}

/// A login that has begun.
#[derive(Clone)]
pub struct AuthorizationRequest {
    /// Where the user goes.
    pub redirect: Redirect,
    /// What the driver wants to see again when the user is back. It is sealed into a cookie, so
    /// it must be short.
    pub kept: String,
}

/// How the user's browser is sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// By a redirect.
    Url(String),
    /// By a form that it posts.
    Form {
        /// Where to.
        action: String,
        /// Its hidden fields.
        fields: Vec<(String, String)>,
    },
}

/// What the browser brought back.
#[derive(Clone)]
pub struct Callback {
    /// The parameters of the query and of the posted form, in order, as they came.
    pub parameters: Vec<(String, String)>,
    /// The secret of the login; `None` when the provider sent the user without being asked.
    pub secret: Option<FlowSecret>,
    /// What [`Driver::begin`] wanted to keep.
    pub kept: String,
    /// When the login began; now, when it never did.
    pub began: Timestamp,
    /// The URL that the provider sent the user to.
    pub callback_url: String,
    /// The time.
    pub now: Timestamp,
}

/// Codes, tokens and what is kept are nobody's business.
impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationRequest")
    }
}

/// Codes, tokens and what is kept are nobody's business.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.parameters.iter().map(|(name, _)| name);
        f.debug_tuple("Callback")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

impl Callback {
    /// All that tells it from others, as the parts of a question to the provider.
    pub(crate) fn question(&self) -> Vec<&[u8]> {
        let secret = self
            .secret
            .as_ref()
            .map_or(&[][..], |secret| secret.expose());
        let own = [secret, self.kept.as_bytes(), self.callback_url.as_bytes()];
        let parameters = self.parameters.iter();
        let parameters = parameters.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        own.into_iter().chain(parameters).collect()
    }

    /// The value of a parameter; `None` when it is absent, or given twice.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// What a provider said, after every check.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Of whom, and what.
    pub assertion: Assertion,
    /// What must not come a second time; `None` when it may, as a bearer's token may.
    pub replay_id: Option<ReplayId>,
    /// The user's session at the provider, by which the provider ends it; `None` when it does not
    /// say.
    pub session: Option<ProviderSession>,
}

/// Something that counts once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayId {
    /// Its name, unique among all of the provider.
    pub id: String,
    /// Until when it would still be accepted, so must be remembered.
    pub until: Timestamp,
}

/// A session at the provider (OpenID Connect Back-Channel Logout 1.0 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSession {
    /// Whose, in the provider's words (`sub`).
    pub subject: String,
    /// Which of theirs (`sid`).
    pub id: Option<String>,
}

/// What of a user's has ended at the provider (OpenID Connect Back-Channel Logout 1.0 §2.4): at
/// least one of the two is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSessionEnd {
    /// Whose (`sub`); `None` when only the session is named.
    pub subject: Option<String>,
    /// Which session (`sid`); `None` when all of the user's have ended.
    pub id: Option<String>,
    /// The message counts once.
    pub replay_id: ReplayId,
}

/// Why there is no assertion. The text is for the operator; people outside learn only the kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The proof is not good.
    #[error("{0}")]
    Refused(String),
    /// The provider says that the user may not, or did not want to.
    #[error("the provider refused: {0}")]
    Denied(String),
    /// The provider does not answer, or not as the protocol says.
    #[error("the provider cannot be used: {0}")]
    Unavailable(String),
    /// This protocol has no such thing.
    #[error("this protocol does not support {0}")]
    NotSupported(&'static str),
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// What was tried: a short noun, such as `discovery`.
    pub step: &'static str,
    /// Whether it works.
    pub works: bool,
    /// Whether logins need it. What is only advised may be missing.
    pub needed: bool,
    /// What was seen, and what to do when it does not work: a sentence.
    pub detail: String,
}

impl CheckResult {
    /// Something works.
    pub fn pass(step: &'static str, detail: impl Into<String>) -> Self {
        Self {
            step,
            works: true,
            needed: true,
            detail: detail.into(),
        }
    }

    /// Logins fail for want of this.
    pub fn fail(step: &'static str, detail: impl Into<String>) -> Self {
        Self {
            works: false,
            ..Self::pass(step, detail)
        }
    }

    /// Logins work, and would be better with this.
    pub fn warn(step: &'static str, detail: impl Into<String>) -> Self {
        Self {
            needed: false,
            ..Self::fail(step, detail)
        }
    }
}
