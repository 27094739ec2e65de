//! Judging a verified assertion, and reading what it says.

use std::collections::HashMap;

use chrono::TimeDelta;
use model::{Assertion, Timestamp};

use super::metadata::time;
use super::verified::Verified as Signed;
use super::xml::{self, Element, refused};
use crate::driver::{Failure, ProviderSession, ReplayId, Verified};

pub(super) const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// What an assertion is held against.
pub(super) struct Wanted<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    /// Whether it has to say that it is for this audience.
    pub(super) audience_required: bool,
    pub(super) recipient: &'a str,
    pub(super) request_id: Option<&'a str>,
    pub(super) authn_context: &'a [String],
    /// Since when the user has to have logged in there; `None` when that does not matter.
    pub(super) authenticated_since: Option<Timestamp>,
    pub(super) attribute_prefix: &'a str,
    pub(super) now: Timestamp,
    pub(super) skew: TimeDelta,
}

impl Wanted<'_> {
    fn is_over(&self, end: Timestamp) -> bool {
        self.now >= end + self.skew
    }

    fn is_to_come(&self, start: Timestamp) -> bool {
        self.now + self.skew < start
    }
}

/// Judges and reads an assertion.
pub(super) fn read(assertion: Signed<'_>, wanted: &Wanted<'_>) -> Result<Verified, Failure> {
    let assertion = assertion.element();
    if !assertion.is(xml::ASSERTION, "Assertion") || assertion.attribute("Version") != Some("2.0") {
        return Err(refused("it is no assertion of SAML 2.0"));
    }
    let id = assertion
        .attribute("ID")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| refused("the assertion has no ID"))?;
    let issuer = need(assertion, "Issuer")?.plain_text()?;
    if issuer != wanted.issuer {
        return Err(refused("the assertion is of another Issuer"));
    }
    let issued = instant(assertion, "IssueInstant")?
        .ok_or_else(|| refused("the assertion has no IssueInstant"))?;
    if wanted.is_to_come(issued) {
        return Err(refused("the assertion is of the future (IssueInstant)"));
    }
    match assertion.only(xml::ASSERTION, "Conditions")? {
        Some(conditions) => check_conditions(conditions, wanted)?,
        None if wanted.audience_required => return Err(refused("the assertion has no Conditions")),
        None => {}
    }
    let subject = need(assertion, "Subject")?;
    let until = check_confirmation(subject, wanted)?;
    let (session, class) = check_statements(assertion, wanted)?;
    let name = subject.only(xml::ASSERTION, "NameID")?;
    if subject.only(xml::ASSERTION, "EncryptedID")?.is_some() {
        return Err(refused(
            "an EncryptedID is not supported; encrypt the assertion",
        ));
    }
    let mut said = attributes(assertion, wanted.attribute_prefix)?;
    // After the attributes, so that none of them can pretend to be one of these.
    for variable in ["MELLON_IDP", "Shib-Identity-Provider"] {
        said.set(variable, vec![issuer.clone()]);
    }
    said.set("Shib-AuthnContext-Class", class.into_iter().collect());
    let mut names = Vec::new();
    let mut format = Vec::new();
    if let Some(name) = name {
        if name.text().is_empty() {
            return Err(refused("the NameID is empty"));
        }
        names.push(name.exact_plain_text()?);
        format.extend(name.attribute("Format").map(str::to_owned));
    }
    for variable in ["NameID", "MELLON_NAME_ID", "REMOTE_USER"] {
        said.set(variable, names.clone());
    }
    said.set("NameID-Format", format);
    Ok(Verified {
        assertion: said,
        replay_id: Some(ReplayId {
            id: id.to_owned(),
            until: until + wanted.skew,
        }),
        session: names.into_iter().next().map(|subject| ProviderSession {
            subject,
            id: session,
        }),
    })
}

fn need<'d>(parent: Element<'d>, name: &str) -> Result<Element<'d>, Failure> {
    parent
        .only(xml::ASSERTION, name)?
        .ok_or_else(|| refused(format!("the assertion has no {name}")))
}

/// A time in an attribute; one that cannot be read is not one that does not matter.
fn instant(element: Element<'_>, name: &str) -> Result<Option<Timestamp>, Failure> {
    element
        .attribute(name)
        .map(|text| time(text).ok_or_else(|| refused(format!("{name} is no time in UTC"))))
        .transpose()
}

fn check_conditions(conditions: Element<'_>, wanted: &Wanted<'_>) -> Result<(), Failure> {
    if instant(conditions, "NotBefore")?.is_some_and(|start| wanted.is_to_come(start)) {
        return Err(refused("the assertion does not hold yet (NotBefore)"));
    }
    if instant(conditions, "NotOnOrAfter")?.is_some_and(|end| wanted.is_over(end)) {
        return Err(refused(
            "the assertion does not hold any more (NotOnOrAfter)",
        ));
    }
    let mut for_us = false;
    for condition in conditions.children() {
        if condition.is(xml::ASSERTION, "AudienceRestriction") {
            // Each restriction has to be met, by one of its audiences (SAML Core §2.5.1.4).
            for_us = condition
                .all(xml::ASSERTION, "Audience")
                .any(|audience| audience.text() == wanted.audience);
            if !for_us {
                return Err(refused("the assertion is for another Audience"));
            }
        } else if !condition.is(xml::ASSERTION, "OneTimeUse")
            && !condition.is(xml::ASSERTION, "ProxyRestriction")
        {
            let name = condition.name();
            return Err(refused(format!("the condition {name} is not understood")));
        }
    }
    if for_us || !wanted.audience_required {
        Ok(())
    } else {
        Err(refused(
            "the assertion does not say for which Audience it is",
        ))
    }
}

/// Looks for a confirmation that holds, and says until when one does.
fn check_confirmation(subject: Element<'_>, wanted: &Wanted<'_>) -> Result<Timestamp, Failure> {
    let mut last = None;
    let mut why = refused("the Subject is not confirmed for a bearer");
    for confirmation in subject.all(xml::ASSERTION, "SubjectConfirmation") {
        if confirmation.attribute("Method") != Some(BEARER) {
            continue;
        }
        match confirmed_until(confirmation, wanted) {
            Ok(until) => last = Some(last.map_or(until, |known: Timestamp| known.max(until))),
            Err(failure) => why = failure,
        }
    }
    last.ok_or(why)
}

fn confirmed_until(confirmation: Element<'_>, wanted: &Wanted<'_>) -> Result<Timestamp, Failure> {
    let data = need(confirmation, "SubjectConfirmationData")?;
    if data.attribute("Recipient") != Some(wanted.recipient) {
        return Err(refused("the assertion is for another Recipient"));
    }
    if data.attribute("InResponseTo") != wanted.request_id {
        return Err(refused(
            "the assertion answers another request (InResponseTo)",
        ));
    }
    if data.attribute("NotBefore").is_some() {
        return Err(refused("a bearer's confirmation may not have NotBefore"));
    }
    let until = instant(data, "NotOnOrAfter")?
        .ok_or_else(|| refused("the confirmation does not end (NotOnOrAfter)"))?;
    if wanted.is_over(until) {
        return Err(refused(
            "the confirmation does not hold any more (NotOnOrAfter)",
        ));
    }
    Ok(until)
}

/// Checks that the user was authenticated; gives the session, and how.
fn check_statements(
    assertion: Element<'_>,
    wanted: &Wanted<'_>,
) -> Result<(Option<String>, Option<String>), Failure> {
    let mut statements = assertion.all(xml::ASSERTION, "AuthnStatement").peekable();
    if statements.peek().is_none() {
        return Err(refused("the assertion has no AuthnStatement"));
    }
    let mut session = None;
    let mut class = None;
    for statement in statements {
        if instant(statement, "SessionNotOnOrAfter")?.is_some_and(|end| wanted.is_over(end)) {
            return Err(refused("the user's session at the provider is over"));
        }
        let authenticated = instant(statement, "AuthnInstant")?;
        if authenticated.is_some_and(|instant| wanted.is_to_come(instant)) {
            return Err(refused(
                "the user was authenticated in the future (AuthnInstant)",
            ));
        }
        // What was asked for is insisted on (ForceAuthn, SAML Core §3.4.1).
        if let Some(since) = wanted.authenticated_since
            && authenticated.is_none_or(|instant| instant + wanted.skew < since)
        {
            return Err(refused(
                "the user logged in too long ago, or the provider does not say when (AuthnInstant)",
            ));
        }
        session = session.or(statement.attribute("SessionIndex").map(str::to_owned));
        let context = statement.only(xml::ASSERTION, "AuthnContext")?;
        let named = context
            .map(|context| context.only(xml::ASSERTION, "AuthnContextClassRef"))
            .transpose()?
            .flatten();
        class = class.or(named.map(Element::text));
    }
    let asked = wanted.authn_context;
    if !asked.is_empty() && !class.as_ref().is_some_and(|class| asked.contains(class)) {
        return Err(refused(
            "the user was not authenticated in a way that we asked for",
        ));
    }
    Ok((session, class))
}

/// All attributes, by name and by friendly name. What stands in several statements adds up.
fn attributes(assertion: Element<'_>, prefix: &str) -> Result<Assertion, Failure> {
    let mut by_name = Named::default();
    let mut by_friendly_name = Named::default();
    for statement in assertion.all(xml::ASSERTION, "AttributeStatement") {
        for attribute in statement.children() {
            if !attribute.is(xml::ASSERTION, "Attribute") {
                return Err(refused(
                    "an EncryptedAttribute is not supported; encrypt the assertion",
                ));
            }
            let name = attribute
                .attribute("Name")
                .filter(|name| !name.is_empty())
                .ok_or_else(|| refused("an attribute has no Name"))?;
            let values: Vec<String> = attribute
                .all(xml::ASSERTION, "AttributeValue")
                .map(value)
                .collect();
            if let Some(friendly) = attribute.attribute("FriendlyName")
                && !friendly.is_empty()
                && friendly != name
            {
                by_friendly_name.add(friendly, values.clone());
            }
            by_name.add(name, values);
        }
    }
    let mut said = Assertion::new();
    // A Name is unique, a FriendlyName only meant for people: where both meet, the Name counts.
    for (name, values) in by_friendly_name.all.into_iter().chain(by_name.all) {
        said.set(format!("{prefix}{name}"), values);
    }
    Ok(said)
}

/// A value, letter by letter. One that holds an element alone, such as a `NameID`, is what that
/// holds: the space around the element is the document's, and no part of the value.
fn value(element: Element<'_>) -> String {
    let mut children = element.children();
    if let (Some(only), None) = (children.next(), children.next())
        && element.text() == only.text()
    {
        return value(only);
    }
    element.exact_text()
}

/// Attributes in the order in which they were said first.
#[derive(Default)]
struct Named<'d> {
    all: Vec<(&'d str, Vec<String>)>,
    places: HashMap<&'d str, usize>,
}

impl<'d> Named<'d> {
    fn add(&mut self, name: &'d str, values: Vec<String>) {
        let place = *self.places.entry(name).or_insert(self.all.len());
        match self.all.get_mut(place) {
            Some((_, known)) => known.extend(values),
            None => self.all.push((name, values)),
        }
    }
}
