//! Texts that a database or a column cannot hold: found nowhere, refused where they would be kept,
//! and kept within JSON by all.

use serde_json::{Value, json};
use store::{Dialect, scratch};
use testkit::{Client, TestServer};

/// A character of four bytes, which Keystone's columns on MariaDB lack.
const FOUR_BYTES: &str = "\u{1f600}";
/// What PostgreSQL lacks.
const NUL: &str = "a\0b";

/// As it stands in a path or a query.
fn quoted(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Whether a column of the database holds a text.
fn holds(server: &TestServer, text: &str) -> bool {
    match server.app.parts.store.dialect() {
        Dialect::MariaDb => text != FOUR_BYTES,
        Dialect::Postgres => text != NUL,
        Dialect::Sqlite => true,
    }
}

async fn id(admin: &Client, kind: &str, attributes: Value) -> String {
    let path = format!("/v3/{kind}s");
    let created = admin.post(&path, json!({ kind: attributes })).await;
    let created = created.expect(201);
    created[kind]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn attributes_hold_anything() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = id(&admin, "service", json!({"type": "s"})).await;
    let user = id(&admin, "user", json!({"name": "owner"})).await;
    for (kind, mut attributes) in [
        ("domain", json!({"name": "x"})),
        ("project", json!({"name": "x"})),
        ("user", json!({"name": "x"})),
        ("group", json!({"name": "x"})),
        ("role", json!({"name": "x"})),
        ("region", json!({})),
        ("service", json!({"type": "x"})),
        (
            "endpoint",
            json!({"service_id": service, "interface": "public", "url": "http://x"}),
        ),
        (
            "credential",
            json!({"type": "x", "blob": FOUR_BYTES, "user_id": user}),
        ),
    ] {
        let value = json!([FOUR_BYTES, NUL, {FOUR_BYTES: 1e22}]);
        attributes["anything"] = value.clone();
        let path = format!("/v3/{kind}s/{}", id(&admin, kind, attributes).await);
        if kind != "credential" {
            let change = json!({ kind: {"something": FOUR_BYTES} });
            let changed = admin.patch(&path, change).await.expect(200);
            assert_eq!(changed[kind]["something"], FOUR_BYTES, "{kind}");
        }
        let shown = admin.get(&path).await.expect(200);
        assert_eq!(shown[kind]["anything"], value, "{kind}");
    }
}

#[tokio::test]
async fn attributes_are_stored_as_keystone_stores_them() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = id(
        &admin,
        "user",
        json!({"name": "x", "email": FOUR_BYTES, "é": [1, 1e22]}),
    )
    .await;
    let stored = r#"{"email": "\ud83d\ude00", "\u00e9": [1, 1e+22]}"#;
    // MariaDB reads the escapes of its own first.
    let literal = match server.app.parts.store.dialect() {
        Dialect::MariaDb => stored.replace('\\', r"\\"),
        Dialect::Postgres | Dialect::Sqlite => stored.to_owned(),
    };
    let sql = format!(
        "SELECT COUNT(*) AS number FROM \"user\" WHERE id = '{path}' AND extra = '{literal}'"
    );
    let found = scratch::number(&server.app.parts.store, &sql)
        .await
        .unwrap();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn what_keystone_stored_can_be_read_and_changed() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!(
        "/v3/users/{}",
        id(&admin, "user", json!({"name": "x"})).await
    );
    // Half of a pair, and a float that is no number: Python takes them from a client and keeps them.
    let escape = match server.app.parts.store.dialect() {
        Dialect::MariaDb => r"\\",
        Dialect::Postgres | Dialect::Sqlite => r"\",
    };
    let extra = format!(r#"{{"email": "a{escape}ud83d", "number": NaN}}"#);
    let sql = format!("UPDATE \"user\" SET extra = '{extra}' WHERE id <> 'nobody'");
    server.sql(&sql).await;
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(shown["user"]["email"], "a\u{fffd}");
    assert_eq!(shown["user"]["number"], Value::Null);
    let change = json!({"user": {"enabled": false}});
    admin.patch(&path, change).await.expect(200);
}

#[tokio::test]
async fn what_a_column_cannot_hold_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for text in [FOUR_BYTES, NUL] {
        let (created, changed) = match holds(&server, text) {
            true => (201, 200),
            false => (400, 400),
        };
        for (kind, attribute) in [
            ("domain", "name"),
            ("domain", "description"),
            ("project", "name"),
            ("project", "description"),
            ("user", "name"),
            ("group", "name"),
            ("group", "description"),
            ("role", "name"),
            ("role", "description"),
            ("region", "description"),
            ("service", "type"),
        ] {
            let mut attributes = match kind {
                "region" => json!({}),
                "service" => json!({"type": "s"}),
                _ => json!({"name": format!("{kind} {attribute} {}", text.len())}),
            };
            let known = id(&admin, kind, attributes.clone()).await;
            let path = format!("/v3/{kind}s/{known}");
            let answer = admin.patch(&path, json!({kind: {attribute: text}})).await;
            assert_eq!(
                answer.status, changed,
                "{kind} {attribute}: {}",
                answer.text
            );
            if attribute == "name" {
                let body = json!({kind: {"name": format!("{kind} {text}")}});
                let answer = admin.post(&format!("/v3/{kind}s"), body).await;
                assert_eq!(answer.status, created, "{kind}: {}", answer.text);
                continue;
            }
            attributes["name"] = json!(format!("other {kind} {attribute} {}", text.len()));
            attributes[attribute] = json!(text);
            let answer = admin
                .post(&format!("/v3/{kind}s"), json!({kind: attributes}))
                .await;
            assert_eq!(
                answer.status, created,
                "{kind} {attribute}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn what_no_column_holds_is_found_nowhere() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for text in [FOUR_BYTES, NUL] {
        let odd = quoted(text);
        for kind in [
            "users",
            "projects",
            "domains",
            "groups",
            "roles",
            "regions",
            "services",
            "endpoints",
            "credentials",
            "OS-FEDERATION/identity_providers",
            "OS-FEDERATION/mappings",
            "OS-FEDERATION/service_providers",
            "OS-FEDERATION/identity_providers/x/protocols",
        ] {
            let path = format!("/v3/{kind}/{odd}");
            admin.get(&path).await.expect(404);
            admin.delete(&path).await.expect(404);
        }
        let protocol = format!("/v3/OS-FEDERATION/identity_providers/x/protocols/{odd}");
        let rules = json!([{"local": [{"user": {"name": "x"}}], "remote": [{"type": "X"}]}]);
        let mapping = format!("/v3/OS-FEDERATION/mappings/m{}", text.len());
        let body = json!({"mapping": {"rules": rules}});
        admin.put(&mapping, body).await.expect(201);
        let body = json!({"protocol": {"mapping_id": format!("m{}", text.len())}});
        admin.patch(&protocol, body).await.expect(404);
        for filter in [
            "users?name=",
            "users?name__contains=",
            "users?name__iendswith=",
            "users?name__startswith=",
            "users?name__endswith=",
            "users?idp_id=",
            "projects?tags-any=x,",
            "services?type=",
            "endpoints?region_id=",
            "credentials?user_id=",
            "role_assignments?user.id=",
            "OS-FEDERATION/identity_providers?id=",
        ] {
            let listed = admin.get(&format!("/v3/{filter}{odd}")).await.expect(200);
            let list = filter
                .split(['?', '/'])
                .find(|part| listed[*part].is_array())
                .unwrap();
            assert_eq!(listed[list], json!([]), "{filter}");
        }
        // What is there is listed, whatever else is asked for.
        let project = id(
            &admin,
            "project",
            json!({"name": text.len().to_string(), "tags": ["known"]}),
        );
        let project = project.await;
        for filter in ["tags-any=known,", "not-tags="] {
            let path = format!("/v3/projects?{filter}{odd}");
            let listed = admin.get(&path).await.expect(200);
            let mut ids = listed["projects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| &it["id"]);
            assert!(ids.any(|id| *id == project), "{filter}");
        }
    }
}

#[tokio::test]
async fn nobody_logs_in_by_what_no_column_holds() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    for text in [FOUR_BYTES, NUL] {
        let default = json!({"id": "default"});
        for user in [
            json!({"name": text, "domain": default, "password": "x"}),
            json!({"name": "admin", "domain": {"name": text}, "password": "x"}),
            json!({"name": "admin", "domain": {"id": text}, "password": "x"}),
            json!({"id": text, "password": "x"}),
        ] {
            let identity = json!({"methods": ["password"], "password": {"user": user}});
            let body = json!({"auth": {"identity": identity}});
            nobody.post("/v3/auth/tokens", body).await.expect(401);
        }
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", text),
            ("client_secret", "x"),
        ];
        let answer = nobody.post_form("/v3/OS-OAUTH2/token", &fields).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text);
        let own = server.admin().await;
        for scope in [
            json!({"project": {"id": text}}),
            json!({"project": {"name": text, "domain": {"id": "default"}}}),
            json!({"project": {"name": "admin", "domain": {"name": text}}}),
            json!({"domain": {"id": text}}),
            json!({"domain": {"name": text}}),
        ] {
            let identity = json!({"methods": ["token"], "token": {"id": own.token()}});
            let body = json!({"auth": {"identity": identity, "scope": scope}});
            nobody.post("/v3/auth/tokens", body).await.expect(401);
        }
    }
}

#[tokio::test]
async fn what_is_too_long_or_too_large_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let long = "x".repeat(300);
    let user = id(&admin, "user", json!({"name": "owner"})).await;
    let service = id(&admin, "service", json!({"type": "s"})).await;
    let endpoint = json!({"service_id": service, "interface": "public", "url": "http://x"});
    let endpoint = id(&admin, "endpoint", endpoint).await;
    let federation = "/v3/OS-FEDERATION";
    let provider = format!("{federation}/identity_providers/known");
    admin
        .put(&provider, json!({"identity_provider": {}}))
        .await
        .expect(201);
    // Some are refused everywhere, some only by a database that minds.
    let lenient = server.app.parts.store.dialect() == Dialect::Sqlite;
    for (path, change) in [
        (
            format!("/v3/users/{user}"),
            json!({"user": {"default_project_id": long}}),
        ),
        (format!("/v3/users/{user}"), json!({"user": {"name": long}})),
        (
            format!("/v3/services/{service}"),
            json!({"service": {"type": long}}),
        ),
        (
            format!("/v3/endpoints/{endpoint}"),
            json!({"endpoint": {"region": long}}),
        ),
        (
            provider.clone(),
            json!({"identity_provider": {"remote_ids": [long]}}),
        ),
        (
            provider.clone(),
            json!({"identity_provider": {"authorization_ttl": 1_u64 << 31}}),
        ),
        (
            provider.clone(),
            json!({"identity_provider": {"authorization_ttl": 1_u64 << 63}}),
        ),
    ] {
        let answer = admin.patch(&path, change.clone()).await;
        let expected = answer.status == 400 || (lenient && answer.status == 200);
        assert!(expected, "{change}: {} {}", answer.status, answer.text);
    }
    let many: Vec<String> = (0..17_000).map(|number| format!("{number:x}")).collect();
    let change = json!({"identity_provider": {"remote_ids": many}});
    admin.patch(&provider, change).await.expect(400);
    for body in [
        json!({"credential": {"type": long, "blob": "b", "user_id": user}}),
        json!({"credential": {"type": "x", "blob": "b", "user_id": long}}),
    ] {
        let answer = admin.post("/v3/credentials", body).await;
        let expected = answer.status == 400 || (lenient && answer.status == 201);
        assert!(expected, "{} {}", answer.status, answer.text);
    }
}
