//! Logins with a browser.

use std::collections::HashMap;

use super::*;
use crate::listener::Hidden;

#[tokio::test]
async fn a_login_begins_with_a_request_for_a_code() {
    let listener = provider().await;
    let more = json!({"authorization_parameters": {"prompt": "login"}});
    let login = Login {
        secret: secret(),
        callback_url: CALLBACK.into(),
        now: now(),
    };
    let begun = open(&listener, more).begin(&login).await.unwrap();
    let Redirect::Url(url) = begun.redirect else {
        panic!("a form");
    };
    let (place, query) = url.split_once('?').unwrap();
    assert_eq!(place, format!("{}/authorize", listener.url));
    let said: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let names: Vec<_> = said.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(
        names,
        [
            "tenant",
            "response_type",
            "client_id",
            "redirect_uri",
            "state",
            "code_challenge",
            "code_challenge_method",
            "scope",
            "prompt",
        ]
    );
    let said: HashMap<_, _> = said.into_iter().collect();
    assert_eq!(said["tenant"], "a b");
    assert_eq!(said["response_type"], "code");
    assert_eq!(said["client_id"], "us:1");
    assert_eq!(said["redirect_uri"], CALLBACK);
    assert_eq!(said["state"], secret().derive("state"));
    assert_eq!(said["code_challenge_method"], "S256");
    assert_ne!(said["code_challenge"], secret().derive("code_verifier"));
    assert_eq!(said["scope"], "profile groups");
    assert_eq!(said["prompt"], "login");
    assert!(listener.asked().is_empty());
}

#[tokio::test]
async fn a_code_becomes_an_assertion_by_userinfo() {
    let listener = provider().await;
    let verified = complete(&open(&listener, json!({}))).await.unwrap();
    let said = &verified.assertion;
    assert_eq!(said.values("REMOTE_USER"), ["4711"]);
    assert_eq!(said.values("OAUTH2-login"), ["jane"]);
    assert_eq!(said.values("HTTP_OAUTH2_GROUPS"), ["staff", "wheel"]);
    assert_eq!(said.values("HTTP_OAUTH2_ISS"), [ISSUER]);
    let once = verified.replay_id.unwrap();
    assert_eq!(once.id, secret().derive("state"));
    assert!(once.until > now());

    let asked = listener.asked();
    let [token, me] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    // "us%3A1:our+secret%25", as RFC 6749 section 2.3.1 wants it.
    let basic = "Basic dXMlM0ExOm91citzZWNyZXQlMjU=";
    assert_eq!(token.header("authorization"), basic);
    assert_eq!(token.header("accept"), "application/json");
    let field = |name| token.field(name).unwrap_or_default();
    assert_eq!(field("grant_type"), "authorization_code");
    assert_eq!(field("code"), "good");
    assert_eq!(field("redirect_uri"), CALLBACK);
    assert_eq!(field("code_verifier"), secret().derive("code_verifier"));
    assert_eq!(token.field("client_secret"), None);
    assert_eq!(me.method, "GET");
    assert_eq!(me.header("authorization"), "Bearer t0ken");
}

#[tokio::test]
async fn a_code_becomes_an_assertion_by_introspection() {
    let listener = provider().await;
    let more = json!({
        "attributes": "introspection",
        "token_endpoint_auth_method": "client_secret_post",
        "claim_prefix": "GH_",
    });
    let verified = complete(&open(&listener, more)).await.unwrap();
    assert_eq!(verified.assertion.values("REMOTE_USER"), ["jane"]);
    assert_eq!(
        verified.assertion.values("HTTP_GH_SCOPE"),
        ["profile groups"]
    );
    for asked in listener.asked() {
        assert_eq!(asked.header("authorization"), "");
        assert_eq!(asked.field("client_id").as_deref(), Some("us:1"));
        assert_eq!(asked.field("client_secret").as_deref(), Some("our secret%"));
    }
}

#[tokio::test]
async fn a_public_client_names_itself_and_no_more() {
    let listener = provider().await;
    let more = json!({"client_secret": null, "token_endpoint_auth_method": "none"});
    complete(&open(&listener, more)).await.unwrap();
    let token = &listener.asked()[0];
    assert_eq!(token.header("authorization"), "");
    assert_eq!(token.field("client_id").as_deref(), Some("us:1"));
    assert_eq!(token.field("client_secret"), None);
}

#[tokio::test]
async fn a_login_that_this_browser_did_not_begin_is_refused() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let state = secret().derive("state");
    let other = FlowSecret::new([8; 32]).derive("state");
    for parameters in [
        &[("code", "good")][..],
        &[("code", "good"), ("state", "")],
        &[("code", "good"), ("state", &other)],
        &[
            ("code", "good"),
            ("state", &secret().derive("code_verifier")),
        ],
        &[("code", "good"), ("state", &state), ("state", &state)],
        &[("error", "access_denied"), ("state", &other)],
    ] {
        let why = refused(driver.complete(&callback(parameters)).await);
        assert!(why.contains("state"), "{why}");
    }
    let mut unsolicited = callback(&[("code", "good"), ("state", &state)]);
    unsolicited.secret = None;
    refused(driver.complete(&unsolicited).await);
    assert!(listener.asked().is_empty());
}

#[tokio::test]
async fn an_answer_of_another_provider_is_refused() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let state = secret().derive("state");
    let good = [("code", "good"), ("state", state.as_str())];
    for iss in [&["https://evil.example"][..], &[""], &[ISSUER, ISSUER]] {
        let mut parameters = good.to_vec();
        parameters.extend(iss.iter().map(|iss| ("iss", *iss)));
        let why = refused(driver.complete(&callback(&parameters)).await);
        assert!(why.contains("provider"), "{why}");
    }
    assert!(listener.asked().is_empty());
    let parameters = [good[0], good[1], ("iss", ISSUER)];
    driver.complete(&callback(&parameters)).await.unwrap();
}

#[tokio::test]
async fn an_error_that_the_provider_sends_back_is_its_refusal() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let state = secret().derive("state");
    let denied = callback(&[
        ("error", "access_denied"),
        ("error_description", "not\ntoday"),
        ("code", "good"),
        ("state", &state),
    ]);
    let failure = driver.complete(&denied).await.unwrap_err();
    assert_eq!(failure, Failure::Denied("access_denied nottoday".into()));
    for parameters in [
        &[("state", state.as_str())][..],
        &[("state", &state), ("code", "")],
        &[("state", &state), ("code", "good"), ("code", "bad")],
    ] {
        refused(driver.complete(&callback(parameters)).await);
    }
    assert!(listener.asked().is_empty());
}

#[tokio::test]
async fn a_code_that_the_provider_does_not_take_is_refused() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let state = secret().derive("state");
    let stolen = callback(&[("state", &state), ("code", "of another client")]);
    let why = refused(driver.complete(&stolen).await);
    assert!(why.contains("invalid_grant"), "{why}");
    // Some say so with a good status.
    let error = answer(200, json!({"error": "bad_verification_code"}));
    except(&listener, "/token", error);
    refused(complete(&driver).await);
    // When we are wrong, it is not the user's fault.
    except(
        &listener,
        "/token",
        answer(401, json!({"error": "invalid_client"})),
    );
    unavailable(complete(&driver).await);
}

#[tokio::test]
async fn a_token_answer_that_is_odd_is_not_used() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    for odd in [
        answer(
            500,
            json!({"access_token": "t0ken", "token_type": "bearer"}),
        ),
        answer(
            201,
            json!({"access_token": "t0ken", "token_type": "bearer"}),
        ),
        answer(200, json!({"access_token": "t0ken"})),
        answer(200, json!({"access_token": "t0ken", "token_type": "DPoP"})),
        answer(200, json!({"access_token": "t0ken", "token_type": "mac"})),
        answer(200, json!({"access_token": "", "token_type": "bearer"})),
        answer(200, json!({"access_token": 7, "token_type": "bearer"})),
        answer(200, json!({"access_token": "a\nb", "token_type": "bearer"})),
        answer(
            200,
            r#"{"access_token": "a", "access_token": "t0ken", "token_type": "bearer"}"#,
        ),
        answer(200, "access_token=t0ken&token_type=bearer"),
        answer(200, "[]"),
    ] {
        except(&listener, "/token", odd);
        unavailable(complete(&driver).await);
        assert_eq!(listener.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_is_slow_or_verbose_or_elsewhere_is_not_used() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let elsewhere = format!("{}/token2", listener.url);
    for path in ["/token", "/me"] {
        let good = answer(
            200,
            json!({"access_token": "t0ken", "token_type": "bearer", "id": 1}),
        );
        let mut slow = good.clone();
        slow.after = Duration::from_secs(5);
        except(&listener, path, slow);
        let why = unavailable(complete(&driver).await);
        assert!(why.contains("in time"), "{why}");

        let mut huge = good.clone();
        huge.body.push_str(&" ".repeat(5000));
        except(&listener, path, huge);
        let why = unavailable(complete(&driver).await);
        assert!(why.contains("longer than 4096 bytes"), "{why}");

        let mut redirect = good;
        redirect.status = 307;
        redirect.headers = vec![("location", elsewhere.clone())];
        except(&listener, path, redirect);
        unavailable(complete(&driver).await);
        let asked = listener.asked();
        assert!(asked.iter().all(|asked| asked.path() != "/token2"));
    }
}

#[tokio::test]
async fn a_private_address_is_asked_only_where_that_is_allowed() {
    let hidden = Hidden::listen();
    let strict = Limits {
        private_addresses: false,
        ..limits()
    };
    for url in hidden.urls() {
        let driver = OAuth2::open(&settings(&url, json!({})), strict.clone()).unwrap();
        let why = unavailable(complete(&driver).await);
        assert!(why.contains("private network"), "{why}");
        assert!(!hidden.was_found());
        let driver = OAuth2::open(&settings(&url, json!({})), limits()).unwrap();
        unavailable(complete(&driver).await);
        assert!(hidden.was_found());
    }
}

#[tokio::test]
async fn nobody_logs_in_without_a_name() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    for user in [
        json!({"login": "jane"}),
        json!({"id": null}),
        json!({"id": ""}),
        json!({"id": ["jane"]}),
        json!({"id": {"id": "jane"}}),
    ] {
        except(&listener, "/me", answer(200, user));
        let why = refused(complete(&driver).await);
        assert!(why.contains("'id'"), "{why}");
    }
    for odd in [
        answer(200, r#"{"id": "jane", "id": "root"}"#),
        answer(200, "[]"),
        answer(200, "<html>"),
        answer(204, ""),
        answer(500, user()),
    ] {
        except(&listener, "/me", odd);
        unavailable(complete(&driver).await);
    }
    except(
        &listener,
        "/me",
        answer(200, json!({"id": "jane", "iss": "https://evil.example"})),
    );
    refused(complete(&driver).await);
    except(&listener, "/me", answer(403, "{}"));
    refused(complete(&driver).await);
}

#[tokio::test]
async fn a_code_whose_token_is_another_clients_is_refused() {
    let listener = provider().await;
    let driver = open(&listener, json!({"attributes": "introspection"}));
    except(
        &listener,
        "/introspect",
        token_that(json!({"client_id": "another"})),
    );
    refused(complete(&driver).await);
}
