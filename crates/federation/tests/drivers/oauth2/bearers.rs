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
        assert_eq!(verified.one_time, None);
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
