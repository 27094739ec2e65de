//! Endpoints: where services are reached.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::tokens::document;
use model::Extra;
use model::ids::{EndpointId, RegionId, ServiceId};
use model::service::{Endpoint, EndpointFilter, Region};
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use store::{StoreError, Tx};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named, nullable};

/// The operations on endpoints.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/endpoints", "List endpoints")
    .rules(&[LIST_ENDPOINTS])
    .query("catalog.endpoint_index_request_query")
    .filters(&["interface", "service_id", "region_id"]);
static SHOW: Operation =
    Operation::get("/v3/endpoints/{endpoint_id}", "Show an endpoint").rules(&[GET_ENDPOINT]);
static CREATE: Operation = Operation::post("/v3/endpoints", "Create an endpoint")
    .rules(&[CREATE_ENDPOINT])
    .body("catalog.endpoint_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/endpoints/{endpoint_id}", "Update an endpoint")
    .rules(&[UPDATE_ENDPOINT])
    .body("catalog.endpoint_update_request_body");
static DELETE: Operation = Operation::delete("/v3/endpoints/{endpoint_id}", "Delete an endpoint")
    .rules(&[DELETE_ENDPOINT]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const READER: &str = "rule:admin_required or (role:reader and system_scope:all)";

const LIST_ENDPOINTS: Rule = Rule::new("identity:list_endpoints", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const GET_ENDPOINT: Rule = Rule::new("identity:get_endpoint", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const CREATE_ENDPOINT: Rule = Rule::new("identity:create_endpoint", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const UPDATE_ENDPOINT: Rule = Rule::new("identity:update_endpoint", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const DELETE_ENDPOINT: Rule = Rule::new("identity:delete_endpoint", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);

async fn list(call: Call) -> Result<Reply<Collection<EndpointDocument>>, ApiError> {
    let permit = call.authorize(LIST_ENDPOINTS, ())?;
    let query = &call.request.query;
    let filter = EndpointFilter {
        interface: query.get("interface").map(str::to_owned),
        service_id: query.id("service_id"),
        region_id: query.id("region_id"),
    };
    let endpoints = call.store.endpoints().list(&filter).await?;
    let mut documents: Vec<_> = endpoints
        .into_iter()
        .map(|endpoint| EndpointDocument::new(endpoint, &call.links))
        .collect();
    let range = call.range(call.parts.list_limit(call.parts.config.catalog.list_limit))?;
    range.skip(&mut documents, |it| it.id.as_str());
    let part = call.part_of_collection("endpoints", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<EndpointId>,
) -> Result<Reply<One<EndpointDocument>>, ApiError> {
    let permit = call.authorize(GET_ENDPOINT, ())?;
    let endpoint = find(&call, &id).await?;
    Ok(permit.ok(One::new(
        "endpoint",
        EndpointDocument::new(endpoint, &call.links),
    )))
}

async fn create(
    call: Call,
    Body(request): Body<CreateEndpoint>,
) -> Result<Reply<One<EndpointDocument>>, ApiError> {
    let permit = call.authorize(CREATE_ENDPOINT, ())?;
    let legacy_region = request.region.clone();
    let endpoint = request.into_endpoint(call.new_id());
    let mut tx = call.begin().await?;
    add_legacy_region(&mut tx, legacy_region.as_ref()).await?;
    require_region(&mut tx, endpoint.region_id.as_ref()).await?;
    require_service(&mut tx, &endpoint.service_id).await?;
    if !document::is_template(&endpoint.url) {
        return Err(ApiError::BadRequest(format!(
            "Cannot create an endpoint with an invalid URL: {}.",
            endpoint.url
        )));
    }
    tx.endpoints_mut().insert(&endpoint).await?;
    let saved = tx.commit().await?;
    Ok(permit.created(
        saved,
        One::new("endpoint", EndpointDocument::new(endpoint, &call.links)),
    ))
}

async fn update(
    call: Call,
    Path(id): Path<EndpointId>,
    Body(change): Body<ChangeEndpoint>,
) -> Result<Reply<One<EndpointDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_ENDPOINT, ())?;
    find(&call, &id).await?;
    if change.id.as_ref().is_some_and(|other| *other != id) {
        return Err(ApiError::BadRequest("Cannot change ID".into()));
    }
    let legacy_region = change.region.clone().flatten();
    let mut tx = call.begin().await?;
    add_legacy_region(&mut tx, legacy_region.as_ref()).await?;
    // What it names already is there for as long as the endpoint is.
    let region_id = change.region.as_ref().or(change.region_id.as_ref());
    require_region(&mut tx, region_id.and_then(Option::as_ref)).await?;
    if let Some(service_id) = &change.service_id {
        require_service(&mut tx, service_id).await?;
    }
    let changed = tx.change(&id, |endpoint| Ok::<_, ApiError>(change.apply(endpoint)));
    let changed = changed.await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(
        saved,
        One::new("endpoint", EndpointDocument::new(changed, &call.links)),
    ))
}

async fn delete(call: Call, Path(id): Path<EndpointId>) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_ENDPOINT, ())?;
    find(&call, &id).await?;
    let mut tx = call.begin().await?;
    tx.endpoints_mut().delete(&id).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn find(call: &Call, id: &EndpointId) -> Result<Endpoint, ApiError> {
    let endpoint = call.store.endpoints().find(id).await?;
    endpoint.ok_or_else(|| ApiError::not_found("endpoint", id))
}

/// Makes the region that comes by its old name, unless it is there.
async fn add_legacy_region(tx: &mut Tx, id: Option<&RegionId>) -> Result<(), ApiError> {
    let Some(id) = id else { return Ok(()) };
    match tx.regions_mut().require(id).await {
        Err(StoreError::Missing { .. }) => {}
        found => return Ok(found?),
    }
    let region = Region {
        id: id.clone(),
        description: String::new(),
        parent_region_id: None,
        extra: Extra::new(),
    };
    let inserted = tx.regions_mut().insert(&region).await;
    // Somebody else was faster: once more, with the region that is there now.
    inserted.map_err(ApiError::overtaken)
}

/// Makes sure that the region of an endpoint is there, and stays.
async fn require_region(tx: &mut Tx, id: Option<&RegionId>) -> Result<(), ApiError> {
    let Some(id) = id else { return Ok(()) };
    let found = tx.regions_mut().require(id).await;
    let missing = || ApiError::expecting("endpoint region_id", "region table");
    found.map_err(|error| ApiError::missing_as(error, missing))
}

/// Makes sure that the service of an endpoint is there, and stays.
async fn require_service(tx: &mut Tx, id: &ServiceId) -> Result<(), ApiError> {
    let found = tx.services_mut().require(id).await;
    let missing = || ApiError::expecting("endpoint service_id", "service table");
    found.map_err(|error| ApiError::missing_as(error, missing))
}

/// The body of a new endpoint. `region` is what `region_id` was called in version 2.
#[derive(Deserialize)]
struct CreateEndpoint {
    interface: String,
    service_id: ServiceId,
    url: String,
    region_id: Option<RegionId>,
    region: Option<RegionId>,
    enabled: Option<bool>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateEndpoint {
    const NAME: &'static str = "endpoint";
}

impl CreateEndpoint {
    fn into_endpoint(mut self, id: EndpointId) -> Endpoint {
        for ours in ["id", "links"] {
            self.extra.remove(ours);
        }
        Endpoint {
            id,
            interface: self.interface,
            region_id: self.region.or(self.region_id),
            service_id: self.service_id,
            url: self.url,
            enabled: self.enabled.unwrap_or(true),
            extra: self.extra,
        }
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeEndpoint {
    id: Option<EndpointId>,
    interface: Option<String>,
    service_id: Option<ServiceId>,
    url: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    region_id: Option<Option<RegionId>>,
    #[serde(default, deserialize_with = "nullable")]
    region: Option<Option<RegionId>>,
    enabled: Option<bool>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeEndpoint {
    const NAME: &'static str = "endpoint";
}

impl ChangeEndpoint {
    fn apply(self, mut endpoint: Endpoint) -> Endpoint {
        if let Some(interface) = self.interface {
            endpoint.interface = interface;
        }
        if let Some(service_id) = self.service_id {
            endpoint.service_id = service_id;
        }
        if let Some(url) = self.url {
            endpoint.url = url;
        }
        if let Some(region_id) = self.region.or(self.region_id) {
            endpoint.region_id = region_id;
        }
        if let Some(enabled) = self.enabled {
            endpoint.enabled = enabled;
        }
        endpoint.extra.extend(self.extra);
        endpoint
    }
}

/// An endpoint, as clients see it.
#[derive(Debug, Serialize)]
struct EndpointDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: EndpointId,
    interface: String,
    region_id: Option<RegionId>,
    service_id: ServiceId,
    url: String,
    enabled: bool,
    region: Option<RegionId>,
    links: SelfLink,
}

impl EndpointDocument {
    fn new(endpoint: Endpoint, links: &Links) -> Self {
        Self {
            links: links.to(&format!("endpoints/{}", endpoint.id)),
            id: endpoint.id,
            interface: endpoint.interface,
            region: endpoint.region_id.clone(),
            region_id: endpoint.region_id,
            service_id: endpoint.service_id,
            url: endpoint.url,
            enabled: endpoint.enabled,
            attributes: endpoint.extra,
        }
    }
}
