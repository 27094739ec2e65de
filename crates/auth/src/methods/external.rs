//! The methods `external` and `kerberos`: the proxy in front has logged the user in.

use std::sync::Arc;

use config::ExternalUsers;
use model::subject::Login;
use model::{Method, Timestamp};

use super::login_request::{DomainName, LoginRequest, Named};
use super::users::{find_login, require_enabled};
use super::{Answer, Attempt, AuthenticationMethod, Proof};
use crate::error::ApiError;
use crate::parts::Parts;

/// By the word of a trusted proxy, under either name.
pub(super) struct ByProxy(pub(super) Method);

impl AuthenticationMethod for ByProxy {
    fn name(&self) -> Method {
        self.0.clone()
    }

    /// The proxy speaks of whoever comes through it. When its word leads to nobody, the methods that the
    /// request names may.
    fn is_tried_unasked(&self) -> bool {
        self.0 == Method::External
    }

    fn prove<'a>(&'a self, attempt: Attempt<'a>) -> Answer<'a, Proof> {
        Box::pin(async move {
            let Attempt {
                parts,
                request,
                now,
            } = attempt;
            find_user(parts, request, &self.0, now).await.map(Proof::of)
        })
    }

    /// The proxy's word is part of the request, and the user was looked up again.
    fn confirm<'a>(&'a self, _: &'a Parts, _: &'a mut Proof, _: Timestamp) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// The user of whom the proxy in front says that it has logged them in.
///
/// # Errors
///
/// 401 when it says nothing, or not what the method asks for, or there is no such user.
async fn find_user(
    parts: &Parts,
    request: &LoginRequest,
    method: &Method,
    now: Timestamp,
) -> Result<Arc<Login>, ApiError> {
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
