//! The other side: assertions about our own users, for service providers that trust us, and the
//! metadata by which they come to. This is how one cloud logs in at another (Keystone to
//! Keystone): the client asks here and takes the answer there, so nobody there asked for it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::{DsigContext, KeysManager};
use model::{Secret, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use uppsala::XmlWriter;

use super::keys::OurKey;
use super::request::signature_template;
use super::response::SUCCESS;
use super::xml::{self, leaf};
use super::{assertion::BEARER, ecp};
use crate::settings::WrongSetting;

/// As Keystone says of every user, however they logged in.
const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
/// That the names of attributes are URIs, as Keystone says of its own plain words.
const URI: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri";
const BINDING_URI: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URI";

/// The key that signs what we say of our users.
#[derive(Debug)]
pub struct Signer(OurKey);

impl Signer {
    /// Reads the key and its certificate from PEM; what is wrong is told under their names.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] when they are no strong RSA key and its certificate.
    pub fn read(
        names: (&str, &str),
        key: &Secret<String>,
        certificate: &str,
    ) -> Result<Self, WrongSetting> {
        OurKey::read(names, key, certificate).map(Self)
    }
}

/// What is said of a user, and to whom.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Our name as identity provider.
    pub issuer: &'a str,
    /// The URL at which the service provider takes it; nobody else may.
    pub recipient: &'a str,
    /// The name of the user.
    pub subject: &'a str,
    /// The attributes with their values.
    pub attributes: &'a [(&'a str, Vec<String>)],
    /// Three different identifiers of hexadecimal digits: of the response, of the assertion, and
    /// of the user's session.
    pub ids: [String; 3],
    /// When it is said.
    pub now: Timestamp,
    /// Until when it holds.
    pub until: Timestamp,
}

/// A response with a signed assertion.
#[derive(Debug)]
pub struct Response(String);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    /// A name holds a character that XML cannot hold.
    #[error("{0:?} holds a character that XML cannot hold")]
    Name(String),
    /// The assertion cannot be signed.
    #[error("the assertion cannot be signed: {0}")]
    Signature(String),
}

impl Response {
    /// Writes it, and signs the assertion by RSA with SHA-256.
    ///
    /// The assertion names no audience: all that Keystone lets an operator say of a service
    /// provider is its URL, which binds the assertion as recipient.
    ///
    /// # Errors
    ///
    /// [`Unwritable`] when a name holds what XML cannot, or the assertion cannot be signed.
    pub fn write(said: &Statement<'_>, signer: &Signer) -> Result<Self, Unwritable> {
        // The writer would put another character in its place: the name of somebody else.
        let values = said.attributes.iter().flat_map(|(_, values)| values);
        let mut texts = values.map(String::as_str).chain([said.subject]);
        if let Some(text) = texts.find(|text| !text.chars().all(is_xml)) {
            return Err(Unwritable::Name(text.to_owned()));
        }
        let mut manager = KeysManager::new();
        manager.add_key(signer.0.key().clone());
        let assertion = bergshamra::sign(&DsigContext::new(manager), &assertion(said, signer))
            .map_err(|error| Unwritable::Signature(error.to_string()))?;
        let [id, ..] = &said.ids;
        let mut out = XmlWriter::new();
        out.start_element(
            "samlp:Response",
            &[
                ("xmlns:samlp", xml::PROTOCOL),
                ("xmlns:saml", xml::ASSERTION),
                ("ID", &xml_id(id)),
                ("Version", "2.0"),
                ("IssueInstant", &written(said.now)),
                ("Destination", said.recipient),
            ],
        );
        leaf(&mut out, "saml:Issuer", &[("Format", ENTITY)], said.issuer);
        out.start_element("samlp:Status", &[]);
        out.empty_element("samlp:StatusCode", &[("Value", SUCCESS)]);
        out.end_element("samlp:Status");
        out.raw(&assertion);
        out.end_element("samlp:Response");
        Ok(Self(out.into_string()))
    }

    /// The response as a document of its own.
    pub fn document(&self) -> String {
        let mut out = XmlWriter::new();
        out.write_declaration();
        out.raw(&self.0);
        in_ascii(&out.into_string())
    }

    /// The response in a SOAP message, for an ECP client.
    pub fn soap_message(&self, relay_state: &str) -> String {
        in_ascii(&ecp::write_answer(&self.0, relay_state))
    }
}

/// Writes what is beyond ASCII as references, which mean the same in texts and attributes. For
/// clients carry this on as a text: keystoneauth reads it as Latin-1 and sends it as UTF-8.
fn in_ascii(xml: &str) -> String {
    let mut out = String::with_capacity(xml.len());
    for c in xml.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&format!("&#x{:x};", u32::from(c)));
        }
    }
    out
}

fn assertion(said: &Statement<'_>, signer: &Signer) -> String {
    let [_, id, session] = &said.ids;
    let (id, now, until) = (xml_id(id), written(said.now), written(said.until));
    let mut out = XmlWriter::new();
    out.start_element(
        "saml:Assertion",
        &[
            ("xmlns:saml", xml::ASSERTION),
            ("ID", &id),
            ("Version", "2.0"),
            ("IssueInstant", &now),
        ],
    );
    leaf(&mut out, "saml:Issuer", &[("Format", ENTITY)], said.issuer);
    signature_template(&mut out, &id, &signer.0);
    out.start_element("saml:Subject", &[]);
    leaf(&mut out, "saml:NameID", &[], said.subject);
    out.start_element("saml:SubjectConfirmation", &[("Method", BEARER)]);
    let confirmed = [("NotOnOrAfter", &*until), ("Recipient", said.recipient)];
    out.empty_element("saml:SubjectConfirmationData", &confirmed);
    out.end_element("saml:SubjectConfirmation");
    out.end_element("saml:Subject");
    out.empty_element("saml:Conditions", &[("NotOnOrAfter", &until)]);
    out.start_element(
        "saml:AuthnStatement",
        &[
            ("AuthnInstant", &now),
            ("SessionIndex", session),
            ("SessionNotOnOrAfter", &until),
        ],
    );
    out.start_element("saml:AuthnContext", &[]);
    leaf(&mut out, "saml:AuthnContextClassRef", &[], PASSWORD);
    leaf(&mut out, "saml:AuthenticatingAuthority", &[], said.issuer);
    out.end_element("saml:AuthnContext");
    out.end_element("saml:AuthnStatement");
    out.start_element("saml:AttributeStatement", &[]);
    for (name, values) in said.attributes {
        let named = [("Name", *name), ("NameFormat", URI)];
        out.start_element("saml:Attribute", &named);
        for value in values {
            leaf(&mut out, "saml:AttributeValue", &[], value);
        }
        out.end_element("saml:Attribute");
    }
    out.end_element("saml:AttributeStatement");
    out.end_element("saml:Assertion");
    out.into_string()
}

/// Whether XML knows a character (XML 1.0 §2.2).
fn is_xml(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// An XML identifier may not begin with a digit.
fn xml_id(id: &str) -> String {
    format!("_{id}")
}

fn written(time: Timestamp) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What our metadata as identity provider says of us.
#[derive(Debug)]
pub struct Description<'a> {
    /// Our name.
    pub entity_id: &'a str,
    /// Where users log in, for what it is worth: a client comes to us by our own API.
    pub sso_endpoint: &'a str,
    /// The language of the words about the organization.
    pub language: &'a str,
    /// The organization: name, name for people, and URL.
    pub organization: [&'a str; 3],
    /// What kind of contact the next is, such as `technical`.
    pub contact_type: &'a str,
    /// Whom to ask: company, given name, surname, address for mail, telephone number.
    pub contact: [&'a str; 5],
}

/// Writes our metadata as identity provider, with a certificate in PEM.
///
/// # Errors
///
/// A sentence, when no certificate is there.
pub fn metadata(described: &Description<'_>, certificate: &str) -> Result<String, String> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
        .map_err(|_| "no certificate in PEM is there.".to_owned())?;
    let mut out = XmlWriter::new();
    out.write_declaration();
    out.start_element(
        "md:EntityDescriptor",
        &[
            ("xmlns:md", xml::METADATA),
            ("xmlns:ds", xml::SIGNATURE),
            ("entityID", described.entity_id),
        ],
    );
    let protocols = [("protocolSupportEnumeration", xml::PROTOCOL)];
    out.start_element("md:IDPSSODescriptor", &protocols);
    out.start_element("md:KeyDescriptor", &[("use", "signing")]);
    out.start_element("ds:KeyInfo", &[]);
    out.start_element("ds:X509Data", &[]);
    let text = BASE64_STANDARD.encode(&certificate);
    leaf(&mut out, "ds:X509Certificate", &[], &text);
    out.end_element("ds:X509Data");
    out.end_element("ds:KeyInfo");
    out.end_element("md:KeyDescriptor");
    out.start_element("md:Organization", &[]);
    let language = [("xml:lang", described.language)];
    let names = [
        "md:OrganizationName",
        "md:OrganizationDisplayName",
        "md:OrganizationURL",
    ];
    for (name, value) in names.into_iter().zip(described.organization) {
        leaf(&mut out, name, &language, value);
    }
    out.end_element("md:Organization");
    let kind = [("contactType", described.contact_type)];
    out.start_element("md:ContactPerson", &kind);
    let names = [
        "md:Company",
        "md:GivenName",
        "md:SurName",
        "md:EmailAddress",
        "md:TelephoneNumber",
    ];
    for (name, value) in names.into_iter().zip(described.contact) {
        leaf(&mut out, name, &[], value);
    }
    out.end_element("md:ContactPerson");
    leaf(&mut out, "md:NameIDFormat", &[], TRANSIENT);
    let service = [
        ("Binding", BINDING_URI),
        ("Location", described.sso_endpoint),
    ];
    out.empty_element("md:SingleSignOnService", &service);
    out.end_element("md:IDPSSODescriptor");
    out.end_element("md:EntityDescriptor");
    Ok(out.into_string())
}
