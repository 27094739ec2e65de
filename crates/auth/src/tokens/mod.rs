//! Tokens that are valid: what they entitle to, and how clients see them.

pub mod cache;
pub mod document;
pub mod rights;
mod role_document;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use model::token::TokenKind;
use model::{Method, Token};
use serde_json::Value;

use rights::Rights;

pub use role_document::RoleDocument;

/// A token that has passed every check, with the rights of its user.
#[derive(Debug)]
pub struct ValidToken {
    /// What the token says.
    pub token: Token,
    rights: Arc<Rights>,
    /// As policy rules see it, once one has asked.
    document: OnceLock<Value>,
}

impl ValidToken {
    /// A token with the rights that its user has now on what it is valid on.
    pub(crate) fn new(token: Token, rights: Arc<Rights>) -> Self {
        Self {
            token,
            rights,
            document: OnceLock::new(),
        }
    }

    /// Whether these very rights are its own.
    pub(crate) fn has(&self, rights: &Arc<Rights>) -> bool {
        Arc::ptr_eq(&self.rights, rights)
    }

    /// Whether it is bound to access rules.
    pub fn has_access_rules(&self) -> bool {
        let delegation = self.delegation.as_ref();
        delegation.is_some_and(|delegation| delegation.has_access_rules())
    }

    /// Whether the token was made by delegation and not by its user's own proof: such a token
    /// must not make others, nor long-lived secrets.
    pub fn is_delegated(&self, additional_primary_methods: &[String]) -> bool {
        if self.token.trust_id().is_some() {
            return true;
        }
        const PRIMARY: [&str; 9] = [
            "external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp",
            "x509",
        ];
        let is_primary = |method: &Method| {
            let name = method.as_str();
            PRIMARY.contains(&name)
                || (name != "ec2credential"
                    && additional_primary_methods
                        .iter()
                        .any(|primary| primary == name))
        };
        self.token.methods.is_empty() || !self.token.methods.iter().all(is_primary)
    }

    /// Whether the token acts by a trust, an application credential or an OAuth 1.0a consumer.
    pub fn kind(&self) -> &TokenKind {
        &self.token.kind
    }
}

impl Deref for ValidToken {
    type Target = Rights;

    fn deref(&self) -> &Rights {
        &self.rights
    }
}

/// What policy rules see of its holder.
impl policy::Credentials for ValidToken {
    fn get(&self, name: &str) -> Option<&Value> {
        if name == "token" {
            return Some(self.document.get_or_init(|| document::token(self)));
        }
        self.rights.credential(name)
    }
}
