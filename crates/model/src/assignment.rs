//! Role assignments: a role given to an actor on a target.

use std::collections::{HashMap, HashSet};

use crate::Timestamp;
use crate::ids::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::role::Role;

/// A role given to an actor on a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The role.
    pub role_id: RoleId,
    /// Who has it.
    pub actor: Actor,
    /// On what.
    pub target: AssignmentTarget,
    /// Whether it holds on everything below the target, and not on the target itself.
    pub inherited: bool,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// One user.
    User(UserId),
    /// All members of a group.
    Group(GroupId),
}

/// On what a role is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AssignmentTarget {
    /// A project.
    Project(ProjectId),
    /// A domain.
    Domain(DomainId),
    /// The whole deployment.
    System,
}

impl Actor {
    /// The id, whichever it is.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Group(id) => id.as_str(),
        }
    }
}

impl AssignmentTarget {
    /// The id, whichever it is; `system` for the whole deployment.
    pub fn id(&self) -> &str {
        match self {
            Self::Project(id) => id.as_str(),
            Self::Domain(id) => id.as_str(),
            Self::System => "system",
        }
    }
}

/// Which assignments to list. What is `None` selects nothing away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssignmentFilter {
    /// Only those of this user or group.
    pub actor: Option<Actor>,
    /// Only those of this role.
    pub role_id: Option<RoleId>,
    /// Only those on this target.
    pub target: Option<AssignmentTarget>,
    /// Those on the projects below the target too.
    pub subtree: bool,
    /// Only those that hold below their target, or only those that hold on it.
    pub inherited: Option<bool>,
    /// Only those on this domain and on the projects that it owns.
    pub within: Option<DomainId>,
}

/// A role that somebody holds somewhere: an assignment as it was given, or what comes of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// Who holds the role.
    pub actor: Actor,
    /// On what.
    pub target: AssignmentTarget,
    /// The role.
    pub role_id: RoleId,
    /// Whether the assignment was given to hold below its target.
    pub inherited: bool,
    /// The group that was given the role, when a member holds it.
    pub group_id: Option<GroupId>,
    /// What the assignment was given on, when a project below inherits it.
    pub origin: Option<AssignmentTarget>,
    /// The role that implies this one, when that is why it is held.
    pub prior_role_id: Option<RoleId>,
}

impl From<Assignment> for Held {
    fn from(assignment: Assignment) -> Self {
        Self {
            actor: assignment.actor,
            target: assignment.target,
            role_id: assignment.role_id,
            inherited: assignment.inherited,
            group_id: None,
            origin: None,
            prior_role_id: None,
        }
    }
}

/// What assignments need to know of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleNode {
    /// Its name.
    pub name: String,
    /// The domain that owns it, and that domain's name. Such a role is in no token, only what it
    /// implies.
    pub domain: Option<(DomainId, String)>,
    /// The roles that it implies directly.
    pub implies: Vec<RoleId>,
}

/// Some roles and all that follows from them.
pub type RoleGraph = HashMap<RoleId, RoleNode>;

/// Adds the roles that are implied, each beside the role that directly implies it, and drops the
/// roles of single domains, which have done their part then. Nothing is said twice.
pub fn in_effect(given: Vec<Held>, roles: &RoleGraph, wanted: Option<&RoleId>) -> Vec<Held> {
    let mut seen: HashSet<Held> = HashSet::with_capacity(given.len());
    let mut found = Vec::new();
    let mut waiting = given;
    waiting.reverse();
    while let Some(held) = waiting.pop() {
        if seen.contains(&held) {
            continue;
        }
        let role = roles.get(&held.role_id);
        for implied in role.map_or(&[][..], |role| &role.implies) {
            waiting.push(Held {
                role_id: implied.clone(),
                prior_role_id: Some(held.role_id.clone()),
                ..held.clone()
            });
        }
        let global = role.is_some_and(|role| role.domain.is_none());
        if global && wanted.is_none_or(|wanted| held.role_id == *wanted) {
            found.push(held.clone());
        }
        seen.insert(held);
    }
    found
}

/// The roles that somebody holds in effect somewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EffectiveRoles {
    /// By name.
    pub roles: Vec<Role>,
    /// When it must be asked again, since a membership ends that some of them may come from.
    pub ends_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(implications: &[(&str, &[&str])]) -> RoleGraph {
        let node = |(id, implies): &(&str, &[&str])| {
            let node = RoleNode {
                name: id.to_uppercase(),
                domain: id
                    .starts_with("local")
                    .then(|| ("acme".into(), "Acme".into())),
                implies: implies.iter().map(|id| RoleId::from(*id)).collect(),
            };
            (RoleId::from(*id), node)
        };
        implications.iter().map(node).collect()
    }

    fn held(role: &str) -> Held {
        Held::from(Assignment {
            role_id: role.into(),
            actor: Actor::User("ada".into()),
            target: AssignmentTarget::Project("apollo".into()),
            inherited: false,
        })
    }

    /// Each role that is held, after the role that implies it.
    fn said(found: &[Held]) -> Vec<String> {
        let mut said: Vec<String> = found
            .iter()
            .map(|held| match &held.prior_role_id {
                Some(prior) => format!("{prior}>{}", held.role_id),
                None => held.role_id.to_string(),
            })
            .collect();
        said.sort();
        said
    }

    #[test]
    fn what_is_implied_over_several_steps_is_held_beside_its_own_reason() {
        let roles = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]);
        let found = in_effect(vec![held("a")], &roles, None);
        assert_eq!(said(&found), ["a", "a>b", "b>c"]);
    }

    #[test]
    fn a_circle_of_implications_ends() {
        let roles = graph(&[("a", &["b"]), ("b", &["a", "b"])]);
        let found = in_effect(vec![held("a")], &roles, None);
        assert_eq!(said(&found), ["a", "a>b", "b>a", "b>b"]);
    }

    #[test]
    fn two_ways_to_a_role_are_both_told_and_what_follows_is_told_once() {
        let roles = graph(&[
            ("a", &["b", "c"]),
            ("b", &["d"]),
            ("c", &["d"]),
            ("d", &["e"]),
            ("e", &[]),
        ]);
        let found = in_effect(vec![held("a")], &roles, None);
        assert_eq!(said(&found), ["a", "a>b", "a>c", "b>d", "c>d", "d>e"]);
    }

    #[test]
    fn a_role_that_is_given_and_implied_is_told_as_both() {
        let roles = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]);
        let found = in_effect(vec![held("a"), held("b")], &roles, None);
        assert_eq!(said(&found), ["a", "a>b", "b", "b>c"]);
    }

    #[test]
    fn a_role_of_one_domain_is_not_in_effect_but_what_it_implies_is() {
        let roles = graph(&[("local", &["a"]), ("a", &[])]);
        let found = in_effect(vec![held("local")], &roles, None);
        assert_eq!(said(&found), ["local>a"]);
        let found = in_effect(vec![held("local")], &roles, Some(&"local".into()));
        assert_eq!(found, []);
    }

    #[test]
    fn one_role_is_picked_after_the_others_have_implied_it() {
        let roles = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]);
        let found = in_effect(vec![held("a"), held("c")], &roles, Some(&"c".into()));
        assert_eq!(said(&found), ["b>c", "c"]);
    }

    #[test]
    fn the_same_role_in_two_places_or_by_two_ways_is_held_twice() {
        let roles = graph(&[("a", &["b"]), ("b", &[])]);
        let elsewhere = Held {
            target: AssignmentTarget::Project("artemis".into()),
            ..held("a")
        };
        let as_member = Held {
            group_id: Some("crew".into()),
            ..held("a")
        };
        let found = in_effect(vec![held("a"), elsewhere, as_member], &roles, None);
        assert_eq!(said(&found), ["a", "a", "a", "a>b", "a>b", "a>b"]);
    }

    #[test]
    fn an_assignment_of_a_role_that_is_gone_is_not_in_effect() {
        assert_eq!(in_effect(vec![held("a")], &graph(&[]), None), []);
    }
}
