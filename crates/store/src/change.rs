//! What a statement changes, as far as facts are kept in memory.

use std::ops::BitOrAssign;

/// A group of facts that become doubtful together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Users, as tokens name them.
    Subjects,
    /// Projects and domains, as tokens name them.
    Targets,
    /// Who holds which role where.
    Roles,
    /// Application credentials.
    ApplicationCredentials,
    /// Services and endpoints.
    Catalog,
    /// Revocation events.
    Revocations,
    /// Service providers.
    ServiceProviders,
}

impl Topic {
    pub(crate) const COUNT: usize = 7;

    const ALL: [Self; Self::COUNT] = [
        Self::Subjects,
        Self::Targets,
        Self::Roles,
        Self::ApplicationCredentials,
        Self::Catalog,
        Self::Revocations,
        Self::ServiceProviders,
    ];

    /// As `archstone_change.kind` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Targets => "targets",
            Self::Roles => "roles",
            Self::ApplicationCredentials => "application_credentials",
            Self::Catalog => "catalog",
            Self::Revocations => "revocations",
            Self::ServiceProviders => "service_providers",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// Some topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topics(u8);

impl Topics {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self((1 << Topic::COUNT) - 1);

    pub(crate) fn contains(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u8) != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Topic> {
        Topic::ALL
            .into_iter()
            .filter(move |topic| self.contains(*topic))
    }

    /// What a statement changes.
    pub(crate) fn of(sql: &str) -> Self {
        let mut words = sql.split_ascii_whitespace();
        let (adds, table) = match words.next() {
            Some("INSERT") => (true, words.nth(1)),
            Some("UPDATE") => (false, words.next()),
            Some("DELETE") => (false, words.nth(1)),
            // A statement may write behind a common table expression.
            Some("WITH")
                if ["INSERT ", "UPDATE ", "DELETE "]
                    .iter()
                    .any(|verb| sql.contains(verb)) =>
            {
                return Self::ALL;
            }
            _ => return Self::NONE,
        };
        let table = table.unwrap_or("").trim_matches('"');
        match table {
            // What is new is kept by nobody: that something is not there is never kept.
            "user"
            | "local_user"
            | "nonlocal_user"
            | "project"
            | "application_credential"
            | "application_credential_role"
            | "application_credential_access_rule"
            | "access_rule"
            | "role"
            | "group"
            | "identity_provider"
                if adds =>
            {
                Self::NONE
            }
            "user" | "local_user" | "nonlocal_user" | "federated_user" | "password" => {
                Self::from(Topic::Subjects)
            }
            // Users name their domain, and a project's place in the tree decides what is
            // inherited.
            "project" => [Topic::Subjects, Topic::Targets, Topic::Roles].into(),
            "assignment"
            | "system_assignment"
            | "user_group_membership"
            | "expiring_user_group_membership"
            | "implied_role"
            | "group"
            // It says how long the memberships live that it brought.
            | "identity_provider" => Self::from(Topic::Roles),
            "role" | "role_option" => [Topic::Roles, Topic::ApplicationCredentials].into(),
            "application_credential"
            | "application_credential_role"
            | "application_credential_access_rule"
            | "access_rule" => Self::from(Topic::ApplicationCredentials),
            "service"
            | "endpoint"
            | "region"
            | "project_endpoint"
            | "endpoint_group"
            | "project_endpoint_group" => Self::from(Topic::Catalog),
            "service_provider" => Self::from(Topic::ServiceProviders),
            // Events that are too old to revoke anything are missed by nobody.
            "revocation_event" if adds => Self::from(Topic::Revocations),
            _ => Self::NONE,
        }
    }
}

impl From<Topic> for Topics {
    fn from(topic: Topic) -> Self {
        Self(1 << topic as u8)
    }
}

impl<const N: usize> From<[Topic; N]> for Topics {
    fn from(topics: [Topic; N]) -> Self {
        let mut all = Self::NONE;
        for topic in topics {
            all |= topic.into();
        }
        all
    }
}

impl BitOrAssign for Topics {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_tell_what_they_change() {
        for (sql, topics) in [
            ("SELECT id FROM project", Topics::NONE),
            ("INSERT INTO project (id) VALUES (?)", Topics::NONE),
            (
                "UPDATE project SET name = ?",
                [Topic::Subjects, Topic::Targets, Topic::Roles].into(),
            ),
            ("DELETE FROM \"user\" WHERE id = ?", Topic::Subjects.into()),
            (
                "INSERT INTO password (local_user_id) VALUES (?)",
                Topic::Subjects.into(),
            ),
            (
                "INSERT INTO assignment (type) VALUES (?)",
                Topic::Roles.into(),
            ),
            (
                "UPDATE identity_provider SET authorization_ttl = ?",
                Topic::Roles.into(),
            ),
            (
                "DELETE FROM application_credential WHERE id = ?",
                Topic::ApplicationCredentials.into(),
            ),
            (
                "INSERT INTO endpoint (id) VALUES (?)",
                Topic::Catalog.into(),
            ),
            (
                "INSERT INTO service_provider (id) VALUES (?)",
                Topic::ServiceProviders.into(),
            ),
            (
                "INSERT INTO revocation_event (user_id) VALUES (?)",
                Topic::Revocations.into(),
            ),
            ("DELETE FROM revocation_event WHERE id < ?", Topics::NONE),
            ("WITH x AS (SELECT 1) DELETE FROM project", Topics::ALL),
            ("WITH x AS (SELECT 1) SELECT id FROM x", Topics::NONE),
            ("COMMIT", Topics::NONE),
        ] {
            assert_eq!(Topics::of(sql), topics, "{sql}");
        }
    }

    #[test]
    fn names_lead_back_to_topics() {
        for topic in Topic::ALL {
            assert_eq!(Topic::named(topic.name()), Some(topic));
        }
        assert_eq!(Topic::named("something later"), None);
    }
}
