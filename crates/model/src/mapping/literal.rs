//! Reads the text of a Python list, as `ast.literal_eval` does.

use std::iter::Peekable;
use std::str::Chars;

/// How deep brackets may be nested.
const MAX_DEPTH: usize = 100;

/// A literal, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    List(Vec<Literal>),
    /// A number, a tuple, a dictionary, ...
    Other,
}

/// The items of a list; the text itself as the only item when it is not the text of a list.
pub(super) fn items(text: &str) -> Vec<Literal> {
    let mut reader = Reader {
        chars: text.trim_start_matches([' ', '\t']).chars().peekable(),
        depth: 0,
    };
    match reader.whole() {
        Some(Literal::List(items)) => items,
        _ => vec![Literal::Text(text.to_owned())],
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    depth: usize,
}

/// What stood between brackets.
struct Elements {
    items: Vec<Literal>,
    /// Whether a comma followed the last one.
    comma: bool,
}

impl Reader<'_> {
    fn whole(&mut self) -> Option<Literal> {
        self.skip_blank();
        let value = self.value()?;
        self.skip_blank();
        self.chars.next().is_none().then_some(value)
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.chars.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' | '\x0c' => drop(self.chars.next()),
                '#' => while self.chars.next_if(|c| *c != '\n').is_some() {},
                _ => return,
            }
        }
    }

    fn value(&mut self) -> Option<Literal> {
        match *self.chars.peek()? {
            '[' => Some(Literal::List(self.elements(']', false)?.items)),
            '(' => {
                let mut elements = self.elements(')', false)?;
                match elements.items.pop() {
                    // Parentheses alone change nothing.
                    Some(only) if elements.items.is_empty() && !elements.comma => Some(only),
                    _ => Some(Literal::Other),
                }
            }
            '{' => self.elements('}', true).map(|_| Literal::Other),
            '+' | '-' => {
                self.chars.next();
                self.skip_blank();
                self.number()
            }
            c if c == '.' || c.is_ascii_digit() => self.number(),
            '\'' | '"' => self.texts(String::new()),
            c if c.is_alphabetic() => {
                let mut word = String::new();
                while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                match self.chars.peek() {
                    Some('\'' | '"') => self.texts(word),
                    _ if matches!(word.as_str(), "None" | "True" | "False") => Some(Literal::Other),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn elements(&mut self, close: char, pairs: bool) -> Option<Elements> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.chars.next();
        let mut elements = Elements {
            items: Vec::new(),
            comma: true,
        };
        loop {
            self.skip_blank();
            if self.chars.next_if_eq(&close).is_some() {
                self.depth -= 1;
                // A comma alone is nothing.
                return Some(elements);
            }
            if !elements.comma {
                return None;
            }
            elements.items.push(self.value()?);
            self.skip_blank();
            if pairs && self.chars.next_if_eq(&':').is_some() {
                self.skip_blank();
                self.value()?;
                self.skip_blank();
            }
            elements.comma = self.chars.next_if_eq(&',').is_some();
        }
    }

    /// A number of any kind; what it is does not matter.
    fn number(&mut self) -> Option<Literal> {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|c| {
            let after_exponent = text.ends_with(['e', 'E']) && !text.starts_with("0x");
            c.is_ascii_alphanumeric()
                || matches!(c, '.' | '_')
                || (after_exponent && matches!(c, '+' | '-'))
        }) {
            text.push(c);
        }
        let lower = text.to_ascii_lowercase().replace('_', "");
        let radix = |prefix, radix| {
            let digits = lower.strip_prefix(prefix)?;
            u128::from_str_radix(digits, radix).ok()
        };
        let digits = lower.strip_suffix('j').unwrap_or(&lower);
        let is_decimal = digits.starts_with(|c: char| c == '.' || c.is_ascii_digit())
            && digits.parse::<f64>().is_ok();
        let is_integer = lower.bytes().all(|b| b.is_ascii_digit());
        let zero_first = is_integer && lower.starts_with('0') && lower.bytes().any(|b| b != b'0');
        let is_number = (is_decimal && !zero_first)
            || radix("0x", 16).is_some()
            || radix("0o", 8).is_some()
            || radix("0b", 2).is_some();
        is_number.then_some(Literal::Other)
    }

    /// Texts that follow each other, which are one.
    fn texts(&mut self, first_prefix: String) -> Option<Literal> {
        let mut prefix = first_prefix;
        let mut all = String::new();
        let mut kind = None;
        loop {
            let lower = prefix.to_ascii_lowercase();
            let (raw, bytes) = match lower.as_str() {
                "" | "u" => (false, false),
                "r" => (true, false),
                "b" => (false, true),
                "br" | "rb" => (true, true),
                _ => return None,
            };
            if *kind.get_or_insert(bytes) != bytes {
                return None;
            }
            self.text(raw, &mut all)?;
            self.skip_blank();
            prefix = String::new();
            while let Some(c) = self.chars.next_if(char::is_ascii_alphabetic) {
                prefix.push(c);
            }
            match self.chars.peek() {
                Some('\'' | '"') => {}
                _ if prefix.is_empty() => break,
                _ => return None,
            }
        }
        Some(if kind == Some(true) {
            Literal::Other
        } else {
            Literal::Text(all)
        })
    }

    fn text(&mut self, raw: bool, out: &mut String) -> Option<()> {
        let quote = self.chars.next()?;
        let mut triple = false;
        if self.chars.next_if_eq(&quote).is_some() {
            if self.chars.next_if_eq(&quote).is_none() {
                return Some(());
            }
            triple = true;
        }
        let mut quotes = 0;
        loop {
            let c = self.chars.next()?;
            if c == quote {
                quotes += 1;
                if !triple || quotes == 3 {
                    // Those that seemed to be part of the text.
                    out.truncate(out.len() - (quotes - 1));
                    return Some(());
                }
                out.push(c);
                continue;
            }
            quotes = 0;
            match c {
                '\\' if raw => {
                    out.push(c);
                    out.push(self.chars.next()?);
                }
                '\\' => self.escape(out)?,
                '\n' | '\r' if !triple => return None,
                '\0' => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.chars.next()?;
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            'x' => out.push(self.code(2)?),
            'u' => out.push(self.code(4)?),
            'U' => out.push(self.code(8)?),
            'N' => return None,
            '0'..='7' => {
                let mut code = c.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.chars.next_if(|c| c.is_digit(8)) else {
                        break;
                    };
                    code = code * 8 + digit.to_digit(8)?;
                }
                out.push(char::from_u32(code)?);
            }
            c => out.extend(['\\', c]),
        }
        Some(())
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.chars.next()?.to_digit(16)?;
        }
        char::from_u32(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn texts(text: &str) -> Vec<String> {
        let text_of = |literal| match literal {
            Literal::Text(text) => text,
            other => panic!("{other:?}"),
        };
        items(text).into_iter().map(text_of).collect()
    }

    #[test]
    fn lists_are_taken_apart() {
        assert_eq!(texts("['a', \"it's\"]"), ["a", "it's"]);
        assert_eq!(
            texts(" [ 'a' 'b' , r'\\n', u'\\x41\\u00e9', '''x'y''' ,] "),
            ["ab", "\\n", "Aé", "x'y"]
        );
        assert_eq!(texts("(['a'])"), ["a"]);
        assert_eq!(texts("[]"), [""; 0]);
        assert_eq!(items("[1, ['a'], (), {'a': 1}, None, -1.5e3]").len(), 6);
    }

    #[test]
    fn what_is_no_list_is_one_item() {
        for text in [
            "",
            "a",
            "a b",
            "'a'",
            "['a'",
            "[a, b]",
            "['a',,]",
            "[,]",
            "['a']]",
            "('a',)",
            "{}",
            "['a\n']",
            "[01]",
            "['a' b'c']",
            "[f'a']",
            "[\"\\x4\"]",
            "['a'] x",
            "5",
        ] {
            assert_eq!(texts(text), [text], "{text}");
        }
    }
}
