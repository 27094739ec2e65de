//! The text forms in which hashed secrets are stored, as passlib began and Keystone continues them.
//!
//! | algorithm | stored as |
//! | --- | --- |
//! | bcrypt | `$2b$<cost>$<22 salt><31 digest>` |
//! | bcrypt over SHA-256 | `$bcrypt-sha256$v=2,t=2b,r=<cost>$<22 salt>$<31 digest>` |
//! | scrypt | `$scrypt$ln=<log2 N>,r=<r>,p=<p>$<salt>$<32 byte digest>` |
//! | PBKDF2 with HMAC-SHA-512 | `$pbkdf2-sha512$<rounds>$<salt>$<64 byte digest>` |
//!
//! The salts and digests of the last two are unpadded base64 in which `.` may stand for `+`.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::{Random as _, SystemRandomness};

/// How to hash a new secret: an algorithm and what it costs.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    Bcrypt {
        cost: u32,
    },
    BcryptSha256 {
        cost: u32,
    },
    Scrypt {
        params: scrypt::Params,
        salt_bytes: usize,
    },
    Pbkdf2Sha512 {
        rounds: NonZeroU32,
        salt_bytes: usize,
    },
}

/// A stored hash that no known format describes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownFormat;

const SCRYPT_DIGEST_BYTES: usize = 32;
const PBKDF2_DIGEST_BYTES: usize = digest::SHA512_OUTPUT_LEN;

/// Of the characters after its parameters, bcrypt uses this many for the digest.
const BCRYPT_DIGEST_CHARS: usize = 31;

/// Reads what Python's base64 reads: padded or not, with any unused bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Hashes a secret with a fresh salt.
pub(super) fn hash(scheme: Scheme, secret: &[u8]) -> String {
    match scheme {
        Scheme::Bcrypt { cost } => bcrypt(secret, cost, random(16)),
        Scheme::BcryptSha256 { cost } => {
            let salt = random(16);
            let salt_text = bcrypt::BASE_64.encode(&salt);
            let hashed = bcrypt(keyed_sha256(&salt_text, secret).as_bytes(), cost, salt);
            let digest = &hashed[hashed.len() - BCRYPT_DIGEST_CHARS..];
            format!("$bcrypt-sha256$v=2,t=2b,r={cost}${salt_text}${digest}")
        }
        Scheme::Scrypt { params, salt_bytes } => {
            let salt = random(salt_bytes);
            let digest = BASE64.encode(scrypt(secret, &salt, &params));
            let (ln, r, p) = (params.log_n(), params.r(), params.p());
            let salt = BASE64.encode(salt);
            format!("$scrypt$ln={ln},r={r},p={p}${salt}${digest}")
        }
        Scheme::Pbkdf2Sha512 { rounds, salt_bytes } => {
            let salt = random(salt_bytes);
            let mut digest = [0; PBKDF2_DIGEST_BYTES];
            pbkdf2::derive(
                pbkdf2::PBKDF2_HMAC_SHA512,
                rounds,
                &salt,
                secret,
                &mut digest,
            );
            let (salt, digest) = (BASE64.encode(salt), BASE64.encode(digest));
            format!("$pbkdf2-sha512${rounds}${salt}${digest}")
        }
    }
}

/// Tells whether `stored` was made from `secret`, by whichever algorithm `stored` names.
pub(super) fn verify(secret: &[u8], stored: &str) -> Result<bool, UnknownFormat> {
    let parts: Vec<&str> = stored.split('$').collect();
    match parts[..] {
        ["", "2a" | "2b" | "2x" | "2y", _, _] => {
            bcrypt::verify(secret, stored).map_err(|_| UnknownFormat)
        }
        ["", "bcrypt-sha256", params, salt, digest] => {
            verify_bcrypt_sha256(secret, params, salt, digest)
        }
        // `$7$` is another way to write scrypt, which Keystone takes for its own.
        ["", "scrypt" | "7", params, salt, digest] => verify_scrypt(secret, params, salt, digest),
        ["", "pbkdf2-sha512", rounds, salt, digest] => verify_pbkdf2(secret, rounds, salt, digest),
        _ => Err(UnknownFormat),
    }
}

fn verify_bcrypt_sha256(
    secret: &[u8],
    params: &str,
    salt: &str,
    digest: &str,
) -> Result<bool, UnknownFormat> {
    let (version, cost, key) = match (param(params, "t="), param(params, "r=")) {
        (Some(version), Some(cost)) => (version, cost, keyed_sha256(salt, secret)),
        // passlib before 1.7.3 wrote `2b,12` and hashed without a key.
        _ => {
            let (version, cost) = params.split_once(',').ok_or(UnknownFormat)?;
            (version, cost, plain_sha256(secret))
        }
    };
    let cost: u32 = number(cost)?;
    let stored = format!("${version}${cost:02}${salt}{digest}");
    bcrypt::verify(key.as_bytes(), &stored).map_err(|_| UnknownFormat)
}

fn verify_scrypt(
    secret: &[u8],
    params: &str,
    salt: &str,
    digest: &str,
) -> Result<bool, UnknownFormat> {
    let required = |name| param(params, name).ok_or(UnknownFormat);
    let (log_n, r, p) = (required("ln=")?, required("r=")?, required("p=")?);
    let params = scrypt_params(number(log_n)?, number(r)?, number(p)?).ok_or(UnknownFormat)?;
    let (salt, digest) = (decode(salt)?, decode(digest)?);
    Ok(scrypt(secret, &salt, &params)[..].ct_eq(&digest).into())
}

fn verify_pbkdf2(
    secret: &[u8],
    rounds: &str,
    salt: &str,
    digest: &str,
) -> Result<bool, UnknownFormat> {
    let rounds: NonZeroU32 = number(rounds)?;
    let (salt, digest) = (decode(salt)?, decode(digest)?);
    // Otherwise the first bytes alone would decide.
    let whole = digest.len() == PBKDF2_DIGEST_BYTES;
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
    Ok(whole && pbkdf2::verify(algorithm, rounds, &salt, secret, &digest).is_ok())
}

/// bcrypt in version 2b. Only the first 72 bytes of the secret count.
fn bcrypt(secret: &[u8], cost: u32, salt: Vec<u8>) -> String {
    let salt = salt.try_into().expect("bcrypt's salt has 16 bytes");
    bcrypt::hash_with_salt(secret, cost, salt)
        .expect("the settings have been checked with these bounds")
        .to_string()
}

/// What bcrypt is given instead of the secret: text, so that no zero byte can end it early.
fn keyed_sha256(salt: &str, secret: &[u8]) -> Zeroizing<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    let tag = hmac::sign(&key, secret);
    Zeroizing::new(base64::prelude::BASE64_STANDARD.encode(tag))
}

fn plain_sha256(secret: &[u8]) -> Zeroizing<String> {
    let digest = digest::digest(&digest::SHA256, secret);
    Zeroizing::new(base64::prelude::BASE64_STANDARD.encode(digest))
}

/// Parameters that RFC 7914 §2 allows and that need at most 4 GiB: the algorithm's crate would let
/// a damaged row take the process's memory.
pub(super) fn scrypt_params(log_n: u8, r: u32, p: u32) -> Option<scrypt::Params> {
    let memory = (128 * u128::from(r)) << log_n.min(64);
    let possible = memory <= 1 << 32 && u64::from(r) * u64::from(p) < 1 << 30;
    possible
        .then(|| scrypt::Params::new(log_n, r, p).ok())
        .flatten()
}

fn scrypt(secret: &[u8], salt: &[u8], params: &scrypt::Params) -> [u8; SCRYPT_DIGEST_BYTES] {
    let mut digest = [0; SCRYPT_DIGEST_BYTES];
    scrypt::scrypt(secret, salt, params, &mut digest).expect("32 bytes are a possible length");
    digest
}

fn random(bytes: usize) -> Vec<u8> {
    let mut salt = vec![0; bytes];
    SystemRandomness::default().fill(&mut salt);
    salt
}

/// The value of `name` (with its `=`) in a list like `ln=16,r=8,p=1`, which has no fixed order.
fn param<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params.split(',').find_map(|param| param.strip_prefix(name))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, UnknownFormat> {
    text.parse().map_err(|_| UnknownFormat)
}

fn decode(text: &str) -> Result<Vec<u8>, UnknownFormat> {
    BASE64
        .decode(text.replace('.', "+"))
        .map_err(|_| UnknownFormat)
}
