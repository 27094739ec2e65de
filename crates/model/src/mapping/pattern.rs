//! Regular expressions as Python's `re` reads them.
//!
//! A pattern is rewritten for the engine at hand, where both differ: `$` before a last newline,
//! what counts as a word or as white space, brackets and signs within classes, braces that repeat
//! nothing, and groups that the other language does not have.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::MappingError;

/// How often a search may go back before it is given up: patterns are an operator's, the text is
/// a stranger's.
const BACKTRACK_LIMIT: usize = 50_000;

/// A pattern of a rule, which may turn out to be unusable when it is needed.
#[derive(Clone)]
pub(super) struct Pattern {
    source: String,
    regex: Result<Regex, String>,
}

impl Pattern {
    pub(super) fn new(source: &Value) -> Self {
        let Value::String(source) = source else {
            return Self {
                source: source.to_string(),
                regex: Err("it is not a text".into()),
            };
        };
        let regex = compile(source);
        Self {
            source: source.clone(),
            regex,
        }
    }

    /// Whether it is found anywhere in a text.
    pub(super) fn is_found_in(&self, text: &str) -> Result<bool, MappingError> {
        let unusable = |reason| MappingError::Pattern {
            pattern: self.source.clone(),
            reason,
        };
        let regex = self.regex.as_ref();
        let regex = regex.map_err(|reason| unusable(reason.clone()))?;
        let found = regex.is_match(text);
        found.map_err(|error| unusable(error.to_string()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let mut translator = Translator {
        chars: pattern.chars().collect(),
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        ascii: false,
        multiline: false,
        asked: Vec::new(),
    };
    translator.run()?;
    let regex = RegexBuilder::new(&translator.out)
        .backtrack_limit(BACKTRACK_LIMIT)
        .build()
        .map_err(|error| error.to_string())?;
    // The engine would look for them without a check.
    for group in translator.asked {
        let known = match group.parse() {
            Ok(number) => (1..regex.captures_len()).contains(&number),
            Err(_) => regex.capture_names().flatten().any(|name| name == group),
        };
        if !known {
            return Err(format!("invalid group reference {group}"));
        }
    }
    Ok(regex)
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    /// The flag `a`: words, digits and white space are those of ASCII.
    ascii: bool,
    /// The flag `m`.
    multiline: bool,
    /// The groups on which something depends, by number or name.
    asked: Vec<String>,
}

/// One part of a class: a character, or a set of them.
enum Member {
    Char(char),
    Set(&'static str),
}

impl Translator {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.next() {
            match c {
                '$' if self.multiline => self.out.push('$'),
                '$' => self.out.push_str(r"(?=\n?\z)"),
                '\\' => self.escape()?,
                '[' => self.class()?,
                ']' | '}' => self.out.extend(['\\', c]),
                '{' => self.braces(),
                '(' if self.peek(0) == Some('?') => self.group()?,
                c => self.out.push(c),
            }
        }
        Ok(())
    }

    /// A repetition such as `{2,3}`; anything else in braces stands for itself.
    fn braces(&mut self) {
        let rest = &self.chars[self.at..];
        let end = rest.iter().position(|c| *c == '}');
        let inner: String = rest[..end.unwrap_or(0)].iter().collect();
        let (low, high) = inner.split_once(',').unwrap_or((&inner, &inner));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if inner.is_empty() || !digits(low) || !digits(high) {
            self.out.push_str(r"\{");
            return;
        }
        let low = if low.is_empty() { "0" } else { low };
        if inner.contains(',') {
            self.out.push_str(&format!("{{{low},{high}}}"));
        } else {
            self.out.push_str(&format!("{{{low}}}"));
        }
        self.at += inner.chars().count() + 1;
    }

    /// After `(`, at `?`.
    fn group(&mut self) -> Result<(), String> {
        let unknown = |c: Option<char>| match c {
            Some(c) => Err(format!("unknown extension ?{c}")),
            None => Err("unexpected end of pattern".into()),
        };
        let end = |chars: &[char]| chars.iter().position(|c| *c == ')');
        match self.peek(1) {
            Some('#') => {
                let length =
                    end(&self.chars[self.at..]).ok_or("missing ), unterminated comment")?;
                self.at += length + 1;
            }
            Some(':' | '=' | '!' | '>') => self.out.push('('),
            Some('(') => {
                let from = self.at + 2;
                let length = end(&self.chars[from..]).ok_or("missing ), unterminated name")?;
                let group: String = self.chars[from..from + length].iter().collect();
                let word = |c: char| c.is_alphanumeric() || c == '_';
                if group.is_empty() || !group.chars().all(word) {
                    return Err(format!("bad character in group name {group}"));
                }
                let number = group.chars().all(|c| c.is_ascii_digit());
                let (open, close) = if number { ("", "") } else { ("<", ">") };
                self.out.push_str(&format!("(?({open}{group}{close})"));
                self.at = from + length + 1;
                self.asked.push(group);
            }
            Some('<') if matches!(self.peek(2), Some('=' | '!')) => self.out.push('('),
            Some('P') if matches!(self.peek(2), Some('<' | '=')) => self.out.push('('),
            Some('P') => return unknown(self.peek(2)),
            Some(c) if c == '-' || c.is_ascii_alphabetic() => return self.flags(),
            other => return unknown(other),
        }
        Ok(())
    }

    /// `?i)`, `?i:` or `?i-s:`, after `(`.
    fn flags(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        let mut kept = String::new();
        let mut on = true;
        let end = loop {
            match self.next() {
                Some(end @ (')' | ':')) => break end,
                Some('-') => {
                    on = false;
                    kept.push('-');
                }
                Some('a') if on => self.ascii = true,
                Some('u') if on => self.ascii = false,
                Some(c @ ('i' | 'm' | 's' | 'x')) => {
                    if c == 'm' {
                        self.multiline = on;
                    }
                    kept.push(c);
                }
                Some(c) => return Err(format!("unknown flag {c}")),
                None => return Err("missing -, : or )".into()),
            }
        };
        if end == ')' && start != 1 {
            return Err("global flags not at the start of the expression".into());
        }
        match (end, kept.trim_end_matches('-')) {
            (')', "") => {}
            (_, kept) => self.out.push_str(&format!("(?{kept}{end}")),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.peek(0).ok_or("bad escape (end of pattern)")?;
        match c {
            'A' | 'b' | 'B' => {
                self.at += 1;
                self.out.extend(['\\', c]);
            }
            'Z' => {
                self.at += 1;
                self.out.push_str(r"\z");
            }
            '1'..='9' if !self.is_octal() => {
                self.at += 1;
                self.out.extend(['\\', c]);
                if let Some(second @ '0'..='9') = self.peek(0) {
                    self.at += 1;
                    self.out.push(second);
                }
            }
            _ => match self.escaped()? {
                Member::Set(set) => self.out.push_str(&format!("[{set}]")),
                Member::Char(c) => self.push_char(c),
            },
        }
        Ok(())
    }

    fn is_octal(&self) -> bool {
        let octal = |ahead| matches!(self.peek(ahead), Some('0'..='7'));
        matches!(self.peek(0), Some('0'..='3')) && octal(1) && octal(2)
    }

    /// What stands for one character or a set of them, after `\`.
    fn escaped(&mut self) -> Result<Member, String> {
        let c = self.next().ok_or("bad escape (end of pattern)")?;
        let set = |ascii, unicode| if self.ascii { ascii } else { unicode };
        Ok(match c {
            'd' => Member::Set(set("0-9", r"\d")),
            'D' => Member::Set(set("[^0-9]", r"\D")),
            's' => Member::Set(set(r"\t-\r ", r"\s\x1c-\x1f")),
            'S' => Member::Set(set(r"[^\t-\r ]", r"[^\s\x1c-\x1f]")),
            'w' => Member::Set(set("a-zA-Z0-9_", r"\p{L}\p{N}_")),
            'W' => Member::Set(set("[^a-zA-Z0-9_]", r"[^\p{L}\p{N}_]")),
            'a' => Member::Char('\x07'),
            'b' => Member::Char('\x08'),
            'f' => Member::Char('\x0c'),
            'n' => Member::Char('\n'),
            'r' => Member::Char('\r'),
            't' => Member::Char('\t'),
            'v' => Member::Char('\x0b'),
            'x' => Member::Char(self.hexadecimal(2)?),
            'u' => Member::Char(self.hexadecimal(4)?),
            'U' => Member::Char(self.hexadecimal(8)?),
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    self.at += 1;
                    code = code * 8 + digit;
                }
                Member::Char(char::from_u32(code).ok_or("octal escape out of range")?)
            }
            c if c.is_ascii_alphanumeric() => return Err(format!("bad escape \\{c}")),
            c => Member::Char(c),
        })
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<char, String> {
        let end = self.at + digits;
        let text: String = self.chars.get(self.at..end).unwrap_or(&[]).iter().collect();
        self.at = end;
        let code = u32::from_str_radix(&text, 16).ok();
        let code = code.filter(|_| text.bytes().all(|b| b.is_ascii_hexdigit()));
        code.and_then(char::from_u32)
            .ok_or_else(|| "incomplete escape".into())
    }

    /// A class, after `[`.
    fn class(&mut self) -> Result<(), String> {
        const OPEN: &str = "unterminated character set";
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.next().ok_or(OPEN)?;
            if c == ']' && !first {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let low = self.member(c)?;
            let is_range = self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c != ']');
            if !is_range {
                match low {
                    Member::Char(c) => self.push_char(c),
                    Member::Set(set) => self.out.push_str(set),
                }
                continue;
            }
            self.at += 1;
            let c = self.next().ok_or(OPEN)?;
            match (low, self.member(c)?) {
                (Member::Char(low), Member::Char(high)) if low <= high => {
                    self.push_char(low);
                    self.out.push('-');
                    self.push_char(high);
                }
                _ => return Err("bad character range".into()),
            }
        }
    }

    fn member(&mut self, c: char) -> Result<Member, String> {
        if c == '\\' {
            self.escaped()
        } else {
            Ok(Member::Char(c))
        }
    }

    /// A character that stands for itself, wherever it is.
    fn push_char(&mut self, c: char) {
        if c.is_alphanumeric() {
            self.out.push(c);
        } else {
            self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(pattern: &str, text: &str) -> bool {
        Pattern::new(&pattern.into()).is_found_in(text).unwrap()
    }

    #[test]
    fn a_dollar_also_stands_before_a_last_newline() {
        assert!(found("a$", "a\n"));
        assert!(!found("a$", "a\n\n"));
        assert!(!found(r"a\Z", "a\n"));
        assert!(found("(?m)a$", "a\nb"));
    }

    #[test]
    fn signs_that_mean_more_elsewhere_stand_for_themselves() {
        assert!(found("[[]", "["));
        assert!(found("[a&&b]", "&"));
        assert!(found("[]a]", "]"));
        assert!(found("a{b", "a{b"));
        assert!(found("a{,2}b", "b"));
        assert!(found(r"\/\-\@", "/-@"));
        assert!(found("[+--]", ","));
        assert!(!found(r"\S", " \u{1c}"));
    }

    #[test]
    fn what_python_does_not_know_is_refused() {
        for pattern in [
            r"\p{L}",
            r"\K",
            "(?<n>a)",
            "a(?i)",
            "[b-a]",
            "(",
            "[a",
            r"a\",
            "(?z)",
            "(a)?(?(3)b|c)",
            "(a)?(?(0)b|c)",
            "(?P<n>a)?(?(m)b|c)",
            "(?(?=a)b|c)",
            "(?(1",
            "(?()a)",
        ] {
            let error = Pattern::new(&pattern.into()).is_found_in("a").unwrap_err();
            assert!(!error.blames_assertion(), "{pattern}");
        }
    }

    #[test]
    fn what_depends_on_a_group_is_found() {
        assert!(found("^(a)?(?(1)b|c)$", "ab"));
        assert!(found("^(a)?(?(1)b|c)$", "c"));
        assert!(!found("^(a)?(?(1)b|c)$", "b"));
        assert!(found("^(?P<n>a)?(?(n)b|c)$", "ab"));
    }

    #[test]
    fn a_search_that_never_ends_is_given_up() {
        let pattern = Pattern::new(&r"^(a|a)*\1?$x".into());
        let error = pattern.is_found_in(&"a".repeat(40)).unwrap_err();
        assert!(matches!(error, MappingError::Pattern { .. }));
    }
}
