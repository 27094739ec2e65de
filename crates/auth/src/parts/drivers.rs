//! The drivers by which we speak to identity providers ourselves, made from settings that the API
//! changes while the server runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use federation::outbound::Limits;
use federation::{Driver, DriverKind, WrongSetting};
use model::federation::{Protocol, ProtocolDriver};
use model::ids::{IdentityProviderId, ProtocolId};
use model::{Secret, Timestamp};
use secrets::credential_encryption::CredentialCipher;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Drivers in use. One is kept for as long as its settings stay the same, for it remembers what
/// its provider said of itself.
pub struct DriverRegistry {
    open: Mutex<HashMap<(IdentityProviderId, ProtocolId), Open>>,
    /// Keeps the secrets of settings.
    cipher: Arc<CredentialCipher>,
    /// What each driver may use of this machine.
    limits: Limits,
}

struct Open {
    settings: ProtocolDriver,
    driver: Arc<dyn Driver>,
}

/// How many drivers are kept at once.
const MOST: usize = 1000;

impl DriverRegistry {
    /// No drivers yet. Those to come keep within `limits`.
    pub fn new(cipher: Arc<CredentialCipher>, limits: Limits) -> Self {
        Self {
            open: Mutex::default(),
            cipher,
            limits,
        }
    }

    /// The driver of a protocol as it is set now; `None` when authentication is external.
    ///
    /// # Errors
    ///
    /// 500 when the stored settings cannot be used: they were checked when they were stored.
    pub fn driver(&self, protocol: &Protocol) -> Result<Option<Arc<dyn Driver>>, ApiError> {
        let Some(settings) = protocol.own_driver() else {
            return Ok(None);
        };
        let key = (protocol.identity_provider_id.clone(), protocol.id.clone());
        let drivers = || {
            let open = self.open.lock();
            open.unwrap_or_else(PoisonError::into_inner)
        };
        let known = drivers().get(&key).map(|known| {
            let same = known.settings == *settings;
            same.then(|| Arc::clone(&known.driver))
        });
        if let Some(Some(driver)) = known {
            return Ok(Some(driver));
        }
        // To open one reads keys, for which nobody else has to wait.
        let whole = self.with_secrets(settings).map_err(ApiError::internal)?;
        let driver = self
            .open_driver(&settings.name, whole)
            .map_err(ApiError::internal)?;
        let mut open = drivers();
        if open.len() >= MOST
            && !open.contains_key(&key)
            && let Some(another) = open.keys().next().cloned()
        {
            open.remove(&another);
        }
        let kept = Open {
            settings: settings.clone(),
            driver: Arc::clone(&driver),
        };
        open.insert(key, kept);
        Ok(Some(driver))
    }

    /// Makes a driver, or names the setting that is wrong.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`].
    pub fn open_driver(
        &self,
        name: &str,
        mut settings: Map<String, Value>,
    ) -> Result<Arc<dyn Driver>, WrongSetting> {
        let kind = DriverKind::parse(name).ok_or_else(|| {
            let known: Vec<_> = DriverKind::ALL.iter().map(|kind| kind.as_str()).collect();
            let reason = format!(
                "there is no driver '{name}'. Known are: {}.",
                known.join(", ")
            );
            WrongSetting::new("driver", reason)
        })?;
        settings.retain(|name, _| !COMMON.contains(&name.as_str()));
        kind.open(&Value::Object(settings), self.limits.clone())
    }

    /// Checks settings, and takes the secrets out of sight.
    ///
    /// # Errors
    ///
    /// 400, naming the setting that is wrong.
    pub fn checked(
        &self,
        name: String,
        mut settings: Map<String, Value>,
        now: Timestamp,
    ) -> Result<ProtocolDriver, ApiError> {
        check_common(&settings)?;
        let mut secret_names: &[&str] = &[];
        if name == ProtocolDriver::EXTERNAL {
            if let Some(unknown) = settings
                .keys()
                .find(|name| !COMMON.contains(&name.as_str()))
            {
                let reason = format!(
                    "a front proxy speaks it, so that only {} count.",
                    COMMON.join(", ")
                );
                return Err(WrongSetting::new(unknown, reason).into());
            }
        } else {
            self.open_driver(&name, settings.clone())?;
            secret_names = DriverKind::parse(&name).unwrap_or_default().secrets();
        }
        let mut secrets = Map::new();
        for name in secret_names {
            if let Some(secret) = settings.remove(*name) {
                secrets.insert((*name).to_owned(), secret);
            }
        }
        let sealed = (!secrets.is_empty()).then(|| {
            let text = Secret::new(Value::Object(secrets).to_string());
            let sealed = self.cipher.encrypt(SECRETS, text.expose(), now);
            (sealed.text, sealed.key_hash)
        });
        Ok(ProtocolDriver {
            name,
            settings: Value::Object(settings),
            secrets: sealed,
        })
    }

    /// The settings together with the secrets, decrypted.
    ///
    /// # Errors
    ///
    /// [`LostSecrets`] when no key fits.
    pub fn with_secrets(&self, driver: &ProtocolDriver) -> Result<Map<String, Value>, LostSecrets> {
        let mut whole = driver.settings.as_object().cloned().unwrap_or_default();
        if let Some((encrypted, _)) = &driver.secrets {
            let text = self
                .cipher
                .decrypt(SECRETS, encrypted)
                .map_err(|_| LostSecrets)?;
            let secrets: Map<String, Value> =
                serde_json::from_str(&text).map_err(|_| LostSecrets)?;
            whole.extend(secrets);
        }
        Ok(whole)
    }

    /// The settings that a change starts from, with the secrets. When no key decrypts those any more,
    /// the change has to say of each what it is now, so that none is lost unseen.
    ///
    /// # Errors
    ///
    /// 400 when it does not.
    pub fn before_change(
        &self,
        driver: &ProtocolDriver,
        changes: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ApiError> {
        if let Ok(whole) = self.with_secrets(driver) {
            return Ok(whole);
        }
        let secrets = DriverKind::parse(&driver.name)
            .unwrap_or_default()
            .secrets();
        if !secrets.iter().all(|name| changes.contains_key(*name)) {
            return Err(ApiError::BadRequest(format!(
                "No key in [credential] key_repository decrypts the stored secrets. Set all of them \
                 again: {}; null where there is none.",
                secrets.join(", ")
            )));
        }
        Ok(driver.settings.as_object().cloned().unwrap_or_default())
    }
}

fn check_common(settings: &Map<String, Value>) -> Result<(), WrongSetting> {
    if settings
        .get("discoverable")
        .is_some_and(|value| !value.is_boolean())
    {
        return Err(WrongSetting::new("discoverable", "expected a boolean."));
    }
    match settings.get("display_name") {
        None => Ok(()),
        Some(Value::String(name)) if (1..=100).contains(&name.chars().count()) => Ok(()),
        Some(_) => Err(WrongSetting::new(
            "display_name",
            "expected a string of 1 to 100 characters.",
        )),
    }
}

/// Settings that every driver has: whether people may choose it, and by what name.
pub const COMMON: [&str; 2] = ["discoverable", "display_name"];

/// The stored secrets of a protocol are of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("no key in [credential] key_repository decrypts the stored secrets of the protocol")]
pub struct LostSecrets;

/// Demands that a change by which a protocol leads to another host names the secrets again that it
/// keeps: who may set an address need not know them, and could have them sent to it.
///
/// # Errors
///
/// 400 naming the secret that is not said, and the setting that leads elsewhere.
pub fn want_secrets_again(
    driver: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &Map<String, Value>,
) -> Result<(), WrongSetting> {
    let kind = DriverKind::parse(driver).unwrap_or_default();
    let mut kept = kind
        .secrets()
        .iter()
        .filter(|secret| before.contains_key(**secret) && !changes.contains_key(**secret));
    match (kept.next(), kind.redirected(before, after)) {
        (Some(secret), Some(setting)) => {
            let reason = format!(
                "it has to be given again, because '{setting}' leads to another host than before."
            );
            Err(WrongSetting::new(*secret, reason))
        }
        _ => Ok(()),
    }
}

/// The kind under which secrets are encrypted.
pub const SECRETS: &str = "archstone_protocol";
