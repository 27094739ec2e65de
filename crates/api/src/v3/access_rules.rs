//! Access rules: the kinds of request that application credentials may make. They are made with
//! a credential, and stay when it goes.

use model::application_credential::{AccessRule, AccessRuleFilter};
use model::ids::{AccessRuleId, UserId};
use policy::{Rule, ScopeType};
use serde::Serialize;
use store::Undeleted;

use crate::v3::application_credentials::refuse_delegated;
use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::Target;
use web::operation::Operation;
use web::reply::Collection;
use web::reply::Links;
use web::reply::SelfLink;

/// The operations on access rules.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get(
    "/v3/users/{user_id}/access_rules",
    "List the access rules of a user",
)
.rules(&[LIST_ACCESS_RULES])
.query("application_credential.access_rule_index_request_query")
.filters(&["service", "path", "method"]);
static SHOW: Operation = Operation::get(
    "/v3/users/{user_id}/access_rules/{access_rule_id}",
    "Show an access rule",
)
.rules(&[GET_ACCESS_RULE])
.query("application_credential.access_rule_show_request_query");
static DELETE: Operation = Operation::delete(
    "/v3/users/{user_id}/access_rules/{access_rule_id}",
    "Delete an access rule",
)
.rules(&[DELETE_ACCESS_RULE]);

const LIST_ACCESS_RULES: Rule = Rule::new(
    "identity:list_access_rules",
    "(role:reader and system_scope:all) or user_id:%(target.user.id)s",
)
.scopes(&[ScopeType::System, ScopeType::Project]);
const GET_ACCESS_RULE: Rule = Rule::new(
    "identity:get_access_rule",
    "(role:reader and system_scope:all) or user_id:%(target.user.id)s",
)
.scopes(&[ScopeType::System, ScopeType::Project]);
const DELETE_ACCESS_RULE: Rule = Rule::new(
    "identity:delete_access_rule",
    "(role:admin and system_scope:all) or user_id:%(target.user.id)s",
)
.scopes(&[ScopeType::System, ScopeType::Project]);

async fn list(
    call: Call,
    Path(user_id): Path<UserId>,
) -> Result<Reply<Collection<Linked>>, ApiError> {
    let permit = call.authorize(LIST_ACCESS_RULES, owner(&call, &user_id).await?)?;
    refuse_delegated(&call)?;
    let query = &call.request.query;
    let filter = AccessRuleFilter {
        service: query.text("service"),
        path: query.text("path"),
        method: query.text("method"),
    };
    let range = call.range(None)?;
    let found = call
        .store
        .access_rules()
        .list(&user_id, &filter, &range.page())
        .await?;
    let documents = found
        .into_iter()
        .map(|rule| Linked::new(rule, &call.links))
        .collect();
    let part = call.part_of_collection("access_rules", documents, &range, Linked::id);
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path((user_id, id)): Path<(UserId, AccessRuleId)>,
) -> Result<Reply<One<Linked>>, ApiError> {
    let permit = call.authorize(GET_ACCESS_RULE, owner(&call, &user_id).await?)?;
    refuse_delegated(&call)?;
    let found = call.store.access_rules().find(&user_id, &id).await?;
    let rule = found.ok_or_else(|| ApiError::not_found("Access Rule", &id))?;
    Ok(permit.ok(One::new("access_rule", Linked::new(rule, &call.links))))
}

async fn delete(
    call: Call,
    Path((user_id, id)): Path<(UserId, AccessRuleId)>,
) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(DELETE_ACCESS_RULE, owner(&call, &user_id).await?)?;
    refuse_delegated(&call)?;
    let mut tx = call.begin().await?;
    match tx.access_rules_mut().delete(&user_id, &id).await? {
        Ok(()) => Ok(permit.done(tx.commit().await?)),
        Err(Undeleted::Absent) => Err(ApiError::not_found("Access Rule", &id)),
        Err(Undeleted::InUse) => Err(ApiError::Forbidden(
            "May not delete access rule in use".into(),
        )),
    }
}

/// Whose rules they are. A user who does not exist owns none.
async fn owner(call: &Call, id: &UserId) -> Result<Target, ApiError> {
    Ok(call.store.users().find(id).await?.as_ref().into())
}

/// An access rule, as it stands in an application credential.
#[derive(Debug, Serialize)]
pub(crate) struct AccessRuleDocument {
    id: AccessRuleId,
    service: String,
    path: String,
    method: String,
}

/// The same by itself.
#[derive(Debug, Serialize)]
struct Linked {
    #[serde(flatten)]
    rule: AccessRuleDocument,
    links: SelfLink,
}

impl Linked {
    fn id(&self) -> &str {
        self.rule.id.as_str()
    }

    fn new(rule: AccessRule, links: &Links) -> Self {
        // In the reference the link leaves the user out.
        Self {
            links: links.to(&format!("access_rules/{}", rule.id)),
            rule: rule.into(),
        }
    }
}

impl From<AccessRule> for AccessRuleDocument {
    fn from(rule: AccessRule) -> Self {
        Self {
            id: rule.id,
            service: rule.service,
            path: rule.path,
            method: rule.method,
        }
    }
}
