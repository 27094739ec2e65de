//! Service providers: clouds that accept what we say about our users.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use model::federation::{ProviderFilter, ServiceProvider};
use model::ids::ServiceProviderId;
use policy::Rule;
use serde::{Deserialize, Serialize};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named, nullable};

use super::{check_id, manage_rule, read_rule};

/// The operations on service providers.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get(
    "/v3/OS-FEDERATION/service_providers",
    "List service providers",
)
.rules(&[LIST_PROVIDERS])
.query("federation.service_provider_index_request_query")
.filters(&["id", "enabled"]);
static SHOW: Operation = Operation::get(
    "/v3/OS-FEDERATION/service_providers/{service_provider_id}",
    "Show a service provider",
)
.rules(&[GET_PROVIDER]);
static CREATE: Operation = Operation::put(
    "/v3/OS-FEDERATION/service_providers/{service_provider_id}",
    "Create a service provider",
)
.rules(&[CREATE_PROVIDER])
.body("federation.service_provider_create_request_body");
static UPDATE: Operation = Operation::patch(
    "/v3/OS-FEDERATION/service_providers/{service_provider_id}",
    "Update a service provider",
)
.rules(&[UPDATE_PROVIDER])
.body("federation.service_provider_update_request_body");
static DELETE: Operation = Operation::delete(
    "/v3/OS-FEDERATION/service_providers/{service_provider_id}",
    "Delete a service provider",
)
.rules(&[DELETE_PROVIDER]);

const LIST_PROVIDERS: Rule = read_rule("identity:list_service_providers");
const GET_PROVIDER: Rule = read_rule("identity:get_service_provider");
const CREATE_PROVIDER: Rule = manage_rule("identity:create_service_provider");
const UPDATE_PROVIDER: Rule = manage_rule("identity:update_service_provider");
const DELETE_PROVIDER: Rule = manage_rule("identity:delete_service_provider");

async fn list(call: Call) -> Result<Reply<Collection<ProviderDocument>>, ApiError> {
    let permit = call.authorize(LIST_PROVIDERS, ())?;
    let filter = ProviderFilter {
        id: call.request.query.text("id"),
        enabled: call.request.query.flag_filter("enabled")?,
    };
    let providers = call.store.service_providers().list(&filter).await?;
    let mut documents: Vec<_> = providers
        .into_iter()
        .map(|provider| ProviderDocument::new(provider, &call.links))
        .collect();
    let range = call.range(None)?;
    range.skip(&mut documents, |it| it.id.as_str());
    let part = call.part_of_collection("service_providers", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<ServiceProviderId>,
) -> Result<Reply<One<ProviderDocument>>, ApiError> {
    let permit = call.authorize(GET_PROVIDER, ())?;
    let provider = find(&call, &id).await?;
    Ok(permit.ok(document(provider, &call)))
}

async fn create(
    call: Call,
    Path(id): Path<ServiceProviderId>,
    Body(request): Body<CreateProvider>,
) -> Result<Reply<One<ProviderDocument>>, ApiError> {
    let permit = call.authorize(CREATE_PROVIDER, ())?;
    check_id(id.as_str())?;
    let provider = request.into_provider(id, &call)?;
    check_prefix(&provider)?;
    let mut tx = call.begin().await?;
    let inserted = tx.service_providers_mut().insert(&provider).await;
    inserted.map_err(|error| {
        ApiError::from(error)
            .conflict_details(|| format!("Duplicate entry found with ID {}", provider.id))
    })?;
    let saved = tx.commit().await?;
    Ok(permit.created(saved, document(provider, &call)))
}

async fn update(
    call: Call,
    Path(id): Path<ServiceProviderId>,
    Body(change): Body<ChangeProvider>,
) -> Result<Reply<One<ProviderDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_PROVIDER, ())?;
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |provider| {
        let changed = change.apply(provider)?;
        check_prefix(&changed)?;
        Ok::<_, ApiError>(changed)
    });
    let provider = changed.await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(provider, &call)))
}

async fn delete(call: Call, Path(id): Path<ServiceProviderId>) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_PROVIDER, ())?;
    find(&call, &id).await?;
    let mut tx = call.begin().await?;
    tx.service_providers_mut().delete(&id).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn find(call: &Call, id: &ServiceProviderId) -> Result<ServiceProvider, ApiError> {
    let provider = call.store.service_providers().find(id).await?;
    provider.ok_or_else(|| no_such_provider(id))
}

fn no_such_provider(id: &ServiceProviderId) -> ApiError {
    ApiError::not_found("Service Provider", id)
}

/// The schema sets no limit to the prefix, and its column does.
fn check_prefix(provider: &ServiceProvider) -> Result<(), ApiError> {
    ApiError::check_length(&provider.relay_state_prefix, "relay_state_prefix", 256)
}

/// The schema lets a null through, and the column does not: the reference fails on it.
fn prefix(given: Option<String>) -> Result<String, ApiError> {
    given.ok_or_else(|| {
        ApiError::BadRequest(
            "Invalid input for field/attribute relay_state_prefix. Value: None. None is not of \
             type 'string'"
                .into(),
        )
    })
}

/// The body of a new service provider.
#[derive(Deserialize)]
struct CreateProvider {
    auth_url: String,
    sp_url: String,
    enabled: Option<bool>,
    description: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    relay_state_prefix: Option<Option<String>>,
}

impl Named for CreateProvider {
    const NAME: &'static str = "service_provider";
}

impl CreateProvider {
    fn into_provider(
        self,
        id: ServiceProviderId,
        call: &Call,
    ) -> Result<ServiceProvider, ApiError> {
        let default = || Some(call.parts.config.saml.relay_state_prefix.clone());
        Ok(ServiceProvider {
            id,
            enabled: self.enabled.unwrap_or(false),
            description: self.description,
            auth_url: self.auth_url,
            sp_url: self.sp_url,
            relay_state_prefix: prefix(self.relay_state_prefix.unwrap_or_else(default))?,
        })
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeProvider {
    auth_url: Option<String>,
    sp_url: Option<String>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    relay_state_prefix: Option<Option<String>>,
}

impl Named for ChangeProvider {
    const NAME: &'static str = "service_provider";
}

impl ChangeProvider {
    fn apply(self, mut provider: ServiceProvider) -> Result<ServiceProvider, ApiError> {
        if let Some(auth_url) = self.auth_url {
            provider.auth_url = auth_url;
        }
        if let Some(sp_url) = self.sp_url {
            provider.sp_url = sp_url;
        }
        if let Some(enabled) = self.enabled {
            provider.enabled = enabled;
        }
        if let Some(description) = self.description {
            provider.description = description;
        }
        if let Some(given) = self.relay_state_prefix {
            provider.relay_state_prefix = prefix(given)?;
        }
        Ok(provider)
    }
}

/// A service provider, as clients see it.
#[derive(Debug, Serialize)]
struct ProviderDocument {
    auth_url: String,
    id: ServiceProviderId,
    enabled: bool,
    description: Option<String>,
    relay_state_prefix: String,
    sp_url: String,
    links: SelfLink,
}

fn document(provider: ServiceProvider, call: &Call) -> One<ProviderDocument> {
    One::new(
        "service_provider",
        ProviderDocument::new(provider, &call.links),
    )
}

impl ProviderDocument {
    fn new(provider: ServiceProvider, links: &Links) -> Self {
        Self {
            links: links.to(&format!("OS-FEDERATION/service_providers/{}", provider.id)),
            auth_url: provider.auth_url,
            id: provider.id,
            enabled: provider.enabled,
            description: provider.description,
            relay_state_prefix: provider.relay_state_prefix,
            sp_url: provider.sp_url,
        }
    }
}
