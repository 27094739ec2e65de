//! Lists of role assignments over HTTP.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer};

#[tokio::test]
async fn a_long_list_comes_in_pieces_and_a_short_one_with_its_length() {
    let scene = Scene::set().await;
    let store = &scene.server.app.parts.store;
    let (_, role) = scene.ids.iter().find(|(name, _)| name == "reader").unwrap();
    let not_inherited = match store.dialect() {
        store::Dialect::Postgres => "FALSE",
        store::Dialect::MariaDb | store::Dialect::Sqlite => "0",
    };
    let mut tx = store.begin().await.unwrap();
    for number in 0..300 {
        let sql = format!(
            "INSERT INTO assignment (type, actor_id, target_id, role_id, inherited) \
             VALUES ('UserProject', 'somebody', 'place {number:03}', '{role}', {not_inherited})"
        );
        store::scratch::execute_in(&mut tx, &sql).await.unwrap();
    }
    drop(tx.commit().await.unwrap());
    let short = scene.admin.get(&scene.path("user.id=bob")).await;
    assert_eq!(short.header("content-length"), short.text.len().to_string());
    let long = scene
        .admin
        .get("/v3/role_assignments?user.id=somebody")
        .await;
    assert!(!long.headers.contains_key("content-length"));
    let long = long.expect(200);
    let listed = long["role_assignments"].as_array().unwrap().iter();
    let places: Vec<_> = listed
        .map(|it| it["scope"]["project"]["id"].clone())
        .collect();
    let expected: Vec<_> = (0..300)
        .map(|number| format!("place {number:03}"))
        .collect();
    assert_eq!(places, expected);
}

#[tokio::test]
async fn assignments_are_listed_as_they_were_given() {
    let scene = Scene::set().await;
    insta::assert_compact_json_snapshot!(
        scene.list("user.id=bob").await,
        @r#"
    [
      "bob holds reader below branch by /OS-INHERIT/projects/branch/users/bob/roles/reader/inherited_to_projects",
      "bob holds top on leaf by /projects/leaf/users/bob/roles/top"
    ]
    "#
    );
    insta::assert_compact_json_snapshot!(
        scene.list("group.id=crew").await,
        @r#"
    [
      "crew holds bottom on system by /system/groups/crew/roles/bottom",
      "crew holds local below default by /OS-INHERIT/domains/default/groups/crew/roles/local/inherited_to_projects",
      "crew holds middle on trunk by /projects/trunk/groups/crew/roles/middle"
    ]
    "#
    );
    let path = scene.path("user.id=bob&role.id=top");
    let listed = scene.admin.get(&path).await.expect(200);
    assert_eq!(
        listed["links"],
        json!({"next": null, "previous": null, "self": format!("http://server{path}")})
    );
    let names = Scene::names(&scene.ids, &listed["role_assignments"]);
    insta::assert_compact_json_snapshot!(
        names,
        @r#"
    [
      {
        "links": {
          "assignment": "http://server/v3/projects/leaf/users/bob/roles/top"
        },
        "scope": {
          "project": {
            "id": "leaf"
          }
        },
        "user": {
          "id": "bob"
        },
        "role": {
          "id": "top"
        }
      }
    ]
    "#
    );
}

#[tokio::test]
async fn filters_select_what_was_given() {
    let scene = Scene::set().await;
    let short = async |query: &str| scene.short(query).await;

    assert_eq!(
        short("role.id=middle").await,
        ["crew holds middle on trunk"]
    );
    assert_eq!(
        short("scope.project.id=leaf").await,
        ["bob holds top on leaf"]
    );
    assert_eq!(
        short("scope.domain.id=default").await,
        [
            "ada holds manager on default",
            "crew holds local below default"
        ]
    );
    assert_eq!(
        short("scope.domain.id=default&user.id=ada").await,
        ["ada holds manager on default"]
    );
    assert_eq!(
        short("scope.project.id=trunk&include_subtree").await,
        [
            "bob holds reader below branch",
            "bob holds top on leaf",
            "crew holds middle on trunk",
        ]
    );
    assert_eq!(
        short("scope.project.id=branch&include_subtree=0").await,
        ["bob holds reader below branch"]
    );
    let below = "scope.OS-INHERIT:inherited_to=projects";
    assert_eq!(
        short(&format!("{below}&user.id=bob")).await,
        ["bob holds reader below branch"]
    );
    // Any other word asks for what is not inherited, and an empty parameter is as none.
    assert_eq!(
        short("scope.OS-INHERIT:inherited_to=x&scope.system&user.id=bob").await,
        ["bob holds top on leaf"]
    );
    for nothing in [
        "user.id=nobody",
        "group.id=none",
        "role.id=nothing",
        "scope.project.id=nowhere",
        "scope.domain.id=nowhere",
        "scope.domain.id=leaf",
    ] {
        assert_eq!(short(nothing).await, [""; 0], "{nothing}");
    }
}

#[tokio::test]
async fn assignments_on_the_system_are_among_the_others_or_alone() {
    let scene = Scene::set().await;
    let short = async |query: &str| scene.short(query).await;

    let system = ["crew holds bottom on system"];
    assert_eq!(short("scope.system=all&group.id=crew").await, system);
    assert_eq!(short("scope.system=all&role.id=bottom").await, system);
    assert_eq!(short("scope.system=all&user.id=ada").await, [""; 0]);
    // Whether they are inherited is not asked of them.
    let below = "scope.OS-INHERIT:inherited_to=projects";
    assert_eq!(
        short(&format!("scope.system=all&{below}&group.id=crew")).await,
        system
    );
    assert_eq!(
        short(&format!("{below}&group.id=crew")).await,
        [
            "crew holds bottom on system",
            "crew holds local below default"
        ]
    );
    // Only the word `all` means the system.
    assert_eq!(
        short("scope.system=true&user.id=bob").await,
        short("user.id=bob").await
    );
    // In effect, nothing is told of the system.
    assert_eq!(
        short("scope.system=all&effective&user.id=ada").await,
        short("effective&user.id=ada").await
    );
}

#[tokio::test]
async fn what_is_in_effect_says_why() {
    let scene = Scene::set().await;
    insta::assert_compact_json_snapshot!(
        scene.list("effective&user.id=ada&scope.project.id=trunk").await,
        @r#"
    [
      "ada holds bottom below trunk by /OS-INHERIT/domains/default/groups/crew/roles/middle/inherited_to_projects as member of /groups/crew/users/ada for /prior_role/bottom/implies/middle",
      "ada holds bottom on trunk by /projects/trunk/groups/crew/roles/middle as member of /groups/crew/users/ada for /prior_role/bottom/implies/middle",
      "ada holds middle below trunk by /OS-INHERIT/domains/default/groups/crew/roles/local/inherited_to_projects as member of /groups/crew/users/ada for /prior_role/middle/implies/local",
      "ada holds middle on trunk by /projects/trunk/groups/crew/roles/middle as member of /groups/crew/users/ada"
    ]
    "#
    );
    insta::assert_compact_json_snapshot!(
        scene.list("effective&user.id=bob&scope.project.id=leaf&role.id=bottom").await,
        @r#"
    [
      "bob holds bottom below leaf by /OS-INHERIT/domains/default/groups/crew/roles/middle/inherited_to_projects as member of /groups/crew/users/bob for /prior_role/bottom/implies/middle",
      "bob holds bottom on leaf by /projects/leaf/users/bob/roles/middle for /prior_role/bottom/implies/middle"
    ]
    "#
    );
}

#[tokio::test]
async fn filters_select_what_is_in_effect() {
    let scene = Scene::set().await;
    let short = async |query: &str| scene.short(&format!("effective&{query}")).await;

    assert_eq!(
        short("role.id=reader&user.id=bob").await,
        ["bob holds reader below leaf"]
    );
    // What is inherited holds below, and not where it was given.
    assert_eq!(
        short("role.id=reader&scope.project.id=branch&user.id=bob").await,
        [""; 0]
    );
    // Roles of single domains are in no token.
    assert_eq!(short("role.id=local").await, [""; 0]);
    assert_eq!(
        short("scope.domain.id=default&user.id=ada").await,
        [
            "ada holds manager on default",
            "ada holds member on default",
            "ada holds reader on default",
        ]
    );
    let every = short("user.id=bob").await;
    let on = short("user.id=bob&scope.OS-INHERIT:inherited_to=no").await;
    let below = short("user.id=bob&scope.OS-INHERIT:inherited_to=projects").await;
    assert!(
        !on.is_empty() && on.iter().all(|line| line.contains(" on ")),
        "{on:?}"
    );
    assert!(
        !below.is_empty() && below.iter().all(|line| line.contains(" below ")),
        "{below:?}"
    );
    assert_eq!(every.len(), on.len() + below.len());
    let tree = "scope.project.id=branch&include_subtree&user.id=bob";
    assert_eq!(
        short(tree).await,
        [
            "bob holds bottom below branch",
            "bob holds bottom below leaf",
            "bob holds bottom on leaf",
            "bob holds middle below branch",
            "bob holds middle below leaf",
            "bob holds middle on leaf",
            "bob holds reader below leaf",
            "bob holds top on leaf",
        ]
    );
    // Both ways through the tree come to the same.
    let all: Vec<String> = every
        .into_iter()
        .filter(|line| line.ends_with(" branch") || line.ends_with(" leaf"))
        .collect();
    assert_eq!(short(tree).await, all);
}

#[tokio::test]
async fn a_flag_is_off_only_when_it_is_zero() {
    let scene = Scene::set().await;
    let given = scene.short("user.id=bob").await;
    let effective = scene.short("user.id=bob&effective").await;
    assert_ne!(given, effective);
    assert_eq!(scene.short("user.id=bob&effective=0").await, given);
    assert_eq!(scene.short("user.id=bob&effective=false").await, effective);
    assert_eq!(scene.short("user.id=bob&effective=").await, effective);
}

#[tokio::test]
async fn names_are_told_on_request() {
    let scene = Scene::set().await;
    let query = "include_names&effective&user.id=bob&role.id=reader";
    let listed = scene.admin.get(&scene.path(query)).await.expect(200);
    let found = Scene::names(&scene.ids, &listed["role_assignments"]);
    let default = json!({"id": "default", "name": "Default"});
    assert_eq!(
        found[0]["scope"],
        json!({
            "OS-INHERIT:inherited_to": "projects",
            "project": {"id": "leaf", "name": "leaf", "domain": default},
        })
    );
    assert_eq!(
        found[0]["user"],
        json!({"id": "bob", "name": "bob", "domain": default})
    );
    assert_eq!(found[0]["role"], json!({"id": "reader", "name": "reader"}));

    let query = "include_names&scope.domain.id=default&group.id=crew";
    let listed = scene.admin.get(&scene.path(query)).await.expect(200);
    let found = Scene::names(&scene.ids, &listed["role_assignments"]);
    assert_eq!(found[0]["scope"]["domain"], default);
    assert_eq!(
        found[0]["group"],
        json!({"id": "crew", "name": "crew", "domain": default})
    );
    assert_eq!(
        found[0]["role"],
        json!({"id": "local", "name": "local", "domain": default})
    );
}

#[tokio::test]
async fn a_domain_that_acts_as_a_project_has_a_name_and_no_owner() {
    let scene = Scene::set().await;
    let path = scene.with_ids("/v3/projects/default/users/ada/roles/reader");
    scene.admin.put_empty(&path).await.expect(204);
    let query = "include_names&user.id=ada&scope.project.id=default";
    let listed = scene.admin.get(&scene.path(query)).await.expect(200);
    assert_eq!(
        listed["role_assignments"][0]["scope"]["project"],
        json!({"id": "default", "name": "Default"})
    );
    // It inherits nothing, and the projects below it are its tree.
    assert_eq!(
        scene
            .short("effective&user.id=ada&scope.project.id=default")
            .await,
        ["ada holds reader on default"]
    );
    let tree = scene
        .short("include_subtree&scope.project.id=default")
        .await;
    assert!(
        tree.contains(&"bob holds top on leaf".to_owned()),
        "{tree:?}"
    );
    assert!(
        tree.contains(&"ada holds reader on default".to_owned()),
        "{tree:?}"
    );
    assert!(
        !tree.contains(&"ada holds manager on default".to_owned()),
        "{tree:?}"
    );
}

#[tokio::test]
async fn whom_a_grant_outlived_has_an_empty_name() {
    let scene = Scene::set().await;
    let top = scene.id("top");
    for actor in ["users/ghost", "groups/ghosts"] {
        let path = format!(
            "/v3/OS-INHERIT/projects/{}/{actor}/roles/{top}/inherited_to_projects",
            scene.id("branch")
        );
        scene.admin.put_empty(&path).await.expect(204);
    }
    let empty = |id: &str| json!({"id": id, "name": "", "domain": {"id": "", "name": ""}});
    let path = scene.path("include_names&user.id=ghost");
    let listed = scene.admin.get(&path).await.expect(200);
    assert_eq!(listed["role_assignments"][0]["user"], empty("ghost"));
    let path = scene.path("include_names&group.id=ghosts");
    let listed = scene.admin.get(&path).await.expect(200);
    assert_eq!(listed["role_assignments"][0]["group"], empty("ghosts"));
    // In effect, a user is missed, except among others; and a group without members is nobody.
    let path = scene.path("effective&user.id=ghost");
    let message = scene.admin.get(&path).await.message(404);
    assert_eq!(message, "Could not find user: ghost.");
    let found = scene
        .short("effective&scope.project.id=leaf&role.id=top")
        .await;
    assert_eq!(
        found,
        ["bob holds top on leaf", "ghost holds top below leaf"]
    );
}

#[tokio::test]
async fn what_follows_from_a_circle_of_implications_is_told_once() {
    let scene = Scene::set().await;
    let path = format!(
        "/v3/roles/{}/implies/{}",
        scene.id("bottom"),
        scene.id("top")
    );
    scene.admin.put_empty(&path).await.expect(201);
    let query = "effective&user.id=bob&scope.project.id=leaf&scope.OS-INHERIT:inherited_to=no";
    assert_eq!(
        scene.list(query).await,
        [
            "bob holds bottom on leaf by /projects/leaf/users/bob/roles/middle for \
             /prior_role/bottom/implies/middle",
            "bob holds middle on leaf by /projects/leaf/users/bob/roles/top for \
             /prior_role/middle/implies/top",
            "bob holds top on leaf by /projects/leaf/users/bob/roles/bottom for \
             /prior_role/top/implies/bottom",
            "bob holds top on leaf by /projects/leaf/users/bob/roles/top",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_asked_together_is_refused() {
    let scene = Scene::set().await;
    let refused = async |query: &str| scene.admin.get(&scene.path(query)).await.message(400);
    for (query, message) in [
        (
            "scope.domain.id=default&scope.project.id=leaf",
            "Specify a domain or project, not both",
        ),
        (
            "scope.system=x&scope.project.id=leaf",
            "Specify system or project, not both",
        ),
        (
            "scope.system=all&scope.domain.id=default",
            "Specify system or domain, not both",
        ),
        (
            "effective&group.id=crew",
            "Combining effective and group filter will always result in an empty list.",
        ),
        (
            "effective&scope.domain.id=default&scope.OS-INHERIT:inherited_to=projects",
            "Combining effective, domain and inherited filters will always result in an empty \
             list.",
        ),
        (
            "include_subtree",
            "'scope.project.id' is a dependency of 'include_subtree'",
        ),
    ] {
        assert_eq!(refused(query).await, message, "{query}");
    }
    let both = refused("user.id=ada&group.id=crew").await;
    assert!(both.contains("is valid under each of"), "{both}");
    for query in [
        "role.id=",
        "role.id=a.b",
        "scope.project.id=",
        "scope.domain.id=a.b",
    ] {
        scene.admin.get(&scene.path(query)).await.expect(400);
    }
    // What says nothing excludes nothing.
    scene
        .admin
        .get(&scene.path("scope.system&scope.project.id=leaf"))
        .await
        .expect(200);
    scene
        .admin
        .get(&scene.path("effective=0&group.id=crew"))
        .await
        .expect(200);
}

#[tokio::test]
async fn who_is_asked_for_in_effect_must_be_there() {
    let scene = Scene::set().await;
    let missed = async |query: &str| scene.admin.get(&scene.path(query)).await.message(404);
    assert_eq!(
        missed("effective&user.id=nobody").await,
        "Could not find user: nobody."
    );
    let project = "Could not find project: nowhere.";
    assert_eq!(missed("effective&scope.project.id=nowhere").await, project);
    assert_eq!(
        missed("effective&scope.project.id=nowhere&user.id=nobody").await,
        project
    );
    assert_eq!(
        missed("include_subtree&scope.project.id=nowhere").await,
        project
    );
    // Where nothing could be inherited, the project is not looked for.
    let query = "effective&scope.project.id=nowhere&scope.OS-INHERIT:inherited_to=no";
    assert_eq!(scene.short(query).await, [""; 0]);
}

#[tokio::test]
async fn readers_of_the_system_list_all_and_readers_of_a_domain_its_own() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let acme = create(&scene.admin, "domain", json!({"name": "acme"})).await;
    let far = json!({"name": "far", "domain_id": acme});
    let far = create(&scene.admin, "project", far).await;
    let path = format!(
        "/v3/projects/{far}/users/{}/roles/{}",
        scene.id("ada"),
        scene.id("top")
    );
    scene.admin.put_empty(&path).await.expect(204);
    let of_ada = scene.path("user.id=ada");
    let count = async |client: &Client, path: &str| {
        let listed = client.get(path).await.expect(200);
        listed["role_assignments"].as_array().unwrap().len()
    };

    for all in [
        server.admin().await,
        server.system_admin().await,
        server.with_role("reader", Scope::System).await,
    ] {
        assert_eq!(count(&all, &of_ada).await, 2);
    }
    let reader = server.with_role("reader", Scope::Domain).await;
    assert_eq!(count(&reader, &of_ada).await, 1);
    assert_eq!(
        count(&reader, &scene.path("user.id=ada&role.id=top")).await,
        0
    );
    assert_eq!(count(&reader, &scene.path("scope.system=all")).await, 0);
    assert_eq!(
        count(
            &reader,
            &format!("/v3/role_assignments?scope.project.id={far}")
        )
        .await,
        0
    );
    let effective = scene.path("effective&user.id=bob&scope.project.id=leaf");
    assert_eq!(
        count(&reader, &effective).await,
        count(&scene.admin, &effective).await
    );
    // A tree is shown to the readers of its domain.
    let tree = scene.path("include_subtree&scope.project.id=trunk");
    assert_eq!(count(&reader, &tree).await, 3);
    let foreign = format!("/v3/role_assignments?include_subtree&scope.project.id={far}");
    assert_eq!(
        reader.get(&foreign).await.message(403),
        "You are not authorized to perform the requested action: \
         identity:list_role_assignments_for_tree."
    );
    reader
        .get("/v3/role_assignments?include_subtree&scope.project.id=nowhere")
        .await
        .expect(403);
}

#[tokio::test]
async fn those_with_a_role_on_a_project_list_nothing() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let tree = scene.path("include_subtree&scope.project.id=trunk");
    let mut others = vec![server.stranger().await];
    for role in ["manager", "member", "reader"] {
        others.push(server.with_role(role, Scope::Project).await);
    }
    for other in others {
        assert_eq!(
            other.get("/v3/role_assignments").await.message(403),
            "You are not authorized to perform the requested action: \
             identity:list_role_assignments."
        );
        // Also when they ask nonsense.
        let nonsense = scene.path("scope.system=x&scope.project.id=leaf");
        other.get(&nonsense).await.expect(403);
        other.get(&tree).await.expect(403);
    }
    server
        .nobody()
        .get("/v3/role_assignments")
        .await
        .expect(401);
    server.nobody().get(&tree).await.expect(401);
    // What the schema forbids is told to everybody.
    server
        .nobody()
        .get("/v3/role_assignments?include_subtree")
        .await
        .expect(400);
}

#[tokio::test]
async fn a_list_takes_three_statements_at_most_whatever_its_length() {
    let scene = Scene::set().await;
    let admin = &scene.admin;
    let about_itself = admin.clone().with_header("x-subject-token", admin.token());
    let cost = async |path: &str| {
        let before = scene.server.app.parts.store.statements();
        about_itself.get(path).await.expect(200);
        scene.server.app.parts.store.statements() - before
    };
    // From here on the caller is known, and costs nothing.
    let token_alone = "/v3/auth/tokens?nocatalog";
    cost(token_alone).await;
    let lists = [
        ("", 1),
        ("include_names", 2),
        ("include_subtree&scope.project.id=trunk", 2),
        ("effective", 2),
        ("effective&include_names", 2),
        (
            "effective&include_names&user.id=bob&scope.project.id=leaf",
            3,
        ),
    ];
    let mut short = Vec::new();
    for (query, _) in lists {
        short.push(cost(&scene.path(query)).await);
    }
    for number in 0..5 {
        let body = json!({"name": format!("role {number}")});
        let role = create(admin, "role", body).await;
        for place in ["projects/leaf/users/bob", "projects/trunk/groups/crew"] {
            let path = scene.with_ids(&format!("/v3/{place}/roles/"));
            admin.put_empty(&format!("{path}{role}")).await.expect(204);
        }
    }
    cost(token_alone).await;
    for ((query, most), short) in lists.into_iter().zip(short) {
        let long = cost(&scene.path(query)).await;
        assert_eq!(long, short, "{query}");
        assert!(long <= most, "{query}: {long}");
    }
}

/// A tree of projects, and who holds what there:
///
/// ```text
/// default ─ trunk ─ branch ─ leaf      top implies middle, middle implies bottom;
/// crew: ada, bob                       local is of the default domain and implies middle
/// ```
struct Scene {
    server: TestServer,
    admin: Client,
    /// Names and ids.
    ids: Vec<(String, String)>,
}

impl Scene {
    async fn set() -> Self {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let mut scene = Self {
            ids: Vec::new(),
            admin,
            server,
        };
        for name in ["ada", "bob"] {
            let id = scene.server.add_person(name, &[]).await;
            scene.ids.push((name.to_owned(), id.to_string()));
        }
        let listed = scene.admin.get("/v3/roles").await.expect(200);
        for role in listed["roles"].as_array().unwrap() {
            let text = |key: &str| role[key].as_str().unwrap().to_owned();
            scene.ids.push((text("name"), text("id")));
        }
        scene.create("group", "crew", json!({})).await;
        scene.create("project", "trunk", json!({})).await;
        for (name, parent) in [("branch", "trunk"), ("leaf", "branch")] {
            let parent = scene.id(parent).to_owned();
            scene
                .create("project", name, json!({"parent_id": parent}))
                .await;
        }
        for name in ["top", "middle", "bottom"] {
            scene.create("role", name, json!({})).await;
        }
        scene
            .create("role", "local", json!({"domain_id": "default"}))
            .await;
        for path in [
            "/v3/groups/crew/users/ada",
            "/v3/groups/crew/users/bob",
            "/v3/roles/top/implies/middle",
            "/v3/roles/middle/implies/bottom",
            "/v3/roles/local/implies/middle",
            "/v3/domains/default/users/ada/roles/manager",
            "/v3/projects/trunk/groups/crew/roles/middle",
            "/v3/projects/leaf/users/bob/roles/top",
            "/v3/OS-INHERIT/projects/branch/users/bob/roles/reader/inherited_to_projects",
            "/v3/OS-INHERIT/domains/default/groups/crew/roles/local/inherited_to_projects",
            "/v3/system/groups/crew/roles/bottom",
        ] {
            let status = scene.admin.put_empty(&scene.with_ids(path)).await.status;
            assert!([201, 204].contains(&status), "{path}: {status}");
        }
        scene
    }

    async fn create(&mut self, kind: &str, name: &str, mut attributes: Value) {
        attributes["name"] = name.into();
        let id = create(&self.admin, kind, attributes).await;
        self.ids.push((name.to_owned(), id));
    }

    fn id<'a>(&'a self, name: &'a str) -> &'a str {
        let found = self.ids.iter().find(|(known, _)| known == name);
        found.map_or(name, |(_, id)| id)
    }

    /// A path whose names stand for ids.
    fn with_ids(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('/').map(|part| self.id(part)).collect();
        parts.join("/")
    }

    /// The path of a list; names in the query stand for ids.
    fn path(&self, query: &str) -> String {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) => format!("{key}={}", self.id(value)),
                None => pair.to_owned(),
            })
            .collect();
        format!("/v3/role_assignments?{}", pairs.join("&"))
    }

    /// A document with names in the place of ids.
    fn names(ids: &[(String, String)], document: &Value) -> Value {
        let mut text = document.to_string();
        for (name, id) in ids {
            text = text.replace(id, name);
        }
        serde_json::from_str(&text).unwrap()
    }

    /// What a list says, a line for each assignment.
    async fn list(&self, query: &str) -> Vec<String> {
        let listed = self.admin.get(&self.path(query)).await.expect(200);
        let found = Self::names(&self.ids, &listed["role_assignments"]);
        let mut lines: Vec<String> = found.as_array().unwrap().iter().map(line).collect();
        lines.sort();
        lines
    }

    /// Who holds what where, each once.
    async fn short(&self, query: &str) -> Vec<String> {
        let mut lines = self.list(query).await;
        for line in &mut lines {
            let end = line.find(" by ").unwrap();
            line.truncate(end);
        }
        lines.sort();
        lines.dedup();
        lines
    }
}

fn line(assignment: &Value) -> String {
    let id = |value: &Value| value["id"].as_str().unwrap_or("system").to_owned();
    let actor = assignment.get("user").or(assignment.get("group")).unwrap();
    let scope = &assignment["scope"];
    let target = scope.get("project").or(scope.get("domain"));
    let place = match scope.get("OS-INHERIT:inherited_to") {
        Some(to) => {
            assert_eq!(to, "projects");
            "below"
        }
        None => "on",
    };
    let link = |name: &str, word: &str| {
        let url = assignment["links"]
            .get(name)
            .map(|url| url.as_str().unwrap());
        url.map_or(String::new(), |url| {
            format!(" {word} {}", url.strip_prefix("http://server/v3").unwrap())
        })
    };
    format!(
        "{} holds {} {place} {}{}{}{}",
        id(actor),
        id(&assignment["role"]),
        target.map_or_else(|| "system".to_owned(), id),
        link("assignment", "by"),
        link("membership", "as member of"),
        link("prior_role", "for")
    )
}

async fn create(admin: &Client, kind: &str, attributes: Value) -> String {
    let mut body = json!({});
    body[kind] = attributes;
    let created = admin.post(&format!("/v3/{kind}s"), body).await.expect(201);
    created[kind]["id"].as_str().unwrap().to_owned()
}
