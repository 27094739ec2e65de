//! Python's view of values, for rules compare what `str()` prints.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Number, Value};

/// What Python's `str()` prints for a JSON value: `None`, `True`, `1e+16`, `['a', 1]`, text as it is.
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => text.into(),
        Value::Number(number) => number_text(number).into(),
        Value::Array(_) | Value::Object(_) => {
            let mut out = String::new();
            write_repr(&mut out, value);
            out.into()
        }
    }
}

/// Whether Python takes a value for true in an `if`.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// What `str()` prints for a literal as Python source writes it; `None` for anything that is not a plain literal:
/// text (with no escapes but those of quotes and backslashes), a decimal number, or one of Python's three constants.
pub(crate) fn literal(source: &str) -> Option<String> {
    if matches!(source, "None" | "True" | "False") {
        return Some(source.to_owned());
    }
    for quote in ['\'', '"'] {
        if let Some(inner) = source
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return unescape(inner, quote);
        }
    }
    number_literal(source)
}

/// Whether a text could name a credential: identifiers joined by dots, which may also hold dashes (Python reads those
/// as a subtraction, finds that it is no literal, and falls back to the name). What follows a `#` is a comment to
/// Python, and part of the name all the same: tokens have an attribute `x5t#S256`.
pub(crate) fn is_credential_name(source: &str) -> bool {
    let code = source.split('#').next().unwrap_or_default();
    code.split('-')
        .all(|part| is_whole_number(part) || part.split('.').enumerate().all(is_attribute))
}

/// Whether Python's `str.isspace` and regular expressions take a character for white space.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether two texts are equal once both are lower case.
pub(crate) fn equal_in_lower_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    a.to_lowercase() == b.to_lowercase()
}

/// Words that cannot be identifiers. `None`, `True` and `False` may begin a dotted name but not continue one.
const KEYWORDS: [&str; 32] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

fn is_attribute((position, name): (usize, &str)) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && !KEYWORDS.contains(&name)
        && (position == 0 || !matches!(name, "None" | "True" | "False"))
}

/// The text between quotes; `None` if it ends early or holds other escapes.
fn unescape(inner: &str, quote: char) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| matches!(c, '\'' | '"' | '\\'))?),
            '\n' | '\r' => return None,
            c if c == quote => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

fn number_literal(source: &str) -> Option<String> {
    let (sign, digits) = match source.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", source.strip_prefix('+').unwrap_or(source)),
    };
    if is_whole_number(digits) {
        let digits = if digits.starts_with('0') { "0" } else { digits };
        return Some(if digits == "0" {
            digits.to_owned()
        } else {
            format!("{sign}{digits}")
        });
    }
    let decimal = digits.starts_with(|c: char| c == '.' || c.is_ascii_digit())
        && digits.contains(['.', 'e', 'E'])
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let number: f64 = digits.parse().ok().filter(|_| decimal)?;
    Some(format!("{sign}{}", float_text(number)))
}

/// Decimal digits that Python reads as an integer: leading zeros only if there is nothing else.
fn is_whole_number(digits: &str) -> bool {
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (!digits.starts_with('0') || digits.bytes().all(|b| b == b'0'))
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_text(float),
        _ => number.to_string(),
    }
}

/// Both languages print the shortest digits that read back, and change to an exponent at the same sizes; only the
/// exponent looks different.
fn float_text(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// Writes what Python's `repr()` prints: the form that values have inside lists and dicts.
fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_quoted(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_quoted(out, name);
                out.push_str(": ");
                write_repr(out, field);
            }
            out.push('}');
        }
        plain => out.push_str(&text(plain)),
    }
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_print_as_in_python() {
        for (value, printed) in [
            (json!(null), "None"),
            (json!(true), "True"),
            (json!("it's"), "it's"),
            (json!(7), "7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(-0.0), "-0.0"),
            (json!(1.0), "1.0"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1.5e-7), "1.5e-07"),
            (json!(1e15), "1000000000000000.0"),
            (json!(1e16), "1e+16"),
            (json!(1e300), "1e+300"),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!(["a", 1, null, [false]]), "['a', 1, None, [False]]"),
            (
                json!({"k": "it's", "n": {"q": "a'b\"c"}}),
                r#"{'k': "it's", 'n': {'q': 'a\'b"c'}}"#,
            ),
            (
                json!(["a\\b\n\r\t\u{1}\u{7f}é"]),
                r"['a\\b\n\r\t\x01\x7fé']",
            ),
        ] {
            assert_eq!(text(&value), printed);
        }
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (source, printed) in [
            ("None", "None"),
            ("'a b'", "a b"),
            ("\"it's\"", "it's"),
            ("''", ""),
            (r#"'it\'s \"\\'"#, "it's \"\\"),
            ("+7", "7"),
            ("-12345678901234567890", "-12345678901234567890"),
            ("-0", "0"),
            ("000", "0"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("-0.0", "-0.0"),
            ("1e400", "inf"),
            ("007.5", "7.5"),
        ] {
            assert_eq!(literal(source).as_deref(), Some(printed), "{source}");
        }
        for source in [
            "", "'", "'a", "'a'b'", r"'\n'", r"'a\'", "07", "1_0", "0x1f", ".", "1e", "--1", "inf",
            "nan", "none", "-",
        ] {
            assert_eq!(literal(source), None, "{source}");
        }
    }

    #[test]
    fn credential_names_are_python_names() {
        for name in [
            "user_id",
            "token.project.domain.id",
            "_x1",
            "é",
            "a-b.c-d",
            "1-2",
            "None.a",
            "a-1",
            "True",
            "token.oauth2_credential.x5t#S256",
            "a#",
        ] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in [
            "", ".a", "a.", "a..b", "a.class", "class", "a.True", "1a", "a-01", "a b", "a$b", "(a",
            "-a", "a-", "#a", "a.#b",
        ] {
            assert!(!is_credential_name(name), "{name}");
        }
    }

    #[test]
    fn letter_case_is_ignored_beyond_ascii() {
        assert!(equal_in_lower_case("ADMIN", "admin"));
        assert!(equal_in_lower_case("\u{212a}elvin", "kelvin"));
        assert!(equal_in_lower_case("ΣΊΣΥΦΟΣ", "σίσυφος"));
        assert!(!equal_in_lower_case("Straße", "STRASSE"));
    }
}
