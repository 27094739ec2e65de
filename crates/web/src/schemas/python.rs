//! Shows JSON values as Python does, because Keystone's error texts contain them.
//!
//! An integer beyond 64 bits was read as a float and is shown as one.

use model::python::{push_repr as push_repr_text, repr_float};
use serde_json::{Number, Value};

/// Python's `str(value)`.
pub(super) fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// Python's `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    push_repr(value, &mut out);
    out
}

/// Python's `repr(text)`.
pub(super) fn repr_str(text: &str) -> String {
    let mut out = String::new();
    push_repr_text(text, &mut out);
    out
}

fn push_repr(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&repr_number(number)),
        Value::String(text) => push_repr_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                push_repr(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                push_repr_text(name, out);
                out.push_str(": ");
                push_repr(value, out);
            }
            out.push('}');
        }
    }
}

fn repr_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => repr_float(float),
        _ => number.to_string(),
    }
}

/// Python's `pprint.pformat(value, width=72, sort_dicts=False)`, with every line but the first
/// moved to the right. What is much longer than anybody reads is cut.
pub(super) fn pretty(value: &Value, margin: usize) -> String {
    let mut printer = Printer { out: String::new() };
    printer.print(value, 0, 0, 0);
    if printer.is_full() {
        printer.out.push_str(" ...");
    }
    printer
        .out
        .replace('\n', &format!("\n{}", " ".repeat(margin)))
}

struct Printer {
    out: String,
}

const WIDTH: usize = 72;

/// How many bytes are printed. Each line begins below what it belongs to, which is as far to the
/// right as the names before it are long: a value can take the square of its own length.
const MOST: usize = 1 << 20;

impl Printer {
    /// Prints a value that begins in column `indent` and is followed on its last line by
    /// `allowance` characters.
    fn print(&mut self, value: &Value, indent: usize, allowance: usize, level: usize) {
        if self.is_full() {
            return;
        }
        if is_short(value)
            && let line = repr(value)
            && fits(&line, indent + allowance)
        {
            self.out.push_str(&line);
            return;
        }
        match value {
            Value::Object(fields) => {
                self.out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    let is_last = index + 1 == fields.len();
                    let name = repr_str(name);
                    self.out.push_str(&name);
                    self.out.push_str(": ");
                    let column = indent + 1 + name.chars().count() + 2;
                    let after = if is_last { allowance + 1 } else { 1 };
                    self.print(value, column, after, level + 1);
                    if !is_last {
                        self.separate(",", indent + 1);
                    }
                }
                self.out.push('}');
            }
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    let is_last = index + 1 == items.len();
                    let after = if is_last { allowance + 1 } else { 1 };
                    self.print(item, indent + 1, after, level + 1);
                    if !is_last {
                        self.separate(",", indent + 1);
                    }
                }
                self.out.push(']');
            }
            Value::String(text) => self.print_str(text, indent, allowance, level == 0),
            _ => self.out.push_str(&repr(value)),
        }
    }

    fn is_full(&self) -> bool {
        self.out.len() > MOST
    }

    /// Prints a string in pieces that fit; they need brackets unless something encloses them.
    fn print_str(&mut self, text: &str, indent: usize, allowance: usize, brackets: bool) {
        let extra = usize::from(brackets);
        let pieces = pieces(text, indent + extra, allowance + extra);
        if let [piece] = &pieces[..] {
            self.out.push_str(piece);
            return;
        }
        self.out.push_str(if brackets { "(" } else { "" });
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                self.separate("", indent + extra);
            }
            self.out.push_str(piece);
        }
        self.out.push_str(if brackets { ")" } else { "" });
    }

    fn separate(&mut self, separator: &str, indent: usize) {
        if self.is_full() {
            return;
        }
        self.out.push_str(separator);
        self.out.push('\n');
        self.out.push_str(&" ".repeat(indent));
    }
}

/// Whether a value may fit into a line: what has more parts or characters than a line has columns
/// need not be written to know that it does not.
fn is_short(value: &Value) -> bool {
    fn within(value: &Value, left: &mut usize) -> bool {
        let own = match value {
            Value::String(text) => text.len() / 4,
            _ => 1,
        };
        let Some(rest) = left.checked_sub(own) else {
            return false;
        };
        *left = rest;
        match value {
            Value::Array(items) => items.iter().all(|item| within(item, left)),
            Value::Object(fields) => fields
                .iter()
                .all(|(name, value)| name.len() / 4 <= WIDTH && within(value, left)),
            _ => true,
        }
    }
    let mut left = WIDTH;
    within(value, &mut left)
}

fn fits(line: &str, taken: usize) -> bool {
    line.chars().count() + taken <= WIDTH
}

/// Breaks a string at line ends and, where a line is too long, between words.
fn pieces(text: &str, indent: usize, allowance: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let lines = split_after(text, is_line_end);
    for (index, line) in lines.iter().enumerate() {
        let on_last_line = index + 1 == lines.len();
        let taken = indent + if on_last_line { allowance } else { 0 };
        let whole = repr_str(line);
        if fits(&whole, taken) {
            pieces.push(whole);
            continue;
        }
        let words = split_after(line, is_word_end);
        let mut current = String::new();
        for (index, word) in words.iter().enumerate() {
            let is_last = index + 1 == words.len();
            let candidate = format!("{current}{word}");
            if fits(&repr_str(&candidate), if is_last { taken } else { indent }) {
                current = candidate;
            } else {
                if !current.is_empty() {
                    pieces.push(repr_str(&current));
                }
                current = (*word).to_owned();
            }
        }
        pieces.push(repr_str(&current));
    }
    pieces
}

/// Splits behind every character at which `ends` answers yes, given the character that follows.
fn split_after(text: &str, ends: fn(char, Option<char>) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|&(_, next)| next);
        if next.is_none() || ends(c, next) {
            let end = at + c.len_utf8();
            parts.push(&text[start..end]);
            start = end;
        }
    }
    parts
}

/// Where Python's `str.splitlines` breaks.
fn is_line_end(c: char, next: Option<char>) -> bool {
    match c {
        '\r' => next != Some('\n'),
        '\n' | '\x0B' | '\x0C' | '\x1C'..='\x1E' | '\u{85}' | '\u{2028}' | '\u{2029}' => true,
        _ => false,
    }
}

/// Words carry the white space behind them.
fn is_word_end(c: char, next: Option<char>) -> bool {
    is_space(c) && !next.is_some_and(is_space)
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1C'..='\x1F')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_shown_as_python_shows_them() {
        for (float, shown) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (123_456_789.125, "123456789.125"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(repr_float(float), shown);
        }
    }

    #[test]
    fn strings_are_quoted_and_escaped_as_python_does() {
        for (text, shown) in [
            ("", "''"),
            ("it's", r#""it's""#),
            (r#"say "yes""#, r#"'say "yes"'"#),
            (r#"it's "both""#, r#"'it\'s "both"'"#),
            ("a\\b\t\r\n\0\u{7f}", r"'a\\b\t\r\n\x00\x7f'"),
            ("é 日本 🔑 e\u{301}", "'é 日本 🔑 e\u{301}'"),
            (
                "\u{a0}\u{ad}\u{200b}\u{e000}\u{e0001}",
                r"'\xa0\xad\u200b\ue000\U000e0001'",
            ),
        ] {
            assert_eq!(repr_str(text), shown);
        }
    }
}
