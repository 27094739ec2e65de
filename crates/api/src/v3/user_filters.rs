//! The filters of lists of users.

use auth::call::Call;
use auth::error::ApiError;
use model::Timestamp;
use model::user::{Comparison, UserFilter};
use web::request::Query;

use crate::v3::times;

/// The filters that the query of any list of users asks for. A token of a domain sees nothing
/// beyond it, whatever was asked for.
pub(crate) fn filter(call: &Call) -> Result<UserFilter, ApiError> {
    let query = &call.request.query;
    Ok(UserFilter {
        domain_id: query.id("domain_id"),
        enabled: query.flag_filter("enabled")?,
        name: query.text("name"),
        password_expires: password_expires(query)?,
        within: call.caller().domain_scope(),
        ..UserFilter::default()
    })
}

/// Reads each `password_expires_at`: a time, after an operator such as `lt:` or without (`eq`). What
/// stands behind `__` in its name says nothing here.
fn password_expires(query: &Query) -> Result<Vec<(Comparison, Timestamp)>, ApiError> {
    let asked = query.pairs().iter().filter(|(name, _)| {
        let rest = name.strip_prefix("password_expires_at");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
    });
    let read = |(_, text): &(String, String)| {
        // An operator is two or three letters long; a year is longer.
        let (operator, time) = match text.split_once(':') {
            Some((operator, time)) if (2..=3).contains(&operator.chars().count()) => {
                (operator, time)
            }
            _ => ("eq", text.as_str()),
        };
        let time = times::parse(time)
            .ok_or_else(|| ApiError::malformed("Timestamp not in expected format."))?;
        let comparison = Comparison::parse(operator).ok_or_else(|| {
            ApiError::BadRequest(format!(
                "The given operator {operator} is not valid. It must be one of the following: \
                 'eq', 'neq', 'lt', 'lte', 'gt', or 'gte'."
            ))
        })?;
        Ok((comparison, time))
    };
    asked.map(read).collect()
}
