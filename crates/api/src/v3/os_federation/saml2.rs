//! Our SAML metadata, for the other side to read.

use std::io::ErrorKind;

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use config::Saml;
use http::HeaderValue;
use model::federation::{Protocol, ProtocolDriver};
use model::ids::{IdentityProviderId, ProtocolId};
use web::operation::Operation;

use crate::saml_idp;
use crate::v3::auth::os_federation::{identity_providers::login_url, websso};

/// The operation that shows it.
pub fn routes() -> Routes {
    Routes::new().on(&METADATA, metadata)
}

static METADATA: Operation = Operation::get(
    "/v3/OS-FEDERATION/saml2/metadata",
    "Show the SAML metadata of the identity provider, or of the service provider for a protocol",
)
.public("SAML metadata is public")
.answers(&[(200, "The SAML metadata.")]);

/// As service provider for one protocol, when the query names one; else as identity provider.
async fn metadata(call: Call) -> Result<Reply<()>, ApiError> {
    let query = &call.request.query;
    let provider: Option<IdentityProviderId> = query.get("identity_provider").map(Into::into);
    let text = match provider {
        Some(provider) => {
            let protocol: Option<ProtocolId> = query.get("protocol").map(Into::into);
            let protocol = find(&call, &provider, protocol).await?;
            of_service_provider(&call, &protocol)?
        }
        None => {
            let saml = call.parts.config.saml.clone();
            let text = call.parts.files.run(move || of_identity_provider(&saml));
            text.await?
        }
    };
    Ok(call
        .public()
        .text(HeaderValue::from_static("text/xml"), text))
}

/// What the operator wrote, else what the options say.
fn of_identity_provider(saml: &Saml) -> Result<String, ApiError> {
    let path = &saml.idp_metadata_path;
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound && saml.idp_entity_id.is_some() => {
            Ok(saml_idp::metadata(saml)?)
        }
        Err(error) => Err(ApiError::internal(format!(
            "[saml] idp_metadata_path: {}: {error}",
            path.display()
        ))),
    }
}

/// The protocol that is meant; the only one that has metadata, when the query does not say.
async fn find(
    call: &Call,
    provider: &IdentityProviderId,
    id: Option<ProtocolId>,
) -> Result<Protocol, ApiError> {
    let protocols = call.store.protocols().list(provider).await?;
    let mut fitting = protocols.into_iter().filter(|protocol| match &id {
        Some(id) => protocol.id == *id,
        None => speaks_saml(protocol),
    });
    fitting.next().ok_or_else(|| {
        ApiError::NotFoundAs(format!(
            "Could not find a protocol with metadata for Identity Provider: {provider}."
        ))
    })
}

fn speaks_saml(protocol: &Protocol) -> bool {
    let driver = protocol.driver.as_ref();
    driver.is_some_and(|driver: &ProtocolDriver| driver.name == "saml2")
}

fn of_service_provider(call: &Call, protocol: &Protocol) -> Result<String, ApiError> {
    let driver = call.parts.drivers.driver(protocol)?;
    let place = login_url(
        websso::public_base_url(call)?,
        &protocol.identity_provider_id,
        &protocol.id,
    );
    let (callback_url, ecp_url) = (websso::callback_url(&place), format!("{place}/ecp"));
    let text = driver.and_then(|driver| driver.metadata(&callback_url, &ecp_url));
    text.ok_or_else(|| {
        ApiError::NotFoundAs(format!("The protocol {} has no metadata.", protocol.id))
    })
}
