//! What an authorization request asks of the authentication itself (OpenID Connect Core §3.1.2.1,
//! §5.5). It goes by way of the user's browser, where the user can take it out of the URL, so that
//! the answer is held against it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use model::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::settings::WrongSetting;

/// Where it is asked for.
const SETTING: &str = "authorization_parameters";

/// The parameters that are read here.
const NAMES: [&str; 4] = ["acr_values", "claims", "max_age", "prompt"];

/// What is asked of the authentication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requested {
    /// Claims that the answer has to hold.
    claims: Vec<RequestedClaim>,
    /// Claims that userinfo has to hold, where it is asked.
    userinfo: Vec<RequestedClaim>,
    /// How long ago the user may have logged in.
    max_age: Option<TimeDelta>,
    /// Whether the user has to log in now.
    login_prompt: bool,
}

#[derive(Clone, Debug)]
struct RequestedClaim {
    name: String,
    /// One of these; `None` for any.
    values: Option<Vec<Value>>,
}

/// The parameter `claims` (OpenID Connect Core §5.5).
#[derive(Deserialize)]
struct ClaimsParameter {
    id_token: Option<Map<String, Value>>,
    userinfo: Option<Map<String, Value>>,
}

/// How one claim is asked for (§5.5.1).
#[derive(Deserialize)]
struct IndividualClaim {
    #[serde(default)]
    essential: bool,
    value: Option<Value>,
    values: Option<Vec<Value>>,
}

impl Requested {
    /// Reads the parameters of the authorization request.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] for one that cannot be held against an answer.
    pub(crate) fn read(parameters: &BTreeMap<String, String>) -> Result<Self, WrongSetting> {
        let wrong = |reason: String| WrongSetting::new(SETTING, reason);
        let given = |name: &str| parameters.get(name).map(String::as_str);
        let words = |name: &str| given(name).unwrap_or_default().split_ascii_whitespace();
        let mut requested = Self {
            login_prompt: words("prompt").any(|word| word == "login"),
            ..Self::default()
        };
        if let Some(text) = given("max_age") {
            let seconds: u32 = text
                .parse()
                .map_err(|_| wrong(format!("max_age '{text}' is not a number of seconds.")))?;
            requested.max_age = Some(TimeDelta::seconds(seconds.into()));
        }
        let contexts: Vec<Value> = words("acr_values").map(Value::from).collect();
        if !contexts.is_empty() {
            requested.claims.push(RequestedClaim {
                name: "acr".into(),
                values: Some(contexts),
            });
        }
        if let Some(text) = given("claims") {
            let odd = |_| {
                wrong(
                    "claims is not as OpenID Connect Core, section 5.5, has it: JSON text.".into(),
                )
            };
            let asked: ClaimsParameter = serde_json::from_str(text).map_err(odd)?;
            let (id_token, userinfo) = (asked.id_token, asked.userinfo);
            requested.claims.extend(claims(id_token).map_err(odd)?);
            requested.userinfo = claims(userinfo).map_err(odd)?;
        }
        Ok(requested)
    }

    /// Refuses claims that are asked of userinfo where userinfo is not asked, for nothing would be
    /// held against them.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`].
    pub(crate) fn forbid_userinfo(&self) -> Result<(), WrongSetting> {
        match self.userinfo.is_empty() {
            true => Ok(()),
            false => Err(WrongSetting::new(
                SETTING,
                "claims asks for values in userinfo, and userinfo is not requested here.",
            )),
        }
    }

    /// The contexts of authentication of which one has to come, by each way in which they are asked
    /// for.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = Vec<&str>> {
        let asked = self.claims.iter().filter(|asked| asked.name == "acr");
        let values = asked.filter_map(|asked| asked.values.as_ref());
        values.map(|values| values.iter().filter_map(Value::as_str).collect())
    }

    /// Refuses a URL that asks for what is read here, for nothing would be held against it.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`].
    pub(crate) fn forbid_in_query(name: &str, url: &reqwest::Url) -> Result<(), WrongSetting> {
        let mut names = url.query_pairs().map(|(name, _)| name.into_owned());
        match names.find(|name| NAMES.contains(&name.as_str())) {
            Some(parameter) => Err(WrongSetting::new(
                name,
                format!(
                    "must not contain '{parameter}': set it in {SETTING}, where it is enforced."
                ),
            )),
            None => Ok(()),
        }
    }

    /// Holds what was asked of the way of authentication against the claims that came.
    pub(crate) fn check_claims<'a>(
        &self,
        claim: impl Fn(&str) -> Option<&'a Value>,
    ) -> Result<(), String> {
        check(&self.claims, claim)
    }

    /// The same for the claims of userinfo.
    pub(crate) fn check_userinfo<'a>(
        &self,
        claim: impl Fn(&str) -> Option<&'a Value>,
    ) -> Result<(), String> {
        check(&self.userinfo, claim)
    }

    /// Holds what was asked of the time of authentication against the time that is told
    /// (OpenID Connect Core §3.1.3.7, number 13). `began` is when the login began here; `None` when
    /// it began elsewhere.
    pub(crate) fn check_time(
        &self,
        told: Option<Timestamp>,
        began: Option<Timestamp>,
        now: Timestamp,
        skew: TimeDelta,
    ) -> Result<(), String> {
        if told.is_some_and(|when| when > now + skew) {
            return Err("auth_time is in the future".into());
        }
        let Some(began) = began else {
            return Ok(());
        };
        match (self.max_age, told) {
            (Some(_), None) => return Err("it does not say when the user logged in".into()),
            (Some(most), Some(when)) if when < now - most - skew => {
                return Err("the user has logged in too long ago".into());
            }
            _ => {}
        }
        // Who does not tell the time is not asked for it by a prompt alone.
        if self.login_prompt && told.is_some_and(|when| when < began - skew) {
            return Err("the user was asked to log in again but did not".into());
        }
        Ok(())
    }
}

/// The claims that are insisted on: those of which a value is named, and those of the
/// authentication that are essential (§5.5.1.1, §2: `acr`, `auth_time`). Other essential claims are
/// only for a smooth login: a user may have none.
fn claims(asked: Option<Map<String, Value>>) -> Result<Vec<RequestedClaim>, serde_json::Error> {
    let mut claims = Vec::new();
    for (name, how) in asked.unwrap_or_default() {
        let how: Option<IndividualClaim> = serde_json::from_value(how)?;
        let Some(how) = how else { continue };
        let values = how.values.or_else(|| how.value.map(|value| vec![value]));
        let authentication = matches!(name.as_str(), "acr" | "auth_time");
        if values.is_some() || (how.essential && authentication) {
            claims.push(RequestedClaim { name, values });
        }
    }
    Ok(claims)
}

fn check<'a>(
    requested: &[RequestedClaim],
    claim: impl Fn(&str) -> Option<&'a Value>,
) -> Result<(), String> {
    for RequestedClaim { name, values } in requested {
        let found = claim(name).filter(|found| !found.is_null());
        let Some(found) = found else {
            return Err(format!("{name} was asked for, and it does not say it"));
        };
        let fits = |wanted: &Value| {
            found == wanted || found.as_array().is_some_and(|many| many.contains(wanted))
        };
        if values
            .as_ref()
            .is_some_and(|values| !values.iter().any(fits))
        {
            let found: String = found.to_string().chars().take(100).collect();
            return Err(format!(
                "it says that {name} is {found}, which is none of those that were asked for"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, value: &str) -> Result<Requested, WrongSetting> {
        Requested::read(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    fn holds(name: &str, value: &str, claims: Value) -> bool {
        let requested = read(name, value).expect("a good parameter");
        requested.check_claims(|name| claims.get(name)).is_ok()
    }

    #[test]
    fn one_of_the_contexts_that_are_asked_for_has_to_come() {
        for (claims, good) in [
            (json!({"acr": "urn:mfa"}), true),
            (json!({"acr": "urn:hw"}), true),
            (json!({"acr": "pwd"}), false),
            (json!({"acr": "URN:MFA"}), false),
            (json!({"acr": "urn:mfa urn:hw"}), false),
            (json!({"acr": 2}), false),
            (json!({"acr": null}), false),
            (json!({}), false),
        ] {
            assert_eq!(
                holds("acr_values", "urn:mfa  urn:hw", claims.clone()),
                good,
                "{claims}"
            );
        }
        assert!(holds("acr_values", " ", json!({})));
    }

    #[test]
    fn claims_that_are_asked_for_by_value_have_to_come() {
        let asked = r#"{"id_token": {
            "acr": {"essential": true, "values": ["urn:mfa", "urn:hw"]}, "hd": {"value": "a.example"},
            "groups": {"value": "cloud"}, "email": {"essential": true}, "name": null
        }, "userinfo": {"acr": {"value": "other"}}}"#;
        let good = json!({"acr": "urn:hw", "hd": "a.example", "groups": ["x", "cloud"]});
        assert!(holds("claims", asked, good.clone()));
        for (name, value) in [
            ("acr", json!("pwd")),
            ("acr", json!(null)),
            ("hd", json!("b.example")),
            ("groups", json!(["x"])),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            assert!(!holds("claims", asked, claims), "{name}");
        }
        // Without values any will do, and what is not essential may be absent.
        let essential = r#"{"id_token": {"acr": {"essential": true}}}"#;
        assert!(holds("claims", essential, json!({"acr": "0"})));
        assert!(!holds("claims", essential, json!({})));
        assert!(holds("claims", r#"{"id_token": {"acr": null}}"#, json!({})));
        let userinfo = read("claims", asked).expect("good").userinfo;
        assert_eq!(userinfo.len(), 1);
    }

    #[test]
    fn what_cannot_be_held_against_an_answer_is_a_wrong_setting() {
        for (name, value) in [
            ("claims", "acr"),
            ("claims", r#"["acr"]"#),
            ("claims", r#"{"id_token": {"acr": "urn:mfa"}}"#),
            ("claims", r#"{"id_token": {"acr": {"values": "urn:mfa"}}}"#),
            ("max_age", "an hour"),
            ("max_age", "-1"),
        ] {
            let wrong = read(name, value).expect_err(value);
            assert_eq!(wrong.name, SETTING);
        }
        let url = reqwest::Url::parse("https://p.example/authorize?a=b&acr_values=x");
        let wrong = Requested::forbid_in_query("authorization_endpoint", &url.expect("a URL"));
        assert_eq!(wrong.expect_err("refused").name, "authorization_endpoint");
    }
}
