//! Tokens: what one says, whatever format carries it.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;

use crate::{
    Timestamp,
    ids::{
        AccessTokenId, ApplicationCredentialId, DomainId, GroupId, IdentityProviderId, ProjectId,
        ProtocolId, TrustId, UserId,
    },
    method::Method,
    scope::Scope,
};

/// What a token says. It holds no names or roles: those are looked up each time it is validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whom the token was issued to; for a trust the trustee, also when it impersonates.
    pub user_id: UserId,
    /// How the user proved who they are.
    pub methods: Vec<Method>,
    /// What the token is valid on, and by whose authority.
    pub kind: TokenKind,
    /// What the token and its ancestors are called in audit events and revocations.
    pub audit_ids: AuditIds,
    /// When the token was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// The first moment at which the token is no longer valid, in whole seconds.
    pub expires_at: Timestamp,
}

/// What a token is valid on, and by whose authority.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The user's own authority.
    Direct(Scope),
    /// A trustor's, on the project that the trust names, if it names one.
    Trust {
        /// The trust.
        trust_id: TrustId,
        /// The trust's project.
        project_id: Option<ProjectId>,
    },
    /// The user's, and that of the groups which the login was mapped to.
    Federated {
        /// Where the login came from and what it was mapped to.
        login: FederatedLogin,
        /// What the token is valid on.
        scope: FederatedScope,
    },
    /// Of the user who authorized an OAuth 1.0a consumer.
    AccessToken {
        /// The OAuth 1.0a access token.
        access_token_id: AccessTokenId,
        /// The project that the consumer asked for.
        project_id: ProjectId,
    },
    /// The part of the user's that an application credential was given.
    ApplicationCredential {
        /// The application credential.
        application_credential_id: ApplicationCredentialId,
        /// The application credential's project.
        project_id: ProjectId,
    },
    /// The user's own, for the holder of a client certificate (RFC 8705).
    Certificate {
        /// SHA-256 of the certificate, in padded url-safe base64.
        thumbprint: String,
        /// The user's default project.
        project_id: ProjectId,
    },
}

/// Where a federated login came from and what it was mapped to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FederatedLogin {
    /// The identity provider that vouched for the user.
    pub identity_provider_id: IdentityProviderId,
    /// The protocol by which it did.
    pub protocol_id: ProtocolId,
    /// The groups that the assertion was mapped to; may be empty.
    pub group_ids: Vec<GroupId>,
}

/// What the token of a federated login is valid on. There is no such token for the system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum FederatedScope {
    /// Nothing: the token only says who its user is.
    #[default]
    Unscoped,
    /// One project.
    Project(ProjectId),
    /// One domain.
    Domain(DomainId),
}

/// The audit ids of a token: its own, and that of the first token in the chain it descends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditIds {
    /// The token's own.
    pub own: AuditId,
    /// That of the token at the root of the chain; a token obtained without another has none.
    pub parent: Option<AuditId>,
}

/// What a token is called in audit events and revocations: 16 random bytes, in text 22 characters of url-safe
/// base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId([u8; 16]);

/// A text that is no audit id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an audit id is 22 characters of url-safe base64")]
pub struct InvalidAuditId;

/// A token of a federated login cannot be valid on the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a federated token cannot have system scope")]
pub struct NoFederatedSystemScope;

impl Token {
    /// Whether the token is no longer valid at `now`, when `window` is granted beyond its expiry.
    pub fn is_expired(&self, now: Timestamp, window: TimeDelta) -> bool {
        // An end that no calendar reaches never comes.
        self.expires_at
            .checked_add_signed(window)
            .is_some_and(|end| now >= end)
    }

    /// What the token is valid on.
    pub fn scope(&self) -> Cow<'_, Scope> {
        if let TokenKind::Direct(scope) = &self.kind {
            return Cow::Borrowed(scope);
        }
        Cow::Owned(match (self.project_id(), self.domain_id()) {
            (Some(project_id), _) => Scope::Project(project_id.clone()),
            (None, Some(domain_id)) => Scope::Domain(domain_id.clone()),
            (None, None) => Scope::Unscoped,
        })
    }

    /// The project that the token is valid on.
    pub fn project_id(&self) -> Option<&ProjectId> {
        self.kind.project_id()
    }

    /// The domain that the token is valid on.
    pub fn domain_id(&self) -> Option<&DomainId> {
        match &self.kind {
            TokenKind::Direct(Scope::Domain(id))
            | TokenKind::Federated {
                scope: FederatedScope::Domain(id),
                ..
            } => Some(id),
            _ => None,
        }
    }

    /// Whether the token is valid on the system.
    pub fn has_system_scope(&self) -> bool {
        self.kind == TokenKind::Direct(Scope::System)
    }

    /// The trust that the token acts by.
    pub fn trust_id(&self) -> Option<&TrustId> {
        match &self.kind {
            TokenKind::Trust { trust_id, .. } => Some(trust_id),
            _ => None,
        }
    }

    /// The federated login that the token came from.
    pub fn federated_login(&self) -> Option<&FederatedLogin> {
        match &self.kind {
            TokenKind::Federated { login, .. } => Some(login),
            _ => None,
        }
    }

    /// The groups that the federated login brought; none for other tokens.
    pub fn group_ids(&self) -> &[GroupId] {
        self.federated_login()
            .map_or(&[], |login| login.group_ids.as_slice())
    }

    /// The OAuth 1.0a access token that the token acts by.
    pub fn access_token_id(&self) -> Option<&AccessTokenId> {
        match &self.kind {
            TokenKind::AccessToken {
                access_token_id, ..
            } => Some(access_token_id),
            _ => None,
        }
    }

    /// The application credential that the token acts by.
    pub fn application_credential_id(&self) -> Option<&ApplicationCredentialId> {
        match &self.kind {
            TokenKind::ApplicationCredential {
                application_credential_id,
                ..
            } => Some(application_credential_id),
            _ => None,
        }
    }

    /// The thumbprint of the certificate that the token is bound to.
    pub fn thumbprint(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Certificate { thumbprint, .. } => Some(thumbprint),
            _ => None,
        }
    }
}

impl TokenKind {
    /// The project that a token of this kind is valid on.
    pub fn project_id(&self) -> Option<&ProjectId> {
        match self {
            Self::Direct(Scope::Project(id)) => Some(id),
            Self::Federated {
                scope: FederatedScope::Project(id),
                ..
            } => Some(id),
            Self::Trust { project_id, .. } => project_id.as_ref(),
            Self::AccessToken { project_id, .. }
            | Self::ApplicationCredential { project_id, .. }
            | Self::Certificate { project_id, .. } => Some(project_id),
            Self::Direct(_) | Self::Federated { .. } => None,
        }
    }
}

impl TryFrom<Scope> for FederatedScope {
    type Error = NoFederatedSystemScope;

    fn try_from(scope: Scope) -> Result<Self, Self::Error> {
        match scope {
            Scope::Unscoped => Ok(Self::Unscoped),
            Scope::Project(id) => Ok(Self::Project(id)),
            Scope::Domain(id) => Ok(Self::Domain(id)),
            Scope::System => Err(NoFederatedSystemScope),
        }
    }
}

impl AuditIds {
    /// Those of a token that was obtained without another.
    pub fn root(own: AuditId) -> Self {
        Self { own, parent: None }
    }

    /// Those of a token that was obtained with a token of audit ids `source`.
    pub fn descended(own: AuditId, source: &Self) -> Self {
        Self {
            own,
            parent: Some(source.parent.unwrap_or(source.own)),
        }
    }

    /// All of them in the order of token bodies: the own one first.
    pub fn iter(&self) -> impl Iterator<Item = AuditId> {
        std::iter::once(self.own).chain(self.parent)
    }
}

impl AuditId {
    /// Makes an id of 16 random bytes.
    pub const fn from_bytes(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// The bytes that the text encodes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        let length = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        let length = length.map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditId({self})")
    }
}

impl FromStr for AuditId {
    type Err = InvalidAuditId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidAuditId)?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidAuditId)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: AuditId = AuditId([1; 16]);
    const FIRST: AuditId = AuditId([2; 16]);
    const ROOT: AuditId = AuditId([3; 16]);

    fn token(kind: TokenKind) -> Token {
        let at = |second| Timestamp::from_timestamp(second, 0).unwrap();
        Token {
            user_id: UserId::from("user"),
            methods: vec![Method::Password],
            kind,
            audit_ids: AuditIds::root(OWN),
            issued_at: at(1000),
            expires_at: at(2000),
        }
    }

    fn login() -> FederatedLogin {
        FederatedLogin {
            identity_provider_id: "idp".into(),
            protocol_id: "mapped".into(),
            group_ids: vec![],
        }
    }

    #[test]
    fn a_token_expires_at_its_last_second_and_not_before() {
        let token = token(TokenKind::Direct(Scope::Unscoped));
        let just_before = token.expires_at - TimeDelta::microseconds(1);
        assert!(!token.is_expired(just_before, TimeDelta::zero()));
        assert!(token.is_expired(token.expires_at, TimeDelta::zero()));
    }

    #[test]
    fn a_window_is_granted_beyond_expiry() {
        let token = token(TokenKind::Direct(Scope::Unscoped));
        let window = TimeDelta::hours(48);
        assert!(!token.is_expired(token.expires_at, window));
        assert!(token.is_expired(token.expires_at + window, window));
    }

    #[test]
    fn a_window_past_the_end_of_the_calendar_never_closes() {
        let token = token(TokenKind::Direct(Scope::Unscoped));
        assert!(!token.is_expired(Timestamp::MAX_UTC, TimeDelta::MAX));
    }

    #[test]
    fn every_kind_of_token_knows_its_scope() {
        let project = || ProjectId::from("p");
        let on_project = [
            TokenKind::Direct(Scope::Project(project())),
            TokenKind::Trust {
                trust_id: "t".into(),
                project_id: Some(project()),
            },
            TokenKind::Federated {
                login: login(),
                scope: FederatedScope::Project(project()),
            },
            TokenKind::AccessToken {
                access_token_id: "a".into(),
                project_id: project(),
            },
            TokenKind::ApplicationCredential {
                application_credential_id: "c".into(),
                project_id: project(),
            },
            TokenKind::Certificate {
                thumbprint: "x".into(),
                project_id: project(),
            },
        ];
        for kind in on_project {
            assert_eq!(*token(kind).scope(), Scope::Project(project()));
        }

        let domain = || DomainId::from("d");
        let on_domain = [
            TokenKind::Direct(Scope::Domain(domain())),
            TokenKind::Federated {
                login: login(),
                scope: FederatedScope::Domain(domain()),
            },
        ];
        for kind in on_domain {
            assert_eq!(*token(kind).scope(), Scope::Domain(domain()));
        }

        let unscoped = [
            TokenKind::Direct(Scope::Unscoped),
            TokenKind::Trust {
                trust_id: "t".into(),
                project_id: None,
            },
            TokenKind::Federated {
                login: login(),
                scope: FederatedScope::Unscoped,
            },
        ];
        for kind in unscoped {
            assert_eq!(*token(kind).scope(), Scope::Unscoped);
        }

        assert_eq!(
            *token(TokenKind::Direct(Scope::System)).scope(),
            Scope::System
        );
    }

    #[test]
    fn a_federated_token_cannot_have_system_scope() {
        assert_eq!(
            FederatedScope::try_from(Scope::System),
            Err(NoFederatedSystemScope)
        );
        assert_eq!(
            FederatedScope::try_from(Scope::Unscoped),
            Ok(FederatedScope::Unscoped)
        );
    }

    #[test]
    fn a_descendant_carries_the_root_of_its_chain() {
        let root = AuditIds::root(ROOT);
        let first = AuditIds::descended(FIRST, &root);
        let second = AuditIds::descended(OWN, &first);
        assert_eq!(first.parent, Some(ROOT));
        assert_eq!(second.parent, Some(ROOT));
        assert_eq!(second.iter().collect::<Vec<_>>(), [OWN, ROOT]);
    }

    #[test]
    fn an_audit_id_is_22_characters_of_base64() {
        let id = AuditId::from_bytes(
            *b"\x0f\x93\xb5\xed\xd3\x93\x47\x36\x8e\x00\xa6\x26\xe0\x82\xf5\x34",
        );
        assert_eq!(id.to_string(), "D5O17dOTRzaOAKYm4IL1NA");
        assert_eq!("D5O17dOTRzaOAKYm4IL1NA".parse(), Ok(id));
        for bad in [
            "",
            "D5O17dOTRzaOAKYm4IL1",
            "D5O17dOTRzaOAKYm4IL1NA==",
            "D5O17dOTRzaOAKYm4IL1N+",
        ] {
            assert_eq!(bad.parse::<AuditId>(), Err(InvalidAuditId), "{bad}");
        }
    }
}
