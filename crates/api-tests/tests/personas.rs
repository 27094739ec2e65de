//! Who may do what, by the table of operations: nine personas ask for each of them.
//!
//! What reads is asked of things that are there. What changes or deletes is asked of things that are
//! not: those who may get a 404, or a 400 for a body that is only as good as its schema; all others a
//! 403. Of those who may create, the second gets a 409. A new operation is a new line of the snapshot.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Map, Value, json};
use testkit::{Client, Scope, TestServer, home};
use web::operation::Operation;
use web::schemas::Schemas;

/// An id that nothing has.
const MISSING: &str = "00000000000000000000000000000000";

/// What the variables of paths stand for when something is read.
struct Known {
    user: String,
    group: String,
    role: String,
    region: String,
    project: String,
}

impl Known {
    async fn add(admin: &Client, user: String) -> Self {
        let group = admin.post("/v3/groups", json!({"group": {"name": "g"}}));
        let group = group.await.expect(201)["group"]["id"].clone();
        let role = admin.post("/v3/roles", json!({"role": {"name": "r"}}));
        let role = role.await.expect(201)["role"]["id"].clone();
        let region = admin.post("/v3/regions", json!({"region": {"id": "here"}}));
        region.await.expect(201);
        Self {
            user,
            group: group.as_str().unwrap().to_owned(),
            role: role.as_str().unwrap().to_owned(),
            region: "here".into(),
            project: home().to_string(),
        }
    }

    fn path(&self, operation: &Operation) -> String {
        let reads = [Method::GET, Method::HEAD].contains(&operation.method);
        let mut path = operation.path.to_owned();
        for variable in operation.variables() {
            let value = match variable {
                _ if !reads => MISSING,
                "user_id" => &self.user,
                "group_id" => &self.group,
                "project_id" => &self.project,
                "domain_id" => "default",
                "region_id" => &self.region,
                name if name.ends_with("role_id") => &self.role,
                _ => MISSING,
            }
            .to_owned();
            path = path.replace(&format!("{{{variable}}}"), &value);
        }
        path
    }
}

/// The least that a schema takes.
fn sample(schema: &Value) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values[0].clone();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(first) = schema[choice].get(0) {
            return sample(first);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap_or_default(),
        kind => kind.as_str().unwrap_or("object"),
    };
    match kind {
        "string" if schema["format"] == "uri" => json!("http://a.example/"),
        "string" => json!("public"),
        "boolean" => json!(true),
        "integer" | "number" => json!(1),
        "null" => Value::Null,
        "array" => match schema["minItems"].as_u64() {
            Some(1..) => json!([sample(&schema["items"])]),
            _ => json!([]),
        },
        _ => {
            let names = schema["required"].as_array().into_iter().flatten();
            let names = names.filter_map(Value::as_str);
            let members = names.map(|name| {
                let value = sample(&schema["properties"][name]);
                (name.to_owned(), value)
            });
            let mut members: Map<_, _> = members.collect();
            if members.is_empty() && schema["minProperties"].is_u64() {
                let names = ["description", "name", "enabled"];
                let known = |name: &&&str| schema["properties"].get(**name).is_some();
                if let Some(name) = names.iter().find(known) {
                    members.insert((*name).to_owned(), sample(&schema["properties"][name]));
                }
            }
            Value::Object(members)
        }
    }
}

fn body(operation: &Operation, schemas: &Schemas) -> Option<Value> {
    match (operation.body_schema, operation.part_schema) {
        (Some(name), _) => Some(sample(schemas.find(name).unwrap())),
        (None, Some((attribute, name))) => {
            Some(json!({attribute: sample(schemas.find(name).unwrap())}))
        }
        (None, None) if operation.method == Method::POST => Some(json!({})),
        (None, None) => None,
    }
}

#[tokio::test]
async fn nine_personas_get_what_the_policy_says_of_every_operation() {
    let server = TestServer::start().await;
    let schemas = Schemas::load();
    let stranger = server.stranger().await;
    let whoami = stranger
        .clone()
        .with_header("x-subject-token", stranger.token());
    let whoami = whoami.get("/v3/auth/tokens").await.expect(200);
    let user = whoami["token"]["user"]["id"].as_str().unwrap().to_owned();
    let known = Known::add(&server.admin().await, user).await;
    let personas = [
        server.nobody(),
        stranger,
        server.with_role("reader", Scope::Project).await,
        server.with_role("member", Scope::Project).await,
        server.with_role("admin", Scope::Project).await,
        server.with_role("reader", Scope::Domain).await,
        server.with_role("admin", Scope::Domain).await,
        server.with_role("reader", Scope::System).await,
        server.with_role("admin", Scope::System).await,
    ];
    let mut lines = String::from(
        "nobody, stranger; reader, member and admin of a project; reader and admin of a domain; \
         reader and admin of the system\n\n",
    );
    for operation in api::routes().operations() {
        let path = known.path(operation);
        let mut line = String::new();
        for persona in &personas {
            let (method, body) = (operation.method.clone(), body(operation, &schemas));
            let answer = persona.send(method, &path, body).await;
            write!(line, "{} ", answer.status).unwrap();
        }
        writeln!(lines, "{line} {} {}", operation.method, operation.path).unwrap();
    }
    insta::assert_snapshot!(lines);
}
