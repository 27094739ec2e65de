//! Signed tokens of the provider (RFC 7519, RFC 7515), read and then judged.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use model::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::KeySet;
use super::settings::ALGORITHMS;
use super::shown;
use crate::driver::Failure;

/// Longer tokens are not read.
const MAX_LENGTH: usize = 64 * 1024;

/// What a token says, before anything of it was checked. Only [`Unverified::verify`] gives it out.
pub(super) struct Unverified<T> {
    claims: T,
    header: Header,
    /// Header and claims as they were signed.
    signed: String,
    signature: String,
}

/// What a token says of itself (RFC 7515 §4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Statements of the provider that were checked, by name.
#[derive(Clone, Default)]
pub(super) struct Claims(Map<String, Value>);

/// A token's claims, and how they were signed.
pub(super) struct Verified {
    pub(super) claims: Claims,
    pub(super) algorithm: Algorithm,
}

/// What a token must say.
pub(super) struct Rules<'a> {
    /// By whom it was issued.
    pub(super) issuer: &'a str,
    /// For whom: at least one of these.
    pub(super) audiences: &'a [&'a str],
    /// Which signatures count.
    pub(super) algorithms: &'a [Algorithm],
    /// The names of its kind that are accepted in `typ`, in lower case and without `application/`,
    /// if there is one at all (RFC 8725 §3.11).
    pub(super) types: &'a [&'a str],
    /// Whether it must say until when it is good.
    pub(super) must_expire: bool,
    pub(super) now: Timestamp,
    pub(super) skew: TimeDelta,
}

/// Why a token is not good.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It is not signed by any of these keys, for this reason. There may be newer ones.
    Unsigned(&'static str),
    /// Anything else.
    Refused(String),
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unsigned(reason) => refused(reason),
            Rejection::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// The failure of a proof that is not good.
pub(super) fn refused(reason: impl Into<String>) -> Failure {
    Failure::Refused(reason.into())
}

impl Unverified<Claims> {
    /// Reads a token in the compact form (RFC 7515 §3.1).
    pub(super) fn parse(text: &str) -> Result<Self, Rejection> {
        let malformed = |what: &str| Rejection::Refused(format!("the token is malformed: {what}"));
        if text.len() > MAX_LENGTH {
            return Err(malformed("it is too long"));
        }
        let (signed, signature) = text
            .rsplit_once('.')
            .ok_or_else(|| malformed("it has no signature"))?;
        let (header, claims) = signed
            .split_once('.')
            .ok_or_else(|| malformed("it has no claims"))?;
        let decode = |part: &str, what| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
            bytes.map_err(|_| malformed(what))
        };
        let header: Header = serde_json::from_slice(&decode(header, "its header")?)
            .map_err(|_| malformed("its header"))?;
        let claims = serde_json::from_slice(&decode(claims, "its claims")?)
            .map_err(|_| malformed("its claims"))?;
        Ok(Self {
            claims: Claims(claims),
            header,
            signed: signed.to_owned(),
            signature: signature.to_owned(),
        })
    }

    /// Checks the signature, then issuer, audience and times (RFC 7519 §7.2).
    pub(super) fn verify(&self, keys: &KeySet, rules: &Rules<'_>) -> Result<Verified, Rejection> {
        let refused = |reason: String| Err(Rejection::Refused(reason));
        let name = &self.header.alg;
        let known = ALGORITHMS.iter().find(|(known, _)| known == name);
        let algorithm = match known {
            Some((_, algorithm)) if rules.algorithms.contains(algorithm) => *algorithm,
            _ => return refused("its kind of signature is not accepted".into()),
        };
        // RFC 7515 §4.1.11: we know no extension.
        if self.header.crit.is_some() {
            return refused("the token demands an extension that is not known here".into());
        }
        if let Some(typ) = &self.header.typ {
            let lower = typ.to_ascii_lowercase();
            let kind = lower.strip_prefix("application/").unwrap_or(&lower);
            if !rules.types.contains(&kind) {
                return refused("it is another kind of token".into());
            }
        }
        let id = self.header.kid.as_deref();
        let mut candidates = keys.fitting(id, algorithm).peekable();
        if candidates.peek().is_none() {
            let reason = "the provider has no such key as signed the token";
            return Err(Rejection::Unsigned(reason));
        }
        if !candidates.any(|key| key.signed(&self.signed, &self.signature, algorithm)) {
            return Err(Rejection::Unsigned("its signature is wrong"));
        }
        self.claims.check(rules).map_err(Rejection::Refused)?;
        Ok(Verified {
            claims: self.claims.clone(),
            algorithm,
        })
    }
}

impl Claims {
    /// Takes what the provider answered us directly, over TLS, so without a signature.
    pub(super) fn of_reply(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// A claim that is a time; an error when it is none.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        // RFC 7519 §2: seconds, maybe with a fraction.
        let seconds = match (value.as_i64(), value.as_f64()) {
            (Some(seconds), _) => Some(seconds),
            (None, Some(seconds)) if seconds.abs() < 1e15 => Some(seconds as i64),
            _ => None,
        };
        let time = seconds.and_then(|seconds| Timestamp::from_timestamp(seconds, 0));
        time.map(Some)
            .ok_or_else(|| format!("its {name} is no time"))
    }

    /// For whom the token is (RFC 7519 §4.1.3: one text or a list); none for anything else.
    pub(super) fn audiences(&self) -> Vec<&str> {
        match self.value("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The user, in the provider's words.
    pub(super) fn subject(&self) -> Result<&str, String> {
        match self.text("sub") {
            Some(subject) if !subject.is_empty() => Ok(subject),
            _ => Err("it does not say of whom it speaks".into()),
        }
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// These, and those of others where these say nothing.
    pub(super) fn or(mut self, others: Self) -> Self {
        for (name, value) in others.0 {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    /// Says what came of a claim, and what would have been right.
    pub(super) fn differs(&self, what: &str, name: &str, expected: &[&str]) -> String {
        let came = match self.value(name) {
            Some(value) => shown(&value.to_string()),
            None => "nothing".to_owned(),
        };
        let expected: Vec<_> = expected.iter().map(|one| format!("{one:?}")).collect();
        let expected = expected.join(" or ");
        format!("{what}: {came} came, and {expected} is expected")
    }

    fn check(&self, rules: &Rules<'_>) -> Result<(), String> {
        if self.text("iss") != Some(rules.issuer) {
            return Err(self.differs("it is of another issuer", "iss", &[rules.issuer]));
        }
        let audiences = self.audiences();
        if !audiences.iter().any(|name| rules.audiences.contains(name)) {
            return Err(self.differs("it is for another audience", "aud", rules.audiences));
        }
        self.check_times(rules.now, rules.skew, rules.must_expire)
    }

    /// Checks that it is neither expired nor of the future (RFC 7519 §4.1.4 to §4.1.6).
    pub(super) fn check_times(
        &self,
        now: Timestamp,
        skew: TimeDelta,
        must_expire: bool,
    ) -> Result<(), String> {
        match self.time("exp")? {
            Some(end) if end <= now - skew => return Err("it has expired".into()),
            None if must_expire => return Err("it does not say when it expires".into()),
            _ => {}
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|begin| begin > now + skew) {
                return Err("it is from the future".into());
            }
        }
        Ok(())
    }
}
