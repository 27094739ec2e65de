//! Tokens that are valid: what they entitle to, and how clients see them.

pub mod document;
mod role_document;

use model::application_credential::ApplicationCredential;
use model::federation::ServiceProvider;
use model::role::Role;
use model::subject::{CatalogService, ScopeTarget, Subject};
use model::token::TokenKind;
use model::{Method, Token};
use serde_json::{Value, json};

use crate::rules::Target;

pub use role_document::RoleDocument;

/// A token that has passed every check, with what was looked up for it.
#[derive(Clone, Debug)]
pub struct ValidToken {
    /// What the token says.
    pub token: Token,
    /// Whose it is.
    pub subject: Subject,
    /// The project or domain that it is valid on.
    pub target: Option<ScopeTarget>,
    /// The roles that it carries, with those they imply.
    pub roles: Vec<Role>,
    /// The application credential that it acts by.
    pub application_credential: Option<ApplicationCredential>,
    /// Whether the project that it is valid on is that of the cloud's administrators; `None` where
    /// no project is named as such, or it is valid on something else.
    pub is_admin_project: Option<bool>,
}

impl From<&ValidToken> for Target {
    fn from(valid: &ValidToken) -> Self {
        Self::none()
            .with("target.token.user_id", valid.subject.id.as_str())
            .with(
                "target.token.user.domain.id",
                valid.subject.domain.id.as_str(),
            )
    }
}

impl ValidToken {
    /// Whether it is bound to access rules.
    pub fn has_access_rules(&self) -> bool {
        let credential = self.application_credential.as_ref();
        credential.is_some_and(|credential| !credential.access_rules.is_empty())
    }

    /// What policy rules see.
    pub fn credentials(&self) -> Value {
        let project = self.token.project_id().and(self.target.as_ref());
        let roles: Vec<_> = self.roles.iter().map(|role| role.name.as_str()).collect();
        json!({
            "user_id": self.subject.id,
            "user_domain_id": self.subject.domain.id,
            "system_scope": self.token.has_system_scope().then_some("all"),
            "domain_id": self.token.domain_id(),
            "project_id": project.map(|project| &project.id),
            "project_domain_id":
                project.and_then(|project| project.domain.as_ref()).map(|domain| &domain.id),
            "roles": roles,
            "is_admin_project": self.counts_as_admin_project(),
            // No service vouches for a request here.
            "service_user_id": null,
            "service_user_domain_id": null,
            "service_project_id": null,
            "service_project_domain_id": null,
            "service_roles": [],
            "token": self.document(None, &[]),
        })
    }

    /// What rules see as `is_admin_project`: every project counts while none is named, and so does
    /// what is no project, but for domains. Their administrators are not the cloud's.
    fn counts_as_admin_project(&self) -> bool {
        self.token.domain_id().is_none() && self.is_admin_project.unwrap_or(true)
    }

    /// The body that clients see under `token`.
    pub fn document(
        &self,
        catalog: Option<&[CatalogService]>,
        service_providers: &[ServiceProvider],
    ) -> Value {
        document::token(self, catalog, service_providers)
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
