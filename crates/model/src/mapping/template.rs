//! Templates: text with places, as Python's `str.format` fills them.
//!
//! `{0}` is the first match, `{}` the next one in order, `{0[1]}` its second value, `{0!r}` how
//! Python would print it, and `{0:>8.3}` cuts and pads it. A brace that stands for itself is
//! doubled. What reaches into Python's own objects (`{0.upper}`) is refused.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use serde::Deserialize;

use super::MappingError;
use crate::python::push_repr;

/// How wide a value may be padded.
const MAX_WIDTH: usize = 4096;

/// What a condition let through to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Exactly one value.
    One(String),
    /// None, or several.
    Many(Arc<[String]>),
}

/// What all conditions of a rule let through, and how much may still be made of it.
pub(super) struct Matches<'a> {
    all: Vec<Match>,
    left: &'a Cell<usize>,
}

impl<'a> Matches<'a> {
    /// Templates may come to as many bytes as are `left`.
    pub(super) fn new(all: Vec<Match>, left: &'a Cell<usize>) -> Self {
        Self { all, left }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Match> {
        self.all.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn spend(&self, bytes: usize) -> Result<(), MappingError> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or(MappingError::TooMany {
            what: "bytes in the mapped values",
            most: super::evaluate::MAX_TEXT,
        })
    }
}

impl Match {
    pub(super) fn new(values: &Arc<[String]>) -> Self {
        match &values[..] {
            [value] => Self::One(value.clone()),
            _ => Self::Many(Arc::clone(values)),
        }
    }

    /// Python's `str`: several values print as a list.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::One(value) => Cow::Borrowed(value),
            Self::Many(_) => Cow::Owned(self.repr()),
        }
    }

    /// How many bytes its text has at least.
    fn length(&self) -> usize {
        match self {
            Self::One(value) => value.len(),
            Self::Many(values) => values.iter().map(String::len).sum(),
        }
    }

    fn repr(&self) -> String {
        let mut out = String::new();
        match self {
            Self::One(value) => push_repr(value, &mut out),
            Self::Many(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    push_repr(value, &mut out);
                }
                out.push(']');
            }
        }
        out
    }

    fn item(&self, index: usize) -> Option<Self> {
        match self {
            Self::One(text) => text.chars().nth(index).map(|c| Self::One(c.to_string())),
            Self::Many(values) => values.get(index).cloned().map(Self::One),
        }
    }
}

/// A text with places. One that does not read fails when it is filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Template {
    text: String,
    pieces: Result<Vec<Piece>, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    index: usize,
    items: Vec<usize>,
    conversion: Option<char>,
    format: Vec<Piece>,
}

impl From<String> for Template {
    fn from(text: String) -> Self {
        let pieces = Parser::new(&text).pieces(2);
        Self { text, pieces }
    }
}

impl Template {
    pub(super) fn fill(&self, matches: &Matches<'_>) -> Result<String, MappingError> {
        let pieces = self.pieces.as_ref();
        let pieces = pieces.map_err(|reason| self.broken(reason.clone()))?;
        self.fill_pieces(pieces, matches)
    }

    fn fill_pieces(&self, pieces: &[Piece], matches: &Matches<'_>) -> Result<String, MappingError> {
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    matches.spend(text.len())?;
                    out.push_str(text);
                }
                Piece::Place(place) => {
                    let format = self.fill_pieces(&place.format, matches)?;
                    out.push_str(&self.fill_place(place, &format, matches)?);
                }
            }
        }
        Ok(out)
    }

    fn fill_place(
        &self,
        place: &Place,
        format: &str,
        matches: &Matches<'_>,
    ) -> Result<String, MappingError> {
        let missing = || MappingError::NoSuchMatch {
            template: self.text.clone(),
            index: place.index,
            matches: matches.len(),
        };
        let found = matches.get(place.index).ok_or_else(missing)?;
        let mut found = Cow::Borrowed(found);
        for index in &place.items {
            let item = found.item(*index);
            found = Cow::Owned(item.ok_or_else(missing)?);
        }
        // Before anything is made of it, and at least something for each place.
        matches.spend(found.length().max(1))?;
        let found = match place.conversion {
            None => found,
            Some('r') => Cow::Owned(Match::One(found.repr())),
            Some('a') => Cow::Owned(Match::One(ascii(&found.repr()))),
            Some(_) => Cow::Owned(Match::One(found.text().into_owned())),
        };
        match (&*found, format) {
            (_, "") => Ok(found.text().into_owned()),
            (Match::One(text), format) => {
                let padded = pad(text, format).map_err(|reason| self.broken(reason.into()))?;
                matches.spend(padded.len().saturating_sub(text.len()))?;
                Ok(padded)
            }
            (Match::Many(_), _) => Err(self.broken("a list of values cannot be padded".into())),
        }
    }

    fn broken(&self, reason: String) -> MappingError {
        MappingError::Template {
            template: self.text.clone(),
            reason,
        }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    numbering: Option<Numbering>,
}

/// Places are numbered by themselves or by the author, never both in one text.
#[derive(Clone, Copy)]
enum Numbering {
    Automatic(usize),
    Manual,
}

impl Parser {
    fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
            numbering: None,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn pieces(&mut self, depth: usize) -> Result<Vec<Piece>, String> {
        if depth == 0 {
            return Err("places are nested too deeply".into());
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '{' | '}' if self.peek() == Some(c) => {
                    self.at += 1;
                    text.push(c);
                }
                '}' => return Err("there is a single '}'".into()),
                '{' => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Place(self.place(depth)?));
                }
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    /// A place, after its `{`.
    fn place(&mut self, depth: usize) -> Result<Place, String> {
        const OPEN: &str = "a '{' is not closed";
        let mut name = String::new();
        let mut inside_brackets = false;
        let end = loop {
            match self.next().ok_or(OPEN)? {
                end @ ('}' | ':' | '!') if !inside_brackets => break end,
                '{' if !inside_brackets => return Err("there is a '{' within a place".into()),
                c => {
                    match c {
                        '[' => inside_brackets = true,
                        ']' => inside_brackets = false,
                        _ => {}
                    }
                    name.push(c);
                }
            }
        };
        let mut end = end;
        let mut conversion = None;
        if end == '!' {
            let c = self.next().ok_or(OPEN)?;
            if !matches!(c, 'a' | 'r' | 's') {
                return Err(format!("there is no conversion !{c}"));
            }
            conversion = Some(c);
            end = self.next().ok_or(OPEN)?;
            if !matches!(end, ':' | '}') {
                return Err("':' must follow a conversion".into());
            }
        }
        let (index, items) = self.name(&name)?;
        let format = if end == ':' {
            self.format(depth)?
        } else {
            Vec::new()
        };
        Ok(Place {
            index,
            items,
            conversion,
            format,
        })
    }

    /// What follows `:` up to the closing brace, which may hold places itself.
    fn format(&mut self, depth: usize) -> Result<Vec<Piece>, String> {
        let start = self.at;
        let mut open = 1;
        while open > 0 {
            match self.next().ok_or("a '{' is not closed")? {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
        }
        let mut inner = Self {
            chars: self.chars[start..self.at - 1].to_vec(),
            at: 0,
            numbering: self.numbering,
        };
        let pieces = inner.pieces(depth - 1)?;
        self.numbering = inner.numbering;
        Ok(pieces)
    }

    /// The name of a place: a number or nothing, then items in brackets.
    fn name(&mut self, name: &str) -> Result<(usize, Vec<usize>), String> {
        let unknown = || format!("there is no value named {name:?}");
        let number = |text: &str| text.parse::<usize>().map_err(|_| unknown());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let first_end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(first_end);
        let index = match (first, self.numbering) {
            ("", None) => {
                self.numbering = Some(Numbering::Automatic(1));
                0
            }
            ("", Some(Numbering::Automatic(next))) => {
                self.numbering = Some(Numbering::Automatic(next + 1));
                next
            }
            (text, None | Some(Numbering::Manual)) if digits(text) => {
                self.numbering = Some(Numbering::Manual);
                number(text)?
            }
            (text, _) if text.is_empty() || digits(text) => {
                return Err("numbered and unnumbered places are mixed".into());
            }
            _ => return Err(unknown()),
        };
        let mut items = Vec::new();
        while !rest.is_empty() {
            let inner = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let Some((item, after)) = inner.filter(|(item, _)| digits(item)) else {
                return Err(unknown());
            };
            items.push(number(item)?);
            rest = after;
        }
        Ok((index, items))
    }
}

/// `[[fill]align][0][width][.precision][s]`, for text.
fn pad(text: &str, format: &str) -> Result<String, &'static str> {
    let mut rest: &[char] = &format.chars().collect::<Vec<_>>();
    let (mut fill, mut align) = (' ', '<');
    match rest {
        [c, a @ ('<' | '>' | '^' | '='), after @ ..] => {
            (fill, align, rest) = (*c, *a, after);
        }
        [a @ ('<' | '>' | '^' | '='), after @ ..] => (align, rest) = (*a, after),
        _ => {}
    }
    if align == '=' {
        return Err("text cannot be padded after its sign");
    }
    if let ['0', ..] = rest
        && fill == ' '
    {
        fill = '0';
    }
    let width = number(&mut rest)?.unwrap_or(0);
    let mut precision = None;
    if let ['.', after @ ..] = rest {
        rest = after;
        precision = Some(number(&mut rest)?.ok_or("a precision is missing after '.'")?);
    }
    if !matches!(rest, [] | ['s']) {
        return Err("text cannot be formatted like that");
    }
    let kept: String = text.chars().take(precision.unwrap_or(usize::MAX)).collect();
    let missing = width.saturating_sub(kept.chars().count());
    let before = match align {
        '<' => 0,
        '>' => missing,
        _ => missing / 2,
    };
    let filling = |count| std::iter::repeat_n(fill, count);
    let mut out = String::from_iter(filling(before));
    out.push_str(&kept);
    out.extend(filling(missing - before));
    Ok(out)
}

fn number(rest: &mut &[char]) -> Result<Option<usize>, &'static str> {
    let end = rest.iter().position(|c| !c.is_ascii_digit());
    let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    if digits.is_empty() {
        return Ok(None);
    }
    let number = String::from_iter(digits).parse();
    match number {
        Ok(number) if number <= MAX_WIDTH => Ok(Some(number)),
        _ => Err("a width is too large"),
    }
}

/// What Python's `ascii` makes of the text of `repr`.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match u32::from(c) {
            0..=0x7F => out.push(c),
            code @ ..=0xFF => out.push_str(&format!("\\x{code:02x}")),
            code @ ..=0xFFFF => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str) -> Result<String, MappingError> {
        let many = Match::new(&Arc::from(["a".to_owned(), "it's".to_owned()]));
        let one = Match::new(&Arc::from(["Jané".to_owned()]));
        let left = Cell::new(1_000_000);
        let matches = Matches::new(vec![one, many], &left);
        Template::from(template.to_owned()).fill(&matches)
    }

    #[test]
    fn places_are_filled_as_python_does() {
        for (template, filled) in [
            ("{0}", "Jané"),
            ("{} and {}", r#"Jané and ['a', "it's"]"#),
            ("{{{0}}}", "{Jané}"),
            ("{0[1]}{1[0]}", "aa"),
            ("{0!r}{0!a}{1!s:.2}", r"'Jané''Jan\xe9'['"),
            ("{0:*^8}|{0:>6}|{0:.2}|{0:06}", "**Jané**|  Jané|Ja|Jané00"),
            ("{0:{1[0]}>{0[0]}}", "never"),
            ("", ""),
        ] {
            match fill(template) {
                Ok(text) => assert_eq!(text, filled, "{template}"),
                Err(error) => assert_eq!(filled, "never", "{template}: {error}"),
            }
        }
    }

    #[test]
    fn templates_that_do_not_read_fail_when_filled_in() {
        for template in [
            "{",
            "}",
            "{0",
            "{0}{}",
            "{}{0}",
            "{name}",
            "{-1}",
            "{0.upper}",
            "{0[x]}",
            "{0!x}",
            "{0!r0}",
            "{0:=9}",
            "{0:+}",
            "{0:9999999}",
            "{1:9}",
            "{0:{0:{0}}}",
            "{0:d}",
            "{ 0}",
        ] {
            assert!(
                matches!(fill(template), Err(MappingError::Template { .. })),
                "{template}"
            );
        }
        for template in ["{2}", "{0[9]}", "{1[2]}"] {
            assert!(
                matches!(fill(template), Err(MappingError::NoSuchMatch { .. })),
                "{template}"
            );
        }
    }
}
