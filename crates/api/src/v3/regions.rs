//! Regions: the parts of a deployment.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Permit, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use model::Extra;
use model::ids::RegionId;
use model::service::Region;
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use store::Tx;
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named, nullable};

/// The operations on regions.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&CREATE_AS, create_as)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/regions", "List regions")
    .rules(&[LIST_REGIONS])
    .query("catalog.regions_index_request_query")
    .filters(&["parent_region_id"]);
static SHOW: Operation =
    Operation::get("/v3/regions/{region_id}", "Show a region").rules(&[GET_REGION]);
static CREATE: Operation = Operation::post("/v3/regions", "Create a region")
    .rules(&[CREATE_REGION])
    .body("catalog.region_create_request_body");
static CREATE_AS: Operation =
    Operation::put("/v3/regions/{region_id}", "Create a region with a given ID")
        .rules(&[CREATE_REGION])
        .body("catalog.region_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/regions/{region_id}", "Update a region")
    .rules(&[UPDATE_REGION])
    .body("catalog.region_update_request_body");
static DELETE: Operation =
    Operation::delete("/v3/regions/{region_id}", "Delete a region").rules(&[DELETE_REGION]);

const ANY_SCOPE: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";

const LIST_REGIONS: Rule = Rule::new("identity:list_regions", "").scopes(ANY_SCOPE);
const GET_REGION: Rule = Rule::new("identity:get_region", "").scopes(ANY_SCOPE);
const CREATE_REGION: Rule = Rule::new("identity:create_region", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const UPDATE_REGION: Rule = Rule::new("identity:update_region", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const DELETE_REGION: Rule = Rule::new("identity:delete_region", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);

async fn list(call: Call) -> Result<Reply<Collection<RegionDocument>>, ApiError> {
    let permit = call.authorize(LIST_REGIONS, ())?;
    let parent: Option<RegionId> = call.request.query.id("parent_region_id");
    let regions = call.store.regions().list(parent.as_ref()).await?;
    let documents = regions
        .into_iter()
        .map(|region| RegionDocument::new(region, &call.links))
        .collect();
    Ok(permit.ok(call.collection("regions", documents)))
}

async fn show(
    call: Call,
    Path(id): Path<RegionId>,
) -> Result<Reply<One<RegionDocument>>, ApiError> {
    let permit = call.authorize(GET_REGION, ())?;
    let region = find(&call, &id).await?;
    Ok(permit.ok(One::new("region", RegionDocument::new(region, &call.links))))
}

async fn create(
    call: Call,
    Body(request): Body<CreateRegion>,
) -> Result<Reply<One<RegionDocument>>, ApiError> {
    let permit = call.authorize(CREATE_REGION, ())?;
    let id = request.id.clone().filter(|id| !id.as_str().is_empty());
    let id = id.unwrap_or_else(|| call.new_id());
    insert(call, permit, request.into_region(id)).await
}

async fn create_as(
    call: Call,
    Path(id): Path<RegionId>,
    Body(request): Body<CreateRegion>,
) -> Result<Reply<One<RegionDocument>>, ApiError> {
    let permit = call.authorize(CREATE_REGION, ())?;
    if let Some(other) = &request.id
        && *other != id
    {
        return Err(ApiError::BadRequest(format!(
            "Conflicting region IDs specified: \"{id}\" != \"{other}\""
        )));
    }
    insert(call, permit, request.into_region(id)).await
}

async fn update(
    call: Call,
    Path(id): Path<RegionId>,
    Body(change): Body<ChangeRegion>,
) -> Result<Reply<One<RegionDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_REGION, ())?;
    let region = find(&call, &id).await?;
    if change.id.as_ref().is_some_and(|other| *other != id) {
        return Err(ApiError::BadRequest("Cannot change ID".into()));
    }
    let mut tx = call.begin().await?;
    if change.clone().apply(region).parent_region_id.is_some() {
        // All of them: two changes at once could close a circle.
        tx.regions_mut().lock_all().await?;
        let region = tx.hold(&id).await?;
        check_parent(&mut tx, &change.clone().apply(region)).await?;
    }
    let changed = tx.change(&id, |region| Ok::<_, ApiError>(change.apply(region)));
    let changed = changed.await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(
        saved,
        One::new("region", RegionDocument::new(changed, &call.links)),
    ))
}

async fn delete(call: Call, Path(id): Path<RegionId>) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_REGION, ())?;
    find(&call, &id).await?;
    let mut tx = call.begin().await?;
    tx.regions_mut().lock_all().await?;
    tx.regions_mut().require(&id).await?;
    let tree = tx.regions().list_tree(&id).await?;
    if tx.regions().have_endpoints(&tree).await? {
        return Err(ApiError::Forbidden(format!(
            "Unable to delete region {id} because it or its child regions have associated \
             endpoints."
        )));
    }
    tx.regions_mut().delete(&tree).await?;
    Ok(permit.done(tx.commit().await?))
}

/// Checks that the parent of a region is there, and not within the region itself.
async fn check_parent(tx: &mut Tx, region: &Region) -> Result<(), ApiError> {
    let Some(parent) = &region.parent_region_id else {
        return Ok(());
    };
    tx.regions_mut().require(parent).await?;
    if tx.regions().list_tree(&region.id).await?.contains(parent) {
        // The reference goes up until it meets the region itself, and names that.
        return Err(ApiError::BadRequest(format!(
            "The specified parent region {} would create a circular region hierarchy.",
            region.id
        )));
    }
    Ok(())
}

async fn insert(
    call: Call,
    permit: Permit,
    region: Region,
) -> Result<Reply<One<RegionDocument>>, ApiError> {
    let mut tx = call.begin().await?;
    if let Some(parent) = &region.parent_region_id {
        tx.regions_mut().require(parent).await?;
    }
    let inserted = tx.regions_mut().insert(&region).await;
    inserted.map_err(|error| {
        // The reference ends the sentence twice.
        ApiError::from(error).conflict_details(|| format!("Duplicate ID, {}.", region.id))
    })?;
    let saved = tx.commit().await?;
    Ok(permit.created(
        saved,
        One::new("region", RegionDocument::new(region, &call.links)),
    ))
}

async fn find(call: &Call, id: &RegionId) -> Result<Region, ApiError> {
    let region = call.store.regions().find(id).await?;
    region.ok_or_else(|| ApiError::not_found("region", id))
}

/// The body of a new region.
#[derive(Deserialize)]
struct CreateRegion {
    id: Option<RegionId>,
    description: Option<String>,
    parent_region_id: Option<RegionId>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateRegion {
    const NAME: &'static str = "region";
}

impl CreateRegion {
    fn into_region(mut self, id: RegionId) -> Region {
        self.extra.remove("links");
        Region {
            id,
            description: self.description.unwrap_or_default(),
            parent_region_id: self.parent_region_id,
            extra: self.extra,
        }
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Clone, Deserialize)]
struct ChangeRegion {
    id: Option<RegionId>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    parent_region_id: Option<Option<RegionId>>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeRegion {
    const NAME: &'static str = "region";
}

impl ChangeRegion {
    fn apply(self, mut region: Region) -> Region {
        if let Some(description) = self.description {
            region.description = description.unwrap_or_default();
        }
        if let Some(parent) = self.parent_region_id {
            region.parent_region_id = parent;
        }
        region.extra.extend(self.extra);
        region
    }
}

/// A region, as clients see it.
#[derive(Debug, Serialize)]
struct RegionDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: RegionId,
    description: String,
    parent_region_id: Option<RegionId>,
    links: SelfLink,
}

impl RegionDocument {
    fn new(region: Region, links: &Links) -> Self {
        Self {
            links: links.to(&format!("regions/{}", region.id)),
            id: region.id,
            description: region.description,
            parent_region_id: region.parent_region_id,
            attributes: region.extra,
        }
    }
}
