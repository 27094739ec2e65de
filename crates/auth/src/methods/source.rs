//! Where federated logins come from: an identity provider, and the protocol by which it vouches.

use model::Method;
use model::federation::{IdentityProvider, Mapping, Protocol};
use model::ids::{GroupId, IdentityProviderId, ProtocolId};
use model::token::FederatedLogin;
use store::Tx;

use super::{is_enabled, unsupported};
use crate::error::ApiError;
use crate::parts::Parts;

/// The provider and the protocol of a login, as they were found.
pub struct Source {
    /// Who vouches.
    pub provider: IdentityProvider,
    /// How.
    pub protocol: Protocol,
}

/// Finds by whom and how somebody wants to log in.
///
/// # Errors
///
/// 401 when the method is not enabled, 404 when there is no such provider or protocol, 403 when
/// the provider is disabled.
pub async fn find_source(
    parts: &Parts,
    provider: &IdentityProviderId,
    protocol: &ProtocolId,
) -> Result<Source, ApiError> {
    let found = look_for(parts, provider, protocol).await;
    // As in Keystone the method comes first; what it is called matters less for what we speak.
    match &found {
        Ok((_, Some(protocol))) => method(parts, protocol).map(drop)?,
        _ if !is_enabled(parts, protocol.as_str()) => return Err(unsupported(parts)),
        _ => {}
    }
    let (found_provider, found_protocol) = found?;
    require_enabled_source(found_provider, found_protocol, protocol)
}

/// The same for a session that ends, which a provider may say that has been disabled since.
///
/// # Errors
///
/// 404 when there is no such provider or protocol.
pub async fn find_source_of_session(
    parts: &Parts,
    provider: &IdentityProviderId,
    protocol: &ProtocolId,
) -> Result<Source, ApiError> {
    let (found_provider, found_protocol) = look_for(parts, provider, protocol).await?;
    Ok(Source {
        provider: found_provider,
        protocol: found_protocol.ok_or_else(|| no_such_protocol(provider, protocol))?,
    })
}

async fn look_for(
    parts: &Parts,
    provider: &IdentityProviderId,
    protocol: &ProtocolId,
) -> Result<(IdentityProvider, Option<Protocol>), ApiError> {
    let found = parts.store.identity_providers().find(provider).await?;
    let found = found.ok_or_else(|| ApiError::not_found("Identity Provider", provider))?;
    let protocol = parts.store.protocols().find(provider, protocol).await?;
    let secrets = protocol
        .as_ref()
        .and_then(|found| found.driver.as_ref()?.secrets.as_ref());
    let key_hashes = secrets.map(|(_, key_hash)| key_hash.as_str());
    parts.credential_cipher.expect_keys(key_hashes).await;
    Ok((found, protocol))
}

/// The provider has to be enabled, and the protocol to be there.
fn require_enabled_source(
    provider: IdentityProvider,
    protocol: Option<Protocol>,
    id: &ProtocolId,
) -> Result<Source, ApiError> {
    if !provider.enabled {
        return Err(ApiError::refused(format!(
            "Identity Provider {} is disabled",
            provider.id
        )));
    }
    let protocol = protocol.ok_or_else(|| no_such_protocol(&provider.id, id))?;
    Ok(Source { provider, protocol })
}

/// Checks that what a federated token came from still stands, before it is exchanged.
///
/// # Errors
///
/// 404 or 403 when the provider, the protocol or its mapping is gone or disabled, 400 when one of
/// the token's groups is.
pub(crate) async fn check_source(parts: &Parts, login: &FederatedLogin) -> Result<(), ApiError> {
    let (provider, protocol) =
        look_for(parts, &login.identity_provider_id, &login.protocol_id).await?;
    let source = require_enabled_source(provider, protocol, &login.protocol_id)?;
    let mapping = &source.protocol.mapping_id;
    if parts.store.mappings().find(mapping).await?.is_none() {
        return Err(ApiError::not_found("mapping", mapping));
    }
    find_groups(parts, &login.group_ids, &source.protocol).await?;
    Ok(())
}

/// Checks in the transaction of a login that what it was judged by is still so: speaking to the
/// provider takes its time, and somebody may have disabled or deleted it meanwhile, or changed
/// whom it may speak of.
///
/// # Errors
///
/// 404 or 403 when the provider, the protocol or the mapping is gone or disabled, 401 when one of
/// them is another than before.
pub(crate) async fn confirm_source(
    tx: &mut Tx,
    source: &Source,
    mapping: &Mapping,
) -> Result<(), ApiError> {
    let (id, protocol_id) = (&source.provider.id, &source.protocol.id);
    // Held until the login is written: it comes wholly before or after a change of the provider.
    tx.identity_providers_mut().require(id).await?;
    let provider = tx.identity_providers().find(id).await?;
    let provider = provider.ok_or_else(|| ApiError::not_found("Identity Provider", id))?;
    let protocol = tx.protocols().find(id, protocol_id).await?;
    let found = require_enabled_source(provider, protocol, protocol_id)?;
    let found_mapping = tx.mappings().find(&mapping.id).await?;
    let found_mapping = found_mapping.ok_or_else(|| ApiError::not_found("mapping", &mapping.id))?;
    let is_same = found.provider.remote_ids == source.provider.remote_ids
        && found.provider.domain_id == source.provider.domain_id
        && found.protocol == source.protocol
        && found_mapping == *mapping;
    if !is_same {
        return Err(ApiError::unauthorized(
            "the provider, its protocol or its mapping was changed during the login",
        ));
    }
    Ok(())
}

/// The method that tokens name: that of the protocol's name, as Keystone has it; for protocols
/// that we speak ourselves and that `[auth] methods` does not name, `mapped`, so that a provider
/// can be added without a restart.
pub fn method(parts: &Parts, protocol: &Protocol) -> Result<Method, ApiError> {
    let own = protocol.id.as_str();
    // A federated login never counts as one of the methods that are verified here, whatever its name.
    const LOCAL_METHODS: [&str; 6] = [
        "application_credential",
        "external",
        "oauth1",
        "password",
        "token",
        "totp",
    ];
    if is_enabled(parts, own) && !LOCAL_METHODS.contains(&own) {
        return Ok(Method::from(own));
    }
    if protocol.own_driver().is_some() && is_enabled(parts, "mapped") {
        return Ok(Method::from("mapped"));
    }
    Err(unsupported(parts))
}

/// 400 for everybody who logs in by a mapping that cannot be used: what is wrong with it is told in
/// the log, for it may name more than strangers should see.
pub(crate) fn unusable_mapping(protocol: &Protocol, reason: &str) -> ApiError {
    let id = &protocol.mapping_id;
    tracing::warn!(mapping.id = %id, reason, "a mapping cannot be used");
    ApiError::BadRequest(format!(
        "The mapping {id} of the identity provider {} cannot be used.",
        protocol.identity_provider_id
    ))
}

/// The groups of these ids, all of which must exist.
///
/// # Errors
///
/// 400 for one that does not: the mapping leads to it.
pub(crate) async fn find_groups(
    parts: &Parts,
    ids: &[GroupId],
    protocol: &Protocol,
) -> Result<Vec<GroupId>, ApiError> {
    let found = parts.store.groups().find_each(ids).await?;
    let found = ids.iter().zip(found).map(|(id, found)| {
        found.ok_or_else(|| {
            let reason = format!("group {id}, to which it leads, does not exist");
            unusable_mapping(protocol, &reason)
        })
    });
    found.collect()
}

/// 404: the provider has no such protocol.
pub fn no_such_protocol(provider: &IdentityProviderId, id: &ProtocolId) -> ApiError {
    ApiError::NotFoundAs(format!(
        "Could not find federated protocol {id} for Identity Provider: {provider}."
    ))
}
