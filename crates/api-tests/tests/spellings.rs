//! Ids by another spelling. MariaDB finds a row by its id in upper case too, the other databases do
//! not; what is written then is the id of the row.

use model::ids::UserId;
use model::revocation::RevocationEvent;
use serde_json::json;
use store::Dialect;
use testkit::{Answer, Client, PASSWORD, Scope, TestServer, home};

use crate::orphans::add;

struct Scene {
    server: TestServer,
    admin: Client,
    /// Whether the database finds what is spelled in another way.
    finds: bool,
}

fn upper(id: impl ToString) -> String {
    let id = id.to_string();
    let upper = id.to_uppercase();
    assert_ne!(upper, id);
    upper
}

impl Scene {
    async fn set() -> Self {
        let server = TestServer::start().await;
        Self {
            admin: server.admin().await,
            finds: server.app.parts.store.dialect() == Dialect::MariaDb,
            server,
        }
    }

    /// A request with an id in upper case: it is done, or finds nothing.
    fn expect(&self, answer: &Answer, missing: u16) {
        match self.finds {
            true => assert!(answer.status < 300, "{} {}", answer.status, answer.text),
            false => assert_eq!(answer.status, missing, "{}", answer.text),
        }
    }

    /// Somebody who is a member of a project, with a token for it.
    async fn person(&self, name: &str) -> (UserId, Client) {
        let roles = [("member", Scope::Project)];
        let id = self.server.add_person(name, &roles).await;
        (id, self.token_of(name).await)
    }

    async fn token_of(&self, name: &str) -> Client {
        let on_home = json!({"project": {"id": home()}});
        self.server.log_in(name, Some(on_home)).await
    }

    async fn validate(&self, token: &Client) -> u16 {
        let asking = self.admin.clone();
        let asking = asking.with_header("x-subject-token", token.token());
        asking.get("/v3/auth/tokens").await.status
    }

    /// What the tokens come to when the database finds the other spelling, and when not.
    async fn expect_ended(&self, token: &Client) {
        let status = if self.finds { 404 } else { 200 };
        assert_eq!(self.validate(token).await, status);
    }

    async fn has_event(&self, fits: impl Fn(&RevocationEvent) -> bool) -> bool {
        let events = self.server.app.parts.store.revocations().list(None).await;
        events.unwrap().iter().any(fits)
    }

    async fn role(&self, name: &str) -> String {
        let path = format!("/v3/roles?name={name}");
        let roles = self.admin.get(&path).await.expect(200);
        roles["roles"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_tokens_of_a_user_end_by_any_spelling() {
    let scene = Scene::set().await;
    for act in ["delete", "disable", "reset", "change", "revoke"] {
        let (id, token) = scene.person(act).await;
        let path = format!("/v3/users/{}", upper(&id));
        let answer = match act {
            "delete" => scene.admin.delete(&path).await,
            "disable" => {
                let body = json!({"user": {"enabled": false}});
                scene.admin.patch(&path, body).await
            }
            "reset" => {
                let body = json!({"user": {"password": "another"}});
                scene.admin.patch(&path, body).await
            }
            "change" => {
                let path = format!("{path}/password");
                let body = json!({"user": {"original_password": PASSWORD, "password": "another"}});
                scene.server.nobody().post(&path, body).await
            }
            _ => scene.admin.delete(&format!("{path}/tokens")).await,
        };
        scene.expect(&answer, if act == "change" { 401 } else { 404 });
        let is_revoked = scene.has_event(|event| event.user_id.as_ref() == Some(&id));
        assert_eq!(is_revoked.await, scene.finds, "{act}");
        if act == "disable" {
            scene.server.set_enabled(&id, true).await;
        }
        scene.expect_ended(&token).await;
    }
}

#[tokio::test]
async fn a_role_of_a_group_ends_with_the_membership_by_any_spelling() {
    let scene = Scene::set().await;
    let role = scene.role("member").await;
    for act in ["leave", "delete the group"] {
        let id = scene.server.add_person(act, &[]).await;
        let group = add(&scene.admin, "group", json!({ "name": act })).await;
        let grant = format!("/v3/projects/{}/groups/{group}/roles/{role}", home());
        scene.admin.put_empty(&grant).await.expect(204);
        let member = format!("/v3/groups/{group}/users/{}", upper(&id));
        scene.expect(&scene.admin.put_empty(&member).await, 404);
        if !scene.finds {
            let member = format!("/v3/groups/{group}/users/{id}");
            scene.admin.put_empty(&member).await.expect(204);
        }
        let token = scene.token_of(act).await;
        if act == "leave" {
            scene.expect(&scene.admin.delete(&member).await, 404);
            scene.expect_ended(&token).await;
        } else {
            let group = format!("/v3/groups/{group}");
            scene.admin.delete(&group).await.expect(204);
            assert_eq!(scene.validate(&token).await, 404);
        }
        let is_revoked = scene.has_event(|event| event.user_id.as_ref() == Some(&id));
        assert_eq!(is_revoked.await, scene.finds || act != "leave", "{act}");
    }
}

#[tokio::test]
async fn a_grant_by_any_spelling_is_that_of_the_user_and_the_target() {
    let scene = Scene::set().await;
    let role = scene.role("reader").await;
    let (id, token) = scene.person("ada").await;
    let (user, project, domain) = (upper(&id), upper(home()), upper("default"));
    for place in [
        format!("/v3/projects/{project}/users/{user}/roles/{role}"),
        format!("/v3/domains/{domain}/users/{user}/roles/{role}"),
        format!("/v3/system/users/{user}/roles/{role}"),
        format!(
            "/v3/OS-INHERIT/projects/{project}/users/{user}/roles/{role}/inherited_to_projects"
        ),
        format!("/v3/OS-INHERIT/domains/{domain}/users/{user}/roles/{role}/inherited_to_projects"),
    ] {
        let path = format!("/v3/role_assignments?user.id={id}&role.id={role}");
        scene.expect(&scene.admin.put_empty(&place).await, 404);
        let granted = scene.admin.get(&path).await.expect(200);
        let granted = granted["role_assignments"].as_array().unwrap();
        assert_eq!(granted.len(), usize::from(scene.finds), "{place}");
        for assignment in granted {
            let told = assignment.to_string();
            let is_spelled_so = |other: &String| told.contains(other.as_str());
            assert!(
                ![&user, &project, &domain].into_iter().any(is_spelled_so),
                "{told}"
            );
        }
        scene.expect(&scene.admin.delete(&place).await, 404);
        let left = scene.admin.get(&path).await.expect(200);
        assert_eq!(left["role_assignments"], json!([]), "{place}");
    }
    let member = scene.role("member").await;
    let own = format!("/v3/projects/{project}/users/{user}/roles/{member}");
    scene.expect(&scene.admin.delete(&own).await, 404);
    scene.expect_ended(&token).await;
}

#[tokio::test]
async fn the_tokens_of_a_project_end_by_any_spelling() {
    let scene = Scene::set().await;
    let (_, token) = scene.person("ada").await;
    let path = format!("/v3/projects/{}", upper(home()));
    scene.expect(&scene.admin.delete(&path).await, 404);
    scene.expect_ended(&token).await;
    let is_revoked = scene.has_event(|event| event.project_id.as_ref() == Some(&home()));
    assert_eq!(is_revoked.await, scene.finds);
}
