//! Logins: what tokens they lead to, the scopes they name, and how they are refused.

use config::UrlSafe;
use serde_json::{Value, json};
use testkit::{PASSWORD, Scope, TestServer, home};

use super::{PATH, REFUSED, about, log_in, on_home, password, shown, user, without_bootstrap};

const MALFORMED: &str = "The server could not comply with the request since it is either \
                         malformed or otherwise incorrect. The client is assumed to be in error.";

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
          "AAAAAAAAAAAAAAAAAAAQAA"
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
        "AAAAAAAAAAAAAAAAAAAQAA"
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
        "AAAAAAAAAAAAAAAAAAAQAA"
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
        "AAAAAAAAAAAAAAAAAAAQAA"
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
