//! The description of the API (OpenAPI 3.1), from the operations and the schemas of their requests.

use serde_json::{Map, Value, json};

use crate::operation::{BodyKind, Operation};
use crate::schemas::Schemas;

const ABOUT: &str = "\
The OpenStack Identity API as this release of Archstone serves it: every operation, with the \
schemas by which requests are judged and the policy rules that are asked. What answers GET answers \
HEAD too. The schemas are Keystone's, whose patterns are read as Python's `re` reads them.";

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
    /// The schemas that stand among the components; those of queries are taken apart.
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
        described["description"] = format!("Open to everybody: {reason}.").into();
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
    described["responses"] = json!({
        "2XX": {"description": "Done."},
        "default": {
            "description": "Refused or failed, and why.",
            "content": {"application/json": {"schema": reference("error")}},
        },
    });
    described
}

/// The type of a body, whether there has to be one, and its schema.
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

/// A schema of Keystone's, whose references into itself lead to its new place.
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
        .expect("operations name schemas that there are")
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

/// A name that no other operation has.
fn id(operation: &Operation) -> String {
    let mut id = operation.method.as_str().to_lowercase();
    for part in operation.path.split('/').filter(|part| !part.is_empty()) {
        id.push('_');
        id.push_str(part.trim_matches(['{', '}']));
    }
    id
}

/// The resource that a path is about: what stands after the version.
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
