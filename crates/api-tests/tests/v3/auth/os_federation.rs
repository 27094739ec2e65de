//! Logins with a browser over HTTP: the list and the choice of providers, and what a front proxy
//! says. Logins with providers that we speak to are tried with real ones, in clients/.

mod long_answers;
mod meanwhile;
mod provider_changes;
mod saml2;

use config::Config;
use serde_json::{Value, json};
use testkit::{Client, TestServer};

const DASHBOARD: &str = "https://horizon.example/auth/websso/";
const PROVIDERS: &str = "/v3/OS-FEDERATION/identity_providers";

async fn server() -> (TestServer, Client) {
    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.archstone.private_providers = true;
        config.federation.trusted_dashboard = vec![DASHBOARD.to_owned()].into();
        config.federation.sso_callback_template = "/nonexistent".into();
    })
    .await;
    let admin = server.admin().await;
    let rule = json!({"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]});
    let body = json!({"mapping": {"rules": [rule]}});
    admin
        .put("/v3/OS-FEDERATION/mappings/m", body)
        .await
        .expect(201);
    (server, admin)
}

async fn add_provider(admin: &Client, id: &str, protocol: Value) {
    let body = json!({"identity_provider": {
        "domain_id": "default", "enabled": true, "description": format!("People of {id}"),
        "remote_ids": [format!("https://{id}.example")],
    }});
    admin
        .put(&format!("{PROVIDERS}/{id}"), body)
        .await
        .expect(201);
    let path = format!("{PROVIDERS}/{id}/protocols/mapped");
    admin
        .put(&path, json!({ "protocol": protocol }))
        .await
        .expect(201);
}

/// What an OpenID Connect provider that nobody runs would be set as.
fn oidc(name: &str) -> Value {
    json!({
        "mapping_id": "m", "driver": "oidc",
        "settings": {
            "issuer": "https://idp.example", "client_id": "c", "client_secret": "hush",
            "display_name": name,
            "authorization_endpoint": "https://idp.example/authorize",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/keys",
        },
    })
}

fn websso(provider: &str) -> String {
    format!("/v3/auth/OS-FEDERATION/identity_providers/{provider}/protocols/mapped/websso")
}

#[tokio::test]
async fn everybody_sees_the_providers_to_log_in_with() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees & Co")).await;
    add_provider(
        &admin,
        "a",
        json!({"mapping_id": "m", "driver": "external"}),
    )
    .await;
    add_provider(&admin, "proxied", json!({"mapping_id": "m"})).await;
    let hidden =
        json!({"mapping_id": "m", "driver": "external", "settings": {"discoverable": false}});
    add_provider(&admin, "hidden", hidden).await;
    add_provider(&admin, "off", oidc("Off")).await;
    let disabled = json!({"identity_provider": {"enabled": false}});
    admin
        .patch(&format!("{PROVIDERS}/off"), disabled)
        .await
        .expect(200);
    let path = "/v3/auth/OS-FEDERATION/identity_providers";
    let listed = server.nobody().get(path).await.expect(200);
    insta::assert_json_snapshot!(listed);
}

#[tokio::test]
async fn people_choose_among_the_providers() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("<Bees & Co>")).await;
    add_provider(&admin, "a", oidc("Ants")).await;
    let page = "/v3/auth/OS-FEDERATION/websso?origin=https%3A//horizon.example/auth/websso/";
    let answer = server.nobody().get(page).await;
    let html = answer.expect_text(200);
    assert!(html.contains("&#60;Bees &#38; Co&#62;"), "{html}");
    assert!(html.find("Ants").unwrap() < html.find("Bees").unwrap());
    assert!(html.contains(
        "identity_providers/a/protocols/mapped/websso?origin=https%3A%2F%2Fhorizon.example"
    ));
    let policy = answer.header("Content-Security-Policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'nonce-"),
        "{policy}"
    );
    // With several, the protocol alone does not say which.
    let any = page.replace("/websso?", "/websso/mapped?");
    assert!(
        server
            .nobody()
            .get(&any)
            .await
            .expect_text(200)
            .contains("Ants")
    );
    admin.delete(&format!("{PROVIDERS}/a")).await.expect(204);
    let only = server.nobody().get(&any).await;
    only.expect_text(303);
    assert!(
        only.header("Location")
            .starts_with("https://idp.example/authorize?")
    );
}

#[tokio::test]
async fn a_browser_is_sent_to_the_provider_with_a_sealed_cookie() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let begin = format!("{}?origin={DASHBOARD}", websso("b"));
    let answer = server.nobody().get(&begin).await;
    answer.expect_text(303);
    let location = answer.header("Location").to_owned();
    for part in [
        "response_type=code",
        "code_challenge_method=S256",
        "state=",
        "nonce=",
    ] {
        assert!(location.contains(part), "{location}");
    }
    let cookie = answer.header("Set-Cookie").to_owned();
    assert!(cookie.starts_with("archstone-login-"), "{cookie}");
    let rest = "; Path=/v3/auth/OS-FEDERATION/identity_providers/b/protocols/mapped/callback; \
                Max-Age=900; HttpOnly; SameSite=Lax";
    assert!(cookie.ends_with(rest), "{cookie}");
    assert!(!cookie.contains("horizon"), "{cookie}");
    // Another browser, one without the cookie, gets nowhere; nor does another provider's callback.
    let state = location
        .split("state=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let callback = format!(
        "{}?code=x&state={state}",
        websso("b").replace("websso", "callback")
    );
    server.nobody().get(&callback).await.expect(401);
    let pair: &'static str = cookie.split(';').next().unwrap().to_owned().leak();
    add_provider(&admin, "c", oidc("Wasps")).await;
    let swapped = callback.replace("providers/b/", "providers/c/");
    let browser = || server.nobody().with_header("cookie", pair);
    browser().get(&swapped).await.expect(401);
    let other_state = callback.replace(state, "another");
    browser().get(&other_state).await.expect(401);
    let (name, value) = pair.split_once('=').unwrap();
    // What a letter at the end says may be nothing.
    let (start, end) = value.split_at(value.len() / 2);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    let forged: &'static str = format!("{name}={start}{other}{}", &end[1..]).leak();
    let forger = server.nobody().with_header("cookie", forged);
    forger.get(&callback).await.expect(401);
    // The login ends by itself.
    server.clock.advance(chrono::TimeDelta::minutes(16));
    browser().get(&callback).await.expect(401);
}

#[tokio::test]
async fn with_tls_the_cookie_is_of_this_host_alone() {
    let server = TestServer::start_with(|config| {
        let text = "[DEFAULT]\npublic_endpoint = https://cloud.example/\n";
        let read = Config::parse("keystone.conf".as_ref(), text).unwrap();
        config.default.public_endpoint = read.default.public_endpoint;
        config.federation.trusted_dashboard = vec![DASHBOARD.to_owned()].into();
    })
    .await;
    let admin = server.admin().await;
    let rule = json!({"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]});
    let body = json!({"mapping": {"rules": [rule]}});
    let mapping = "/v3/OS-FEDERATION/mappings/m";
    admin.put(mapping, body).await.expect(201);
    let mut spoken = oidc("Bees");
    spoken["settings"]["token_endpoint"] = "https://127.0.0.1:9/token".into();
    add_provider(&admin, "b", spoken).await;
    let begin = format!("{}?origin={DASHBOARD}", websso("b"));
    let begun = server.nobody().get(&begin).await;
    let cookie = begun.header("Set-Cookie");
    assert!(cookie.starts_with("__Host-archstone-login-"), "{cookie}");
    let rest = "; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Lax";
    assert!(cookie.ends_with(rest), "{cookie}");
    let (_, state) = begun.header("Location").split_once("state=").unwrap();
    let (state, _) = state.split_once('&').unwrap();
    let callback = websso("b").replace("websso", "callback");
    let callback = format!("{callback}?code=x&state={state}");
    let (pair, _) = cookie.split_once(';').unwrap();
    let bearing = |pair: &str| server.nobody().with_header("cookie", pair);
    // It got as far as to ask the provider.
    bearing(pair).get(&callback).await.expect(503);
    // Any host of the domain could have set one of that name.
    let planted = pair.strip_prefix("__Host-").unwrap();
    bearing(planted).get(&callback).await.expect(401);
}

#[tokio::test]
async fn a_token_goes_to_a_trusted_dashboard_only() {
    let (server, admin) = server().await;
    add_provider(
        &admin,
        "a",
        json!({"mapping_id": "m", "remote_id_attribute": "HTTP_IDP"}),
    )
    .await;
    let jane = || server.nobody().with_header("x-env-remote_user", "jane");
    let at = |origin: &str| format!("{}?origin={origin}", websso("a"));
    let message = jane().get(&websso("a")).await.message(400);
    assert_eq!(message, "Request must have an origin query parameter");
    for origin in [
        "https://evil.example/",
        "https://horizon.example.evil.example/auth/websso/",
        "https://horizon.example/auth/websso",
        "https://horizon.example/auth/websso/%3Fx",
        "https://horizon.example/Auth/websso/",
        "http://horizon.example/auth/websso/",
        "//horizon.example/auth/websso/",
    ] {
        jane().get(&at(origin)).await.expect(401);
    }
    jane().get(&at(DASHBOARD)).await.expect(401);
    let vouched = || jane().with_header("idp", "https://a.example");
    let answer = vouched().get(&at(DASHBOARD)).await;
    let html = answer.expect_text(200);
    assert!(
        html.contains(&format!("action=\"{DASHBOARD}\" method=\"post\"")),
        "{html}"
    );
    let token = html.split("id=\"token\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let own = server.nobody().with_token(token);
    own.get("/v3/auth/projects").await.expect(200);
    assert_eq!(answer.header("Cache-Control"), "no-store");
    // By the protocol alone, the proxy says which provider it is.
    let any = format!("/v3/auth/OS-FEDERATION/websso/mapped?origin={DASHBOARD}");
    assert!(
        vouched()
            .get(&any)
            .await
            .expect_text(200)
            .contains("id=\"token\"")
    );
    jane().get(&any).await.expect(401);
    let unknown = jane().with_header("idp", "https://z.example");
    unknown.get(&any).await.expect(404);
    // Nobody who has no dashboard is told who is known.
    let any = any.replace("horizon", "evil");
    unknown.get(&any).await.expect(401);
}

#[tokio::test]
async fn the_operators_own_page_hands_the_token_over() {
    let template = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&template, "<p id=$host>${token}|$$|</p>").unwrap();
    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.federation.trusted_dashboard = vec![DASHBOARD.to_owned()].into();
        config.federation.sso_callback_template = template.path().to_owned();
    })
    .await;
    let admin = server.admin().await;
    super::super::os_federation::add_mapping(&admin, "m").await;
    add_provider(
        &admin,
        "a",
        json!({"mapping_id": "m", "remote_id_attribute": "HTTP_IDP"}),
    )
    .await;
    let jane = server
        .nobody()
        .with_header("x-env-remote_user", "jane")
        .with_header("idp", "https://a.example");
    let answer = jane
        .get(&format!("{}?origin={DASHBOARD}", websso("a")))
        .await;
    let html = answer.expect_text(200);
    assert!(
        html.starts_with(&format!("<p id={DASHBOARD}>gAAAA")),
        "{html}"
    );
    assert!(html.ends_with("|$|</p>"), "{html}");
}

#[tokio::test]
async fn a_failure_is_a_page_for_browsers() {
    let (server, _) = server().await;
    let browser = server.nobody().with_header("accept", "text/html,*/*;q=0.8");
    let answer = browser
        .get(&format!("{}?origin={DASHBOARD}", websso("nobody")))
        .await;
    let html = answer.expect_text(404);
    assert!(html.contains("There is no such login"), "{html}");
    // Whoever made the link chose the name, which might be a sentence.
    assert!(!html.contains("nobody"), "{html}");
    assert!(
        html.contains(answer.header("X-Openstack-Request-Id")),
        "{html}"
    );
}

#[tokio::test]
async fn a_protocol_carries_its_driver_and_keeps_its_secrets() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let path = format!("{PROVIDERS}/b/protocols/mapped");
    let shown = admin.get(&path).await.expect(200);
    let protocol = &shown["protocol"];
    assert_eq!(protocol["driver"], "oidc");
    assert_eq!(protocol["has_secrets"], true);
    assert_eq!(protocol["settings"]["client_id"], "c");
    assert!(!shown.to_string().contains("hush"), "{shown}");
    let stored = server
        .app
        .parts
        .store
        .protocols()
        .find(&"b".into(), &"mapped".into())
        .await;
    let (sealed, _) = stored.unwrap().unwrap().driver.unwrap().secrets.unwrap();
    assert!(!sealed.contains("hush"));
    // Settings change one by one.
    let change = json!({"protocol": {"mapping_id": "m", "settings": {
        "scopes": ["openid"], "display_name": null,
    }}});
    let changed = admin.patch(&path, change).await.expect(200);
    let settings = &changed["protocol"]["settings"];
    assert_eq!(settings["scopes"], json!(["openid"]));
    assert_eq!(settings["client_id"], "c");
    assert!(settings.get("display_name").is_none());
    assert_eq!(changed["protocol"]["has_secrets"], true);
    for (settings, named) in [
        (json!({"issuer": "ftp://x"}), "issuer"),
        (json!({"client_idd": "x"}), "client_idd"),
        (json!({"client_id": 7}), "client_id"),
        (json!({"discoverable": "yes"}), "discoverable"),
        (json!({"issuer": null}), "issuer"),
    ] {
        let change = json!({"protocol": {"mapping_id": "m", "settings": settings}});
        let message = admin.patch(&path, change).await.message(400);
        assert!(message.contains(&format!("'{named}'")), "{message}");
    }
    let change = json!({"protocol": {"mapping_id": "m", "driver": "carrier-pigeon"}});
    let message = admin.patch(&path, change).await.message(400);
    assert!(
        message.contains("Known are: external, oidc, oauth2, saml2, oauth1."),
        "{message}"
    );
    // Back to a front proxy, and nothing is left.
    let change = json!({"protocol": {"mapping_id": "m", "driver": "external"}});
    let changed = admin.patch(&path, change).await.expect(200);
    assert_eq!(changed["protocol"]["settings"], json!({}));
    assert_eq!(changed["protocol"]["has_secrets"], false);
}

#[tokio::test]
async fn of_changes_at_once_none_is_lost() {
    let (_server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let path = format!("{PROVIDERS}/b/protocols/mapped");
    let change = async |settings: Value| {
        let change = json!({"protocol": {"mapping_id": "m", "settings": settings}});
        admin.patch(&path, change).await.expect(200)
    };
    tokio::join!(
        change(json!({"display_name": "Wasps"})),
        change(json!({"discoverable": false})),
        change(json!({"client_secret": "loud"})),
        change(json!({"clock_skew": 5})),
    );
    let shown = admin.get(&path).await.expect(200);
    let settings = &shown["protocol"]["settings"];
    assert_eq!(settings["display_name"], "Wasps");
    assert_eq!(settings["discoverable"], false);
    assert_eq!(settings["clock_skew"], 5);
    assert_eq!(settings["client_id"], "c");
    assert_eq!(shown["protocol"]["has_secrets"], true);
}

#[tokio::test]
async fn secrets_whose_key_is_gone_are_asked_for_anew() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    server
        .sql("UPDATE archstone_protocol SET secrets = 'by a key that is gone'")
        .await;
    let path = format!("{PROVIDERS}/b/protocols/mapped");
    let change = async |settings: Value| {
        let change = json!({"protocol": {"mapping_id": "m", "settings": settings}});
        admin.patch(&path, change).await
    };
    let some = change(json!({"client_secret": "loud"})).await;
    assert_eq!(
        some.message(400),
        "No key in [credential] key_repository decrypts the stored secrets. Set all of them again: \
         client_secret, private_key, tls_key; null where there is none."
    );
    let all = json!({"client_secret": "loud", "private_key": null, "tls_key": null});
    let changed = change(all).await.expect(200);
    assert_eq!(changed["protocol"]["settings"]["client_id"], "c");
    change(json!({"clock_skew": 5})).await.expect(200);
}

#[tokio::test]
async fn a_check_says_in_words_what_does_not_work() {
    let (_server, admin) = server().await;
    let mut unreachable = oidc("Bees");
    for (name, value) in [
        ("issuer", json!("http://127.0.0.1:9")),
        ("authorization_endpoint", Value::Null),
        ("token_endpoint", Value::Null),
        ("jwks_uri", Value::Null),
    ] {
        unreachable["settings"][name] = value;
    }
    add_provider(&admin, "b", unreachable).await;
    let path = format!("{PROVIDERS}/b/protocols/mapped/check");
    let checked = admin.post(&path, json!({})).await.expect(200);
    assert_eq!(checked["check"]["works"], false);
    let findings = checked["check"]["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["step"] == "discovery"),
        "{checked}"
    );
    add_provider(&admin, "a", json!({"mapping_id": "m"})).await;
    let path = format!("{PROVIDERS}/a/protocols/mapped/check");
    let checked = admin.post(&path, json!({})).await.expect(200);
    assert_eq!(checked["check"]["findings"][3]["step"], "proxy");
}

#[tokio::test]
async fn a_check_looks_at_our_own_side_too() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let path = format!("{PROVIDERS}/b/protocols/mapped/check");
    let failing = async || {
        let checked = admin.post(&path, json!({})).await.expect(200);
        assert_eq!(checked["check"]["works"], false);
        let findings = checked["check"]["findings"].as_array().unwrap().clone();
        let mut steps = Vec::new();
        for finding in findings {
            let away = finding["step"] == "keys" || finding["step"] == "token";
            if finding["works"] == false && !away {
                steps.push(finding["step"].as_str().unwrap().to_owned());
            }
        }
        steps
    };
    // Nobody listens there.
    assert_eq!(failing().await, [""; 0]);
    let disabled = json!({"identity_provider": {"enabled": false}});
    let provider = format!("{PROVIDERS}/b");
    admin.patch(&provider, disabled).await.expect(200);
    assert_eq!(failing().await, ["identity provider"]);
    let enabled = json!({"identity_provider": {"enabled": true}});
    admin.patch(&provider, enabled).await.expect(200);
    admin
        .delete("/v3/OS-FEDERATION/mappings/m")
        .await
        .expect(204);
    assert_eq!(failing().await, ["mapping"]);
    server
        .sql("UPDATE archstone_protocol SET secrets = 'by a key that is gone'")
        .await;
    assert_eq!(failing().await, ["mapping", "settings"]);
}

#[tokio::test]
async fn the_end_of_a_session_takes_the_tokens_that_came_of_it() {
    let (server, _) = server().await;
    let store = &server.app.parts.store;
    let until = server.app.parts.clock.now() + chrono::TimeDelta::hours(1);
    let tokens = |number: u8| store::SessionTokens {
        user_id: "jane".into(),
        audit_id: model::token::AuditId::from_bytes([number; 16]),
    };
    let fill = async || {
        let mut tx = store.begin().await.unwrap();
        for (number, provider, subject, session) in [
            (1, "a", "jane", Some("s1")),
            (2, "a", "jane", Some("s2")),
            (3, "a", "jane", None),
            (4, "a", "joe", Some("s3")),
            (5, "b", "jane", Some("s1")),
        ] {
            let (provider, protocol) = (provider.into(), "openid".into());
            let tokens = tokens(number);
            let mut sessions = tx.provider_sessions_mut();
            let inserted = sessions
                .insert(&provider, &protocol, subject, session, &tokens, until)
                .await;
            inserted.unwrap();
        }
        let _ = tx.commit().await.unwrap();
    };
    let take = async |subject, session| {
        let mut tx = store.begin().await.unwrap();
        let (provider, protocol) = ("a".into(), "openid".into());
        let mut sessions = tx.provider_sessions_mut();
        let taken = sessions.take(&provider, &protocol, subject, session).await;
        let mut taken: Vec<u8> = taken
            .unwrap()
            .iter()
            .map(|tokens| tokens.audit_id.as_bytes()[0])
            .collect();
        taken.sort_unstable();
        // What was taken is there no more; without a commit, all is there again.
        let again = sessions.take(&provider, &protocol, subject, session).await;
        assert_eq!(again.unwrap(), []);
        taken
    };
    fill().await;
    assert_eq!(take(Some("jane"), None).await, [1, 2, 3]);
    assert_eq!(take(None, Some("s1")).await, [1]);
    // Of the third nobody knows the session, so that it ends with any.
    assert_eq!(take(Some("jane"), Some("s2")).await, [2, 3]);
    assert_eq!(take(Some("nobody"), None).await, [0; 0]);

    let mut tx = store.begin().await.unwrap();
    tx.provider_sessions_mut().forget(until).await.unwrap();
    let _ = tx.commit().await.unwrap();
    assert_eq!(take(Some("jane"), None).await, [1, 2, 3]);
    let mut tx = store.begin().await.unwrap();
    let after = until + chrono::TimeDelta::seconds(1);
    tx.provider_sessions_mut().forget(after).await.unwrap();
    let _ = tx.commit().await.unwrap();
    assert_eq!(take(Some("jane"), None).await, [0; 0]);
}

#[tokio::test]
async fn what_counts_once_is_remembered_an_hour_beyond_its_end() {
    let (server, _) = server().await;
    let store = &server.app.parts.store;
    let until = server.app.parts.clock.now() + chrono::TimeDelta::minutes(5);
    let use_up = async || {
        let mut tx = store.begin().await.unwrap();
        let used = tx.provider_sessions_mut().use_up("word", until).await;
        if used.is_ok() {
            let _ = tx.commit().await.unwrap();
        }
        used.is_ok()
    };
    let forget = async |now| {
        let mut tx = store.begin().await.unwrap();
        tx.provider_sessions_mut().forget(now).await.unwrap();
        let _ = tx.commit().await.unwrap();
    };
    assert!(use_up().await);
    // So late may the clock of the slowest node be.
    let late = until + chrono::TimeDelta::hours(1);
    forget(late).await;
    assert!(!use_up().await);
    forget(late + chrono::TimeDelta::seconds(1)).await;
    assert!(use_up().await);
}

#[tokio::test]
async fn a_proxy_is_not_believed_where_we_ask_the_provider_ourselves() {
    let (server, admin) = server().await;
    let mut protocol = oidc("Bees");
    protocol["remote_id_attribute"] = "HTTP_OIDC_ISS".into();
    add_provider(&admin, "b", protocol).await;
    let vouched = || {
        server
            .nobody()
            .with_header("x-env-remote_user", "admin")
            .with_header("oidc-iss", "https://b.example")
    };
    let any = format!("/v3/auth/OS-FEDERATION/websso/mapped?origin={DASHBOARD}");
    let one = format!("{}?origin={DASHBOARD}", websso("b"));
    for path in [any, one] {
        let answer = vouched().get(&path).await;
        answer.expect_text(303);
        assert!(
            answer
                .header("Location")
                .starts_with("https://idp.example/authorize?")
        );
    }
    let path = format!("{PROVIDERS}/b/protocols/mapped/auth");
    vouched().get(&path).await.expect(401);
}

#[tokio::test]
async fn a_variable_cannot_be_called_like_another_header() {
    let (server, admin) = server().await;
    let rule = json!({
        "local": [{"user": {"name": "{0}"}}], "remote": [{"type": "HTTP_OIDC_NAME"}],
    });
    let body = json!({"mapping": {"rules": [rule]}});
    admin
        .patch("/v3/OS-FEDERATION/mappings/m", body)
        .await
        .expect(200);
    add_provider(&admin, "a", json!({"mapping_id": "m"})).await;
    let path = format!("{PROVIDERS}/a/protocols/mapped/auth");
    let smuggled = server.nobody().with_header("x-env-http_oidc_name", "admin");
    smuggled.get(&path).await.expect(401);
    let passed = server.nobody().with_header("oidc-name", "jane");
    passed.get(&path).await.expect(201);
}

#[tokio::test]
async fn variables_are_found_in_any_case() {
    let (server, admin) = server().await;
    add_provider(&admin, "a", json!({"mapping_id": "m"})).await;
    let path = format!("{PROVIDERS}/a/protocols/mapped/auth");
    for (asked, header, found) in [
        ("MELLON_uid", "x-env-mellon_uid", true),
        ("Shib-Person-uid", "x-env-shib-person-uid", true),
        ("Shib-Person-uid", "x-env-shib-person_uid", false),
        ("OIDC-preferred_username", "oidc-preferred_username", true),
        ("OIDC_CLAIM_sub", "oidc_claim_sub", true),
        ("OIDC_CLAIM_sub", "oidc-claim-sub", false),
        ("MELLON_uid", "mellon_uid", false),
    ] {
        let rule = json!({"local": [{"user": {"name": "{0}"}}], "remote": [{"type": asked}]});
        let body = json!({"mapping": {"rules": [rule]}});
        let mapping = "/v3/OS-FEDERATION/mappings/m";
        admin.patch(mapping, body).await.expect(200);
        let passed = server.nobody().with_header(header, "jane");
        let status = if found { 201 } else { 401 };
        passed.get(&path).await.expect(status);
    }
}

#[tokio::test]
async fn a_provider_is_never_told_what_a_client_calls_us() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let begin = format!("{}?origin={DASHBOARD}", websso("b"));
    let posing = server.nobody().with_header("host", "evil.example");
    posing.get(&begin).await.expect(500);
    let server = TestServer::start_with(|config| {
        let text = "[DEFAULT]\npublic_endpoint = https://cloud.example/identity\n";
        let read = Config::parse("keystone.conf".as_ref(), text).unwrap();
        config.default.public_endpoint = read.default.public_endpoint;
        config.federation.trusted_dashboard = vec![DASHBOARD.to_owned()].into();
    })
    .await;
    let admin = server.admin().await;
    super::super::os_federation::add_mapping(&admin, "m").await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let posing = server.nobody().with_header("host", "evil.example");
    let answer = posing.get(&begin).await;
    answer.expect_text(303);
    let told = "redirect_uri=https%3A%2F%2Fcloud.example%2Fidentity%2Fv3%2Fauth%2F";
    assert!(
        answer.header("Location").contains(told),
        "{}",
        answer.header("Location")
    );
}
