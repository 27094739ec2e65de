//! The password of a user, changed by the user.

use std::sync::Arc;

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::new_password::{ChosenBy, check_form, check_history, new_password};
use auth::flows::revoke::revoke_user;
use auth::methods::login_request::Named;
use auth::methods::password::{confirm_password, require_usable, settle_password, try_password};
use model::Secret;
use model::ids::UserId;
use serde::Deserialize;
use serde_json::json;
use web::operation::Operation;
use web::request::extract::Json;

use crate::v3::users::passwords_kept;

/// The operation on one's own password.
pub fn routes() -> Routes {
    Routes::new().on(&CHANGE, change)
}

static CHANGE: Operation = Operation::post(
    "/v3/users/{user_id}/password",
    "Change the password of the user",
)
.part("user", "identity.password_change")
.public("the original password authenticates the user, and it may have expired")
.answers(&[(204, "The password is changed.")]);

async fn change(
    call: Call,
    Path(id): Path<UserId>,
    Json(body): Json,
) -> Result<Reply<()>, ApiError> {
    let user = body.get("user").cloned().unwrap_or_else(|| json!({}));
    call.parts
        .schemas
        .validate("identity.password_change", &user)?;
    let request: PasswordChange = serde_json::from_value(user).map_err(ApiError::internal)?;
    let now = call.now();
    let login = call.store.logins().find(&id).await?;
    let asked = Named::Id(id.clone());
    let original = &request.original_password;
    let checked = try_password(&call.parts, &asked, login.map(Arc::new), original, now).await?;
    let login = match require_usable(&call.parts, &checked.login, now) {
        Ok(()) => settle_password(&call.parts, checked).await?.login,
        // Who knows an expired password may change it: that is the only way on.
        Err(ApiError::PasswordExpired { .. }) => checked.login,
        Err(error) => return Err(error),
    };
    let id = &login.subject.id;
    // Told first, as in the reference.
    check_form(&call.parts, Some(&request.password))?;
    let compliance = &call.parts.config.security_compliance;
    login
        .may_change_password(compliance.minimum_password_age, now)
        .map_err(|refusal| ApiError::BadRequest(refusal.to_string()))?;
    let count = compliance.unique_last_password_count;
    if count > 0 {
        let former = call.store.users().list_password_hashes(id, count).await?;
        check_history(&call.parts, &request.password, &former).await?;
    }
    let password = new_password(&call.parts, Some(&request.password), ChosenBy::User).await?;
    let mut tx = call.begin().await?;
    // The old password was verified long ago: an administrator may have reset it, or locked or
    // disabled the user, or the same password was used for another change.
    let login = confirm_password(&call.parts, &mut tx, &login).await?;
    let now = call.parts.clock.now();
    match require_usable(&call.parts, &login, now) {
        Ok(()) | Err(ApiError::PasswordExpired { .. }) => {}
        Err(error) => return Err(error),
    }
    login
        .may_change_password(compliance.minimum_password_age, now)
        .map_err(|refusal| ApiError::BadRequest(refusal.to_string()))?;
    let id = &login.subject.id;
    let password = password.set_at(&call.parts, &login.options, now);
    let keep = passwords_kept(&call);
    tx.users_mut().replace_password(id, &password, keep).await?;
    revoke_user(&call.parts, &mut tx, id, now).await?;
    Ok(call.public().done(tx.commit().await?))
}

/// The body of a change of one's own password.
#[derive(Deserialize)]
struct PasswordChange {
    original_password: Secret<String>,
    password: Secret<String>,
}
