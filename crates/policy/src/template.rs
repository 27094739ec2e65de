//! The right side of a check: text with places for values of the target, in Python's `%(key)s` notation.

use std::borrow::Cow;
use std::fmt;

use crate::check::Fault;
use crate::target::Target;

/// A text to be filled in from the target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Value(String),
    /// A format that we do not know, or that nobody does. What comes before it is still looked up.
    Broken,
}

impl Template {
    /// Reads a template; what cannot be read fails when it is filled in.
    pub(crate) fn parse(source: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                text.push('%');
                rest = after;
                continue;
            }
            let Some((key, after)) = after.strip_prefix('(').and_then(split_key) else {
                parts.push(Part::Broken);
                break;
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Value(key.to_owned()));
            let Some(after) = after.strip_prefix('s') else {
                parts.push(Part::Broken);
                break;
            };
            rest = after;
        }
        if parts.last() != Some(&Part::Broken) {
            text.push_str(rest);
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
        }
        Self {
            source: source.to_owned(),
            parts,
        }
    }

    /// Whether it holds a format that cannot be filled in.
    pub(crate) fn is_broken(&self) -> bool {
        self.parts.contains(&Part::Broken)
    }

    /// The keys that are looked up in the target, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(key) => Some(key.as_str()),
            Part::Text(_) | Part::Broken => None,
        })
    }

    /// The text with its values; `None` when the target lacks one.
    pub(crate) fn fill<'a>(
        &'a self,
        target: &'a dyn Target,
    ) -> Result<Option<Cow<'a, str>>, Fault> {
        let mut filled = Cow::Borrowed("");
        for part in &self.parts {
            let next = match part {
                Part::Text(text) => Cow::Borrowed(text.as_str()),
                Part::Value(key) => match target.find(key) {
                    Some(value) => value,
                    None => return Ok(None),
                },
                Part::Broken => return Err(Fault::Template),
            };
            if filled.is_empty() {
                filled = next;
            } else {
                filled.to_mut().push_str(&next);
            }
        }
        Ok(Some(filled))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Splits `key)s…` behind the parenthesis that closes the key; a key may hold pairs of parentheses.
fn split_key(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&text[..index], &text[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(source: &str) -> Result<Option<String>, Fault> {
        let target = json!({"a": "1", "b": null, "c(d)": "nested", "e": ""});
        Template::parse(source)
            .fill(&target)
            .map(|filled| filled.map(Cow::into_owned))
    }

    #[test]
    fn values_take_their_places() {
        for (source, filled) in [
            ("", ""),
            ("x", "x"),
            ("%(a)s", "1"),
            ("x%(a)sy%(b)sz", "x1yNonez"),
            ("%(a)s%(a)s", "11"),
            ("%(e)s%(a)s", "1"),
            ("100%%", "100%"),
            ("%%(a)s", "%(a)s"),
            ("%(c(d))s", "nested"),
        ] {
            assert_eq!(fill(source), Ok(Some(filled.to_owned())), "{source}");
        }
    }

    #[test]
    fn a_missing_key_comes_before_what_is_broken_behind_it() {
        assert_eq!(fill("%(x)s"), Ok(None));
        assert_eq!(fill("%(x)s%"), Ok(None));
        assert_eq!(fill("%(x)d"), Ok(None));
        assert_eq!(fill("%%(x)s%(x)s"), Ok(None));
    }

    #[test]
    fn unknown_formats_are_faults() {
        for source in ["%", "a%", "%s", "%(a)d", "%(a)", "%(a", "%(a)s%", "%(a)-5s"] {
            assert_eq!(fill(source), Err(Fault::Template), "{source}");
            assert!(Template::parse(source).is_broken());
        }
    }
}
