//! Memberships in groups that an identity provider brought, and that end by themselves.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Client, PASSWORD, TestServer, home};

#[tokio::test]
async fn a_membership_gives_roles_until_it_ends() {
    let scene = Scene::set(Some(30), |_| {}).await;
    let ada = scene.log_in(on_home()).await;
    let crew = &scene.crew;
    scene.server.clock.advance(TimeDelta::seconds(30 * 60 - 1));
    assert_eq!(scene.held().await, ["member on default", "member on home"]);
    assert_eq!(scene.validate(&ada).await, 200);
    assert_eq!(scene.statuses().await, [201, 201, 201]);
    assert_eq!(scene.places(&ada).await, ["home", "home", "Default"]);
    let path = format!("/v3/users/{}/groups", scene.ada);
    let groups = scene.admin.get(&path).await.expect(200);
    assert_eq!(
        groups["groups"][0]["membership_expires_at"],
        "2026-05-04T03:32:01.000000"
    );
    let membership = format!("/v3/groups/{crew}/users/{}", scene.ada);
    scene.admin.head(&membership).await.expect(204);
    // As in Keystone: only who asks of one user sees them.
    let members = format!("/v3/groups/{crew}/users");
    let members = scene.admin.get(&members).await.expect(200);
    assert_eq!(members["users"], json!([]));
    let path = format!("/v3/role_assignments?effective&scope.project.id={}", home());
    let listed = scene.admin.get(&path).await.expect(200);
    assert_eq!(listed["role_assignments"], json!([]));

    scene.server.clock.advance(TimeDelta::seconds(1));
    assert_eq!(scene.held().await, [""; 0]);
    assert_eq!(scene.validate(&ada).await, 404);
    assert_eq!(scene.statuses().await, [401, 401, 401]);
    let unscoped = scene.log_in(json!("unscoped")).await;
    assert_eq!(scene.places(&unscoped).await, [""; 0]);
    scene.admin.head(&membership).await.expect(404);

    // The next login verifies it again.
    let now = "2026-05-04 03:32:01.000000";
    let verify = format!("UPDATE expiring_user_group_membership SET last_verified = '{now}'");
    scene.server.sql(&verify).await;
    assert_eq!(scene.validate(&ada).await, 200);
    assert_eq!(scene.statuses().await, [201, 201, 201]);
}

#[tokio::test]
async fn an_application_credential_works_for_as_long_as_the_membership() {
    let scene = Scene::set(Some(30), |_| {}).await;
    let ada = scene.log_in(on_home()).await;
    let path = format!("/v3/users/{}/application_credentials", scene.ada);
    let asked = json!({"application_credential": {"name": "ci"}});
    let made = ada.post(&path, asked).await.expect(201);
    let made = &made["application_credential"];
    let proof = json!({"id": made["id"], "secret": made["secret"]});
    let login = json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": proof,
    }}});
    let nobody = scene.server.nobody();
    let issued = nobody.post("/v3/auth/tokens", login.clone()).await;
    issued.expect(201);
    let token = nobody.clone().with_token(issued.header("X-Subject-Token"));
    assert_eq!(scene.validate(&token).await, 200);
    scene.server.clock.advance(TimeDelta::minutes(30));
    assert_eq!(scene.validate(&token).await, 404);
    nobody.post("/v3/auth/tokens", login).await.expect(401);
}

#[tokio::test]
async fn a_provider_that_says_nothing_leaves_it_to_the_configuration() {
    for minutes in [None, Some(0)] {
        let scene = Scene::set(minutes, |_| {}).await;
        assert_eq!(scene.held().await, [""; 0]);
        assert_eq!(scene.statuses().await, [401, 401, 401]);
        let scene = Scene::set(minutes, |ttl| *ttl = 10).await;
        let ada = scene.log_in(on_home()).await;
        scene.server.clock.advance(TimeDelta::seconds(599));
        assert_eq!(scene.validate(&ada).await, 200);
        scene.server.clock.advance(TimeDelta::seconds(1));
        assert_eq!(scene.validate(&ada).await, 404);
        let groups = format!("/v3/users/{}/groups", scene.ada);
        let groups = scene.admin.get(&groups).await.expect(200);
        assert_eq!(groups["groups"], json!([]));
    }
}

#[tokio::test]
async fn what_a_provider_says_of_memberships_counts_at_once() {
    let scene = Scene::set(Some(30), |_| {}).await;
    let ada = scene.log_in(on_home()).await;
    scene.server.clock.advance(TimeDelta::minutes(20));
    assert_eq!(scene.validate(&ada).await, 200);
    let change = json!({"identity_provider": {"authorization_ttl": 20}});
    let path = "/v3/OS-FEDERATION/identity_providers/corp";
    scene.admin.patch(path, change).await.expect(200);
    assert_eq!(scene.validate(&ada).await, 404);
    let change = json!({"identity_provider": {"authorization_ttl": 21}});
    scene.admin.patch(path, change).await.expect(200);
    assert_eq!(scene.validate(&ada).await, 200);
    scene.admin.delete(path).await.expect(204);
    assert_eq!(scene.validate(&ada).await, 404);
}

#[tokio::test]
async fn a_lasting_membership_stays_beside_one_that_ends() {
    let scene = Scene::set(Some(30), |_| {}).await;
    let membership = format!("/v3/groups/{}/users/{}", scene.crew, scene.ada);
    scene.admin.put_empty(&membership).await.expect(204);
    let both = ["member on default", "member on home"];
    assert_eq!(scene.held().await, both, "each is told once");
    scene.server.clock.advance(TimeDelta::minutes(30));
    assert_eq!(scene.held().await, both);
    assert_eq!(scene.statuses().await, [201, 201, 201]);
}

/// Ada is in a group that is a member of a project, a domain and the system, as `corp` said when
/// the test began.
struct Scene {
    server: TestServer,
    admin: Client,
    ada: String,
    crew: String,
}

impl Scene {
    async fn set(minutes: Option<u32>, default_minutes: impl FnOnce(&mut u32)) -> Self {
        let server = TestServer::start_with(|config| {
            default_minutes(&mut config.federation.default_authorization_ttl);
        })
        .await;
        let admin = server.admin().await;
        let ada = server.add_person("ada", &[]).await.to_string();
        let body = json!({"identity_provider": {
            "domain_id": "default",
            "authorization_ttl": minutes,
        }});
        let path = "/v3/OS-FEDERATION/identity_providers/corp";
        admin.put(path, body).await.expect(201);
        let group = json!({"group": {"name": "crew"}});
        let group = admin.post("/v3/groups", group).await.expect(201);
        let crew = group["group"]["id"].as_str().unwrap().to_owned();
        let role = admin.get("/v3/roles?name=member").await.expect(200);
        let role = role["roles"][0]["id"].as_str().unwrap();
        let places = [
            format!("projects/{}", home()),
            "domains/default".to_owned(),
            "system".to_owned(),
        ];
        for place in places {
            let grant = format!("/v3/{place}/groups/{crew}/roles/{role}");
            admin.put_empty(&grant).await.expect(204);
        }
        let brought = format!(
            "INSERT INTO expiring_user_group_membership (user_id, group_id, idp_id, last_verified) \
             VALUES ('{ada}', '{crew}', 'corp', '2026-05-04 03:02:01.000000')"
        );
        server.sql(&brought).await;
        Self {
            server,
            admin,
            ada,
            crew,
        }
    }

    async fn log_in(&self, scope: Value) -> Client {
        self.server.log_in("ada", Some(scope)).await
    }

    /// What logins for the project, the domain and the system are answered.
    async fn statuses(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        let domain = json!({"domain": {"id": "default"}});
        for scope in [on_home(), domain, json!({"system": {"all": true}})] {
            let user = json!({"id": self.ada, "password": PASSWORD});
            let login = json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": scope,
            }});
            let answer = self.server.nobody().post("/v3/auth/tokens", login).await;
            statuses.push(answer.status);
        }
        statuses
    }

    /// What ada's own token is answered when the administrator asks.
    async fn validate(&self, token: &Client) -> u16 {
        let asker = self.admin.clone();
        let asker = asker.with_header("x-subject-token", token.token());
        asker.get("/v3/auth/tokens").await.status
    }

    /// The projects, as told to ada and to the administrator, and the domains, as told to ada.
    async fn places(&self, ada: &Client) -> Vec<String> {
        let mut places = Vec::new();
        let own = format!("/v3/users/{}/projects", self.ada);
        for (asker, path, list) in [
            (ada, "/v3/auth/projects", "projects"),
            (&self.admin, own.as_str(), "projects"),
            (ada, "/v3/auth/domains", "domains"),
        ] {
            let answer = asker.get(path).await.expect(200);
            let name = |place: &Value| place["name"].as_str().unwrap().to_owned();
            places.extend(answer[list].as_array().unwrap().iter().map(name));
        }
        places
    }

    /// The role `member` as ada holds it in effect, each time it is listed.
    async fn held(&self) -> Vec<String> {
        let path = format!(
            "/v3/role_assignments?effective&include_names&user.id={}",
            self.ada
        );
        let listed = self.admin.get(&path).await.expect(200);
        let mut held = Vec::new();
        for assignment in listed["role_assignments"].as_array().unwrap() {
            let scope = &assignment["scope"];
            let place = match &scope["project"]["name"] {
                Value::String(name) => name.as_str(),
                _ => scope["domain"]["id"].as_str().unwrap(),
            };
            let link = format!("http://server/v3/groups/{}/users/{}", self.crew, self.ada);
            assert_eq!(assignment["links"]["membership"], link);
            if assignment["role"]["name"] == "member" {
                held.push(format!("member on {place}"));
            }
        }
        held.sort();
        held
    }
}

fn on_home() -> Value {
    json!({"project": {"id": home()}})
}
