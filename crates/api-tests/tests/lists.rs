//! How long lists are: `list_limit`, `max_db_limit` and the client's `limit`.

use config::Config;
use serde_json::{Value, json};
use testkit::{Client, TestServer};

/// How many items, whether there are said to be more, and the query of the next page.
async fn shape(client: &Client, path: &str) -> (usize, bool, String) {
    let body = client.get(path).await.expect(200);
    let lists = body.as_object().unwrap().values();
    let items = lists.filter_map(Value::as_array).next().unwrap().len();
    let next = body["links"]["next"].as_str().unwrap_or_default();
    let query = next.split_once('?').map_or("", |(_, query)| query);
    (items, body.get("truncated").is_some(), query.to_owned())
}

/// The same without the query.
async fn length(client: &Client, path: &str) -> (usize, bool) {
    let (items, truncated, _) = shape(client, path).await;
    (items, truncated)
}

async fn create(client: &Client, path: &str, body: Value) -> String {
    let created = client.post(path, body).await.expect(201);
    let one = created.as_object().unwrap().values().next().unwrap();
    one["id"].as_str().unwrap().to_owned()
}

/// Three users, groups, projects, domains, roles, services, endpoints and regions at least; the
/// ids of one user and of one group with two members.
async fn fill(admin: &Client) -> (String, String) {
    let mut users = Vec::new();
    let mut groups = Vec::new();
    for name in ["one", "two"] {
        users.push(create(admin, "/v3/users", json!({"user": {"name": name}})).await);
        groups.push(create(admin, "/v3/groups", json!({"group": {"name": name}})).await);
        create(admin, "/v3/projects", json!({"project": {"name": name}})).await;
        create(admin, "/v3/domains", json!({"domain": {"name": name}})).await;
        let service = create(admin, "/v3/services", json!({"service": {"type": name}})).await;
        let endpoint = json!({"service_id": service, "interface": "public", "url": "http://e"});
        create(admin, "/v3/endpoints", json!({ "endpoint": endpoint })).await;
        create(admin, "/v3/regions", json!({"region": {"id": name}})).await;
    }
    create(admin, "/v3/groups", json!({"group": {"name": "three"}})).await;
    for user in &users {
        let path = format!("/v3/groups/{}/users/{user}", groups[0]);
        admin.put_empty(&path).await.expect(204);
    }
    let path = format!("/v3/groups/{}/users/{}", groups[1], users[0]);
    admin.put_empty(&path).await.expect(204);
    (users[0].clone(), groups[0].clone())
}

#[tokio::test]
async fn a_full_last_page_is_told_from_others_unless_there_are_filters() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    fill(&admin).await;
    // Each with how many there are: three groups, and the administrator besides the two users.
    for path in ["/v3/users?", "/v3/groups?"] {
        assert_eq!(length(&admin, &format!("{path}limit=2")).await, (2, true));
        assert_eq!(length(&admin, &format!("{path}limit=3")).await, (3, false));
        assert_eq!(length(&admin, &format!("{path}limit=4")).await, (3, false));
        assert_eq!(length(&admin, &format!("{path}limit=0")).await, (0, true));
        // With filters, the reference does not look behind the page.
        let filtered = format!("{path}domain_id=default&limit=");
        assert_eq!(length(&admin, &format!("{filtered}3")).await, (3, true));
        assert_eq!(length(&admin, &format!("{filtered}4")).await, (3, false));
        assert_eq!(length(&admin, &format!("{filtered}0")).await, (3, true));
    }
    let (_, _, next) = shape(&admin, "/v3/groups?limit=2").await;
    let rest = format!("/v3/groups?{next}");
    assert_eq!(length(&admin, &rest).await, (1, false));
    // The names that only identity providers know are filters of another kind.
    assert_eq!(
        length(&admin, "/v3/users?idp_id=corp&limit=1").await,
        (0, false)
    );
}

#[tokio::test]
async fn the_client_limits_every_list_that_takes_parameters() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (user, group) = fill(&admin).await;
    for path in [
        "/v3/services".to_owned(),
        "/v3/endpoints".to_owned(),
        format!("/v3/users/{user}/groups"),
        format!("/v3/groups/{group}/users"),
    ] {
        let (all, truncated) = length(&admin, &path).await;
        assert!(all >= 2 && !truncated, "{path}");
        let exact = format!("{path}?limit={all}");
        assert_eq!(length(&admin, &exact).await, (all, false), "{path}");
        // The links lead through the whole list.
        let mut query = "limit=1".to_owned();
        for page in 1..=all {
            let shown = shape(&admin, &format!("{path}?{query}")).await;
            assert_eq!((shown.0, shown.1), (1, page < all), "{path}");
            query = shown.2;
        }
        assert_eq!(query, "", "{path}");
    }
}

async fn limited(change: impl FnOnce(&mut Config)) -> (TestServer, Client) {
    let server = TestServer::start_with(change).await;
    let admin = server.admin().await;
    fill(&admin).await;
    (server, admin)
}

#[tokio::test]
async fn list_limit_cuts_the_lists_that_the_client_does_not() {
    let (_server, admin) = limited(|config| config.default.list_limit = Some(1)).await;
    for kind in [
        "users",
        "groups",
        "projects",
        "domains",
        "roles",
        "services",
        "endpoints",
    ] {
        let (items, truncated, next) = shape(&admin, &format!("/v3/{kind}")).await;
        assert_eq!((items, truncated), (1, true), "{kind}");
        assert!(next.starts_with("marker="), "{next}");
        assert!(next.ends_with("&limit=1"), "{next}");
        assert_eq!(
            length(&admin, &format!("/v3/{kind}?limit=")).await,
            (1, true)
        );
    }
    // Regions, assignments and what belongs to one user are always shown whole.
    for kind in ["regions", "role_assignments"] {
        let (items, truncated) = length(&admin, &format!("/v3/{kind}")).await;
        assert!(items > 1 && !truncated, "{kind}");
    }
    // The client may ask for more, but not of users and groups.
    for (kind, expected) in [
        ("projects", (2, true)),
        ("domains", (2, true)),
        ("services", (2, true)),
        ("endpoints", (2, true)),
        ("roles", (2, true)),
        ("users", (1, true)),
        ("groups", (1, true)),
    ] {
        let asked = format!("/v3/{kind}?limit=2");
        assert_eq!(length(&admin, &asked).await, expected, "{kind}");
    }
}

#[tokio::test]
async fn a_section_has_a_limit_of_its_own() {
    let (_server, admin) = limited(|config| {
        config.default.list_limit = Some(1);
        config.identity.list_limit = Some(2);
        config.catalog.list_limit = Some(2);
        config.resource.list_limit = Some(2);
        // As in Python, nought is not set.
        config.role.list_limit = Some(0);
    })
    .await;
    for (kind, expected) in [
        ("users", (2, true)),
        ("groups", (2, true)),
        ("projects", (2, true)),
        ("domains", (2, true)),
        ("services", (2, true)),
        ("endpoints", (2, true)),
        ("roles", (1, true)),
    ] {
        let path = format!("/v3/{kind}");
        assert_eq!(length(&admin, &path).await, expected, "{kind}");
    }
}

#[tokio::test]
async fn max_db_limit_bounds_what_the_client_asks_for() {
    let (_server, admin) = limited(|config| config.default.max_db_limit = 1).await;
    for (kind, expected) in [
        ("users", (1, true)),
        ("projects", (1, true)),
        ("services", (1, true)),
        ("roles", (1, true)),
    ] {
        let asked = format!("/v3/{kind}?limit=9");
        assert_eq!(length(&admin, &asked).await, expected, "{kind}");
    }
    // Of pages of the database it is not told; other lists are not bounded by it.
    assert_eq!(length(&admin, "/v3/users").await, (1, false));
    assert_eq!(length(&admin, "/v3/projects").await, (1, false));
    assert_eq!(length(&admin, "/v3/services").await, (3, false));
}

#[tokio::test]
async fn of_several_filters_on_one_attribute_all_count() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for name in ["apollo", "artemis", "zeno"] {
        create(&admin, "/v3/projects", json!({"project": {"name": name}})).await;
        create(&admin, "/v3/users", json!({"user": {"name": name}})).await;
        let service = json!({"service": {"type": "x", "name": name}});
        create(&admin, "/v3/services", service).await;
        let path = format!("/v3/OS-FEDERATION/identity_providers/{name}");
        let provider = json!({"identity_provider": {"domain_id": "default"}});
        admin.put(&path, provider).await.expect(201);
    }
    for path in ["projects", "users", "services"] {
        for (query, found) in [
            ("name__startswith=a&name__endswith=o", 1),
            ("name__contains=e&name=zeno", 1),
            ("name=apollo&name=zeno", 0),
            ("name__icontains=E&name__contains=em", 1),
        ] {
            let listed = length(&admin, &format!("/v3/{path}?{query}")).await;
            assert_eq!(listed, (found, false), "{path} {query}");
        }
    }
    let providers = "/v3/OS-FEDERATION/identity_providers";
    for (query, found) in [("id__contains=e&id=zeno", 1), ("id=apollo&id=zeno", 0)] {
        let listed = length(&admin, &format!("{providers}?{query}")).await;
        assert_eq!(listed, (found, false), "{query}");
    }
}
