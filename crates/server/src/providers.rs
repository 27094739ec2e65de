//! The drivers by which we speak to identity providers ourselves, made from settings that the API
//! changes while the server runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use federation::outbound::Limits;
use federation::{Driver, DriverKind, Failure, Verified, WrongSetting};
use model::federation::{Protocol, ProtocolDriver};
use model::ids::{IdentityProviderId, ProtocolId};
use serde_json::Value;

use crate::app::App;
use crate::error::ApiError;
use crate::flows::federated_login::Said;

/// Drivers in use. One is kept for as long as its settings stay the same, for it remembers what
/// its provider said of itself.
#[derive(Default)]
pub struct Drivers {
    open: Mutex<HashMap<(IdentityProviderId, ProtocolId), Open>>,
}

struct Open {
    settings: ProtocolDriver,
    driver: Arc<dyn Driver>,
}

/// How many drivers are kept at once.
const MOST: usize = 1000;

impl App {
    /// The driver of a protocol as it is set now; `None` when a front proxy speaks it.
    ///
    /// # Errors
    ///
    /// 500 when the stored settings cannot be used: they were checked when they were stored.
    pub fn driver(&self, protocol: &Protocol) -> Result<Option<Arc<dyn Driver>>, ApiError> {
        let Some(settings) = &protocol.driver else {
            return Ok(None);
        };
        let key = (protocol.identity_provider_id.clone(), protocol.id.clone());
        let mut open = self
            .drivers
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(&key).filter(|known| known.settings == *settings) {
            return Ok(Some(Arc::clone(&known.driver)));
        }
        let whole = with_secrets(self, settings)?;
        let driver = open_driver(self, &settings.name, &whole).map_err(ApiError::internal)?;
        if open.len() >= MOST {
            open.clear();
        }
        let kept = Open {
            settings: settings.clone(),
            driver: Arc::clone(&driver),
        };
        open.insert(key, kept);
        Ok(Some(driver))
    }
}

/// Makes a driver, or names the setting that is wrong.
///
/// # Errors
///
/// [`WrongSetting`].
pub fn open_driver(
    app: &App,
    name: &str,
    settings: &Value,
) -> Result<Arc<dyn Driver>, WrongSetting> {
    let kind = DriverKind::parse(name).ok_or_else(|| {
        let known: Vec<_> = DriverKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let reason = format!(
            "there is no driver '{name}'. Known are: {}.",
            known.join(", ")
        );
        WrongSetting::new("driver", reason)
    })?;
    kind.open(settings, limits(app))
}

/// The settings together with the secrets, decrypted.
///
/// # Errors
///
/// 500 when no key fits.
pub fn with_secrets(app: &App, driver: &ProtocolDriver) -> Result<Value, ApiError> {
    let mut whole = driver.settings.clone();
    let Some((encrypted, _)) = &driver.secrets else {
        return Ok(whole);
    };
    let text = app
        .credential_cipher
        .decrypt(SECRETS, encrypted)
        .map_err(ApiError::internal)?;
    let secrets: Value = serde_json::from_str(&text).map_err(ApiError::internal)?;
    if let (Value::Object(whole), Value::Object(secrets)) = (&mut whole, secrets) {
        whole.extend(secrets);
    }
    Ok(whole)
}

/// The kind under which secrets are encrypted.
pub const SECRETS: &str = "archstone_protocol";

fn limits(app: &App) -> Limits {
    let config = &app.config.archstone;
    Limits {
        timeout: config.provider_timeout,
        max_bytes: config.provider_max_bytes.try_into().unwrap_or(usize::MAX),
        private_addresses: config.private_providers,
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(_) | Failure::Denied(_) => Self::unauthorized(failure.to_string()),
            Failure::Unavailable(_) => Self::Unavailable(failure.to_string()),
            Failure::NotSupported(_) => Self::BadRequest(format!("{failure}.")),
        }
    }
}

impl From<Verified> for Said {
    fn from(verified: Verified) -> Self {
        Self {
            assertion: verified.assertion,
            remote_user: None,
            one_time: verified.one_time,
            session: verified.session,
        }
    }
}
