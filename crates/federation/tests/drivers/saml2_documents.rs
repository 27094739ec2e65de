//! SAML 2.0: documents that would cost more than their length says, metadata in the wrong place, and
//! when users logged in.

use std::time::Duration;

use bergshamra::core::algorithm;
use chrono::{DateTime, TimeDelta, Utc};
use federation::outbound::Limits;
use federation::saml2::Saml2;
use federation::{Driver, Failure, Readers};
use serde_json::{Value, json};

use crate::saml2_idp::{
    IDP, Identity, OURS, Place, SP, Story, THEIRS, callback, carried, driver, driver_with_key,
    judged, limits, login, metadata, name_of, now, refusal, sign, sign_naming, written,
};

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

/// Documents of less than half a megabyte, each of which would keep a core busy for seconds or more,
/// or take gigabytes, with a word of why they are refused.
fn costly() -> Vec<(String, &'static str)> {
    let around = |content: &str| Story::default().around(content);
    let open = many(60, |depth| {
        format!(
            "<e{}>",
            many(60, |n| format!(" xmlns:p{depth}_{n}='urn:{n}'"))
        )
    });
    let close = many(60, |_| "</e>".into());
    let children = many(15_000, |_| "<p0_0:a b='c'/>".into());
    let long = "n".repeat(200_000);
    let used = many(15_000, |_| "<p:a b='c'/>".into());
    vec![
        (
            around(&format!("<e{}/>", many(35_000, |n| format!(" a{n}=''")))),
            "attributes",
        ),
        (
            around(&format!(
                "<e{}/>",
                many(20_000, |n| format!(" xmlns:n{n}='u'"))
            )),
            "attributes",
        ),
        // No element has many.
        (around(&format!("{open}{children}{close}")), "namespaces"),
        // What is written with a reference is copied to every name in it.
        (
            around(&format!(
                "<e xmlns='&#x75;{long}'>{}</e>",
                "<a b='c'/>".repeat(15_000)
            )),
            "a namespace of more than",
        ),
        // Canonical XML declares it at every child.
        (
            around(&format!("<e xmlns:p='{long}'>{used}</e>")),
            "a namespace of more than",
        ),
        (around(&"<e>".repeat(1000)), "deep"),
        (around(&"<e/>".repeat(90_000)), "elements and texts"),
        (around(&"<?a?>".repeat(75_000)), "elements and texts"),
    ]
}

#[tokio::test]
async fn a_document_that_costs_more_than_its_length_says_is_refused_unread() {
    for (text, why) in costly() {
        let reason = refusal(&text).await;
        assert!(reason.contains(why), "{why}: {reason}");
        let envelope = format!(
            "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body>{text}\
             </S:Body></S:Envelope>"
        );
        let (outcome, _) = carried(&driver(json!({})), &envelope, &callback("")).await;
        let reason = outcome.expect_err("refused").to_string();
        assert!(reason.contains(why), "{why}: {reason}");
        let settings = json!({"entity_id": SP, "metadata": text});
        let wrong = Saml2::open(&settings, limits()).expect_err("refused");
        assert!(wrong.to_string().contains(why), "{why}: {wrong}");
    }
}

#[tokio::test]
async fn what_was_encrypted_is_bounded_as_well() {
    for (text, why) in costly() {
        let sealed = OURS.encrypt(&text, algorithm::AES256_GCM, algorithm::RSA_OAEP);
        let response = callback(&Story::default().around(&sealed));
        let outcome = driver_with_key(json!({})).complete(&response).await;
        let reason = outcome.expect_err("refused").to_string();
        // The largest are too long by now.
        assert!(
            reason.contains(why) || reason.contains("acceptable length"),
            "{why}: {reason}"
        );
    }
}

#[tokio::test]
async fn documents_are_read_apart_from_the_threads_that_answer_requests() {
    // Where nobody reads, nothing is read.
    let nobody = Limits {
        readers: Readers::new(0, 0, Duration::from_secs(60)),
        ..limits()
    };
    let theirs = metadata(&[&THEIRS], "");
    let settings = json!({"entity_id": SP, "metadata": theirs});
    let driver = Saml2::open(&settings, nobody.clone()).expect("settings");
    let honest = Story::default().signed_response();
    let waits =
        Failure::Unavailable("too many documents of providers are waiting to be read".into());
    let outcome = driver.complete(&callback(&honest)).await;
    assert_eq!(outcome.expect_err("nobody reads it"), waits);
    let envelope = format!(
        "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body>{honest}</S:Body>\
         </S:Envelope>"
    );
    let (outcome, _) = carried(&driver, &envelope, &callback("")).await;
    assert_eq!(outcome.expect_err("nobody reads it"), waits);
    let place = Place::with(&theirs);
    let settings = json!({"entity_id": SP, "metadata_url": place.url});
    let driver = Saml2::open(&settings, nobody).expect("settings");
    let outcome = driver.begin(&login()).await;
    assert_eq!(outcome.expect_err("nobody reads them"), waits);
}

#[tokio::test]
async fn the_prefixes_that_a_canonical_form_names_are_short() {
    // Each is copied at each element, before the signature is looked at.
    let story = Story::default();
    let long = sign_naming(&story.assertion(), &THEIRS, &"p".repeat(513));
    let reason = refusal(&story.around(&long)).await;
    assert!(reason.contains("more than 16 namespaces"), "{reason}");
    let short = sign_naming(&story.assertion(), &THEIRS, &"p".repeat(512));
    let accepted = judged(&story.around(&short)).await;
    assert_eq!(name_of(&accepted.expect("accepted")), story.name);
}

#[tokio::test]
async fn a_provider_has_not_more_keys_than_are_soon_tried() {
    let with = |count: usize| {
        let theirs: Vec<&Identity> = (0..count).map(|_| &*THEIRS).collect();
        Saml2::open(
            &json!({"entity_id": SP, "metadata": metadata(&theirs, "")}),
            limits(),
        )
    };
    assert!(with(64).is_ok());
    let wrong = with(65).expect_err("too many");
    assert!(wrong.to_string().contains("more than 64 keys"), "{wrong}");
}

#[tokio::test]
async fn what_is_refused_is_told_of_in_few_words() {
    let story = Story {
        assertion_id: "x".repeat(100_000),
        ..Story::default()
    };
    let assertion = story.assertion();
    let reason = refusal(&story.around(&format!("{assertion}{assertion}"))).await;
    assert!(
        reason.contains("stands twice") || reason.len() < 1000,
        "{}",
        reason.len()
    );
    assert!(reason.len() < 1000, "{}", reason.len());
}

/// The driver of these metadata, which says how it judges an honest response of the provider.
async fn by(theirs: &str, others: Value) -> Result<(), String> {
    let mut settings = json!({"entity_id": SP, "metadata": theirs});
    crate::saml2_idp::merge(&mut settings, others);
    let driver = Saml2::open(&settings, limits()).map_err(|wrong| wrong.to_string())?;
    let honest = callback(&Story::default().signed_assertion());
    let outcome = driver.complete(&honest).await;
    outcome.map(drop).map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn an_entity_counts_only_where_the_standard_has_it() {
    let stranger = Identity::new();
    let other = metadata(&[&stranger], "").replace(IDP, "https://other.example.org");
    let honest = metadata(&[&THEIRS], "");
    let forged = metadata(&[&stranger], "");
    let start = "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">";
    let list = |content: &str| format!("{start}{content}</md:EntitiesDescriptor>");
    // Another entity speaks for this one, in its own extensions or anywhere within it.
    let within = |place: &str| {
        let (before, after) = other.split_once(place).expect(place);
        format!("{before}<md:Extensions>{forged}</md:Extensions>{place}{after}")
    };
    let wanted = json!({"idp_entity_id": IDP});
    for place in [
        "<md:IDPSSODescriptor",
        "<md:KeyDescriptor",
        "</md:EntityDescriptor>",
    ] {
        let reason = by(&within(place), wanted.clone())
            .await
            .expect_err("refused");
        assert!(reason.contains("does not hold"), "{reason}");
        let reason = by(&list(&within(place)), wanted.clone())
            .await
            .expect_err("refused");
        assert!(reason.contains("does not hold"), "{reason}");
        // Beside the honest one it neither counts nor spoils anything.
        let both = list(&format!("{}{honest}", within(place)));
        by(&both, wanted.clone())
            .await
            .expect("the honest one counts");
    }
    let extended = format!("<md:Extensions>{honest}</md:Extensions>");
    let reason = by(&list(&extended), wanted.clone())
        .await
        .expect_err("refused");
    assert!(reason.contains("does not hold"), "{reason}");
    // Lists stand within lists.
    by(&list(&format!("{other}{}", list(&honest))), wanted)
        .await
        .expect("accepted");
    by(&list(&list(&honest)), json!({}))
        .await
        .expect("accepted");
}

/// Says when the user logged in at the provider; `None` not at all.
fn logged_in(at: Option<&str>) -> String {
    let story = Story::default();
    let said = format!("AuthnInstant=\"{}\"", written(now()));
    let instead = at.map_or_else(String::new, |at| format!("AuthnInstant=\"{at}\""));
    let assertion = story.assertion();
    assert!(assertion.contains(&said), "{assertion}");
    story.around(&sign(&assertion.replace(&said, &instead), &THEIRS))
}

async fn outcome(settings: Value, began: DateTime<Utc>, at: Option<&str>) -> Result<(), Failure> {
    let mut response = callback(&logged_in(at));
    response.began = began;
    driver(settings).complete(&response).await.map(drop)
}

#[tokio::test]
async fn a_login_anew_that_was_asked_for_is_insisted_on() {
    let began = now() - TimeDelta::minutes(10);
    let strict = || json!({"force_authn": true});
    let at = |instant: DateTime<Utc>| written(instant);
    for good in [
        now(),
        began,
        began - TimeDelta::seconds(60),
        now() + TimeDelta::seconds(60),
    ] {
        let login = outcome(strict(), began, Some(&at(good))).await;
        login.unwrap_or_else(|failure| panic!("{good}: {failure}"));
    }
    for (stale, why) in [
        (Some(at(began - TimeDelta::seconds(61))), "too long ago"),
        (Some(at(now() - TimeDelta::days(1))), "too long ago"),
        (None, "too long ago"),
        (Some(at(now() + TimeDelta::seconds(61))), "in the future"),
        (Some("soon".to_owned()), "no time"),
    ] {
        let failure = outcome(strict(), began, stale.as_deref()).await;
        let reason = failure.expect_err("refused").to_string();
        assert!(reason.contains(why), "{stale:?}: {reason}");
    }
}

#[tokio::test]
async fn every_statement_of_a_login_has_to_be_of_the_login_that_was_asked_for() {
    let story = Story::default();
    let assertion = story.assertion();
    let (start, end) = ("<saml:AuthnStatement", "</saml:AuthnStatement>");
    let from = assertion.find(start).expect("a statement");
    let to = assertion.find(end).expect("a statement") + end.len();
    let statement = &assertion[from..to];
    let old = statement.replace(&written(now()), &written(now() - TimeDelta::days(1)));
    for both in [format!("{statement}{old}"), format!("{old}{statement}")] {
        let changed = assertion.replace(statement, &both);
        let response = callback(&story.around(&sign(&changed, &THEIRS)));
        driver(json!({}))
            .complete(&response)
            .await
            .expect("accepted");
        let strict = driver(json!({"force_authn": true}))
            .complete(&response)
            .await;
        let reason = strict.expect_err("refused").to_string();
        assert!(reason.contains("too long ago"), "{reason}");
    }
}

#[tokio::test]
async fn nobody_logged_in_in_the_future_and_otherwise_it_does_not_matter_when() {
    for good in [Some(written(now() - TimeDelta::days(1))), None] {
        let login = outcome(json!({}), now(), good.as_deref()).await;
        login.unwrap_or_else(|failure| panic!("{good:?}: {failure}"));
    }
    let future = written(now() + TimeDelta::seconds(61));
    let failure = outcome(json!({}), now(), Some(&future)).await;
    let reason = failure.expect_err("refused").to_string();
    assert!(reason.contains("in the future"), "{reason}");
}

#[tokio::test]
async fn another_encrypted_assertion_under_a_signature_of_the_response_is_refused() {
    let story = Story::default();
    let sealed = |story: &Story| {
        let (gcm, oaep) = (algorithm::AES256_GCM, algorithm::RSA_OAEP);
        OURS.encrypt(&story.assertion(), gcm, oaep)
    };
    let honest = sealed(&story);
    let response = sign(&story.around(&honest), &THEIRS);
    let driver = driver_with_key(json!({}));
    let accepted = driver.complete(&callback(&response)).await;
    assert_eq!(name_of(&accepted.expect("accepted")), "jane");
    let forged = sealed(&Story {
        name: "root".into(),
        ..story
    });
    for changed in [
        response.replace(&honest, &forged),
        response.replace(&honest, &format!("{honest}{forged}")),
        response.replace(&honest, &format!("{forged}{honest}")),
        response.replace(
            &honest,
            &format!("<samlp:Extensions>{honest}</samlp:Extensions>{forged}"),
        ),
        response.replace(
            "</saml:EncryptedAssertion>",
            &format!("{forged}</saml:EncryptedAssertion>"),
        ),
    ] {
        assert_ne!(changed, response);
        let outcome = driver.complete(&callback(&changed)).await;
        assert!(matches!(outcome, Err(Failure::Refused(_))), "{changed}");
    }
}
