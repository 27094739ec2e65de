//! Metadata, and what a check finds.

use super::*;

fn metadata(listener: &Listener, more: Value) -> Answered {
    let url = &listener.url;
    let mut metadata = json!({
        "issuer": format!("{url}/tenant"),
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/me"),
        "authorization_response_iss_parameter_supported": true,
    });
    for (name, value) in more.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    answer(200, metadata)
}

fn discovering(listener: &Listener) -> OAuth2 {
    let settings = json!({
        "issuer": format!("{}/tenant", listener.url),
        "client_id": "us:1",
        "client_secret": "our secret%",
        "attributes": "userinfo",
        "subject": "id",
    });
    OAuth2::open(&settings, limits()).unwrap()
}

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server/tenant";

#[tokio::test]
async fn endpoints_are_found_in_the_metadata_which_is_asked_once() {
    let listener = provider().await;
    except(&listener, WELL_KNOWN, metadata(&listener, json!({})));
    except_me_without_issuer(&listener);
    let driver = discovering(&listener);
    let state = secret().derive("state");
    let issuer = format!("{}/tenant", listener.url);
    let parameters = [
        ("state", state.as_str()),
        ("code", "good"),
        ("iss", &issuer),
    ];
    for _ in 0..2 {
        let verified = driver.complete(&callback(&parameters)).await.unwrap();
        assert_eq!(verified.assertion.values("OAUTH2-iss"), [&*issuer]);
    }
    let asked = listener.asked();
    let paths: Vec<_> = asked.iter().map(Asked::path).collect();
    assert_eq!(paths, [WELL_KNOWN, "/token", "/me", "/token", "/me"]);
    // A provider that says that it always names itself has to (RFC 9207 section 2.4).
    refused(driver.complete(&callback(&parameters[..2])).await);
}

/// Answers with metadata, and with a user without an issuer.
fn except_me_without_issuer(listener: &Listener) {
    let found = metadata(listener, json!({}));
    listener.answer(move |asked| match asked.path() {
        WELL_KNOWN => found.clone(),
        "/me" => answer(200, json!({"id": "jane"})),
        _ => well_behaved(asked),
    });
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    let listener = provider().await;
    for (change, reason) in [
        (json!({"issuer": "https://evil.example"}), "instead of"),
        (json!({"issuer": null}), "no metadata"),
        (json!({"token_endpoint": "file:///etc"}), "token_endpoint"),
        (json!({"token_endpoint": null}), "token_endpoint"),
        (
            json!({"token_endpoint": "http://p.example/token"}),
            "token_endpoint: it must begin with https://",
        ),
        (
            json!({"authorization_endpoint": "http://p.example/authorize"}),
            "authorization_endpoint: it must begin with https://",
        ),
        (
            json!({"userinfo_endpoint": "http://10.0.0.1/me"}),
            "userinfo_endpoint: it must begin with https://",
        ),
        (json!({"userinfo_endpoint": null}), "userinfo_endpoint"),
    ] {
        except(&listener, WELL_KNOWN, metadata(&listener, change.clone()));
        let driver = discovering(&listener);
        let state = secret().derive("state");
        let issuer = format!("{}/tenant", listener.url);
        let parameters = [
            ("state", state.as_str()),
            ("code", "good"),
            ("iss", &issuer),
        ];
        let why = unavailable(driver.complete(&callback(&parameters)).await);
        assert!(why.contains(reason), "{change}: {why}");
    }
}

fn login(seconds: i64) -> Login {
    Login {
        secret: secret(),
        callback_url: CALLBACK.into(),
        now: now() + chrono::TimeDelta::seconds(seconds),
    }
}

#[tokio::test]
async fn known_endpoints_count_while_the_provider_is_down() {
    let listener = provider().await;
    except(&listener, WELL_KNOWN, metadata(&listener, json!({})));
    let driver = discovering(&listener);
    driver.begin(&login(0)).await.unwrap();
    except(&listener, WELL_KNOWN, answer(503, "{}"));
    driver.begin(&login(7200)).await.unwrap();
    driver.begin(&login(7209)).await.unwrap();
    assert_eq!(listener.asked().len(), 2);
    let gone = driver.begin(&login(86_400 + 7200)).await;
    assert!(matches!(gone, Err(Failure::Unavailable(_))), "{gone:?}");
}

#[tokio::test]
async fn logins_do_not_wait_one_after_another_for_a_provider_that_does_not_answer() {
    let listener = provider().await;
    let mut slow = metadata(&listener, json!({}));
    slow.after = Duration::from_secs(5);
    except(&listener, WELL_KNOWN, slow);
    let driver = discovering(&listener);
    let first = login(0);
    let (one, other) = tokio::join!(driver.begin(&first), driver.begin(&first));
    for failed in [one, other, driver.begin(&login(9)).await] {
        let Err(Failure::Unavailable(why)) = failed else {
            panic!("it began: {failed:?}");
        };
        assert!(why.contains("in time"), "{why}");
    }
    assert_eq!(listener.asked().len(), 1);
    except(&listener, WELL_KNOWN, metadata(&listener, json!({})));
    driver.begin(&login(10)).await.unwrap();
}

/// What a check finds: which steps, whether they work, and all it says.
async fn check(driver: &OAuth2) -> (Vec<(&'static str, bool)>, String) {
    let findings = driver.check(CALLBACK, now()).await;
    let steps = findings.iter().map(|found| (found.step, found.works));
    let details: Vec<&str> = findings.iter().map(|found| &*found.detail).collect();
    (steps.collect(), details.join("\n"))
}

#[tokio::test]
async fn a_check_says_what_works() {
    let listener = provider().await;
    let driver = open(&listener, json!({"bearer": "introspection"}));
    let (steps, _) = check(&driver).await;
    let all = ["authorization", "token", "userinfo", "introspection"];
    assert_eq!(steps, all.map(|step| (step, true)));

    // One that knows nobody, one that takes everything, one that is not there.
    listener.answer(|_| answer(401, json!({"error": "invalid_client"})));
    let (steps, said) = check(&driver).await;
    assert_eq!(
        steps,
        [
            ("authorization", true),
            ("token", false),
            ("userinfo", true),
            ("introspection", false),
        ]
    );
    assert!(said.contains("client_secret"), "{said}");
    listener.answer(|_| {
        answer(
            200,
            json!({"active": true, "access_token": "x", "token_type": "bearer"}),
        )
    });
    let (steps, said) = check(&driver).await;
    assert_eq!(steps.iter().filter(|(_, works)| *works).count(), 1);
    assert!(said.contains("never issued"), "{said}");
    listener.answer(|_| answer(404, "{}"));
    let (steps, _) = check(&driver).await;
    assert!(steps.iter().all(|(_, works)| !works));

    let (steps, said) = check(&discovering(&listener)).await;
    assert_eq!(steps, [("metadata", false)]);
    assert!(said.contains("404"), "{said}");
}

#[tokio::test]
async fn a_check_brings_the_callback_that_logins_bring() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    // One that compares the callback before it looks at the code.
    listener.answer(|asked| match asked.path() {
        "/token" if asked.field("redirect_uri").as_deref() != Some(CALLBACK) => {
            answer(400, json!({"error": "unauthorized_client"}))
        }
        _ => well_behaved(asked),
    });
    let (steps, said) = check(&driver).await;
    assert!(steps.contains(&("token", true)), "{said}");
}

#[tokio::test]
async fn requests_are_pushed_where_the_provider_demands_it() {
    let listener = provider().await;
    let more = json!({
        "require_pushed_authorization_requests": true,
        "pushed_authorization_request_endpoint": format!("{}/par", listener.url),
    });
    let found = metadata(&listener, more);
    listener.answer(move |asked| match asked.path() {
        WELL_KNOWN => found.clone(),
        "/par" if asked.field("redirect_uri").as_deref() == Some(CALLBACK) => answer(
            201,
            json!({"request_uri": "urn:example:1", "expires_in": 60}),
        ),
        "/par" => answer(400, json!({"error": "invalid_request"})),
        _ => well_behaved(asked),
    });
    let driver = discovering(&listener);
    let begun = driver.begin(&login(0)).await.unwrap();
    let Redirect::Url(url) = begun.redirect else {
        panic!("it redirects");
    };
    let expected = format!(
        "{}/authorize?client_id=us%3A1&request_uri=urn%3Aexample%3A1",
        listener.url
    );
    assert_eq!(url, expected);
    let asked = listener.asked();
    let pushed = asked.iter().find(|asked| asked.path() == "/par").unwrap();
    assert!(pushed.header("authorization").starts_with("Basic "));
    assert_eq!(
        pushed.field("code_challenge_method").as_deref(),
        Some("S256")
    );
    assert_eq!(pushed.field("state"), Some(secret().derive("state")));
    let (steps, said) = check(&driver).await;
    assert!(steps.contains(&("pushed request", true)), "{said}");
}

#[tokio::test]
async fn a_certificate_that_is_none_is_a_wrong_setting() {
    let wrong: WrongSetting = OAuth2::open(
        &settings("https://p.example", json!({"ca_certificates": "none"})),
        limits(),
    )
    .unwrap_err();
    assert_eq!(wrong.name, "ca_certificates");
}
