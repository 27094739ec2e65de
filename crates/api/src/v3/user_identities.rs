//! By what names identity providers know a user: the `federated` part of users.

use auth::call::Call;
use auth::error::ApiError;
use model::ids::{IdentityProviderId, ProtocolId};
use model::user::FederatedIdentity;
use serde::{Deserialize, Serialize};

/// Checks that there are the identity providers, and their protocols, that shall know a user.
pub(crate) async fn check_federation(
    call: &Call,
    identities: &[FederatedIdentity],
) -> Result<(), ApiError> {
    let providers: Vec<_> = identities
        .iter()
        .map(|identity| &identity.identity_provider_id)
        .collect();
    let known = call.store.users().list_known_protocols(&providers).await?;
    for identity in identities {
        let provider = &identity.identity_provider_id;
        let protocol = &identity.protocol_id;
        if !known.iter().any(|(id, _)| id == provider) {
            return Err(ApiError::BadRequest(format!(
                "Could not find Identity Provider: {provider}"
            )));
        }
        if !known
            .iter()
            .any(|(id, known)| id == provider && known.as_ref() == Some(protocol))
        {
            return Err(ApiError::BadRequest(format!(
                "Could not find federated protocol {protocol} for Identity Provider: {provider}."
            )));
        }
    }
    Ok(())
}

/// What one identity provider calls a user.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct FederatedDocument {
    idp_id: IdentityProviderId,
    protocols: Vec<ProtocolDocument>,
}

/// What an identity provider calls a user when it speaks this protocol.
#[derive(Debug, Deserialize, Serialize)]
struct ProtocolDocument {
    protocol_id: ProtocolId,
    unique_id: String,
}

impl FederatedDocument {
    /// One document for each identity provider.
    pub(crate) fn of(identities: &[FederatedIdentity]) -> Vec<Self> {
        let mut documents: Vec<Self> = Vec::new();
        for identity in identities {
            let protocol = ProtocolDocument {
                protocol_id: identity.protocol_id.clone(),
                unique_id: identity.unique_id.clone(),
            };
            let idp_id = &identity.identity_provider_id;
            match documents.iter_mut().find(|known| known.idp_id == *idp_id) {
                Some(document) => document.protocols.push(protocol),
                None => documents.push(Self {
                    idp_id: idp_id.clone(),
                    protocols: vec![protocol],
                }),
            }
        }
        documents
    }
}

/// The identities that the documents of a request name.
pub(crate) fn identities(documents: Vec<FederatedDocument>) -> Vec<FederatedIdentity> {
    let mut identities = Vec::new();
    for document in documents {
        for protocol in document.protocols {
            identities.push(FederatedIdentity {
                identity_provider_id: document.idp_id.clone(),
                protocol_id: protocol.protocol_id,
                unique_id: protocol.unique_id,
            });
        }
    }
    identities
}
