//! The profile for clients without a browser, Enhanced Client or Proxy (SAML Profiles §4.2).
//!
//! The client asks for what it wants and says that it speaks PAOS; it gets a request in an
//! SOAP message, relays it to its identity provider, and posts the message with the response to us.

use uppsala::XmlWriter;

use super::settings::Settings;
use super::xml::{self, Element, refused};
use super::{metadata::IdentityProvider, request};
use crate::driver::{Failure, Login};

/// The content type of the SOAP messages.
pub const CONTENT_TYPE: &str = "application/vnd.paos+xml";

/// What says that a part of the header is meant for the next recipient, and not to be skipped.
const MUST: [(&str, &str); 2] = [
    ("S:mustUnderstand", "1"),
    ("S:actor", "http://schemas.xmlsoap.org/soap/actor/next"),
];

/// Whether the headers `Accept` and `PAOS` of a request say that the client speaks this.
pub fn is_spoken(accept: &str, paos: &str) -> bool {
    let accepts = accept
        .split(',')
        .any(|one| one.split(';').next().map(str::trim) == Some(CONTENT_TYPE));
    accepts && paos.contains(xml::PAOS) && paos.contains(xml::ECP)
}

/// Writes the SOAP message with the request.
pub(super) fn write(
    settings: &Settings,
    provider: &IdentityProvider,
    login: &Login,
    relay_state: &str,
) -> Result<String, Failure> {
    let request = request::signed(settings, login, None, xml::BINDING_PAOS)?;
    let mut out = XmlWriter::new();
    out.start_element("S:Envelope", &[("xmlns:S", xml::SOAP)]);
    out.start_element("S:Header", &[]);
    let mut paos = vec![
        ("xmlns:paos", xml::PAOS),
        ("responseConsumerURL", login.callback_url.as_str()),
        ("service", xml::ECP),
    ];
    paos.extend(MUST);
    out.empty_element("paos:Request", &paos);
    let mut ecp = vec![("xmlns:ecp", xml::ECP), ("IsPassive", "false")];
    ecp.extend(MUST);
    out.start_element("ecp:Request", &ecp);
    let issuer = [("xmlns:saml", xml::ASSERTION)];
    xml::leaf(&mut out, "saml:Issuer", &issuer, &settings.entity_id);
    out.start_element("samlp:IDPList", &[("xmlns:samlp", xml::PROTOCOL)]);
    out.empty_element("samlp:IDPEntry", &[("ProviderID", &provider.entity_id)]);
    out.end_element("samlp:IDPList");
    out.end_element("ecp:Request");
    let mut relay = vec![("xmlns:ecp", xml::ECP)];
    relay.extend(MUST);
    xml::leaf(&mut out, "ecp:RelayState", &relay, relay_state);
    out.end_element("S:Header");
    out.start_element("S:Body", &[]);
    out.raw(&request);
    out.end_element("S:Body");
    out.end_element("S:Envelope");
    Ok(out.into_string())
}

/// Writes the SOAP message with a response, which is not changed.
pub(super) fn write_answer(response: &str, relay_state: &str) -> String {
    let mut out = XmlWriter::new();
    out.write_declaration();
    out.start_element("S:Envelope", &[("xmlns:S", xml::SOAP)]);
    out.start_element("S:Header", &[]);
    let mut relay = vec![("xmlns:ecp", xml::ECP)];
    relay.extend(MUST);
    xml::leaf(&mut out, "ecp:RelayState", &relay, relay_state);
    out.end_element("S:Header");
    out.start_element("S:Body", &[]);
    out.raw(response);
    out.end_element("S:Body");
    out.end_element("S:Envelope");
    out.into_string()
}

/// What the client relayed back besides the response: the `RelayState` that we gave it.
pub(super) fn relay_state(outermost: Element<'_>) -> Result<Option<String>, Failure> {
    let Some(header) = outermost.only(xml::SOAP, "Header")? else {
        return Ok(None);
    };
    let relay = header.only(xml::ECP, "RelayState")?;
    relay.map(Element::plain_text).transpose()
}

/// The response in a SOAP message.
pub(super) fn response(outermost: Element<'_>) -> Result<Element<'_>, Failure> {
    let body = outermost
        .is(xml::SOAP, "Envelope")
        .then(|| outermost.only(xml::SOAP, "Body"))
        .ok_or_else(|| refused("it is no SOAP 1.1 message"))??
        .ok_or_else(|| refused("the SOAP message has no Body"))?;
    body.only(xml::PROTOCOL, "Response")?
        .ok_or_else(|| refused("the SOAP message holds no response"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_that_it_speaks_paos() {
        let paos = format!("ver=\"{}\";\"{}\"", xml::PAOS, xml::ECP);
        assert!(is_spoken("*/*,application/vnd.paos+xml", &paos));
        assert!(is_spoken("text/html, application/vnd.paos+xml; q=1", &paos));
        assert!(!is_spoken("text/html", &paos));
        assert!(!is_spoken("application/vnd.paos+xml", ""));
    }
}
