//! Application credentials over HTTP, and the tokens obtained with them.

mod access;
mod attributes;
mod logins;

use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer, home};

const REFUSED: &str = "The request you have made requires authentication.";

/// A member of the project `home`, and the path of their application credentials.
async fn owner(server: &TestServer) -> (Client, String) {
    person(server, "owner", "member").await
}

async fn person(server: &TestServer, name: &str, role: &str) -> (Client, String) {
    let id = server.add_person(name, &[(role, Scope::Project)]).await;
    let client = server
        .log_in(name, Some(json!({"project": {"id": home()}})))
        .await;
    (client, format!("/v3/users/{id}/application_credentials"))
}

async fn create(client: &Client, path: &str, document: Value) -> Answer {
    client
        .post(path, json!({ "application_credential": document }))
        .await
}

/// Creates one that must succeed.
async fn created(client: &Client, path: &str, document: Value) -> Value {
    create(client, path, document).await.expect(201)["application_credential"].clone()
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap().to_owned()
}

fn one(path: &str, credential: &Value) -> String {
    format!("{path}/{}", text(credential, "id"))
}

/// The names of the roles, sorted.
fn roles(credential: &Value) -> Vec<String> {
    let roles = credential["roles"].as_array().unwrap();
    let mut names: Vec<_> = roles.iter().map(|role| text(role, "name")).collect();
    names.sort_unstable();
    names
}

/// The id of one of the roles.
fn role_id(credential: &Value, name: &str) -> String {
    let roles = credential["roles"].as_array().unwrap();
    let role = roles.iter().find(|role| role["name"] == name).unwrap();
    text(role, "id")
}

async fn log_in(server: &TestServer, proof: Value) -> Answer {
    let identity = json!({"methods": ["application_credential"], "application_credential": proof});
    let body = json!({"auth": {"identity": identity}});
    server.nobody().post("/v3/auth/tokens", body).await
}

/// Somebody with a token obtained with the credential.
async fn bearer(server: &TestServer, credential: &Value) -> Client {
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    let answer = log_in(server, proof).await;
    answer.expect(201);
    server.nobody().with_token(answer.header("X-Subject-Token"))
}

async fn validate(asker: &Client, token: &str) -> Answer {
    asker
        .clone()
        .with_header("x-subject-token", token)
        .get("/v3/auth/tokens")
        .await
}
