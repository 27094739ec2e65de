//! SAML 2.0, as service provider: by redirect and form, and for clients without a browser.
//!
//! ```text
//! settings   what an operator sets          source     their metadata, kept fresh
//! request    the request, and how it goes   metadata   theirs read, ours written
//! response   which checks in which order    verified   from signatures to what they cover
//! assertion  what is believed of whom       decrypt    what was encrypted for us
//! ecp        SOAP, without a browser        bounds     how much a document may hold
//! idp        the other side: we assert      xml, keys  reading and writing
//! ```
//!
//! The assertion says, besides its attributes by `Name` and by `FriendlyName`:
//!
//! | name | value |
//! | --- | --- |
//! | `NameID`, `MELLON_NAME_ID`, `REMOTE_USER` | the name of the subject |
//! | `NameID-Format` | its format |
//! | `MELLON_IDP`, `Shib-Identity-Provider` | the entity id of the identity provider, as mod_auth_mellon and mod_shib call it |
//! | `Shib-AuthnContext-Class` | how the user was authenticated |

mod assertion;
mod bounds;
mod decrypt;
pub mod ecp;
pub mod idp;
mod keys;
mod metadata;
mod request;
mod response;
mod settings;
mod source;
mod verified;
mod xml;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bergshamra::Key;
use bytes::Bytes;
use chrono::TimeDelta;
use model::Timestamp;
use serde_json::Value;

pub use self::settings::{SECRETS, SETTINGS};

use self::metadata::IdentityProvider;
use self::response::{Expected, Rejected};
use self::settings::Settings;
use self::source::Source;
use self::xml::{Element, refused};
use crate::driver::{
    Answer, AuthorizationRequest, Callback, CheckResult, Driver, Failure, FindLogin, Login,
    Verified,
};
use crate::outbound::readers::Readers;
use crate::outbound::{Limits, Outbound};
use crate::settings::WrongSetting;

/// The longest response that is read, in bytes of Base64 or XML.
const MAX_RESPONSE: usize = 512 * 1024;
/// A certificate that ends sooner is worth a word.
const SOON: TimeDelta = TimeDelta::days(30);

/// An identity provider that speaks SAML 2.0.
pub struct Saml2 {
    ours: Arc<Ours>,
    source: Source,
    readers: Readers,
}

/// Our side: what responses are judged by.
struct Ours {
    settings: Settings,
    decryption_keys: Vec<Key>,
}

impl Saml2 {
    /// Reads the settings. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] for the first one that cannot be.
    pub fn open(settings: &Value, limits: Limits) -> Result<Self, WrongSetting> {
        let (settings, place, reading) = Settings::read(settings, &limits)?;
        let readers = limits.readers.clone();
        let outbound = Outbound::new(limits, &settings.tls)
            .map_err(|reason| WrongSetting::new("ca_certificates", format!("{reason}.")))?;
        Ok(Self {
            ours: Arc::new(Ours {
                decryption_keys: settings.decryption_keys(),
                settings,
            }),
            source: Source::new(place, reading, outbound),
            readers,
        })
    }

    /// Our metadata, to be given to the identity provider: with the URLs to which its answers come,
    /// with a browser and without.
    pub fn metadata(&self, callback_url: &str, ecp_url: &str) -> String {
        metadata::write_ours(&self.ours.settings, callback_url, ecp_url)
    }

    /// Begins a login of a client without a browser: the SOAP message that it relays to its provider.
    /// What stands in `relay_state` comes back with the answer.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] when the provider's metadata cannot be had.
    pub async fn begin_ecp(&self, login: &Login, relay_state: &str) -> Result<String, Failure> {
        let provider = self.source.current(login.now).await?;
        ecp::write(&self.ours.settings, &provider, login, relay_state)
    }

    /// Validates the SOAP message that such a client relayed back. That the login is the client's own has
    /// to be clear from the `RelayState`; where nobody began one, settings say whether that is good.
    ///
    /// # Errors
    ///
    /// [`Failure`], as [`Driver::complete`] does.
    pub async fn complete_ecp(
        &self,
        message: Bytes,
        now: Timestamp,
        find_login: FindLogin,
    ) -> Result<Verified, Failure> {
        if message.len() > MAX_RESPONSE {
            return Err(refused("the SOAP message is too long"));
        }
        self.read(now, move |ours, provider| {
            let text = std::str::from_utf8(&message)
                .map_err(|_| refused("the SOAP message is not UTF-8"))?;
            let document = xml::parse(text)?;
            let outermost = Element::outermost(&document)?;
            let response = ecp::response(outermost)?;
            let callback = find_login(ecp::relay_state(outermost)?.as_deref());
            if callback.secret.is_none() && !ours.settings.allow_unsolicited {
                return Err(refused("the answer belongs to no login").into());
            }
            let request_id = callback.secret.as_ref().map(request::request_id);
            let expected = ours.expected(provider, &callback, request_id.as_deref());
            response::judge_within(outermost, response, &expected)
        })
        .await
    }

    async fn send(&self, login: &Login) -> Result<AuthorizationRequest, Failure> {
        let provider = self.source.current(login.now).await?;
        Ok(AuthorizationRequest {
            redirect: request::send(&self.ours.settings, &provider, login)?,
            kept: String::new(),
        })
    }

    async fn judge(&self, callback: &Callback) -> Result<Verified, Failure> {
        let state = callback.parameter("RelayState");
        match &callback.secret {
            Some(secret) if state.is_some_and(|state| secret.matches("state", state)) => {}
            Some(_) => return Err(refused("the RelayState is not that of the login")),
            None if self.ours.settings.allow_unsolicited => {}
            None => return Err(refused("nobody asked for this response")),
        }
        callback
            .parameter("SAMLResponse")
            .filter(|text| text.len() <= MAX_RESPONSE)
            .ok_or_else(|| refused("there is not one SAMLResponse of acceptable length"))?;
        let callback = callback.clone();
        self.read(callback.now, move |ours, provider| {
            let encoded = callback.parameter("SAMLResponse").unwrap_or_default();
            let text = decrypt::base64(encoded)
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| refused("the SAMLResponse is not UTF-8 in Base64"))?;
            let request_id = callback.secret.as_ref().map(request::request_id);
            let expected = ours.expected(provider, &callback, request_id.as_deref());
            response::judge(&text, &expected)
        })
        .await
    }

    /// Reads and judges with the keys that are known, apart from the threads that answer requests;
    /// when a signature fails, once more with those that the provider has now, if they are others.
    async fn read(
        &self,
        now: Timestamp,
        judge: impl Fn(&Ours, &IdentityProvider) -> Result<Verified, Rejected> + Send + Sync + 'static,
    ) -> Result<Verified, Failure> {
        let judge = Arc::new(judge);
        let judge_by = |provider: Arc<IdentityProvider>| {
            let (judge, ours) = (Arc::clone(&judge), Arc::clone(&self.ours));
            self.readers.run(move || judge(&ours, &provider))
        };
        let provider = self.source.current(now).await?;
        let rejected = match judge_by(Arc::clone(&provider)).await? {
            Ok(verified) => return Ok(verified),
            Err(rejected) => rejected,
        };
        if !rejected.at_signatures {
            return Err(rejected.failure);
        }
        match self.source.newer(&provider, now).await {
            Ok(newer) if newer.certificates != provider.certificates => {
                judge_by(newer).await?.map_err(|rejected| rejected.failure)
            }
            _ => Err(rejected.failure),
        }
    }

    async fn results(&self, now: Timestamp) -> Vec<CheckResult> {
        let mut results = Vec::new();
        if let Some(format) = &self.ours.settings.name_id_format
            && !format.starts_with("urn:")
        {
            results.push(CheckResult::warn(
                "name id format",
                format!(
                    "'{format}' is no URN, such as \
                     urn:oasis:names:tc:SAML:2.0:nameid-format:persistent: providers may not know \
                     it."
                ),
            ));
        }
        let mut found = |step, works, detail: String| {
            results.push(CheckResult {
                step,
                works,
                needed: true,
                detail,
            });
        };
        match self.ours.settings.keys.first().and_then(keys::OurKey::ends) {
            None if self.ours.settings.keys.is_empty() => {
                let detail = "There is none: requests are not signed, and assertions cannot be \
                              encrypted.";
                found("our key", true, detail.into());
            }
            ends => {
                let (works, detail) = certificate_detail(ends, now);
                let what = format!("Our certificate {detail}");
                found("our key", works, what);
            }
        }
        let provider = match self.source.asked(now).await {
            Ok(provider) => provider,
            Err(failure) => {
                let reason = match failure {
                    Failure::Unavailable(reason) | Failure::Refused(reason) => reason,
                    other => other.to_string(),
                };
                found("metadata", false, format!("It cannot be used: {reason}."));
                return results;
            }
        };
        let until = provider.valid_until.map_or_else(String::new, |until| {
            format!(", valid until {}", until.format("%Y-%m-%dT%H:%M:%SZ"))
        });
        let detail = format!("It is that of '{}'{until}.", provider.entity_id);
        found("metadata", true, detail);
        let binding = self.ours.settings.binding;
        match provider.endpoint(binding) {
            Some((_, url)) if !url.starts_with("https://") => {
                let detail = format!("Users are sent to {url}, without encryption.");
                found("endpoint", true, detail);
            }
            Some((_, url)) => found("endpoint", true, format!("Users are sent to {url}.")),
            None if self.ours.settings.allow_unsolicited => {
                let detail = "The metadata names none: users cannot begin here, only there.";
                found("endpoint", true, detail.into());
            }
            None => {
                let detail = "The metadata names none that takes the binding which is set.";
                found("endpoint", false, detail.into());
            }
        }
        if provider.wants_signed_requests && !self.ours.settings.sign_requests {
            let detail = "The provider takes only signed requests: set private_key and \
                          certificate, and leave sign_requests on.";
            found("signed requests", false, detail.into());
        }
        // A key counts whatever its certificate says, so an old one is no fault.
        for certificate in &provider.certificates {
            let (_, detail) = certificate_detail(keys::ends(certificate), now);
            let what = format!("A certificate of the provider {detail}");
            found("signing keys", true, what);
        }
        results
    }
}

impl Ours {
    fn expected<'a>(
        &'a self,
        provider: &'a IdentityProvider,
        callback: &'a Callback,
        request_id: Option<&'a str>,
    ) -> Expected<'a> {
        Expected {
            settings: &self.settings,
            provider,
            decryption_keys: &self.decryption_keys,
            request_id,
            callback_url: &callback.callback_url,
            began: callback.began,
            now: callback.now,
        }
    }
}

/// Whether a certificate still holds, as the end of a sentence.
fn certificate_detail(ends: Option<Timestamp>, now: Timestamp) -> (bool, String) {
    let Some(ends) = ends else {
        return (false, "does not say until when it holds.".into());
    };
    let day = ends.format("%Y-%m-%d");
    if ends <= now {
        (false, format!("ended on {day}; replace it."))
    } else if ends <= now + SOON {
        (true, format!("ends soon, on {day}; replace it."))
    } else {
        (true, format!("holds until {day}."))
    }
}

/// Nothing of the keys.
impl fmt::Debug for Saml2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Saml2")
            .field(&self.ours.settings.entity_id)
            .finish()
    }
}

impl Driver for Saml2 {
    fn metadata(&self, callback_url: &str, ecp_url: &str) -> Option<String> {
        Some(Saml2::metadata(self, callback_url, ecp_url))
    }

    fn begin_ecp<'a>(&'a self, login: &'a Login, relay_state: &'a str) -> Answer<'a, String> {
        Box::pin(Saml2::begin_ecp(self, login, relay_state))
    }

    fn complete_ecp<'a>(
        &'a self,
        message: Bytes,
        now: Timestamp,
        find_login: FindLogin,
    ) -> Answer<'a, Verified> {
        Box::pin(Saml2::complete_ecp(self, message, now, find_login))
    }

    fn begin<'a>(&'a self, login: &'a Login) -> Answer<'a, AuthorizationRequest> {
        Box::pin(self.send(login))
    }

    fn complete<'a>(&'a self, callback: &'a Callback) -> Answer<'a, Verified> {
        Box::pin(self.judge(callback))
    }

    fn answers_by_post(&self) -> bool {
        true
    }

    fn check<'a>(
        &'a self,
        _: &'a str,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>> {
        Box::pin(self.results(now))
    }
}

/// The entity id of the one identity provider that a metadata text holds.
///
/// # Errors
///
/// [`Failure::Refused`] when it holds none that could be used, or several.
pub fn provider_in(metadata: &str) -> Result<String, Failure> {
    let reading = settings::Reading {
        entity_id: None,
        signers: Vec::new(),
    };
    metadata::read(metadata, &reading).map(|provider| provider.entity_id)
}

/// How many comparisons of names the parser makes at most for a document; `None` for one that is
/// refused unread. This is what grows faster than the length where nothing bounds it.
pub fn comparisons(xml: &str) -> Option<usize> {
    bounds::check(xml).ok().map(|counts| counts.comparisons)
}
