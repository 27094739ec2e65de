//! This server as SAML identity provider for other clouds: its key and its metadata, as `[saml]`
//! says.

use std::path::Path;

use config::{Saml, Uri};
use federation::saml2::idp::{self, Description, Signer};
use model::Secret;

/// Why this server cannot be an identity provider: the option, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("[saml] {option}: {reason}")]
pub struct Unusable {
    option: String,
    reason: String,
}

impl Unusable {
    fn new(option: &str, reason: impl ToString) -> Self {
        Self {
            option: option.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Our name as identity provider.
///
/// # Errors
///
/// [`Unusable`] when `idp_entity_id` is not set, or longer than SAML allows (SAML Core §8.3.6).
pub fn entity_id(saml: &Saml) -> Result<&str, Unusable> {
    const LIMIT: usize = 1024;
    let id = set("idp_entity_id", saml.idp_entity_id.as_ref())?;
    if id.chars().count() > LIMIT {
        let reason = format!("at most {LIMIT} characters are accepted.");
        return Err(Unusable::new("idp_entity_id", reason));
    }
    Ok(id)
}

/// The key that signs assertions, read again: so it can be replaced at any time.
///
/// # Errors
///
/// [`Unusable`] when `keyfile` and `certfile` are no strong RSA key with its certificate.
pub fn signer(saml: &Saml) -> Result<Signer, Unusable> {
    let key = Secret::new(read("keyfile", &saml.keyfile)?);
    let certificate = read("certfile", &saml.certfile)?;
    Signer::read(("keyfile", "certfile"), &key, &certificate)
        .map_err(|wrong| Unusable::new(&wrong.name, wrong.reason))
}

/// The metadata for service providers.
///
/// # Errors
///
/// [`Unusable`] when an option is missing, or `certfile` holds no certificate.
pub fn metadata(saml: &Saml) -> Result<String, Unusable> {
    let described = Description {
        entity_id: entity_id(saml)?,
        sso_endpoint: set("idp_sso_endpoint", saml.idp_sso_endpoint.as_ref())?,
        language: &saml.idp_lang,
        organization: [
            &saml.idp_organization_name,
            &saml.idp_organization_display_name,
            saml.idp_organization_url.as_str(),
        ],
        contact_type: saml.idp_contact_type.as_str(),
        contact: [
            &saml.idp_contact_company,
            &saml.idp_contact_name,
            &saml.idp_contact_surname,
            &saml.idp_contact_email,
            &saml.idp_contact_telephone,
        ],
    };
    let certificate = read("certfile", &saml.certfile)?;
    idp::metadata(&described, &certificate).map_err(|reason| Unusable::new("certfile", reason))
}

fn set<'a>(option: &str, value: Option<&'a Uri>) -> Result<&'a str, Unusable> {
    let value = value.map(Uri::as_str);
    value.ok_or_else(|| Unusable::new(option, "it has to be set."))
}

fn read(option: &str, path: &Path) -> Result<String, Unusable> {
    std::fs::read_to_string(path)
        .map_err(|error| Unusable::new(option, format!("{}: {error}.", path.display())))
}
