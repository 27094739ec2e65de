//! SAML 2.0: what must not be accepted.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::core::algorithm;
use chrono::TimeDelta;
use federation::outbound::Limits;
use federation::saml2::Saml2;
use federation::{Driver, Failure};
use serde_json::json;

use crate::listener::{Hidden, Listener, json};
use crate::saml2_idp::{
    Identity, OURS, SP, Story, THEIRS, attribute, callback, carried, driver, driver_with_key,
    judged, limits, login, metadata, name_of, now, refusal, secret, sign, sign_naming, written,
};

/// An assertion that the provider signed, in the pieces that wrapping moves around.
struct Pieces {
    story: Story,
    /// As it was signed.
    whole: String,
    /// The same without its signature.
    bare: String,
    signature: String,
}

impl Pieces {
    /// Of an assertion.
    async fn of_assertion() -> Self {
        let story = Story::default();
        let whole = sign(&story.assertion(), &THEIRS);
        judged(&story.around(&whole))
            .await
            .expect("the original is accepted");
        Self::cut(story, whole)
    }

    /// Of a response.
    async fn of_response() -> Self {
        let story = Story::default();
        let whole = story.signed_response();
        judged(&whole).await.expect("the original is accepted");
        Self::cut(story, whole)
    }

    fn cut(story: Story, whole: String) -> Self {
        let end = "</ds:Signature>";
        let from = whole.find("<ds:Signature ").expect("a signature");
        let to = whole.find(end).expect("a signature") + end.len();
        Self {
            story,
            bare: format!("{}{}", &whole[..from], &whole[to..]),
            signature: whole[from..to].to_owned(),
            whole,
        }
    }

    /// The signature with something within.
    fn signature_around(&self, content: &str) -> String {
        self.signature
            .replace("</ds:Signature>", &format!("{content}</ds:Signature>"))
    }
}

/// What the attacker wants read: an administrator, under this identifier.
fn forged(id: &str) -> Story {
    Story {
        name: "root".into(),
        assertion_id: id.into(),
        ..Story::default()
    }
}

/// Puts something behind the first issuer of a text, where a signature goes.
fn behind_issuer(text: &str, content: &str) -> String {
    text.replacen("</saml:Issuer>", &format!("</saml:Issuer>{content}"), 1)
}

fn at_the_end(text: &str, content: &str) -> String {
    let place = text.rfind("</").expect("an end");
    format!("{}{content}{}", &text[..place], &text[place..])
}

const RESPONSE_WITHIN: &str = "a response stands within another";
const ASSERTION_TOO_MANY: &str = "there is more than one assertion, or one out of its place";

/// The identifiers that the forged copy may have: another, none, or the same.
async fn is_refused(why: &str, make: impl Fn(&str) -> String) {
    for id in ["_forged", ""] {
        assert_eq!(refusal(&make(id)).await, why);
    }
    for id in ["_assertion", "_response"] {
        let twice = format!("the identifier '{id}' stands twice");
        assert_eq!(refusal(&make(id)).await, twice);
    }
}

fn forged_response(id: &str) -> String {
    let story = forged("_forged_assertion");
    let text = story.around(&story.assertion());
    text.replace("ID=\"_response\"", &format!("ID=\"{id}\""))
}

#[tokio::test]
async fn wrapping_1_the_signed_response_within_the_signature_of_a_forged_one_is_refused() {
    let pieces = Pieces::of_response().await;
    is_refused(RESPONSE_WITHIN, |id| {
        behind_issuer(&forged_response(id), &pieces.signature_around(&pieces.bare))
    })
    .await;
}

#[tokio::test]
async fn wrapping_2_the_signed_response_beside_its_signature_in_a_forged_one_is_refused() {
    let pieces = Pieces::of_response().await;
    is_refused(RESPONSE_WITHIN, |id| {
        let both = format!("{}{}", pieces.bare, pieces.signature);
        behind_issuer(&forged_response(id), &both)
    })
    .await;
}

#[tokio::test]
async fn wrapping_3_a_forged_assertion_before_the_signed_one_is_refused() {
    let pieces = Pieces::of_assertion().await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        let both = format!("{}{}", forged(id).assertion(), pieces.whole);
        pieces.story.around(&both)
    })
    .await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        let both = format!("{}{}", pieces.whole, forged(id).assertion());
        pieces.story.around(&both)
    })
    .await;
}

#[tokio::test]
async fn wrapping_4_the_signed_assertion_within_a_forged_one_is_refused() {
    let pieces = Pieces::of_assertion().await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        pieces
            .story
            .around(&at_the_end(&forged(id).assertion(), &pieces.whole))
    })
    .await;
}

#[tokio::test]
async fn wrapping_5_a_forged_assertion_with_the_signature_of_a_later_one_is_refused() {
    let pieces = Pieces::of_assertion().await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        let stolen = behind_issuer(&forged(id).assertion(), &pieces.signature);
        pieces.story.around(&format!("{stolen}{}", pieces.bare))
    })
    .await;
}

#[tokio::test]
async fn wrapping_6_the_signed_assertion_within_the_signature_of_a_forged_one_is_refused() {
    let pieces = Pieces::of_assertion().await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        let signature = pieces.signature_around(&pieces.bare);
        pieces
            .story
            .around(&behind_issuer(&forged(id).assertion(), &signature))
    })
    .await;
}

#[tokio::test]
async fn wrapping_7_a_forged_assertion_within_extensions_is_refused() {
    let pieces = Pieces::of_assertion().await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        let extensions = format!(
            "<samlp:Extensions>{}</samlp:Extensions>",
            forged(id).assertion()
        );
        behind_issuer(&pieces.story.around(&pieces.whole), &extensions)
    })
    .await;
}

#[tokio::test]
async fn wrapping_8_the_signed_assertion_within_an_object_of_a_forged_ones_signature_is_refused() {
    let pieces = Pieces::of_assertion().await;
    is_refused(ASSERTION_TOO_MANY, |id| {
        let object = format!("<ds:Object>{}</ds:Object>", pieces.bare);
        let signature = pieces.signature_around(&object);
        pieces
            .story
            .around(&behind_issuer(&forged(id).assertion(), &signature))
    })
    .await;
}

#[tokio::test]
async fn the_only_assertion_is_refused_out_of_its_place_though_it_is_signed() {
    let story = Story::default();
    let signed = sign(&story.assertion(), &THEIRS);
    let sealed = OURS.encrypt(&signed, algorithm::AES256_GCM, algorithm::RSA_OAEP);
    for assertion in [signed, sealed] {
        let extensions = format!("<samlp:Extensions>{assertion}</samlp:Extensions>");
        let response = behind_issuer(&story.around(""), &extensions);
        assert_eq!(refusal_with_key(&response).await, ASSERTION_TOO_MANY);
    }
}

#[tokio::test]
async fn a_wrapped_response_in_an_envelope_is_refused() {
    let pieces = Pieces::of_response().await;
    let driver = driver(json!({}));
    let envelope = |header: &str, body: &str| {
        format!(
            "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Header>{header}\
             </S:Header><S:Body>{body}</S:Body></S:Envelope>"
        )
    };
    let brought = callback("");
    let good = envelope("", &pieces.whole);
    let (accepted, _) = carried(&driver, &good, &brought).await;
    accepted.expect("the original is accepted");
    for bad in [
        envelope(&pieces.whole, &forged_response("_forged")),
        envelope(
            &pieces.bare,
            &behind_issuer(&forged_response("_forged"), &pieces.signature),
        ),
        envelope(&pieces.signature, &pieces.bare),
    ] {
        let (outcome, _) = carried(&driver, &bad, &brought).await;
        outcome.expect_err("refused");
    }
}

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
async fn a_response_counts_only_once() {
    let response = Story::default().signed_assertion();
    let first = judged(&response)
        .await
        .expect("accepted")
        .one_time
        .expect("an identifier");
    // Put into other clothes it is still the same one, and the server knows it by that.
    let again = response.replace("ID=\"_response\"", "ID=\"_other\"");
    let again = judged(&again)
        .await
        .expect("accepted")
        .one_time
        .expect("an identifier");
    assert_eq!(first, again);
    let mut late = callback(&response);
    late.now = first.until;
    driver(json!({}))
        .complete(&late)
        .await
        .expect_err("nobody has to remember it longer");
}

#[tokio::test]
async fn a_response_of_another_login_is_refused() {
    let mut other = callback(&Story::default().signed_assertion());
    let secret = federation::FlowSecret::new([8; 32]);
    other.parameters[1].1 = secret.derive("state");
    other.secret = Some(secret);
    let failure = driver(json!({}))
        .complete(&other)
        .await
        .expect_err("refused");
    assert!(failure.to_string().contains("InResponseTo"), "{failure}");
}

#[tokio::test]
async fn a_state_that_is_not_that_of_the_login_is_refused() {
    let good = callback(&Story::default().signed_assertion());
    let mut states = vec![Vec::new(), vec!["x".to_owned()]];
    states.push(vec![secret().derive("state"), secret().derive("state")]);
    for values in states {
        let mut other = good.clone();
        other.parameters.truncate(1);
        for value in values {
            other.parameters.push(("RelayState".into(), value));
        }
        let failure = driver(json!({}))
            .complete(&other)
            .await
            .expect_err("refused");
        assert!(failure.to_string().contains("RelayState"), "{failure}");
    }
}

#[tokio::test]
async fn a_response_that_nobody_asked_for_needs_a_setting() {
    let story = Story {
        answers: (None, None),
        ..Story::default()
    };
    let mut unasked = callback(&story.signed_assertion());
    unasked.secret = None;
    unasked.parameters.truncate(1);
    let failure = driver(json!({}))
        .complete(&unasked)
        .await
        .expect_err("refused");
    assert_eq!(
        failure,
        Failure::Refused("nobody asked for this response".into())
    );
    let lax = driver(json!({"allow_unsolicited": true}));
    lax.complete(&unasked).await.expect("accepted");
    // One that answers a request belongs to the login that asked.
    unasked.parameters[0].1 = BASE64_STANDARD.encode(Story::default().signed_assertion());
    let failure = lax.complete(&unasked).await.expect_err("refused");
    assert!(failure.to_string().contains("InResponseTo"), "{failure}");
    // And a login that asked is not ended by one that answers nothing.
    assert!(
        refusal(&story.signed_assertion())
            .await
            .contains("InResponseTo")
    );
}

#[tokio::test]
async fn what_was_said_to_others_is_refused() {
    let other = || "https://other.example.org".to_owned();
    let story = Story::default;
    for (wrong, word) in [
        (
            Story {
                recipient: other(),
                ..story()
            },
            "Recipient",
        ),
        (
            Story {
                destination: other(),
                ..story()
            },
            "Destination",
        ),
        (
            Story {
                audience: other(),
                ..story()
            },
            "Audience",
        ),
        (
            Story {
                issuer: other(),
                ..story()
            },
            "Issuer",
        ),
        (
            Story {
                response_issuer: other(),
                ..story()
            },
            "Issuer",
        ),
        (
            Story {
                answers: (Some("_x".into()), story().answers.1),
                ..story()
            },
            "InResponseTo",
        ),
        (
            Story {
                answers: (story().answers.0, Some("_x".into())),
                ..story()
            },
            "InResponseTo",
        ),
        (
            Story {
                answers: (story().answers.0, None),
                ..story()
            },
            "InResponseTo",
        ),
        (
            Story {
                method: "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches".into(),
                ..story()
            },
            "bearer",
        ),
    ] {
        for response in [wrong.signed_assertion(), wrong.signed_response()] {
            let reason = refusal(&response).await;
            assert!(reason.contains(word), "{word}: {reason}");
        }
    }
}

#[tokio::test]
async fn every_restriction_of_the_audience_has_to_be_met() {
    let story = Story {
        conditions: "<saml:AudienceRestriction><saml:Audience>https://other.example.org\
                     </saml:Audience></saml:AudienceRestriction>"
            .into(),
        ..Story::default()
    };
    assert!(
        refusal(&story.signed_assertion())
            .await
            .contains("Audience")
    );
}

#[tokio::test]
async fn a_condition_that_is_not_understood_is_refused() {
    let story = Story {
        conditions: "<x:Only xmlns:x=\"urn:x\"/>".into(),
        ..Story::default()
    };
    assert!(
        refusal(&story.signed_assertion())
            .await
            .contains("not understood")
    );
}

#[tokio::test]
async fn what_is_stale_or_not_yet_good_is_refused_beyond_the_clocks_difference() {
    let story = Story::default;
    let seconds = TimeDelta::seconds;
    for (make, word) in [
        (
            (|by| Story {
                not_on_or_after: now() - by,
                ..Story::default()
            }) as fn(TimeDelta) -> Story,
            "NotOnOrAfter",
        ),
        (
            |by| Story {
                confirmed_until: now() - by,
                ..Story::default()
            },
            "NotOnOrAfter",
        ),
        (
            |by| Story {
                session_until: Some(now() - by),
                ..Story::default()
            },
            "session",
        ),
        (
            |by| Story {
                not_before: now() + by + TimeDelta::seconds(1),
                ..Story::default()
            },
            "NotBefore",
        ),
        (
            |by| Story {
                issued: now() + by + TimeDelta::seconds(1),
                ..Story::default()
            },
            "IssueInstant",
        ),
    ] {
        judged(&make(seconds(59)).signed_assertion())
            .await
            .expect("accepted");
        let reason = refusal(&make(seconds(60)).signed_assertion()).await;
        assert!(reason.contains(word), "{word}: {reason}");
    }
    let endless = story().assertion().replace(" NotOnOrAfter=", " Never=");
    let reason = refusal(&story().around(&sign(&endless, &THEIRS))).await;
    assert!(reason.contains("does not end"), "{reason}");
    let odd = story().assertion().replace(
        "SessionIndex=",
        "SessionNotOnOrAfter=\"soon\" SessionIndex=",
    );
    let reason = refusal(&story().around(&sign(&odd, &THEIRS))).await;
    assert!(reason.contains("no time"), "{reason}");
}

#[tokio::test]
async fn an_assertion_that_lacks_what_matters_is_refused() {
    let story = Story::default();
    let whole = story.assertion();
    for (from, to) in [
        ("<saml:AuthnStatement", "</saml:AuthnStatement>"),
        ("<saml:Conditions", "</saml:Conditions>"),
        ("<saml:AudienceRestriction", "</saml:AudienceRestriction>"),
        ("<saml:SubjectConfirmation ", "</saml:SubjectConfirmation>"),
        ("<saml:Subject>", "</saml:Subject>"),
    ] {
        let start = whole.find(from).expect(from);
        let end = whole.find(to).expect(to) + to.len();
        let lacking = format!("{}{}", &whole[..start], &whole[end..]);
        refusal(&story.around(&sign(&lacking, &THEIRS))).await;
    }
}

#[tokio::test]
async fn an_authentication_that_we_did_not_ask_for_is_refused() {
    let strict = driver(json!({"authn_context": ["urn:oasis:names:tc:SAML:2.0:ac:classes:X509"]}));
    let failure = strict
        .complete(&callback(&Story::default().signed_assertion()))
        .await;
    assert!(
        failure
            .expect_err("refused")
            .to_string()
            .contains("in a way")
    );
}

#[tokio::test]
async fn an_encrypted_assertion_that_nobody_signed_is_refused() {
    let story = Story::default();
    let sealed = OURS.encrypt(
        &story.assertion(),
        algorithm::AES256_GCM,
        algorithm::RSA_OAEP,
    );
    let reason = refusal_with_key(&story.around(&sealed)).await;
    assert_eq!(reason, "no signature covers the assertion");
}

async fn refusal_with_key(response: &str) -> String {
    let driver = driver_with_key(json!({}));
    match driver.complete(&callback(response)).await {
        Err(Failure::Refused(reason)) => reason,
        other => panic!("not refused: {:?}", other.map(|verified| verified.one_time)),
    }
}

#[tokio::test]
async fn what_is_encrypted_to_others_by_old_means_or_holds_something_else_is_refused() {
    let story = Story::default();
    let assertion = sign(&story.assertion(), &THEIRS);
    let (gcm, oaep) = (algorithm::AES256_GCM, algorithm::RSA_OAEP);
    let good = OURS.encrypt(&assertion, gcm, oaep);
    let two = format!("{good}{}", good.replace("_assertion", "_other"));
    let doctype = format!("<!DOCTYPE a>{assertion}");
    let wrapped = at_the_end(&forged("_forged").assertion(), &assertion);
    let (before, rest) = good.split_once("<xenc:EncryptedKey>").expect("a key");
    let (key, after) = rest.split_once("</xenc:EncryptedKey>").expect("a key");
    let key = format!("<xenc:EncryptedKey>{key}</xenc:EncryptedKey>");
    let many_keys = format!("{before}{}{after}", key.repeat(9));
    for (content, word) in [
        (
            Identity::rsa().encrypt(&assertion, gcm, oaep),
            "cannot be decrypted",
        ),
        (
            OURS.encrypt(&assertion, gcm, algorithm::RSA_PKCS1),
            "not accepted",
        ),
        (good.replace(gcm, algorithm::TRIPLEDES_CBC), "not accepted"),
        (good.replace("CipherValue>", "CipherReference>"), "missing"),
        (two, "more than one assertion"),
        (format!("{good}{assertion}"), "more than one assertion"),
        (OURS.encrypt(&story.around(&assertion), gcm, oaep), ""),
        (OURS.encrypt(&doctype, gcm, oaep), "cannot be read"),
        (OURS.encrypt(&wrapped, gcm, oaep), "more than one assertion"),
        (OURS.encrypt("text", gcm, oaep), "cannot be read"),
        (
            good.replace("xmlenc#Element", "xmlenc#Content"),
            "not an element",
        ),
        (many_keys, "one to eight"),
    ] {
        let reason = refusal_with_key(&story.around(&content)).await;
        assert!(reason.contains(word), "{word}: {reason}");
    }
    assert!(
        refusal(&story.around(&good))
            .await
            .contains("we have no key")
    );
}

#[tokio::test]
async fn metadata_that_come_slowly_hugely_or_from_elsewhere_are_not_used() {
    let listener = Listener::start().await;
    let narrow = Limits {
        timeout: Duration::from_millis(500),
        max_bytes: 10_000,
        ..limits()
    };
    let url = format!("{}/metadata", listener.url);
    let settings = json!({"entity_id": SP, "metadata_url": url});
    let good = json(200, metadata(&[&THEIRS], ""));
    let mut slow = good.clone();
    slow.after = Duration::from_secs(5);
    let mut huge = good.clone();
    huge.body.push_str(&" ".repeat(20_000));
    let mut redirect = json(302, "");
    redirect.headers = vec![("location", format!("{}/elsewhere", listener.url))];
    for (bad, word) in [
        (slow, "in time"),
        (huge, "longer than 10000 bytes"),
        (redirect, "302"),
    ] {
        let (good, first) = (good.clone(), bad);
        listener.answer(move |asked| match asked.path() {
            "/metadata" => first.clone(),
            _ => good.clone(),
        });
        let driver = Saml2::open(&settings, narrow.clone()).expect("settings");
        let failure = driver.begin(&login()).await.expect_err("not used");
        assert!(failure.to_string().contains(word), "{failure}");
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
        let asked = listener.asked();
        assert!(asked.iter().all(|asked| asked.path() == "/metadata"));
    }
    listener.answer(move |_| good.clone());
    let driver = Saml2::open(&settings, narrow).expect("settings");
    driver.begin(&login()).await.expect("begun");
}

#[tokio::test]
async fn metadata_at_a_private_address_are_asked_for_only_where_that_is_allowed() {
    let hidden = Hidden::listen();
    for url in hidden.urls() {
        let settings = json!({"entity_id": SP, "metadata_url": url});
        let driver = Saml2::open(&settings, Limits::default()).expect("settings");
        let failure = driver.begin(&login()).await.expect_err("not asked");
        assert!(failure.to_string().contains("private network"), "{failure}");
        assert!(!hidden.was_found());
        let allowed = Limits {
            timeout: Duration::from_millis(500),
            ..limits()
        };
        let driver = Saml2::open(&settings, allowed).expect("settings");
        driver
            .begin(&login())
            .await
            .expect_err("it does not answer");
        assert!(hidden.was_found());
    }
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

#[tokio::test]
async fn an_assertion_that_says_what_none_may_say_is_refused_though_it_is_signed() {
    let story = Story::default();
    let assertion = story.assertion();
    let start = format!(
        "<saml:SubjectConfirmationData NotBefore=\"{}\"",
        written(now())
    );
    for (from, to, word) in [
        (
            "Version=\"2.0\"",
            "Version=\"1.1\"",
            "no assertion of SAML 2.0",
        ),
        (
            "<saml:SubjectConfirmationData",
            &*start,
            "may not have NotBefore",
        ),
        (
            "<saml:SubjectConfirmation ",
            "<saml:EncryptedID/><saml:SubjectConfirmation ",
            "EncryptedID",
        ),
        (">jane<", "><", "the NameID is empty"),
    ] {
        assert!(assertion.contains(from), "{from}");
        let changed = sign(&assertion.replacen(from, to, 1), &THEIRS);
        let reason = refusal(&story.around(&changed)).await;
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

#[tokio::test]
async fn a_signed_response_says_where_it_goes_and_what_it_is() {
    let story = Story::default();
    let response = story.around(&story.assertion());
    let destination = format!(" Destination=\"{}\"", story.destination);
    for (from, to, word) in [
        (&*destination, "", "names no Destination"),
        (
            "Version=\"2.0\"",
            "Version=\"1.1\"",
            "no response of SAML 2.0",
        ),
    ] {
        assert!(response.contains(from), "{from}");
        let changed = sign(&response.replacen(from, to, 1), &THEIRS);
        let reason = refusal(&changed).await;
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

#[tokio::test]
async fn an_encrypted_assertion_has_a_signature_of_its_own_where_that_is_demanded() {
    let story = Story::default();
    let sealed = |assertion: &str| {
        let sealed = OURS.encrypt(assertion, algorithm::AES256_GCM, algorithm::RSA_OAEP);
        sign(&story.around(&sealed), &THEIRS)
    };
    let demanding = driver_with_key(json!({"want_assertions_signed": true}));
    let bare = callback(&sealed(&story.assertion()));
    let failure = demanding.complete(&bare).await.expect_err("refused");
    let why = Failure::Refused("the assertion itself is not signed".into());
    assert_eq!(failure, why);
    let signed = callback(&sealed(&sign(&story.assertion(), &THEIRS)));
    demanding.complete(&signed).await.expect("accepted");
    driver_with_key(json!({}))
        .complete(&bare)
        .await
        .expect("accepted");
}

#[tokio::test]
async fn a_key_that_only_opens_letters_signs_nothing() {
    let story = Story::default();
    let stranger = Identity::new();
    let theirs = metadata(&[&THEIRS, &stranger], "");
    let (signing, encryption) = theirs.rsplit_once("use=\"signing\"").expect("two keys");
    let theirs = format!("{signing}use=\"encryption\"{encryption}");
    let driver = driver(json!({ "metadata": theirs }));
    let by = |identity| callback(&story.around(&sign(&story.assertion(), identity)));
    driver.complete(&by(&THEIRS)).await.expect("accepted");
    let failure = driver.complete(&by(&stranger)).await.expect_err("refused");
    assert!(failure.to_string().contains("not valid"), "{failure}");
}

#[tokio::test]
async fn short_keys_of_a_provider_count_for_nothing() {
    let theirs = metadata(&[&THEIRS], "").replace(&THEIRS.certificate_text(), SHORT_CERTIFICATE);
    let settings = json!({"entity_id": SP, "metadata": theirs});
    let wrong = Saml2::open(&settings, limits()).expect_err("refused");
    assert!(wrong.to_string().contains("2048"), "{wrong}");
}

/// Of a key of RSA with 1024 bits: `openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=idp`.
const SHORT_CERTIFICATE: &str = "\
    MIIB+jCCAWOgAwIBAgIUBcAVyMSa73OVh5Pew/MxQONFAxMwDQYJKoZIhvcNAQEL\
    BQAwDjEMMAoGA1UEAwwDaWRwMCAXDTI2MTEyNTExMDEyN1oYDzIxMjYxMTAxMTEw\
    MTI3WjAOMQwwCgYDVQQDDANpZHAwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGB\
    AKV/s167LEg3Y81k6qEjYqTwC1+L3CA4AgN27YZQRWYgM6kC9BS1NUh2DfHTjLzs\
    diYtyL+hYMEVsXTUuElA6EHOKYmzQZJ42y01mGERiSjqKNse5Bym4lCyovMmb/RU\
    XRHdsEa+AV3UYKVOwUz9TxO6YAPUIXSKXfxhMMS+17QzAgMBAAGjUzBRMB0GA1Ud\
    DgQWBBS1xebrCwwnblQi1MD1gdeURvc9xDAfBgNVHSMEGDAWgBS1xebrCwwnblQi\
    1MD1gdeURvc9xDAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4GBAJIm\
    PmE+JUPEOtoCENyvbSsf2gb0sSB/AZzOsKCkOtrCRq9u3EjQelcCEAHrkIOrmmxS\
    tKwwg6j3Vr29Hg5hfbZ4/pgwcRyhHiJRviKRJsbmqnnCGajvHND1xLf3zIA2j3BK\
    UDEQyC+Lqo56XIcoQHnUSdVEFcBbU2o8FJxe4fUK";

#[tokio::test]
async fn what_is_no_response_is_refused() {
    for text in ["", "x", "<a/>", "<samlp:Response/>", "\u{0}"] {
        refusal(text).await;
    }
    for value in ["", "%", "PGEvPg"] {
        let mut odd = callback("");
        odd.parameters[0].1 = value.into();
        driver(json!({})).complete(&odd).await.expect_err("refused");
    }
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    refusal(&deep[..300_000]).await;
    let long = Story {
        name: "x".repeat(600_000),
        ..Story::default()
    };
    assert!(refusal(&long.signed_assertion()).await.contains("length"));
}
