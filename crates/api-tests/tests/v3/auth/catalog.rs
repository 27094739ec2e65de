//! The catalog over HTTP: which services a token can be used at.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer, home};

const PATH: &str = "/v3/auth/catalog";

/// Adds a service, and returns its id.
async fn service(admin: &Client, attributes: Value) -> String {
    let body = json!({ "service": attributes });
    let created = admin.post("/v3/services", body).await.expect(201);
    created["service"]["id"].as_str().unwrap().to_owned()
}

/// Adds an endpoint, and returns its id.
async fn endpoint(admin: &Client, service: &str, url: &str) -> String {
    let attributes = json!({"interface": "public", "service_id": service, "url": url});
    let created = admin
        .post("/v3/endpoints", json!({ "endpoint": attributes }))
        .await;
    created.expect(201)["endpoint"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A service of a catalog.
fn of_type<'a>(catalog: &'a Value, kind: &str) -> Option<&'a Value> {
    let services = catalog.as_array().unwrap();
    services.iter().find(|service| service["type"] == kind)
}

fn urls(catalog: &Value, kind: &str) -> Vec<String> {
    let endpoints = of_type(catalog, kind).unwrap()["endpoints"]
        .as_array()
        .unwrap();
    let mut urls: Vec<_> = endpoints
        .iter()
        .map(|endpoint| endpoint["url"].as_str().unwrap().to_owned())
        .collect();
    urls.sort_unstable();
    urls
}

async fn catalog(client: &Client) -> Value {
    client.get(PATH).await.expect(200)["catalog"].clone()
}

/// The catalog inside a token, for tokens of every scope.
async fn within_token(client: &Client) -> Value {
    let own = client
        .clone()
        .with_header("x-subject-token", client.token());
    own.get("/v3/auth/tokens").await.expect(200)["token"]["catalog"].clone()
}

#[tokio::test]
async fn an_operator_can_leave_the_catalog_empty_where_no_endpoints_were_chosen() {
    let server = TestServer::start_with(|config| {
        config.endpoint_filter.return_all_endpoints_if_no_filter = false;
    })
    .await;
    let admin = server.admin().await;
    let volume = service(&admin, json!({"type": "volume"})).await;
    let chosen = endpoint(&admin, &volume, "http://volume.example/").await;
    let member = server.with_role("member", Scope::Project).await;
    let of_domain = server.with_role("member", Scope::Domain).await;
    assert_eq!(within_token(&member).await, json!([]));
    assert_eq!(catalog(&member).await, json!([]));
    assert_eq!(within_token(&of_domain).await, json!([]));
    let choose = format!(
        "INSERT INTO project_endpoint (endpoint_id, project_id) VALUES ('{chosen}', '{}')",
        home()
    );
    server.sql(&choose).await;
    let shown = within_token(&member).await;
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!(urls(&shown, "volume"), ["http://volume.example/"]);
    assert_eq!(within_token(&of_domain).await, json!([]));
}

#[tokio::test]
async fn a_catalog_has_services_with_their_endpoints() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = service(
        &admin,
        json!({"type": "volume", "name": "cinder", "colour": "red"}),
    )
    .await;
    let attributes = json!({
        "interface": "public", "service_id": id, "url": "http://volume.example/",
        "region_id": "RegionOne", "name": "named",
    });
    let body = json!({ "endpoint": attributes });
    admin.post("/v3/endpoints", body).await.expect(201);
    let member = server.with_role("member", Scope::Project).await;
    let shown = catalog(&member).await;
    insta::assert_compact_json_snapshot!(of_type(&shown, "volume").unwrap(), @r#"
    {
      "endpoints": [
        {
          "name": "named",
          "id": "00000000000000000000000000001002",
          "interface": "public",
          "region_id": "RegionOne",
          "url": "http://volume.example/",
          "region": "RegionOne"
        }
      ],
      "id": "00000000000000000000000000001001",
      "type": "volume",
      "name": "cinder"
    }
    "#);
    assert_eq!(within_token(&member).await, shown);
    assert_eq!(member.head(PATH).await.status, 200);
}

#[tokio::test]
async fn urls_are_filled_in_or_left_out() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = service(&admin, json!({"type": "volume"})).await;
    endpoint(&admin, &id, "http://a/$(project_id)s/%(tenant_id)s").await;
    endpoint(&admin, &id, "http://b/$(user_id)s").await;
    endpoint(&admin, &id, "http://c/$(compute_host)s").await;
    let changed = endpoint(&admin, &id, "http://d/").await;
    let broken = json!({"endpoint": {"url": "http://d/$(unheard_of)s"}});
    let path = format!("/v3/endpoints/{changed}");
    admin.patch(&path, broken).await.expect(200);

    let places = [
        ("member", Scope::Project),
        ("member", Scope::Domain),
        ("member", Scope::System),
    ];
    let user = server.add_person("ada", &places).await;
    let by_user = format!("http://b/{user}");
    let at_home = server
        .log_in("ada", Some(json!({"project": {"id": home()}})))
        .await;
    let by_project = format!("http://a/{0}/{0}", home());
    assert_eq!(
        urls(&catalog(&at_home).await, "volume"),
        [by_project, by_user.clone()]
    );
    for scope in [
        json!({"domain": {"id": "default"}}),
        json!({"system": {"all": true}}),
    ] {
        let elsewhere = server.log_in("ada", Some(scope)).await;
        assert_eq!(
            urls(&within_token(&elsewhere).await, "volume"),
            [by_user.as_str()]
        );
    }
}

#[tokio::test]
async fn what_is_disabled_is_left_out() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let member = server.with_role("member", Scope::Project).await;
    let id = service(&admin, json!({"type": "volume"})).await;
    let hidden = endpoint(&admin, &id, "http://hidden/").await;
    endpoint(&admin, &id, "http://shown/").await;
    let disable = |kind: &str| json!({ kind: {"enabled": false} });
    let path = format!("/v3/endpoints/{hidden}");
    admin.patch(&path, disable("endpoint")).await.expect(200);
    assert_eq!(urls(&catalog(&member).await, "volume"), ["http://shown/"]);

    let empty = service(&admin, json!({"type": "empty"})).await;
    assert!(urls(&catalog(&member).await, "empty").is_empty());
    let path = format!("/v3/services/{empty}");
    admin.patch(&path, disable("service")).await.expect(200);
    assert_eq!(of_type(&catalog(&member).await, "empty"), None);
}

#[tokio::test]
async fn only_tokens_of_a_project_show_a_catalog() {
    let server = TestServer::start().await;
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.system_admin().await,
        server.stranger().await,
    ] {
        assert_eq!(
            denied.get(PATH).await.message(403),
            "You are not authorized to perform the requested action."
        );
    }
    assert_eq!(server.nobody().get(PATH).await.status, 401);
}
