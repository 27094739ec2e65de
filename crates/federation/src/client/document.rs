//! JSON documents about a user, as OAuth's endpoints for attributes answer them, and the assertion
//! that is made of one.
//!
//! Each member of the document becomes two attributes: one named by a prefix and the member's own
//! name (`OAUTH2-email`), and one as front proxies write it (`HTTP_OAUTH2_EMAIL`), so that mappings
//! feel alike. Text stands as it is, numbers and booleans as JSON writes them, a list gives several
//! values, and an object one value that is JSON text. `null` says nothing.

use std::collections::HashMap;
use std::fmt;

use model::Assertion;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::settings::WrongSetting;

/// How many members a document may have. Each makes two attributes, and with more no mapping takes
/// them.
const MAX_MEMBERS: usize = 10_000;

/// An object whose members each have one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document(pub(crate) Map<String, Value>);

impl Document {
    /// Reads one; `None` when it is something else, has too many members, or one of them twice.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The value of a member that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The value of a member that can name somebody: text that is not empty, or a number.
    pub(crate) fn name(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// What the document says, under names that begin with `prefix`; `subject` is who it speaks of.
    /// The issuer is never the document's word, but ours.
    pub(crate) fn assertion(
        &self,
        prefix: &str,
        subject: String,
        issuer: Option<&str>,
    ) -> Assertion {
        let mut said: Vec<(String, Vec<String>)> = Vec::new();
        for (member, value) in self.0.iter().filter(|(member, _)| *member != "iss") {
            said.push((format!("{prefix}{member}"), values(value)));
        }
        if let Some(issuer) = issuer {
            said.push((format!("{prefix}iss"), vec![issuer.to_owned()]));
        }
        let mut assertion = under_both_names(said);
        assertion.set("REMOTE_USER", vec![subject]);
        assertion
    }
}

/// An assertion that says each attribute under its own name and under that of the variable. A name
/// that several attributes come to says nothing: anyone who chooses one of them must not speak for
/// another.
pub(crate) fn under_both_names(said: Vec<(String, Vec<String>)>) -> Assertion {
    let mut sharing: HashMap<String, usize> = HashMap::new();
    for (name, _) in &said {
        *sharing.entry(name.clone()).or_default() += 1;
        *sharing.entry(as_variable(name)).or_default() += 1;
    }
    let mut assertion = Assertion::new();
    for (name, values) in said {
        for name in [as_variable(&name), name] {
            if sharing.get(&name) == Some(&1) {
                assertion.set(name, values.clone());
            }
        }
    }
    assertion
}

/// The name that a front proxy would give an attribute.
pub(crate) fn as_variable(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' => letter.to_ascii_uppercase(),
        _ => '_',
    });
    format!("HTTP_{}", letters.collect::<String>())
}

fn values(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(one_value).collect(),
        other => one_value(other).into_iter().collect(),
    }
}

fn one_value(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Reads the setting that names begin with.
pub(crate) fn prefix(text: &str) -> Result<String, WrongSetting> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if text.is_empty() || text.len() > 32 || !text.chars().all(good) {
        let reason = "1 to 32 letters, digits, '-' and '_' are wanted.";
        return Err(WrongSetting::new("claim_prefix", reason));
    }
    Ok(text.to_owned())
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom("a member is there twice"));
            }
            if members.len() == MAX_MEMBERS {
                return Err(A::Error::custom("there are too many members"));
            }
            members.insert(name, value);
        }
        Ok(Document(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_no_more_members_than_a_mapping_takes() {
        let document = |count: usize| {
            let members = (0..count).map(|number| (number.to_string(), Value::from(1)));
            Value::Object(members.collect()).to_string()
        };
        assert!(Document::parse(document(MAX_MEMBERS).as_bytes()).is_some());
        assert_eq!(Document::parse(document(MAX_MEMBERS + 1).as_bytes()), None);
    }

    fn said(json: &str) -> Assertion {
        let document = Document::parse(json.as_bytes()).expect("a document");
        document.assertion("OAUTH2-", "jane".into(), Some("https://issuer.example"))
    }

    #[test]
    fn members_become_values() {
        let said = said(
            r#"{"mail": "j@example.com", "id": 7, "staff": true, "none": null, "empty": [],
                "groups": ["a;b", 2, null, {"c": 1}], "org": {"name": "x"}}"#,
        );
        assert_eq!(said.values("OAUTH2-mail"), ["j@example.com"]);
        assert_eq!(said.values("HTTP_OAUTH2_MAIL"), ["j@example.com"]);
        assert_eq!(said.values("OAUTH2-id"), ["7"]);
        assert_eq!(said.values("OAUTH2-staff"), ["true"]);
        assert!(said.values("OAUTH2-none").is_empty());
        assert!(said.values("OAUTH2-empty").is_empty());
        assert_eq!(said.values("OAUTH2-groups"), ["a;b", "2", r#"{"c":1}"#]);
        assert_eq!(said.values("HTTP_OAUTH2_ORG"), [r#"{"name":"x"}"#]);
        assert_eq!(said.values("REMOTE_USER"), ["jane"]);
    }

    #[test]
    fn the_document_does_not_say_who_issued_it() {
        let said = said(r#"{"iss": "https://other.example", "REMOTE_USER": "root"}"#);
        assert_eq!(said.values("OAUTH2-iss"), ["https://issuer.example"]);
        assert_eq!(said.values("HTTP_OAUTH2_ISS"), ["https://issuer.example"]);
        assert_eq!(said.values("REMOTE_USER"), ["jane"]);
    }

    #[test]
    fn members_that_share_a_variable_do_not_speak_for_each_other() {
        let said = said(r#"{"e-mail": "a", "e_mail": "b", "Iss": "c"}"#);
        assert_eq!(said.values("OAUTH2-e-mail"), ["a"]);
        assert_eq!(said.values("OAUTH2-e_mail"), ["b"]);
        assert!(said.values("HTTP_OAUTH2_E_MAIL").is_empty());
        assert!(said.values("HTTP_OAUTH2_ISS").is_empty());
    }

    #[test]
    fn only_an_object_with_each_member_once_is_a_document() {
        for json in [r#"{"a": 1, "a": 2}"#, "[]", "7", "{", "", r#"{"a": 1} x"#] {
            assert_eq!(Document::parse(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn text_and_numbers_name_somebody() {
        let document =
            Document::parse(br#"{"a": "x", "b": 7, "c": "", "d": true}"#).expect("a document");
        assert_eq!(document.name("a").as_deref(), Some("x"));
        assert_eq!(document.name("b").as_deref(), Some("7"));
        for absent in ["c", "d", "e"] {
            assert_eq!(document.name(absent), None);
        }
    }
}
