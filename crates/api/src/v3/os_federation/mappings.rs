//! Mappings: rules that turn what an identity provider says into a user, groups and projects.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use config::MappingVersion;
use model::Assertion;
use model::federation::Mapping;
use model::ids::MappingId;
use model::mapping::{Evaluation, Mapped, RuleExplanation, Rules, SchemaVersion};
use policy::Rule;
use serde::Serialize;
use serde_json::{Map, Value};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::Json;

use super::{check_id, manage_rule, new_rule, read_rule};

/// The operations on mappings.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
        .on(&EVALUATE, evaluate)
        .on(&EVALUATE_DRAFT, evaluate_draft)
}

static LIST: Operation =
    Operation::get("/v3/OS-FEDERATION/mappings", "List mappings").rules(&[LIST_MAPPINGS]);
static SHOW: Operation =
    Operation::get("/v3/OS-FEDERATION/mappings/{mapping_id}", "Show a mapping")
        .rules(&[GET_MAPPING]);
static CREATE: Operation = Operation::put(
    "/v3/OS-FEDERATION/mappings/{mapping_id}",
    "Create a mapping",
)
.rules(&[CREATE_MAPPING]);
static UPDATE: Operation = Operation::patch(
    "/v3/OS-FEDERATION/mappings/{mapping_id}",
    "Update a mapping",
)
.rules(&[UPDATE_MAPPING]);
static DELETE: Operation = Operation::delete(
    "/v3/OS-FEDERATION/mappings/{mapping_id}",
    "Delete a mapping",
)
.rules(&[DELETE_MAPPING]);
static EVALUATE: Operation = Operation::post(
    "/v3/OS-FEDERATION/mappings/{mapping_id}/evaluate",
    "Evaluate a mapping on an assertion",
)
.rules(&[EVALUATE_MAPPING])
.answers(&[(200, "The result of the mapping, and how it came about.")]);
static EVALUATE_DRAFT: Operation = Operation::post(
    "/v3/OS-FEDERATION/mappings/evaluate",
    "Evaluate unsaved mapping rules on an assertion",
)
.rules(&[EVALUATE_MAPPING])
.answers(&[(200, "The result of the mapping, and how it came about.")]);

const LIST_MAPPINGS: Rule = read_rule("identity:list_mappings");
const GET_MAPPING: Rule = read_rule("identity:get_mapping");
const CREATE_MAPPING: Rule = manage_rule("identity:create_mapping");
const UPDATE_MAPPING: Rule = manage_rule("identity:update_mapping");
const DELETE_MAPPING: Rule = manage_rule("identity:delete_mapping");
/// Ours; Keystone has it on the command line only.
const EVALUATE_MAPPING: Rule = new_rule("identity:evaluate_mapping");

async fn list(call: Call) -> Result<Reply<Collection<MappingDocument>>, ApiError> {
    let permit = call.authorize(LIST_MAPPINGS, ())?;
    let mappings = call.store.mappings().list().await?;
    let documents = mappings
        .into_iter()
        .map(|mapping| MappingDocument::new(mapping, &call.links))
        .collect();
    Ok(permit.ok(call.collection("mappings", documents)))
}

async fn show(
    call: Call,
    Path(id): Path<MappingId>,
) -> Result<Reply<One<MappingDocument>>, ApiError> {
    let permit = call.authorize(GET_MAPPING, ())?;
    let mapping = find(&call, &id).await?;
    Ok(permit.ok(document(mapping, &call)))
}

async fn create(
    call: Call,
    Path(id): Path<MappingId>,
    Json(body): Json,
) -> Result<Reply<One<MappingDocument>>, ApiError> {
    let permit = call.authorize(CREATE_MAPPING, ())?;
    let mapping = read(&call, id, body.get("mapping"))?;
    check_id(mapping.id.as_str())?;
    let mut tx = call.begin().await?;
    tx.mappings_mut().insert(&mapping).await?;
    let saved = tx.commit().await?;
    Ok(permit.created(saved, document(mapping, &call)))
}

/// Replaces the rules and the version: one that is not named falls back to the default.
async fn update(
    call: Call,
    Path(id): Path<MappingId>,
    Json(body): Json,
) -> Result<Reply<One<MappingDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_MAPPING, ())?;
    let mapping = read(&call, id, body.get("mapping"))?;
    let mut tx = call.begin().await?;
    let id = mapping.id.clone();
    let changed = tx.change(&id, |_before| Ok::<_, ApiError>(mapping)).await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(changed, &call)))
}

async fn delete(call: Call, Path(id): Path<MappingId>) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_MAPPING, ())?;
    find(&call, &id).await?;
    let mut tx = call.begin().await?;
    tx.mappings_mut().delete(&id).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn evaluate(
    call: Call,
    Path(id): Path<MappingId>,
    Json(body): Json,
) -> Result<Reply<EvaluationDocument>, ApiError> {
    let permit = call.authorize(EVALUATE_MAPPING, ())?;
    let mapping = find(&call, &id).await?;
    let evaluation = rules(&mapping)?.evaluate(&assertion(&body)?);
    Ok(permit.ok(EvaluationDocument::new(evaluation)))
}

async fn evaluate_draft(
    call: Call,
    Json(body): Json,
) -> Result<Reply<EvaluationDocument>, ApiError> {
    let permit = call.authorize(EVALUATE_MAPPING, ())?;
    let draft = read(&call, "draft".into(), Some(&body))?;
    let evaluation = rules(&draft)?.evaluate(&assertion(&body)?);
    Ok(permit.ok(EvaluationDocument::new(evaluation)))
}

async fn find(call: &Call, id: &MappingId) -> Result<Mapping, ApiError> {
    let mapping = call.store.mappings().find(id).await?;
    mapping.ok_or_else(|| ApiError::not_found("mapping", id))
}

/// Reads what a client says of a mapping, and checks it against the schema of its version.
fn read(call: &Call, id: MappingId, given: Option<&Value>) -> Result<Mapping, ApiError> {
    let attributes = match given {
        None => Map::new(),
        Some(Value::Object(attributes)) => attributes.clone(),
        Some(_) => return Err(ApiError::BadRequest("The mapping is not an object.".into())),
    };
    // `:` and `-` in names read as `_`.
    let name = |name: String| name.replace([':', '-'], "_");
    let attributes = attributes.into_iter();
    let mut attributes: Map<String, Value> =
        attributes.map(|(key, value)| (name(key), value)).collect();
    let default = match call
        .parts
        .config
        .federation
        .attribute_mapping_default_schema_version
    {
        MappingVersion::V1 => "1.0",
        MappingVersion::V2 => "2.0",
        MappingVersion::V3 => "3.0",
    };
    let version = match attributes.get("schema_version") {
        None | Some(Value::Null) => default.to_owned(),
        Some(Value::String(text)) if text.is_empty() => default.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => {
            return Err(ApiError::BadRequest(
                "The schema version of a mapping is a text.".into(),
            ));
        }
    };
    let schema = match SchemaVersion::parse(&version) {
        Some(SchemaVersion::V1) => "federation.mapping_1.0",
        Some(SchemaVersion::V2) => "federation.mapping_2.0",
        Some(SchemaVersion::V3) => "federation.mapping_3.0",
        None => {
            return Err(ApiError::BadRequest(format!(
                "There is no schema version {version} of mappings: it is '1.0', '2.0' or '3.0'."
            )));
        }
    };
    attributes.insert("schema_version".into(), version.as_str().into());
    let document = Value::Object(attributes);
    call.parts.schemas.validate(schema, &document)?;
    Ok(Mapping {
        id,
        rules: document.get("rules").cloned().unwrap_or_default(),
        schema_version: version,
    })
}

/// The rules of a mapping, ready to use. A database may hold some that never met a schema.
fn rules(mapping: &Mapping) -> Result<Rules, ApiError> {
    let version = &mapping.schema_version;
    let version = SchemaVersion::parse(version).ok_or_else(|| {
        ApiError::BadRequest(format!("There is no schema version {version} of mappings."))
    })?;
    Rules::parse(version, &mapping.rules)
        .map_err(|error| ApiError::BadRequest(format!("The rules do not read: {error}.")))
}

/// The assertion of a body. A text is taken apart at each `;`, as when a proxy passes it; a list
/// is taken as it is.
fn assertion(body: &Value) -> Result<Assertion, ApiError> {
    let given = body.get("assertion").and_then(Value::as_object);
    let given = given.ok_or_else(|| {
        ApiError::BadRequest("'assertion' is required, an object of names and values.".into())
    })?;
    let texts = given
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?)));
    let mut assertion = Assertion::of_variables(texts);
    for (name, value) in given {
        match value {
            Value::String(_) => {}
            Value::Array(values) if values.iter().all(Value::is_string) => {
                let values = values.iter().filter_map(Value::as_str);
                assertion.set(name, values.map(str::to_owned).collect());
            }
            _ => {
                return Err(ApiError::BadRequest(format!(
                    "The value of {name:?} in 'assertion' is neither a text nor a list of texts."
                )));
            }
        }
    }
    Ok(assertion)
}

/// A mapping, as clients see it.
#[derive(Debug, Serialize)]
struct MappingDocument {
    id: MappingId,
    rules: Value,
    schema_version: String,
    links: SelfLink,
}

fn document(mapping: Mapping, call: &Call) -> One<MappingDocument> {
    One::new("mapping", MappingDocument::new(mapping, &call.links))
}

impl MappingDocument {
    fn new(mapping: Mapping, links: &Links) -> Self {
        Self {
            links: links.to(&format!("OS-FEDERATION/mappings/{}", mapping.id)),
            id: mapping.id,
            rules: mapping.rules,
            schema_version: mapping.schema_version,
        }
    }
}

/// What comes of an assertion, and why.
#[derive(Debug, Serialize)]
struct EvaluationDocument {
    /// Null when nothing comes of it.
    result: Option<Mapped>,
    /// Why nothing comes of it.
    error: Option<String>,
    explanation: ExplanationDocument,
}

#[derive(Debug, Serialize)]
struct ExplanationDocument {
    rules: Vec<RuleExplanation>,
    notes: Vec<String>,
}

impl EvaluationDocument {
    fn new(evaluation: Evaluation) -> Self {
        let (result, error) = match evaluation.result {
            Ok(mapped) => (Some(mapped), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            result,
            error,
            explanation: ExplanationDocument {
                rules: evaluation.rules,
                notes: evaluation.notes,
            },
        }
    }
}
