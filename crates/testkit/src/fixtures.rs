//! People with roles, and the places where they hold them.

use model::assignment::{Actor, Assignment, AssignmentTarget};
use model::clock::Clock as _;
use model::ids::{DomainId, ProjectId, UserId};
use model::project::{Project, ResourceOptions};
use model::subject::UserOptions;
use model::user::{StoredPassword, User};
use model::{Extra, Secret};
use serde_json::{Value, json};

use crate::{Client, PASSWORD, TestServer};

/// Where somebody holds a role, and what their token is valid on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The project `home` of the default domain.
    Project,
    /// The default domain.
    Domain,
    /// The whole deployment.
    System,
}

impl TestServer {
    /// The administrator, on the project `admin`.
    pub async fn admin(&self) -> Client {
        let scope = json!({"project": {"name": "admin", "domain": {"id": "default"}}});
        self.log_in("admin", Some(scope)).await
    }

    /// The administrator, on the whole deployment.
    pub async fn system_admin(&self) -> Client {
        self.log_in("admin", Some(json!({"system": {"all": true}})))
            .await
    }

    /// Somebody who holds one role in one place, with a token for it.
    pub async fn with_role(&self, role: &str, scope: Scope) -> Client {
        let name = format!("{role}-{scope:?}").to_lowercase();
        self.add_person(&name, &[(role, scope)]).await;
        let scope = match scope {
            Scope::Project => json!({"project": {"id": home()}}),
            Scope::Domain => json!({"domain": {"id": "default"}}),
            Scope::System => json!({"system": {"all": true}}),
        };
        self.log_in(&name, Some(scope)).await
    }

    /// Somebody who holds no role anywhere, with a token that only says who they are.
    pub async fn stranger(&self) -> Client {
        self.add_person("stranger", &[]).await;
        self.log_in("stranger", None).await
    }

    /// Adds a user of the default domain with roles, and returns the id, which depends only on
    /// the name. Adds the project `home` when it is needed.
    pub async fn add_person(&self, name: &str, roles: &[(&str, Scope)]) -> UserId {
        let now = self.clock.now();
        let user = User {
            id: fixed_id(name).into(),
            name: name.to_owned(),
            domain_id: DomainId::from("default"),
            enabled: true,
            default_project_id: None,
            password_expires_at: None,
            last_seen: None,
            options: UserOptions::default(),
            extra: Extra::new(),
        };
        let hash = self
            .app
            .parts
            .hasher
            .hash(&Secret::new(PASSWORD.to_owned()))
            .await
            .unwrap();
        let password = StoredPassword {
            hash: Some(hash),
            created_at: now,
            expires_at: None,
            self_service: false,
        };
        self.add_home().await;
        let mut tx = self.app.parts.store.begin().await.unwrap();
        tx.users_mut()
            .insert(&user, Some(&password), now)
            .await
            .unwrap();
        for (role, scope) in roles {
            let role = tx.roles().find_by_name(role, None).await.unwrap().unwrap();
            let target = match scope {
                Scope::Project => AssignmentTarget::Project(home()),
                Scope::Domain => AssignmentTarget::Domain("default".into()),
                Scope::System => AssignmentTarget::System,
            };
            let actor = Actor::User(user.id.clone());
            let assignment = Assignment {
                role_id: role.id,
                actor,
                target,
                inherited: false,
            };
            tx.assignments_mut().insert(&assignment).await.unwrap();
        }
        let _saved = tx.commit().await.unwrap();
        user.id
    }

    /// Switches a user off or on, as a node beside this one would: without an event.
    pub async fn set_enabled(&self, id: &UserId, enabled: bool) {
        let mut tx = self.app.parts.store.begin().await.unwrap();
        tx.users_mut().set_enabled(id, enabled).await.unwrap();
        let _saved = tx.commit().await.unwrap();
    }

    async fn add_home(&self) {
        if self
            .app
            .parts
            .store
            .projects()
            .find(&home())
            .await
            .unwrap()
            .is_some()
        {
            return;
        }
        let project = Project {
            id: home(),
            name: "home".into(),
            domain_id: Some("default".into()),
            parent_id: Some("default".into()),
            description: Some(String::new()),
            enabled: true,
            tags: Vec::new(),
            options: ResourceOptions::default(),
            extra: Extra::new(),
        };
        let mut tx = self.app.parts.store.begin().await.unwrap();
        tx.projects_mut().insert(&project).await.unwrap();
        let _saved = tx.commit().await.unwrap();
    }

    /// A user of the default domain, logged in by password.
    pub async fn log_in(&self, name: &str, scope: Option<Value>) -> Client {
        let user = json!({"name": name, "domain": {"id": "default"}, "password": PASSWORD});
        let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
        if let Some(scope) = scope {
            auth["scope"] = scope;
        }
        let answer = self
            .nobody()
            .post("/v3/auth/tokens", json!({ "auth": auth }))
            .await;
        answer.expect(201);
        self.nobody().with_token(answer.header("X-Subject-Token"))
    }
}

/// The id of the project `home`.
pub fn home() -> ProjectId {
    fixed_id("home").into()
}

/// An id that depends only on a name.
fn fixed_id(name: &str) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes())
        .simple()
        .to_string()
}
