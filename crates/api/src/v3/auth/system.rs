//! Whether the caller can get a token for the whole deployment.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use policy::Rule;
use serde_json::{Value, json};
use web::operation::Operation;

/// The operations on the caller's roles on the system.
pub fn routes() -> Routes {
    Routes::new().on(&SHOW, show)
}

static SHOW: Operation =
    Operation::get("/v3/auth/system", "Show the system scopes of the caller").rules(&[GET_SYSTEM]);

const GET_SYSTEM: Rule = Rule::new("identity:get_auth_system", "");

async fn show(call: Call) -> Result<Reply<Value>, ApiError> {
    let permit = call.authorize(GET_SYSTEM, ())?;
    let holds = match call.caller().token() {
        None => false,
        Some(own) => {
            // Roles that stored groups hold are not looked at, here only: as in Keystone.
            call.store
                .assignments()
                .holds_system_role(&own.subject.id, own.token.group_ids())
                .await?
        }
    };
    let scopes = if holds {
        json!([{"all": true}])
    } else {
        json!([])
    };
    let links = call.links.to("auth/system");
    Ok(permit.ok(json!({"system": scopes, "links": links})))
}
