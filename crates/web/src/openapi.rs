//! The description of the API (OpenAPI 3.1), from the operations and the schemas of their requests.

use serde_json::{Map, Value, json};

use crate::operation::{BodyKind, Operation};
use crate::schemas::Schemas;

const ABOUT: &str = "\
The OpenStack Identity API as served by this release of Archstone: every operation, with the JSON \
schemas that requests are validated against and the policy rules that are enforced. Every GET \
operation also supports HEAD. The schemas are Keystone's; their patterns follow the syntax of \
Python's `re`.";

/// Describes these operations.
pub fn describe(
    operations: impl IntoIterator<Item = &'static Operation>,
    schemas: &Schemas,
) -> Value {
    let mut components = Map::new();
    components.insert("error".into(), error_schema());
    let mut paths = Map::new();
    for operation in operations {
        for name in operation.schemas() {
            if !components.contains_key(name) {
                components.insert(name.to_owned(), component(name, schemas));
            }
        }
        let item = paths
            .entry(operation.path)
            .or_insert_with(|| json!({ "parameters": variables(operation) }));
        item[operation.method.as_str().to_lowercase()] = describe_operation(operation, schemas);
    }
    paths.sort_keys();
    components.sort_keys();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Identity API",
            "version": "3.14",
            "description": ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            },
            "schemas": components,
        },
    })
}

impl Operation {
    /// The schemas that are listed as components; those of queries become parameters.
    fn schemas(&self) -> impl Iterator<Item = &'static str> {
        self.body_schema
            .into_iter()
            .chain(self.part_schema.map(|(_, schema)| schema))
    }
}

fn describe_operation(operation: &Operation, schemas: &Schemas) -> Value {
    let mut described = json!({
        "operationId": id(operation),
        "tags": [tag(operation.path)],
        "summary": operation.summary,
    });
    if let Some(reason) = operation.public {
        described["description"] = format!("No authentication required: {reason}.").into();
        described["security"] = json!([]);
    }
    if !operation.rules.is_empty() {
        let names: Vec<_> = operation.rules.iter().map(|rule| rule.name).collect();
        described["x-policy-rules"] = names.into();
    }
    if let Some(schema) = operation.query_schema.and_then(|name| schemas.find(name)) {
        described["parameters"] = arguments(schema).into();
    }
    if let Some((kind, required, schema)) = body(operation) {
        described["requestBody"] = json!({
            "required": required,
            "content": {kind: {"schema": schema}},
        });
    }
    described["responses"] = responses(operation).into();
    described
}

/// What an operation answers, by status.
fn responses(operation: &Operation) -> Map<String, Value> {
    let mut responses = Map::new();
    let mut is_served = true;
    match operation.answers {
        Some(answers) => {
            for (status, description) in answers {
                is_served &= *status < 400;
                let response = match status {
                    400.. => error(description),
                    _ => json!({ "description": description }),
                };
                responses.insert(status.to_string(), response);
            }
        }
        None => {
            let description = usual_description(operation);
            let status = operation.usual_status().as_str().to_owned();
            responses.insert(status, json!({ "description": description }));
        }
    }
    if is_served {
        let reads = operation.body_schema.is_some()
            || operation.part_schema.is_some()
            || operation.body_kind != BodyKind::Json;
        let changes = matches!(operation.method.as_str(), "POST" | "PUT" | "PATCH")
            && operation.answers.is_none();
        let errors = [
            (
                "400",
                "The request body is invalid.",
                reads && operation.method != http::Method::GET,
            ),
            (
                "400",
                "The query is invalid.",
                !reads && operation.query_schema.is_some(),
            ),
            (
                "401",
                "Authentication required.",
                operation.public.is_none(),
            ),
            ("401", "Authentication failed.", operation.public.is_some()),
            ("403", "Forbidden by policy.", !operation.rules.is_empty()),
            ("404", "Not found.", operation.variables().next().is_some()),
            ("409", "Conflict.", changes && !operation.rules.is_empty()),
        ];
        for (status, description, applies) in errors {
            if applies {
                responses.insert(status.to_owned(), error(description));
            }
        }
    }
    responses.insert("default".to_owned(), error("Any other error."));
    responses
}

fn error(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": reference("error")}},
    })
}

/// Describes a success by the summary of its operation: "Show a tag of a project" answers with "The
/// tag of the project."
fn usual_description(operation: &Operation) -> String {
    let (verb, what) = operation
        .summary
        .split_once(' ')
        .expect("a summary has a verb and an object");
    let what = ["a ", "an ", "the "]
        .iter()
        .find_map(|article| what.strip_prefix(article))
        .unwrap_or(what)
        .replace(" of an ", " of the ")
        .replace(" of a ", " of the ")
        .replace(" on a ", " on the ");
    match verb {
        "List" | "Show" | "Create" | "Update" => format!("The {what}."),
        "Delete" => format!("The {what} is deleted."),
        _ => panic!("{:?} needs a description of its answer", operation.summary),
    }
}

/// The media type of a request body, whether it is required, and its schema.
fn body(operation: &Operation) -> Option<(&'static str, bool, Value)> {
    match (operation.body_schema, operation.part_schema) {
        _ if operation.body_kind != BodyKind::Json => (operation.method == http::Method::POST)
            .then(|| {
                let form = json!({"type": "object", "additionalProperties": {"type": "string"}});
                ("application/x-www-form-urlencoded", true, form)
            }),
        (Some(schema), _) => Some(("application/json", true, reference(schema))),
        (None, Some((attribute, schema))) => {
            let whole = json!({
                "type": "object",
                "properties": {attribute: reference(schema)},
                "required": [attribute],
            });
            Some(("application/json", true, whole))
        }
        (None, None) => None,
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// One of Keystone's schemas, with its internal references rewritten to its place in the document.
fn component(name: &str, schemas: &Schemas) -> Value {
    fn moved(value: &mut Value, place: &str) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get_mut("$ref")
                    && let Some(inner) = target.strip_prefix('#')
                {
                    *target = format!("{place}{inner}");
                }
                members.values_mut().for_each(|member| moved(member, place));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| moved(item, place)),
            _ => {}
        }
    }
    let mut schema = schemas
        .find(name)
        .expect("operations name known schemas")
        .clone();
    moved(&mut schema, &format!("#/components/schemas/{name}"));
    schema
}

/// The variables of a path.
fn variables(operation: &Operation) -> Vec<Value> {
    operation
        .variables()
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect()
}

/// The parameters that the schema of a query names.
fn arguments(schema: &Value) -> Vec<Value> {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|required| required == name))
    };
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let mut parameter = json!({"name": name, "in": "query", "schema": schema});
            if required(name) {
                parameter["required"] = true.into();
            }
            parameter
        })
        .collect()
}

/// The unique identifier of an operation.
fn id(operation: &Operation) -> String {
    let mut id = operation.method.as_str().to_lowercase();
    for part in operation.path.split('/').filter(|part| !part.is_empty()) {
        id.push('_');
        id.push_str(part.trim_matches(['{', '}']));
    }
    id
}

/// The resource of a path: the segment after the version.
fn tag(path: &str) -> &str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("v3") => parts.next().unwrap_or("discovery"),
        _ => "discovery",
    }
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "integer"},
                    "message": {"type": "string"},
                    "title": {"type": "string"},
                },
                "required": ["code", "message", "title"],
            },
        },
        "required": ["error"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_of_a_schema_follow_it() {
        let schemas = Schemas::load();
        let names: Vec<_> = schemas.names().map(str::to_owned).collect();
        let mut own = 0;
        for name in names {
            let text = schemas.find(&name).unwrap().to_string();
            let old = text.matches("\"$ref\":\"#/definitions/").count();
            let place = format!("\"$ref\":\"#/components/schemas/{name}/definitions/");
            let moved = component(&name, &schemas).to_string();
            assert_eq!(moved.matches(&place).count(), old);
            own += old;
        }
        assert!(own > 0);
    }
}
