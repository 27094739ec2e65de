//! Tokens as a bearer's proof.

use super::*;

async fn bear(driver: &OAuth2, token: &str) -> Result<Verified, Failure> {
    driver.bearer(&Secret::new(token.to_owned()), now()).await
}

#[tokio::test]
async fn a_bearers_token_is_taken_only_where_the_settings_say_so() {
    let listener = provider().await;
    let failure = bear(&open(&listener, json!({})), "t0ken").await;
    assert!(matches!(failure, Err(Failure::NotSupported(_))));
    assert!(listener.asked().is_empty());

    for more in [
        json!({"bearer": "userinfo"}),
        json!({"bearer": "introspection"}),
    ] {
        let driver = open(&listener, more);
        let verified = bear(&driver, "t0ken").await.unwrap();
        assert_eq!(verified.assertion.values("OAUTH2-login"), ["jane"]);
        assert_eq!(verified.replay_id, None);
        for other in ["another", "", "a b", "a\r\nb"] {
            refused(bear(&driver, other).await);
        }
    }
}

#[tokio::test]
async fn a_bearers_token_has_to_be_in_force() {
    let listener = provider().await;
    let both = json!({"bearer": "introspection", "attributes": "introspection"});
    let driver = open(&listener, both);
    for (change, reason) in [
        (json!({"active": false}), "not active"),
        (json!({"exp": 1_800_000_000}), "expired"),
        (json!({"nbf": 1_800_000_100}), "not in force"),
        (json!({"token_type": "refresh_token"}), "access token"),
        (json!({"token_use": "refresh_token"}), "access token"),
        (json!({"token_type": "DPoP"}), "access token"),
        (json!({"cnf": {"x5t#S256": "x"}}), "bound"),
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"id": null}), "'id'"),
        (json!({"client_id": "another"}), "somebody else"),
        (json!({"client_id": null}), "somebody else"),
    ] {
        except(&listener, "/introspect", token_that(change.clone()));
        let why = refused(bear(&driver, "t0ken").await);
        assert!(why.contains(reason), "{change}: {why}");
    }
    for odd in [
        token_that(json!({"active": null})),
        token_that(json!({"active": "true"})),
        token_that(json!({"exp": "tomorrow"})),
        answer(401, json!({"error": "invalid_client"})),
        answer(200, r#"{"active": false, "active": true}"#),
    ] {
        except(&listener, "/introspect", odd);
        unavailable(bear(&driver, "t0ken").await);
    }
    listener.answer(well_behaved);
    bear(&driver, "t0ken").await.unwrap();
    let token = Secret::new("t0ken".to_owned());
    let later = now() + chrono::TimeDelta::minutes(2);
    refused(driver.bearer(&token, later).await);
}

#[tokio::test]
async fn a_bearers_token_has_to_be_meant_for_us() {
    let listener = provider().await;
    let both = |more: Value| {
        let mut all = json!({"bearer": "introspection", "attributes": "introspection"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        open(&listener, all)
    };
    let usual = both(json!({}));
    let audience = both(json!({"bearer_audiences": ["cloud"]}));
    let client = both(json!({"bearer_clients": ["cli"]}));
    for (token, by_usual, by_audience, by_client) in [
        (json!({}), true, false, false),
        (json!({"client_id": "x", "aud": "us:1"}), true, false, false),
        (
            json!({"client_id": "x", "aud": "cloud"}),
            false,
            true,
            false,
        ),
        (
            json!({"client_id": "x", "aud": ["a", "cloud"]}),
            false,
            true,
            false,
        ),
        (json!({"client_id": "cli", "aud": "a"}), false, false, true),
        (json!({"client_id": "cloud"}), false, false, false),
        (json!({"client_id": "x", "aud": "cli"}), false, false, false),
        (
            json!({"client_id": "x", "aud": ["clou"]}),
            false,
            false,
            false,
        ),
        (
            json!({"client_id": ["cli"], "aud": {}}),
            false,
            false,
            false,
        ),
    ] {
        except(&listener, "/introspect", token_that(token.clone()));
        for (driver, good) in [
            (&usual, by_usual),
            (&audience, by_audience),
            (&client, by_client),
        ] {
            assert_eq!(bear(driver, "t0ken").await.is_ok(), good, "{token}");
        }
    }
}

#[tokio::test]
async fn two_answers_about_a_token_have_to_name_one_user() {
    let listener = provider().await;
    let driver = open(&listener, json!({"bearer": "introspection"}));
    listener.answer(|asked| match asked.path() {
        "/me" => answer(200, json!({"id": 1, "sub": "jane"})),
        _ => token_that(json!({"sub": "joe"})),
    });
    refused(bear(&driver, "t0ken").await);
    listener.answer(|asked| match asked.path() {
        "/me" => answer(200, json!({"id": 1, "sub": "jane"})),
        _ => token_that(json!({"sub": "jane"})),
    });
    bear(&driver, "t0ken").await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused_wherever_the_attributes_come_from() {
    let listener = provider().await;
    for attributes in ["userinfo", "introspection"] {
        let more = json!({"bearer": "introspection", "attributes": attributes});
        let driver = open(&listener, more);
        let evil = token_that(json!({"iss": "https://evil.example"}));
        except(&listener, "/introspect", evil);
        let why = refused(bear(&driver, "t0ken").await);
        assert!(
            why.contains("https://evil.example") && why.contains(ISSUER),
            "{why}"
        );
        except(&listener, "/introspect", token_that(json!({"iss": ISSUER})));
        bear(&driver, "t0ken").await.unwrap();
    }
}

#[tokio::test]
async fn an_authentication_that_is_asked_for_is_insisted_on() {
    let listener = provider().await;
    for attributes in ["userinfo", "introspection"] {
        let more = json!({
            "attributes": attributes, "bearer": "introspection",
            "authorization_parameters": {"acr_values": "urn:mfa"},
        });
        let driver = open(&listener, more);
        for (acr, good) in [("urn:mfa", true), ("pwd", false)] {
            listener.answer(move |asked| match asked.path() {
                "/introspect" => token_that(json!({"acr": acr})),
                "/me" => {
                    let mut user = user();
                    user["acr"] = json!(acr);
                    answer(200, user)
                }
                _ => well_behaved(asked),
            });
            assert_eq!(
                bear(&driver, "t0ken").await.is_ok(),
                good,
                "{attributes} {acr}"
            );
            assert_eq!(complete(&driver).await.is_ok(), good, "{attributes} {acr}");
        }
        listener.answer(well_behaved);
        let why = refused(complete(&driver).await);
        assert!(why.contains("acr"), "{why}");
    }
    let recent = json!({"authorization_parameters": {"max_age": "600"}});
    let driver = open(&listener, recent);
    for (auth_time, good) in [
        (json!(1_800_000_000 - 660), true),
        (json!(1_800_000_000 - 661), false),
        (json!(1_800_000_061), false),
        (json!(null), false),
    ] {
        let mut user = user();
        user["auth_time"] = auth_time.clone();
        except(&listener, "/me", answer(200, user));
        assert_eq!(complete(&driver).await.is_ok(), good, "{auth_time}");
    }
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_reaches_the_provider_a_few_at_a_time() {
    let listener = provider().await;
    let driver = std::sync::Arc::new(open(&listener, json!({"bearer": "introspection"})));
    let mut slow = answer(200, json!({"active": false}));
    slow.after = Duration::from_secs(60);
    except(&listener, "/introspect", slow);
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..1200 {
        let driver = driver.clone();
        flood.spawn(async move { bear(&driver, &format!("t{number}")).await });
    }
    while flood.len() > 256 {
        unavailable(flood.join_next().await.unwrap().unwrap());
    }
    assert!(listener.asked().len() <= 64);
    // Who logs in by a browser does not wait for them.
    complete(&driver).await.unwrap();
}
