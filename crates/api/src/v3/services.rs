//! Services: what offers an API in this deployment.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use model::Extra;
use model::ids::ServiceId;
use model::listing::TextMatch;
use model::service::Service;
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named};

/// The operations on services.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/services", "List services")
    .rules(&[LIST_SERVICES])
    .query("catalog.service_index_request_query")
    .filters(&["type", "name"]);
static SHOW: Operation =
    Operation::get("/v3/services/{service_id}", "Show a service").rules(&[GET_SERVICE]);
static CREATE: Operation = Operation::post("/v3/services", "Create a service")
    .rules(&[CREATE_SERVICE])
    .body("catalog.service_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/services/{service_id}", "Update a service")
    .rules(&[UPDATE_SERVICE])
    .body("catalog.service_update_request_body");
static DELETE: Operation =
    Operation::delete("/v3/services/{service_id}", "Delete a service").rules(&[DELETE_SERVICE]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const READER: &str = "rule:admin_required or (role:reader and system_scope:all)";

const LIST_SERVICES: Rule = Rule::new("identity:list_services", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const GET_SERVICE: Rule = Rule::new("identity:get_service", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const CREATE_SERVICE: Rule = Rule::new("identity:create_service", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const UPDATE_SERVICE: Rule = Rule::new("identity:update_service", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const DELETE_SERVICE: Rule = Rule::new("identity:delete_service", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);

async fn list(call: Call) -> Result<Reply<Collection<ServiceDocument>>, ApiError> {
    let permit = call.authorize(LIST_SERVICES, ())?;
    let kind = call.request.query.text("type");
    let mut services = call.store.services().list(kind.as_ref()).await?;
    if let Some(name) = call.request.query.text("name") {
        services.retain(|service| has_name(service, &name));
    }
    let mut documents: Vec<_> = services
        .into_iter()
        .map(|service| ServiceDocument::new(service, &call.links))
        .collect();
    let range = call.range(call.parts.list_limit(call.parts.config.catalog.list_limit))?;
    range.skip(&mut documents, |it| it.id.as_str());
    let part = call.part_of_collection("services", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<ServiceId>,
) -> Result<Reply<One<ServiceDocument>>, ApiError> {
    let permit = call.authorize(GET_SERVICE, ())?;
    let service = find(&call, &id).await?;
    Ok(permit.ok(One::new(
        "service",
        ServiceDocument::new(service, &call.links),
    )))
}

async fn create(
    call: Call,
    Body(request): Body<CreateService>,
) -> Result<Reply<One<ServiceDocument>>, ApiError> {
    let permit = call.authorize(CREATE_SERVICE, ())?;
    let service = request.into_service(call.new_id());
    let mut tx = call.begin().await?;
    tx.services_mut().insert(&service).await?;
    let saved = tx.commit().await?;
    Ok(permit.created(
        saved,
        One::new("service", ServiceDocument::new(service, &call.links)),
    ))
}

async fn update(
    call: Call,
    Path(id): Path<ServiceId>,
    Body(change): Body<ChangeService>,
) -> Result<Reply<One<ServiceDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_SERVICE, ())?;
    find(&call, &id).await?;
    if change.id.as_ref().is_some_and(|other| *other != id) {
        return Err(ApiError::BadRequest("Cannot change ID".into()));
    }
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |service| Ok::<_, ApiError>(change.apply(service)));
    let changed = changed.await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(
        saved,
        One::new("service", ServiceDocument::new(changed, &call.links)),
    ))
}

async fn delete(call: Call, Path(id): Path<ServiceId>) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_SERVICE, ())?;
    find(&call, &id).await?;
    let mut tx = call.begin().await?;
    tx.services_mut().delete(&id).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn find(call: &Call, id: &ServiceId) -> Result<Service, ApiError> {
    let service = call.store.services().find(id).await?;
    service.ok_or_else(|| ApiError::not_found("service", id))
}

/// The name lives beside the columns, where the database cannot judge it.
fn has_name(service: &Service, filter: &TextMatch) -> bool {
    let name = service
        .extra
        .get("name")
        .and_then(|name| name.as_str())
        .unwrap_or_default();
    let lower = || name.to_lowercase();
    match filter {
        TextMatch::Equals(text) => name == text,
        TextMatch::All(all) => all.iter().all(|one| has_name(service, one)),
        TextMatch::Contains {
            text,
            ignore_case: true,
        } => lower().contains(&text.to_lowercase()),
        TextMatch::StartsWith {
            text,
            ignore_case: true,
        } => lower().starts_with(&text.to_lowercase()),
        TextMatch::EndsWith {
            text,
            ignore_case: true,
        } => lower().ends_with(&text.to_lowercase()),
        sensitive => sensitive.holds_beyond_sql(name),
    }
}

/// The body of a new service.
#[derive(Deserialize)]
struct CreateService {
    #[serde(rename = "type")]
    kind: String,
    enabled: Option<bool>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateService {
    const NAME: &'static str = "service";
}

impl CreateService {
    fn into_service(mut self, id: ServiceId) -> Service {
        for ours in ["id", "links"] {
            self.extra.remove(ours);
        }
        self.extra.entry("name").or_insert_with(|| "".into());
        Service {
            id,
            kind: self.kind,
            enabled: self.enabled.unwrap_or(true),
            extra: self.extra,
        }
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeService {
    id: Option<ServiceId>,
    #[serde(rename = "type")]
    kind: Option<String>,
    enabled: Option<bool>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeService {
    const NAME: &'static str = "service";
}

impl ChangeService {
    fn apply(self, mut service: Service) -> Service {
        if let Some(kind) = self.kind {
            service.kind = kind;
        }
        if let Some(enabled) = self.enabled {
            service.enabled = enabled;
        }
        service.extra.extend(self.extra);
        service
    }
}

/// A service, as clients see it.
#[derive(Debug, Serialize)]
struct ServiceDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: ServiceId,
    #[serde(rename = "type")]
    kind: String,
    enabled: bool,
    links: SelfLink,
}

impl ServiceDocument {
    fn new(mut service: Service, links: &Links) -> Self {
        service.extra.entry("name").or_insert_with(|| "".into());
        Self {
            links: links.to(&format!("services/{}", service.id)),
            id: service.id,
            kind: service.kind,
            enabled: service.enabled,
            attributes: service.extra,
        }
    }
}
