//! JSON in the textual forms that Keystone writes.

pub use model::json::{compact, push_spaced, spaced};
use serde::Serialize;

/// The form for people on a terminal: a line for each part, and no character beyond ASCII.
pub fn indented(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value)
        .expect("documents have text keys and writing to memory does not fail");
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_get_a_line_for_each_part() {
        assert_eq!(
            indented(&json!({"a": [], "b": ["grün", {}]})),
            "{\n  \"a\": [],\n  \"b\": [\n    \"gr\\u00fcn\",\n    {}\n  ]\n}"
        );
    }
}
