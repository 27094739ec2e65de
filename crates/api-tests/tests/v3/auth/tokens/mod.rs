//! Tokens over HTTP: logins, validation and revocation.

mod exchange;
mod logins;
mod revocation;
mod validation;

use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, TestServer, home};

const PATH: &str = "/v3/auth/tokens";
const REFUSED: &str = "The request you have made requires authentication.";

/// The proof of a user of the default domain.
fn password(name: &str) -> Value {
    let user = json!({"name": name, "domain": {"id": "default"}, "password": PASSWORD});
    json!({"methods": ["password"], "password": {"user": user}})
}

/// The proof of who has a token.
fn token(text: &str) -> Value {
    json!({"methods": ["token"], "token": {"id": text}})
}

fn on_home() -> Value {
    json!({"project": {"id": home()}})
}

async fn log_in(server: &TestServer, identity: Value, scope: Option<Value>) -> Answer {
    let mut auth = json!({ "identity": identity });
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    server.nobody().post(PATH, json!({ "auth": auth })).await
}

/// Exchanges a token for another.
async fn exchange(server: &TestServer, from: &Client, scope: Option<Value>) -> Client {
    let answer = log_in(server, token(from.token()), scope).await;
    answer.expect(201);
    server.nobody().with_token(answer.header("X-Subject-Token"))
}

/// Somebody who asks about a token.
fn about(asker: &Client, subject: &Client) -> Client {
    asker
        .clone()
        .with_header("x-subject-token", subject.token())
}

/// The body of a token, as its holder sees it.
async fn shown(holder: &Client) -> Value {
    about(holder, holder).get(PATH).await.expect(200)["token"].clone()
}

/// The same without what the bootstrap made, whose ids are beside the point.
fn without_bootstrap(mut token: Value) -> Value {
    token["catalog"].take();
    for role in token["roles"].as_array_mut().unwrap() {
        *role = role["name"].clone();
    }
    token
}

async fn user(admin: &Client, attributes: Value) -> String {
    let created = admin.post("/v3/users", json!({ "user": attributes })).await;
    let created = created.expect(201);
    created["user"]["id"].as_str().unwrap().to_owned()
}
