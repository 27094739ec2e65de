//! Reading and writing XML, as far as SAML needs it.

use uppsala::dom::{NodeId, NodeKind};
use uppsala::parser::Parser;
use uppsala::{Document, XmlWriter};

use super::bounds;
use crate::driver::Failure;

pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const ENCRYPTION: &str = "http://www.w3.org/2001/04/xmlenc#";
pub(super) const ENCRYPTION_11: &str = "http://www.w3.org/2009/xmlenc11#";
pub(super) const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(super) const PAOS: &str = "urn:liberty:paos:2003-08";
pub(super) const ECP: &str = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp";

pub(super) const BINDING_POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
pub(super) const BINDING_REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
pub(super) const BINDING_PAOS: &str = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS";

/// The names of the attributes that may hold an identifier.
const ID_NAMES: [&str; 3] = ["id", "assertionid", "responseid"];

/// The longest reason that goes to the log: some quote what was sent.
const MAX_REASON: usize = 300;

/// Reads a document, if it is within [`bounds`]. A document type is refused, and with it every
/// entity; so are identifiers that stand twice, for what a signature covers would then be a matter
/// of opinion.
pub(super) fn parse(text: &str) -> Result<Document<'_>, Failure> {
    let counts = bounds::check(text)?;
    let document = Parser::new()
        .with_forbid_dtd(true)
        .with_max_depth(bounds::MAX_DEPTH)
        .parse(text)
        .map_err(|error| refused(format!("the XML cannot be read: {error}")))?;
    debug_assert!(counts.are_those_of(&document), "they are counted alike");
    let mut seen = std::collections::HashSet::new();
    for node in document.descendants(document.root()) {
        let Some(element) = document.element(node) else {
            continue;
        };
        let mut ids = element.attributes.iter().filter(|attribute| {
            let name = attribute.name.local_name.to_ascii_lowercase();
            ID_NAMES.contains(&name.as_str())
        });
        let Some(id) = ids.next() else { continue };
        if ids.next().is_some() {
            return Err(refused("an element has two identifiers"));
        }
        if !seen.insert(id.value.to_string()) {
            return Err(refused(format!(
                "the identifier '{}' stands twice",
                id.value
            )));
        }
    }
    Ok(document)
}

/// Something is not as it must be.
pub(super) fn refused(reason: impl Into<String>) -> Failure {
    let mut reason = reason.into();
    if let Some((end, _)) = reason.char_indices().nth(MAX_REASON) {
        reason.truncate(end);
        reason.push('…');
    }
    Failure::Refused(reason)
}

/// An element of a document.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    document: &'d Document<'d>,
    node: NodeId,
}

impl<'d> Element<'d> {
    /// The outermost element.
    pub(super) fn outermost(document: &'d Document<'d>) -> Result<Self, Failure> {
        let node = document
            .document_element()
            .ok_or_else(|| refused("the XML has no element"))?;
        Ok(Self { document, node })
    }

    /// The document that it stands in.
    pub(super) fn document(self) -> &'d Document<'d> {
        self.document
    }

    /// Its place in the document.
    pub(super) fn node(self) -> NodeId {
        self.node
    }

    fn at(self, node: NodeId) -> Option<Self> {
        let document = self.document;
        document.element(node)?;
        Some(Self { document, node })
    }

    /// Whether it has this name.
    pub(super) fn is(self, namespace: &str, name: &str) -> bool {
        self.document
            .element(self.node)
            .is_some_and(|element| element.matches_name_ns(namespace, name))
    }

    /// Its name without the namespace.
    pub(super) fn name(self) -> &'d str {
        self.document
            .element(self.node)
            .map_or("", |element| element.name.local_name.as_ref())
    }

    /// The value of an attribute that has no namespace.
    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        self.document
            .element(self.node)?
            .attributes
            .iter()
            .find(|known| known.name.namespace_uri.is_none() && known.name.local_name == name)
            .map(|known| known.value.as_ref())
    }

    /// The element around it.
    pub(super) fn parent(self) -> Option<Self> {
        self.at(self.document.parent(self.node)?)
    }

    /// The elements directly within.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        let children = self.document.children(self.node).into_iter();
        children.filter_map(move |node| self.at(node))
    }

    /// The elements directly within that have this name.
    pub(super) fn all(self, namespace: &str, name: &str) -> impl Iterator<Item = Self> {
        self.children()
            .filter(move |child| child.is(namespace, name))
    }

    /// The only element directly within that has this name; `None` when there is none.
    pub(super) fn only(self, namespace: &str, name: &str) -> Result<Option<Self>, Failure> {
        let mut all = self.all(namespace, name);
        match (all.next(), all.next()) {
            (_, Some(_)) => Err(refused(format!("there is more than one {name}"))),
            (found, None) => Ok(found),
        }
    }

    /// It and all elements within, at any depth.
    pub(super) fn with_descendants(self) -> impl Iterator<Item = Self> {
        let within = self.document.descendants(self.node).into_iter();
        std::iter::once(self).chain(
            within
                .filter(move |node| *node != self.node)
                .filter_map(move |node| self.at(node)),
        )
    }

    /// Whether a comment or a processing instruction stands anywhere within.
    pub(super) fn has_comments_or_pis(self) -> bool {
        self.document
            .descendants(self.node)
            .into_iter()
            .any(|node| {
                matches!(
                    self.document.node_kind(node),
                    Some(NodeKind::Comment(_) | NodeKind::ProcessingInstruction(_))
                )
            })
    }

    /// The whole of the text within, whatever stands between its pieces, letter by letter: names
    /// that differ in the space around them are those of two people.
    ///
    /// A comment parts a text into two pieces; who reads only the first one takes
    /// `admin@example.org<!---->.evil.org` for an administrator.
    pub(super) fn exact_text(self) -> String {
        self.document.text_content_deep(self.node)
    }

    /// The same without space around it (as XML knows space): of what is no name of anybody.
    pub(super) fn text(self) -> String {
        let whole = self.exact_text();
        whole.trim_matches([' ', '\t', '\r', '\n']).to_owned()
    }

    /// [`Element::text`] of an element that must hold text alone.
    pub(super) fn plain_text(self) -> Result<String, Failure> {
        self.without_elements().map(Self::text)
    }

    /// [`Element::exact_text`] of an element that must hold text alone.
    pub(super) fn exact_plain_text(self) -> Result<String, Failure> {
        self.without_elements().map(Self::exact_text)
    }

    fn without_elements(self) -> Result<Self, Failure> {
        match self.children().next() {
            Some(_) => Err(refused(format!("{} holds more than text", self.name()))),
            None => Ok(self),
        }
    }
}

/// Writes one element with text in it.
pub(super) fn leaf(out: &mut XmlWriter, name: &str, attributes: &[(&str, &str)], text: &str) {
    out.start_element(name, attributes);
    out.text(text);
    out.end_element(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_whole() {
        let document = parse("<a>ad<!-- x -->min<![CDATA[&]]>&#x41; </a>").expect("XML");
        let element = Element::outermost(&document).expect("an element");
        assert_eq!(element.plain_text().expect("text"), "admin&A");
        let document = parse("<a> admin\u{a0}</a>").expect("XML");
        let other = Element::outermost(&document).expect("an element");
        assert_eq!(other.text(), "admin\u{a0}");
        assert!(element.has_comments_or_pis());
    }

    #[test]
    fn attributes_of_other_namespaces_are_others() {
        let document = parse(r#"<a xmlns:x="urn:x" x:Name="b"/>"#).expect("XML");
        let element = Element::outermost(&document).expect("an element");
        assert_eq!(element.attribute("Name"), None);
    }

    #[test]
    fn document_types_and_doubled_identifiers_are_refused() {
        for text in [
            "<!DOCTYPE a><a/>",
            r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#,
            r#"<a ID="x"><b ID="x"/></a>"#,
            r#"<a ID="x"><b Id="x"/></a>"#,
            r#"<a ID="x"><b xml:id="x"/></a>"#,
            r#"<a ID="x"><b AssertionID="x"/></a>"#,
            r#"<a ID="x"><b ResponseID="x"/></a>"#,
            r#"<a><b ID="x"/><c ID="x"/></a>"#,
            r#"<a xmlns:n="urn:n" ID="x" n:ID="y"/>"#,
            r#"<a ID="x" id="y"/>"#,
            r#"<a ID="x" Id="y"/>"#,
            r#"<a ID="x" xml:id="y"/>"#,
            "<a>",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
