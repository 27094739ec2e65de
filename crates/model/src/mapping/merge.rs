//! Puts together what all rules that apply say.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::literal::{self, Literal};
use super::local::{self, Given, GivenGroup, GivenUser};
use super::{
    DomainReference, Mapped, MappedProject, MappedUser, MappingError, NamedGroup, SchemaVersion,
};

/// How many groups, projects, and roles on projects a login may bring.
const MAX_GROUPS: usize = 20_000;
const MAX_PROJECTS: usize = 1000;
const MAX_ROLES: usize = 10_000;

/// How many groups there are before none is told twice.
const REPEATED: usize = 1000;

/// What the entries come to, in order. Also says what became of what did not count.
pub(super) fn merge(
    version: SchemaVersion,
    entries: &[Given],
    notes: &mut Vec<String>,
) -> Result<Mapped, MappingError> {
    let Some(last) = entries.last() else {
        return Err(MappingError::NothingMapped);
    };
    let mut user: Option<&GivenUser> = None;
    let mut group_ids = Unique::default();
    let mut group_names = Vec::new();
    let mut by_domain = GroupsByDomain::default();
    let mut projects: Option<Vec<MappedProject>> = None;
    for entry in entries {
        if let Some(given) = &entry.user {
            match user.filter(|user| **user != GivenUser::default()) {
                None => user = Some(given),
                Some(_) => notes.push(format!(
                    "the user {} does not count: an earlier rule gave one",
                    shown(given)
                )),
            }
        }
        match &entry.group {
            None => {}
            Some(GivenGroup::Id { id }) => group_ids.add(id.clone()),
            Some(GivenGroup::Named(group)) => {
                by_domain.add(group);
                // Keystone tells all so far once more, which does no harm while they are few.
                match group_names.len() < REPEATED {
                    true => group_names.extend(by_domain.all()),
                    false => group_names.push(group.clone()),
                }
            }
        }
        if let Some(groups) = &entry.groups {
            group_names.extend(named_groups(groups, entry.domain.as_ref())?);
        }
        if let Some(ids) = &entry.group_ids {
            for id in literal::items(ids) {
                group_ids.add(text(id)?);
            }
        }
        if group_ids.0.len() + group_names.len() > MAX_GROUPS {
            return Err(MappingError::TooMany {
                what: "groups",
                most: MAX_GROUPS,
            });
        }
        if let Some(given) = projects_of(version, entry) {
            if projects.is_some_and(|projects| !projects.is_empty()) {
                notes.push("earlier projects do not count: the last ones do".into());
            }
            projects = Some(given);
        }
    }
    let roles = projects.iter().flatten().map(|project| project.roles.len());
    for (what, count, most) in [
        ("projects", projects.iter().flatten().count(), MAX_PROJECTS),
        ("roles on projects", roles.sum(), MAX_ROLES),
    ] {
        if count > most {
            return Err(MappingError::TooMany { what, most });
        }
    }
    let user = user.cloned().unwrap_or_default();
    Ok(Mapped {
        version,
        user: MappedUser {
            id: user.id,
            name: user.name,
            email: user.email,
            domain: domain_or(version, user.domain, last.domain.as_ref()),
            kind: user.kind.unwrap_or_default(),
        },
        group_ids: group_ids.0,
        group_names,
        projects: projects.unwrap_or_default(),
    })
}

fn shown(user: &GivenUser) -> String {
    let name = user.name.as_ref().or(user.id.as_ref());
    name.map_or_else(|| "without a name".into(), |name| format!("{name:?}"))
}

/// Texts in order, each once.
#[derive(Default)]
struct Unique(Vec<String>, HashSet<String>);

impl Unique {
    fn add(&mut self, text: String) {
        if self.1.insert(text.clone()) {
            self.0.push(text);
        }
    }
}

/// The domain, or from version 2.0 on that of the entry.
fn domain_or(
    version: SchemaVersion,
    domain: Option<DomainReference>,
    default: Option<&DomainReference>,
) -> Option<DomainReference> {
    match domain {
        Some(domain) if !domain.is_empty() || !version.honours_domains() => Some(domain),
        _ if version.honours_domains() => default.cloned(),
        other => other,
    }
}

fn projects_of(version: SchemaVersion, entry: &Given) -> Option<Vec<MappedProject>> {
    if entry.projects.is_none() && entry.projects_json.is_none() {
        return None;
    }
    let projects = entry.projects.iter().chain(&entry.projects_json).flatten();
    let projects = projects.cloned().map(|mut project| {
        project.domain = domain_or(version, project.domain, entry.domain.as_ref());
        project
    });
    Some(projects.collect())
}

/// The groups of single entries, unique by name within a domain: a later one replaces an earlier.
#[derive(Default)]
struct GroupsByDomain {
    /// By domain, in the order in which the domains came.
    groups: Vec<Vec<NamedGroup>>,
    domains: HashMap<Option<String>, usize>,
    /// Where the group of a name stands within its domain.
    places: HashMap<(usize, String), usize>,
}

impl GroupsByDomain {
    fn add(&mut self, group: &NamedGroup) {
        // An empty name does not count as one.
        let name = group.domain.name.clone().filter(|name| !name.is_empty());
        let key = name.or_else(|| group.domain.id.clone());
        let domain = *self.domains.entry(key).or_insert(self.groups.len());
        if domain == self.groups.len() {
            self.groups.push(Vec::new());
        }
        let groups = &mut self.groups[domain];
        let place = self.places.entry((domain, group.name.clone()));
        let place = *place.or_insert(groups.len());
        match groups.get_mut(place) {
            Some(known) => *known = group.clone(),
            None => groups.push(group.clone()),
        }
    }

    fn all(&self) -> impl Iterator<Item = NamedGroup> {
        self.groups.iter().flatten().cloned()
    }
}

/// The groups of a text: names in the domain of the entry, or, where the text has the word `name`
/// in it, JSON that says the domain of each.
fn named_groups(
    text: &str,
    domain: Option<&DomainReference>,
) -> Result<Vec<NamedGroup>, MappingError> {
    let homeless = || MappingError::GroupsWithoutDomain {
        groups: text.to_owned(),
    };
    let items = literal::items(text);
    if text.contains("name") {
        let groups = items.into_iter().map(|item| {
            let item = self::text(item)?;
            match item.strip_prefix("JSON:") {
                Some(_) => json_group(item.trim_start_matches(['J', 'S', 'O', 'N', ':'])),
                // Not even Keystone can use such a name, but a domain it finds in it.
                None if item.contains("domain") => Err(unusable(&item)),
                None => Err(homeless()),
            }
            .map_err(|error| match error {
                MappingError::GroupsWithoutDomain { .. } => homeless(),
                other => other,
            })
        });
        return groups.collect();
    }
    let domain = domain.ok_or_else(homeless)?;
    let named = items.into_iter().map(|item| {
        Ok(NamedGroup {
            name: self::text(item)?,
            domain: domain.clone(),
        })
    });
    named.collect()
}

/// `{"name": ..., "domain": {...}}`.
fn json_group(text: &str) -> Result<NamedGroup, MappingError> {
    let homeless = MappingError::GroupsWithoutDomain {
        groups: String::new(),
    };
    let document: Value = serde_json::from_str(text).map_err(|_| unusable(text))?;
    let fields = match &document {
        Value::Object(fields) => fields,
        Value::String(text) if !text.contains("domain") => return Err(homeless),
        Value::Array(items) if !items.contains(&"domain".into()) => return Err(homeless),
        _ => return Err(unusable(text)),
    };
    let domain = fields.get("domain").ok_or(homeless)?;
    let name = fields.get("name").and_then(Value::as_str);
    Ok(NamedGroup {
        name: name.ok_or_else(|| unusable(text))?.to_owned(),
        domain: local::domain(domain).map_err(MappingError::Unusable)?,
    })
}

fn text(item: Literal) -> Result<String, MappingError> {
    match item {
        Literal::Text(text) => Ok(text),
        Literal::List(_) | Literal::Other => Err(MappingError::Unusable(
            "A list of groups holds something that is not a text".into(),
        )),
    }
}

fn unusable(text: &str) -> MappingError {
    MappingError::Unusable(format!("{text:?} does not name a group"))
}
