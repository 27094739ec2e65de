//! Identifiers: one type for each kind of thing, so that a user's id cannot be passed for a project's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines identifier types: opaque, case-sensitive text of at most 64 characters in Keystone's tables.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }
    )*};
}

/// Calls a macro with the names of all identifier types, for what other crates implement for each.
#[macro_export]
macro_rules! for_each_id {
    ($callback:ident) => {
        $callback! {
            /// An OAuth 1.0a access token.
            AccessTokenId,
            /// An access rule of application credentials.
            AccessRuleId,
            /// An application credential, and so an OAuth 2.0 client.
            ApplicationCredentialId,
            /// An OAuth 1.0a consumer.
            ConsumerId,
            /// A credential kept for a user (EC2 keys, TOTP seeds, certificates).
            CredentialId,
            /// A domain.
            DomainId,
            /// An endpoint of a service.
            EndpointId,
            /// A group of users.
            GroupId,
            /// An identity provider; chosen by the operator.
            IdentityProviderId,
            /// A mapping of assertions to users, groups and projects; chosen by the operator.
            MappingId,
            /// A project. Domains share their table and so their space of ids.
            ProjectId,
            /// A federation protocol of an identity provider; chosen by the operator.
            ProtocolId,
            /// A region; chosen by the operator or random, up to 255 characters.
            RegionId,
            /// A role.
            RoleId,
            /// A service of the catalog.
            ServiceId,
            /// A service provider, which accepts our assertions; chosen by the operator.
            ServiceProviderId,
            /// A trust.
            TrustId,
            /// A user.
            UserId,
        }
    };
}

for_each_id!(ids);

/// A domain is stored as a project that acts as one, under the same id.
impl From<DomainId> for ProjectId {
    fn from(id: DomainId) -> Self {
        Self(id.0)
    }
}

/// A domain is stored as a project that acts as one, under the same id.
impl From<ProjectId> for DomainId {
    fn from(id: ProjectId) -> Self {
        Self(id.0)
    }
}
