//! What a document may hold, judged in one pass before the parser sees it.
//!
//! The parser compares the attributes of an element with each other, looks a prefix up among all
//! declarations in scope, and copies a namespace that was written with references to each name in
//! it; canonical XML writes a namespace again at each element that begins to use it. All that grows
//! faster than the document, unless there are few attributes, few declarations in scope, and short
//! namespaces. Within these bounds a document costs what its length says.
//!
//! The pass knows markup only as far as it has to count. It never counts less than the parser sees:
//! a start tag lasts until the first `>` outside quotes for both, and where they could differ, one
//! of them refuses.

use uppsala::Document;

use super::xml::refused;
use crate::driver::Failure;

/// The most attributes of one element, declarations of namespaces among them.
const MAX_ATTRIBUTES: usize = 64;
/// The most declarations of namespaces in scope at once, those among them that another one hides.
const MAX_NAMESPACES: usize = 64;
/// The longest namespace, in bytes as it is written.
const MAX_NAMESPACE: usize = 256;
/// How deep elements may stand within each other.
pub(super) const MAX_DEPTH: u32 = 64;
/// The number of elements, texts and other nodes that every document may have.
const MIN_NODES: usize = 1000;
/// Beyond [`MIN_NODES`], a document may have one node for this many bytes. Providers write one for
/// about a hundred.
const BYTES_FOR_A_NODE: usize = 8;

/// What was counted in a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) elements: usize,
    pub(super) attributes: usize,
    pub(super) namespaces: usize,
    /// How many comparisons the parser makes at most: of attributes, and of prefixes.
    pub(super) comparisons: usize,
}

impl Counts {
    /// Whether the parser found the same in a document that it accepted.
    pub(super) fn are_those_of(&self, document: &Document<'_>) -> bool {
        let mut found = Self {
            comparisons: self.comparisons,
            ..Self::default()
        };
        for node in document.descendants(document.root()) {
            if let Some(element) = document.element(node) {
                found.elements += 1;
                found.namespaces += element.namespace_declarations.len();
                found.attributes += element.attributes.len() + element.namespace_declarations.len();
            }
        }
        found == *self
    }
}

/// Counts, and refuses what is beyond the bounds. Whether a document is well-formed is for the
/// parser to say, except where this could not go on.
pub(super) fn check(text: &str) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut nodes = 0;
    let most_nodes = MIN_NODES + text.len() / BYTES_FOR_A_NODE;
    // How many declarations each open element made.
    let mut open: Vec<usize> = Vec::new();
    let mut in_scope = 0;
    let mut rest = text;
    while let Some(place) = rest.find('<') {
        let is_end = rest[place..].starts_with("</");
        nodes += usize::from(place > 0) + usize::from(!is_end);
        if nodes > most_nodes {
            return Err(refused(
                "the XML has more elements and texts than its length allows",
            ));
        }
        let markup = &rest[place..];
        rest = if let Some(comment) = markup.strip_prefix("<!--") {
            behind(comment, "-->")?
        } else if let Some(data) = markup.strip_prefix("<![CDATA[") {
            behind(data, "]]>")?
        } else if let Some(instruction) = markup.strip_prefix("<?") {
            behind(instruction, "?>")?
        } else if markup.starts_with("<!") {
            return Err(refused(
                "the XML cannot be read: a document type is not accepted",
            ));
        } else if let Some(end_tag) = markup.strip_prefix("</") {
            in_scope -= open.pop().unwrap_or_default();
            behind(end_tag, ">")?
        } else {
            let tag = StartTag::read(&markup[1..])?;
            counts.elements += 1;
            counts.attributes += tag.attributes;
            counts.namespaces += tag.namespaces;
            in_scope += tag.namespaces;
            if in_scope > MAX_NAMESPACES {
                return Err(refused(format!(
                    "the XML declares more than {MAX_NAMESPACES} namespaces in one place"
                )));
            }
            let names = tag.attributes + 1;
            counts.comparisons += names * names + names * (in_scope + 2);
            if open.len() >= MAX_DEPTH as usize {
                return Err(refused(format!(
                    "the XML has elements more than {MAX_DEPTH} deep"
                )));
            }
            if tag.is_empty {
                in_scope -= tag.namespaces;
            } else {
                open.push(tag.namespaces);
            }
            tag.rest
        };
    }
    Ok(counts)
}

/// What follows an end, such as that of a comment.
fn behind<'t>(text: &'t str, end: &str) -> Result<&'t str, Failure> {
    text.split_once(end)
        .map(|(_, rest)| rest)
        .ok_or_else(|| refused(format!("the XML cannot be read: it ends before a '{end}'")))
}

/// What a start tag holds.
struct StartTag<'t> {
    attributes: usize,
    namespaces: usize,
    /// Whether it is its element's end too.
    is_empty: bool,
    rest: &'t str,
}

impl<'t> StartTag<'t> {
    /// Reads one, of what follows its `<`.
    fn read(text: &'t str) -> Result<Self, Failure> {
        let mut tag = Self {
            attributes: 0,
            namespaces: 0,
            is_empty: false,
            rest: text,
        };
        loop {
            let place = tag.rest.find(['>', '"', '\'', '<']);
            let (before, delimiter) = match place {
                Some(place) => (&tag.rest[..place], tag.rest.as_bytes()[place]),
                None => return Err(unfinished()),
            };
            let after = &tag.rest[before.len() + 1..];
            match delimiter {
                b'>' => {
                    tag.is_empty = before.ends_with('/');
                    tag.rest = after;
                    return Ok(tag);
                }
                b'<' => return Err(unfinished()),
                quote => {
                    let (value, rest) =
                        after.split_once(char::from(quote)).ok_or_else(unfinished)?;
                    tag.attributes += 1;
                    if tag.attributes > MAX_ATTRIBUTES {
                        return Err(refused(format!(
                            "the XML has an element of more than {MAX_ATTRIBUTES} attributes"
                        )));
                    }
                    if is_namespace(before) {
                        tag.namespaces += 1;
                        if value.len() > MAX_NAMESPACE {
                            return Err(refused(format!(
                                "the XML has a namespace of more than {MAX_NAMESPACE} bytes"
                            )));
                        }
                    }
                    tag.rest = rest;
                }
            }
        }
    }
}

fn unfinished() -> Failure {
    refused("the XML cannot be read: a tag does not end")
}

/// Whether what stands before a value, back to the value before it, ends in `xmlns… =`.
fn is_namespace(before: &str) -> bool {
    let space = [' ', '\t', '\r', '\n'];
    let name = before.trim_end_matches(space);
    let name = name
        .strip_suffix('=')
        .unwrap_or(name)
        .trim_end_matches(space);
    let name = name.rsplit(space).next().unwrap_or(name);
    name == "xmlns" || name.starts_with("xmlns:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        check(text).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_in_a_document_is_counted() {
        let text = "\u{feff}<?xml version='1.0'?><!-- <a b='c'> -->\n<a xmlns = 'urn:a' b='>' \
                    c=\"'\"\n><b:b xmlns:b=\"urn:b\"/><![CDATA[<d e='f'>]]><c/>text</a>\n";
        let counts = check(text).expect("it is read");
        assert_eq!(
            (counts.elements, counts.attributes, counts.namespaces),
            (3, 4, 2)
        );
    }

    #[test]
    fn one_element_has_few_attributes() {
        let element = |count: usize| {
            let attributes: String = (0..count).map(|n| format!(" a{n}='>'")).collect();
            format!("<r><a{attributes}/></r>")
        };
        assert!(check(&element(MAX_ATTRIBUTES)).is_ok());
        assert!(why(&element(MAX_ATTRIBUTES + 1)).contains("attributes"));
    }

    #[test]
    fn few_namespaces_are_in_scope_and_those_out_of_it_do_not_count() {
        let nested = |depth: usize, each: usize| {
            let declared: String = (0..each).map(|n| format!(" xmlns:n{n} ='urn:n'")).collect();
            let open = format!("<a{declared}>").repeat(depth);
            format!("{open}{}", "</a>".repeat(depth))
        };
        assert!(check(&nested(8, 8)).is_ok());
        assert!(why(&nested(8, 9)).contains("namespaces"));
        assert!(why(&nested(13, 5)).contains("namespaces"));
        let beside = format!("<r>{}</r>", nested(1, 60).repeat(100));
        assert!(check(&beside).is_ok());
        let empty = format!("<r>{}</r>", "<a xmlns:a='urn:a'/>".repeat(100));
        assert!(check(&empty).is_ok());
    }

    #[test]
    fn a_namespace_is_short_however_it_is_written() {
        let long = "a".repeat(MAX_NAMESPACE + 1);
        for tag in ["a xmlns='", "a b=''xmlns:c='", "a\nxmlns:b\t=\r\n'"] {
            assert!(
                why(&format!("<{tag}{long}'/>")).contains("namespace"),
                "{tag}"
            );
        }
        assert!(check(&format!("<a b='{long}'/>")).is_ok());
    }

    #[test]
    fn depth_and_nodes_are_bounded() {
        let depth = MAX_DEPTH as usize;
        assert!(check(&"<a>".repeat(depth)).is_ok());
        assert!(why(&"<a>".repeat(depth + 1)).contains("deep"));
        assert!(why(&format!("<r>{}</r>", "<a/>".repeat(10_000))).contains("length allows"));
        assert!(
            check(&format!(
                "<r>{}</r>",
                "<a>text text text</a>".repeat(10_000)
            ))
            .is_ok()
        );
    }

    #[test]
    fn comparisons_grow_with_the_length_alone() {
        let declared: String = (0..63).map(|n| format!(" xmlns:n{n}='u'")).collect();
        let attributes: String = (0..64).map(|n| format!(" {n:x}=''")).collect();
        for piece in [
            "<a/>",
            "<a b=''/>",
            &format!("<a{attributes}/>text text text"),
        ] {
            for times in [10, 100, 1000] {
                let text = format!("<r{declared}>{}</r>", piece.repeat(times));
                let counts = check(&text).expect("it is within the bounds");
                let most = 10_000 + 32 * text.len();
                assert!(counts.comparisons < most, "{piece} {times}: {counts:?}");
            }
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for text in [
            "<a b='",
            "<a b",
            "<a <b>",
            "<!-- -",
            "<![CDATA[ ]]",
            "<? ",
            "</a",
            "<!X>",
        ] {
            assert!(why(text).contains("cannot be read"), "{text}");
        }
    }
}
