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
        return Err(WrongSetting::new("settings", "expected an object."));
    };
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let reason = format!("there is no such setting. Known are: {}.", known.join(", "));
        return Err(WrongSetting::new(name, reason));
    }
    // Null is as good as absent.
    let mut fields = fields.clone();
    fields.retain(|_, value| !value.is_null());
    for (name, value) in &fields {
        let kind = Kind::of(name);
        if !kind.fits(value) {
            let reason = format!("expected {}, got {}.", kind.expected(), got(value));
            return Err(WrongSetting::new(name, reason));
        }
    }
    let whole = match serde_json::from_value(Value::Object(fields.clone())) {
        Ok(read) => return Ok(read),
        Err(error) => error.to_string(),
    };
    if whole.starts_with(MISSING) {
        return Err(WrongSetting::new(quoted(&whole), "it is required."));
    }
    // Serde does not say which field a value that does not fit stood in: it is the last one of the
    // shortest part that fails for another reason than that something is missing.
    let culprit = fields.keys().enumerate().find_map(|(index, name)| {
        let part = fields.clone().into_iter().take(index + 1).collect();
        let error = serde_json::from_value::<T>(Value::Object(part)).err()?;
        (!error.to_string().starts_with(MISSING)).then_some(name.as_str())
    });
    let reason = match whole.starts_with(UNKNOWN) {
        true => {
            let mut names = whole.split('`').skip(1).step_by(2);
            let given = names.next().unwrap_or_default();
            let known: Vec<_> = names.map(|name| format!("'{name}'")).collect();
            format!("'{given}' is not one of {}.", known.join(", "))
        }
        false => format!("{whole}."),
    };
    Err(WrongSetting::new(culprit.unwrap_or("settings"), reason))
}

/// How serde begins when a field is missing, and when a text is none of those that are known.
const MISSING: &str = "missing field";
const UNKNOWN: &str = "unknown variant";

/// The first name that serde writes between backticks.
fn quoted(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or("settings")
}

/// The kinds of value that settings have. A setting of one name has one kind, whatever the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Texts,
    Boolean,
    Number,
    Object,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "authn_context"
            | "bearer_audiences"
            | "bearer_clients"
            | "id_token_signing_algorithms"
            | "scopes" => Self::Texts,
            "allow_cbc"
            | "allow_unsolicited"
            | "force_authn"
            | "require_audience"
            | "sign_requests"
            | "userinfo"
            | "want_assertions_encrypted"
            | "want_assertions_signed"
            | "want_response_signed" => Self::Boolean,
            "clock_skew" => Self::Number,
            "authorization_parameters" => Self::Object,
            _ => Self::Text,
        }
    }

    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, value) => value.is_string(),
            (Self::Texts, Value::Array(all)) => all.iter().all(Value::is_string),
            (Self::Boolean, value) => value.is_boolean(),
            (Self::Number, value) => value.as_u64().is_some_and(|it| u32::try_from(it).is_ok()),
            (Self::Object, Value::Object(all)) => all.values().all(Value::is_string),
            _ => false,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::Boolean => "a boolean",
            Self::Number => "a non-negative integer",
            Self::Object => "an object of strings",
        }
    }
}

/// What a value is, without what it says, which may be a secret.
fn got(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(number) if number.is_i64() && !number.is_u64() => "a negative integer",
        Value::Number(number) if number.as_u64() > Some(u32::MAX.into()) => "too large an integer",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(all) if all.iter().all(Value::is_string) => "a list of strings",
        Value::Array(_) => "a list that holds other values than strings",
        Value::Object(all) if all.values().all(Value::is_string) => "an object of strings",
        Value::Object(_) => "an object that holds other values than strings",
    }
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
        clock_skew: Option<u32>,
    }

    #[test]
    fn the_setting_that_is_wrong_is_named() {
        for (settings, name) in [
            (json!([]), "settings"),
            (json!({}), "must"),
            (json!({"must": null}), "must"),
            (json!({"must": 7}), "must"),
            (json!({"clock_skew": 1, "must": 7}), "must"),
            (json!({"must": "a", "clock_skew": "b"}), "clock_skew"),
            (json!({"clock_skew": "b"}), "clock_skew"),
            (json!({"must": "a", "mai": 1}), "mai"),
        ] {
            let wrong = read::<Two>(&settings, &["must", "clock_skew"]).expect_err("wrong");
            assert_eq!(wrong.name, name, "{settings}");
        }
        read::<Two>(
            &json!({"must": "a", "clock_skew": null}),
            &["must", "clock_skew"],
        )
        .expect("good");
    }

    #[test]
    fn a_wrong_kind_says_what_came_and_what_fits() {
        for (name, value, reason) in [
            (
                "scopes",
                json!("openid"),
                "expected a list of strings, got a string.",
            ),
            (
                "scopes",
                json!(["a", 7]),
                "expected a list of strings, got a list that holds other values than strings.",
            ),
            (
                "userinfo",
                json!("yes"),
                "expected a boolean, got a string.",
            ),
            (
                "clock_skew",
                json!(-1),
                "expected a non-negative integer, got a negative integer.",
            ),
            (
                "authorization_parameters",
                json!({"max_age": 600}),
                "expected an object of strings, got an object that holds other values than strings.",
            ),
            (
                "client_secret",
                json!(4711),
                "expected a string, got an integer.",
            ),
        ] {
            let wrong = read::<Value>(&json!({name: value}), &[name]).expect_err(name);
            assert_eq!((wrong.name.as_str(), wrong.reason.as_str()), (name, reason));
        }
        #[derive(Debug, Deserialize)]
        struct One {
            #[expect(dead_code, reason = "only read")]
            method: Method,
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Method {
            Basic,
            Post,
        }
        let wrong = read::<One>(&json!({"method": "put"}), &["method"]).expect_err("unknown");
        assert_eq!(
            wrong.to_string(),
            "Invalid setting 'method': 'put' is not one of 'basic', 'post'."
        );
        let wrong = read::<One>(&json!({}), &["method"]).expect_err("absent");
        assert_eq!(
            wrong.to_string(),
            "Invalid setting 'method': it is required."
        );
    }
}
