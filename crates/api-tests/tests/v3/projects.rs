//! Projects over HTTP.

use config::UrlSafe;
use model::Extra;
use model::project::{Project, ResourceOptions};
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer, home};

#[tokio::test]
async fn a_project_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;

    let wanted = json!({"name": " apollo ", "hull-colour": "grün", "tags": ["old", "moon"]});
    let created = admin
        .post("/v3/projects", json!({ "project": wanted }))
        .await;
    insta::assert_compact_json_snapshot!(created.expect(201), @r#"
    {
      "project": {
        "hull_colour": "grün",
        "id": "00000000000000000000000000001001",
        "name": "apollo",
        "domain_id": "default",
        "description": "",
        "enabled": true,
        "parent_id": "default",
        "is_domain": false,
        "tags": [
          "moon",
          "old"
        ],
        "options": {},
        "links": {
          "self": "http://server/v3/projects/00000000000000000000000000001001"
        }
      }
    }
    "#);
    let path = "/v3/projects/00000000000000000000000000001001";
    assert_eq!(admin.get(path).await.expect(200), created.expect(201));

    let change = json!({"name": "gemini", "description": null, "enabled": false, "tags": []});
    let changed = admin.patch(path, json!({ "project": change })).await;
    insta::assert_compact_json_snapshot!(changed.expect(200), @r#"
    {
      "project": {
        "hull_colour": "grün",
        "id": "00000000000000000000000000001001",
        "name": "gemini",
        "domain_id": "default",
        "description": null,
        "enabled": false,
        "parent_id": "default",
        "is_domain": false,
        "tags": [],
        "options": {},
        "links": {
          "self": "http://server/v3/projects/00000000000000000000000000001001"
        },
        "extra": {
          "hull_colour": "grün"
        }
      }
    }
    "#);
    for nothing in [json!({}), json!({"project": {}})] {
        assert_eq!(
            admin.patch(path, nothing).await.expect(200),
            changed.expect(200)
        );
    }

    admin.delete(path).await.expect(204);
    let gone = "Could not find project: 00000000000000000000000000001001.";
    assert_eq!(admin.get(path).await.message(404), gone);
    assert_eq!(admin.patch(path, json!({})).await.message(404), gone);
    assert_eq!(admin.delete(path).await.message(404), gone);
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_hidden_project_from_a_missing_one() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;

    let id = create(&admin, json!({"name": "apollo"})).await;
    let hidden = stranger
        .get(&format!("/v3/projects/{id}"))
        .await
        .expect(403);
    let missing = stranger.get("/v3/projects/nothing").await.expect(403);
    assert_eq!(hidden, missing);
}

#[tokio::test]
async fn administrators_and_managers_of_the_domain_manage_projects() {
    let server = TestServer::start().await;
    let path = format!("/v3/projects/{}", home());
    let unnamed = json!({"project": {"name": "apollo"}});
    let named = json!({"project": {"name": "apollo", "domain_id": "default"}});
    let elsewhere = json!({"project": {"name": "apollo", "domain_id": "elsewhere"}});
    let change = json!({"project": {"description": "changed"}});

    let manager = server.with_role("manager", Scope::Domain).await;
    assert_eq!(
        manager
            .post("/v3/projects", unnamed.clone())
            .await
            .message(403),
        "You are not authorized to perform the requested action: identity:create_project."
    );
    manager.post("/v3/projects", elsewhere).await.expect(403);
    manager
        .post("/v3/projects", named.clone())
        .await
        .expect(201);
    manager.patch(&path, change.clone()).await.expect(200);

    for (role, scope) in [
        ("manager", Scope::Project),
        ("reader", Scope::Domain),
        ("reader", Scope::System),
    ] {
        let other = server.with_role(role, scope).await;
        other.post("/v3/projects", named.clone()).await.expect(403);
        other.patch(&path, change.clone()).await.expect(403);
        other.delete(&path).await.expect(403);
    }
    server
        .nobody()
        .post("/v3/projects", named)
        .await
        .expect(401);
    manager.delete(&path).await.expect(204);
}

#[tokio::test]
async fn readers_see_the_projects_of_their_scope() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let other = create(&admin, json!({"name": "apollo"})).await;
    let domain = create(&admin, json!({"name": "acme", "is_domain": true})).await;
    let foreign = create(&admin, json!({"name": "foreign", "domain_id": domain})).await;
    let path = |id: &str| format!("/v3/projects/{id}");

    let everywhere = server.with_role("reader", Scope::System).await;
    everywhere.get("/v3/projects").await.expect(200);
    everywhere.get(&path(&foreign)).await.expect(200);

    let in_domain = server.with_role("reader", Scope::Domain).await;
    in_domain.get(&path(&other)).await.expect(200);
    in_domain.get(&path(&foreign)).await.expect(403);
    let mut seen = names(&in_domain.get("/v3/projects").await);
    seen.sort();
    assert_eq!(seen, ["admin", "apollo", "home"]);
    // Whatever it asks for, a token of a domain sees nothing else.
    let query = format!("/v3/projects?domain_id={domain}");
    assert_eq!(names(&in_domain.get(&query).await), [""; 0]);
    let domains = in_domain.get("/v3/projects?is_domain=true").await;
    assert_eq!(names(&domains), [""; 0]);

    let in_project = server.with_role("reader", Scope::Project).await;
    in_project.get(&path(home().as_str())).await.expect(200);
    in_project.get(&path(&other)).await.expect(403);
    in_project.get("/v3/projects").await.expect(403);
    in_project
        .get("/v3/projects?domain_id=default")
        .await
        .expect(403);
    server.nobody().get("/v3/projects").await.expect(401);
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_domain() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let twin = create(&admin, json!({"name": "twin"})).await;
    let domain = create(&admin, json!({"name": "twin", "is_domain": true})).await;
    create(&admin, json!({"name": "twin", "domain_id": domain})).await;
    let other = create(&admin, json!({"name": "other"})).await;

    let post = async |project: Value| {
        admin
            .post("/v3/projects", json!({"project": project}))
            .await
    };
    assert_eq!(
        post(json!({"name": " twin "})).await.message(409),
        "Conflict occurred attempting to store project - it is not permitted to have two projects \
         with either the same name or same id in the same domain: name is twin, project id \
         00000000000000000000000000001005."
    );
    assert_eq!(
        post(json!({"name": "twin", "is_domain": true}))
            .await
            .message(409),
        "Conflict occurred attempting to store project - it is not permitted to have two projects \
         acting as domains with the same name: twin."
    );
    let rename = json!({"project": {"name": "twin"}});
    let path = format!("/v3/projects/{other}");
    admin.patch(&path, rename.clone()).await.expect(409);
    let path = format!("/v3/projects/{twin}");
    admin.patch(&path, rename).await.expect(200);
}

#[tokio::test]
async fn what_a_project_says_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "apollo"})).await;
    let path = format!("/v3/projects/{id}");
    let post = async |project: Value| {
        admin
            .post("/v3/projects", json!({"project": project}))
            .await
    };
    let change = async |project: Value| admin.patch(&path, json!({"project": project})).await;

    let nothing = admin.post("/v3/projects", json!({})).await;
    assert_eq!(nothing.message(400), "'name' is a required property");
    post(json!({"name": " "})).await.expect(400);
    post(json!({"name": "x", "tags": ["a,b"]}))
        .await
        .expect(400);
    // The schema lets a truth through that is text.
    post(json!({"name": "x", "enabled": "true"}))
        .await
        .expect(400);
    let both = json!({"name": "x", "is_domain": true, "parent_id": id});
    assert_eq!(
        post(both).await.message(400),
        "only root projects are allowed to act as domains."
    );
    let reserved = post(json!({"name": "Federated", "is_domain": true})).await;
    assert_eq!(
        reserved.message(400),
        "The domain name Federated is reserved."
    );
    // The id is ours to choose.
    let chosen = post(json!({"name": "x", "id": "mine"})).await.expect(201);
    assert_ne!(chosen["project"]["id"], "mine");

    for (said, status, message) in [
        (json!({"id": "other"}), 400, "Cannot change ID"),
        (
            json!({"domain_id": "other"}),
            400,
            "Cannot change Domain ID",
        ),
        (json!({"domain_id": null}), 400, "Cannot change Domain ID"),
        (
            json!({"parent_id": home()}),
            403,
            "Update of `parent_id` is not allowed.",
        ),
        (
            json!({"parent_id": null}),
            403,
            "Update of `parent_id` is not allowed.",
        ),
        (
            json!({"is_domain": true}),
            400,
            "Update of `is_domain` is not allowed.",
        ),
    ] {
        assert_eq!(change(said).await.message(status), message);
    }
    let same =
        json!({"id": id, "domain_id": "default", "parent_id": "default", "is_domain": false});
    change(same).await.expect(200);
}

#[tokio::test]
async fn a_new_project_needs_a_place_in_the_tree() {
    let server = TestServer::start_with(|config| config.default.max_project_tree_depth = 2).await;
    let admin = server.admin().await;
    let acme = create(&admin, json!({"name": "acme", "is_domain": true})).await;
    let root = create(&admin, json!({"name": "root"})).await;
    let child = create(&admin, json!({"name": "child", "parent_id": root})).await;
    let refused = async |project: Value, status: u16| {
        let answer = admin
            .post("/v3/projects", json!({"project": project}))
            .await;
        answer.message(status)
    };

    assert_eq!(
        refused(json!({"name": "x", "domain_id": "nowhere"}), 400).await,
        "Could not find domain: nowhere."
    );
    assert_eq!(
        refused(json!({"name": "x", "parent_id": "nothing"}), 400).await,
        "Could not find project: nothing."
    );
    assert_eq!(
        refused(json!({"name": "x", "parent_id": acme}), 400).await,
        format!(
            "Cannot create project, the parent ({acme}) is acting as a domain, but this project's \
             domain id (default) does not match the parent's id."
        )
    );
    assert_eq!(
        refused(
            json!({"name": "x", "parent_id": root, "domain_id": acme}),
            400
        )
        .await,
        format!(
            "Cannot create project, since it specifies its domain_id {acme}, but specifies a \
             parent in a different domain (default)."
        )
    );
    assert_eq!(
        refused(json!({"name": "x", "parent_id": child}), 403).await,
        format!("Max hierarchy depth reached for {child} branch.")
    );
    let off = json!({"project": {"enabled": false}});
    admin
        .patch(&format!("/v3/projects/{child}"), off.clone())
        .await
        .expect(200);
    admin
        .patch(&format!("/v3/projects/{root}"), off)
        .await
        .expect(200);
    assert_eq!(
        refused(json!({"name": "x", "parent_id": root}), 400).await,
        format!("cannot create a project in a branch containing a disabled project: {root}")
    );
}

#[tokio::test]
async fn a_tree_is_disabled_and_removed_from_its_leaves() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let root = create(&admin, json!({"name": "root"})).await;
    let leaf = create(&admin, json!({"name": "leaf", "parent_id": root})).await;
    let (root_path, leaf_path) = (
        format!("/v3/projects/{root}"),
        format!("/v3/projects/{leaf}"),
    );
    let off = json!({"project": {"enabled": false}});

    assert_eq!(
        admin.patch(&root_path, off.clone()).await.message(403),
        format!("Cannot disable project {root} since its subtree contains enabled projects.")
    );
    admin.patch(&leaf_path, off.clone()).await.expect(200);
    admin.patch(&root_path, off).await.expect(200);
    let on = json!({"project": {"enabled": true}});
    assert_eq!(
        admin.patch(&leaf_path, on).await.message(403),
        format!("Cannot enable project {leaf} since it has disabled parents")
    );
    assert_eq!(
        admin.delete(&root_path).await.message(403),
        format!(
            "Cannot delete the project {root} since it is not a leaf in the hierarchy. Use the \
             cascade option if you want to delete a whole subtree."
        )
    );
    admin.delete(&leaf_path).await.expect(204);
    admin.delete(&root_path).await.expect(204);
}

#[tokio::test]
async fn relatives_are_shown_as_ids_or_as_a_list_of_ones_own() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let root = create(&admin, json!({"name": "root"})).await;
    let child = create(&admin, json!({"name": "child", "parent_id": root})).await;
    let leaf = create(&admin, json!({"name": "leaf", "parent_id": child})).await;
    let show = async |id: &str, query: &str| admin.get(&format!("/v3/projects/{id}?{query}")).await;

    let seen = show(&child, "parents_as_ids&subtree_as_ids")
        .await
        .expect(200);
    assert_eq!(
        seen["project"]["parents"],
        json!({ &root: {"default": null} })
    );
    assert_eq!(seen["project"]["subtree"], json!({ &leaf: null }));
    let seen = show(&leaf, "subtree_as_ids&parents_as_ids=0")
        .await
        .expect(200);
    assert_eq!(seen["project"]["subtree"], Value::Null);
    assert!(seen["project"].get("parents").is_none());
    let both = show(&leaf, "parents_as_ids&parents_as_list").await;
    assert_eq!(
        both.message(400),
        "Cannot use parents_as_list and parents_as_ids query params at the same time."
    );

    let seen = show(&root, "subtree_as_list").await.expect(200);
    assert_eq!(seen["project"]["subtree"], json!([]));
    let token = admin.clone().with_header("x-subject-token", admin.token());
    let own = token.get("/v3/auth/tokens").await.expect(200);
    let user = own["token"]["user"]["id"].as_str().unwrap();
    let roles = admin.get("/v3/roles?name=reader").await.expect(200);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    for id in [&child, &leaf] {
        let grant = format!("/v3/projects/{id}/users/{user}/roles/{role}");
        admin.put_empty(&grant).await.expect(204);
    }
    let seen = show(&root, "subtree_as_list&include_limits")
        .await
        .expect(200);
    let subtree = seen["project"]["subtree"].as_array().unwrap();
    assert_eq!(subtree.len(), 2);
    assert_eq!(subtree[0]["project"]["id"], child);
    assert_eq!(subtree[0]["project"]["limits"], json!([]));
    assert_eq!(subtree[1]["project"]["id"], leaf);
    let seen = show(&leaf, "parents_as_list").await.expect(200);
    let parents = seen["project"]["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 1);
    assert_eq!(parents[0]["project"]["id"], child);
    assert!(parents[0]["project"].get("limits").is_none());
}

#[tokio::test]
async fn a_project_that_acts_as_a_domain_is_treated_as_one() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let domain = create(&admin, json!({"name": "acme", "is_domain": true})).await;
    let inside = create(&admin, json!({"name": "inside", "domain_id": domain})).await;
    let path = format!("/v3/projects/{domain}");

    let seen = admin.get(&path).await.expect(200);
    assert_eq!(seen["project"]["domain_id"], Value::Null);
    assert_eq!(seen["project"]["parent_id"], Value::Null);
    admin
        .get(&format!("/v3/domains/{domain}"))
        .await
        .expect(200);
    let listed = async |query: &str| names(&admin.get(&format!("/v3/projects?{query}")).await);
    assert_eq!(listed("name=acme").await, [""; 0]);
    assert_eq!(listed("name=acme&is_domain=true").await, ["acme"]);

    assert_eq!(
        admin.delete(&path).await.message(403),
        "Cannot delete a domain that is enabled, please disable it first."
    );
    let off = json!({"project": {"enabled": false}});
    admin.patch(&path, off).await.expect(200);
    admin.delete(&path).await.expect(204);
    admin
        .get(&format!("/v3/projects/{inside}"))
        .await
        .expect(404);
}

#[tokio::test]
async fn an_immutable_project_stays_until_the_mark_is_lifted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(
        &admin,
        json!({"name": "rock", "options": {"immutable": true}}),
    )
    .await;
    let path = format!("/v3/projects/{id}");
    let change = async |project: Value| admin.patch(&path, json!({"project": project})).await;

    assert_eq!(
        change(json!({"description": "x"})).await.message(403),
        format!(
            "Unable to update immutable project resource: `{id}. Set resource option \
             \"immutable\" to false first."
        )
    );
    let lift = json!({"immutable": false});
    change(json!({"options": lift, "description": "x"}))
        .await
        .expect(403);
    change(json!({"options": lift, "id": id})).await.expect(403);
    admin.delete(&path).await.expect(403);
    let lifted = change(json!({ "options": lift })).await.expect(200);
    assert_eq!(lifted["project"]["options"], lift);
    let cleared = change(json!({"options": {"immutable": null}}))
        .await
        .expect(200);
    assert_eq!(cleared["project"]["options"], json!({}));
    admin.delete(&path).await.expect(204);
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let acme = create(&admin, json!({"name": "acme", "is_domain": true})).await;
    let in_acme = |name: &str, more: Value| {
        let mut project = json!({"name": name, "domain_id": acme});
        project
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        project
    };
    let one = create(&admin, in_acme("Red One", json!({"tags": ["red", "old"]}))).await;
    let two = create(
        &admin,
        in_acme("red two", json!({"tags": ["red"], "enabled": false})),
    )
    .await;
    create(&admin, in_acme("blue", json!({"parent_id": one}))).await;
    let path = format!("/v3/projects?domain_id={acme}");
    let listed = async |query: &str| names(&admin.get(&format!("{path}&{query}")).await);

    assert_eq!(listed("").await, ["Red One", "red two", "blue"]);
    assert_eq!(listed("name=red%20two").await, ["red two"]);
    assert_eq!(listed("name__startswith=red").await, ["red two"]);
    assert_eq!(
        listed("name__istartswith=red").await,
        ["Red One", "red two"]
    );
    assert_eq!(listed("name__nonsense=red").await.len(), 3);
    assert_eq!(listed("enabled=false").await, ["red two"]);
    assert_eq!(listed("enabled").await, ["Red One", "blue"]);
    assert_eq!(listed(&format!("parent_id={one}")).await, ["blue"]);
    assert_eq!(listed("tags=red").await, ["Red One", "red two"]);
    assert_eq!(listed("tags=red,old").await, ["Red One"]);
    assert_eq!(listed("tags-any=old,new").await, ["Red One"]);
    assert_eq!(listed("not-tags=red,old").await, ["red two", "blue"]);
    assert_eq!(listed("not-tags-any=red").await, ["blue"]);
    assert_eq!(listed("tags=red&not-tags-any=old").await, ["red two"]);
    admin.get("/v3/projects?domain_id=a.b").await.expect(400);
    admin
        .get("/v3/projects?parent_id=default")
        .await
        .expect(400);

    let page = admin.get(&format!("{path}&limit=2")).await;
    assert_eq!(names(&page), ["Red One", "red two"]);
    let page = page.expect(200);
    assert_eq!(page["truncated"], true);
    let next = format!("http://server{path}&limit=2&marker={two}");
    assert_eq!(page["links"]["next"], next);
    let rest = admin.get(&format!("{path}&marker={two}&limit=2")).await;
    assert_eq!(names(&rest), ["blue"]);
    let rest = rest.expect(200);
    assert_eq!(rest["links"]["next"], Value::Null);
    assert!(rest.get("truncated").is_none());
    // A page of none is one of all, and a full page says that there may be more.
    for limit in ["0", "-1"] {
        let page = admin.get(&format!("{path}&limit={limit}")).await;
        assert_eq!(names(&page).len(), 3);
        assert_eq!(page.expect(200)["truncated"], true);
    }
    assert_eq!(listed("limit=").await.len(), 3);
    let refused = admin.get(&format!("{path}&limit=x")).await.message(400);
    assert!(refused.starts_with("Invalid limit \"x\": expected a whole number."));
    let missing = admin.get(&format!("{path}&marker=nothing")).await;
    assert_eq!(missing.message(404), "Marker nothing could not be found.");
}

#[tokio::test]
async fn a_list_of_thousands_takes_one_statement() {
    let server = TestServer::start_with(|config| config.default.max_db_limit = 40_000).await;
    let admin = server.admin().await;
    let cost = async |path: &str| {
        let (mut found, mut least) = (0, u64::MAX);
        // The follower asks now and then too.
        for _ in 0..3 {
            let before = server.app.parts.store.statements();
            found = names(&admin.get(path).await).len();
            least = least.min(server.app.parts.store.statements() - before);
        }
        (found, least)
    };
    // From here on the caller is known, and costs nothing.
    cost("/v3/projects").await;
    let (few, short) = cost("/v3/projects").await;
    let mut tx = server.app.parts.store.begin().await.unwrap();
    for number in 0..3000 {
        let project = Project {
            id: format!("f{number:031x}").into(),
            name: format!("project {number}"),
            domain_id: Some("default".into()),
            parent_id: Some("default".into()),
            description: None,
            enabled: true,
            tags: vec!["red".into(), "old".into()],
            options: ResourceOptions {
                immutable: Some(true),
            },
            extra: Extra::new(),
        };
        tx.projects_mut().insert(&project).await.unwrap();
    }
    let _saved = tx.commit().await.unwrap();

    assert_eq!(cost("/v3/projects").await, (few + 3000, short));
    let (listed, with_marker) = cost(&format!("/v3/projects?marker=f{:031x}", 2990)).await;
    assert_eq!(listed, 9);
    assert_eq!(with_marker, short + 1);
    let page = admin.get("/v3/projects?limit=2&tags=red").await;
    let page = page.expect(200);
    assert_eq!(page["projects"][0]["tags"], json!(["old", "red"]));
    assert_eq!(page["projects"][1]["options"], json!({"immutable": true}));
}

#[tokio::test]
async fn a_deleted_project_takes_what_hangs_on_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let scope = json!({"project": {"id": home()}});
    let ada = server.log_in("ada", Some(scope.clone())).await;
    let user = format!("/v3/users/{id}");
    let default = json!({"user": {"default_project_id": home()}});
    admin.patch(&user, default).await.expect(200);
    ada.get(&user).await.expect(200);

    admin
        .delete(&format!("/v3/projects/{}", home()))
        .await
        .expect(204);
    assert_ne!(ada.get(&user).await.status, 200);
    let left = admin.get(&user).await.expect(200);
    assert!(left["user"].get("default_project_id").is_none());
    let assigned = format!("/v3/role_assignments?user.id={id}");
    let assigned = admin.get(&assigned).await.expect(200);
    assert_eq!(assigned["role_assignments"], json!([]));
    let events = admin.get("/v3/OS-REVOKE/events").await.expect(200);
    assert_eq!(events["events"][0]["project_id"], home().as_str());
}

#[tokio::test]
async fn names_can_be_kept_safe_for_urls() {
    let server = TestServer::start_with(|config| {
        config.resource.project_name_url_safe = UrlSafe::New;
        config.resource.domain_name_url_safe = UrlSafe::New;
    })
    .await;
    let admin = server.admin().await;
    let post = async |path: &str, body: Value| admin.post(path, body).await.message(400);

    assert_eq!(
        post("/v3/projects", json!({"project": {"name": "a/b c?"}})).await,
        "Project name cannot contain the following reserved characters: /?"
    );
    assert_eq!(
        post("/v3/domains", json!({"domain": {"name": "a/b"}})).await,
        "Domain name cannot contain the following reserved characters: /"
    );
    let id = create(&admin, json!({"name": "a b"})).await;
    let rename = json!({"project": {"name": "a/b"}});
    let path = format!("/v3/projects/{id}");
    admin.patch(&path, rename).await.expect(400);
}

async fn create(admin: &Client, project: Value) -> String {
    let created = admin
        .post("/v3/projects", json!({ "project": project }))
        .await;
    created.expect(201)["project"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn names(answer: &Answer) -> Vec<String> {
    let body = answer.expect(200);
    let items = body["projects"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}
