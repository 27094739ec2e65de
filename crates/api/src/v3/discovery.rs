//! Discovery: which versions of the API there are and, as JSON Home, what is in them.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use web::operation::Operation;
use web::request::accept::acceptance;

/// The operations of discovery.
pub fn routes() -> Routes {
    Routes::new()
        .on(&VERSIONS, show_versions)
        .on(&VERSION, show_version)
}

static VERSIONS: Operation = Operation::get("/", "List API versions")
    .public("discovery precedes authentication")
    .answers(&[
        (200, "The JSON Home document, where the client asks for it."),
        (300, "The API versions."),
    ]);
static VERSION: Operation = Operation::get("/v3", "Show the details of API version 3")
    .public("discovery precedes authentication");

async fn show_versions(call: Call) -> Result<Reply<Value>, ApiError> {
    if wants_json_home(&call) {
        return Ok(home(&call, true));
    }
    let base_url = call.links.base_url();
    let location = HeaderValue::try_from(format!("{base_url}/v3/")).map_err(ApiError::internal)?;
    let reply = call
        .public()
        .reply(StatusCode::MULTIPLE_CHOICES, Some(versions(base_url)));
    Ok(reply.header(header::LOCATION, location).as_token())
}

async fn show_version(call: Call) -> Result<Reply<Value>, ApiError> {
    if wants_json_home(&call) {
        return Ok(home(&call, false));
    }
    let base_url = call.links.base_url();
    Ok(call.public().ok(version(base_url)).as_token())
}

fn wants_json_home(call: &Call) -> bool {
    prefers_json_home(call.request.header("accept").unwrap_or_default())
}

fn home(call: &Call, prefixed: bool) -> Reply<Value> {
    let kind = HeaderValue::from_static("application/json-home");
    call.public()
        .ok(json_home(prefixed))
        .header(header::CONTENT_TYPE, kind)
        .as_token()
}

/// The list of versions, answered at `/`. `base_url` has neither `/v3` nor a final slash.
pub fn versions(base_url: &str) -> Value {
    json!({ "versions": { "values": [version_3(base_url)] } })
}

/// The one version, answered at `/v3`. `base_url` is as for [`versions`].
pub fn version(base_url: &str) -> Value {
    json!({ "version": version_3(base_url) })
}

/// The JSON Home document (draft-nottingham-json-home-03): every kind of resource and its path, or
/// a template of its path. At `/` the paths are `prefixed` with `/v3`, at `/v3` they are not.
pub fn json_home(prefixed: bool) -> Value {
    let prefix = if prefixed { "/v3" } else { "" };
    let resources: Map<_, _> = JSON_HOME
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| json_home_resource(line, prefix))
        .collect();
    json!({ "resources": resources })
}

/// Whether a client that sends this Accept header wants JSON Home rather than plain JSON, which
/// also those get who want neither.
pub fn prefers_json_home(accept: &str) -> bool {
    let json_home = acceptance(accept, "application/json-home");
    json_home.quality > 0.0 && json_home > acceptance(accept, "application/json")
}

fn version_3(base_url: &str) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{ "rel": "self", "href": format!("{base_url}/v3/") }],
        "media-types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json",
        }],
    })
}

/// The resources, one on a line: relation, path, variables of the path as `name=relation`, hints
/// as JSON. Relations lack [`RELATION_PREFIX`].
const JSON_HOME: &str = include_str!("json_home.tsv");

const RELATION_PREFIX: &str = "https://docs.openstack.org/api/openstack-identity/3/";

fn json_home_resource(line: &str, prefix: &str) -> (String, Value) {
    let mut columns = line.split('\t');
    let mut column = || columns.next().expect("every line has four columns");
    let (relation, path, variables, hints) = (column(), column(), column(), column());

    let mut resource = Map::new();
    let href = if variables.is_empty() {
        "href"
    } else {
        "href-template"
    };
    resource.insert(href.to_owned(), format!("{prefix}{path}").into());
    if !variables.is_empty() {
        let variables: Map<_, _> = variables
            .split(' ')
            .filter_map(|variable| variable.split_once('='))
            .map(|(name, relation)| {
                (
                    name.to_owned(),
                    format!("{RELATION_PREFIX}{relation}").into(),
                )
            })
            .collect();
        resource.insert("href-vars".to_owned(), variables.into());
    }
    if !hints.is_empty() {
        let hints = serde_json::from_str(hints).expect("hints are JSON");
        resource.insert("hints".to_owned(), hints);
    }
    (format!("{RELATION_PREFIX}{relation}"), resource.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_links_to_itself() {
        let version = version("https://id.example/identity");
        assert_eq!(
            version,
            json!({"version": {
                "id": "v3.14",
                "status": "stable",
                "updated": "2020-04-07T00:00:00Z",
                "links": [{"rel": "self", "href": "https://id.example/identity/v3/"}],
                "media-types": [{
                    "base": "application/json",
                    "type": "application/vnd.openstack.identity-v3+json",
                }],
            }})
        );
        let versions = versions("https://id.example/identity");
        assert_eq!(versions["versions"]["values"][0], version["version"]);
    }

    #[test]
    fn json_home_has_paths_and_templates() {
        let resource = |prefixed, relation| {
            json_home(prefixed)["resources"][format!("{RELATION_PREFIX}{relation}")].clone()
        };
        assert_eq!(
            resource(false, "rel/auth_tokens"),
            json!({"href": "/auth/tokens"})
        );
        assert_eq!(
            resource(true, "rel/auth_tokens"),
            json!({"href": "/v3/auth/tokens"})
        );
        assert_eq!(
            resource(true, "rel/limit"),
            json!({
                "href-template": "/v3/limits/{limit_id}",
                "href-vars": {"limit_id": format!("{RELATION_PREFIX}param/limit_id")},
                "hints": {"status": "experimental"},
            })
        );
    }

    #[test]
    fn every_variable_of_a_template_is_explained() {
        for (relation, resource) in json_home(false)["resources"].as_object().unwrap() {
            let template = resource
                .get("href-template")
                .and_then(Value::as_str)
                .unwrap_or("");
            let names: std::collections::BTreeSet<_> = template
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            let explained = resource.get("href-vars").and_then(Value::as_object);
            let explained = explained
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .collect();
            assert_eq!(names, explained, "{relation}");
        }
    }

    // Every line was put to Keystone 30.0.0.
    #[test]
    fn json_home_goes_to_those_who_ask_for_it() {
        for accept in [
            "application/json-home",
            "APPLICATION/JSON-HOME",
            "application/json-home, */*",
            "application/json-home;q=0.5, */*;q=0.5",
            "application/json-home;q=0.5, application/json;q=0.4",
            "application/json;q=0, application/*",
        ] {
            assert!(prefers_json_home(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html",
            "application/*",
            "application/json, application/json-home",
            "application/json-home, application/json",
            "application/json-home;q=0",
            "application/json-home;q=2",
            "application/json-home;v=1",
            "application/json-home;q=0.4, */*;q=0.5",
        ] {
            assert!(!prefers_json_home(accept), "{accept}");
        }
    }
}
