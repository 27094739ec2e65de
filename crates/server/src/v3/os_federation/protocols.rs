//! Protocols: the ways in which an identity provider speaks to us.

use model::federation::Protocol;
use model::ids::{IdentityProviderId, MappingId, ProtocolId};
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};

use super::check_id;
use crate::call::{Call, Collection, Links, SelfLink, Target};
use crate::error::ApiError;
use crate::extract::{Body, Named, Path};
use crate::operation::{Operation, Routes};
use crate::reply::{One, Reply};

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
    "Add a protocol to an identity provider",
)
.rules(&[CREATE_PROTOCOL])
.body("federation.protocol_create_request_body");
static UPDATE: Operation = Operation::patch(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "Change a protocol of an identity provider",
)
.rules(&[UPDATE_PROTOCOL])
.body("federation.protocol_update_request_body");
static DELETE: Operation = Operation::delete(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
    "Delete a protocol of an identity provider",
)
.rules(&[DELETE_PROTOCOL]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const READER: &str = "rule:admin_required or (role:reader and system_scope:all)";

const LIST_PROTOCOLS: Rule = Rule::new("identity:list_protocols", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const GET_PROTOCOL: Rule = Rule::new("identity:get_protocol", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const CREATE_PROTOCOL: Rule = Rule::new("identity:create_protocol", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const UPDATE_PROTOCOL: Rule = Rule::new("identity:update_protocol", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const DELETE_PROTOCOL: Rule = Rule::new("identity:delete_protocol", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);

async fn list(
    call: Call,
    Path(provider): Path<IdentityProviderId>,
) -> Result<Reply<Collection<ListedProtocol>>, ApiError> {
    let permit = call.authorize(LIST_PROTOCOLS, Target::none())?;
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
    let permit = call.authorize(GET_PROTOCOL, Target::none())?;
    let protocol = find(&call, &provider, &id).await?;
    Ok(permit.ok(document(protocol, &call)))
}

async fn create(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
    Body(request): Body<CreateProtocol>,
) -> Result<Reply<One<ProtocolDocument>>, ApiError> {
    let permit = call.authorize(CREATE_PROTOCOL, Target::none())?;
    check_mapping(&call, &request.mapping_id).await?;
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
        mapping_id: request.mapping_id,
        remote_id_attribute: request.remote_id_attribute,
        driver: None,
    };
    let mut tx = call.begin().await?;
    let inserted = tx.protocols().insert(&protocol).await;
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
    Body(change): Body<ChangeProtocol>,
) -> Result<Reply<One<ProtocolDocument>>, ApiError> {
    let permit = call.authorize(UPDATE_PROTOCOL, Target::none())?;
    check_mapping(&call, &change.mapping_id).await?;
    let protocol = change.apply(find(&call, &provider, &id).await?);
    let mut tx = call.begin().await?;
    tx.protocols().update(&protocol).await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(protocol, &call)))
}

async fn delete(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_PROTOCOL, Target::none())?;
    find(&call, &provider, &id).await?;
    let mut tx = call.begin().await?;
    tx.protocols().delete(&provider, &id, call.now()).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn find(
    call: &Call,
    provider: &IdentityProviderId,
    id: &ProtocolId,
) -> Result<Protocol, ApiError> {
    let protocol = call.store.protocols().find(provider, id).await?;
    protocol.ok_or_else(|| {
        ApiError::NotFoundAs(format!(
            "Could not find federated protocol {id} for Identity Provider: {provider}."
        ))
    })
}

/// A protocol is only given a mapping that exists, though the mapping may go later.
async fn check_mapping(call: &Call, id: &MappingId) -> Result<(), ApiError> {
    match call.store.mappings().find(id).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::BadRequest(format!("Invalid mapping id: {id}"))),
    }
}

/// The body of a new protocol.
#[derive(Deserialize)]
struct CreateProtocol {
    mapping_id: MappingId,
    remote_id_attribute: Option<String>,
}

impl Named for CreateProtocol {
    const NAME: &'static str = "protocol";
}

/// The body of a change, which always names the mapping.
#[derive(Deserialize)]
struct ChangeProtocol {
    mapping_id: MappingId,
    remote_id_attribute: Option<String>,
}

impl Named for ChangeProtocol {
    const NAME: &'static str = "protocol";
}

impl ChangeProtocol {
    fn apply(self, protocol: Protocol) -> Protocol {
        Protocol {
            mapping_id: self.mapping_id,
            remote_id_attribute: self.remote_id_attribute.or(protocol.remote_id_attribute),
            ..protocol
        }
    }
}

/// A protocol, as clients see it.
#[derive(Debug, Serialize)]
struct ProtocolDocument {
    id: ProtocolId,
    mapping_id: MappingId,
    links: ProtocolLinks,
}

/// A protocol in a list, where it shows more.
#[derive(Debug, Serialize)]
struct ListedProtocol {
    id: ProtocolId,
    idp_id: IdentityProviderId,
    mapping_id: MappingId,
    remote_id_attribute: Option<String>,
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
        }
    }
}
