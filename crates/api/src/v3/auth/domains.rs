//! The domains that the caller can get a token for.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use policy::Rule;
use web::operation::Operation;
use web::reply::Collection;

use crate::v3::domains::DomainDocument;

/// The operations on the caller's domains.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list).on(&LIST_FEDERATED, list)
}

static LIST: Operation = Operation::get(
    "/v3/auth/domains",
    "List the domains on which the caller has a role",
)
.rules(&[GET_DOMAINS])
.answers(&[(200, "The domains.")]);

static LIST_FEDERATED: Operation = Operation::get(
    "/v3/OS-FEDERATION/domains",
    "List the domains on which the caller has a role (deprecated path)",
)
.rules(&[GET_DOMAINS])
.answers(&[(200, "The domains.")]);

const GET_DOMAINS: Rule = Rule::new("identity:get_auth_domains", "");

async fn list(call: Call) -> Result<Reply<Collection<DomainDocument>>, ApiError> {
    let permit = call.authorize(GET_DOMAINS, ())?;
    let domains = match call.caller().token() {
        None => Vec::new(),
        Some(own) => {
            let groups = own.token.group_ids();
            call.store
                .domains()
                .list_of_user(&own.subject.id, groups, call.now())
                .await?
        }
    };
    let documents = domains
        .into_iter()
        .map(|domain| DomainDocument::new(domain, &call.links))
        .collect();
    Ok(permit.ok(call.collection("domains", documents)))
}
