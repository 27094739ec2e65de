//! Claims become an assertion, under the names that the Apache module mod_auth_openidc gives them,
//! so that mappings written for it go on to work.

use model::Assertion;
use serde_json::Value;

use super::Oidc;
use super::jwt::Claims;
use crate::client::document::{as_variable, under_both_names};

/// Claims about the exchange instead of the user, and tokens, which are secrets.
const LEFT_OUT: &[&str] = &[
    "access_token",
    "at_hash",
    "c_hash",
    "id_token",
    "nonce",
    "refresh_token",
    "s_hash",
];

impl Oidc {
    /// What was said, as attributes. Each claim stands under two names: as the module's
    /// environment has it (`OIDC-preferred_username`), and as WSGI has its headers
    /// (`HTTP_OIDC_PREFERRED_USERNAME`), unless two claims come to the same one.
    pub(super) fn assertion(&self, claims: &Claims) -> Assertion {
        let (prefix, issuer) = (&self.settings.claim_prefix, &self.settings.issuer);
        let named = |name: &str| format!("{prefix}{}", variable(name));
        let said = claims.iter().filter(|(name, _)| !LEFT_OUT.contains(name));
        let said = said.filter_map(|(name, value)| Some((named(name), texts(value)?)));
        let mut assertion = under_both_names(said.collect());
        // The issuer and the user come last: a claim whose name differs only in its letters' case
        // or marks must not stand for them.
        let mut say = |name: String, values: Vec<String>| {
            assertion.set(as_variable(&name), values.clone());
            assertion.set(name, values);
        };
        if let Some(values) = claims.value("sub").and_then(texts) {
            say(named("sub"), values);
        }
        say(named("iss"), vec![issuer.clone()]);
        say("OIDC-iss".into(), vec![issuer.clone()]);
        let place = issuer.strip_prefix("https://").unwrap_or(issuer);
        let user = claims.text("sub");
        let user = user.map(|subject| format!("{subject}@{place}"));
        // Where nobody is named, no claim may say who it is.
        assertion.set("REMOTE_USER", user.into_iter().collect());
        assertion
    }
}

/// The name of a variable: what HTTP does not have in a header's name becomes a dash.
fn variable(name: &str) -> String {
    let letter = |letter: char| match letter {
        '\0'..=' ' | '\x7f' => '-',
        '(' | ')' | '<' | '>' | '@' | ',' | ';' | ':' | '\\' | '"' => '-',
        '/' | '[' | ']' | '?' | '=' | '{' | '}' => '-',
        other => other,
    };
    name.chars().map(letter).collect()
}

/// A claim's values as the module writes them; `None` for what it does not pass on. A value that
/// holds the mark which stands between values there stays one here.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => None,
        // In a list, the module knows texts and booleans. An empty one is an empty text.
        Value::Array(many) => {
            let known = many
                .iter()
                .filter(|one| one.is_string() || one.is_boolean());
            let mut values: Vec<String> = known.filter_map(text).collect();
            if values.is_empty() {
                values.push(String::new());
            }
            Some(values)
        }
        one => text(one).map(|one| vec![one]),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("1".into()),
        Value::Bool(false) => Some("0".into()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(real),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) => None,
    }
}

/// As C writes a number with `%.8g`: eight digits, without zeros at the end.
fn real(number: f64) -> String {
    let scientific = format!("{number:.7e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..8) => {
            let places = usize::try_from(7 - exponent).unwrap_or_default();
            trim(&format!("{number:.places$}"))
        }
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
        }
        Err(_) => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_apache_module_writes_them() {
        let written = |json: &str| texts(&serde_json::from_str(json).expect("JSON"));
        let one = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(written("null"), None);
        assert_eq!(written("true"), one("1"));
        assert_eq!(written("false"), one("0"));
        assert_eq!(written("1111111111"), one("1111111111"));
        assert_eq!(written("1.5"), one("1.5"));
        assert_eq!(written("0.1"), one("0.1"));
        assert_eq!(written("1234567.891"), one("1234567.9"));
        assert_eq!(written("1e20"), one("1e+20"));
        assert_eq!(written("0.00001"), one("1e-05"));
        assert_eq!(written("\"a;b\""), one("a;b"));
        assert_eq!(written("[]"), one(""));
        assert_eq!(
            written(r#"[false, "hans", 7, "piet", true, {}]"#),
            Some(["0", "hans", "piet", "1"].map(str::to_owned).to_vec())
        );
        assert_eq!(
            written(r#"{"hans": "piet", "b": false}"#),
            one(r#"{"hans":"piet","b":false}"#)
        );
    }

    #[test]
    fn names_are_those_of_variables() {
        assert_eq!(variable("https://a.example/role"), "https---a.example-role");
    }
}
