//! What an option's text may say, and the types it becomes.

mod types;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use model::secret::Secret;

use super::ini::is_space;

pub use types::{Limit, Network, Repeated, Uri};

/// The kinds of value that oslo.config knows and Keystone uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text, or one of a few.
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Float,
    /// A yes or no.
    Boolean,
    /// Values separated by commas.
    List,
    /// Text that may be given many times, each time adding a value.
    Repeated,
    /// A URI with scheme and host.
    Uri,
}

/// A value read by the rules of its kind, not yet of an option's own type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    /// No value and no default.
    Unset,
    /// Text or a URI.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A yes or no.
    Boolean(bool),
    /// The values of a list or of an option given many times.
    List(Vec<String>),
}

/// What an option accepts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    /// The kind of value.
    pub(super) kind: Kind,
    /// The least number.
    pub(super) min: Option<i64>,
    /// The greatest number.
    pub(super) max: Option<i64>,
    /// The only texts accepted, for a list as its items; any when empty.
    pub(super) choices: Vec<&'static str>,
    /// The words for what is accepted, where the rest of the rule does not say it.
    pub(super) words: Option<&'static str>,
}

/// Why a text is not accepted: what would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

impl Rule {
    /// Reads one text; for a repeated option, one of its values.
    pub(super) fn read(&self, text: &str) -> Result<Plain, Refused> {
        match self.kind {
            Kind::Text | Kind::Repeated => self.chosen(text).map(Plain::Text),
            Kind::Integer => match text.trim_matches(is_space) {
                "" => Some(Plain::Unset),
                digits => integer(digits).map(Plain::Integer),
            }
            .ok_or_else(|| self.refused())
            .and_then(|value| self.within(value)),
            Kind::Float => match text.trim_matches(is_space) {
                "" => Some(Plain::Unset),
                digits => float(digits).map(Plain::Float),
            }
            .ok_or_else(|| self.refused())
            .and_then(|value| self.within(value)),
            Kind::Boolean => match text.to_lowercase().as_str() {
                "true" | "1" | "on" | "yes" => Ok(Plain::Boolean(true)),
                "false" | "0" | "off" | "no" => Ok(Plain::Boolean(false)),
                _ => Err(self.refused()),
            },
            Kind::List => self.list(text).map(Plain::List),
            Kind::Uri => match is_uri(text) {
                true => Ok(Plain::Text(text.to_owned())),
                false => Err(self.refused()),
            },
        }
    }

    /// What is accepted, in words.
    pub(super) fn describe(&self) -> String {
        if let Some(words) = self.words {
            return words.to_owned();
        }
        let choices = self.choices.join(", ");
        match (self.kind, self.choices.is_empty()) {
            (Kind::Text | Kind::Repeated, true) => "text".to_owned(),
            (Kind::Text | Kind::Repeated, false) => format!("one of {choices}"),
            (Kind::Integer, _) => format!("an integer{}", self.bounds()),
            (Kind::Float, _) => format!("a number{}", self.bounds()),
            (Kind::Boolean, _) => "true or false".to_owned(),
            (Kind::List, true) => "a list separated by commas".to_owned(),
            (Kind::List, false) => format!("a list separated by commas, of {choices}"),
            (Kind::Uri, _) => "a URI with scheme and host".to_owned(),
        }
    }

    fn bounds(&self) -> String {
        // A bound that the type alone sets is left out: nobody means so much.
        let max = self.max.filter(|max| *max < LONGEST);
        match (self.min, max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(", {min} or more"),
            (None, Some(max)) => format!(", {max} or less"),
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
        }
    }

    fn refused(&self) -> Refused {
        Refused(self.describe())
    }

    fn chosen(&self, text: &str) -> Result<String, Refused> {
        match self.choices.is_empty() || self.choices.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(self.refused()),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds of fractions are small whole numbers"
    )]
    fn within(&self, value: Plain) -> Result<Plain, Refused> {
        let (low, high) = match value {
            Plain::Integer(number) => (
                self.min.is_some_and(|min| number < min),
                self.max.is_some_and(|max| number > max),
            ),
            Plain::Float(number) => (
                self.min.is_some_and(|min| number < min as f64),
                self.max.is_some_and(|max| number > max as f64),
            ),
            _ => (false, false),
        };
        match (self.min, self.max) {
            (Some(min), _) if low => Err(Refused(format!("at least {min}"))),
            (_, Some(max)) if high => Err(Refused(format!("at most {max}"))),
            _ => Ok(value),
        }
    }

    /// Splits at commas. An item that is no choice takes in the next one, for it may hold a comma.
    fn list(&self, text: &str) -> Result<Vec<String>, Refused> {
        let text = text.trim_matches(is_space).trim_end_matches(',');
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut items = Vec::new();
        let mut pending = String::new();
        let mut refused = None;
        for part in text.split(',') {
            pending.push_str(part);
            match self.chosen(pending.trim_matches(is_space)) {
                Ok(item) => {
                    items.push(item);
                    pending.clear();
                    refused = None;
                }
                Err(error) => {
                    pending.push(',');
                    refused = Some(error);
                }
            }
        }
        refused.map_or(Ok(items), Err)
    }
}

/// A whole number as Python's `int` reads it: a sign, digits, single underscores between them.
fn integer(text: &str) -> Option<i64> {
    without_underscores(text)?.parse().ok()
}

/// A number as Python's `float` reads it.
fn float(text: &str) -> Option<f64> {
    without_underscores(text)?.parse().ok()
}

fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let placed = |(index, byte): (usize, &u8)| {
        *byte != b'_' || (index > 0 && digit(index - 1) && digit(index + 1))
    };
    bytes
        .iter()
        .enumerate()
        .all(placed)
        .then(|| text.replace('_', ""))
}

/// Whether a text is a URI with a scheme and a host (RFC 3986 §3); path and query may be anything.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host_is_valid, port) = match address.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, after)) => (is_ipv6(host), after),
            None => return false,
        },
        None => {
            let (host, port) = address.split_at(address.find(':').unwrap_or(address.len()));
            (is_name_or_ipv4(host), port)
        }
    };
    let port_is_valid = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let scheme_is_valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    scheme_is_valid && has_only(user, ":") && host_is_valid && port_is_valid
}

fn is_ipv6(host: &str) -> bool {
    // A zone follows an escaped percent sign (RFC 6874 §2).
    let address = host.split("%25").next().unwrap_or_default();
    address.parse::<Ipv6Addr>().is_ok()
}

fn is_name_or_ipv4(host: &str) -> bool {
    let looks_like_ipv4 = host.split('.').count() == 4
        && host
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    match looks_like_ipv4 {
        true => host.parse::<Ipv4Addr>().is_ok(),
        false => !host.is_empty() && has_only(host, ""),
    }
}

/// Whether a text holds only unreserved characters, sub-delimiters, escapes and `extra`
/// (RFC 3986 §2).
fn has_only(text: &str, extra: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let valid = match character {
            '%' => (0..2).all(|_| characters.next().is_some_and(|c| c.is_ascii_hexdigit())),
            c => c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c) || extra.contains(c),
        };
        if !valid {
            return false;
        }
    }
    true
}

/// A type that an option can have.
pub(super) trait Value: Sized {
    /// The kind of text it is written as.
    const KIND: Kind;
    /// The least number it holds.
    const MIN: Option<i64> = None;
    /// The greatest number it holds.
    const MAX: Option<i64> = None;
    /// The only texts it is written as.
    const CHOICES: &'static [&'static str] = &[];
    /// The words for what it accepts, where kind and choices do not say it.
    const WORDS: Option<&'static str> = None;
    /// Whether its value must not be shown.
    const SECRET: bool = false;

    /// Takes over a value that obeys the rule above; `None` when the type does not hold it.
    fn from_plain(plain: Plain) -> Option<Self>;

    /// The rule that the type itself sets.
    fn rule() -> Rule {
        Rule {
            kind: Self::KIND,
            min: Self::MIN,
            max: Self::MAX,
            choices: Self::CHOICES.to_vec(),
            words: Self::WORDS,
        }
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Boolean;

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

impl Value for i64 {
    const KIND: Kind = Kind::Integer;

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl Value for u32 {
    const KIND: Kind = Kind::Integer;
    const MIN: Option<i64> = Some(0);
    const MAX: Option<i64> = Some(u32::MAX as i64);

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Integer(number) => number.try_into().ok(),
            _ => None,
        }
    }
}

/// A hundred years in seconds. What is added to a time stays far within the years that calendars,
/// databases and tokens can hold.
const LONGEST: i64 = 36_525 * 86_400;

/// Seconds.
impl Value for Duration {
    const KIND: Kind = Kind::Integer;
    const MIN: Option<i64> = Some(0);
    const MAX: Option<i64> = Some(LONGEST);

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Integer(seconds) => seconds.try_into().ok().map(Self::from_secs),
            _ => None,
        }
    }
}

impl Value for String {
    const KIND: Kind = Kind::Text;

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Value for PathBuf {
    const KIND: Kind = Kind::Text;
    const WORDS: Option<&'static str> = Some("a path");

    fn from_plain(plain: Plain) -> Option<Self> {
        String::from_plain(plain).map(Self::from)
    }
}

impl Value for Secret<String> {
    const KIND: Kind = Kind::Text;
    const SECRET: bool = true;

    fn from_plain(plain: Plain) -> Option<Self> {
        String::from_plain(plain).map(Self::new)
    }
}

impl Value for SocketAddr {
    const KIND: Kind = Kind::Text;
    const WORDS: Option<&'static str> =
        Some("addresses with ports separated by commas, such as 127.0.0.1:5000");

    fn from_plain(plain: Plain) -> Option<Self> {
        String::from_plain(plain)?.parse().ok()
    }
}

/// Unset, and so is an empty text: Keystone treats the two alike.
impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const MIN: Option<i64> = T::MIN;
    const MAX: Option<i64> = T::MAX;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const WORDS: Option<&'static str> = T::WORDS;
    const SECRET: bool = T::SECRET;

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Unset => Some(None),
            Plain::Text(text) if text.is_empty() => Some(None),
            plain => T::from_plain(plain).map(Some),
        }
    }
}

/// A list separated by commas.
impl<T: Value> Value for Vec<T> {
    const KIND: Kind = Kind::List;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const WORDS: Option<&'static str> = T::WORDS;

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Unset => Some(Self::new()),
            Plain::List(items) => items
                .into_iter()
                .map(|item| T::from_plain(Plain::Text(item)))
                .collect(),
            _ => None,
        }
    }
}

/// Defines an enum whose variants are written as fixed words.
macro_rules! choices {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The word for it.
            $visibility fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl $crate::value::Value for $name {
            const KIND: $crate::value::Kind = $crate::value::Kind::Text;
            const CHOICES: &'static [&'static str] = &[$($word,)*];

            fn from_plain(plain: $crate::value::Plain) -> Option<Self> {
                match String::from_plain(plain)?.as_str() {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use choices;

#[cfg(test)]
mod tests;
