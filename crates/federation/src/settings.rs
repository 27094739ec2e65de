//! Settings of a protocol: data that the API changes while the server runs.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid setting '{name}': {reason}")]
pub struct WrongSetting {
    /// Which one.
    pub name: String,
    /// What is wrong with it, and what is accepted.
    pub reason: String,
}

impl WrongSetting {
    /// Names a setting and what is wrong with it.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
        }
    }
}

/// Reads an object of settings into a type that denies fields it does not know; the error names
/// the setting that is wrong.
///
/// # Errors
///
/// [`WrongSetting`] for the first one that does not fit.
pub fn read<T: DeserializeOwned>(settings: &Value, known: &[&str]) -> Result<T, WrongSetting> {
    let Value::Object(fields) = settings else {
        return Err(WrongSetting::new("settings", "an object is wanted."));
    };
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let reason = format!("there is no such setting. Known are: {}.", known.join(", "));
        return Err(WrongSetting::new(name, reason));
    }
    serde_json::from_value(settings.clone()).map_err(|whole| {
        // Serde does not say which field a value of the wrong type stood in; each alone does.
        let culprit = fields.iter().find(|(name, value)| {
            let mut without = fields.clone();
            without.remove(*name);
            let alone = serde_json::from_value::<T>(Value::Object(without));
            !value.is_null() && alone.is_ok()
        });
        match culprit {
            Some((name, _)) => WrongSetting::new(name, format!("{whole}.")),
            None => WrongSetting::new(missing_field(&whole.to_string()), format!("{whole}.")),
        }
    })
}

/// The field that serde names between backticks.
fn missing_field(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or("settings")
}

/// Reads the text of an absolute `http` or `https` URL without user, password or fragment.
///
/// # Errors
///
/// [`WrongSetting`] for anything else.
pub fn url(name: &str, text: &str) -> Result<reqwest::Url, WrongSetting> {
    let wrong = |reason: String| WrongSetting::new(name, reason);
    let url = reqwest::Url::parse(text)
        .map_err(|error| wrong(format!("'{text}' is no URL ({error}).")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(format!("'{text}' does not begin with https://.")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "no user, password or fragment may stand in it.".into(),
        ));
    }
    Ok(url)
}
