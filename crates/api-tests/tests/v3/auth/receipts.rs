//! Receipts: half of a login with several methods.

use chrono::{SubsecRound as _, TimeDelta};
use model::ids::UserId;
use model::{Method, Receipt};
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Scope, TestServer, home};

/// Somebody who must pass a password and an application credential.
struct Person {
    server: TestServer,
    admin: Client,
    id: UserId,
    credential: Value,
}

impl Person {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let id = server
            .add_person("ada", &[("member", Scope::Project)])
            .await;
        let on_home = json!({"project": {"id": home()}});
        let ada = server.log_in("ada", Some(on_home)).await;
        let path = format!("/v3/users/{id}/application_credentials");
        let body = json!({"application_credential": {"name": "ci", "secret": "s"}});
        let made = ada.post(&path, body).await.expect(201);
        let credential = json!({
            "methods": ["application_credential"],
            "application_credential": {
                "id": made["application_credential"]["id"], "secret": "s",
            },
        });
        let rules = json!([["password", "application_credential"]]);
        let options = json!({"user": {"options": {"multi_factor_auth_rules": rules}}});
        let path = format!("/v3/users/{id}");
        admin.patch(&path, options).await.expect(200);
        Self {
            server,
            admin,
            id,
            credential,
        }
    }

    async fn log_in(&self, identity: &Value, receipt: Option<&str>) -> Answer {
        let mut client = self.server.nobody();
        if let Some(receipt) = receipt {
            client = client.with_header("openstack-auth-receipt", receipt);
        }
        let body = json!({"auth": {"identity": identity}});
        client.post("/v3/auth/tokens", body).await
    }

    async fn receipt_for(&self, password: &str) -> String {
        let user = json!({"id": self.id, "password": password});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let answer = self.log_in(&identity, None).await;
        answer.expect(401);
        let receipt = answer.header("Openstack-Auth-Receipt");
        assert_ne!(receipt, "");
        receipt.to_owned()
    }

    /// Shows a receipt with the method that was missing.
    async fn complete(&self, receipt: &str) -> Answer {
        self.log_in(&self.credential, Some(receipt)).await
    }

    #[track_caller]
    fn refused(answer: &Answer, receipt: &str) {
        assert_eq!(
            answer.message(401),
            format!("Could not find auth receipt: {receipt}.")
        );
    }

    async fn reset(&self, password: &str) {
        let body = json!({"user": {"password": password}});
        let path = format!("/v3/users/{}", self.id);
        self.admin.patch(&path, body).await.expect(200);
    }
}

#[tokio::test]
async fn a_receipt_completes_one_login() {
    let ada = Person::new().await;
    let receipt = ada.receipt_for(PASSWORD).await;
    let answer = ada.complete(&receipt).await;
    let token = answer.expect(201);
    let mut methods: Vec<_> = token["token"]["methods"].as_array().unwrap().clone();
    methods.sort_by_key(Value::to_string);
    assert_eq!(methods, ["application_credential", "password"]);
    Person::refused(&ada.complete(&receipt).await, &receipt);
    // Padding at the end makes it no other receipt.
    let padded = format!("{receipt}=");
    Person::refused(&ada.complete(&padded).await, &padded);
    // Another of the same second is another receipt.
    let one = ada.receipt_for(PASSWORD).await;
    let other = ada.receipt_for(PASSWORD).await;
    ada.complete(&one).await.expect(201);
    ada.complete(&other).await.expect(201);
}

#[tokio::test]
async fn a_receipt_proves_no_token_or_application_credential_which_may_be_revoked_by_itself() {
    let ada = Person::new().await;
    let answer = ada.log_in(&ada.credential, None).await;
    answer.expect(401);
    let receipt = answer.header("Openstack-Auth-Receipt").to_owned();
    let user = json!({"id": ada.id, "password": PASSWORD});
    let password = json!({"methods": ["password"], "password": {"user": user}});
    ada.log_in(&password, Some(&receipt)).await.expect(401);
    let mut both = ada.credential.clone();
    both["methods"] = json!(["password", "application_credential"]);
    both["password"] = password["password"].clone();
    ada.log_in(&both, None).await.expect(201);
}

#[tokio::test]
async fn a_receipt_that_goes_into_the_next_is_used_too() {
    let ada = Person::new().await;
    let rules = json!([["password", "application_credential", "external"]]);
    let options = json!({"user": {"options": {"multi_factor_auth_rules": rules}}});
    let path = format!("/v3/users/{}", ada.id);
    ada.admin.patch(&path, options).await.expect(200);
    let first = ada.receipt_for(PASSWORD).await;
    let second = ada.complete(&first).await;
    second.expect(401);
    let second = second.header("Openstack-Auth-Receipt");
    assert_ne!(second, "");
    Person::refused(&ada.complete(&first).await, &first);
    let third = ada.complete(second).await;
    assert_ne!(third.header("Openstack-Auth-Receipt"), "");
}

#[tokio::test]
async fn a_login_that_fails_leaves_its_receipt() {
    let ada = Person::new().await;
    let receipt = ada.receipt_for(PASSWORD).await;
    let mut wrong = ada.credential.clone();
    wrong["application_credential"]["secret"] = json!("wrong");
    ada.log_in(&wrong, Some(&receipt)).await.expect(401);
    ada.complete(&receipt).await.expect(201);
}

#[tokio::test]
async fn a_receipt_for_a_password_ends_with_the_password() {
    let ada = Person::new().await;
    let receipt = ada.receipt_for(PASSWORD).await;
    ada.server.clock.advance(TimeDelta::seconds(1));
    ada.reset("reset").await;
    Person::refused(&ada.complete(&receipt).await, &receipt);

    ada.server.clock.advance(TimeDelta::seconds(1));
    let receipt = ada.receipt_for("reset").await;
    ada.server.clock.advance(TimeDelta::seconds(1));
    let path = format!("/v3/users/{}/password", ada.id);
    let body = json!({"user": {"original_password": "reset", "password": "changed"}});
    let anybody = ada.server.nobody();
    anybody.post(&path, body).await.expect(204);
    Person::refused(&ada.complete(&receipt).await, &receipt);

    ada.server.clock.advance(TimeDelta::seconds(1));
    let receipt = ada.receipt_for("changed").await;
    ada.complete(&receipt).await.expect(201);
}

#[tokio::test]
async fn a_receipt_of_the_second_in_which_the_password_was_reset_is_older_or_newer() {
    let ada = Person::new().await;
    ada.server.clock.advance(TimeDelta::milliseconds(1_200));
    let older = ada.receipt_for(PASSWORD).await;
    ada.server.clock.advance(TimeDelta::milliseconds(300));
    ada.reset("reset").await;
    ada.server.clock.advance(TimeDelta::milliseconds(300));
    let newer = ada.receipt_for("reset").await;
    Person::refused(&ada.complete(&older).await, &older);
    ada.complete(&newer).await.expect(201);
}

#[tokio::test]
async fn what_revokes_tokens_revokes_receipts() {
    let ada = Person::new().await;
    let receipt = ada.receipt_for(PASSWORD).await;
    let path = format!("/v3/users/{}/tokens", ada.id);
    ada.admin.delete(&path).await.expect(204);
    Person::refused(&ada.complete(&receipt).await, &receipt);
    ada.server.clock.advance(TimeDelta::seconds(1));
    let receipt = ada.receipt_for(PASSWORD).await;
    ada.complete(&receipt).await.expect(201);
}

#[tokio::test]
async fn a_receipt_of_a_keystone_on_the_same_database_is_accepted() {
    let ada = Person::new().await;
    ada.server.clock.advance(TimeDelta::milliseconds(1_700));
    let now = ada.server.app.parts.clock.now();
    let receipt = ada.server.app.parts.receipts.issue(&Receipt {
        user_id: ada.id.clone(),
        methods: vec![Method::Password],
        issued_at: now.trunc_subsecs(0),
        expires_at: now.trunc_subsecs(0) + TimeDelta::minutes(5),
    });
    ada.complete(&receipt).await.expect(201);
    Person::refused(&ada.complete(&receipt).await, &receipt);
}
