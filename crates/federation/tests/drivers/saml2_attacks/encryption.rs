//! Encrypted assertions: by whom, for whom and by what means.

use bergshamra::core::algorithm;
use federation::{Driver, Failure};
use serde_json::json;

use super::{at_the_end, forged, refusal_with_key};
use crate::saml2_idp::{Identity, OURS, Story, THEIRS, callback, driver_with_key, refusal, sign};

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
