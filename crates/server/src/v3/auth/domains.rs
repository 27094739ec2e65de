//! The domains that the caller can get a token for.

use policy::Rule;

use crate::call::{Call, Collection, Target};
use crate::error::ApiError;
use crate::operation::{Operation, Routes};
use crate::reply::Reply;
use crate::v3::domains::DomainDocument;

/// The operations on the caller's domains.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation =
    Operation::get("/v3/auth/domains", "List the domains of the caller").rules(&[GET_DOMAINS]);

/// Also asked by the same list below `/v3/OS-FEDERATION`.
pub(crate) const GET_DOMAINS: Rule = Rule::new("identity:get_auth_domains", "");

pub(crate) async fn list(call: Call) -> Result<Reply<Collection<DomainDocument>>, ApiError> {
    let permit = call.authorize(GET_DOMAINS, Target::none())?;
    let domains = match call.caller.token() {
        None => Vec::new(),
        Some(own) => {
            let groups = own.token.group_ids();
            call.store
                .domains()
                .list_of_user(&own.subject.id, groups)
                .await?
        }
    };
    let documents = domains
        .into_iter()
        .map(|domain| DomainDocument::new(domain, &call.links))
        .collect();
    Ok(permit.ok(call.collection("domains", documents)))
}
