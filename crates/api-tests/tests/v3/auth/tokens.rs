//! Tokens over HTTP: logins, validation and revocation.

use std::time::Duration;

use chrono::TimeDelta;
use config::UrlSafe;
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Scope, TestServer, home};

const PATH: &str = "/v3/auth/tokens";
const REFUSED: &str = "The request you have made requires authentication.";
const MALFORMED: &str = "The server could not comply with the request since it is either \
                         malformed or otherwise incorrect. The client is assumed to be in error.";

/// The proof of a user of the default domain.
fn password(name: &str) -> Value {
    let user = json!({"name": name, "domain": {"id": "default"}, "password": PASSWORD});
    json!({"methods": ["password"], "password": {"user": user}})
}

/// The proof of who has a token.
fn token(text: &str) -> Value {
    json!({"methods": ["token"], "token": {"id": text}})
}

fn on_home() -> Value {
    json!({"project": {"id": home()}})
}

async fn log_in(server: &TestServer, identity: Value, scope: Option<Value>) -> Answer {
    let mut auth = json!({ "identity": identity });
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    server.nobody().post(PATH, json!({ "auth": auth })).await
}

/// Exchanges a token for another.
async fn exchange(server: &TestServer, from: &Client, scope: Option<Value>) -> Client {
    let answer = log_in(server, token(from.token()), scope).await;
    answer.expect(201);
    server.nobody().with_token(answer.header("X-Subject-Token"))
}

/// Somebody who asks about a token.
fn about(asker: &Client, subject: &Client) -> Client {
    asker
        .clone()
        .with_header("x-subject-token", subject.token())
}

/// The body of a token, as its holder sees it.
async fn shown(holder: &Client) -> Value {
    about(holder, holder).get(PATH).await.expect(200)["token"].clone()
}

/// The same without what the bootstrap made, whose ids are beside the point.
fn without_bootstrap(mut token: Value) -> Value {
    token["catalog"].take();
    for role in token["roles"].as_array_mut().unwrap() {
        *role = role["name"].clone();
    }
    token
}

async fn user(admin: &Client, attributes: Value) -> String {
    let created = admin.post("/v3/users", json!({ "user": attributes })).await;
    let created = created.expect(201);
    created["user"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_password_buys_a_token() {
    let server = TestServer::start().await;
    server.add_person("ada", &[]).await;
    let answer = log_in(&server, password("ada"), None).await;
    insta::assert_compact_json_snapshot!(answer.expect(201), @r#"
    {
      "token": {
        "methods": [
          "password"
        ],
        "user": {
          "domain": {
            "id": "default",
            "name": "Default"
          },
          "id": "c2aa3ecac1f35e8ba2a963cd417c9a6e",
          "name": "ada",
          "password_expires_at": null
        },
        "audit_ids": [
          "AAAAAAAAAAAAAAAAAAAQAQ"
        ],
        "expires_at": "2026-05-04T04:02:01.000000Z",
        "issued_at": "2026-05-04T03:02:01.000000Z"
      }
    }
    "#);
    assert!(!answer.text.ends_with('\n'));
    let holder = server.nobody().with_token(answer.header("X-Subject-Token"));
    let own = about(&holder, &holder).get(PATH).await;
    assert_eq!(own.text, answer.text);
    assert_eq!(own.header("X-Subject-Token"), holder.token());
    assert_eq!(own.header("Vary"), "X-Auth-Token");
    let checked = about(&holder, &holder).head(PATH).await;
    assert_eq!((checked.status, checked.text.as_str()), (200, ""));
    assert_eq!(checked.header("X-Subject-Token"), holder.token());
}

#[tokio::test]
async fn a_token_of_a_project_carries_roles_and_a_catalog() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    let token = shown(&member).await;
    let catalog = token["catalog"].as_array().unwrap();
    assert_eq!(catalog[0]["type"], "identity");
    assert_eq!(catalog[0]["endpoints"].as_array().unwrap().len(), 3);
    let mut token = without_bootstrap(token);
    token["roles"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(Value::to_string);
    insta::assert_compact_json_snapshot!(token, @r#"
    {
      "methods": [
        "password"
      ],
      "user": {
        "domain": {
          "id": "default",
          "name": "Default"
        },
        "id": "d80753569f345ab29fe7aeffa056195a",
        "name": "member-project",
        "password_expires_at": null
      },
      "audit_ids": [
        "AAAAAAAAAAAAAAAAAAAQAQ"
      ],
      "expires_at": "2026-05-04T04:02:01.000000Z",
      "issued_at": "2026-05-04T03:02:01.000000Z",
      "project": {
        "domain": {
          "id": "default",
          "name": "Default"
        },
        "id": "4e4fbacd557558f69ac2af6ef856bc7b",
        "name": "home"
      },
      "is_domain": false,
      "roles": [
        "member",
        "reader"
      ],
      "catalog": null
    }
    "#);
}

#[tokio::test]
async fn a_token_of_a_domain_names_the_domain() {
    let server = TestServer::start().await;
    let reader = server.with_role("reader", Scope::Domain).await;
    let token = without_bootstrap(shown(&reader).await);
    insta::assert_compact_json_snapshot!(token, @r#"
    {
      "methods": [
        "password"
      ],
      "user": {
        "domain": {
          "id": "default",
          "name": "Default"
        },
        "id": "ec174a94511f531493f327cd08a360c3",
        "name": "reader-domain",
        "password_expires_at": null
      },
      "audit_ids": [
        "AAAAAAAAAAAAAAAAAAAQAQ"
      ],
      "expires_at": "2026-05-04T04:02:01.000000Z",
      "issued_at": "2026-05-04T03:02:01.000000Z",
      "domain": {
        "id": "default",
        "name": "Default"
      },
      "roles": [
        "reader"
      ],
      "catalog": null
    }
    "#);
}

#[tokio::test]
async fn a_token_of_the_system_names_all_of_it() {
    let server = TestServer::start().await;
    let reader = server.with_role("reader", Scope::System).await;
    let token = without_bootstrap(shown(&reader).await);
    insta::assert_compact_json_snapshot!(token, @r#"
    {
      "methods": [
        "password"
      ],
      "user": {
        "domain": {
          "id": "default",
          "name": "Default"
        },
        "id": "7cac2bd67f0258fc8546f9e7dab930f4",
        "name": "reader-system",
        "password_expires_at": null
      },
      "audit_ids": [
        "AAAAAAAAAAAAAAAAAAAQAQ"
      ],
      "expires_at": "2026-05-04T04:02:01.000000Z",
      "issued_at": "2026-05-04T03:02:01.000000Z",
      "system": {
        "all": true
      },
      "roles": [
        "reader"
      ],
      "catalog": null
    }
    "#);
    for scope in [json!({"system": {}}), json!({"system": {"all": false}})] {
        let again = log_in(&server, password("reader-system"), Some(scope)).await;
        assert_eq!(again.expect(201)["token"]["system"], json!({"all": true}));
    }
}

#[tokio::test]
async fn whoever_has_no_use_for_the_catalog_goes_without() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    for query in ["?nocatalog", "?nocatalog=0"] {
        let body = json!({"auth": {"identity": password("member-project"), "scope": on_home()}});
        let path = format!("{PATH}{query}");
        let issued = server.nobody().post(&path, body).await.expect(201);
        let validated = about(&member, &member).get(&path).await.expect(200);
        for document in [issued, validated] {
            assert_eq!(document["token"].get("catalog"), None, "{query}");
            assert_eq!(document["token"]["project"]["name"], "home");
        }
    }
}

#[tokio::test]
async fn who_names_no_scope_gets_the_default_project() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.with_role("member", Scope::Project).await;
    let attributes = json!({
        "name": "ada", "domain_id": "default", "password": PASSWORD,
        "default_project_id": home(),
    });
    let id = user(&admin, attributes).await;
    let without_role = log_in(&server, password("ada"), None).await.expect(201);
    assert_eq!(without_role["token"].get("project"), None);

    let roles = admin.get("/v3/roles?name=reader").await.expect(200);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    let grant = format!("/v3/projects/{}/users/{id}/roles/{role}", home());
    admin.put_empty(&grant).await.expect(204);
    let with_role = log_in(&server, password("ada"), None).await;
    assert_eq!(with_role.expect(201)["token"]["project"]["name"], "home");
    for unscoped in [json!("unscoped"), json!({"unscoped": {}})] {
        let answer = log_in(&server, password("ada"), Some(unscoped)).await;
        assert_eq!(answer.expect(201)["token"].get("project"), None);
    }

    let disable = json!({"project": {"enabled": false}});
    let path = format!("/v3/projects/{}", home());
    admin.patch(&path, disable).await.expect(200);
    let disabled = log_in(&server, password("ada"), None).await.expect(201);
    assert_eq!(disabled["token"].get("project"), None);
}

#[tokio::test]
async fn a_name_counts_more_than_an_id_in_a_scope_and_in_a_login() {
    let server = TestServer::start().await;
    server.with_role("member", Scope::Project).await;
    let named = json!({"id": "nowhere", "name": "home", "domain": {"name": "Default"}});
    let answer = log_in(
        &server,
        password("member-project"),
        Some(json!({"project": named})),
    )
    .await;
    assert_eq!(answer.expect(201)["token"]["project"]["name"], "home");
    let mut identity = password("member-project");
    identity["password"]["user"]["id"] = json!("nobody");
    log_in(&server, identity, None).await.expect(201);
}

#[tokio::test]
async fn names_that_no_url_can_hold_are_no_scopes_where_that_is_strict() {
    for (rule, status) in [(UrlSafe::New, 201), (UrlSafe::Strict, 401)] {
        let server = TestServer::start_with(|config| {
            config.resource.project_name_url_safe = rule;
            config.resource.domain_name_url_safe = rule;
            config.default.insecure_debug = true;
        })
        .await;
        let roles = [("member", Scope::Project), ("member", Scope::Domain)];
        let ada = server.add_person("ada", &roles).await;
        let owner = server.log_in("ada", Some(on_home())).await;
        let path = format!("/v3/users/{ada}/application_credentials");
        let asked = json!({"application_credential": {"name": "ci", "secret": "right"}});
        owner.post(&path, asked).await.expect(201);
        let try_log_in = async |kind: &str, identity: Value, scope: Option<Value>| {
            let body = log_in(&server, identity, scope).await.expect(status);
            if status == 401 {
                let message = body["error"]["message"].as_str().unwrap();
                let reason = format!("{kind} name cannot contain reserved characters.");
                assert!(message.starts_with(&reason), "{message}");
            }
        };

        let rename = "UPDATE project SET name = 'De?fault' WHERE id = 'default'";
        server.sql(rename).await;
        let domain = json!({"name": "De?fault"});
        let project = json!({"project": {"name": "home", "domain": domain}});
        try_log_in("Domain", password("ada"), Some(project)).await;
        let whole = json!({ "domain": domain });
        try_log_in("Domain", password("ada"), Some(whole)).await;
        let user = json!({"name": "ada", "domain": domain});
        let identity = json!({
            "methods": ["application_credential"],
            "application_credential": {"name": "ci", "secret": "right", "user": user},
        });
        try_log_in("Domain", identity, None).await;

        let rename = format!("UPDATE project SET name = 'ho/me' WHERE id = '{}'", home());
        server.sql(&rename).await;
        let project = json!({"project": {"name": "ho/me", "domain": {"id": "default"}}});
        try_log_in("Project", password("ada"), Some(project)).await;
        // An id, and the domain of who logs in with a password, are not judged.
        let user = json!({"name": "ada", "domain": domain, "password": PASSWORD});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        log_in(&server, identity, Some(on_home())).await.expect(201);
    }
}

#[tokio::test]
async fn every_login_that_fails_looks_the_same() {
    let server = TestServer::start().await;
    server.with_role("member", Scope::Project).await;
    server.add_person("lost", &[]).await;
    let with = |change: fn(&mut Value)| {
        let mut identity = password("member-project");
        change(&mut identity["password"]["user"]);
        identity
    };
    let refused = [
        (with(|user| user["password"] = json!("wrong")), None),
        (with(|user| user["password"] = json!("")), None),
        (with(|user| user["name"] = json!("nobody")), None),
        (with(|user| user["domain"] = json!({"id": "nowhere"})), None),
        (
            with(|user| user["domain"] = json!({"name": "nowhere"})),
            None,
        ),
        (
            with(|user| *user = json!({"id": "nobody", "password": "x"})),
            None,
        ),
        (
            with(|user| {
                user.as_object_mut().unwrap().shift_remove("password");
            }),
            None,
        ),
        (password("lost"), Some(on_home())),
        (password("lost"), Some(json!({"domain": {"id": "default"}}))),
        (password("lost"), Some(json!({"system": {"all": true}}))),
        (
            password("lost"),
            Some(json!({"project": {"id": "nowhere"}})),
        ),
        (
            password("lost"),
            Some(json!({"project": {"id": "default"}})),
        ),
        (
            password("member-project"),
            Some(json!({"domain": {"id": home()}})),
        ),
        (
            password("lost"),
            Some(json!({"domain": {"name": "nowhere"}})),
        ),
        (
            password("lost"),
            Some(json!({"OS-TRUST:trust": {"id": "nothing"}})),
        ),
        (json!({"methods": []}), None),
    ];
    // MariaDB compares names without regard to case, as it does under Keystone.
    let other_case = (with(|user| user["name"] = json!("MEMBER-PROJECT")), None);
    let told_apart = server.app.parts.store.dialect() != store::Dialect::MariaDb;
    for (identity, scope) in refused.into_iter().chain(told_apart.then_some(other_case)) {
        let shown = format!("{identity} {scope:?}");
        let answer = log_in(&server, identity, scope).await;
        assert_eq!(answer.status, 401, "{shown}");
        assert_eq!(answer.message(401), REFUSED, "{shown}");
        let challenge = format!("Keystone uri=\"{}/v3\"", server.url);
        assert_eq!(answer.header("WWW-Authenticate"), challenge);
    }
}

#[tokio::test]
async fn what_is_no_login_is_told_so() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let user = |user: Value| json!({"methods": ["password"], "password": {"user": user}});
    for (auth, missing) in [
        (json!(null), "auth in request body"),
        (
            json!({"identity": {"methods": ["password"]}}),
            "password in identity",
        ),
        (
            json!({"identity": {"methods": ["password"], "password": {}}}),
            "user in None",
        ),
        (
            json!({"identity": user(json!({"name": "ada", "password": "x"}))}),
            "domain in user",
        ),
        (
            json!({"identity": password("ada"), "scope": {}}),
            "system, project, domain, OS-TRUST:trust or unscoped in scope",
        ),
        (
            json!({"identity": password("ada"), "scope": "everything"}),
            "system, project, domain, OS-TRUST:trust or unscoped in scope",
        ),
        (
            json!({"identity": password("ada"), "scope": {"project": {"id": "x"}, "system": {}}}),
            "system, project, domain, OS-TRUST:trust or unscoped in scope",
        ),
        (
            json!({"identity": password("ada"), "scope": {"project": {"name": "home"}}}),
            "domain in project",
        ),
    ] {
        let answer = nobody.post(PATH, json!({ "auth": auth })).await;
        let expected = format!("Expecting to find {missing}. {MALFORMED}");
        assert_eq!(answer.message(400), expected);
    }
    for (auth, place) in [
        (
            json!({"identity": user(json!({"password": "x"}))}),
            "identity/password/user",
        ),
        (
            json!({"identity": user(json!({"name": "ada", "domain": {}}))}),
            "identity/password/user/domain",
        ),
        (
            json!({"identity": password("ada"), "scope": {"project": {}}}),
            "scope/project",
        ),
        (
            json!({"identity": password("ada"), "scope": {"domain": {}}}),
            "scope/domain",
        ),
    ] {
        let answer = nobody.post(PATH, json!({ "auth": auth })).await;
        let expected = format!("Invalid input for field {place}: id or name must be present.");
        assert_eq!(answer.message(400), expected);
    }
    nobody.post(PATH, json!({"auth": {}})).await.expect(400);
    nobody
        .post(PATH, json!({"auth": {"identity": {"methods": "password"}}}))
        .await
        .expect(400);
}

#[tokio::test]
async fn who_tries_an_unknown_method_is_told_the_known_ones() {
    let server = TestServer::start().await;
    let answer = log_in(&server, json!({"methods": ["magic"], "magic": {}}), None).await;
    insta::assert_compact_json_snapshot!(answer.expect(401), @r#"
    {
      "error": {
        "code": 401,
        "identity": {
          "methods": [
            "external",
            "password",
            "token",
            "oauth1",
            "mapped",
            "application_credential",
            "ec2credential"
          ]
        },
        "message": "Attempted to authenticate with an unsupported method.",
        "title": "Unauthorized"
      }
    }
    "#);
}

#[tokio::test]
async fn a_token_buys_another_that_ends_with_it() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    let first = shown(&member).await;
    server.clock.advance(TimeDelta::minutes(10));
    let second_holder = exchange(&server, &member, Some(json!("unscoped"))).await;
    let second = shown(&second_holder).await;
    let third = shown(&exchange(&server, &second_holder, Some(on_home())).await).await;

    for descendant in [&second, &third] {
        assert_eq!(descendant["expires_at"], first["expires_at"]);
        assert_eq!(descendant["issued_at"], "2026-05-04T03:12:01.000000Z");
        // The own id, and that of the first of the chain.
        let ids = descendant["audit_ids"].as_array().unwrap();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[1], first["audit_ids"][0]);
        let mut methods: Vec<_> = descendant["methods"].as_array().unwrap().iter().collect();
        methods.sort_by_key(|method| method.to_string());
        assert_eq!(methods, ["password", "token"]);
    }
    assert_ne!(second["audit_ids"][0], third["audit_ids"][0]);
    assert_eq!(third["project"], first["project"]);
}

#[tokio::test]
async fn a_token_that_is_none_buys_nothing_and_is_not_found() {
    let server = TestServer::start().await;
    for (text, message) in [
        ("", "No token in the request"),
        ("nonsense", "Could not recognize Fernet token"),
        ("gAAAAnonsense", "Could not recognize Fernet token"),
    ] {
        let answer = log_in(&server, token(text), None).await;
        assert_eq!(answer.message(404), message);
    }
}

#[tokio::test]
async fn all_methods_of_a_login_must_name_the_same_user() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    server.add_person("other", &[]).await;
    let both = |name: &str| {
        let mut identity = password(name);
        identity["methods"] = json!(["password", "token"]);
        identity["token"] = json!({"id": member.token()});
        identity
    };
    log_in(&server, both("member-project"), None)
        .await
        .expect(201);
    let answer = log_in(&server, both("other"), None).await;
    assert_eq!(answer.message(401), REFUSED);
}

#[tokio::test]
async fn a_token_of_the_system_buys_none_for_a_project() {
    let server = TestServer::start().await;
    let places = [("reader", Scope::System), ("reader", Scope::Project)];
    server.add_person("ada", &places).await;
    let everywhere = server
        .log_in("ada", Some(json!({"system": {"all": true}})))
        .await;
    let answer = log_in(&server, token(everywhere.token()), Some(on_home())).await;
    assert_eq!(answer.status, 403);
    let at_home = server.log_in("ada", Some(on_home())).await;
    exchange(&server, &at_home, Some(json!({"system": {"all": true}}))).await;
}

#[tokio::test]
async fn an_operator_can_forbid_to_exchange_tokens_with_a_scope() {
    let server =
        TestServer::start_with(|config| config.token.allow_rescope_scoped_token = false).await;
    let member = server.with_role("member", Scope::Project).await;
    let answer = log_in(&server, token(member.token()), Some(json!("unscoped"))).await;
    assert_eq!(
        answer.message(403),
        "You are not authorized to perform the requested action: rescope a scoped token."
    );
    let unscoped = server.log_in("member-project", None).await;
    exchange(&server, &unscoped, Some(on_home())).await;
}

#[tokio::test]
async fn administrators_readers_of_the_system_and_the_user_validate_a_token() {
    let server = TestServer::start().await;
    let subject = server.stranger().await;
    let of_the_same_user = server.log_in("stranger", None).await;
    let service = server.with_role("service", Scope::Project).await;
    for allowed in [
        server.admin().await,
        server.system_admin().await,
        server.with_role("admin", Scope::Domain).await,
        server.with_role("reader", Scope::System).await,
        of_the_same_user,
    ] {
        assert_eq!(about(&allowed, &subject).get(PATH).await.status, 200);
        assert_eq!(about(&allowed, &subject).head(PATH).await.status, 200);
    }
    for denied in [
        server.with_role("manager", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("member", Scope::Project).await,
        server.with_role("reader", Scope::Domain).await,
    ] {
        assert_eq!(
            about(&denied, &subject).get(PATH).await.message(403),
            "You are not authorized to perform the requested action: identity:validate_token."
        );
        assert_eq!(about(&denied, &subject).head(PATH).await.status, 403);
    }
    // A service may read a token, and not check it.
    assert_eq!(about(&service, &subject).get(PATH).await.status, 200);
    assert_eq!(about(&service, &subject).head(PATH).await.status, 403);
    let nobody = server.nobody();
    assert_eq!(about(&nobody, &subject).get(PATH).await.status, 401);
    assert_eq!(about(&nobody, &subject).head(PATH).await.status, 401);
}

#[tokio::test]
async fn administrators_and_the_user_revoke_a_token() {
    let server = TestServer::start().await;
    let subject = server.stranger().await;
    for denied in [
        server.with_role("service", Scope::Project).await,
        server.with_role("reader", Scope::System).await,
        server.with_role("manager", Scope::Project).await,
    ] {
        assert_eq!(
            about(&denied, &subject).delete(PATH).await.message(403),
            "You are not authorized to perform the requested action: identity:revoke_token."
        );
    }
    assert_eq!(
        about(&server.nobody(), &subject).delete(PATH).await.status,
        401
    );
    about(&subject, &subject).delete(PATH).await.expect(204);
    for (name, allowed) in [
        ("one", server.admin().await),
        ("two", server.system_admin().await),
        ("three", server.with_role("admin", Scope::Domain).await),
    ] {
        server.add_person(name, &[]).await;
        let subject = server.log_in(name, None).await;
        about(&allowed, &subject).delete(PATH).await.expect(204);
        assert_eq!(about(&allowed, &subject).get(PATH).await.status, 404);
    }
}

#[tokio::test]
async fn a_subject_that_is_no_token_is_not_found_by_anybody() {
    let server = TestServer::start().await;
    for asker in [server.admin().await, server.stranger().await] {
        for (text, message) in [
            ("", "No token in the request"),
            ("nonsense", "Could not recognize Fernet token"),
        ] {
            let asker = asker.clone().with_header("x-subject-token", text);
            assert_eq!(asker.get(PATH).await.message(404), message);
            assert_eq!(asker.head(PATH).await.status, 404);
            assert_eq!(asker.delete(PATH).await.message(404), message);
        }
    }
}

#[tokio::test]
async fn a_request_without_a_subject_is_judged_before_it_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    assert_eq!(
        admin.get(PATH).await.message(404),
        "No token in the request"
    );
    assert_eq!(
        admin.delete(PATH).await.message(404),
        "No token in the request"
    );
    let stranger = server.stranger().await;
    assert_eq!(stranger.get(PATH).await.status, 403);
    assert_eq!(stranger.delete(PATH).await.status, 403);
    assert_eq!(server.nobody().get(PATH).await.status, 401);
    assert_eq!(admin.put(PATH, json!({})).await.status, 405);
}

#[tokio::test]
async fn padding_at_the_end_of_a_token_does_not_matter() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    let padded = stranger
        .clone()
        .with_token(&format!("{}=", stranger.token()));
    assert_eq!(about(&stranger, &padded).get(PATH).await.status, 200);
    let damaged = stranger
        .clone()
        .with_token(&format!("{}x", stranger.token()));
    assert_eq!(about(&stranger, &damaged).get(PATH).await.status, 404);
    assert_eq!(damaged.get("/v3/auth/projects").await.message(401), REFUSED);
}

#[tokio::test]
async fn a_token_expires_at_its_time_and_not_before() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    server
        .clock
        .advance(TimeDelta::minutes(60) - TimeDelta::seconds(1));
    assert_eq!(about(&stranger, &stranger).get(PATH).await.status, 200);
    server.clock.advance(TimeDelta::seconds(1));
    let admin = server.admin().await;
    let expired = about(&admin, &stranger);
    assert_eq!(
        expired.get(PATH).await.message(404),
        "Failed to validate token"
    );
    assert_eq!(expired.head(PATH).await.status, 404);
    assert_eq!(expired.delete(PATH).await.status, 404);
    assert_eq!(
        stranger.get("/v3/auth/projects").await.message(401),
        REFUSED
    );
    let obtained = log_in(&server, token(stranger.token()), None).await;
    assert_eq!(obtained.message(404), "Failed to validate token");
}

#[tokio::test]
async fn who_allows_it_sees_an_expired_token_for_a_while() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    server.clock.advance(TimeDelta::hours(48));
    let admin = server.admin().await;
    let expired = about(&admin, &stranger);
    for (query, status) in [
        ("", 404),
        ("?allow_expired=0", 404),
        ("?allow_expired=false", 404),
        ("?allow_expired", 200),
        ("?allow_expired=1", 200),
        ("?allow_expired=maybe", 200),
    ] {
        let path = format!("{PATH}{query}");
        assert_eq!(expired.get(&path).await.status, status, "{query}");
        assert_eq!(expired.head(&path).await.status, status, "{query}");
    }
    // It is only looked at: as the token of who asks it stays expired.
    let path = format!("{PATH}?allow_expired=1");
    assert_eq!(about(&stranger, &stranger).get(&path).await.status, 401);
    server.clock.advance(TimeDelta::hours(1));
    let admin = server.admin().await;
    assert_eq!(about(&admin, &stranger).get(&path).await.status, 404);
}

#[tokio::test]
async fn a_revoked_token_identifies_nobody() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;
    let other = server.log_in("stranger", None).await;
    about(&stranger, &stranger).delete(PATH).await.expect(204);
    assert_eq!(
        stranger.get("/v3/auth/projects").await.message(401),
        REFUSED
    );
    assert_eq!(about(&stranger, &stranger).get(PATH).await.status, 401);
    let revoked = about(&admin, &stranger);
    assert_eq!(
        revoked.get(PATH).await.message(404),
        "Failed to validate token"
    );
    assert_eq!(revoked.delete(PATH).await.status, 404);
    let forgiving = format!("{PATH}?allow_expired=1");
    assert_eq!(revoked.get(&forgiving).await.status, 404);
    let obtained = log_in(&server, token(stranger.token()), None).await;
    assert_eq!(obtained.message(404), "Failed to validate token");
    assert_eq!(about(&other, &other).get(PATH).await.status, 200);
}

#[tokio::test]
async fn revoking_the_first_of_a_chain_revokes_the_chain() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.stranger().await;
    let second = exchange(&server, &first, None).await;
    let third = exchange(&server, &second, None).await;
    about(&admin, &first).delete(PATH).await.expect(204);
    for token in [first, second, third] {
        assert_eq!(about(&admin, &token).get(PATH).await.status, 404);
    }
}

#[tokio::test]
async fn revoking_another_of_a_chain_revokes_it_alone() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.stranger().await;
    let second = exchange(&server, &first, None).await;
    let third = exchange(&server, &second, None).await;
    about(&admin, &second).delete(PATH).await.expect(204);
    assert_eq!(about(&admin, &second).get(PATH).await.status, 404);
    for token in [first, third] {
        assert_eq!(about(&admin, &token).get(PATH).await.status, 200);
    }
}

#[tokio::test]
async fn a_chain_can_be_kept_when_its_first_is_revoked() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.stranger().await;
    let second = exchange(&server, &first, None).await;
    let path = format!("{PATH}?cascade=false");
    about(&admin, &first).delete(&path).await.expect(204);
    assert_eq!(about(&admin, &first).get(PATH).await.status, 404);
    assert_eq!(about(&admin, &second).get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_user_who_is_disabled_has_no_tokens() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;
    let id = shown(&stranger).await["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v3/users/{id}");
    let enabled = |enabled: bool| json!({"user": {"enabled": enabled}});
    admin.patch(&path, enabled(false)).await.expect(200);
    assert_eq!(
        about(&admin, &stranger).get(PATH).await.message(404),
        "Failed to validate token"
    );
    assert_eq!(
        stranger.get("/v3/auth/projects").await.message(401),
        REFUSED
    );
    assert_eq!(
        log_in(&server, password("stranger"), None)
            .await
            .message(401),
        REFUSED
    );
    // Enabling the user brings the login back, and not the tokens.
    admin.patch(&path, enabled(true)).await.expect(200);
    assert_eq!(about(&admin, &stranger).get(PATH).await.status, 404);
    server.clock.advance(TimeDelta::seconds(1));
    let again = server.log_in("stranger", None).await;
    assert_eq!(about(&admin, &again).get(PATH).await.status, 200);

    admin.delete(&path).await.expect(204);
    let gone = format!("Could not find user: {id}.");
    assert_eq!(about(&admin, &again).get(PATH).await.message(404), gone);
    assert_eq!(again.get("/v3/auth/projects").await.message(404), gone);
}

#[tokio::test]
async fn a_token_rests_while_its_project_is_disabled() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let member = server.with_role("member", Scope::Project).await;
    let path = format!("/v3/projects/{}", home());
    let enabled = |enabled: bool| json!({"project": {"enabled": enabled}});
    admin.patch(&path, enabled(false)).await.expect(200);
    let disabled = format!(
        "Unable to validate token because project {} is disabled",
        home()
    );
    assert_eq!(
        about(&admin, &member).get(PATH).await.message(404),
        disabled
    );
    // Whom such a token identifies is told so, instead of 401.
    assert_eq!(member.get("/v3/auth/projects").await.message(404), disabled);
    let answer = log_in(&server, password("member-project"), Some(on_home())).await;
    assert_eq!(answer.message(401), REFUSED);

    admin.patch(&path, enabled(true)).await.expect(200);
    assert_eq!(about(&admin, &member).get(PATH).await.status, 200);
    admin.delete(&path).await.expect(204);
    let gone = format!("Could not find project: {}.", home());
    assert_eq!(about(&admin, &member).get(PATH).await.message(404), gone);
}

#[tokio::test]
async fn a_token_rests_while_a_domain_of_it_is_disabled() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let created = admin
        .post("/v3/domains", json!({"domain": {"name": "acme"}}))
        .await;
    let domain = created.expect(201)["domain"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let attributes = json!({"name": "ada", "domain_id": domain, "password": PASSWORD});
    user(&admin, attributes).await;
    let mut identity = password("ada");
    identity["password"]["user"]["domain"] = json!({"name": "acme"});
    let answer = log_in(&server, identity.clone(), None).await;
    answer.expect(201);
    let ada = server.nobody().with_token(answer.header("X-Subject-Token"));

    let path = format!("/v3/domains/{domain}");
    let enabled = |enabled: bool| json!({"domain": {"enabled": enabled}});
    admin.patch(&path, enabled(false)).await.expect(200);
    let disabled = format!("Unable to validate token because domain {domain} is disabled");
    assert_eq!(about(&admin, &ada).get(PATH).await.message(404), disabled);
    assert_eq!(ada.get("/v3/auth/projects").await.message(404), disabled);
    assert_eq!(log_in(&server, identity, None).await.message(401), REFUSED);
    admin.patch(&path, enabled(true)).await.expect(200);
    assert_eq!(about(&admin, &ada).get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_token_ends_with_the_last_role() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let roles = [("member", Scope::Project), ("service", Scope::Project)];
    let id = server.add_person("ada", &roles).await;
    let ada = server.log_in("ada", Some(on_home())).await;
    let listed = admin.get("/v3/roles").await.expect(200);
    let revoke = |name: &str| {
        let roles = listed["roles"].as_array().unwrap();
        let role = roles.iter().find(|role| role["name"] == name).unwrap();
        let role = role["id"].as_str().unwrap();
        format!("/v3/projects/{}/users/{id}/roles/{role}", home())
    };
    admin.delete(&revoke("member")).await.expect(204);
    let left = about(&admin, &ada).get(PATH).await.expect(200);
    assert_eq!(
        without_bootstrap(left["token"].clone())["roles"],
        json!(["service"])
    );
    admin.delete(&revoke("service")).await.expect(204);
    assert_eq!(
        about(&admin, &ada).get(PATH).await.message(404),
        format!("Could not find token: {}.", ada.token())
    );
    assert_eq!(ada.get("/v3/auth/projects").await.message(401), REFUSED);
}

#[tokio::test]
async fn a_token_outlives_the_password_that_bought_it() {
    let server = TestServer::start_with(|config| {
        config.security_compliance.password_expires_days = Some(1);
        config.token.expiration = Duration::from_secs(7 * 24 * 60 * 60);
    })
    .await;
    let admin = server.admin().await;
    let attributes = json!({"name": "ada", "domain_id": "default", "password": PASSWORD});
    let id = user(&admin, attributes).await;
    let ada = server.log_in("ada", None).await;
    server.clock.advance(TimeDelta::days(2));

    let expired = log_in(&server, password("ada"), None).await;
    assert_eq!(
        expired.message(401),
        format!("The password is expired and needs to be changed for user: {id}.")
    );
    let mut wrong = password("ada");
    wrong["password"]["user"]["password"] = json!("wrong");
    assert_eq!(log_in(&server, wrong, None).await.message(401), REFUSED);

    let token = shown(&ada).await;
    assert_eq!(
        token["user"]["password_expires_at"],
        "2026-05-05T03:02:01.000000"
    );
    assert_eq!(ada.get("/v3/auth/projects").await.status, 200);
    exchange(&server, &ada, None).await;
}

#[tokio::test]
async fn tokens_that_were_revoked_are_listed_no_more() {
    let path = format!("{PATH}/OS-PKI/revoked");
    let server = TestServer::start().await;
    assert_eq!(
        server.admin().await.get(&path).await.message(403),
        "You are not authorized to perform the requested action."
    );
    let server = TestServer::start_with(|config| config.token.revoke_by_id = false).await;
    assert_eq!(
        server.nobody().get(&path).await.message(410),
        "The service you have requested is no longer available on this server."
    );
}
