//! Identity providers: who is trusted to say who a user is.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::revoke::revoke_users_of_provider;
use model::Extra;
use model::federation::{IdentityProvider, ProviderFilter};
use model::ids::{DomainId, IdentityProviderId};
use model::project::{Domain, ResourceOptions};
use policy::Rule;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Json, Named, nullable};

use super::{check_id, manage_rule, read_rule};

/// The operations on identity providers.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get(
    "/v3/OS-FEDERATION/identity_providers",
    "List identity providers",
)
.rules(&[LIST_PROVIDERS])
.query("federation.identity_provider_index_request_query")
.filters(&["id", "enabled"]);
static SHOW: Operation = Operation::get(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}",
    "Show an identity provider",
)
.rules(&[GET_PROVIDER])
.query("federation.identity_provider_request_query");
static CREATE: Operation = Operation::put(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}",
    "Create an identity provider",
)
.rules(&[CREATE_PROVIDER])
.body("federation.identity_provider_create_request_body");
static UPDATE: Operation = Operation::patch(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}",
    "Update an identity provider",
)
.rules(&[UPDATE_PROVIDER])
.body("federation.identity_provider_update_request_body");
static DELETE: Operation = Operation::delete(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}",
    "Delete an identity provider",
)
.rules(&[DELETE_PROVIDER]);

const LIST_PROVIDERS: Rule = read_rule("identity:list_identity_providers");
const GET_PROVIDER: Rule = read_rule("identity:get_identity_provider");
const CREATE_PROVIDER: Rule = manage_rule("identity:create_identity_provider");
const UPDATE_PROVIDER: Rule = manage_rule("identity:update_identity_provider");
const DELETE_PROVIDER: Rule = manage_rule("identity:delete_identity_provider");

async fn list(call: Call) -> Result<Reply<Collection<ProviderDocument>>, ApiError> {
    let permit = call.authorize(LIST_PROVIDERS, ())?;
    let filter = ProviderFilter {
        id: call.request.query.text("id"),
        enabled: call.request.query.flag_filter("enabled")?,
    };
    let providers = call.store.identity_providers().list(&filter).await?;
    let mut documents: Vec<_> = providers
        .into_iter()
        .map(|provider| ProviderDocument::new(provider, &call.links).with_protocols(&call.links))
        .collect();
    let range = call.range(None)?;
    range.skip(&mut documents, |it| it.id.as_str());
    let part =
        call.part_of_collection("identity_providers", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<IdentityProviderId>,
) -> Result<Reply<One<ProviderDocument>>, ApiError> {
    let permit = call.authorize(GET_PROVIDER, ())?;
    let provider = find(&call, &id).await?;
    Ok(permit.ok(document(provider, &call)))
}

async fn create(
    call: Call,
    Path(id): Path<IdentityProviderId>,
    Json(body): Json,
) -> Result<Reply<One<ProviderDocument>>, ApiError> {
    let permit = call.authorize(CREATE_PROVIDER, ())?;
    let request = CreateProvider::read(&body)?;
    let (domain_id, own_domain) = match request.domain_id.clone() {
        Some(domain_id) => (domain_id, None),
        None => {
            let domain = own_domain(&call, &id);
            (domain.id.clone(), Some(domain))
        }
    };
    if own_domain.is_none() && call.store.domains().find(&domain_id).await?.is_none() {
        return Err(ApiError::not_found("domain", &domain_id));
    }
    check_id(id.as_str())?;
    let provider = request.into_provider(id, domain_id);
    check_ttl(&provider)?;
    let mut tx = call.begin().await?;
    match &own_domain {
        Some(domain) => tx.domains_mut().insert(domain).await?,
        None => tx.domains_mut().require(&provider.domain_id).await?,
    }
    let inserted = tx.identity_providers_mut().insert(&provider).await;
    inserted.map_err(|error| taken(error.into(), &provider.id, &provider.remote_ids))?;
    let saved = tx.commit().await?;
    Ok(permit.created(saved, document(provider, &call)))
}

async fn update(
    call: Call,
    Path(id): Path<IdentityProviderId>,
    Body(change): Body<ChangeProvider>,
) -> Result<Reply<One<ProviderDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_PROVIDER, ())?;
    let remote_ids = change.remote_ids.clone().flatten().unwrap_or_default();
    let mut was_enabled = false;
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |provider: IdentityProvider| {
        was_enabled = provider.enabled;
        let changed = change.apply(provider);
        check_ttl(&changed)?;
        Ok(changed)
    });
    let changed = changed.await;
    let provider = changed.map_err(|error| taken(error, &id, &remote_ids))?;
    // So that they do not live again when the provider does.
    if was_enabled && !provider.enabled && call.parts.config.archstone.disabled_provider_ends_tokens
    {
        revoke_users_of_provider(&call.parts, &mut tx, &id, call.now()).await?;
    }
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(provider, &call)))
}

async fn delete(call: Call, Path(id): Path<IdentityProviderId>) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_PROVIDER, ())?;
    find(&call, &id).await?;
    // The domain stays: people may have put more into it.
    let mut tx = call.begin().await?;
    // It is locked first: a login that is under way comes wholly before or after.
    tx.identity_providers_mut().delete(&id, call.now()).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn find(call: &Call, id: &IdentityProviderId) -> Result<IdentityProvider, ApiError> {
    let provider = call.store.identity_providers().find(id).await?;
    provider.ok_or_else(|| no_such_provider(id))
}

fn no_such_provider(id: &IdentityProviderId) -> ApiError {
    ApiError::not_found("Identity Provider", id)
}

/// A domain for the users of a provider that was given none.
fn own_domain(call: &Call, id: &IdentityProviderId) -> Domain {
    let domain_id: DomainId = call.new_id();
    Domain {
        name: domain_id.to_string(),
        id: domain_id,
        description: Some(format!(
            "Auto generated federated domain for Identity Provider: {id}"
        )),
        enabled: true,
        tags: Vec::new(),
        options: ResourceOptions::default(),
        extra: Extra::new(),
    }
}

/// The column holds less than the schema lets through.
fn check_ttl(provider: &IdentityProvider) -> Result<(), ApiError> {
    match provider.authorization_ttl {
        Some(minutes) if i32::try_from(minutes).is_err() => Err(ApiError::BadRequest(format!(
            "Invalid input for field/attribute authorization_ttl. Value: {minutes}. {minutes} is \
             greater than the maximum of {}",
            i32::MAX
        ))),
        _ => Ok(()),
    }
}

fn taken(error: ApiError, id: &IdentityProviderId, remote_ids: &[String]) -> ApiError {
    const KIND: &str = "identity_provider";
    let details = match error {
        ApiError::Conflict { kind: KIND, .. } => format!("Duplicate entry: {id}"),
        ApiError::Conflict { .. } => format!("Duplicate remote ID: {}", remote_ids.join(", ")),
        other => return other,
    };
    ApiError::Conflict {
        kind: KIND,
        details: details.into(),
    }
}

/// The body of a new identity provider.
#[derive(Deserialize)]
struct CreateProvider {
    enabled: Option<bool>,
    description: Option<String>,
    domain_id: Option<DomainId>,
    remote_ids: Option<Vec<String>>,
    authorization_ttl: Option<u32>,
}

impl CreateProvider {
    /// Nothing has to be said of a provider, so that there may be no body at all.
    fn read(body: &Value) -> Result<Self, ApiError> {
        let nothing = json!({});
        let provider = body.get("identity_provider").unwrap_or(&nothing);
        Self::deserialize(provider).map_err(|error| {
            ApiError::BadRequest(format!(
                "Invalid input for field 'identity_provider': {error}."
            ))
        })
    }

    fn into_provider(self, id: IdentityProviderId, domain_id: DomainId) -> IdentityProvider {
        IdentityProvider {
            id,
            enabled: self.enabled.unwrap_or(false),
            description: self.description,
            domain_id,
            remote_ids: self.remote_ids.unwrap_or_default(),
            authorization_ttl: self.authorization_ttl,
        }
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeProvider {
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    remote_ids: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "nullable")]
    authorization_ttl: Option<Option<u32>>,
}

impl Named for ChangeProvider {
    const NAME: &'static str = "identity_provider";
}

impl ChangeProvider {
    fn apply(self, mut provider: IdentityProvider) -> IdentityProvider {
        if let Some(enabled) = self.enabled {
            provider.enabled = enabled;
        }
        if let Some(description) = self.description {
            provider.description = description;
        }
        if let Some(remote_ids) = self.remote_ids {
            provider.remote_ids = remote_ids.unwrap_or_default();
        }
        if let Some(minutes) = self.authorization_ttl {
            provider.authorization_ttl = minutes;
        }
        provider
    }
}

/// An identity provider, as clients see it.
#[derive(Debug, Serialize)]
struct ProviderDocument {
    id: IdentityProviderId,
    domain_id: DomainId,
    enabled: bool,
    description: Option<String>,
    remote_ids: Vec<String>,
    authorization_ttl: Option<u32>,
    links: ProviderLinks,
}

#[derive(Debug, Serialize)]
struct ProviderLinks {
    #[serde(flatten)]
    itself: SelfLink,
    /// Only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocols: Option<String>,
}

fn document(provider: IdentityProvider, call: &Call) -> One<ProviderDocument> {
    One::new(
        "identity_provider",
        ProviderDocument::new(provider, &call.links),
    )
}

impl ProviderDocument {
    fn new(provider: IdentityProvider, links: &Links) -> Self {
        Self {
            links: ProviderLinks {
                itself: links.to(&format!("OS-FEDERATION/identity_providers/{}", provider.id)),
                protocols: None,
            },
            id: provider.id,
            domain_id: provider.domain_id,
            enabled: provider.enabled,
            description: provider.description,
            remote_ids: provider.remote_ids,
            authorization_ttl: provider.authorization_ttl,
        }
    }

    fn with_protocols(mut self, links: &Links) -> Self {
        self.links.protocols = Some(format!(
            "{}/v3/OS-FEDERATION/identity_providers/{}/protocols",
            links.base_url(),
            self.id
        ));
        self
    }
}
