//! What a write invalidates of the cache.

use std::collections::BTreeSet;

/// A part of the cache that is invalidated as a whole or by entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CacheRegion {
    /// Users as tokens name them, by their ids.
    Subjects,
    /// What logins of users are judged by, beside the users themselves, by the ids of the users.
    Logins,
    /// Projects and domains as tokens name them, by their ids.
    Targets,
    /// Who holds which role where, by the ids of users; identity providers too.
    Roles,
    /// The projects on which users hold roles, by the ids of the users.
    OwnProjects,
    /// Application credentials, by their ids.
    ApplicationCredentials,
    /// Services and endpoints, all together.
    Catalog,
    /// Service providers, all together.
    ServiceProviders,
}

impl CacheRegion {
    pub(crate) const COUNT: usize = 8;

    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Subjects,
        Self::Logins,
        Self::Targets,
        Self::Roles,
        Self::OwnProjects,
        Self::ApplicationCredentials,
        Self::Catalog,
        Self::ServiceProviders,
    ];

    /// As `archstone_change.kind` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Logins => "logins",
            Self::Targets => "targets",
            Self::Roles => "roles",
            Self::OwnProjects => "own_projects",
            Self::ApplicationCredentials => "application_credentials",
            Self::Catalog => "catalog",
            Self::ServiceProviders => "service_providers",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|region| region.name() == name)
    }
}

/// The entity whose cached values a write invalidates: the user for tables about users, else the row
/// itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entity<'a> {
    /// No existing one: that something is missing is never cached.
    New,
    /// Those of one.
    One(&'a str),
    /// Those of many, or of whom is not known.
    Any,
    /// What logins of one user are judged by, and nothing that tokens carry.
    Login(&'a str),
    /// None: these columns are never cached.
    Uncached,
}

/// What is invalid: all of a region where there is no id. Beyond a number of entities the whole
/// region is invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes(BTreeSet<(CacheRegion, Option<String>)>);

/// With more entities than this, the whole region is invalid.
pub(crate) const MOST_ENTITIES: usize = 100;

impl Changes {
    /// Everything.
    pub(crate) fn all() -> Self {
        Self(CacheRegion::ALL.map(|region| (region, None)).into())
    }

    /// What a write to a table changes. What is not known about a table is taken for the worst.
    pub(crate) fn of(table: &str, entity: Entity<'_>) -> Self {
        let mut changes = Self::of_entity(table, entity);
        // A list has all of each project, and a new one may inherit roles.
        let is_listed = matches!(table, "project" | "project_tag" | "project_option");
        if is_listed && !matches!(entity, Entity::Uncached) {
            changes.0.insert((CacheRegion::OwnProjects, None));
        }
        changes
    }

    fn of_entity(table: &str, entity: Entity<'_>) -> Self {
        let (regions, per_entity): (&[CacheRegion], bool) = match table {
            "user" | "local_user" if matches!(entity, Entity::Login(_)) => {
                (&[CacheRegion::Logins], true)
            }
            "user" | "local_user" | "nonlocal_user" | "federated_user" | "password"
            | "user_option" => (&[CacheRegion::Subjects], true),
            // One project is a fact by itself. A domain is part of what is known of its users and
            // projects, and what is inherited hangs on the tree.
            "project" => match entity {
                Entity::One(_) => (&[CacheRegion::Targets], true),
                _ => (
                    &[
                        CacheRegion::Subjects,
                        CacheRegion::Targets,
                        CacheRegion::Roles,
                    ],
                    true,
                ),
            },
            "assignment"
            | "system_assignment"
            | "user_group_membership"
            | "expiring_user_group_membership" => (&[CacheRegion::Roles], true),
            // An identity provider says how long the memberships live that it brought.
            "implied_role" | "group" | "identity_provider" => (&[CacheRegion::Roles], false),
            "role" | "role_option" => (
                &[CacheRegion::Roles, CacheRegion::ApplicationCredentials],
                false,
            ),
            "application_credential"
            | "application_credential_role"
            | "application_credential_access_rule"
            | "access_rule" => (&[CacheRegion::ApplicationCredentials], true),
            "service"
            | "endpoint"
            | "region"
            | "project_endpoint"
            | "endpoint_group"
            | "project_endpoint_group" => (&[CacheRegion::Catalog], false),
            "service_provider" => (&[CacheRegion::ServiceProviders], false),
            // Revocation events have an index of their own; of the others nothing is kept.
            "revocation_event"
            | "access_token"
            | "alembic_version"
            | "archstone_change"
            | "archstone_lease"
            | "archstone_one_time"
            | "archstone_protocol"
            | "archstone_provider_session"
            | "archstone_schema"
            | "config_register"
            | "consumer"
            | "credential"
            | "federation_protocol"
            | "id_mapping"
            | "idp_remote_ids"
            | "limit"
            | "mapping"
            | "migrate_version"
            | "policy"
            | "policy_association"
            | "project_option"
            | "project_tag"
            | "registered_limit"
            | "request_token"
            | "sensitive_config"
            | "token"
            | "trust"
            | "trust_role"
            | "whitelisted_config" => (&[], false),
            _ => return Self::all(),
        };
        let whose = match entity {
            Entity::New if is_new_entity(table) => return Self::default(),
            Entity::Uncached => return Self::default(),
            Entity::One(id) | Entity::Login(id) if per_entity && is_publishable(id) => {
                Some(id.to_owned())
            }
            Entity::One(_) | Entity::Login(_) | Entity::New | Entity::Any => None,
        };
        Self(
            regions
                .iter()
                .map(|region| (*region, whose.clone()))
                .collect(),
        )
    }

    /// Adds others.
    pub(crate) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
        for region in CacheRegion::ALL {
            let whole = (region, None);
            let many = self.0.iter().filter(|(of, _)| *of == region).count() > MOST_ENTITIES;
            if many || self.0.contains(&whole) {
                self.0.retain(|(of, _)| *of != region);
                self.0.insert(whole);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each region, with the entity of it that changed, if not all.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CacheRegion, Option<&str>)> {
        self.0.iter().map(|(region, id)| (*region, id.as_deref()))
    }

    /// One change as another node tells of it. A later release may know of more: then everything
    /// may have changed.
    pub(crate) fn told(kind: &str, entity_id: &str) -> Self {
        let Some(region) = CacheRegion::named(kind) else {
            return Self::all();
        };
        let whose = (!entity_id.is_empty()).then(|| entity_id.to_owned());
        Self(BTreeSet::from([(region, whose)]))
    }
}

/// Whether an id is like those of ours, and fits into `archstone_change` on every database. A request
/// may name anything.
fn is_publishable(id: &str) -> bool {
    id.len() <= 255
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Whether a new row of a table is something new, and not something more of what was there: a grant
/// is something more of the one who gets it.
fn is_new_entity(table: &str) -> bool {
    matches!(
        table,
        "user"
            | "local_user"
            | "nonlocal_user"
            | "project"
            | "role"
            | "group"
            | "identity_provider"
            | "application_credential"
            | "application_credential_role"
            | "application_credential_access_rule"
            | "access_rule"
    )
}

macro_rules! entities {
    ($($id:ident),*) => {$(
        impl<'a> From<&'a model::ids::$id> for Entity<'a> {
            fn from(id: &'a model::ids::$id) -> Self {
                Self::One(id.as_str())
            }
        }
    )*};
}

entities!(ApplicationCredentialId, DomainId, ProjectId, UserId);

#[cfg(test)]
mod tests {
    use super::*;

    fn changes<const N: usize>(changes: [(CacheRegion, Option<&str>); N]) -> Changes {
        Changes(
            changes
                .map(|(region, id)| (region, id.map(str::to_owned)))
                .into(),
        )
    }

    #[test]
    fn writes_change_what_is_known_of_their_entity() {
        use CacheRegion::{Catalog, Logins, OwnProjects, Roles, Subjects, Targets};
        let ada = Entity::One("ada");
        for (table, entity, expected) in [
            ("user", ada, changes([(Subjects, Some("ada"))])),
            ("user", Entity::New, Changes::default()),
            ("user", Entity::Uncached, Changes::default()),
            (
                "local_user",
                Entity::Login("ada"),
                changes([(Logins, Some("ada"))]),
            ),
            ("password", ada, changes([(Subjects, Some("ada"))])),
            ("password", Entity::Any, changes([(Subjects, None)])),
            (
                "password",
                Entity::One("\u{e4}da"),
                changes([(Subjects, None)]),
            ),
            (
                "password",
                Entity::One(&"a".repeat(256)),
                changes([(Subjects, None)]),
            ),
            ("password", Entity::New, changes([(Subjects, None)])),
            (
                "project",
                Entity::One("apollo"),
                changes([(Targets, Some("apollo")), (OwnProjects, None)]),
            ),
            (
                "project",
                Entity::Any,
                changes([
                    (Subjects, None),
                    (Targets, None),
                    (Roles, None),
                    (OwnProjects, None),
                ]),
            ),
            ("project", Entity::New, changes([(OwnProjects, None)])),
            (
                "project_tag",
                Entity::One("apollo"),
                changes([(OwnProjects, None)]),
            ),
            ("assignment", ada, changes([(Roles, Some("ada"))])),
            ("assignment", Entity::New, changes([(Roles, None)])),
            (
                "implied_role",
                Entity::One("member"),
                changes([(Roles, None)]),
            ),
            ("endpoint", Entity::New, changes([(Catalog, None)])),
            ("revocation_event", Entity::Any, Changes::default()),
            ("archstone_change", Entity::Any, Changes::default()),
            ("of a later release", ada, Changes::all()),
        ] {
            assert_eq!(Changes::of(table, entity), expected, "{table} {entity:?}");
        }
    }

    #[test]
    fn every_table_of_the_schema_is_known() {
        let schemas = [
            include_str!("migrations/archstone_schema.sql"),
            include_str!("migrations/sqlite/0000_keystone_30.sql"),
            include_str!("migrations/sqlite/0001_change.sql"),
            include_str!("migrations/sqlite/0002_federation.sql"),
            include_str!("migrations/sqlite/0003_lease.sql"),
        ];
        let mut tables = 0;
        for line in schemas.iter().flat_map(|schema| schema.lines()) {
            let Some(table) = line.trim().strip_prefix("CREATE TABLE ") else {
                continue;
            };
            let table = table.trim_start_matches("IF NOT EXISTS ");
            let table = table.trim_end_matches(" (").trim_matches('"');
            assert_ne!(Changes::of(table, Entity::Any), Changes::all(), "{table}");
            tables += 1;
        }
        assert!(tables > 50, "{tables}");
    }

    #[test]
    fn many_entities_come_to_all_of_their_region() {
        let mut many = Changes::default();
        for number in 0..MOST_ENTITIES {
            many.add(Changes::of("password", Entity::One(&number.to_string())));
        }
        assert_eq!(many.len(), MOST_ENTITIES);
        many.add(Changes::of("assignment", Entity::One("ada")));
        many.add(Changes::of("password", Entity::One("one more")));
        let expected = changes([
            (CacheRegion::Subjects, None),
            (CacheRegion::Roles, Some("ada")),
        ]);
        assert_eq!(many, expected);
        many.add(Changes::of("password", Entity::One("and another")));
        assert_eq!(many, expected);
    }

    #[test]
    fn what_another_node_tells_is_understood_or_taken_for_everything() {
        for region in CacheRegion::ALL {
            assert_eq!(CacheRegion::named(region.name()), Some(region));
        }
        let told = Changes::told("roles", "ada");
        assert_eq!(told, changes([(CacheRegion::Roles, Some("ada"))]));
        assert_eq!(
            Changes::told("roles", ""),
            changes([(CacheRegion::Roles, None)])
        );
        assert_eq!(Changes::told("something later", "ada"), Changes::all());
    }
}
