//! Additions that meet removals: nothing is left behind that names what is gone, and who comes too
//! late is told so.
//!
//! Each test holds a transaction open: the request has looked at everything before, and writes
//! after it.

use std::cell::Cell;

use config::Limit;
use model::ids::ProjectId;
use model::service::Region;
use model::{Domain, Timestamp, assignment};
use serde_json::{Value, json};
use store::{StoreError, Tx, scratch};
use testkit::{Answer, Client, Scope, TestServer, home};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Asks while a transaction is open that has done its work, and commits it when the request waits
/// for it, or did not have to.
pub(crate) async fn meanwhile(
    server: &TestServer,
    work: impl AsyncFnOnce(&mut Tx),
    request: impl Future<Output = Answer>,
) -> Answer {
    let mut tx = server.app.parts.store.begin().await.unwrap();
    work(&mut tx).await;
    let answered = Cell::new(false);
    let ask = async {
        let answer = request.await;
        answered.set(true);
        answer
    };
    let commit = async {
        server.until_it_waits(|| answered.get()).await;
        let _saved = tx.commit().await.unwrap();
    };
    tokio::join!(ask, commit).0
}

/// How many rows there are.
pub(crate) async fn rows(server: &TestServer, from: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS number FROM {from}");
    scratch::number(&server.app.parts.store, &sql)
        .await
        .unwrap()
}

/// Adds something, and gives its id.
pub(crate) async fn add(admin: &Client, kind: &str, attributes: Value) -> String {
    let path = format!("/v3/{kind}s");
    let created = admin.post(&path, json!({kind: attributes})).await;
    let created = created.expect(201);
    created[kind]["id"].as_str().unwrap().to_owned()
}

/// Adds a domain that can be removed.
async fn add_domain(admin: &Client, name: &str) -> String {
    let attributes = json!({"name": name, "enabled": false});
    add(admin, "domain", attributes).await
}

async fn delete_domain(tx: &mut Tx, id: &str) {
    let mut domains = tx.domains_mut();
    let locked = domains.lock_all_within(&id.into()).await.unwrap();
    domains.delete(locked, NOW).await.unwrap();
}

async fn delete_project(tx: &mut Tx, id: &str) {
    tx.projects_mut().delete(&id.into(), NOW).await.unwrap();
}

async fn delete_user(tx: &mut Tx, id: &str) {
    tx.users_mut().delete(&id.into(), NOW).await.unwrap();
}

async fn delete_group(tx: &mut Tx, id: &str) {
    tx.groups_mut().delete(&id.into()).await.unwrap();
}

async fn delete_role(tx: &mut Tx, id: &str) {
    tx.roles_mut().delete(&id.into()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_added_to_a_domain_that_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    for (number, (kind, attributes, status)) in [
        ("user", json!({"name": "x", "password": "secret"}), 404),
        ("group", json!({"name": "x"}), 404),
        ("identity_provider", json!({}), 404),
        // As when it names a domain that has never been.
        ("project", json!({"name": "x"}), 400),
    ]
    .into_iter()
    .enumerate()
    {
        let id = add_domain(&admin, &format!("d{number}")).await;
        let mut body = json!({ kind: attributes });
        body[kind]["domain_id"] = json!(id);
        let request = async {
            match kind {
                "identity_provider" => admin.put(provider, body).await,
                _ => admin.post(&format!("/v3/{kind}s"), body).await,
            }
        };
        let answer = meanwhile(&server, async |tx| delete_domain(tx, &id).await, request).await;
        assert!(
            answer.message(status).contains(&id),
            "{kind}: {}",
            answer.text
        );
        let left = rows(&server, &format!("\"{kind}\" WHERE domain_id = '{id}'")).await;
        assert_eq!(left, 0, "{kind}");
    }
    assert_eq!(rows(&server, "local_user WHERE name = 'x'").await, 0);
}

#[tokio::test]
async fn no_role_is_given_to_or_on_what_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for target in ["project", "domain", "system"] {
        for actor in ["user", "group"] {
            for gone in [target, actor, "role"]
                .iter()
                .filter(|gone| **gone != "system")
            {
                let name = format!("{target}-{actor}-{gone}");
                let role = add(&admin, "role", json!({ "name": name })).await;
                let named = add(&admin, actor, json!({ "name": name })).await;
                let place = match target {
                    "system" => String::new(),
                    "domain" => add_domain(&admin, &name).await,
                    _ => add(&admin, target, json!({ "name": name })).await,
                };
                let path = match target {
                    "system" => format!("/v3/system/{actor}s/{named}/roles/{role}"),
                    _ => format!("/v3/{target}s/{place}/{actor}s/{named}/roles/{role}"),
                };
                let removal = async |tx: &mut Tx| match *gone {
                    "project" => delete_project(tx, &place).await,
                    "domain" => delete_domain(tx, &place).await,
                    "user" => delete_user(tx, &named).await,
                    "group" => delete_group(tx, &named).await,
                    _ => delete_role(tx, &role).await,
                };
                let answer = meanwhile(&server, removal, admin.put_empty(&path)).await;
                assert_eq!(answer.status, 404, "{name}: {}", answer.text);
                for table in ["assignment", "system_assignment"] {
                    let left = format!("{table} WHERE role_id = '{role}'");
                    assert_eq!(rows(&server, &left).await, 0, "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_given_to_somebody_who_goes_goes_too() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for gone in ["user", "group", "project", "domain", "role"] {
        let domain = add_domain(&admin, gone).await;
        let within = json!({"name": gone, "domain_id": domain});
        let user = add(&admin, "user", within.clone()).await;
        let group = add(&admin, "group", within).await;
        let project = add(&admin, "project", json!({ "name": gone })).await;
        let role = add(&admin, "role", json!({ "name": gone })).await;
        let (path, id) = match gone {
            "user" => ("users", &user),
            "group" => ("groups", &group),
            "project" => ("projects", &project),
            "domain" => ("domains", &domain),
            _ => ("roles", &role),
        };
        let work = async |tx: &mut Tx| {
            let actor = match gone {
                "group" => assignment::Actor::Group(group.as_str().into()),
                _ => assignment::Actor::User(user.as_str().into()),
            };
            tx.projects_mut()
                .require(&project.as_str().into())
                .await
                .unwrap();
            match gone {
                "group" => tx
                    .groups_mut()
                    .require(&group.as_str().into())
                    .await
                    .unwrap(),
                _ => tx.users_mut().require(&user.as_str().into()).await.unwrap(),
            }
            tx.roles_mut().require(&role.as_str().into()).await.unwrap();
            let added = assignment::Assignment {
                role_id: role.as_str().into(),
                actor,
                target: assignment::AssignmentTarget::Project(project.as_str().into()),
                inherited: false,
            };
            tx.assignments_mut().insert(&added).await.unwrap();
        };
        let path = format!("/v3/{path}/{id}");
        let answer = meanwhile(&server, work, admin.delete(&path)).await;
        answer.expect(204);
        let left = format!("assignment WHERE role_id = '{role}'");
        assert_eq!(rows(&server, &left).await, 0, "{gone}");
    }
}

#[tokio::test]
async fn who_is_added_to_a_domain_that_goes_goes_too() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let domain = add_domain(&admin, "d").await;
    let work = async |tx: &mut Tx| {
        tx.domains_mut()
            .require(&domain.as_str().into())
            .await
            .unwrap();
        let (user, group) = (
            format!("INSERT INTO \"user\" (id, domain_id) VALUES ('new', '{domain}')"),
            format!("INSERT INTO \"group\" (id, domain_id, name) VALUES ('new', '{domain}', 'x')"),
        );
        let member = "INSERT INTO user_group_membership (user_id, group_id) VALUES ('new', 'new')";
        for sql in [&user, &group, member] {
            scratch::execute_in(tx, sql).await.unwrap();
        }
    };
    let path = format!("/v3/domains/{domain}");
    let answer = meanwhile(&server, work, admin.delete(&path)).await;
    answer.expect(204);
    for table in ["\"user\"", "\"group\""] {
        let left = format!("{table} WHERE domain_id = '{domain}'");
        assert_eq!(rows(&server, &left).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_domain_is_judged_when_nobody_changes_it_any_more() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let domain = add_domain(&admin, "d").await;
    let id = domain.as_str().into();
    let enable = async |tx: &mut Tx| {
        let changed = tx.change(&id, |mut domain: Domain| {
            domain.enabled = true;
            Ok::<_, StoreError>(domain)
        });
        changed.await.unwrap();
    };
    let path = format!("/v3/domains/{domain}");
    let answer = meanwhile(&server, enable, admin.delete(&path)).await;
    answer.expect(403);
    admin.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_project_that_gets_a_child_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let parent = add(&admin, "project", json!({"name": "parent"})).await;
    let work = async |tx: &mut Tx| {
        let found = tx.projects().find(&parent.as_str().into()).await.unwrap();
        let mut child = found.unwrap();
        child.id = "child".into();
        child.name = "child".into();
        child.parent_id = Some(parent.as_str().into());
        tx.projects_mut().insert(&child).await.unwrap();
    };
    let path = format!("/v3/projects/{parent}");
    meanwhile(&server, work, admin.delete(&path))
        .await
        .expect(403);
    // And the other way about.
    let path = format!("/v3/projects/{}", "child");
    admin.get(&path).await.expect(200);
    let body = json!({"project": {"name": "late", "parent_id": "child"}});
    let removal = async |tx: &mut Tx| delete_project(tx, "child").await;
    meanwhile(&server, removal, admin.post("/v3/projects", body))
        .await
        .expect(400);
}

#[tokio::test]
async fn what_is_removed_twice_is_missed_the_second_time() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let domain = add_domain(&admin, "d").await;
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let user = add(&admin, "user", json!({"name": "u"})).await;
    let group = add(&admin, "group", json!({"name": "g"})).await;
    let role = add(&admin, "role", json!({"name": "r"})).await;
    let service = add(&admin, "service", json!({"type": "s"})).await;
    let endpoint = json!({"service_id": service, "interface": "public", "url": "http://e.example"});
    let endpoint = add(&admin, "endpoint", endpoint).await;
    let region = add(&admin, "region", json!({"id": "region"})).await;
    let credential = json!({"type": "x", "blob": "b", "user_id": user});
    let credential = add(&admin, "credential", credential).await;
    let federation = "/v3/OS-FEDERATION";
    let provider = format!("{federation}/identity_providers/corp");
    let protocol = format!("{provider}/protocols/p");
    let mapping = format!("{federation}/mappings/m");
    let other = format!("{federation}/service_providers/sp");
    admin
        .put(&provider, json!({"identity_provider": {}}))
        .await
        .expect(201);
    let rules = json!([{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "U"}]}]);
    admin
        .put(&mapping, json!({"mapping": {"rules": rules}}))
        .await
        .expect(201);
    admin
        .put(&protocol, json!({"protocol": {"mapping_id": "m"}}))
        .await
        .expect(201);
    let urls = json!({"auth_url": "https://a.example", "sp_url": "https://s.example"});
    admin
        .put(&other, json!({"service_provider": urls}))
        .await
        .expect(201);
    let twice = async |path: &str, removal: &dyn Fn() -> String| {
        let sql = removal();
        let work = async |tx: &mut Tx| scratch::execute_in(tx, &sql).await.unwrap();
        let answer = meanwhile(&server, work, admin.delete(path)).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    };
    for (path, table, id) in [
        (
            format!("/v3/credentials/{credential}"),
            "credential",
            credential.as_str(),
        ),
        (format!("/v3/endpoints/{endpoint}"), "endpoint", &endpoint),
        (format!("/v3/services/{service}"), "service", &service),
        (format!("/v3/regions/{region}"), "region", &region),
        (format!("/v3/roles/{role}"), "role", &role),
        (format!("/v3/groups/{group}"), "\"group\"", &group),
        (format!("/v3/projects/{project}"), "project", &project),
        (format!("/v3/users/{user}"), "\"user\"", &user),
        (format!("/v3/domains/{domain}"), "project", &domain),
        (protocol.clone(), "federation_protocol", "p"),
        (mapping.clone(), "mapping", "m"),
        (provider.clone(), "identity_provider", "corp"),
        (other.clone(), "service_provider", "sp"),
    ] {
        twice(&path, &|| format!("DELETE FROM {table} WHERE id = '{id}'")).await;
    }
}

/// Somebody with a role on `home`, and the path of their application credentials.
async fn owner(server: &TestServer) -> (Client, String) {
    let id = server
        .add_person("owner", &[("member", Scope::Project)])
        .await;
    let scope = json!({"project": {"id": home()}});
    let client = server.log_in("owner", Some(scope)).await;
    (client, id.to_string())
}

#[tokio::test]
async fn no_credential_is_made_for_somebody_who_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for gone in ["user", "project"] {
        let user = add(&admin, "user", json!({ "name": gone })).await;
        let project = add(&admin, "project", json!({ "name": gone })).await;
        let credential = json!({"type": "x", "blob": "b", "user_id": user, "project_id": project});
        let removal = async |tx: &mut Tx| match gone {
            "user" => delete_user(tx, &user).await,
            _ => delete_project(tx, &project).await,
        };
        let request = admin.post("/v3/credentials", json!({ "credential": credential }));
        meanwhile(&server, removal, request).await.expect(404);
        let left = format!("credential WHERE user_id = '{user}'");
        assert_eq!(rows(&server, &left).await, 0, "{gone}");
    }
}

#[tokio::test]
async fn no_application_credential_outlives_what_it_stands_on() {
    for gone in ["user", "project", "role"] {
        let server = TestServer::start().await;
        let (owner, id) = owner(&server).await;
        let removal = async |tx: &mut Tx| match gone {
            "user" => delete_user(tx, &id).await,
            "project" => delete_project(tx, home().as_str()).await,
            _ => {
                let role = tx.roles().find_by_name("member", None).await.unwrap();
                delete_role(tx, role.unwrap().id.as_str()).await;
            }
        };
        let body = json!({"application_credential": {"name": "x", "access_rules": [
            {"service": "compute", "path": "/v2.1/servers", "method": "GET"},
        ]}});
        let path = format!("/v3/users/{id}/application_credentials");
        let answer = meanwhile(&server, removal, owner.post(&path, body)).await;
        assert_eq!(answer.status, 404, "{gone}: {}", answer.text);
        for table in ["application_credential", "access_rule"] {
            assert_eq!(rows(&server, table).await, 0, "{gone}: {table}");
        }
    }
}

#[tokio::test]
async fn an_application_credential_never_loses_its_access_rules() {
    let server = TestServer::start().await;
    let (owner, id) = owner(&server).await;
    let path = format!("/v3/users/{id}/application_credentials");
    let rule = json!({"service": "compute", "path": "/v2.1/servers", "method": "GET"});
    let body = json!({"application_credential": {"name": "first", "access_rules": [rule]}});
    let first = owner.post(&path, body).await.expect(201);
    let first = &first["application_credential"];
    let rule_id = first["access_rules"][0]["id"].as_str().unwrap();
    let first = format!("{path}/{}", first["id"].as_str().unwrap());
    owner.delete(&first).await.expect(204);
    // The rule goes while a credential is made with it.
    let removal = async |tx: &mut Tx| {
        let sql = format!("DELETE FROM access_rule WHERE external_id = '{rule_id}'");
        scratch::execute_in(tx, &sql).await.unwrap();
    };
    let body = json!({"application_credential": {"name": "x", "access_rules": [{"id": rule_id}]}});
    let answer = meanwhile(&server, removal, owner.post(&path, body)).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    assert_eq!(rows(&server, "application_credential").await, 0);
    // A credential is made with the rule that shall go.
    let body = json!({"application_credential": {"name": "second", "access_rules": [rule]}});
    let second = owner.post(&path, body).await.expect(201);
    let second = &second["application_credential"];
    let rule_id = second["access_rules"][0]["id"].as_str().unwrap();
    let used = "application_credential_access_rule";
    server.sql(&format!("DELETE FROM {used}")).await;
    let addition = async |tx: &mut Tx| {
        let sql = format!(
            "INSERT INTO {used} (application_credential_id, access_rule_id) \
             SELECT c.internal_id, r.id FROM application_credential c CROSS JOIN access_rule r"
        );
        scratch::execute_in(tx, &sql).await.unwrap();
    };
    let rule_path = format!("/v3/users/{id}/access_rules/{rule_id}");
    meanwhile(&server, addition, owner.delete(&rule_path))
        .await
        .expect(403);
    assert_eq!(rows(&server, used).await, 1);
}

#[tokio::test]
async fn nobody_has_more_application_credentials_than_allowed_by_asking_twice_at_once() {
    let server = TestServer::start_with(|config| {
        config.application_credential.user_limit = Limit::AtMost(1);
        config.credential.user_limit = Limit::AtMost(1);
    })
    .await;
    let (owner, id) = owner(&server).await;
    let path = format!("/v3/users/{id}/application_credentials");
    let ask = async |name: &str| {
        let body = json!({"application_credential": {"name": name, "access_rules": [
            {"service": "compute", "path": "/", "method": "GET"},
        ]}});
        owner.post(&path, body).await.status
    };
    let (one, other) = tokio::join!(ask("one"), ask("other"));
    assert_eq!(one.max(other), 403);
    assert_eq!(rows(&server, "application_credential").await, 1);
    let ask = async || {
        let credential = json!({"type": "x", "blob": "b", "user_id": id});
        let body = json!({ "credential": credential });
        owner.post("/v3/credentials", body).await.status
    };
    let (one, other) = tokio::join!(ask(), ask());
    assert_eq!(one.max(other), 403);
    assert_eq!(rows(&server, "credential").await, 1);
}

#[tokio::test]
async fn members_tags_and_implications_of_what_goes_are_missed() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for gone in ["user", "group"] {
        let user = add(&admin, "user", json!({ "name": gone })).await;
        let group = add(&admin, "group", json!({ "name": gone })).await;
        let removal = async |tx: &mut Tx| match gone {
            "user" => delete_user(tx, &user).await,
            _ => delete_group(tx, &group).await,
        };
        let path = format!("/v3/groups/{group}/users/{user}");
        meanwhile(&server, removal, admin.put_empty(&path))
            .await
            .expect(404);
    }
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let tags = format!("/v3/projects/{project}/tags");
    let removal = async |tx: &mut Tx| delete_project(tx, &project).await;
    let request = admin.put(&tags, json!({"tags": ["a"]}));
    meanwhile(&server, removal, request).await.expect(404);
    let project = add(&admin, "project", json!({"name": "q"})).await;
    let removal = async |tx: &mut Tx| delete_project(tx, &project).await;
    let path = format!("/v3/projects/{project}/tags/a");
    meanwhile(&server, removal, admin.put_empty(&path))
        .await
        .expect(404);
    for gone in ["prior", "implied"] {
        let prior = add(&admin, "role", json!({"name": format!("{gone}-prior")})).await;
        let implied = add(&admin, "role", json!({"name": format!("{gone}-implied")})).await;
        let role = if gone == "prior" { &prior } else { &implied };
        let removal = async |tx: &mut Tx| delete_role(tx, role).await;
        let path = format!("/v3/roles/{prior}/implies/{implied}");
        meanwhile(&server, removal, admin.put_empty(&path))
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn nothing_in_the_catalog_names_what_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for gone in ["service", "region"] {
        for method in ["create", "update"] {
            let kept = add(&admin, "service", json!({"type": "kept"})).await;
            let service = add(&admin, "service", json!({"type": "s"})).await;
            let region = add(&admin, "region", json!({})).await;
            let mut endpoint =
                json!({"service_id": kept, "interface": "public", "url": "http://e.example"});
            let known = add(&admin, "endpoint", endpoint.clone()).await;
            endpoint["service_id"] = json!(service);
            endpoint["region_id"] = json!(region);
            let removal = async |tx: &mut Tx| match gone {
                "service" => tx
                    .services_mut()
                    .delete(&service.as_str().into())
                    .await
                    .unwrap(),
                _ => tx
                    .regions_mut()
                    .delete(&[region.as_str().into()])
                    .await
                    .unwrap(),
            };
            let body = json!({ "endpoint": endpoint });
            let path = format!("/v3/endpoints/{known}");
            let request = async {
                match method {
                    "create" => admin.post("/v3/endpoints", body).await,
                    _ => admin.patch(&path, body).await,
                }
            };
            meanwhile(&server, removal, request).await.expect(400);
        }
    }
    let parent = add(&admin, "region", json!({})).await;
    let removal = async |tx: &mut Tx| {
        let ids = [parent.as_str().into()];
        tx.regions_mut().delete(&ids).await.unwrap();
    };
    let body = json!({"region": {"parent_region_id": parent}});
    meanwhile(&server, removal, admin.post("/v3/regions", body))
        .await
        .expect(404);
    let left = format!("region WHERE parent_region_id = '{parent}'");
    assert_eq!(rows(&server, &left).await, 0);
}

#[tokio::test]
async fn two_moves_at_once_close_no_circle_of_regions() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let a = add(&admin, "region", json!({})).await;
    let b = add(&admin, "region", json!({})).await;
    let work = async |tx: &mut Tx| {
        let id = a.as_str().into();
        let changed = tx.change(&id, |mut region: Region| {
            region.parent_region_id = Some(b.as_str().into());
            Ok::<_, StoreError>(region)
        });
        changed.await.unwrap();
    };
    let body = json!({"region": {"parent_region_id": a}});
    let path = format!("/v3/regions/{b}");
    let answer = meanwhile(&server, work, admin.patch(&path, body)).await;
    answer.expect(400);
}

#[tokio::test]
async fn a_protocol_is_not_given_what_goes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rules = json!([{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "U"}]}]);
    for (gone, status) in [("provider", 404), ("mapping", 400)] {
        let provider = format!("/v3/OS-FEDERATION/identity_providers/{gone}");
        let mapping = format!("/v3/OS-FEDERATION/mappings/{gone}");
        admin
            .put(&provider, json!({"identity_provider": {}}))
            .await
            .expect(201);
        admin
            .put(&mapping, json!({"mapping": {"rules": rules}}))
            .await
            .expect(201);
        let removal = async |tx: &mut Tx| match gone {
            "provider" => tx
                .identity_providers_mut()
                .delete(&gone.into(), NOW)
                .await
                .unwrap(),
            _ => tx.mappings_mut().delete(&gone.into()).await.unwrap(),
        };
        let body = json!({"protocol": {"mapping_id": gone}});
        let path = format!("{provider}/protocols/p");
        meanwhile(&server, removal, admin.put(&path, body))
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn a_grant_that_two_give_at_once_is_given() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = add(&admin, "user", json!({"name": "u"})).await;
    let role = add(&admin, "role", json!({"name": "r"})).await;
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let work = async |tx: &mut Tx| {
        let added = assignment::Assignment {
            role_id: role.as_str().into(),
            actor: assignment::Actor::User(user.as_str().into()),
            target: assignment::AssignmentTarget::Project(ProjectId::from(project.as_str())),
            inherited: false,
        };
        tx.assignments_mut().insert(&added).await.unwrap();
    };
    let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
    meanwhile(&server, work, admin.put_empty(&path))
        .await
        .expect(204);
    assert_eq!(
        rows(&server, &format!("assignment WHERE role_id = '{role}'")).await,
        1
    );
}

#[tokio::test]
async fn a_name_that_two_take_at_once_is_a_conflict() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (kind, body) in [
        ("domain", json!({"name": "x"})),
        ("project", json!({"name": "x"})),
        ("user", json!({"name": "x"})),
        ("group", json!({"name": "x"})),
        ("role", json!({"name": "x"})),
        ("region", json!({"id": "x"})),
    ] {
        let ask = async || {
            let path = format!("/v3/{kind}s");
            admin.post(&path, json!({ kind: body })).await.status
        };
        let mut statuses: [u16; 3] = tokio::join!(ask(), ask(), ask()).into();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409], "{kind}");
    }
    // A region that two endpoints bring by its old name is one region.
    let service = add(&admin, "service", json!({"type": "s"})).await;
    let ask = async || {
        let endpoint = json!({
            "service_id": service, "interface": "public", "url": "http://e.example", "region": "y",
        });
        admin
            .post("/v3/endpoints", json!({ "endpoint": endpoint }))
            .await
            .status
    };
    let statuses: [u16; 3] = tokio::join!(ask(), ask(), ask()).into();
    assert_eq!(statuses, [201, 201, 201]);
}

#[tokio::test]
async fn a_login_meets_what_goes_without_harm() {
    const PROVIDER: &str = "/v3/OS-FEDERATION/identity_providers/corp";
    for (gone, status) in [
        ("provider", 404),
        ("protocol", 404),
        ("domain", 404),
        ("group", 400),
        ("user", 201),
        ("project", 201),
        ("role", 404),
    ] {
        let server = TestServer::start_with(|config| {
            config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        })
        .await;
        let admin = server.admin().await;
        let domain = add(&admin, "domain", json!({"name": "d"})).await;
        let group = add(&admin, "group", json!({"name": "g"})).await;
        let role = add(&admin, "role", json!({"name": "r"})).await;
        let project = json!({"name": "p", "domain_id": domain});
        let project = add(&admin, "project", project).await;
        let provider = json!({"enabled": true, "domain_id": domain});
        let provider = json!({ "identity_provider": provider });
        admin.put(PROVIDER, provider).await.expect(201);
        let rules = json!([{
            "local": [
                {"user": {"name": "{0}"}, "group": {"id": group}},
                {"projects": [{"name": "p", "roles": [{"name": "r"}]}]},
            ],
            "remote": [{"type": "REMOTE_USER"}],
        }]);
        let body = json!({"mapping": {"rules": rules}});
        let mapping = "/v3/OS-FEDERATION/mappings/m";
        admin.put(mapping, body).await.expect(201);
        let protocol = format!("{PROVIDER}/protocols/mapped");
        let body = json!({"protocol": {"mapping_id": "m"}});
        admin.put(&protocol, body).await.expect(201);
        let visitor = server.nobody().with_header("x-env-remote_user", "jane");
        let login = format!("{protocol}/auth");
        let mut user = String::new();
        if gone == "user" {
            let token = visitor.get(&login).await.expect(201);
            user = token["token"]["user"]["id"].as_str().unwrap().to_owned();
            let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
            admin.delete(&path).await.expect(204);
        }
        let removal = async |tx: &mut Tx| {
            let (provider, protocol) = ("corp".into(), "mapped".into());
            match gone {
                "provider" => tx
                    .identity_providers_mut()
                    .delete(&provider, NOW)
                    .await
                    .unwrap(),
                "protocol" => {
                    let protocols = &mut tx.protocols_mut();
                    assert!(protocols.delete(&provider, &protocol, NOW).await.unwrap());
                }
                "domain" => delete_domain(tx, &domain).await,
                "group" => delete_group(tx, &group).await,
                "user" => delete_user(tx, &user).await,
                "project" => delete_project(tx, &project).await,
                _ => delete_role(tx, &role).await,
            }
        };
        let answer = meanwhile(&server, removal, visitor.get(&login)).await;
        assert_eq!(answer.status, status, "{gone}: {}", answer.text);
        // Nobody who does not exist holds a role, and nobody holds one on what does not exist.
        let orphans = "assignment WHERE type = 'UserProject' AND (\
             actor_id NOT IN (SELECT id FROM \"user\") \
             OR target_id NOT IN (SELECT id FROM project))";
        assert_eq!(rows(&server, orphans).await, 0, "{gone}");
    }
}
