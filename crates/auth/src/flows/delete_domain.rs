//! Removing a domain with all that it holds.

use model::ids::DomainId;
use model::project::ResourceOptions;
use store::Saved;

use crate::call::Call;
use crate::error::ApiError;
use crate::flows::checks::refuse_immutable;
use crate::flows::revoke::revoke_domain;

/// Removes a domain with its users, groups, projects and identity providers, and revokes all
/// tokens that name any of them.
///
/// # Errors
///
/// 404 when there is none, 403 when it is enabled, or when it or one of its projects is immutable.
pub async fn delete_domain(call: &Call, id: &DomainId) -> Result<Saved, ApiError> {
    let mut tx = call.begin().await?;
    // With what it holds, which is judged too.
    let locked = tx.domains_mut().lock_all_within(id).await?;
    let domain = tx.domains().find(id).await?;
    let domain = domain.ok_or_else(|| ApiError::not_found("domain", id))?;
    let id = &domain.id;
    refuse_immutable("delete", "domain", id.as_str(), domain.options)?;
    if domain.enabled {
        return Err(ApiError::Forbidden(
            "Cannot delete a domain that is enabled, please disable it first.".into(),
        ));
    }
    if let Some(project_id) = tx.projects().find_immutable(id).await? {
        let immutable = ResourceOptions {
            immutable: Some(true),
        };
        refuse_immutable("delete", "project", project_id.as_str(), immutable)?;
    }
    revoke_domain(&call.parts, &mut tx, id, call.now()).await?;
    tx.domains_mut().delete(locked, call.now()).await?;
    Ok(tx.commit().await?)
}
