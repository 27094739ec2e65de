//! Judging a response (SAML Profiles §4.1.4.3).

use bergshamra::Key;
use chrono::TimeDelta;
use model::Timestamp;

use super::assertion::{self, Wanted};
use super::decrypt::decrypt;
use super::metadata::IdentityProvider;
use super::settings::Settings;
use super::verified::Covered;
use super::xml::{self, Element, refused};
use crate::driver::{Failure, Verified};

pub(super) const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// A longer message of the provider is cut for the log.
const MAX_MESSAGE: usize = 200;

/// What a response is held against.
pub(super) struct Expected<'a> {
    pub(super) settings: &'a Settings,
    pub(super) provider: &'a IdentityProvider,
    /// The keys that open what is encrypted for us.
    pub(super) decryption_keys: &'a [Key],
    /// What it must answer; `None` when nobody asked.
    pub(super) request_id: Option<&'a str>,
    /// The URL that it came to.
    pub(super) callback_url: &'a str,
    /// When it was asked for; now, when nobody asked.
    pub(super) began: Timestamp,
    pub(super) now: Timestamp,
}

impl Expected<'_> {
    pub(super) fn skew(&self) -> TimeDelta {
        self.settings.clock_skew
    }
}

/// Why a response is not accepted, and whether another key of the provider could change that.
pub(super) struct Rejected {
    pub(super) failure: Failure,
    pub(super) at_signatures: bool,
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            at_signatures: false,
        }
    }
}

fn at_signatures(failure: Failure) -> Rejected {
    Rejected {
        failure,
        at_signatures: true,
    }
}

/// Judges the response in a document, given as XML.
pub(super) fn judge(text: &str, expected: &Expected<'_>) -> Result<Verified, Rejected> {
    let document = xml::parse(text)?;
    let outermost = Element::outermost(&document)?;
    judge_within(outermost, outermost, expected)
}

/// Validates the response within a document, such as a SOAP message.
pub(super) fn judge_within(
    outermost: Element<'_>,
    response: Element<'_>,
    expected: &Expected<'_>,
) -> Result<Verified, Rejected> {
    let (plain, encrypted) = the_assertion(outermost, response)?;
    check_response(response, expected)?;
    let mut may_be_signed = vec![response];
    may_be_signed.extend(plain);
    let keys = &expected.provider.keys;
    let covered = Covered::by_signatures(outermost, &may_be_signed, keys).map_err(at_signatures)?;
    let settings = expected.settings;
    if covered.itself(response) {
        // SAML Bindings §3.5.5.2.
        if response.attribute("Destination").is_none() {
            return Err(refused("the response is signed but names no Destination").into());
        }
    } else if settings.want_response_signed {
        return Err(refused("the response itself is not signed").into());
    }
    match (plain, encrypted) {
        (Some(assertion), None) => {
            if settings.want_assertions_encrypted {
                return Err(refused("the assertion is not encrypted").into());
            }
            if settings.want_assertions_signed && !covered.itself(assertion) {
                return Err(refused("the assertion itself is not signed").into());
            }
            let verified = covered.verified(assertion).ok_or_else(not_signed)?;
            Ok(assertion::read(verified, &wanted(expected))?)
        }
        (None, Some(encrypted)) => {
            let unchanged = covered.verified(encrypted).is_some();
            let unchanged = unchanged || settings.allow_cbc;
            let text = decrypt(encrypted, expected.decryption_keys, unchanged)?;
            let document = xml::parse(&text)?;
            let assertion = Element::outermost(&document)?;
            let (only, none) = the_assertion(assertion, assertion)?;
            if only.is_none() || none.is_some() {
                return Err(refused("what was encrypted is not one assertion").into());
            }
            let within =
                Covered::by_signatures(assertion, &[assertion], keys).map_err(at_signatures)?;
            if settings.want_assertions_signed && !within.itself(assertion) {
                return Err(refused("the assertion itself is not signed").into());
            }
            let verified = within
                .verified_within(assertion, encrypted, &covered)
                .ok_or_else(not_signed)?;
            Ok(assertion::read(verified, &wanted(expected))?)
        }
        _ => Err(refused("the response holds no assertion").into()),
    }
}

fn not_signed() -> Failure {
    refused("no signature covers the assertion")
}

fn wanted<'a>(expected: &'a Expected<'a>) -> Wanted<'a> {
    Wanted {
        issuer: &expected.provider.entity_id,
        audience: &expected.settings.entity_id,
        audience_required: expected.settings.require_audience,
        recipient: expected.callback_url,
        request_id: expected.request_id,
        authn_context: &expected.settings.authn_context,
        authenticated_since: expected.settings.force_authn.then_some(expected.began),
        attribute_prefix: &expected.settings.attribute_prefix,
        now: expected.now,
        skew: expected.skew(),
    }
}

/// The one assertion that there is, plain or encrypted. A second one, or a response or assertion
/// anywhere but in its place, is how signatures are wrapped.
fn the_assertion<'d>(
    outermost: Element<'d>,
    response: Element<'d>,
) -> Result<(Option<Element<'d>>, Option<Element<'d>>), Failure> {
    let mut found = (None, None);
    for element in outermost.with_descendants() {
        let plain = element.is(xml::ASSERTION, "Assertion");
        let encrypted = element.is(xml::ASSERTION, "EncryptedAssertion");
        if element.is(xml::PROTOCOL, "Response") && element.node() != response.node() {
            return Err(refused("a response stands within another"));
        }
        if !plain && !encrypted {
            continue;
        }
        let in_place = element.node() == response.node()
            || element
                .parent()
                .is_some_and(|parent| parent.node() == response.node());
        if !in_place || found.0.is_some() || found.1.is_some() {
            return Err(refused(
                "there is more than one assertion, or one out of its place",
            ));
        }
        if plain {
            found.0 = Some(element);
        } else {
            found.1 = Some(element);
        }
    }
    Ok(found)
}

/// Checks the response itself. Unless a signature covers it, anybody may have written all this; so
/// it can only speak against the response.
fn check_response(response: Element<'_>, expected: &Expected<'_>) -> Result<(), Failure> {
    if !response.is(xml::PROTOCOL, "Response") {
        return Err(refused("it is no SAML response"));
    }
    if response.attribute("Version") != Some("2.0") {
        return Err(refused("it is no response of SAML 2.0"));
    }
    check_issuer(response, &expected.provider.entity_id)?;
    let destination = response.attribute("Destination");
    if destination.is_some_and(|url| url != expected.callback_url) {
        return Err(refused("the response is for another Destination"));
    }
    if response.attribute("InResponseTo") != expected.request_id {
        return Err(refused(
            "the response answers another request (InResponseTo)",
        ));
    }
    check_status(response)
}

/// The issuer may be absent from a response.
fn check_issuer(response: Element<'_>, wanted: &str) -> Result<(), Failure> {
    match response.only(xml::ASSERTION, "Issuer")? {
        Some(issuer) if issuer.plain_text()? != wanted => {
            Err(refused("the response is of another Issuer"))
        }
        _ => Ok(()),
    }
}

fn check_status(response: Element<'_>) -> Result<(), Failure> {
    let status = response
        .only(xml::PROTOCOL, "Status")?
        .ok_or_else(|| refused("the response has no Status"))?;
    let code = status
        .only(xml::PROTOCOL, "StatusCode")?
        .ok_or_else(|| refused("the response has no StatusCode"))?;
    let value = code.attribute("Value").unwrap_or_default();
    if value == SUCCESS {
        return Ok(());
    }
    let mut words = vec![last_word(value)];
    let detail = code.only(xml::PROTOCOL, "StatusCode")?;
    words.extend(
        detail
            .and_then(|code| code.attribute("Value"))
            .map(last_word),
    );
    let mut story = words.join(", ");
    if let Some(message) = status.only(xml::PROTOCOL, "StatusMessage")? {
        story = format!("{story}: {}", message.text());
    }
    Err(Failure::Denied(story.chars().take(MAX_MESSAGE).collect()))
}

fn last_word(urn: &str) -> &str {
    urn.rsplit(':').next().unwrap_or(urn)
}
