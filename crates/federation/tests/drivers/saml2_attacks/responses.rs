//! Well signed, and yet not for us, not now, not again, or not what a response may say.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use federation::{Driver, Failure};
use serde_json::json;

use crate::saml2_idp::{
    Story, THEIRS, callback, driver, judged, now, refusal, secret, sign, written,
};

#[tokio::test]
async fn a_response_counts_only_once() {
    let response = Story::default().signed_assertion();
    let first = judged(&response)
        .await
        .expect("accepted")
        .replay_id
        .expect("an identifier");
    // Put into other clothes it is still the same one, and the server knows it by that.
    let again = response.replace("ID=\"_response\"", "ID=\"_other\"");
    let again = judged(&again)
        .await
        .expect("accepted")
        .replay_id
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
    let mut unsolicited = callback(&story.signed_assertion());
    unsolicited.secret = None;
    unsolicited.parameters.truncate(1);
    let failure = driver(json!({}))
        .complete(&unsolicited)
        .await
        .expect_err("refused");
    assert_eq!(
        failure,
        Failure::Refused("nobody asked for this response".into())
    );
    let lax = driver(json!({"allow_unsolicited": true}));
    lax.complete(&unsolicited).await.expect("accepted");
    // One that answers a request belongs to the login that asked.
    unsolicited.parameters[0].1 = BASE64_STANDARD.encode(Story::default().signed_assertion());
    let failure = lax.complete(&unsolicited).await.expect_err("refused");
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
