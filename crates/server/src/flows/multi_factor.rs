//! Multi-factor rules: which combinations of methods a user must pass.

use model::{Method, Receipt, Timestamp};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;
use crate::flows::authenticate::Authenticated;
use crate::token_document;

/// Lets the user in when one of their rules is met, with the methods of an earlier request that a
/// receipt proves.
///
/// # Errors
///
/// 401 with a receipt for what was passed so far, and what is still asked.
pub fn check(
    app: &App,
    user: &mut Authenticated,
    receipt: Option<&str>,
    now: Timestamp,
) -> Result<(), ApiError> {
    if let Some(text) = receipt {
        let earlier = app
            .receipts
            .read(text)
            .ok()
            .filter(|receipt| !receipt.is_expired(now) && receipt.user_id == user.login.subject.id)
            .ok_or_else(|| ApiError::LoginIncomplete {
                message: format!("Could not find auth receipt: {text}."),
                identity: Value::Null,
            })?;
        for method in earlier.methods {
            if !user.methods.contains(&method) {
                user.methods.push(method);
            }
        }
    }
    let options = &user.login.options;
    let rules = options
        .multi_factor_auth_rules
        .as_deref()
        .unwrap_or_default();
    if options.multi_factor_auth_enabled == Some(false) {
        return Ok(());
    }
    let missing = unmet(rules, &app.config.auth.methods, &user.methods);
    let Some(missing) = missing else {
        return Ok(());
    };
    let receipt = Receipt {
        user_id: user.login.subject.id.clone(),
        methods: user.methods.clone(),
        issued_at: now,
        expires_at: now + app.config.receipt.expiration,
    };
    let text = app.receipts.issue(&receipt);
    let subject = &user.login.subject;
    let methods: Vec<_> = receipt.methods.iter().map(Method::as_str).collect();
    Err(ApiError::MoreMethods {
        receipt: text,
        document: json!({
            "receipt": {
                "methods": methods,
                "user": {
                    "id": subject.id,
                    "name": subject.name,
                    "domain": {"id": subject.domain.id, "name": subject.domain.name},
                },
                "expires_at": token_document::time(receipt.expires_at),
                "issued_at": token_document::time(receipt.issued_at),
            },
            "required_auth_methods": missing,
        }),
    })
}

/// The rules that are not met yet, when none is met: of those, the ones that share a method with
/// what was passed. Methods that are not enabled cannot be asked for, so they do not count.
fn unmet(rules: &[Vec<String>], enabled: &[String], passed: &[Method]) -> Option<Vec<Vec<String>>> {
    let rules: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            rule.iter()
                .filter(|name| enabled.contains(name))
                .cloned()
                .collect()
        })
        .filter(|rule: &Vec<String>| !rule.is_empty())
        .collect();
    let is_passed = |name: &String| passed.iter().any(|method| method.as_str() == name);
    if rules.is_empty() || rules.iter().any(|rule| rule.iter().all(is_passed)) {
        return None;
    }
    Some(
        rules
            .into_iter()
            .filter(|rule| rule.iter().any(is_passed))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rule_is_met_by_all_its_enabled_methods() {
        let enabled = names(&["password", "totp", "token"]);
        let rules = [names(&["password", "totp"]), names(&["password", "custom"])];
        assert_eq!(unmet(&rules, &enabled, &[Method::Password]), None);
        let rules = [names(&["password", "totp"]), names(&["token"])];
        assert_eq!(
            unmet(&rules, &enabled, &[Method::Password]),
            Some(vec![names(&["password", "totp"])])
        );
        assert_eq!(
            unmet(&rules, &enabled, &[Method::Password, Method::Totp]),
            None
        );
        assert_eq!(unmet(&rules, &enabled, &[Method::Token]), None);
    }

    #[test]
    fn rules_without_an_enabled_method_let_everybody_in() {
        assert_eq!(
            unmet(&[names(&["custom"])], &names(&["password"]), &[]),
            None
        );
        assert_eq!(unmet(&[], &names(&["password"]), &[]), None);
    }
}
