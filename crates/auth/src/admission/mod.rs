//! Admission: who asks, by the token of a request.

pub mod caller;
pub mod proxy_variables;
pub mod validate_token;

use http::{HeaderMap, HeaderName, Method};
use model::Timestamp;

use crate::error::ApiError;
use crate::parts::Parts;
use crate::tokens::ValidToken;
use caller::Caller;
use validate_token::{ValidationError, ValidationOptions, refuse_ec2, validate_token};

/// The token of a request.
pub const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The version of access rules that the asker enforces.
const ACCESS_RULES: HeaderName = HeaderName::from_static("openstack-identity-access-rules");

/// Who asks, as far as their token lets them ask for this. A token that is bound to access rules
/// is judged by them here, whatever else the request says: only its own path and method count.
pub async fn admit(
    parts: &Parts,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, ValidationError> {
    let Some(text) = headers
        .get(X_AUTH_TOKEN)
        .and_then(|value| value.to_str().ok())
    else {
        return Ok(Caller::anonymous("there is no X-Auth-Token"));
    };
    if let Some(operator) = &parts.config.default.admin_token
        && subtle::ConstantTimeEq::ct_eq(operator.expose().as_bytes(), text.as_bytes()).into()
    {
        return Ok(Caller::admin_token());
    }
    let options = ValidationOptions {
        access_rules: true,
        ..ValidationOptions::default()
    };
    let token = match validate_token(parts, text, now, options).await {
        Ok(token) => token,
        Err(ValidationError::Invalid(error) | ValidationError::Unsupported(error)) => {
            return Ok(Caller::anonymous(error.to_string()));
        }
        Err(refusal) => return Err(refusal),
    };
    if !permits(&token, method, path) {
        let reason = "the access rules of the application credential do not permit this request";
        return Err(ValidationError::Invalid(ApiError::unauthorized(reason)));
    }
    refuse_ec2(&token).map_err(ValidationError::Invalid)?;
    Ok(Caller::user(token))
}

/// Whether the access rules of what a token acts by permit a request to this API. Every token may be validated.
fn permits(token: &ValidToken, method: &Method, path: &str) -> bool {
    let Some(delegation) = &token.delegation else {
        return true;
    };
    let validates = method == Method::GET && path == "/v3/auth/tokens";
    validates || delegation.permits("identity", method.as_str(), path)
}

/// Whether the asker promises to enforce the access rules of the token that it asks about
/// (`OpenStack-Identity-Access-Rules` ≥ 1.0). It says nothing of the token that it asks with.
pub fn promises_access_rules(headers: &HeaderMap) -> bool {
    headers
        .get(ACCESS_RULES)
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .is_some_and(|version| version >= 1.0)
}
