//! The settings of a SAML 2.0 provider.

use std::sync::Arc;

use bergshamra::Key;
use chrono::TimeDelta;
use model::Secret;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::keys::OurKey;
use super::metadata::{self, IdentityProvider};
use super::{keys, xml};
use crate::outbound::{Limits, TlsFiles};
use crate::settings::{self, WrongSetting};

/// All settings.
pub const SETTINGS: &[&str] = &[
    "entity_id",
    "metadata_url",
    "metadata",
    "metadata_certificate",
    "idp_entity_id",
    "private_key",
    "certificate",
    "old_private_key",
    "old_certificate",
    "sign_requests",
    "want_response_signed",
    "want_assertions_signed",
    "want_assertions_encrypted",
    "binding",
    "name_id_format",
    "authn_context",
    "force_authn",
    "clock_skew",
    "attribute_prefix",
    "allow_unsolicited",
    "require_audience",
    "allow_cbc",
    "ca_certificates",
];

/// Those that nobody may read again.
pub const SECRETS: &[&str] = &["private_key", "old_private_key"];

/// For how many seconds two clocks may differ, unless a setting says otherwise.
const CLOCK_SKEW: u32 = 60;
/// More would make assertions of hours ago good.
const MAX_CLOCK_SKEW: u32 = 600;

/// What the API takes.
#[derive(Deserialize)]
struct Fields {
    /// Our name, as the identity provider knows us. Mostly a URL, which nobody has to answer.
    entity_id: String,
    /// Where the identity provider publishes its metadata. It is fetched when first needed and
    /// again when it gets old. Must be `https`, unless `metadata_certificate` is there.
    metadata_url: Option<String>,
    /// The metadata itself, instead of its URL.
    metadata: Option<String>,
    /// Certificates in PEM, one of whose keys must have signed the metadata.
    metadata_certificate: Option<String>,
    /// The entity id of the identity provider. Needed only when the metadata holds several.
    idp_entity_id: Option<String>,
    /// Our RSA key in PEM: it signs requests, and opens what is encrypted for us.
    private_key: Option<Secret<String>>,
    /// The certificate of that key, in PEM, as our metadata shows it.
    certificate: Option<String>,
    /// The key that `private_key` came instead of: it still opens what is encrypted for us, until
    /// the provider has read our new metadata.
    old_private_key: Option<Secret<String>>,
    /// The certificate of that key.
    old_certificate: Option<String>,
    /// Whether requests are signed. Default: when there is a key.
    sign_requests: Option<bool>,
    /// Whether the response as a whole has to be signed. Whatever this and the next say, nothing
    /// is read that no signature covers. Default: false.
    #[serde(default)]
    want_response_signed: bool,
    /// Whether the assertion has to have a signature of its own. Default: false.
    #[serde(default)]
    want_assertions_signed: bool,
    /// Whether assertions have to be encrypted. Default: false.
    #[serde(default)]
    want_assertions_encrypted: bool,
    /// How the request travels: `redirect` or `post`. Default: `redirect` when the provider takes
    /// that, else `post`.
    binding: Option<Binding>,
    /// Which kind of name we ask for, such as
    /// `urn:oasis:names:tc:SAML:2.0:nameid-format:persistent`. Default: what the provider likes.
    name_id_format: Option<String>,
    /// By which of these kinds of authentication the provider is to be convinced, as class
    /// references. Default: any. When given, the assertion has to name one of them.
    #[serde(default)]
    authn_context: Vec<String>,
    /// Whether the user has to log in again although the provider knows them. Default: false.
    #[serde(default)]
    force_authn: bool,
    /// For how many seconds the clocks may differ. Default: 60; at most 600.
    clock_skew: Option<u32>,
    /// What stands before the name of each attribute, such as `MELLON_`. Default: nothing.
    #[serde(default)]
    attribute_prefix: String,
    /// Whether the provider may send users who did not ask. Default: false. Such a login can be
    /// forced upon a user, as nothing ties it to their browser. They come to the trusted dashboard
    /// that the provider's `RelayState` names, else to the first one.
    #[serde(default)]
    allow_unsolicited: bool,
    /// Whether an assertion has to say that it is for us, by our entity id (Audience). Default:
    /// true. Turn it off for a Keystone or Archstone as provider, which knows only our URL and
    /// names that (Recipient). An audience that is named has to be ours in any case.
    require_audience: Option<bool>,
    /// Whether what is encrypted by AES-CBC is opened though no signature covers the encrypted
    /// form. Default: false. CBC does not notice changes, so that who can have us open what they
    /// changed may read it in the end, by how we take it.
    #[serde(default)]
    allow_cbc: bool,
    /// Certificates of authorities to trust besides those of the system, in PEM, where the
    /// metadata is fetched.
    ca_certificates: Option<String>,
}

/// How the request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Binding {
    /// In the query of a redirect.
    Redirect,
    /// In a form that the browser posts.
    Post,
}

/// Where the metadata of the identity provider comes from.
#[derive(Debug)]
pub(super) enum Place {
    Text(Arc<IdentityProvider>),
    Url(Url),
}

/// How metadata is read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Which entity is wanted.
    pub(super) entity_id: Option<String>,
    /// Whose signature it needs; empty when it needs none.
    pub(super) signers: Vec<Key>,
}

/// The settings, checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) entity_id: String,
    /// Ours, the newest first.
    pub(super) keys: Vec<OurKey>,
    pub(super) sign_requests: bool,
    pub(super) want_response_signed: bool,
    pub(super) want_assertions_signed: bool,
    pub(super) want_assertions_encrypted: bool,
    pub(super) binding: Option<Binding>,
    pub(super) name_id_format: Option<String>,
    pub(super) authn_context: Vec<String>,
    pub(super) force_authn: bool,
    pub(super) clock_skew: TimeDelta,
    pub(super) attribute_prefix: String,
    pub(super) allow_unsolicited: bool,
    pub(super) require_audience: bool,
    pub(super) allow_cbc: bool,
    /// Whom to trust.
    pub(super) tls: TlsFiles,
}

impl Settings {
    /// Reads and checks the settings; gives apart where the metadata comes from, and how it is read.
    pub(super) fn read(
        settings: &Value,
        limits: &Limits,
    ) -> Result<(Self, Place, Reading), WrongSetting> {
        let fields: Fields = settings::read(settings, SETTINGS)?;
        // SAML Core §8.3.6.
        if fields.entity_id.is_empty() || fields.entity_id.len() > 1024 {
            let reason = "expected a URI of 1 to 1024 characters.";
            return Err(WrongSetting::new("entity_id", reason));
        }
        let reading = Reading {
            entity_id: fields.idp_entity_id,
            signers: match &fields.metadata_certificate {
                None => Vec::new(),
                Some(pem) => keys::of_pem("metadata_certificate", pem)?,
            },
        };
        let place = place(fields.metadata_url, fields.metadata, &reading, limits)?;
        let mut ours = Vec::new();
        for (names, key, certificate) in [
            (
                ("private_key", "certificate"),
                fields.private_key,
                fields.certificate,
            ),
            (
                ("old_private_key", "old_certificate"),
                fields.old_private_key,
                fields.old_certificate,
            ),
        ] {
            match (key, certificate) {
                (None, None) => {}
                (Some(key), Some(certificate)) => {
                    ours.push(OurKey::read(names, &key, &certificate)?);
                }
                (Some(_), None) => {
                    let reason = format!("it is required along with {}.", names.0);
                    return Err(WrongSetting::new(names.1, reason));
                }
                (None, Some(_)) => {
                    let reason = format!("it is required along with {}.", names.1);
                    return Err(WrongSetting::new(names.0, reason));
                }
            }
        }
        let sign_requests = fields.sign_requests.unwrap_or(!ours.is_empty());
        if ours.is_empty() && (sign_requests || fields.want_assertions_encrypted) {
            let reason = "it is needed to sign requests and to open encrypted assertions.";
            return Err(WrongSetting::new("private_key", reason));
        }
        let clock_skew = fields.clock_skew.unwrap_or(CLOCK_SKEW);
        if clock_skew > MAX_CLOCK_SKEW {
            let reason = format!("at most {MAX_CLOCK_SKEW} seconds are accepted.");
            return Err(WrongSetting::new("clock_skew", reason));
        }
        let checked = Self {
            entity_id: fields.entity_id,
            keys: ours,
            sign_requests,
            want_response_signed: fields.want_response_signed,
            want_assertions_signed: fields.want_assertions_signed,
            want_assertions_encrypted: fields.want_assertions_encrypted,
            binding: fields.binding,
            name_id_format: fields.name_id_format,
            authn_context: fields.authn_context,
            force_authn: fields.force_authn,
            clock_skew: TimeDelta::seconds(clock_skew.into()),
            attribute_prefix: fields.attribute_prefix,
            allow_unsolicited: fields.allow_unsolicited,
            require_audience: fields.require_audience.unwrap_or(true),
            allow_cbc: fields.allow_cbc,
            tls: TlsFiles {
                authorities: fields.ca_certificates,
                identity: None,
            },
        };
        Ok((checked, place, reading))
    }

    /// The key that signs requests, when they are signed.
    pub(super) fn signer(&self) -> Option<&OurKey> {
        self.keys.first().filter(|_| self.sign_requests)
    }

    /// The keys that open what is encrypted for us.
    pub(super) fn decryption_keys(&self) -> Vec<Key> {
        self.keys.iter().map(|ours| ours.key().clone()).collect()
    }
}

fn place(
    url: Option<String>,
    text: Option<String>,
    reading: &Reading,
    limits: &Limits,
) -> Result<Place, WrongSetting> {
    match (url, text) {
        (Some(url), None) => {
            let url = settings::url("metadata_url", &url)?;
            // The author of the metadata chooses the keys, and so every identity.
            if reading.signers.is_empty() && !limits.trust(&url) {
                let reason = "it has to begin with https://, or metadata_certificate be given.";
                return Err(WrongSetting::new("metadata_url", reason));
            }
            Ok(Place::Url(url))
        }
        (None, Some(text)) => metadata::read(&text, reading)
            .map(|provider| Place::Text(Arc::new(provider)))
            .map_err(|failure| WrongSetting::new("metadata", format!("{failure}."))),
        (None, None) => Err(WrongSetting::new(
            "metadata_url",
            "it or metadata is required.",
        )),
        (Some(_), Some(_)) => {
            let reason = "it and metadata cannot both be given.";
            Err(WrongSetting::new("metadata_url", reason))
        }
    }
}

impl Binding {
    /// The name in metadata.
    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Redirect => xml::BINDING_REDIRECT,
            Self::Post => xml::BINDING_POST,
        }
    }
}
