//! Changes that meet: of several at once, none is lost, and each is judged by what the others have
//! left.
//!
//! Where a test holds a transaction open, the request has looked at everything before, and writes
//! after it.

use api::derived::openapi;
use model::credential::Credential;
use model::ids::ProjectId;
use model::project::{Project, ResourceOptions};
use model::role::Role;
use model::service::Region;
use model::user::User;
use serde_json::{Value, json};
use store::{Changeable, Dialect, StoreError, Tx, scratch};
use testkit::{Answer, Client, TestServer};

use crate::orphans::{add, meanwhile, rows};

/// How often changes are made at once, for they may miss each other.
const ROUNDS: u32 = 8;

const PROVIDERS: &str = "/v3/OS-FEDERATION/identity_providers";

/// An attribute, and its value in a round.
type Attribute = (&'static str, fn(u32) -> Value);

fn text(round: u32) -> Value {
    json!(format!("value-{round}"))
}

fn address(round: u32) -> Value {
    json!(format!("https://idp.example/{round}"))
}

fn number(round: u32) -> Value {
    json!(round)
}

fn flag(round: u32) -> Value {
    json!(round.is_multiple_of(2))
}

/// The kinds of resources that are changed one attribute at a time, by the paths of their changes:
/// four attributes that are changed at once.
const CHANGES: &[(&str, &str, [Attribute; 4])] = &[
    (
        "domain",
        "/v3/domains/{domain_id}",
        [
            ("name", text),
            ("description", text),
            ("enabled", flag),
            ("colour", text),
        ],
    ),
    (
        "project",
        "/v3/projects/{project_id}",
        [
            ("name", text),
            ("description", text),
            ("enabled", flag),
            ("colour", text),
        ],
    ),
    (
        "group",
        "/v3/groups/{group_id}",
        [
            ("name", text),
            ("description", text),
            ("colour", text),
            ("shape", number),
        ],
    ),
    (
        "role",
        "/v3/roles/{role_id}",
        [
            ("name", text),
            ("description", text),
            ("colour", text),
            ("shape", number),
        ],
    ),
    (
        "user",
        "/v3/users/{user_id}",
        [
            ("name", text),
            ("enabled", flag),
            ("default_project_id", text),
            ("colour", text),
        ],
    ),
    (
        "region",
        "/v3/regions/{region_id}",
        [
            ("description", text),
            ("parent_region_id", |round| {
                flag(round)
                    .as_bool()
                    .filter(|even| *even)
                    .map(|_| "RegionOne")
                    .into()
            }),
            ("colour", text),
            ("shape", number),
        ],
    ),
    (
        "service",
        "/v3/services/{service_id}",
        [
            ("name", text),
            ("type", text),
            ("enabled", flag),
            ("colour", text),
        ],
    ),
    (
        "endpoint",
        "/v3/endpoints/{endpoint_id}",
        [
            ("region", text),
            ("url", address),
            ("enabled", flag),
            ("colour", text),
        ],
    ),
    (
        "identity_provider",
        "/v3/OS-FEDERATION/identity_providers/{idp_id}",
        [
            ("enabled", flag),
            ("description", text),
            ("remote_ids", |round| json!([address(round)])),
            ("authorization_ttl", number),
        ],
    ),
    (
        "service_provider",
        "/v3/OS-FEDERATION/service_providers/{service_provider_id}",
        [
            ("auth_url", address),
            ("sp_url", address),
            ("enabled", flag),
            ("relay_state_prefix", text),
        ],
    ),
    // Attributes of its settings.
    (
        "protocol",
        "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
        [
            ("authorization_endpoint", address),
            ("token_endpoint", address),
            ("userinfo_endpoint", address),
            ("client_id", text),
        ],
    ),
];

/// The paths of the changes that replace everything that can be changed.
const REPLACEMENTS: [&str; 2] = [
    "/v3/credentials/{credential_id}",
    "/v3/OS-FEDERATION/mappings/{mapping_id}",
];

/// Adds a resource of a kind, and gives its path.
async fn create(admin: &Client, kind: &str) -> String {
    let (path, attributes) = match kind {
        "identity_provider" => (format!("{PROVIDERS}/corp"), json!({})),
        "service_provider" => (
            "/v3/OS-FEDERATION/service_providers/sp".to_owned(),
            json!({"auth_url": "https://a.example", "sp_url": "https://s.example"}),
        ),
        "protocol" => {
            let rules = json!([{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "U"}]}]);
            let body = json!({"mapping": {"rules": rules}});
            let mapping = "/v3/OS-FEDERATION/mappings/m";
            admin.put(mapping, body).await.expect(201);
            let settings = json!({
                "authorization_endpoint": "https://idp.example/authorize",
                "token_endpoint": "https://idp.example/token",
                "userinfo_endpoint": "https://idp.example/me",
                "client_id": "c", "client_secret": "hush", "attributes": "userinfo",
            });
            (
                format!("{PROVIDERS}/corp/protocols/p"),
                json!({"mapping_id": "m", "driver": "oauth2", "settings": settings}),
            )
        }
        _ => {
            let attributes = match kind {
                "region" => json!({"id": "region"}),
                "service" => json!({"type": "image"}),
                "endpoint" => {
                    let service = add(admin, "service", json!({"type": "dns"})).await;
                    json!({"service_id": service, "interface": "public", "url": "http://e.example"})
                }
                _ => json!({"name": "first"}),
            };
            let id = add(admin, kind, attributes).await;
            return format!("/v3/{kind}s/{id}");
        }
    };
    admin
        .put(&path, json!({ kind: attributes }))
        .await
        .expect(201);
    path
}

#[tokio::test]
async fn of_four_changes_at_once_none_is_lost() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (kind, _, attributes) in CHANGES {
        let path = create(&admin, kind).await;
        for round in 0..ROUNDS {
            let change = async |(name, value): Attribute| {
                let change = match *kind {
                    "protocol" => json!({"mapping_id": "m", "settings": {name: value(round)}}),
                    _ => json!({name: value(round)}),
                };
                let answer = admin.patch(&path, json!({ *kind: change })).await;
                assert_eq!(answer.status, 200, "{kind}: {name}: {}", answer.text);
            };
            let [first, second, third, fourth] = *attributes;
            tokio::join!(change(first), change(second), change(third), change(fourth));
            let shown = admin.get(&path).await.expect(200);
            let shown = match *kind {
                "protocol" => &shown[kind]["settings"],
                _ => &shown[kind],
            };
            for (name, value) in attributes {
                assert_eq!(shown[name], value(round), "{kind}: {name}: {shown}");
            }
        }
    }
}

#[test]
fn all_that_can_be_changed_is_changed_here() {
    let document = openapi::document();
    let paths = document["paths"].as_object().unwrap().iter();
    let changed = paths.filter(|(_, operations)| operations.get("patch").is_some());
    let mut changed: Vec<&str> = changed.map(|(path, _)| path.as_str()).collect();
    changed.sort_unstable();
    let mut known = Vec::from(REPLACEMENTS);
    // It changes nothing, and says so to every method but POST.
    known.push("/v3/OS-OAUTH2/token");
    known.extend(CHANGES.iter().map(|(_, path, _)| path));
    known.sort_unstable();
    assert_eq!(changed, known);
}

#[tokio::test]
async fn of_tags_removed_or_added_at_once_each_is() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let tags = format!("/v3/projects/{project}/tags");
    for _ in 0..ROUNDS {
        let all = json!({"tags": ["a", "b", "c"]});
        admin.put(&tags, all).await.expect(200);
        let remove = async |tag: &str| {
            admin.delete(&format!("{tags}/{tag}")).await.expect(204);
        };
        let give = async |tag: &str| {
            let answer = admin.put_empty(&format!("{tags}/{tag}")).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        };
        tokio::join!(remove("a"), remove("b"), give("d"), give("e"));
        let left = admin.get(&tags).await.expect(200);
        assert_eq!(left["tags"], json!(["c", "d", "e"]));
    }
}

/// Changes a resource in a transaction that is held.
async fn change<R: Changeable>(tx: &mut Tx, id: &str, change: impl FnOnce(&mut R))
where
    R::Id: for<'a> From<&'a str>,
{
    let id = R::Id::from(id);
    let changed = tx.change(&id, |mut resource: R| {
        change(&mut resource);
        Ok::<_, StoreError>(resource)
    });
    changed.await.unwrap();
}

const IMMUTABLE: ResourceOptions = ResourceOptions {
    immutable: Some(true),
};

/// Marks a role, a project or a domain as immutable.
async fn mark(tx: &mut Tx, kind: &str, id: &str) {
    match kind {
        "role" => change(tx, id, |role: &mut Role| role.options = IMMUTABLE).await,
        _ => change(tx, id, |project: &mut Project| project.options = IMMUTABLE).await,
    }
}

async fn enable(tx: &mut Tx, id: &str, enabled: bool) {
    change(tx, id, |project: &mut Project| project.enabled = enabled).await;
}

/// Enables or disables a project, or a domain as one.
async fn set_enabled(admin: &Client, id: &str, enabled: bool) -> Answer {
    let body = json!({"project": {"enabled": enabled}});
    admin.patch(&format!("/v3/projects/{id}"), body).await
}

#[tokio::test]
async fn what_becomes_immutable_is_neither_changed_nor_deleted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for kind in ["domain", "project", "role"] {
        for act in ["change", "delete"] {
            let name = format!("{kind}-{act}");
            let attributes = match kind {
                "domain" => json!({"name": name, "enabled": false}),
                _ => json!({ "name": name }),
            };
            let id = add(&admin, kind, attributes).await;
            let path = format!("/v3/{kind}s/{id}");
            let request = async {
                match act {
                    "change" => {
                        let body = json!({ kind: {"description": "late"} });
                        admin.patch(&path, body).await
                    }
                    _ => admin.delete(&path).await,
                }
            };
            let marking = async |tx: &mut Tx| mark(tx, kind, &id).await;
            let answer = meanwhile(&server, marking, request).await;
            assert_eq!(answer.status, 403, "{name}: {}", answer.text);
            assert!(answer.text.contains("immutable"), "{name}: {}", answer.text);
            let shown = admin.get(&path).await.expect(200);
            assert_ne!(shown[kind]["description"], "late", "{name}");
            // But it may still lift the mark, of which the request has not known.
            let body = json!({ kind: {"options": {"immutable": false}} });
            let marking = async |tx: &mut Tx| mark(tx, kind, &id).await;
            let lifted = meanwhile(&server, marking, admin.patch(&path, body)).await;
            let lifted = lifted.expect(200);
            assert_eq!(lifted[kind]["options"]["immutable"], false, "{name}");
        }
    }
}

#[tokio::test]
async fn the_tags_of_what_becomes_immutable_stay() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for act in ["replace", "clear", "add", "remove"] {
        let attributes = json!({"name": act, "tags": ["a"]});
        let id = add(&admin, "project", attributes).await;
        let tags = format!("/v3/projects/{id}/tags");
        let request = async {
            match act {
                "replace" => admin.put(&tags, json!({"tags": ["b"]})).await,
                "clear" => admin.delete(&tags).await,
                "add" => admin.put_empty(&format!("{tags}/b")).await,
                _ => admin.delete(&format!("{tags}/a")).await,
            }
        };
        let marking = async |tx: &mut Tx| mark(tx, "project", &id).await;
        let answer = meanwhile(&server, marking, request).await;
        assert_eq!(answer.status, 403, "{act}: {}", answer.text);
        let left = admin.get(&tags).await.expect(200);
        assert_eq!(left["tags"], json!(["a"]), "{act}");
    }
}

#[tokio::test]
async fn no_project_has_more_tags_than_allowed_by_adding_two_at_once() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let tags: Vec<String> = (0..79).map(|number| format!("t{number}")).collect();
    let id = add(&admin, "project", json!({"name": "p", "tags": tags})).await;
    let give = async |tag: &str| {
        let path = format!("/v3/projects/{id}/tags/{tag}");
        admin.put_empty(&path).await.status
    };
    let (one, other) = tokio::join!(give("one"), give("other"));
    assert_eq!(
        (one.min(other), one.max(other)),
        (201, 400),
        "{one} {other}"
    );
}

#[tokio::test]
async fn a_domain_stays_when_one_of_its_projects_becomes_immutable() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let domain = add(&admin, "domain", json!({"name": "d"})).await;
    let path = format!("/v3/domains/{domain}");
    let project = json!({"name": "p", "domain_id": domain});
    let project = add(&admin, "project", project).await;
    let body = json!({"domain": {"enabled": false}});
    admin.patch(&path, body).await.expect(200);
    let marking = async |tx: &mut Tx| mark(tx, "project", &project).await;
    let answer = meanwhile(&server, marking, admin.delete(&path)).await;
    assert!(answer.message(403).contains(&project), "{}", answer.text);
    admin.get(&path).await.expect(200);
}

/// A domain, a project, a project below it, and one below that.
async fn branch(admin: &Client, name: &str) -> [String; 4] {
    let domain = add(admin, "domain", json!({ "name": name })).await;
    let mut ids = [domain.clone(), domain.clone(), domain.clone(), domain];
    for level in 1..4 {
        let attributes = json!({
            "name": format!("{name}-{level}"), "domain_id": ids[0], "parent_id": ids[level - 1],
        });
        ids[level] = add(admin, "project", attributes).await;
    }
    ids
}

#[tokio::test]
async fn nothing_is_enabled_or_made_below_what_is_disabled_meanwhile() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for level in 0..3 {
        for act in ["enable", "enable again", "create"] {
            let name = format!("{level}-{act}");
            let ids = branch(&admin, &name).await;
            let [domain, .., parent, last] = &ids;
            if act == "enable" {
                set_enabled(&admin, last, false).await.expect(200);
            }
            let disabling = async |tx: &mut Tx| {
                // Nothing is wrong with what is above and below.
                enable(tx, &ids[level], false).await;
                for below in &ids[level + 1..] {
                    enable(tx, below, false).await;
                }
            };
            let request = async {
                match act {
                    "create" => {
                        let project = json!({
                            "name": "late", "domain_id": domain, "parent_id": parent,
                        });
                        let body = json!({ "project": project });
                        admin.post("/v3/projects", body).await
                    }
                    // It is enabled when the request looks, and it is not when the request writes.
                    _ => set_enabled(&admin, last, true).await,
                }
            };
            let answer = meanwhile(&server, disabling, request).await;
            let status = if act == "create" { 400 } else { 403 };
            assert_eq!(answer.status, status, "{name}: {}", answer.text);
            let shown = admin.get(&format!("/v3/projects/{last}")).await.expect(200);
            assert_eq!(shown["project"]["enabled"], false, "{name}");
        }
    }
}

#[tokio::test]
async fn nothing_is_disabled_above_what_is_enabled_or_made_meanwhile() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for level in 1..3 {
        for act in ["enable", "create"] {
            let name = format!("{level}-{act}");
            let ids = branch(&admin, &name).await;
            // Only this one and what is above it is enabled.
            for below in ids[level + 1..].iter().rev() {
                set_enabled(&admin, below, false).await.expect(200);
            }
            let addition = async |tx: &mut Tx| {
                let mut projects = tx.projects_mut();
                for above in &ids[..=level] {
                    projects.require(&above.as_str().into()).await.unwrap();
                }
                match act {
                    "enable" => enable(tx, &ids[level + 1], true).await,
                    _ => insert_below(tx, &ids[level], &name).await,
                }
            };
            let request = set_enabled(&admin, &ids[level], false);
            let answer = meanwhile(&server, addition, request).await;
            assert_eq!(answer.status, 403, "{name}: {}", answer.text);
            let path = format!("/v3/projects/{}", ids[level]);
            let shown = admin.get(&path).await.expect(200);
            assert_eq!(shown["project"]["enabled"], true, "{name}");
        }
    }
}

/// Adds a project below another in a transaction that is held.
async fn insert_below(tx: &mut Tx, parent: &str, id: &str) {
    let parent = ProjectId::from(parent);
    let found = tx.projects().find(&parent).await.unwrap().unwrap();
    let child = Project {
        id: id.into(),
        name: id.into(),
        parent_id: Some(parent),
        ..found
    };
    tx.projects_mut().insert(&child).await.unwrap();
}

#[tokio::test]
async fn parents_and_children_that_are_switched_at_once_fit_together() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let [domain, first, second, third] = branch(&admin, "d").await;
    for round in 0..ROUNDS {
        let switch = async |id: &str, enabled: bool| {
            let status = set_enabled(&admin, id, enabled).await.status;
            assert!([200, 403].contains(&status), "{status}");
        };
        let make = async {
            let name = format!("new-{round}");
            let project = json!({"name": name, "domain_id": domain, "parent_id": second});
            let answer = admin
                .post("/v3/projects", json!({ "project": project }))
                .await;
            assert!(
                [201, 400].contains(&answer.status),
                "{}: {}",
                answer.status,
                answer.text
            );
        };
        tokio::join!(
            switch(&third, false),
            switch(&second, false),
            switch(&first, false),
            make,
        );
        tokio::join!(
            switch(&first, true),
            switch(&third, true),
            switch(&second, false),
            switch(&second, true),
        );
        let odd = "project child JOIN project parent ON parent.id = child.parent_id \
                   WHERE child.enabled AND NOT parent.enabled";
        assert_eq!(rows(&server, odd).await, 0);
        // As at the beginning.
        server.sql("UPDATE project SET enabled = TRUE").await;
    }
}

#[tokio::test]
async fn a_user_keeps_no_default_project_that_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = add(&admin, "user", json!({"name": "u"})).await;
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let choice = async |tx: &mut Tx| {
        let id: ProjectId = project.as_str().into();
        tx.projects_mut().require(&id).await.unwrap();
        change(tx, &user, |user: &mut User| {
            user.default_project_id = Some(id);
        })
        .await;
    };
    let path = format!("/v3/projects/{project}");
    meanwhile(&server, choice, admin.delete(&path))
        .await
        .expect(204);
    let left = "\"user\" WHERE default_project_id IS NOT NULL";
    assert_eq!(rows(&server, left).await, 0);
    // A project that has gone is one that has never been, which nobody minds.
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let path = format!("/v3/users/{user}");
    let body = json!({"user": {"default_project_id": project}});
    let removal = async |tx: &mut Tx| {
        let id = project.as_str().into();
        let now = model::Timestamp::UNIX_EPOCH;
        tx.projects_mut().delete(&id, now).await.unwrap();
    };
    meanwhile(&server, removal, admin.patch(&path, body))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_project_stays_while_a_user_is_given_it_by_default() {
    let server = TestServer::start().await;
    if server.app.parts.store.dialect() == Dialect::Sqlite {
        // It has one writer at a time.
        return;
    }
    let admin = server.admin().await;
    let user = add(&admin, "user", json!({"name": "u"})).await;
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let mut tx = server.app.parts.store.begin().await.unwrap();
    tx.users_mut().lock(&user.as_str().into()).await.unwrap();
    let body = json!({"user": {"default_project_id": project}});
    let path = format!("/v3/users/{user}");
    let request = tokio::spawn(async move { admin.patch(&path, body).await });
    server.until_it_waits(|| request.is_finished()).await;
    // As who removes it does, who would find no user yet that has it.
    let sql = format!("SELECT id FROM project WHERE id = '{project}' FOR UPDATE NOWAIT");
    let mut removal = server.app.parts.store.begin().await.unwrap();
    let locked = scratch::execute_in(&mut removal, &sql).await;
    assert!(locked.is_err(), "it is not held");
    drop((tx, removal));
    request.await.unwrap().expect(200);
}

#[tokio::test]
async fn a_region_is_moved_by_what_is_there_then() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let remove = async |tx: &mut Tx, id: &str| {
        tx.regions_mut().delete(&[id.into()]).await.unwrap();
    };
    let put_below = async |tx: &mut Tx, id: &str, parent: Option<&str>| {
        change(tx, id, |region: &mut Region| {
            region.parent_region_id = parent.map(Into::into);
        })
        .await;
    };
    let [parent, moved] = [
        add(&admin, "region", json!({})).await,
        add(&admin, "region", json!({})).await,
    ];
    let path = format!("/v3/regions/{moved}");
    // Below one that goes.
    let body = json!({"region": {"parent_region_id": parent}});
    let removal = async |tx: &mut Tx| remove(tx, &parent).await;
    let answer = meanwhile(&server, removal, admin.patch(&path, body)).await;
    assert!(answer.message(404).contains(&parent), "{}", answer.text);
    // Below one that is moved below it, by way of a third.
    let parent = add(&admin, "region", json!({})).await;
    let between = json!({"parent_region_id": moved});
    let between = add(&admin, "region", between).await;
    let body = json!({"region": {"parent_region_id": parent}});
    let moving = async |tx: &mut Tx| put_below(tx, &parent, Some(&between)).await;
    meanwhile(&server, moving, admin.patch(&path, body))
        .await
        .expect(400);
    // What it is not asked to move does not matter to a change of something else.
    let parent = add(&admin, "region", json!({})).await;
    let body = json!({"region": {"parent_region_id": parent}});
    admin.patch(&path, body).await.expect(200);
    let body = json!({"region": {"description": "late"}});
    let moving = async |tx: &mut Tx| {
        put_below(tx, &moved, None).await;
        remove(tx, &parent).await;
    };
    let answer = meanwhile(&server, moving, admin.patch(&path, body)).await;
    let region = answer.expect(200)["region"].clone();
    assert_eq!(region["description"], "late");
    assert_eq!(region["parent_region_id"], Value::Null);
}

#[tokio::test]
async fn a_region_that_gets_a_child_with_an_endpoint_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let parent = add(&admin, "region", json!({})).await;
    let other = add(&admin, "region", json!({})).await;
    let service = add(&admin, "service", json!({"type": "s"})).await;
    let endpoint = json!({
        "service_id": service, "interface": "public", "url": "http://e.example",
        "region_id": other,
    });
    add(&admin, "endpoint", endpoint).await;
    let moving = async |tx: &mut Tx| {
        let id = parent.as_str().into();
        tx.regions_mut().require(&id).await.unwrap();
        change(tx, &other, |region: &mut Region| {
            region.parent_region_id = Some(id);
        })
        .await;
    };
    let path = format!("/v3/regions/{parent}");
    meanwhile(&server, moving, admin.delete(&path))
        .await
        .expect(403);
    admin.get(&path).await.expect(200);
}

#[tokio::test]
async fn the_region_of_an_endpoint_is_made_again_when_it_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let endpoint = create(&admin, "endpoint").await;
    add(&admin, "region", json!({"id": "x"})).await;
    let removal = async |tx: &mut Tx| {
        tx.regions_mut().delete(&["x".into()]).await.unwrap();
    };
    let body = json!({"endpoint": {"region": "x"}});
    let answer = meanwhile(&server, removal, admin.patch(&endpoint, body)).await;
    assert_eq!(answer.expect(200)["endpoint"]["region_id"], "x");
    admin.get("/v3/regions/x").await.expect(200);
}

#[tokio::test]
async fn a_credential_is_compared_with_what_is_replaced() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = add(&admin, "user", json!({"name": "u"})).await;
    let credential = json!({"type": "x", "blob": "{}", "user_id": user});
    let id = add(&admin, "credential", credential).await;
    let delegated = server.app.parts.credential_cipher.encrypt(
        "x",
        r#"{"trust_id": "t"}"#,
        server.app.parts.clock.now(),
    );
    let delegation = async |tx: &mut Tx| {
        change(tx, &id, |credential: &mut Credential| {
            credential.encrypted_blob = delegated.text;
            credential.key_hash = delegated.key_hash;
        })
        .await;
    };
    let body = json!({"credential": {"blob": "{}"}});
    let path = format!("/v3/credentials/{id}");
    let answer = meanwhile(&server, delegation, admin.patch(&path, body)).await;
    let message = answer.message(400);
    assert_eq!(message, "trust_id can not be updated for credential");
}
