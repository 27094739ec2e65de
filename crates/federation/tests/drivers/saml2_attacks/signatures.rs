//! What is signed by nobody, by others, by odd means or before a change.

use bergshamra::core::algorithm;

use crate::saml2_idp::{
    Identity, Story, THEIRS, attribute, judged, name_of, refusal, sign, sign_naming,
};

#[tokio::test]
async fn what_nobody_signed_is_refused() {
    let story = Story::default();
    let reason = refusal(&story.around(&story.assertion())).await;
    assert_eq!(reason, "no signature covers the assertion");
}

#[tokio::test]
async fn what_another_key_signed_is_refused_though_it_brings_its_certificate() {
    let story = Story::default();
    for stranger in [Identity::new(), Identity::rsa()] {
        let response = story.around(&sign(&story.assertion(), &stranger));
        let reason = refusal(&response).await;
        assert!(reason.contains("not valid"), "{reason}");
    }
}

#[tokio::test]
async fn a_good_signature_does_not_make_up_for_a_bad_one() {
    let story = Story::default();
    let assertion = sign(&story.assertion(), &Identity::new());
    let response = sign(&story.around(&assertion), &THEIRS);
    assert!(refusal(&response).await.contains("not valid"));
}

#[tokio::test]
async fn a_change_after_signing_is_refused() {
    let story = Story::default();
    for signed in [story.signed_assertion(), story.signed_response()] {
        for (from, to) in [
            (">jane<", ">root<"),
            ("jane@example.org", "root@example.org"),
            ("SessionIndex=\"s1\"", "SessionIndex=\"s2\""),
            (
                "<saml:AttributeStatement>",
                "<saml:AttributeStatement><saml:Attribute Name=\"a\"/>",
            ),
        ] {
            let changed = signed.replace(from, to);
            assert_ne!(changed, signed);
            let reason = refusal(&changed).await;
            assert!(reason.contains("digest failed"), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_comment_in_a_name_does_not_cut_it() {
    let story = Story {
        name: "root@example.org.evil.example".into(),
        attributes: attribute("mail", "m", &["root@example.org.evil.example"]),
        ..Story::default()
    };
    let whole = "root@example.org.evil.example";
    for signed in [story.signed_assertion(), story.signed_response()] {
        for parted in [
            "root@example.org<!---->.evil.example",
            "root@example.org<![CDATA[.evil.example]]>",
        ] {
            // A comment is no part of what was signed, so the signature still holds.
            let verified = judged(&signed.replace(whole, parted))
                .await
                .expect("accepted");
            assert_eq!(name_of(&verified), whole);
            assert_eq!(verified.assertion.values("mail"), [whole]);
        }
        // A processing instruction is.
        refusal(&signed.replace(whole, "root@example.org<?a?>.evil.example")).await;
    }
}

#[tokio::test]
async fn a_comment_in_a_signature_is_refused() {
    let signed = Story::default().signed_assertion();
    let changed = signed.replace("<ds:DigestValue>", "<ds:DigestValue><!-- -->");
    assert!(refusal(&changed).await.contains("comment"));
}

#[tokio::test]
async fn a_document_type_is_refused() {
    let signed = Story::default().signed_assertion();
    for prolog in [
        "<!DOCTYPE samlp:Response>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>",
        "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]>",
        "<!DOCTYPE a [<!ATTLIST saml:Assertion ID ID #IMPLIED>]>",
    ] {
        let reason = refusal(&format!("{prolog}{signed}")).await;
        assert!(reason.contains("cannot be read"), "{reason}");
    }
}

#[tokio::test]
async fn weak_or_odd_signatures_are_refused() {
    let signed = Story::default().signed_assertion();
    let exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
    for (from, to) in [
        (algorithm::ECDSA_SHA256, algorithm::RSA_SHA1),
        (algorithm::ECDSA_SHA256, algorithm::ECDSA_SHA1),
        (algorithm::ECDSA_SHA256, algorithm::HMAC_SHA256),
        (algorithm::SHA256, algorithm::SHA1),
        (exclusive, algorithm::C14N),
        (
            algorithm::ENVELOPED_SIGNATURE,
            "http://www.w3.org/TR/1999/REC-xslt-19991116",
        ),
        (
            algorithm::ENVELOPED_SIGNATURE,
            "http://www.w3.org/TR/1999/REC-xpath-19991116",
        ),
        ("URI=\"#_assertion\"", "URI=\"\""),
        ("URI=\"#_assertion\"", "URI=\"#_response\""),
        ("URI=\"#_assertion\"", "URI=\"#xpointer(/)\""),
        ("URI=\"#_assertion\"", "URI=\"https://evil.example.org/\""),
        ("URI=\"#_assertion\"", ""),
    ] {
        let changed = signed.replace(from, to);
        assert_ne!(changed, signed);
        let reason = refusal(&changed).await;
        assert!(reason.contains("not as SAML wants it"), "{to}: {reason}");
    }
}

#[tokio::test]
async fn a_second_reference_is_refused() {
    let signed = Story::default().signed_assertion();
    let from = signed.find("<ds:Reference").expect("a reference");
    let to = signed.find("</ds:SignedInfo>").expect("an end");
    let mut changed = signed.clone();
    changed.insert_str(to, &signed[from..to]);
    assert!(refusal(&changed).await.contains("exactly one reference"));
}

#[tokio::test]
async fn a_canonical_form_may_name_few_prefixes() {
    // Each takes time at each element, and that before the signature is looked at: thousands of
    // both are minutes.
    let prefixes = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("p{number}")).collect();
        names.join(" ")
    };
    let story = Story::default();
    let signed = |text: &str, prefixes: &str| sign_naming(text, &THEIRS, prefixes);
    let assertion = story.assertion();
    for few in ["xs", "#default saml ds xs xsi", &prefixes(16)] {
        let accepted = judged(&story.around(&signed(&assertion, few))).await;
        assert_eq!(name_of(&accepted.expect("accepted")), story.name, "{few}");
    }
    let many = signed(&assertion, &prefixes(17));
    let refused = async |signed: &str| {
        let reason = refusal(&story.around(signed)).await;
        assert!(reason.contains("more than 16 namespaces"), "{reason}");
    };
    refused(&many).await;
    let (method, rest) = many.split_once("</ds:CanonicalizationMethod>").unwrap();
    let (method, _) = method.rsplit_once("<ec:InclusiveNamespaces").unwrap();
    let one = format!("{method}</ds:CanonicalizationMethod>{rest}");
    refused(&one).await;
    let (method, rest) = one.split_once("<ec:InclusiveNamespaces").unwrap();
    let two = format!("{method}<ec:InclusiveNamespaces/><ec:InclusiveNamespaces{rest}");
    let two = two.replace("<ec:InclusiveNamespaces/>", "<ds:XPath>1</ds:XPath>");
    refused(&two).await;
}
