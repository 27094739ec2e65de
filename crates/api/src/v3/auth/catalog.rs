//! The catalog of the caller's project.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use http::StatusCode;
use policy::Rule;
use web::json;
use web::operation::Operation;

/// The operations on the caller's catalog.
pub fn routes() -> Routes {
    Routes::new().on(&SHOW, show)
}

static SHOW: Operation = Operation::get(
    "/v3/auth/catalog",
    "Show the service catalog of the caller's scope",
)
.rules(&[GET_CATALOG]);

const GET_CATALOG: Rule = Rule::new("identity:get_auth_catalog", "");

async fn show(call: Call) -> Result<Reply<()>, ApiError> {
    let permit = call.authorize(GET_CATALOG, ())?;
    let own = call.caller().token();
    let Some((own, project_id)) = own.and_then(|own| Some((own, own.token.project_id()?))) else {
        return Err(ApiError::Forbidden(
            "You are not authorized to perform the requested action.".into(),
        ));
    };
    let services = call.store.services_for(Some(project_id)).await?;
    let catalog = call.parts.token_cache.catalog(own, &services);
    let mut body = String::with_capacity(catalog.len() + 200);
    body.push_str("{\"catalog\": ");
    body.push_str(&catalog);
    body.push_str(", \"links\": ");
    json::push_spaced(&mut body, &call.links.to("auth/catalog"));
    body.push_str("}\n");
    Ok(permit.json(StatusCode::OK, body))
}
