//! Access rules: the kinds of request that application credentials may make. They are made with
//! a credential, and stay when it goes.

use std::collections::{HashMap, HashSet};

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::keys_of;
use model::Extra;
use model::application_credential::{AccessRule, AccessRuleFilter};
use model::ids::{AccessRuleId, UserId};
use model::user::User;
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use store::{DeleteError, Tx};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};

use crate::v3::application_credentials::refuse_delegated;

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
.scopes(&[ScopeType::System, ScopeType::Project])
.about(keys_of::<User>());
const GET_ACCESS_RULE: Rule = Rule::new(
    "identity:get_access_rule",
    "(role:reader and system_scope:all) or user_id:%(target.user.id)s",
)
.scopes(&[ScopeType::System, ScopeType::Project])
.about(keys_of::<User>());
const DELETE_ACCESS_RULE: Rule = Rule::new(
    "identity:delete_access_rule",
    "(role:admin and system_scope:all) or user_id:%(target.user.id)s",
)
.scopes(&[ScopeType::System, ScopeType::Project])
.about(keys_of::<User>());

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
        Err(DeleteError::Absent) => Err(ApiError::not_found("Access Rule", &id)),
        Err(DeleteError::InUse) => Err(ApiError::Forbidden(
            "May not delete access rule in use".into(),
        )),
    }
}

/// Whose rules they are. A user who does not exist owns none.
async fn owner(call: &Call, id: &UserId) -> Result<Option<User>, ApiError> {
    Ok(call.store.users().find(id).await?)
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

/// The access rules that were asked for. Those that the user has already are used again, the
/// others are added.
pub(crate) async fn choose_rules(
    call: &Call,
    tx: &mut Tx,
    user_id: &UserId,
    asked: Vec<RuleName>,
) -> Result<Vec<AccessRule>, ApiError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<AccessRuleId> = asked.iter().filter_map(|rule| rule.id.clone()).collect();
    let mut known = KnownRules::default();
    for rule in tx.access_rules().list_candidates(user_id, &ids).await? {
        known.add(rule.rule, rule.user_id == *user_id);
    }
    let mut chosen: Vec<AccessRule> = Vec::new();
    let mut added = Vec::new();
    let mut seen = HashSet::new();
    for rule in asked {
        let rule = match rule.find(&known)? {
            Some(rule) => rule.clone(),
            None => {
                let rule = rule.into_rule(|| call.new_id())?;
                known.add(rule.clone(), true);
                added.push(rule.clone());
                rule
            }
        };
        if seen.insert(rule.id.clone()) {
            chosen.push(rule);
        }
    }
    tx.access_rules_mut().insert(user_id, &added).await?;
    Ok(chosen)
}

/// Access rules that may be meant, by id and by what they allow; of equal ones the first counts.
#[derive(Default)]
struct KnownRules {
    /// Each with whether it is the user's own.
    rules: Vec<(AccessRule, bool)>,
    by_id: HashMap<AccessRuleId, usize>,
    /// The user's own, by service, path and method.
    own: HashMap<[String; 3], usize>,
}

impl KnownRules {
    fn add(&mut self, rule: AccessRule, is_own: bool) {
        let place = self.rules.len();
        self.by_id.entry(rule.id.clone()).or_insert(place);
        if is_own {
            let parts = [&rule.service, &rule.path, &rule.method].map(String::clone);
            self.own.entry(parts).or_insert(place);
        }
        self.rules.push((rule, is_own));
    }
}

/// An access rule: by the id of one that the user has, or by what it allows.
#[derive(Deserialize)]
pub(crate) struct RuleName {
    id: Option<AccessRuleId>,
    service: Option<String>,
    path: Option<String>,
    method: Option<String>,
    #[serde(flatten)]
    others: Extra,
}

impl RuleName {
    /// The known rule that is meant.
    fn find<'a>(&self, known: &'a KnownRules) -> Result<Option<&'a AccessRule>, ApiError> {
        if let Some(id) = &self.id
            && let Some(place) = known.by_id.get(id)
        {
            return match &known.rules[*place] {
                (rule, true) => Ok(Some(rule)),
                (_, false) => Err(missing(id)),
            };
        }
        let (Some(service), Some(path), Some(method)) = (&self.service, &self.path, &self.method)
        else {
            return Ok(None);
        };
        let place = known.own.get(&[service, path, method].map(String::clone));
        Ok(place.map(|place| &known.rules[*place].0))
    }

    /// A rule that is new.
    fn into_rule(self, new_id: impl FnOnce() -> AccessRuleId) -> Result<AccessRule, ApiError> {
        let (service, path, method) = match (self.service, self.path, self.method, &self.id) {
            (Some(service), Some(path), Some(method), _) => (service, path, method),
            // Somebody else's rule gets the same answer.
            (None, None, None, Some(id)) => return Err(missing(id)),
            (None, ..) => return Err(ApiError::expecting("service", "access_rule")),
            (_, None, ..) => return Err(ApiError::expecting("path", "access_rule")),
            (_, _, None, _) => return Err(ApiError::expecting("method", "access_rule")),
        };
        if let Some(key) = self.others.keys().next() {
            return Err(ApiError::BadRequest(format!(
                "'{key}' is an invalid keyword argument for AccessRuleModel"
            )));
        }
        // The schema lets longer paths pass than the column holds.
        if path.chars().count() > 128 {
            return Err(ApiError::BadRequest(format!(
                "String length exceeded. The length of string '{path}' exceeds the limit of \
                 column path(CHAR(128))."
            )));
        }
        Ok(AccessRule {
            id: self.id.unwrap_or_else(new_id),
            service,
            path,
            method,
        })
    }
}

fn missing(id: &AccessRuleId) -> ApiError {
    ApiError::not_found("Access Rule", id)
}
