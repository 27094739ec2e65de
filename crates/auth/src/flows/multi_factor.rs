//! Multi-factor rules: which combinations of methods a user must pass.

use chrono::{SubsecRound as _, TimeDelta};
use model::revocation::TokenFacts;
use model::subject::Login;
use model::token::{AuditId, AuditIds, TokenKind};
use model::{Method, Receipt, Scope, Timestamp, Token};
use secrets::hex::sha256;
use serde_json::{Value, json};
use store::StoreError;

use crate::error::ApiError;
use crate::flows::authenticate::Authenticated;
use crate::methods;
use crate::parts::Parts;
use crate::tokens::document;

/// A receipt that proves some of the methods of a login.
pub(crate) struct ShownReceipt {
    text: String,
    expires_at: Timestamp,
}

/// Lets the user in when one of their rules is met, with the methods of an earlier request that a
/// receipt proves.
///
/// # Errors
///
/// 401 with a receipt for what was passed so far, and what is still asked.
pub(crate) async fn check(
    parts: &Parts,
    user: &mut Authenticated,
    receipt: Option<&str>,
    now: Timestamp,
) -> Result<(), ApiError> {
    if let Some(text) = receipt {
        let earlier = parts.receipts.read(text).ok();
        let earlier = earlier.filter(|receipt| proves(parts, receipt, &user.login, now));
        let earlier = earlier.ok_or_else(|| not_found(text))?;
        let is_kept = |method: &Method| {
            methods::find(method).is_none_or(|method| method.is_kept_by_receipts())
        };
        for method in earlier.methods.into_iter().filter(is_kept) {
            if !user.methods.contains(&method) {
                user.methods.push(method);
            }
        }
        user.receipt = Some(ShownReceipt {
            text: text.to_owned(),
            expires_at: earlier.expires_at,
        });
    }
    let options = &user.login.options;
    let rules = options
        .multi_factor_auth_rules
        .as_deref()
        .unwrap_or_default();
    if options.multi_factor_auth_enabled == Some(false) {
        return Ok(());
    }
    let missing = unmet(rules, &parts.config.auth.methods, &user.methods);
    let Some(missing) = missing else {
        return Ok(());
    };
    if let Some(receipt) = user.receipt.take() {
        receipt.consume(parts).await?;
    }
    let receipt = Receipt {
        user_id: user.login.subject.id.clone(),
        methods: user.methods.clone(),
        issued_at: issue_time(&user.login, now),
        expires_at: now + parts.config.receipt.expiration,
    };
    let text = parts.receipts.issue(&receipt);
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
                "expires_at": document::time(receipt.expires_at),
                "issued_at": document::time(receipt.issued_at),
            },
            "required_auth_methods": missing,
        }),
    })
}

impl ShownReceipt {
    /// Takes the receipt as used, so that it completes one login only.
    ///
    /// # Errors
    ///
    /// 401 when it was used before.
    pub(crate) async fn consume(self, parts: &Parts) -> Result<(), ApiError> {
        // Padding at the end is no part of it.
        let id = sha256(&format!("receipt\n{}", self.text.trim_end_matches('=')));
        let mut tx = parts.store.begin().await?;
        let used = tx
            .provider_sessions_mut()
            .use_up(&id, self.expires_at)
            .await;
        used.map_err(|error| match error {
            StoreError::Conflict { .. } => not_found(&self.text),
            other => other.into(),
        })?;
        let _ = tx.commit().await?;
        Ok(())
    }
}

/// Whether a receipt still proves its methods: none of them is outdated, and what revokes the user's tokens revokes what is half a token too.
fn proves(parts: &Parts, receipt: &Receipt, login: &Login, now: Timestamp) -> bool {
    let mut passed = receipt.methods.iter().filter_map(methods::find);
    let is_outdated = passed.any(|method| method.is_outdated(login, receipt.issued_at));
    let as_token = Token {
        user_id: receipt.user_id.clone(),
        methods: receipt.methods.clone(),
        kind: TokenKind::Direct(Scope::Unscoped),
        audit_ids: AuditIds::root(AuditId::from_bytes([0; 16])),
        issued_at: receipt.issued_at,
        expires_at: receipt.expires_at,
    };
    let is_revoked = parts.store.is_revoked(&TokenFacts {
        token: &as_token,
        user_domain_id: &login.subject.domain.id,
        role_ids: &[],
        trust: None,
        consumer_id: None,
    });
    receipt.user_id == login.subject.id && !receipt.is_expired(now) && !is_outdated && !is_revoked
}

/// When a receipt counts as issued. It tells whole seconds only, so one of the very second in which
/// the password was set would look older than the password: it is dated to the end of that second.
fn issue_time(login: &Login, now: Timestamp) -> Timestamp {
    let second = now.trunc_subsecs(0);
    match login.password_created_at {
        Some(set_at) if set_at > second => {
            let whole = set_at.trunc_subsecs(0);
            if whole == set_at {
                whole
            } else {
                whole + TimeDelta::seconds(1)
            }
        }
        _ => second,
    }
}

fn not_found(text: &str) -> ApiError {
    ApiError::LoginIncomplete {
        message: format!("Could not find auth receipt: {text}."),
        identity: Value::Null,
    }
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
