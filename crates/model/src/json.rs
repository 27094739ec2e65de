//! JSON in the textual forms that Keystone writes, to clients and into its database.
//!
//! Clients that compare text, and signatures over bodies, see these: `, ` and `: ` between the
//! parts of a resource, no blanks in an error, no character beyond ASCII in either, and numbers as
//! Python writes them.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Serializer, Value};

use crate::python;

/// The form of resources, and of what is stored: `{"a": 1, "b": [2, 3]}`.
pub fn spaced(value: &impl Serialize) -> String {
    write(value, Ascii(Spaced))
}

/// The same, added to a text.
pub fn push_spaced(out: &mut String, value: &impl Serialize) {
    let mut bytes = std::mem::take(out).into_bytes();
    write_to(&mut bytes, value, Ascii(Spaced));
    *out = String::from_utf8(bytes).expect("JSON is UTF-8");
}

/// The form of errors and OAuth replies: `{"a":1,"b":[2,3]}`.
pub fn compact(value: &impl Serialize) -> String {
    write(value, Ascii(CompactFormatter))
}

/// Reads JSON that Python wrote, which may hold what JSON does not know: half of a surrogate pair
/// becomes U+FFFD, and a float that is no number becomes null.
///
/// # Errors
///
/// When it is no JSON otherwise.
pub fn read(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&strict(text)))
}

/// Takes out of JSON what only Python reads.
fn strict(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_text = false;
    while let Some(first) = rest.chars().next() {
        let (taken, put) = match (in_text, first) {
            (true, '\\') => escape(rest),
            (false, 'N' | 'I' | '-') => {
                match NO_NUMBERS.iter().find(|name| rest.starts_with(**name)) {
                    Some(name) => (name.len(), "null"),
                    None => (1, &rest[..1]),
                }
            }
            (_, '"') => {
                in_text = !in_text;
                (1, "\"")
            }
            _ => (first.len_utf8(), &rest[..first.len_utf8()]),
        };
        out.push_str(put);
        rest = &rest[taken..];
    }
    out
}

/// What Python calls the floats that are no numbers.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The length of the escape that a text begins with, and what shall stand in its place.
fn escape(text: &str) -> (usize, &str) {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, &text[..12]),
        (Some(0xD800..=0xDFFF), _) => (6, "\\ufffd"),
        (Some(_), _) => (6, &text[..6]),
        (None, _) => {
            let length = 1 + text.chars().nth(1).map_or(0, char::len_utf8);
            (length, &text[..length])
        }
    }
}

fn write(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut out = Vec::with_capacity(512);
    write_to(&mut out, value, formatter);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn write_to(out: &mut Vec<u8>, value: &impl Serialize, formatter: impl Formatter) {
    value
        .serialize(&mut Serializer::with_formatter(out, formatter))
        .expect("documents have text keys and writing to memory does not fail");
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// What Python escapes beyond what JSON demands.
fn is_escaped(c: char) -> bool {
    !c.is_ascii() || c == '\u{7f}'
}

/// Writes floats as Python does, and all that is not printable ASCII as `\uXXXX`, in UTF-16 as JSON has it (RFC 8259 §7).
struct Ascii<F>(F);

impl<F: Formatter> Formatter for Ascii<F> {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(python::repr_float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for part in fragment.split_inclusive(is_escaped) {
            let Some(last) = part.chars().last().filter(|c| is_escaped(*c)) else {
                out.write_all(part.as_bytes())?;
                continue;
            };
            out.write_all(&part.as_bytes()[..part.len() - last.len_utf8()])?;
            for unit in last.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_have_blanks_and_errors_do_not() {
        let value = json!({"a": 1, "b": [2, {"c": null}], "d": {}});
        assert_eq!(
            spaced(&value),
            r#"{"a": 1, "b": [2, {"c": null}], "d": {}}"#
        );
        assert_eq!(compact(&value), r#"{"a":1,"b":[2,{"c":null}],"d":{}}"#);
    }

    #[test]
    fn floats_look_like_python_s() {
        let value: serde_json::Value =
            serde_json::from_str("[1.0, 1e3, 1e-7, -0.0, 1e22, 0.1]").unwrap();
        assert_eq!(compact(&value), "[1.0,1000.0,1e-07,-0.0,1e+22,0.1]");
    }

    #[test]
    fn floats_are_read_to_the_last_bit() {
        for (text, python) in [
            ("122.416294033786585", "122.41629403378658"),
            (
                "5566666666666666666666666666666666666666666666666666666664",
                "5.566666666666667e+57",
            ),
            ("5.566666666666667e+57", "5.566666666666667e+57"),
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(compact(&value), python, "{text}");
        }
    }

    #[test]
    fn what_is_not_ascii_is_escaped_as_utf_16() {
        assert_eq!(
            spaced(&"grün\n𝄞x\u{7f}"),
            r#""gr\u00fcn\n\ud834\udd1ex\u007f""#
        );
    }

    #[test]
    fn what_python_wrote_is_read() {
        for (text, value) in [
            (r#"{"a": "\ud83d\ude00"}"#, json!({"a": "\u{1f600}"})),
            (r#"{"a": "x\ud83dy"}"#, json!({"a": "x\u{fffd}y"})),
            (
                r#"{"\udc00": "\ud83d\ud83d\ude00\""}"#,
                json!({"\u{fffd}": "\u{fffd}\u{1f600}\""}),
            ),
            (
                r#"["NaN", NaN, -Infinity, -1, "\\ud800", Infinity]"#,
                json!(["NaN", null, null, -1, "\\ud800", null]),
            ),
            (r#"["\ud83d", "é\\"]"#, json!(["\u{fffd}", "é\\"])),
        ] {
            assert_eq!(read(text).unwrap(), value, "{text}");
        }
        for text in ["", "{", r#""\ud83d"#, r#""\"#, r#""\u12"#, "-", "NaN,"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
