//! An identity provider of SAML 2.0 that says whatever a test wants, well signed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::crypto::{cipher, keytransport};
use bergshamra::keys::loader;
use bergshamra::{DsigContext, KeysManager, core::algorithm};
use chrono::{DateTime, TimeDelta, Utc};
use federation::outbound::Limits;
use federation::saml2::Saml2;
use federation::{Callback, Driver, Failure, FlowSecret, Login, Verified};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

pub(crate) const IDP: &str = "https://idp.example.org/metadata";
pub(crate) const SP: &str = "https://keystone.example.org/sp";
pub(crate) const CALLBACK: &str = "https://keystone.example.org/v3/callback";
pub(crate) const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";

/// A key with its certificate.
pub(crate) struct Identity {
    pub(crate) key: String,
    pub(crate) certificate: String,
}

impl Identity {
    /// One with an elliptic curve, which is made at once.
    pub(crate) fn new() -> Self {
        Self::of(&KeyPair::generate().expect("a key"))
    }

    /// One with RSA.
    pub(crate) fn rsa() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        Self::of(&key.expect("a key"))
    }

    fn of(key: &KeyPair) -> Self {
        let params = CertificateParams::new(Vec::new()).expect("parameters");
        Self {
            key: key.serialize_pem(),
            certificate: params.self_signed(key).expect("a certificate").pem(),
        }
    }

    fn is_rsa(&self) -> bool {
        loader::load_rsa_private_pem(self.key.as_bytes()).is_ok()
    }

    /// The certificate without its frame.
    pub(crate) fn certificate_text(&self) -> String {
        self.certificate
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect()
    }

    /// The parts of an `EncryptedAssertion` that this identity can open.
    pub(crate) fn encrypt(&self, text: &str, data_by: &str, key_by: &str) -> String {
        let cipher = cipher::from_uri(data_by).expect("a cipher");
        let content_key: Vec<u8> = (0..cipher.key_size()).map(|n| n as u8).collect();
        let sealed = cipher
            .encrypt(&content_key, text.as_bytes())
            .expect("sealed");
        let public = loader::load_x509_cert_pem(self.certificate.as_bytes()).expect("a key");
        let public = public.software_key().expect("a key").expect("a key");
        let transport = keytransport::from_uri(algorithm::RSA_OAEP).expect("a transport");
        let wrapped = transport.encrypt(&public, &content_key).expect("wrapped");
        let (sealed, wrapped) = (
            BASE64_STANDARD.encode(sealed),
            BASE64_STANDARD.encode(wrapped),
        );
        format!(
            "<saml:EncryptedAssertion><xenc:EncryptedData xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" \
             Type=\"http://www.w3.org/2001/04/xmlenc#Element\">\
             <xenc:EncryptionMethod Algorithm=\"{data_by}\"/>\
             <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><xenc:EncryptedKey>\
             <xenc:EncryptionMethod Algorithm=\"{key_by}\"/>\
             <xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData>\
             </xenc:EncryptedKey></ds:KeyInfo>\
             <xenc:CipherData><xenc:CipherValue>{sealed}</xenc:CipherValue></xenc:CipherData>\
             </xenc:EncryptedData></saml:EncryptedAssertion>"
        )
    }
}

/// The provider's.
pub(crate) static THEIRS: LazyLock<Identity> = LazyLock::new(Identity::new);
/// Ours.
pub(crate) static OURS: LazyLock<Identity> = LazyLock::new(Identity::rsa);

/// The metadata of a provider with these identities.
pub(crate) fn metadata(identities: &[&Identity], attributes: &str) -> String {
    let keys: String = identities
        .iter()
        .map(|identity| {
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
                 </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>",
                identity.certificate_text()
            )
        })
        .collect();
    format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{IDP}\" {attributes}>{}\
         <md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
         {keys}\
         <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
         Location=\"https://idp.example.org/post\"/>\
         <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
         Location=\"https://idp.example.org/redirect?tenant=a%20b\"/>\
         </md:IDPSSODescriptor></md:EntityDescriptor>",
        ""
    )
}

/// The time at which everything happens.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

pub(crate) fn written(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn secret() -> FlowSecret {
    FlowSecret::new([7; 32])
}

pub(crate) fn request_id() -> String {
    format!("_{}", secret().derive("request"))
}

pub(crate) fn login() -> Login {
    Login {
        secret: secret(),
        callback_url: CALLBACK.into(),
        now: now(),
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        private_addresses: true,
        ..Limits::default()
    }
}

/// A driver for the provider, with other settings besides.
pub(crate) fn driver(others: Value) -> Saml2 {
    let mut settings = json!({
        "entity_id": SP,
        "metadata": metadata(&[&THEIRS], ""),
    });
    merge(&mut settings, others);
    Saml2::open(&settings, limits()).expect("settings")
}

pub(crate) fn merge(settings: &mut Value, others: Value) {
    let settings = settings.as_object_mut().expect("an object");
    for (name, value) in others.as_object().expect("an object") {
        settings.insert(name.clone(), value.clone());
    }
}

/// The same, with a key of ours.
pub(crate) fn driver_with_key(others: Value) -> Saml2 {
    let mut settings = json!({"private_key": OURS.key, "certificate": OURS.certificate});
    merge(&mut settings, others);
    driver(settings)
}

/// What the browser brings back.
pub(crate) fn callback(response: &str) -> Callback {
    Callback {
        parameters: vec![
            ("SAMLResponse".into(), BASE64_STANDARD.encode(response)),
            ("RelayState".into(), secret().derive("state")),
        ],
        secret: Some(secret()),
        kept: String::new(),
        began: now(),
        callback_url: CALLBACK.into(),
        now: now(),
    }
}

/// Lets a driver validate a SOAP message, of a login that a callback stands for; also gives the
/// `RelayState` that the driver found in it.
pub(crate) async fn carried(
    driver: &Saml2,
    envelope: &str,
    of: &Callback,
) -> (Result<Verified, Failure>, Option<String>) {
    let found = Arc::new(Mutex::new(None));
    let (seen, of) = (Arc::clone(&found), of.clone());
    let now = of.now;
    let find_login = move |relay_state: Option<&str>| {
        *seen.lock().expect("the state") = relay_state.map(str::to_owned);
        of.clone()
    };
    let envelope = envelope.to_owned().into();
    let outcome = driver.complete_ecp(envelope, now, Arc::new(find_login));
    let outcome = outcome.await;
    let relay_state = found.lock().expect("the state").take();
    (outcome, relay_state)
}

/// Lets a driver with the usual settings judge a response.
pub(crate) async fn judged(response: &str) -> Result<Verified, Failure> {
    driver(json!({})).complete(&callback(response)).await
}

/// The same, of what must be refused; gives the reason.
pub(crate) async fn refusal(response: &str) -> String {
    match judged(response).await {
        Err(Failure::Refused(reason)) => reason,
        Err(other) => panic!("another failure: {other:?}"),
        Ok(verified) => panic!("accepted: {:?}", name_of(&verified)),
    }
}

pub(crate) fn name_of(verified: &Verified) -> &str {
    match verified.assertion.values("NameID") {
        [name] => name,
        other => panic!("not one name: {other:?}"),
    }
}

/// What a response says. A test changes what it is about.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) response_issuer: String,
    pub(crate) issuer: String,
    pub(crate) destination: String,
    pub(crate) recipient: String,
    pub(crate) audience: String,
    /// Whose request is answered, in the response and in the confirmation.
    pub(crate) answers: (Option<String>, Option<String>),
    pub(crate) issued: DateTime<Utc>,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_on_or_after: DateTime<Utc>,
    pub(crate) confirmed_until: DateTime<Utc>,
    pub(crate) session_until: Option<DateTime<Utc>>,
    pub(crate) status: String,
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) conditions: String,
    pub(crate) attributes: String,
    pub(crate) assertion_id: String,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            response_issuer: IDP.into(),
            issuer: IDP.into(),
            destination: CALLBACK.into(),
            recipient: CALLBACK.into(),
            audience: SP.into(),
            answers: (Some(request_id()), Some(request_id())),
            issued: now(),
            not_before: now() - TimeDelta::minutes(1),
            not_on_or_after: now() + TimeDelta::minutes(5),
            confirmed_until: now() + TimeDelta::minutes(5),
            session_until: None,
            status: format!("<samlp:StatusCode Value=\"{SUCCESS}\"/>"),
            name: "jane".into(),
            method: "urn:oasis:names:tc:SAML:2.0:cm:bearer".into(),
            conditions: String::new(),
            attributes: attribute(
                "urn:oid:0.9.2342.19200300.100.1.3",
                "mail",
                &["jane@example.org"],
            ),
            assertion_id: "_assertion".into(),
        }
    }
}

pub(crate) fn attribute(name: &str, friendly: &str, values: &[&str]) -> String {
    let values: String = values
        .iter()
        .map(|value| format!("<saml:AttributeValue>{value}</saml:AttributeValue>"))
        .collect();
    format!("<saml:Attribute Name=\"{name}\" FriendlyName=\"{friendly}\">{values}</saml:Attribute>")
}

fn answers(id: Option<&String>) -> String {
    id.map_or_else(String::new, |id| format!(" InResponseTo=\"{id}\""))
}

impl Story {
    /// The assertion, unsigned.
    pub(crate) fn assertion(&self) -> String {
        let session = self.session_until.map_or_else(String::new, |until| {
            format!(" SessionNotOnOrAfter=\"{}\"", written(until))
        });
        format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" \
             Version=\"2.0\" IssueInstant=\"{issued}\"><saml:Issuer>{issuer}</saml:Issuer>\
             <saml:Subject><saml:NameID Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">\
             {name}</saml:NameID><saml:SubjectConfirmation Method=\"{method}\">\
             <saml:SubjectConfirmationData NotOnOrAfter=\"{until}\" Recipient=\"{recipient}\"{answers}/>\
             </saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{start}\" NotOnOrAfter=\"{end}\"><saml:AudienceRestriction>\
             <saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>{conditions}\
             </saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{now}\" SessionIndex=\"s1\"{session}><saml:AuthnContext>\
             <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password\
             </saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>\
             <saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>",
            id = self.assertion_id,
            issued = written(self.issued),
            now = written(now()),
            issuer = self.issuer,
            name = self.name,
            method = self.method,
            until = written(self.confirmed_until),
            recipient = self.recipient,
            answers = answers(self.answers.1.as_ref()),
            start = written(self.not_before),
            end = written(self.not_on_or_after),
            audience = self.audience,
            conditions = self.conditions,
            attributes = self.attributes,
        )
    }

    /// A response around something.
    pub(crate) fn around(&self, content: &str) -> String {
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_response\" Version=\"2.0\" \
             IssueInstant=\"{now}\" Destination=\"{destination}\"{answers}>\
             <saml:Issuer>{issuer}</saml:Issuer><samlp:Status>{status}</samlp:Status>\
             {content}</samlp:Response>",
            now = written(now()),
            destination = self.destination,
            answers = answers(self.answers.0.as_ref()),
            issuer = self.response_issuer,
            status = self.status,
        )
    }

    /// A response whose assertion is signed.
    pub(crate) fn signed_assertion(&self) -> String {
        self.around(&sign(&self.assertion(), &THEIRS))
    }

    /// A response that is signed as a whole.
    pub(crate) fn signed_response(&self) -> String {
        sign(&self.around(&self.assertion()), &THEIRS)
    }
}

/// Signs the outermost element of a text, whose issuer comes first.
pub(crate) fn sign(text: &str, identity: &Identity) -> String {
    sign_naming(text, identity, "")
}

/// The same by a canonical form that names prefixes, as many providers write it.
pub(crate) fn sign_naming(text: &str, identity: &Identity, prefixes: &str) -> String {
    let named = format!(
        "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" \
         PrefixList=\"{prefixes}\"/>"
    );
    let named = if prefixes.is_empty() { "" } else { &named };
    let id = text
        .split(" ID=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let id = id.expect("an ID");
    let method = if identity.is_rsa() {
        algorithm::RSA_SHA256
    } else {
        algorithm::ECDSA_SHA256
    };
    let template = format!(
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">{named}\
         </ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{method}\"/><ds:Reference URI=\"#{id}\"><ds:Transforms>\
         <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
         <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">{named}</ds:Transform>\
         </ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>\
         <ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>\
         <ds:SignatureValue></ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
         </ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>",
        identity.certificate_text()
    );
    let place = match text.find("</saml:Issuer>") {
        Some(place) => place + "</saml:Issuer>".len(),
        None => text.find('>').expect("an element") + 1,
    };
    let mut template_text = text.to_owned();
    template_text.insert_str(place, &template);
    let mut manager = KeysManager::new();
    manager.add_key(loader::load_pem_auto(identity.key.as_bytes(), None).expect("a key"));
    bergshamra::sign(&DsigContext::new(manager), &template_text).expect("signed")
}

/// A place on the net that answers every request with the same text, or with 500.
pub(crate) struct Place {
    pub(crate) url: String,
    answer: Arc<Mutex<(Option<String>, usize)>>,
}

impl Place {
    pub(crate) fn with(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}/metadata",
            listener.local_addr().expect("an address")
        );
        let answer = Arc::new(Mutex::new((Some(text.to_owned()), 0)));
        let shared = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    let count = stream.read(&mut buffer).expect("a request");
                    request.extend_from_slice(&buffer[..count]);
                }
                let mut shared = shared.lock().expect("the answer");
                shared.1 += 1;
                let (status, body) = match &shared.0 {
                    Some(text) => ("200 OK", text.as_str()),
                    None => ("500 Internal Server Error", ""),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).expect("sent");
                stream.write_all(body.as_bytes()).expect("sent");
            }
        });
        Self { url, answer }
    }

    /// Says something else from now on; `None` is trouble.
    pub(crate) fn says(&self, text: Option<String>) {
        self.answer.lock().expect("the answer").0 = text;
    }

    /// How often somebody asked.
    pub(crate) fn asked(&self) -> usize {
        self.answer.lock().expect("the answer").1
    }
}
