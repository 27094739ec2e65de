//! Asking for a login: the `AuthnRequest`, and how it travels.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::core::algorithm;
use bergshamra::{DsigContext, KeysManager};
use reqwest::Url;
use uppsala::XmlWriter;

use super::keys::OurKey;
use super::metadata::IdentityProvider;
use super::settings::{Binding, Settings};
use super::xml;
use crate::driver::flow_secret::FlowSecret;
use crate::driver::{Failure, Login, Redirect};

/// The identifier of the request of a login. An XML identifier may not begin with a digit.
pub(super) fn request_id(secret: &FlowSecret) -> String {
    format!("_{}", secret.derive("request"))
}

/// Sends the user on, with a request.
pub(super) fn send(
    settings: &Settings,
    provider: &IdentityProvider,
    login: &Login,
) -> Result<Redirect, Failure> {
    let (binding, url) = provider.endpoint(settings.binding).ok_or_else(|| {
        let wanted = "an endpoint for login that takes a redirect or a form";
        Failure::Unavailable(format!("its metadata does not name {wanted}"))
    })?;
    let state = login.secret.derive("state");
    match binding {
        Binding::Redirect => {
            let request = write(settings, login, Some(url), xml::BINDING_POST, None);
            redirect(url, &request, &state, settings.signer()).map(Redirect::Url)
        }
        Binding::Post => {
            let request = signed(settings, login, Some(url), xml::BINDING_POST)?;
            Ok(Redirect::Form {
                action: url.to_owned(),
                fields: vec![
                    ("SAMLRequest".into(), BASE64_STANDARD.encode(request)),
                    ("RelayState".into(), state),
                ],
            })
        }
    }
}

/// Writes the request, with a signature in it when requests are signed.
pub(super) fn signed(
    settings: &Settings,
    login: &Login,
    destination: Option<&str>,
    answer_by: &str,
) -> Result<String, Failure> {
    let Some(ours) = settings.signer() else {
        return Ok(write(settings, login, destination, answer_by, None));
    };
    let template = write(settings, login, destination, answer_by, Some(ours));
    let mut manager = KeysManager::new();
    manager.add_key(ours.key().clone());
    bergshamra::sign(&DsigContext::new(manager), &template)
        .map_err(|error| Failure::Unavailable(format!("the request cannot be signed: {error}")))
}

/// Writes the request; for a signer, with the place where its signature goes.
fn write(
    settings: &Settings,
    login: &Login,
    destination: Option<&str>,
    answer_by: &str,
    signer: Option<&OurKey>,
) -> String {
    let id = request_id(&login.secret);
    let now = login.now.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut attributes = vec![
        ("xmlns:samlp", xml::PROTOCOL),
        ("xmlns:saml", xml::ASSERTION),
        ("ID", &id),
        ("Version", "2.0"),
        ("IssueInstant", &now),
        ("ProtocolBinding", answer_by),
        ("AssertionConsumerServiceURL", &login.callback_url),
    ];
    if let Some(url) = destination {
        attributes.push(("Destination", url));
    }
    if settings.force_authn {
        attributes.push(("ForceAuthn", "true"));
    }
    let mut out = XmlWriter::new();
    out.start_element("samlp:AuthnRequest", &attributes);
    xml::leaf(&mut out, "saml:Issuer", &[], &settings.entity_id);
    if let Some(ours) = signer {
        signature_template(&mut out, &id, ours);
    }
    let mut policy = vec![("AllowCreate", "true")];
    if let Some(format) = &settings.name_id_format {
        policy.push(("Format", format));
    }
    out.empty_element("samlp:NameIDPolicy", &policy);
    if !settings.authn_context.is_empty() {
        out.start_element("samlp:RequestedAuthnContext", &[("Comparison", "exact")]);
        for class in &settings.authn_context {
            xml::leaf(&mut out, "saml:AuthnContextClassRef", &[], class);
        }
        out.end_element("samlp:RequestedAuthnContext");
    }
    out.end_element("samlp:AuthnRequest");
    out.into_string()
}

/// The place where a signature over an element goes.
pub(super) fn signature_template(out: &mut XmlWriter, id: &str, ours: &OurKey) {
    let uri = format!("#{id}");
    out.start_element("ds:Signature", &[("xmlns:ds", xml::SIGNATURE)]);
    out.start_element("ds:SignedInfo", &[]);
    let exclusive = [("Algorithm", algorithm::EXC_C14N)];
    out.empty_element("ds:CanonicalizationMethod", &exclusive);
    out.empty_element(
        "ds:SignatureMethod",
        &[("Algorithm", algorithm::RSA_SHA256)],
    );
    out.start_element("ds:Reference", &[("URI", &uri)]);
    out.start_element("ds:Transforms", &[]);
    let enveloped = [("Algorithm", algorithm::ENVELOPED_SIGNATURE)];
    out.empty_element("ds:Transform", &enveloped);
    out.empty_element("ds:Transform", &exclusive);
    out.end_element("ds:Transforms");
    out.empty_element("ds:DigestMethod", &[("Algorithm", algorithm::SHA256)]);
    xml::leaf(out, "ds:DigestValue", &[], "");
    out.end_element("ds:Reference");
    out.end_element("ds:SignedInfo");
    xml::leaf(out, "ds:SignatureValue", &[], "");
    out.start_element("ds:KeyInfo", &[]);
    out.start_element("ds:X509Data", &[]);
    xml::leaf(out, "ds:X509Certificate", &[], &ours.certificate_text());
    out.end_element("ds:X509Data");
    out.end_element("ds:KeyInfo");
    out.end_element("ds:Signature");
}

/// The URL of a redirect (SAML Bindings §3.4.4): the signature is over the query.
fn redirect(
    url: &str,
    request: &str,
    state: &str,
    signer: Option<&OurKey>,
) -> Result<String, Failure> {
    let mut url = Url::parse(url)
        .map_err(|error| Failure::Unavailable(format!("its endpoint is no URL: {error}")))?;
    let message = BASE64_STANDARD.encode(deflated(request.as_bytes()));
    // Only the parameters of SAML are signed, as they stand in the URL.
    let mut query = Url::parse("x:").map_err(|error| Failure::Unavailable(error.to_string()))?;
    query
        .query_pairs_mut()
        .append_pair("SAMLRequest", &message)
        .append_pair("RelayState", state);
    if let Some(ours) = signer {
        query
            .query_pairs_mut()
            .append_pair("SigAlg", algorithm::RSA_SHA256);
        let signature = ours
            .sign(query.query().unwrap_or_default().as_bytes())
            .ok_or_else(|| Failure::Unavailable("the request cannot be signed".into()))?;
        query
            .query_pairs_mut()
            .append_pair("Signature", &BASE64_STANDARD.encode(signature));
    }
    let ours = query.query().unwrap_or_default();
    let whole = match url.query() {
        Some(theirs) if !theirs.is_empty() => format!("{theirs}&{ours}"),
        _ => ours.to_owned(),
    };
    url.set_query(Some(&whole));
    Ok(url.to_string())
}

/// The form that a redirect wants, without making anything smaller: blocks that are stored as they
/// are (RFC 1951 §3.2.4). A request is a few hundred bytes, not worth a compressor.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 5);
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_stored_in_a_block_that_says_its_length_twice() {
        assert_eq!(deflated(b"ab"), [1, 2, 0, 0xfd, 0xff, b'a', b'b']);
        let long = deflated(&[7; 70_000]);
        assert_eq!(long.len(), 70_010);
        assert_eq!(long[0], 0);
        assert_eq!(long[65_540], 1);
    }
}
