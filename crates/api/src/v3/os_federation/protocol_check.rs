//! Whether logins by a protocol would work, tried and told in words.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::methods::source::method;
use federation::CheckResult;
use model::federation::Protocol;
use model::ids::{IdentityProviderId, ProtocolId};
use policy::Rule;
use serde::Serialize;
use web::operation::Operation;

use super::{new_rule, protocols};
use crate::v3::auth::os_federation::identity_providers::login_url;
use crate::v3::auth::os_federation::websso::{callback_url, public_base_url};

/// The operation that tries a protocol.
pub fn routes() -> Routes {
    Routes::new().on(&CHECK, check)
}

static CHECK: Operation = Operation::post(
    "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/check",
    "Check the configuration of a protocol",
)
.rules(&[CHECK_PROTOCOL])
.answers(&[(200, "The results of the checks.")]);

/// Ours; Keystone has nothing to try.
const CHECK_PROTOCOL: Rule = new_rule("identity:check_protocol");

async fn check(
    call: Call,
    Path((provider, id)): Path<(IdentityProviderId, ProtocolId)>,
) -> Result<Reply<One<CheckDocument>>, ApiError> {
    let permit = call.authorize(CHECK_PROTOCOL, ())?;
    let protocol = protocols::find(&call, &provider, &id).await?;
    let mut findings = here(&call, &protocol).await?;
    match call.parts.drivers.driver(&protocol) {
        Ok(Some(driver)) => {
            let place = login_url(call.links.base_url(), &provider, &id);
            if public_base_url(&call).is_err() {
                findings.push(CheckResult::fail(
                    "callback",
                    "[DEFAULT] public_endpoint is not set, so that no provider can be told where \
                     to send users back to.",
                ));
            }
            let callback_url = callback_url(&place);
            findings.extend(driver.check(&callback_url, call.now()).await);
            if driver.answers_by_post() {
                findings.extend(without_tls(&call));
            }
        }
        Ok(None) => findings.push(proxies(&call)),
        Err(ApiError::Internal(cause)) => {
            findings.push(CheckResult::fail(
                "settings",
                format!("They cannot be used: {cause}"),
            ));
        }
        Err(other) => return Err(other),
    }
    Ok(permit.ok(One::new("check", CheckDocument::new(findings))))
}

/// Advice where browsers would lose a login on its way back: a provider that posts its answer does so
/// across sites, and a cookie that does not need TLS is withheld then. Within one machine there is
/// one site.
fn without_tls(call: &Call) -> Option<CheckResult> {
    let base_url = call.links.base_url();
    let url: http::Uri = base_url.parse().ok()?;
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if is_here || url.scheme_str() == Some("https") {
        return None;
    }
    Some(CheckResult::warn(
        "our addresses",
        format!(
            "The provider posts its answer to {base_url}, without TLS: browsers withhold the login's \
             cookie then, and people read that nobody asked for the response. Set [DEFAULT] \
             public_endpoint to an https address, and give the provider our new address or metadata."
        ),
    ))
}

/// What logins need on our own side.
async fn here(call: &Call, protocol: &Protocol) -> Result<Vec<CheckResult>, ApiError> {
    let id = &protocol.identity_provider_id;
    let provider = call.store.identity_providers().find(id).await?;
    let enabled = match provider {
        Some(provider) if provider.enabled => {
            let domain = call.store.domains().find(&provider.domain_id).await?;
            match domain.is_some_and(|domain| domain.enabled) {
                true => {
                    CheckResult::pass("identity provider", "It is enabled, and so is its domain.")
                }
                false => CheckResult::fail(
                    "identity provider",
                    format!(
                        "The domain of its users, {}, is disabled.",
                        provider.domain_id
                    ),
                ),
            }
        }
        _ => CheckResult::fail("identity provider", format!("{id} is disabled.")),
    };
    let method = match method(&call.parts, protocol) {
        Ok(method) => CheckResult::pass("method", format!("Tokens will say '{method}'.")),
        Err(_) => CheckResult::fail(
            "method",
            format!(
                "[auth] methods has neither '{}' nor, where a driver is set, 'mapped'.",
                protocol.id
            ),
        ),
    };
    let mapping = &protocol.mapping_id;
    let mapping = match call.store.mappings().find(mapping).await? {
        Some(_) => CheckResult::pass("mapping", format!("{mapping} is there.")),
        None => CheckResult::fail("mapping", format!("There is no mapping {mapping}.")),
    };
    Ok(vec![enabled, method, mapping])
}

/// What can be told of a protocol that a front proxy speaks.
fn proxies(call: &Call) -> CheckResult {
    let config = &call.parts.config.archstone;
    if config.trusted_proxies.is_empty() && config.proxy_socket.is_none() {
        return CheckResult::fail(
            "proxy",
            "A front proxy has to speak this protocol, but [archstone] has neither \
             trusted_proxies nor proxy_socket, so that every login is refused. Name the proxy \
             there, or set a driver.",
        );
    }
    CheckResult::pass(
        "proxy",
        "A front proxy speaks this protocol, and one is trusted. What it does cannot be tried \
         from here.",
    )
}

/// What a check found.
#[derive(Debug, Serialize)]
struct CheckDocument {
    /// Whether all works that logins need.
    works: bool,
    findings: Vec<CheckResultDocument>,
}

#[derive(Debug, Serialize)]
struct CheckResultDocument {
    step: &'static str,
    works: bool,
    needed: bool,
    detail: String,
}

impl CheckDocument {
    fn new(findings: Vec<CheckResult>) -> Self {
        Self {
            works: findings
                .iter()
                .all(|finding| finding.works || !finding.needed),
            findings: findings
                .into_iter()
                .map(|finding| CheckResultDocument {
                    step: finding.step,
                    works: finding.works,
                    needed: finding.needed,
                    detail: finding.detail,
                })
                .collect(),
        }
    }
}
