//! SAML 2.0: what a login sends and accepts, metadata, encryption, clients without a browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::core::algorithm;
use chrono::TimeDelta;
use federation::outbound::Limits;
use federation::saml2::Saml2;
use federation::{Callback, Driver, Failure, Redirect, ReplayId};
use serde_json::json;

use crate::listener::{Listener, json as answer};
use crate::saml2_idp::{
    CALLBACK, IDP, Identity, OURS, Place, SP, Story, THEIRS, attribute, callback, carried, driver,
    driver_with_key, judged, limits, login, merge, metadata, name_of, now, request_id, secret,
    sign,
};

#[tokio::test]
async fn a_signed_assertion_yields_what_it_says() {
    let verified = judged(&Story::default().signed_assertion())
        .await
        .expect("accepted");
    let said = |name: &str| verified.assertion.values(name).to_vec();
    assert_eq!(said("NameID"), ["jane"]);
    assert_eq!(said("REMOTE_USER"), ["jane"]);
    assert_eq!(said("MELLON_IDP"), [IDP]);
    assert_eq!(said("Shib-Identity-Provider"), [IDP]);
    assert_eq!(said("mail"), ["jane@example.org"]);
    assert_eq!(
        said("urn:oid:0.9.2342.19200300.100.1.3"),
        ["jane@example.org"]
    );
    let replay_id = ReplayId {
        id: "_assertion".into(),
        until: now() + TimeDelta::minutes(6),
    };
    assert_eq!(verified.replay_id, Some(replay_id));
    let session = verified.session.expect("a session");
    assert_eq!(
        (session.subject.as_str(), session.id.as_deref()),
        ("jane", Some("s1"))
    );
}

#[tokio::test]
async fn a_signature_over_the_whole_response_is_as_good() {
    let verified = judged(&Story::default().signed_response())
        .await
        .expect("accepted");
    assert_eq!(name_of(&verified), "jane");
}

#[tokio::test]
async fn a_response_may_be_signed_twice_once_for_each_of_its_parts() {
    let story = Story::default();
    let both = sign(&story.signed_assertion(), &THEIRS);
    assert_eq!(name_of(&judged(&both).await.expect("accepted")), "jane");
}

#[tokio::test]
async fn a_signature_that_a_setting_demands_has_to_be_there() {
    let story = Story::default();
    for (setting, lacks, has) in [
        (
            "want_response_signed",
            story.signed_assertion(),
            story.signed_response(),
        ),
        (
            "want_assertions_signed",
            story.signed_response(),
            story.signed_assertion(),
        ),
    ] {
        let driver = driver(json!({setting: true}));
        driver.complete(&callback(&has)).await.expect("accepted");
        let failure = driver
            .complete(&callback(&lacks))
            .await
            .expect_err("refused");
        assert!(
            failure.to_string().contains("itself is not signed"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn attributes_come_by_both_names_with_all_values_behind_the_prefix() {
    let story = Story {
        attributes: attribute("urn:a", "groups", &["x", "y"])
            + &attribute("urn:a", "groups", &["z &amp; w"])
            + &attribute("uid", "uid", &["jane"])
            + &attribute("groups-else", "uid", &["not me"])
            + &attribute("MELLON_IDP", "REMOTE_USER", &["https://evil.example.org"]),
        ..Story::default()
    };
    let driver_plain = driver(json!({}));
    let verified = driver_plain
        .complete(&callback(&story.signed_assertion()))
        .await
        .expect("accepted");
    let said = |name: &str| verified.assertion.values(name).to_vec();
    assert_eq!(said("urn:a"), ["x", "y", "z & w"]);
    assert_eq!(said("groups"), ["x", "y", "z & w"]);
    assert_eq!(said("uid"), ["jane"]);
    assert_eq!(said("MELLON_IDP"), [IDP]);
    assert_eq!(said("REMOTE_USER"), ["jane"]);
    let driver_mellon = driver(json!({"attribute_prefix": "MELLON_"}));
    let verified = driver_mellon
        .complete(&callback(&story.signed_assertion()))
        .await
        .expect("accepted");
    assert_eq!(verified.assertion.values("MELLON_uid"), ["jane"]);
    assert!(verified.assertion.values("uid").is_empty());
}

#[tokio::test]
async fn names_and_values_are_kept_letter_by_letter() {
    // To leave the space out would make two users of the provider one user here.
    let within = "<saml:NameID>odd </saml:NameID>";
    let pretty = format!("\n  {within}\n");
    let story = Story {
        name: "jane doe ".into(),
        attributes: attribute("groups", "g", &[" staff\n", "a  b", "", " "])
            + &attribute("targeted", "t", &[within, &pretty, &format!("x{within}")]),
        ..Story::default()
    };
    let verified = judged(&story.signed_assertion()).await.expect("accepted");
    assert_eq!(name_of(&verified), "jane doe ");
    assert_eq!(verified.assertion.values("REMOTE_USER"), ["jane doe "]);
    let session = verified.session.expect("a session");
    assert_eq!(session.subject, "jane doe ");
    let groups = verified.assertion.values("groups");
    assert_eq!(groups, [" staff\n", "a  b", "", " "]);
    let targeted = verified.assertion.values("targeted");
    assert_eq!(targeted, ["odd ", "odd ", "xodd "]);
}

#[tokio::test]
async fn what_the_provider_refuses_is_a_denial() {
    let story = Story {
        status: "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Responder\">\
                 <samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:AuthnFailed\"/>\
                 </samlp:StatusCode><samlp:StatusMessage>no such user</samlp:StatusMessage>"
            .into(),
        ..Story::default()
    };
    let failure = judged(&story.around("")).await.expect_err("denied");
    assert_eq!(
        failure,
        Failure::Denied("Responder, AuthnFailed: no such user".into())
    );
}

#[tokio::test]
async fn an_encrypted_assertion_is_opened_and_its_signature_verified() {
    let story = Story::default();
    let assertion = sign(&story.assertion(), &THEIRS);
    for cipher in [algorithm::AES256_GCM, algorithm::AES128_GCM] {
        let response = story.around(&OURS.encrypt(&assertion, cipher, algorithm::RSA_OAEP));
        let driver = driver_with_key(json!({"want_assertions_encrypted": true}));
        let verified = driver
            .complete(&callback(&response))
            .await
            .expect("accepted");
        assert_eq!(name_of(&verified), "jane");
    }
}

#[tokio::test]
async fn a_signature_around_an_encrypted_assertion_covers_it() {
    let story = Story::default();
    let sealed = OURS.encrypt(
        &story.assertion(),
        algorithm::AES256_GCM,
        algorithm::RSA_OAEP,
    );
    let response = sign(&story.around(&sealed), &THEIRS);
    let verified = driver_with_key(json!({}))
        .complete(&callback(&response))
        .await;
    assert_eq!(name_of(&verified.expect("accepted")), "jane");
}

#[tokio::test]
async fn cbc_is_opened_only_where_a_signature_covers_it_or_a_setting_says_so() {
    let story = Story::default();
    let assertion = sign(&story.assertion(), &THEIRS);
    for cipher in [algorithm::AES128_CBC, algorithm::AES256_CBC] {
        let open = story.around(&OURS.encrypt(&assertion, cipher, algorithm::RSA_OAEP));
        let covered = sign(&open, &THEIRS);
        let (usual, lax) = (json!({}), json!({"allow_cbc": true}));
        for (settings, response) in [(&usual, &covered), (&lax, &covered), (&lax, &open)] {
            let driver = driver_with_key(settings.clone());
            let verified = driver.complete(&callback(response)).await;
            assert_eq!(name_of(&verified.expect("accepted")), "jane");
        }
        let driver = driver_with_key(usual);
        let failure = driver.complete(&callback(&open)).await;
        let failure = failure.expect_err("refused").to_string();
        assert!(failure.contains("set allow_cbc"), "{failure}");
        // Nor is it opened where the signature is of a stranger, or does not hold any more.
        let changed = covered.replace("CipherValue>", "CipherValue> ");
        for bad in [sign(&open, &Identity::new()), changed] {
            let failure = driver.complete(&callback(&bad)).await;
            let failure = failure.expect_err("refused").to_string();
            assert!(failure.contains("not valid"), "{failure}");
        }
    }
}

#[tokio::test]
async fn the_old_key_still_opens_what_was_encrypted_to_it() {
    let story = Story::default();
    let assertion = sign(&story.assertion(), &THEIRS);
    let response =
        story.around(&OURS.encrypt(&assertion, algorithm::AES256_GCM, algorithm::RSA_OAEP));
    let new = Identity::rsa();
    let driver = driver(json!({
        "private_key": new.key, "certificate": new.certificate,
        "old_private_key": OURS.key, "old_certificate": OURS.certificate,
    }));
    driver
        .complete(&callback(&response))
        .await
        .expect("accepted");
    let ours = driver.metadata(CALLBACK, CALLBACK);
    assert!(ours.contains(&new.certificate_text()));
    assert!(!ours.contains(&OURS.certificate_text()));
}

#[tokio::test]
async fn a_plain_assertion_is_refused_where_encryption_is_demanded() {
    let driver = driver_with_key(json!({"want_assertions_encrypted": true}));
    let failure = driver
        .complete(&callback(&Story::default().signed_assertion()))
        .await;
    assert!(
        failure
            .expect_err("refused")
            .to_string()
            .contains("not encrypted")
    );
}

#[tokio::test]
async fn a_redirect_carries_a_request_that_our_key_signed() {
    let begun = driver_with_key(json!({}))
        .begin(&login())
        .await
        .expect("begun");
    let Redirect::Url(url) = begun.redirect else {
        panic!("not a redirect");
    };
    let query = url
        .strip_prefix("https://idp.example.org/redirect?tenant=a%20b&")
        .expect(&url);
    let url = reqwest::Url::parse(&url).expect("a URL");
    let value = |name: &str| {
        let mut all = url.query_pairs().filter(|(known, _)| known == name);
        let (_, value) = all.next().expect(name);
        assert!(all.next().is_none());
        value.into_owned()
    };
    assert_eq!(value("RelayState"), secret().derive("state"));
    assert_eq!(
        value("SigAlg"),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    );
    let stored = BASE64_STANDARD
        .decode(value("SAMLRequest"))
        .expect("Base64");
    let request = String::from_utf8(stored[5..].to_vec()).expect("UTF-8");
    assert!(
        request.contains(&format!("ID=\"{}\"", request_id())),
        "{request}"
    );
    assert!(
        request.contains(&format!("AssertionConsumerServiceURL=\"{CALLBACK}\"")),
        "{request}"
    );
    let (signed, _) = query.split_once("&Signature=").expect("a signature");
    let signature = BASE64_STANDARD.decode(value("Signature")).expect("Base64");
    let key =
        bergshamra::keys::loader::load_x509_cert_pem(OURS.certificate.as_bytes()).expect("a key");
    let verifier = bergshamra::crypto::sign::from_uri(algorithm::RSA_SHA256).expect("an algorithm");
    let key = key.to_signing_key().expect("a key").expect("a key");
    assert!(
        verifier
            .verify(&key, signed.as_bytes(), &signature)
            .expect("verified")
    );
}

#[tokio::test]
async fn a_form_carries_a_request_with_the_signature_within() {
    let driver = driver_with_key(json!({
        "binding": "post", "force_authn": true, "name_id_format": "urn:f", "authn_context": ["urn:c"],
    }));
    let begun = driver.begin(&login()).await.expect("begun");
    let Redirect::Form { action, fields } = begun.redirect else {
        panic!("not a form");
    };
    assert_eq!(action, "https://idp.example.org/post");
    assert_eq!(fields[1], ("RelayState".into(), secret().derive("state")));
    let request = BASE64_STANDARD.decode(&fields[0].1).expect("Base64");
    let request = String::from_utf8(request).expect("UTF-8");
    for part in ["ForceAuthn=\"true\"", "Format=\"urn:f\"", ">urn:c</"] {
        assert!(request.contains(part), "{request}");
    }
    assert!(is_signed_by(&request, &OURS));
}

fn is_signed_by(text: &str, identity: &Identity) -> bool {
    let mut manager = bergshamra::KeysManager::new();
    let key = bergshamra::keys::loader::load_x509_cert_pem(identity.certificate.as_bytes());
    manager.add_key(key.expect("a key"));
    let result = bergshamra::verify(&bergshamra::DsigContext::new(manager), text);
    result.expect("verified").is_valid()
}

#[tokio::test]
async fn without_a_key_requests_are_not_signed() {
    let begun = driver(json!({})).begin(&login()).await.expect("begun");
    let Redirect::Url(url) = begun.redirect else {
        panic!("not a redirect");
    };
    assert!(!url.contains("Signature="), "{url}");
}

#[tokio::test]
async fn our_metadata_names_us_our_keys_and_where_responses_go() {
    let driver = driver_with_key(json!({"want_assertions_signed": true}));
    let text = driver.metadata(CALLBACK, "https://keystone.example.org/v3/ecp");
    for part in [
        format!("entityID=\"{SP}\""),
        "AuthnRequestsSigned=\"true\"".into(),
        "WantAssertionsSigned=\"true\"".into(),
        OURS.certificate_text(),
        format!("HTTP-POST\" Location=\"{CALLBACK}\" index=\"0\" isDefault=\"true\""),
        "PAOS\" Location=\"https://keystone.example.org/v3/ecp\" index=\"1\" isDefault=\"false\""
            .into(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    // Each place understands one binding alone.
    assert_eq!(text.matches("<md:AssertionConsumerService ").count(), 2);
    // To say "false" makes some providers drop the one signature that there would be.
    let text = driver_with_key(json!({})).metadata(CALLBACK, CALLBACK);
    assert!(!text.contains("WantAssertionsSigned"), "{text}");
}

#[tokio::test]
async fn metadata_is_asked_for_once_and_again_when_it_is_old() {
    let place = Place::with(&metadata(&[&THEIRS], "cacheDuration=\"PT10M\""));
    let driver = by_url(&place, json!({}));
    let response = Story::default().signed_assertion();
    for minutes in [0, 1, 2] {
        let mut callback = callback(&response);
        callback.now += TimeDelta::minutes(minutes);
        driver.complete(&callback).await.expect("accepted");
    }
    assert_eq!(place.asked(), 1);
    let mut later = login();
    later.now += TimeDelta::minutes(10);
    driver.begin(&later).await.expect("begun");
    assert_eq!(place.asked(), 2);
}

fn by_url(place: &Place, others: serde_json::Value) -> Saml2 {
    let mut settings = json!({"entity_id": SP, "metadata_url": place.url});
    merge(&mut settings, others);
    Saml2::open(&settings, limits()).expect("settings")
}

#[tokio::test]
async fn old_metadata_serves_while_the_new_cannot_be_had_until_its_end() {
    let until = "validUntil=\"2026-09-22T00:00:00Z\" cacheDuration=\"PT1M\"";
    let place = Place::with(&metadata(&[&THEIRS], until));
    let driver = by_url(&place, json!({}));
    driver.begin(&login()).await.expect("begun");
    place.says(None);
    let mut later = login();
    later.now += TimeDelta::hours(1);
    driver.begin(&later).await.expect("begun by the old");
    assert_eq!(place.asked(), 2);
    later.now += TimeDelta::days(2);
    let failure = driver.begin(&later).await.expect_err("ended");
    assert!(failure.to_string().contains("validUntil"), "{failure}");
}

#[tokio::test]
async fn metadata_are_fetched_from_a_place_that_an_authority_of_the_settings_vouches_for() {
    let (listener, authority) = Listener::start_with_tls().await;
    let good = answer(200, metadata(&[&THEIRS], ""));
    listener.answer(move |_| good.clone());
    let mut settings = json!({"entity_id": SP, "metadata_url": format!("{}/", listener.url)});
    let stranger = Saml2::open(&settings, limits()).expect("settings");
    let failure = stranger.begin(&login()).await.expect_err("not trusted");
    assert!(failure.to_string().contains("certificate"), "{failure}");
    assert!(listener.asked().is_empty());
    settings["ca_certificates"] = json!(authority);
    let driver = Saml2::open(&settings, limits()).expect("settings");
    driver.begin(&login()).await.expect("begun");
    assert_eq!(listener.asked().len(), 1);
}

/// Counts what is logged in this thread.
#[derive(Default)]
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("federation") && *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn metadata_that_cannot_be_had_are_told_of_once() {
    let lines = Lines::default();
    let logged = lines.0.clone();
    let _listens = tracing::subscriber::set_default(lines);
    let place = Place::with("");
    place.says(None);
    // The caller gets the failure, and logs it.
    let driver = by_url(&place, json!({}));
    driver.begin(&login()).await.expect_err("nothing is known");
    assert_eq!(logged.load(Ordering::SeqCst), 0);
    // Where the old serves on, nobody else would tell.
    place.says(Some(metadata(&[&THEIRS], "")));
    let driver = by_url(&place, json!({}));
    driver.begin(&login()).await.expect("begun");
    place.says(None);
    let mut later = login();
    later.now += TimeDelta::hours(2);
    for _ in 0..2 {
        driver.begin(&later).await.expect("begun by the old");
    }
    assert_eq!(logged.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_found_at_once() {
    let new = Identity::new();
    let place = Place::with(&metadata(&[&THEIRS], ""));
    let driver = by_url(&place, json!({}));
    driver.begin(&login()).await.expect("begun");
    place.says(Some(metadata(&[&THEIRS, &new], "")));
    let story = Story::default();
    let mut callback = callback(&story.around(&sign(&story.assertion(), &new)));
    callback.now += TimeDelta::minutes(2);
    driver.complete(&callback).await.expect("accepted");
    assert_eq!(place.asked(), 2);
}

#[tokio::test]
async fn strangers_keys_do_not_make_us_ask_more_than_once_in_ten_seconds() {
    let place = Place::with(&metadata(&[&THEIRS], ""));
    let driver = by_url(&place, json!({}));
    let story = Story::default();
    let forged = callback(&story.around(&sign(&story.assertion(), &Identity::new())));
    for _ in 0..5 {
        driver.complete(&forged).await.expect_err("refused");
    }
    assert_eq!(place.asked(), 1);
    let mut later = callback(&story.around(&sign(&story.assertion(), &Identity::new())));
    later.now += TimeDelta::seconds(10);
    driver.complete(&later).await.expect_err("refused");
    assert_eq!(place.asked(), 2);
}

#[tokio::test]
async fn a_check_asks_at_once_whatever_is_known() {
    let place = Place::with(&metadata(&[&THEIRS], ""));
    let driver = by_url(&place, json!({}));
    driver.begin(&login()).await.expect("begun");
    place.says(None);
    let findings = driver.check(CALLBACK, now()).await;
    assert!(findings.iter().any(|found| !found.works), "{findings:?}");
    // Who logs in is served by what is known.
    driver.begin(&login()).await.expect("begun");
    place.says(Some(metadata(&[&THEIRS], "")));
    let findings = driver.check(CALLBACK, now()).await;
    assert!(findings.iter().all(|found| found.works), "{findings:?}");
}

#[tokio::test]
async fn pinned_metadata_needs_the_signature_of_the_pinned_key() {
    let signer = Identity::rsa();
    let plain = metadata(&[&THEIRS], "ID=\"_m\"");
    let signed = sign(&plain, &signer);
    let pinned = json!({"metadata_certificate": signer.certificate});
    let place = Place::with(&signed);
    by_url(&place, pinned.clone())
        .begin(&login())
        .await
        .expect("begun");
    for bad in [
        plain.clone(),
        sign(&plain, &Identity::rsa()),
        signed.replace("/post", "/evil"),
        format!(
            "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{signed}</md:EntitiesDescriptor>"
        ),
    ] {
        place.says(Some(bad));
        by_url(&place, pinned.clone())
            .begin(&login())
            .await
            .expect_err("refused");
    }
}

#[tokio::test]
async fn one_provider_of_many_is_found_by_its_name() {
    let other = metadata(&[&THEIRS], "").replace(IDP, "https://other.example.org");
    let both = format!(
        "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{other}{}</md:EntitiesDescriptor>",
        metadata(&[&THEIRS], "")
    );
    let driver = driver(json!({"metadata": both, "idp_entity_id": IDP}));
    driver
        .complete(&callback(&Story::default().signed_assertion()))
        .await
        .expect("accepted");
    let settings = json!({"entity_id": SP, "metadata": both});
    let wrong = Saml2::open(&settings, limits()).expect_err("ambiguous");
    assert!(wrong.to_string().contains("set idp_entity_id"), "{wrong}");
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let good = metadata(&[&THEIRS], "");
    for (others, name) in [
        (json!({"metadata": "<a/>"}), "metadata"),
        (
            json!({"metadata": good.replace("https://idp.example.org/metadata", "")}),
            "metadata",
        ),
        (
            json!({"metadata_url": "https://idp.example.org"}),
            "metadata_url",
        ),
        (
            json!({"metadata": null, "metadata_url": "http://idp.example.org"}),
            "metadata_url",
        ),
        (json!({"metadata": null}), "metadata_url"),
        (json!({"entity_id": ""}), "entity_id"),
        (
            json!({"private_key": "x", "certificate": "y"}),
            "private_key",
        ),
        (
            json!({"private_key": THEIRS.key, "certificate": THEIRS.certificate}),
            "private_key",
        ),
        (
            json!({"private_key": OURS.key, "certificate": THEIRS.certificate}),
            "certificate",
        ),
        (json!({"private_key": OURS.key}), "certificate"),
        (json!({"certificate": OURS.certificate}), "private_key"),
        (json!({"sign_requests": true}), "private_key"),
        (json!({"want_assertions_encrypted": true}), "private_key"),
        (json!({"binding": "artifact"}), "binding"),
        (json!({"clock_skew": 3600}), "clock_skew"),
        (json!({"metadata_certificate": "x"}), "metadata_certificate"),
        (json!({"ca_certificates": "x"}), "ca_certificates"),
        (json!({"surprise": 1}), "surprise"),
    ] {
        let mut settings = json!({"entity_id": SP, "metadata": good});
        merge(&mut settings, others.clone());
        let wrong = Saml2::open(&settings, limits()).expect_err("wrong");
        assert_eq!(wrong.name, name, "{others}: {wrong}");
    }
    let settings = json!({"entity_id": SP, "metadata_url": "http://127.0.0.1/"});
    let wrong = Saml2::open(&settings, Limits::default()).expect_err("not to be tried out");
    assert_eq!(wrong.name, "metadata_url");
}

#[tokio::test]
async fn a_check_says_what_works_and_what_does_not() {
    let findings = driver_with_key(json!({})).check(CALLBACK, now()).await;
    let steps: Vec<_> = findings
        .iter()
        .map(|finding| (finding.step, finding.works))
        .collect();
    assert_eq!(
        steps,
        [
            ("our key", true),
            ("metadata", true),
            ("endpoint", true),
            ("signing keys", true)
        ]
    );
    let short = driver(json!({"name_id_format": "persistent"}));
    let findings = short.check(CALLBACK, now()).await;
    let advised = findings.iter().find(|finding| !finding.works);
    let advised = advised.expect("advice");
    assert!(
        !advised.needed && advised.detail.contains("no URN"),
        "{advised:?}"
    );
    let picky = metadata(&[&THEIRS], "")
        .replace(
            "<md:IDPSSODescriptor",
            "<md:IDPSSODescriptor WantAuthnRequestsSigned=\"true\"",
        )
        .replace("HTTP-", "HTTP-Artifact-");
    let findings = driver(json!({"metadata": picky}))
        .check(CALLBACK, now())
        .await;
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| !finding.works)
        .map(|finding| finding.step)
        .collect();
    assert_eq!(bad, ["endpoint", "signed requests"]);
    let settings = json!({"entity_id": SP, "metadata_url": "http://127.0.0.1:1/"});
    let findings = Saml2::open(&settings, limits())
        .expect("settings")
        .check(CALLBACK, now())
        .await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.step == "metadata" && !finding.works)
    );
}

#[tokio::test]
async fn a_client_without_a_browser_carries_envelopes() {
    let driver = driver_with_key(json!({}));
    let envelope = driver
        .begin_ecp(&login(), "sealed & kept")
        .await
        .expect("a SOAP message");
    assert!(
        envelope.contains(&format!("responseConsumerURL=\"{CALLBACK}\"")),
        "{envelope}"
    );
    assert!(envelope.contains(&request_id()), "{envelope}");
    assert!(is_signed_by(&envelope, &OURS));
    let story = Story::default();
    let answer = format!(
        "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Header>\
         <ecp:RelayState xmlns:ecp=\"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp\">sealed &amp; kept\
         </ecp:RelayState></S:Header><S:Body>{}</S:Body></S:Envelope>",
        story.signed_response()
    );
    let mut brought = callback("");
    let (verified, relay_state) = carried(&driver, &answer, &brought).await;
    assert_eq!(name_of(&verified.expect("accepted")), "jane");
    assert_eq!(relay_state.as_deref(), Some("sealed & kept"));
    let refused = async |envelope: &str, brought: &Callback| {
        let (outcome, _) = carried(&driver, envelope, brought).await;
        outcome.expect_err("refused");
    };
    let forged = answer.replace(">jane<", ">root<");
    refused(&forged, &brought).await;
    let doubled = answer.replace("</S:Body>", &format!("{}</S:Body>", story.around("")));
    refused(&doubled, &brought).await;
    brought.secret = None;
    refused(&answer, &brought).await;
}
