//! Metadata (SAML Metadata 2.0): theirs read, ours written.

use bergshamra::Key;
use chrono::{DateTime, TimeDelta, Utc};
use model::Timestamp;
use uppsala::XmlWriter;

use super::decrypt::base64;
use super::keys;
use super::settings::{Binding, Reading, Settings};
use super::verified::Covered;
use super::xml::{self, Element, refused};
use crate::driver::Failure;
use crate::settings;

/// The most keys that a provider may sign with: each is tried on a signature that none made.
const MAX_KEYS: usize = 64;

/// What the metadata of an identity provider says.
pub(super) struct IdentityProvider {
    /// Its name.
    pub(super) entity_id: String,
    /// The keys that it signs with.
    pub(super) keys: Vec<Key>,
    /// The certificates of these keys. Only keys count; a certificate may be of anybody, and old.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Where requests go, with the binding, in order.
    pub(super) endpoints: Vec<(Binding, String)>,
    /// Whether it takes only signed requests.
    pub(super) wants_signed_requests: bool,
    /// Until when all this may be believed.
    pub(super) valid_until: Option<Timestamp>,
    /// For how long it may be kept without asking again.
    pub(super) cache_duration: Option<TimeDelta>,
}

impl std::fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IdentityProvider")
            .field(&self.entity_id)
            .finish()
    }
}

impl IdentityProvider {
    /// Where requests go: by the binding that is wanted, else by the first of ours that it takes.
    pub(super) fn endpoint(&self, wanted: Option<Binding>) -> Option<(Binding, &str)> {
        let order = match wanted {
            Some(binding) => vec![binding],
            None => vec![Binding::Redirect, Binding::Post],
        };
        order.into_iter().find_map(|binding| {
            let found = self.endpoints.iter().find(|(known, _)| *known == binding);
            found.map(|(_, url)| (binding, url.as_str()))
        })
    }
}

/// Reads metadata: one entity, or many of which one is wanted.
pub(super) fn read(text: &str, reading: &Reading) -> Result<IdentityProvider, Failure> {
    let document = xml::parse(text)?;
    let outermost = Element::outermost(&document)?;
    let one = outermost.is(xml::METADATA, "EntityDescriptor");
    if !one && !outermost.is(xml::METADATA, "EntitiesDescriptor") {
        return Err(refused("it is no SAML metadata"));
    }
    if !reading.signers.is_empty() {
        // Over the whole: a signature anywhere within is refused.
        let covered = Covered::by_signatures(outermost, &[outermost], &reading.signers)?;
        if covered.verified(outermost).is_none() {
            return Err(refused("the metadata is not signed"));
        }
    }
    let mut entities = Vec::new();
    add_entities(outermost, &mut entities);
    let mut found = entities
        .into_iter()
        .filter(|entity| match &reading.entity_id {
            Some(wanted) => entity.attribute("entityID") == Some(wanted),
            None => entity
                .all(xml::METADATA, "IDPSSODescriptor")
                .next()
                .is_some(),
        });
    let entity = match (found.next(), found.next(), &reading.entity_id) {
        (Some(entity), None, _) => entity,
        (None, _, None) => return Err(refused("the metadata holds no identity provider")),
        (None, _, Some(wanted)) => {
            return Err(refused(format!("the metadata does not hold '{wanted}'")));
        }
        (Some(_), Some(_), None) => {
            let hint = "the metadata holds several identity providers; set idp_entity_id";
            return Err(refused(hint));
        }
        (Some(_), Some(_), Some(wanted)) => {
            return Err(refused(format!("the metadata holds '{wanted}' twice")));
        }
    };
    read_entity(entity)
}

/// Adds the entities that metadata describe: those that stand where the standard has them (SAML
/// Metadata §2.3.1). What stands elsewhere, as in the `Extensions` of another entity, is that
/// one's word, and speaks for nobody else.
fn add_entities<'d>(element: Element<'d>, entities: &mut Vec<Element<'d>>) {
    if element.is(xml::METADATA, "EntityDescriptor") {
        entities.push(element);
    } else if element.is(xml::METADATA, "EntitiesDescriptor") {
        for child in element.children() {
            add_entities(child, entities);
        }
    }
}

fn read_entity(entity: Element<'_>) -> Result<IdentityProvider, Failure> {
    let entity_id = entity.attribute("entityID").unwrap_or_default().to_owned();
    if entity_id.is_empty() {
        return Err(refused("the entity has no name"));
    }
    let role = entity
        .all(xml::METADATA, "IDPSSODescriptor")
        .find(|role| {
            let protocols = role.attribute("protocolSupportEnumeration");
            protocols.is_some_and(|all| all.split_whitespace().any(|one| one == xml::PROTOCOL))
        })
        .ok_or_else(|| refused(format!("'{entity_id}' is no identity provider of SAML 2.0")))?;
    let mut keys = Vec::new();
    let mut certificates = Vec::new();
    let mut useless = None;
    for descriptor in role.all(xml::METADATA, "KeyDescriptor") {
        if !matches!(descriptor.attribute("use"), None | Some("signing")) {
            continue;
        }
        let certificate = descriptor
            .all(xml::SIGNATURE, "KeyInfo")
            .flat_map(|info| info.all(xml::SIGNATURE, "X509Data"))
            .find_map(|data| data.all(xml::SIGNATURE, "X509Certificate").next());
        let Some(certificate) = certificate else {
            continue;
        };
        let read = base64(&certificate.text())
            .ok_or_else(|| "a certificate is not Base64".to_owned())
            .and_then(|der| Ok((keys::of_certificate(&der)?, der)));
        match read {
            Ok((key, der)) => {
                keys.push(key);
                certificates.push(der);
            }
            Err(reason) => useless = Some(reason),
        }
    }
    if keys.len() > MAX_KEYS {
        return Err(refused(format!(
            "'{entity_id}' has more than {MAX_KEYS} keys to sign with"
        )));
    }
    if keys.is_empty() {
        let reason = useless.unwrap_or_else(|| "no certificate is there".into());
        return Err(refused(format!(
            "'{entity_id}' has no key to sign with: {reason}"
        )));
    }
    let endpoints = role
        .all(xml::METADATA, "SingleSignOnService")
        .filter_map(|service| {
            let binding = [Binding::Redirect, Binding::Post]
                .into_iter()
                .find(|binding| service.attribute("Binding") == Some(binding.uri()))?;
            // Browsers go there with a request that holds no secret, so TLS is the provider's affair.
            let url = settings::url("metadata", service.attribute("Location")?).ok()?;
            Some((binding, url.to_string()))
        })
        .collect();
    let around = std::iter::successors(Some(role), |element| element.parent());
    let mut valid_until = None;
    let mut cache_duration = None;
    for element in around {
        if let Some(text) = element.attribute("validUntil") {
            let until = time(text).ok_or_else(|| refused("validUntil is no time"))?;
            valid_until = Some(valid_until.map_or(until, |known: Timestamp| known.min(until)));
        }
        if let Some(text) = element.attribute("cacheDuration") {
            let length = duration(text).ok_or_else(|| refused("cacheDuration is no duration"))?;
            cache_duration =
                Some(cache_duration.map_or(length, |known: TimeDelta| known.min(length)));
        }
    }
    Ok(IdentityProvider {
        entity_id,
        keys,
        certificates,
        endpoints,
        wants_signed_requests: matches!(
            role.attribute("WantAuthnRequestsSigned"),
            Some("true" | "1")
        ),
        valid_until,
        cache_duration,
    })
}

/// Reads a time, which SAML wants in UTC (SAML Core §1.3.3).
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let read = DateTime::parse_from_rfc3339(text.trim()).ok()?;
    Some(read.with_timezone(&Utc))
}

/// Reads a duration of XML Schema. A year counts 365 days here, and a month 30.
pub(super) fn duration(text: &str) -> Option<TimeDelta> {
    let rest = text.trim().strip_prefix('P')?;
    let (date, clock) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, clock)) => (date, clock),
        None => (rest, ""),
    };
    if date.is_empty() && clock.is_empty() {
        return None;
    }
    let days = parts(date, &[('Y', 365), ('M', 30), ('D', 1)])?;
    let seconds = parts(clock, &[('H', 3600), ('M', 60), ('S', 1)])?;
    TimeDelta::try_seconds(days.checked_mul(86_400)?.checked_add(seconds)?)
}

/// Adds up numbers with their units, which come in this order, each at most once.
fn parts(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut sum: i64 = 0;
    for (unit, size) in units {
        let Some((number, rest)) = text.split_once(*unit) else {
            continue;
        };
        // A part of a second is of no use here.
        let number = match (*unit, number.split_once('.')) {
            ('S', Some((whole, part))) if part.chars().all(|c| c.is_ascii_digit()) => whole,
            _ => number,
        };
        if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(*size)?)?;
        text = rest;
    }
    text.is_empty().then_some(sum)
}

/// Writes our metadata: who we are, where responses go, and our keys.
pub(super) fn write_ours(settings: &Settings, callback_url: &str, ecp_url: &str) -> String {
    let mut out = XmlWriter::new();
    out.write_declaration();
    out.start_element(
        "md:EntityDescriptor",
        &[
            ("xmlns:md", xml::METADATA),
            ("xmlns:ds", xml::SIGNATURE),
            ("entityID", &settings.entity_id),
        ],
    );
    let yes_or_no = |value: bool| if value { "true" } else { "false" };
    let mut role = vec![("AuthnRequestsSigned", yes_or_no(settings.sign_requests))];
    // To say "false" makes providers leave a signature out that they would make by themselves, and
    // then it may be the only one.
    if settings.want_assertions_signed {
        role.push(("WantAssertionsSigned", "true"));
    }
    role.push(("protocolSupportEnumeration", xml::PROTOCOL));
    out.start_element("md:SPSSODescriptor", &role);
    // The old key opens what still comes, but nobody is to encrypt to it any more.
    if let Some(ours) = settings.keys.first() {
        for purpose in ["signing", "encryption"] {
            out.start_element("md:KeyDescriptor", &[("use", purpose)]);
            out.start_element("ds:KeyInfo", &[]);
            out.start_element("ds:X509Data", &[]);
            xml::leaf(
                &mut out,
                "ds:X509Certificate",
                &[],
                &ours.certificate_text(),
            );
            out.end_element("ds:X509Data");
            out.end_element("ds:KeyInfo");
            if purpose == "encryption" {
                for algorithm in [
                    bergshamra::core::algorithm::AES256_GCM,
                    bergshamra::core::algorithm::AES128_GCM,
                    bergshamra::core::algorithm::RSA_OAEP,
                ] {
                    out.empty_element("md:EncryptionMethod", &[("Algorithm", algorithm)]);
                }
            }
            out.end_element("md:KeyDescriptor");
        }
    }
    if let Some(format) = &settings.name_id_format {
        xml::leaf(&mut out, "md:NameIDFormat", &[], format);
    }
    for (binding, url, index, default) in [
        (xml::BINDING_POST, callback_url, "0", true),
        (xml::BINDING_PAOS, ecp_url, "1", false),
    ] {
        out.empty_element(
            "md:AssertionConsumerService",
            &[
                ("Binding", binding),
                ("Location", url),
                ("index", index),
                ("isDefault", yes_or_no(default)),
            ],
        );
    }
    out.end_element("md:SPSSODescriptor");
    out.end_element("md:EntityDescriptor");
    out.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_xml_schema_writes_them() {
        for (text, seconds) in [
            ("PT0S", 0),
            ("PT6H", 21_600),
            ("P1DT1M1.5S", 86_461),
            ("P1Y2M", 365 * 86_400 + 60 * 86_400),
        ] {
            assert_eq!(duration(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "6H",
            "P1H",
            "PT1D",
            "-PT1S",
            "P1D1Y",
            "P99999999999999999999D",
            "P9999999999999999Y",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_need_a_zone() {
        assert!(time("2026-11-24T10:00:00Z").is_some());
        assert!(time("2026-11-24T10:00:00.123Z").is_some());
        assert!(time("2026-11-24T10:00:00").is_none());
        assert!(time("tomorrow").is_none());
    }
}
