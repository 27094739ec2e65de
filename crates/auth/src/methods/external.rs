//! The methods `external` and `kerberos`: the proxy in front has logged the user in.

use config::ExternalUsers;
use model::subject::Login;
use model::{Method, Timestamp};

use super::login_request::{DomainName, LoginRequest, Named};
use super::users::{find_login, require_enabled};
use crate::error::ApiError;
use crate::parts::Parts;

/// The user of whom the proxy in front says that it has logged them in.
///
/// # Errors
///
/// 401 when it says nothing, or not what the method asks for, or there is no such user.
pub(crate) async fn find_external(
    parts: &Parts,
    request: &LoginRequest,
    method: &Method,
    now: Timestamp,
) -> Result<Login, ApiError> {
    let user = request.remote_user.as_ref();
    let user = user.ok_or_else(|| ApiError::unauthorized("no proxy vouches for the user"))?;
    let negotiated = user.auth_type.as_deref() == Some("Negotiate");
    if *method == Method::Kerberos && !negotiated {
        return Err(ApiError::unauthorized("auth_type is not Negotiate"));
    }
    let by_domain =
        *method == Method::Kerberos || parts.config.auth.external == Some(ExternalUsers::Domain);
    let domain = match user.domain.clone().filter(|_| by_domain) {
        Some(name) => DomainName::Name(name),
        None => DomainName::Id(parts.config.identity.default_domain_id.clone()),
    };
    let name = Named::Name(user.name.clone(), domain);
    let login = find_login(&parts.store, &name).await?;
    let login =
        login.ok_or_else(|| ApiError::unauthorized("nobody is called as the proxy says"))?;
    require_enabled(parts, &login, now)?;
    Ok(login)
}
