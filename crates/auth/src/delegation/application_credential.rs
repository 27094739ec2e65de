//! Application credentials: a part of a user's authority on one project, which programs of theirs act by.

use std::sync::Arc;

use model::Timestamp;
use model::application_credential::ApplicationCredential;
use model::ids::{ApplicationCredentialId, RoleId};
use model::token::TokenKind;
use serde_json::{Value, json};
use store::Store;

use super::{Delegated, Delegation, LookupError, Parties};

/// Looks up an application credential that a token names.
pub(super) async fn find(
    store: &Store,
    id: &ApplicationCredentialId,
) -> Result<Delegation, LookupError> {
    let found = store.application_credential(id).await?;
    let found = found.ok_or_else(|| LookupError::Gone {
        kind: "Application Credential",
        id: id.to_string(),
    })?;
    Ok(Delegation::ApplicationCredential(Arc::clone(
        &found.credential,
    )))
}

impl Delegated for ApplicationCredential {
    /// The program acts as the user.
    fn parties(&self) -> Parties<'_> {
        Parties {
            delegator: &self.user_id,
            delegate: &self.user_id,
        }
    }

    fn token_kind(&self) -> Option<TokenKind> {
        Some(TokenKind::ApplicationCredential {
            application_credential_id: self.id.clone(),
            project_id: self.project_id.clone()?,
        })
    }

    fn includes(&self, role: &RoleId) -> bool {
        self.role_ids.contains(role)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    fn has_access_rules(&self) -> bool {
        !self.access_rules.is_empty()
    }

    fn permits(&self, service: &str, method: &str, path: &str) -> bool {
        Self::permits(self, service, method, path)
    }

    fn is_restricted(&self) -> bool {
        self.unrestricted != Some(true)
    }

    fn describe(&self) -> (&'static str, Value) {
        let mut out = json!({
            "id": self.id,
            "name": self.name,
            "restricted": self.is_restricted(),
        });
        if !self.access_rules.is_empty() {
            let rules = self.access_rules.iter().map(|rule| {
                json!({
                    "id": rule.id,
                    "service": rule.service,
                    "path": rule.path,
                    "method": rule.method,
                })
            });
            out["access_rules"] = rules.collect();
        }
        ("application_credential", out)
    }

    fn noted_in_keys(&self) -> (&'static str, String) {
        ("app_cred_id", self.id.to_string())
    }
}
