//! What strangers send to where assertions come in, how it is taken, and who has to wait for it.

use std::time::Duration;

use model::clock::Stopwatch;

use config::Config;
use http::Method;
use serde_json::json;
use testkit::{Client, Scope, TestServer};

use super::{CONSUMER, METADATA, PROTOCOL, add_source, bring, start};

/// A response of about so many bytes with something in it, in a SOAP message.
fn envelope(content: &str) -> String {
    format!(
        "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body>\
         <samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_r\" Version=\"2.0\">{content}\
         </samlp:Response></S:Body></S:Envelope>"
    )
}

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

/// Documents that a parser which compares everything with everything is busy with for seconds,
/// and one that is as costly as a document may be, with a signature over all of it.
fn documents() -> [(&'static str, String); 4] {
    let declared = |depth| many(60, |n| format!(" xmlns:p{depth}_{n}='urn:{n}'"));
    let nested = format!(
        "{}{}{}",
        many(60, |depth| format!("<e{}>", declared(depth))),
        many(20_000, |_| "<p0_0:a b='c'/>".into()),
        "</e>".repeat(60),
    );
    let signature = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
        <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
        <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/>\
        <ds:Reference URI=\"#_r\"><ds:Transforms>\
        <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
        <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
        <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>\
        <ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo>\
        <ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>";
    let status = "<samlp:Status><samlp:StatusCode \
        Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status><saml:Assertion/>";
    let honest = many(12_000, |n| {
        format!("<e{}>{n}</e>", " xmlns:p='urn:p' p:a='x'")
    });
    [
        (
            "attributes",
            envelope(&format!("<e{}/>", many(44_000, |n| format!(" a{n}=''")))),
        ),
        (
            "namespaces",
            envelope(&format!(
                "<e{}/>",
                many(27_000, |n| format!(" xmlns:n{n}='u'"))
            )),
        ),
        ("namespaces in scope", envelope(&nested)),
        (
            "all within the bounds",
            envelope(&format!("{signature}{status}<e>{honest}</e>")),
        ),
    ]
}

/// How long a request typically waits; they go on until nothing more is to be waited for.
async fn typical_wait(user: &Client, at_least: usize, is_done: impl Fn() -> bool) -> Duration {
    let mut waits = Vec::new();
    while waits.len() < at_least || !is_done() {
        let start = Stopwatch::start();
        user.get("/v3/auth/projects").await.expect(200);
        waits.push(start.elapsed());
    }
    waits.sort();
    waits[waits.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_documents_keeps_nobody_else_waiting() {
    let (server, _folder) = start().await;
    let cloud = TestServer::start().await;
    let accepts = json!({"allow_unsolicited": true, "require_audience": false});
    add_source(&server, &cloud, accepts).await;
    let user = cloud.with_role("member", Scope::Project).await;
    let idle = typical_wait(&user, 50, || true).await;
    for (what, document) in documents() {
        assert!(document.len() < 512 * 1024, "{what}: {}", document.len());
        let mut flood = Vec::new();
        for _ in 0..4 {
            let (stranger, document) = (cloud.nobody(), document.clone());
            flood.push(tokio::spawn(async move {
                let kind = "application/vnd.paos+xml";
                let answer = stranger.send_raw(Method::POST, CONSUMER, kind, document);
                answer.await.expect(401);
            }));
        }
        // What counts is the time while all of them are read: once one is done, fewer are.
        let is_done = || flood.iter().any(tokio::task::JoinHandle::is_finished);
        let beside = typical_wait(&user, 5, is_done).await;
        for one in flood {
            one.await.unwrap();
        }
        assert!(
            beside < idle * 50,
            "{what}: somebody waits {beside:?}, and on an idle server {idle:?}"
        );
    }
}

#[tokio::test]
async fn only_a_driver_that_knows_envelopes_reads_one() {
    let (server, _folder) = start().await;
    add_source(&server, &server, json!({})).await;
    bring(&server, "<no XML").await.expect(401);
    let settings = json!({
        "client_id": "c", "client_secret": "secret", "attributes": "userinfo",
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "userinfo_endpoint": "https://idp.example/me",
    });
    let body = json!({"protocol": {"mapping_id": "m", "driver": "oauth2", "settings": settings}});
    let admin = server.admin().await;
    admin.patch(PROTOCOL, body).await.expect(200);
    for body in ["<no XML", &documents()[0].1] {
        let message = bring(&server, body).await.message(400);
        assert_eq!(message, "this protocol does not support ECP clients.");
    }
}

#[tokio::test]
async fn a_response_in_a_url_is_refused() {
    let (server, _folder) = start().await;
    let cloud = TestServer::start_with(|config| {
        config.default.insecure_debug = true;
        config.federation.trusted_dashboard = vec![super::DASHBOARD.to_owned()].into();
    })
    .await;
    add_source(&server, &cloud, json!({"allow_unsolicited": true})).await;
    let callback = CONSUMER.replace("/ecp", "/callback");
    let in_url = format!("{callback}?SAMLResponse=PGEvPg%3D%3D");
    let nobody = cloud.nobody();
    for (answer, word) in [
        (nobody.get(&in_url).await, "nobody began"),
        (nobody.post_form(&in_url, &[]).await, "nobody began"),
        (
            nobody
                .post_form(&callback, &[("SAMLResponse", "PGEvPg==")])
                .await,
            "it is no SAML response",
        ),
    ] {
        let message = answer.message(401);
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[tokio::test]
async fn a_check_says_that_browsers_lose_a_login_without_tls() {
    let (server, _folder) = start().await;
    for (endpoint, is_said) in [
        (Some("http://cloud.example/"), true),
        (Some("https://cloud.example/"), false),
        (None, false),
    ] {
        let cloud = TestServer::start_with(|config| {
            if let Some(endpoint) = endpoint {
                let text = format!("[DEFAULT]\npublic_endpoint = {endpoint}\n");
                let read = Config::parse("keystone.conf".as_ref(), &text).unwrap();
                config.default.public_endpoint = read.default.public_endpoint;
            }
        })
        .await;
        let metadata = server.nobody().get(METADATA).await.expect_text(200);
        let metadata = metadata.replace("bindings:URI", "bindings:HTTP-Redirect");
        add_source(&server, &cloud, json!({ "metadata": metadata })).await;
        let path = format!("{PROTOCOL}/check");
        let found = cloud.admin().await.post(&path, json!({})).await.expect(200);
        let findings = found["check"]["findings"].as_array().unwrap();
        let said = findings
            .iter()
            .find(|finding| finding["step"] == "our addresses");
        assert_eq!(said.is_some(), is_said, "{endpoint:?}: {found}");
        // It is advice: a proxy may end TLS, or nobody uses a browser.
        assert_eq!(found["check"]["works"], true, "{found}");
    }
}
