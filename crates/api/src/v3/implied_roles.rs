//! Implied roles: everyone who has the prior role has the implied one too.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::keys_of;
use auth::rules::targets::{ImpliedRole, PriorRole};
use model::ids::RoleId;
use model::role::Role;
use policy::{Rule, ScopeType};
use serde_json::{Value, json};
use web::operation::Operation;

use crate::v3::roles::find;

/// The operations on implied roles.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST_ALL, list_all)
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CHECK, check)
        .on(&CREATE, create)
        .on(&DELETE, delete)
}

static LIST_ALL: Operation =
    Operation::get("/v3/role_inferences", "List role inference rules").rules(&[LIST_RULES]);
static LIST: Operation = Operation::get(
    "/v3/roles/{prior_role_id}/implies",
    "List the implied roles of a role",
)
.rules(&[LIST_IMPLIED]);
static SHOW: Operation = Operation::get(ONE, "Show an implied role").rules(&[GET_IMPLIED]);
static CHECK: Operation = Operation::head(ONE, "Check whether a role implies another")
    .rules(&[CHECK_IMPLIED, GET_IMPLIED])
    .answers(&[(204, "The role implies the other.")]);
static CREATE: Operation = Operation::put(ONE, "Create an implied role").rules(&[CREATE_IMPLIED]);
static DELETE: Operation =
    Operation::delete(ONE, "Delete an implied role").rules(&[DELETE_IMPLIED]);

const ONE: &str = "/v3/roles/{prior_role_id}/implies/{implied_role_id}";

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const READER: &str = "rule:admin_required or (role:reader and system_scope:all)";

const LIST_RULES: Rule = Rule::new("identity:list_role_inference_rules", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const LIST_IMPLIED: Rule = Rule::new("identity:list_implied_roles", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<PriorRole<'_>>());
const GET_IMPLIED: Rule = Rule::new("identity:get_implied_role", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Pair<'_>>());
const CHECK_IMPLIED: Rule = Rule::new("identity:check_implied_role", READER)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Pair<'_>>());
const CREATE_IMPLIED: Rule = Rule::new("identity:create_implied_role", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Pair<'_>>());
const DELETE_IMPLIED: Rule = Rule::new("identity:delete_implied_role", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Pair<'_>>());

async fn list_all(call: Call) -> Result<Reply<One<Vec<Value>>>, ApiError> {
    let permit = call.authorize(LIST_RULES, ())?;
    let implications = call.store.roles().list_implications().await?;
    let mut ids: Vec<RoleId> = implications
        .iter()
        .flat_map(|(prior, implied)| [prior.clone(), implied.clone()])
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let roles = call.store.roles().find_all(&ids).await?;
    let document = |id: &RoleId| {
        roles
            .iter()
            .find(|role| role.id == *id)
            .map(|role| short(&call, role))
    };
    let mut inferences: Vec<(&RoleId, Value, Vec<Value>)> = Vec::new();
    for (prior, implied) in &implications {
        let (Some(prior_document), Some(implied)) = (document(prior), document(implied)) else {
            continue;
        };
        match inferences.last_mut() {
            Some((last, _, implies)) if *last == prior => implies.push(implied),
            _ => inferences.push((prior, prior_document, vec![implied])),
        }
    }
    let inferences = inferences
        .into_iter()
        .map(|(_, prior, implies)| json!({"prior_role": prior, "implies": implies}))
        .collect();
    Ok(permit.ok(One::new("role_inferences", inferences)))
}

async fn list(call: Call, Path(prior): Path<RoleId>) -> Result<Reply<Value>, ApiError> {
    call.require_token()?;
    let prior = find(&call, &prior).await?;
    let permit = call.authorize(LIST_IMPLIED, PriorRole(&prior))?;
    let implied = call.store.roles().list_implied(&prior.id).await?;
    let implied: Vec<Value> = implied.iter().map(|role| short(&call, role)).collect();
    let path = format!("roles/{}/implies", prior.id);
    Ok(permit.ok(inference(&call, &prior, json!(implied), &path)))
}

async fn show(call: Call, Path(ids): Path<(RoleId, RoleId)>) -> Result<Reply<Value>, ApiError> {
    let (prior, implied) = find_both(&call, &ids).await?;
    let permit = call.authorize(GET_IMPLIED, target(&prior, &implied))?;
    require_implication(&call, &prior, &implied).await?;
    Ok(permit.ok(one(&call, &prior, &implied)))
}

async fn check(call: Call, Path(ids): Path<(RoleId, RoleId)>) -> Result<Reply<()>, ApiError> {
    let (prior, implied) = find_both(&call, &ids).await?;
    let permit = call.authorize(CHECK_IMPLIED, target(&prior, &implied))?;
    // Who may check but not see may not check: so says the reference.
    let _permit = call.authorize(GET_IMPLIED, target(&prior, &implied))?;
    require_implication(&call, &prior, &implied).await?;
    Ok(permit.confirmed())
}

async fn create(call: Call, Path(ids): Path<(RoleId, RoleId)>) -> Result<Reply<Value>, ApiError> {
    let (prior, implied) = find_both(&call, &ids).await?;
    let permit = call.authorize(CREATE_IMPLIED, target(&prior, &implied))?;
    let prohibited = &call.parts.config.assignment.prohibited_implied_role;
    let widens = prior.domain_id.is_none() && implied.domain_id.is_some();
    if prohibited.contains(&implied.name) || widens {
        // The reference says it so.
        return Err(ApiError::Forbidden(format!(
            "{} cannot be an implied roles.",
            implied.id
        )));
    }
    let mut tx = call.begin().await?;
    tx.roles_mut()
        .insert_implication(&prior.id, &implied.id)
        .await?;
    let saved = tx.commit().await?;
    Ok(permit.created(saved, one(&call, &prior, &implied)))
}

async fn delete(call: Call, Path(ids): Path<(RoleId, RoleId)>) -> Result<Reply<()>, ApiError> {
    let (prior, implied) = find_both(&call, &ids).await?;
    let permit = call.authorize(DELETE_IMPLIED, target(&prior, &implied))?;
    let mut tx = call.begin().await?;
    if !tx
        .roles_mut()
        .delete_implication(&prior.id, &implied.id)
        .await?
    {
        return Err(no_implication(&prior.id, &implied.id));
    }
    Ok(permit.done(tx.commit().await?))
}

/// Finds both roles of a path. A missing one is told to everybody who is logged in.
async fn find_both(
    call: &Call,
    (prior, implied): &(RoleId, RoleId),
) -> Result<(Role, Role), ApiError> {
    call.require_token()?;
    Ok((find(call, prior).await?, find(call, implied).await?))
}

async fn require_implication(call: &Call, prior: &Role, implied: &Role) -> Result<(), ApiError> {
    let known = call.store.roles().implies(&prior.id, &implied.id).await?;
    known
        .then_some(())
        .ok_or_else(|| no_implication(&prior.id, &implied.id))
}

/// What rules are asked about.
type Pair<'a> = (PriorRole<'a>, ImpliedRole<'a>);

fn target<'a>(prior: &'a Role, implied: &'a Role) -> Pair<'a> {
    (PriorRole(prior), ImpliedRole(implied))
}

fn no_implication(prior: &RoleId, implied: &RoleId) -> ApiError {
    ApiError::NotFoundAs(format!("{prior} does not imply {implied}."))
}

fn one(call: &Call, prior: &Role, implied: &Role) -> Value {
    let path = format!("roles/{}/implies/{}", prior.id, implied.id);
    inference(call, prior, short(call, implied), &path)
}

fn inference(call: &Call, prior: &Role, implies: Value, path: &str) -> Value {
    json!({
        "role_inference": {"prior_role": short(call, prior), "implies": implies},
        "links": call.links.to(path),
    })
}

/// A role as inferences show it.
fn short(call: &Call, role: &Role) -> Value {
    let links = call.links.to(&format!("roles/{}", role.id));
    json!({"id": role.id, "links": links, "name": role.name})
}
