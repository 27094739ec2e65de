//! Revocation events: which tokens are void before they expire.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use model::Timestamp;
use model::revocation::RevocationEvent;
use policy::{Rule, ScopeType};
use serde::Serialize;
use serde_json::Value;
use web::operation::Operation;

use crate::v3::times;

/// The operations on revocation events.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation =
    Operation::get("/v3/OS-REVOKE/events", "List revocation events").rules(&[LIST_REVOKE_EVENTS]);

const LIST_REVOKE_EVENTS: Rule = Rule::new("identity:list_revoke_events", "rule:service_or_admin")
    .scopes(&[ScopeType::System, ScopeType::Project]);

async fn list(call: Call) -> Result<Reply<EventsDocument>, ApiError> {
    let permit = call.authorize(LIST_REVOKE_EVENTS, ())?;
    let since = call
        .request
        .query
        .get("since")
        .filter(|text| !text.is_empty());
    let since = since.map(|text| {
        let complaint = || ApiError::BadRequest(format!("invalidate date format {text}"));
        times::parse(text).ok_or_else(complaint)
    });
    let events = call.store.revocations().list(since.transpose()?).await?;
    Ok(permit.ok(EventsDocument {
        events: events.into_iter().map(document).collect(),
        links: EventsLinks {
            next: None,
            itself: format!("{}{}", call.links.base_url(), call.request.path()),
            previous: None,
        },
    }))
}

/// All events; unlike in other lists, the link leaves the query out.
#[derive(Debug, Serialize)]
struct EventsDocument {
    events: Vec<Value>,
    links: EventsLinks,
}

#[derive(Debug, Serialize)]
struct EventsLinks {
    next: Option<String>,
    #[serde(rename = "self")]
    itself: String,
    previous: Option<String>,
}

/// A revocation event, as clients see it: what it does not say is left out.
fn document(event: RevocationEvent) -> Value {
    let precise = |time: Timestamp| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    // The only one of the times that is written without a fraction.
    let expires_at = event
        .expires_at
        .map(|end| end.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let attributes = [
        ("user_id", event.user_id.map(String::from)),
        ("role_id", event.role_id.map(String::from)),
        ("domain_id", event.domain_id.map(String::from)),
        ("project_id", event.project_id.map(String::from)),
        ("audit_id", event.audit_id.map(|id| id.to_string())),
        (
            "audit_chain_id",
            event.audit_chain_id.map(|id| id.to_string()),
        ),
        ("OS-TRUST:trust_id", event.trust_id.map(String::from)),
        ("OS-OAUTH1:consumer_id", event.consumer_id.map(String::from)),
        (
            "OS-OAUTH1:access_token_id",
            event.access_token_id.map(String::from),
        ),
        ("expires_at", expires_at),
        ("issued_before", Some(precise(event.issued_before))),
        ("revoked_at", Some(precise(event.revoked_at))),
    ];
    attributes
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
