//! Protocols: the ways in which an identity provider speaks to us.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::methods::source::no_such_protocol;
use auth::parts::drivers;
use model::federation::{Protocol, ProtocolDriver};
use model::ids::{IdentityProviderId, MappingId, ProtocolId};
use policy::Rule;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::Tx;
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named};

use super::{check_id, manage_rule, read_rule};

/// The operations on protocols.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols",
    "List the protocols of an identity provider",
)
.rules(&[LIST_PROTOCOLS]);
static SHOW: Operation = Operation::get(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "Show a protocol of an identity provider",
)
.rules(&[GET_PROTOCOL]);
static CREATE: Operation = Operation::put(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "Create a protocol of an identity provider",
)
.rules(&[CREATE_PROTOCOL])
.body("federation.protocol_create_request_body");
static UPDATE: Operation = Operation::patch(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "Update a protocol of an identity provider",
)
.rules(&[UPDATE_PROTOCOL])
.body("federation.protocol_update_request_body");
static DELETE: Operation = Operation::delete(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "Delete a protocol of an identity provider",
)
.rules(&[DELETE_PROTOCOL]);

const LIST_PROTOCOLS: Rule = read_rule("identity:list_protocols");
const GET_PROTOCOL: Rule = read_rule("identity:get_protocol");
const CREATE_PROTOCOL: Rule = manage_rule("identity:create_protocol");
const UPDATE_PROTOCOL: Rule = manage_rule("identity:update_protocol");
const DELETE_PROTOCOL: Rule = manage_rule("identity:delete_protocol");
async fn list(
    call: Call,
    Path(provider): Path<IdentityProviderId>,
) -> Result<Reply<Collection<ListedProtocol>>, ApiError> {
    let permit = call.authorize(LIST_PROTOCOLS, ())?;
    // A provider that does not exist has none.
    let protocols = call.store.protocols().list(&provider).await?;
    let documents = protocols
        .into_iter()
        .map(|protocol| ListedProtocol::new(protocol, &call.links))
        .collect();
    Ok(permit.ok(call.collection("protocols", documents)))
}

async fn show(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<One<ProtocolDocument>>, ApiError> {
    let permit = call.authorize(GET_PROTOCOL, ())?;
    let protocol = find(&call, &provider, &id).await?;
    Ok(permit.ok(document(protocol, &call)))
}

async fn create(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
    Body(mut wanted): Body<ProtocolAttributes>,
) -> Result<Reply<One<ProtocolDocument>>, ApiError> {
    let permit = call.authorize(CREATE_PROTOCOL, ())?;
    check_mapping(&call, &wanted.mapping_id).await?;
    if call
        .store
        .identity_providers()
        .find(&provider)
        .await?
        .is_none()
    {
        return Err(ApiError::not_found("Identity Provider", &provider));
    }
    check_id(id.as_str())?;
    let protocol = Protocol {
        id,
        identity_provider_id: provider,
        driver: wanted.driver(&call, None)?,
        mapping_id: wanted.mapping_id,
        remote_id_attribute: wanted.remote_id_attribute,
    };
    let mut tx = call.begin().await?;
    require_mapping(&mut tx, &protocol.mapping_id).await?;
    let inserted = tx.protocols_mut().insert(&protocol).await;
    inserted.map_err(|error| {
        ApiError::from(error)
            .conflict_details(|| format!("Duplicate entry found with ID {}", protocol.id))
    })?;
    let saved = tx.commit().await?;
    Ok(permit.created(saved, document(protocol, &call)))
}

async fn update(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
    Body(mut change): Body<ProtocolAttributes>,
) -> Result<Reply<One<ProtocolDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_PROTOCOL, ())?;
    check_mapping(&call, &change.mapping_id).await?;
    let mut tx = call.begin().await?;
    require_mapping(&mut tx, &change.mapping_id).await?;
    let remote_id_attribute = change.remote_id_attribute.as_deref();
    let known = tx
        .protocols_mut()
        .update(&provider, &id, &change.mapping_id, remote_id_attribute)
        .await?
        .ok_or_else(|| no_such_protocol(&provider, &id))?;
    // Only now, when nobody else changes them: of two changes at once, both have to last.
    let protocol = Protocol {
        driver: change.driver(&call, known.driver.as_ref())?,
        ..known
    };
    tx.protocols_mut().write_driver(&protocol).await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(protocol, &call)))
}

async fn delete(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_PROTOCOL, ())?;
    find(&call, &provider, &id).await?;
    let mut tx = call.begin().await?;
    // A login that is under way comes wholly before or after.
    let locked = tx.identity_providers_mut().lock(&provider).await;
    locked.map_err(|error| ApiError::missing_as(error, || no_such_protocol(&provider, &id)))?;
    if !tx
        .protocols_mut()
        .delete(&provider, &id, call.now())
        .await?
    {
        return Err(no_such_protocol(&provider, &id));
    }
    Ok(permit.done(tx.commit().await?))
}

pub(super) async fn find(
    call: &Call,
    provider: &IdentityProviderId,
    id: &ProtocolId,
) -> Result<Protocol, ApiError> {
    let protocol = call.store.protocols().find(provider, id).await?;
    protocol.ok_or_else(|| no_such_protocol(provider, id))
}

/// A protocol is only given a mapping that exists, though the mapping may go later.
async fn check_mapping(call: &Call, id: &MappingId) -> Result<(), ApiError> {
    match call.store.mappings().find(id).await? {
        Some(_) => Ok(()),
        None => Err(no_such_mapping(id)),
    }
}

/// The same in the transaction that writes: nobody takes the mapping away before.
async fn require_mapping(tx: &mut Tx, id: &MappingId) -> Result<(), ApiError> {
    let found = tx.mappings_mut().require(id).await;
    found.map_err(|error| ApiError::missing_as(error, || no_such_mapping(id)))
}

fn no_such_mapping(id: &MappingId) -> ApiError {
    ApiError::BadRequest(format!("Invalid mapping id: {id}"))
}

/// What a client says of a protocol, new or changed. It always names the mapping.
#[derive(Deserialize)]
struct ProtocolAttributes {
    mapping_id: MappingId,
    remote_id_attribute: Option<String>,
    driver: Option<String>,
    settings: Option<Map<String, Value>>,
}

impl Named for ProtocolAttributes {
    const NAME: &'static str = "protocol";
}

impl ProtocolAttributes {
    /// How the protocol is spoken from now on. Settings are changed one by one: null takes one
    /// away, and what is not named stays, so that a secret can be changed alone and need not be
    /// known to change anything else. Another driver begins without any.
    fn driver(
        &mut self,
        call: &Call,
        known: Option<&ProtocolDriver>,
    ) -> Result<Option<ProtocolDriver>, ApiError> {
        let changes = self.settings.take();
        let none = Map::new();
        let (name, mut settings) = match (self.driver.take(), known) {
            (None, None) if changes.is_none() => return Ok(None),
            (None, None) => (ProtocolDriver::EXTERNAL.to_owned(), Map::new()),
            (name, Some(known)) if name.as_ref().is_none_or(|name| *name == known.name) => {
                let changes = changes.as_ref().unwrap_or(&none);
                let settings = call.parts.drivers.before_change(known, changes)?;
                (known.name.clone(), settings)
            }
            (Some(name), _) => (name, Map::new()),
            (None, Some(known)) => (known.name.clone(), Map::new()),
        };
        let before = settings.clone();
        let changes = changes.unwrap_or_default();
        for (setting, value) in &changes {
            match value {
                Value::Null => settings.remove(setting),
                value => settings.insert(setting.clone(), value.clone()),
            };
        }
        let checked = call
            .parts
            .drivers
            .checked(name, settings.clone(), call.now())?;
        drivers::want_secrets_again(&checked.name, &before, &settings, &changes)?;
        Ok(Some(checked))
    }
}

/// A protocol, as clients see it.
#[derive(Debug, Serialize)]
struct ProtocolDocument {
    id: ProtocolId,
    mapping_id: MappingId,
    #[serde(flatten)]
    spoken: Option<SpokenDocument>,
    links: ProtocolLinks,
}

/// How a protocol is spoken. Secrets are not shown, only which there are.
#[derive(Debug, Serialize)]
struct SpokenDocument {
    driver: String,
    settings: Value,
    has_secrets: bool,
}

impl SpokenDocument {
    fn new(driver: ProtocolDriver) -> Self {
        Self {
            driver: driver.name,
            settings: driver.settings,
            has_secrets: driver.secrets.is_some(),
        }
    }
}

/// A protocol in a list, where it shows more.
#[derive(Debug, Serialize)]
struct ListedProtocol {
    id: ProtocolId,
    idp_id: IdentityProviderId,
    mapping_id: MappingId,
    remote_id_attribute: Option<String>,
    #[serde(flatten)]
    spoken: Option<SpokenDocument>,
    links: ProtocolLinks,
}

#[derive(Debug, Serialize)]
struct ProtocolLinks {
    #[serde(flatten)]
    itself: SelfLink,
    identity_provider: String,
}

fn document(protocol: Protocol, call: &Call) -> One<ProtocolDocument> {
    One::new("protocol", ProtocolDocument::new(protocol, &call.links))
}

impl ProtocolLinks {
    /// The reference forgets what lies between; neither link leads anywhere.
    fn new(protocol: &Protocol, links: &Links) -> Self {
        let (base, provider) = (links.base_url(), &protocol.identity_provider_id);
        Self {
            itself: links.to(&format!("protocols/{}", protocol.id)),
            identity_provider: format!("{base}/v3/{provider}"),
        }
    }
}

impl ProtocolDocument {
    fn new(protocol: Protocol, links: &Links) -> Self {
        Self {
            links: ProtocolLinks::new(&protocol, links),
            id: protocol.id,
            mapping_id: protocol.mapping_id,
            spoken: protocol.driver.map(SpokenDocument::new),
        }
    }
}

impl ListedProtocol {
    fn new(protocol: Protocol, links: &Links) -> Self {
        Self {
            links: ProtocolLinks::new(&protocol, links),
            id: protocol.id,
            idp_id: protocol.identity_provider_id,
            mapping_id: protocol.mapping_id,
            remote_id_attribute: protocol.remote_id_attribute,
            spoken: protocol.driver.map(SpokenDocument::new),
        }
    }
}
