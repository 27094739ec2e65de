//! Signed pieces moved around in a forged whole (XML signature wrapping).

use bergshamra::core::algorithm;
use serde_json::json;

use super::{at_the_end, forged, refusal_with_key};
use crate::saml2_idp::{OURS, Story, THEIRS, callback, carried, driver, judged, refusal, sign};

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

/// Puts something behind the first issuer of a text, where a signature goes.
fn behind_issuer(text: &str, content: &str) -> String {
    text.replacen("</saml:Issuer>", &format!("</saml:Issuer>{content}"), 1)
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
