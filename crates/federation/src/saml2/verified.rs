//! From signatures to what they cover.
//!
//! Signature wrapping moves what was signed to where nobody reads, and puts something else where
//! everybody does. So a signature counts only in the one shape that SAML gives it (SAML Core
//! §5.4): directly within the element that it covers, with one reference to just that element;
//! and what is read afterwards is that very element, found by its place and not by its name.

use bergshamra::core::algorithm;
use bergshamra::dsig::verify::verify_all_document;
use bergshamra::{DsigContext, Key, KeysManager, VerifyResult};
use uppsala::dom::NodeId;

use super::xml::{self, Element, refused};
use crate::driver::Failure;

/// SHA-1 is not among them.
const SIGNATURES: [&str; 9] = [
    algorithm::RSA_SHA256,
    algorithm::RSA_SHA384,
    algorithm::RSA_SHA512,
    algorithm::RSA_PSS_SHA256,
    algorithm::RSA_PSS_SHA384,
    algorithm::RSA_PSS_SHA512,
    algorithm::ECDSA_SHA256,
    algorithm::ECDSA_SHA384,
    algorithm::ECDSA_SHA512,
];
const DIGESTS: [&str; 3] = [algorithm::SHA256, algorithm::SHA384, algorithm::SHA512];
const CANONICAL: [&str; 2] = [algorithm::EXC_C14N, algorithm::EXC_C14N_WITH_COMMENTS];
/// How many namespaces may be named that are written although nothing uses them (Exclusive XML
/// Canonicalization §4). Each costs time at each element, before the signature is looked at.
const MAX_PREFIXES: usize = 16;
/// How long their list may be, for the same reason.
const MAX_PREFIX_LIST: usize = 512;

/// What the signatures of a document cover, each of which is valid.
pub(super) struct Covered(Vec<NodeId>);

impl Covered {
    /// Verifies all signatures of a document. They may stand only in the elements given; a
    /// signature anywhere else, or one that is not valid, spoils the whole.
    pub(super) fn by_signatures(
        outermost: Element<'_>,
        may_be_signed: &[Element<'_>],
        keys: &[Key],
    ) -> Result<Self, Failure> {
        let mut covers = Vec::new();
        for signature in outermost
            .with_descendants()
            .filter(|element| element.is(xml::SIGNATURE, "Signature"))
        {
            let signed = signature
                .parent()
                .filter(|parent| may_be_signed.iter().any(|one| one.node() == parent.node()))
                .ok_or_else(|| refused("a signature stands where none may"))?;
            if covers.iter().any(|(_, known)| *known == signed.node()) {
                return Err(refused("an element has two signatures"));
            }
            has_the_shape(signature, signed)
                .map_err(|what| refused(format!("a signature is not as SAML wants it: {what}")))?;
            covers.push((signature.node(), signed.node()));
        }
        if covers.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut manager = KeysManager::new();
        manager.add_keys(keys.iter().cloned());
        let results = verify_all_document(&DsigContext::new(manager), outermost.document())
            .map_err(|error| refused(format!("the signatures cannot be verified: {error}")))?;
        for result in &results {
            if let VerifyResult::Invalid { reason } = result {
                return Err(refused(format!("a signature is not valid: {reason}")));
            }
        }
        for (signature, signed) in &covers {
            let holds = results.iter().any(|result| match result {
                VerifyResult::Valid {
                    signature_node,
                    references,
                    ..
                } => {
                    signature_node == signature
                        && references.len() == 1
                        && references.iter().all(|reference| {
                            reference.digest_verified && reference.resolved_node == Some(*signed)
                        })
                }
                VerifyResult::Invalid { .. } => false,
            });
            if !holds {
                return Err(refused(
                    "a signature covers something else than its place says",
                ));
            }
        }
        Ok(Self(covers.into_iter().map(|(_, signed)| signed).collect()))
    }

    /// Whether an element has a signature of its own.
    pub(super) fn itself(&self, element: Element<'_>) -> bool {
        self.0.contains(&element.node())
    }

    /// The element, when it or one around it is covered.
    pub(super) fn verified<'d>(&self, element: Element<'d>) -> Option<Verified<'d>> {
        let mut around = Some(element);
        while let Some(one) = around {
            if self.itself(one) {
                return Some(Verified(element));
            }
            around = one.parent();
        }
        None
    }

    /// The outermost element of what was encrypted within another document, when a signature of
    /// its own covers it, or one around the encrypted form did.
    pub(super) fn verified_within<'d>(
        &self,
        decrypted: Element<'d>,
        encrypted: Element<'_>,
        around: &Self,
    ) -> Option<Verified<'d>> {
        if around.verified(encrypted).is_some() {
            return Some(Verified(decrypted));
        }
        self.verified(decrypted)
    }
}

/// An element that a valid signature covers. There is no other way to one.
#[derive(Clone, Copy)]
pub(super) struct Verified<'d>(Element<'d>);

impl<'d> Verified<'d> {
    /// The element.
    pub(super) fn element(self) -> Element<'d> {
        self.0
    }
}

/// Whether a signature has the one shape that is accepted.
fn has_the_shape(signature: Element<'_>, signed: Element<'_>) -> Result<(), &'static str> {
    // Canonical XML drops comments: they could part a value that was signed as a whole.
    if signature.has_comments_or_pis() {
        return Err("there is a comment in it");
    }
    let parts: Vec<Element<'_>> = signature.children().collect();
    let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    if !matches!(
        names.as_slice(),
        ["SignedInfo", "SignatureValue"] | ["SignedInfo", "SignatureValue", "KeyInfo"]
    ) || !parts
        .iter()
        .all(|part| part.is(xml::SIGNATURE, part.name()))
    {
        return Err("it has other parts");
    }
    let signed_info: Vec<Element<'_>> = parts.first().ok_or("it is empty")?.children().collect();
    let [canonical, method, reference] = signed_info.as_slice() else {
        return Err("it does not have exactly one reference");
    };
    if !uses(*canonical, "CanonicalizationMethod", &CANONICAL) {
        return Err("its canonical form is not the exclusive one");
    }
    if !uses(*method, "SignatureMethod", &SIGNATURES) {
        return Err("its algorithm is not accepted");
    }
    let id = signed.attribute("ID").ok_or("what it covers has no ID")?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if id.is_empty() || !id.chars().all(plain) {
        return Err("what it covers has an odd ID");
    }
    if !reference.is(xml::SIGNATURE, "Reference")
        || reference
            .attribute("URI")
            .and_then(|uri| uri.strip_prefix('#'))
            != Some(id)
    {
        return Err("it refers to something else than the element around it");
    }
    let within: Vec<Element<'_>> = reference.children().collect();
    let [transforms, digest, value] = within.as_slice() else {
        return Err("its reference has other parts");
    };
    if !uses(*digest, "DigestMethod", &DIGESTS) || !value.is(xml::SIGNATURE, "DigestValue") {
        return Err("its digest is not accepted");
    }
    let steps: Vec<Element<'_>> = transforms.children().collect();
    let [enveloped, exclusive] = steps.as_slice() else {
        return Err("its transforms are not the two of SAML");
    };
    if !transforms.is(xml::SIGNATURE, "Transforms")
        || !uses(*enveloped, "Transform", &[algorithm::ENVELOPED_SIGNATURE])
        || !uses(*exclusive, "Transform", &CANONICAL)
    {
        return Err("its transforms are not the two of SAML");
    }
    if ![*canonical, *exclusive].into_iter().all(names_few_prefixes) {
        return Err("its canonical form names more than 16 namespaces, or something else");
    }
    Ok(())
}

/// Whether an element has a name and one of these algorithms.
fn uses(element: Element<'_>, name: &str, algorithms: &[&str]) -> bool {
    element.is(xml::SIGNATURE, name)
        && element
            .attribute("Algorithm")
            .is_some_and(|algorithm| algorithms.contains(&algorithm))
}

/// Whether an exclusive canonical form names at most [`MAX_PREFIXES`] namespaces, in few letters,
/// and nothing else.
fn names_few_prefixes(method: Element<'_>) -> bool {
    let parameters: Vec<Element<'_>> = method.children().collect();
    match parameters.as_slice() {
        [] => true,
        [named] => {
            let prefixes = named.attribute("PrefixList").unwrap_or_default();
            named.is(algorithm::EXC_C14N, "InclusiveNamespaces")
                && prefixes.len() <= MAX_PREFIX_LIST
                && prefixes.split_whitespace().count() <= MAX_PREFIXES
        }
        _ => false,
    }
}
