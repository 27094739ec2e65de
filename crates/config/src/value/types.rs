//! The types that only options have.

use std::{net::IpAddr, ops::Deref, str::FromStr};

use model::ids::DomainId;

use super::{Kind, Plain, Value};

/// The values of an option that may be given many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated<T>(Vec<T>);

impl<T> Deref for Repeated<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for Repeated<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T: Value> Value for Repeated<T> {
    const KIND: Kind = Kind::Repeated;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const WORDS: Option<&'static str> = T::WORDS;
    const SECRET: bool = T::SECRET;

    fn from_plain(plain: Plain) -> Option<Self> {
        Vec::from_plain(plain).map(Self)
    }
}

impl Value for DomainId {
    const KIND: Kind = Kind::Text;

    fn from_plain(plain: Plain) -> Option<Self> {
        String::from_plain(plain).map(Self::from)
    }
}

/// A URI with a scheme and a host, kept as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// The URI as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Uri {
    const KIND: Kind = Kind::Uri;

    fn from_plain(plain: Plain) -> Option<Self> {
        String::from_plain(plain).map(Self)
    }
}

/// A network of IP addresses, as `192.0.2.0/24` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let rest = |width: u8| u32::from(width - self.prefix);
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits())
                .checked_shr(rest(32))
                .is_none_or(|difference| difference == 0),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits())
                .checked_shr(rest(128))
                .is_none_or(|difference| difference == 0),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let width = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let prefix = match text.contains('/') {
            true => prefix.parse().map_err(|_| NotANetwork)?,
            false => width,
        };
        if prefix > width {
            return Err(NotANetwork);
        }
        Ok(Self { address, prefix })
    }
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, perhaps with a slash and the length of its prefix")]
pub struct NotANetwork;

impl Value for Network {
    const KIND: Kind = Kind::Text;
    const WORDS: Option<&'static str> =
        Some("networks separated by commas, such as 192.0.2.0/24 or 2001:db8::/32");

    fn from_plain(plain: Plain) -> Option<Self> {
        String::from_plain(plain)?.parse().ok()
    }
}

/// A number or a time that a negative number lifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
    /// Any amount; written as a negative number.
    Unlimited,
    /// At most so much.
    AtMost(T),
}

impl<T: Value> Value for Limit<T> {
    const KIND: Kind = T::KIND;
    const MAX: Option<i64> = T::MAX;

    fn from_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Integer(..0) => Some(Self::Unlimited),
            plain => T::from_plain(plain).map(Self::AtMost),
        }
    }
}
