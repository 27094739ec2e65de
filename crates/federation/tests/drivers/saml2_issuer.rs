//! What we say of our own users, judged by our own driver; pysaml2 judges it in clients/.

use chrono::TimeDelta;
use federation::saml2::idp::{self, Description, Response, Signer, Statement, Unwritable};
use federation::{Callback, Failure, Verified};
use model::Secret;
use serde_json::{Value, json};

use crate::saml2_idp::{CALLBACK, IDP, Identity, OURS, SP, THEIRS, carried, limits, merge, now};

fn signer(identity: &Identity) -> Signer {
    let key = Secret::new(identity.key.clone());
    Signer::read(("keyfile", "certfile"), &key, &identity.certificate).expect("a key")
}

fn described() -> Description<'static> {
    Description {
        entity_id: IDP,
        sso_endpoint: "https://idp.example.org/sso?a=b&c=d",
        language: "de",
        organization: ["O", "Die <O>", "https://example.org/"],
        contact_type: "technical",
        contact: ["C", "Given", "Sur", "mail@example.org", "+1"],
    }
}

/// A response to nobody's request.
fn said(change: impl FnOnce(&mut Statement<'_>)) -> Response {
    let attributes = [
        ("openstack_user", vec!["jane".into()]),
        ("openstack_roles", vec!["<member>".into(), "a & ł".into()]),
    ];
    let mut statement = Statement {
        issuer: IDP,
        recipient: CALLBACK,
        subject: "jane",
        attributes: &attributes,
        ids: ["1", "2", "3"].map(str::to_owned),
        now: now(),
        until: now() + TimeDelta::minutes(5),
    };
    change(&mut statement);
    Response::write(&statement, &signer(&OURS)).expect("signed")
}

/// Lets a driver that accepts unsolicited responses validate a SOAP message.
async fn judged(envelope: &str, others: Value) -> Result<Verified, Failure> {
    taken(envelope, others).await.0
}

/// The same, with the `RelayState`.
async fn taken(envelope: &str, others: Value) -> (Result<Verified, Failure>, Option<String>) {
    let metadata = idp::metadata(&described(), &OURS.certificate).expect("metadata");
    let mut settings = json!({
        "entity_id": SP, "metadata": metadata,
        "allow_unsolicited": true, "require_audience": false,
    });
    merge(&mut settings, others);
    let driver = federation::Saml2::open(&settings, limits()).expect("settings");
    let brought = Callback {
        parameters: Vec::new(),
        secret: None,
        kept: String::new(),
        began: now(),
        callback_url: CALLBACK.into(),
        now: now(),
    };
    carried(&driver, envelope, &brought).await
}

async fn refusal(envelope: &str, others: Value) -> String {
    let failure = judged(envelope, others).await.expect_err("refused");
    failure.to_string()
}

#[tokio::test]
async fn what_we_say_is_what_we_accept() {
    let envelope = said(|_| ()).soap_message("ss:mem:<1>");
    // Clients disagree on the encoding of what they carry.
    assert!(envelope.is_ascii() && said(|_| ()).document().is_ascii());
    let (verified, relay_state) = taken(&envelope, json!({})).await;
    assert_eq!(relay_state.as_deref(), Some("ss:mem:<1>"));
    let verified = verified.expect("accepted");
    let values = |name: &str| verified.assertion.values(name).to_vec();
    assert_eq!(values("REMOTE_USER"), ["jane"]);
    assert_eq!(values("MELLON_IDP"), [IDP]);
    assert_eq!(values("openstack_user"), ["jane"]);
    assert_eq!(values("openstack_roles"), ["<member>", "a & ł"]);
    let replay_id = verified.replay_id.expect("once");
    assert_eq!(replay_id.id, "_2");
    assert_eq!(replay_id.until, now() + TimeDelta::minutes(6));
    assert_eq!(
        verified.session.expect("a session").id.as_deref(),
        Some("3")
    );
}

#[tokio::test]
async fn what_is_not_for_us_or_not_of_now_or_not_theirs_is_refused() {
    let late = said(|it| it.until = now() - TimeDelta::minutes(2)).soap_message("");
    let reason = refusal(&late, json!({})).await;
    assert!(reason.contains("any more (NotOnOrAfter)"), "{reason}");
    let elsewhere = said(|it| it.recipient = "https://other.example.org/").soap_message("");
    let reason = refusal(&elsewhere, json!({})).await;
    assert!(reason.contains("another Destination"), "{reason}");
    // Nothing signs the response itself, so its Destination can be rewritten.
    let sent_on = elsewhere.replace(
        "Destination=\"https://other.example.org/\"",
        &format!("Destination=\"{CALLBACK}\""),
    );
    let reason = refusal(&sent_on, json!({})).await;
    assert!(reason.contains("another Recipient"), "{reason}");
    let good = said(|_| ()).soap_message("");
    let reason = refusal(&good, json!({"require_audience": true})).await;
    assert!(reason.contains("for which Audience"), "{reason}");
    let reason = refusal(&good, json!({"allow_unsolicited": false})).await;
    assert!(reason.contains("belongs to no login"), "{reason}");
    let forged = good.replace(">jane<", ">root<");
    let reason = refusal(&forged, json!({})).await;
    assert!(reason.contains("not valid"), "{reason}");
    let other = idp::metadata(&described(), &THEIRS.certificate).expect("metadata");
    let reason = refusal(&good, json!({ "metadata": other })).await;
    assert!(reason.contains("signature"), "{reason}");
}

#[test]
fn a_name_that_xml_cannot_hold_is_not_signed() {
    for (subject, value) in [("ja\u{1}ne", "x"), ("jane", "\u{ffff}")] {
        let statement = Statement {
            issuer: IDP,
            recipient: CALLBACK,
            subject,
            attributes: &[("openstack_user", vec![value.to_owned()])],
            ids: ["1", "2", "3"].map(str::to_owned),
            now: now(),
            until: now(),
        };
        let error = Response::write(&statement, &signer(&OURS)).expect_err("refused");
        assert!(matches!(error, Unwritable::Name(_)), "{error}");
    }
}

#[test]
fn keys_and_certificates_have_to_fit() {
    let read = |key: &str, certificate: &str| {
        let key = Secret::new(key.to_owned());
        let read = Signer::read(("keyfile", "certfile"), &key, certificate);
        read.expect_err("refused").name
    };
    assert_eq!(read("", &OURS.certificate), "keyfile");
    // The elliptic curve is not for every service provider.
    assert_eq!(read(&THEIRS.key, &THEIRS.certificate), "keyfile");
    assert_eq!(read(&OURS.key, &THEIRS.certificate), "certfile");
    assert_eq!(read(&OURS.key, &OURS.key), "certfile");
    assert!(idp::metadata(&described(), &OURS.key).is_err());
}
