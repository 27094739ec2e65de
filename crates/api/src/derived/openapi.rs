//! The description of the API, as it is checked in.

use serde_json::Value;
use web::openapi::describe;
use web::schemas::Schemas;

/// Describes the whole API.
pub fn document() -> Value {
    describe(crate::routes().operations(), &Schemas::load())
}

/// The same as text.
pub fn text() -> String {
    format!("{:#}\n", document())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_checked_in_description_is_current() {
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let path = package + "/../../docs/openapi.json";
        let checked_in = std::fs::read_to_string(path).unwrap();
        assert!(
            checked_in == text(),
            "write it again: cargo run --bin archstone -- openapi > docs/openapi.json"
        );
    }

    #[test]
    fn every_operation_is_there_under_a_name_of_its_own() {
        let document = document();
        let routes = crate::routes();
        let mut ids = HashSet::new();
        for operation in routes.operations() {
            let method = operation.method.as_str().to_lowercase();
            let described = &document["paths"][operation.path][method];
            assert_eq!(described["summary"], operation.summary);
            assert_eq!(described["security"].is_array(), operation.public.is_some());
            assert!(
                ids.insert(described["operationId"].to_string()),
                "{described}"
            );
        }
    }

    #[test]
    fn every_reference_leads_to_something() {
        fn targets<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|member| targets(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| targets(item, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        targets(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for target in found {
            let pointer = target.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn a_login_and_a_query_are_described() {
        let document = document();
        let login = &document["paths"]["/v3/auth/tokens"]["post"];
        let schema = &login["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(
            schema["properties"]["auth"],
            json!({"$ref": "#/components/schemas/auth.token_issue"})
        );
        let regions = &document["paths"]["/v3/regions"]["get"]["parameters"];
        let names: Vec<_> = regions
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert!(names.contains(&"parent_region_id"), "{names:?}");
    }
}
