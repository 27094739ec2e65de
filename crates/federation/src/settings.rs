//! Settings of a protocol: data that the API changes while the server runs.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::driver::Failure;
use crate::outbound::Limits;

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
    // Null is as good as absent.
    let mut fields = fields.clone();
    fields.retain(|_, value| !value.is_null());
    let whole = match serde_json::from_value(Value::Object(fields.clone())) {
        Ok(read) => return Ok(read),
        Err(error) => error.to_string(),
    };
    // Serde does not say which field a value of the wrong type stood in: it is the last one of the
    // shortest part that fails for another reason than that something is missing.
    let culprit = fields.keys().enumerate().find_map(|(index, name)| {
        let part = fields.clone().into_iter().take(index + 1).collect();
        let error = serde_json::from_value::<T>(Value::Object(part)).err()?;
        (!error.to_string().starts_with(MISSING)).then_some(name.as_str())
    });
    let name = culprit.unwrap_or_else(|| missing_field(&whole));
    Err(WrongSetting::new(name, format!("{whole}.")))
}

/// How serde begins when a field is missing.
const MISSING: &str = "missing field";

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

/// Reads the URL of a provider at which secrets are told: by `https` alone, or where these limits
/// let another be tried out.
///
/// # Errors
///
/// [`WrongSetting`] for anything else.
pub fn provider_url(name: &str, text: &str, limits: &Limits) -> Result<reqwest::Url, WrongSetting> {
    let url = url(name, text)?;
    if !limits.trust(&url) {
        return Err(WrongSetting::new(name, "it must begin with https://."));
    }
    Ok(url)
}

/// The same, of a URL that a provider's metadata name.
pub(crate) fn named_url(name: &str, text: &str, limits: &Limits) -> Result<reqwest::Url, Failure> {
    provider_url(name, text, limits).map_err(|wrong| {
        let reason = wrong.reason.trim_end_matches('.');
        Failure::Unavailable(format!("its metadata have no good {name}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Two {
        #[expect(dead_code, reason = "only read")]
        must: String,
        #[expect(dead_code, reason = "only read")]
        may: Option<u32>,
    }

    #[test]
    fn the_setting_that_is_wrong_is_named() {
        for (settings, name) in [
            (json!([]), "settings"),
            (json!({}), "must"),
            (json!({"must": null}), "must"),
            (json!({"must": 7}), "must"),
            (json!({"may": 1, "must": 7}), "must"),
            (json!({"must": "a", "may": "b"}), "may"),
            (json!({"may": "b"}), "may"),
            (json!({"must": "a", "mai": 1}), "mai"),
        ] {
            let wrong = read::<Two>(&settings, &["must", "may"]).expect_err("wrong");
            assert_eq!(wrong.name, name, "{settings}");
        }
        read::<Two>(&json!({"must": "a", "may": null}), &["must", "may"]).expect("good");
    }
}
