//! What follows from a rule: templates, and what they say once they are filled in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::{Match, Matches, Template};
use super::{DomainReference, MappedProject, MappingError, NamedGroup, SchemaVersion, UserKind};

/// One entry of a rule, its templates still open.
#[derive(Clone, Debug)]
pub(super) struct Local {
    user: Option<UserTemplate>,
    group: Option<GroupTemplate>,
    groups: Option<Template>,
    group_ids: Option<Template>,
    projects: Option<Vec<ProjectTemplate>>,
    projects_json: Option<ProjectsPlace>,
    domain: Option<DomainTemplate>,
}

/// What an entry says of an assertion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<GivenUser>,
    /// A group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GivenGroup>,
    /// Groups by name: one, or the text of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
    /// Groups by id: one, or the text of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_ids: Option<String>,
    /// Projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<MappedProject>>,
    /// Projects that the assertion described.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects_json: Option<Vec<MappedProject>>,
    /// The domain of what has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainReference>,
}

/// The user of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GivenUser {
    /// What identifies the user for the identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where the user is kept.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<UserKind>,
    /// The domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainReference>,
}

/// A group of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GivenGroup {
    /// By id.
    Id {
        /// The id.
        id: String,
    },
    /// By name.
    Named(NamedGroup),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalDocument {
    user: Option<UserTemplate>,
    group: Option<GroupTemplate>,
    groups: Option<Template>,
    group_ids: Option<Template>,
    projects: Option<Vec<ProjectTemplate>>,
    projects_json: Option<String>,
    domain: Option<DomainTemplate>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTemplate {
    id: Option<Template>,
    name: Option<Template>,
    email: Option<Template>,
    #[serde(rename = "type")]
    kind: Option<UserKind>,
    domain: Option<DomainTemplate>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupTemplate {
    id: Option<Template>,
    name: Option<Template>,
    domain: Option<DomainTemplate>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectTemplate {
    name: Template,
    roles: Vec<RoleTemplate>,
    domain: Option<DomainTemplate>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleTemplate {
    name: Template,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainTemplate {
    id: Option<Template>,
    name: Option<Template>,
}

/// `{N}` or `N`, with anything behind it: the match that holds projects as JSON.
#[derive(Clone, Debug)]
struct ProjectsPlace {
    text: String,
    index: Option<usize>,
}

impl LocalDocument {
    pub(super) fn into_local(self, version: SchemaVersion) -> Result<Local, String> {
        if version < SchemaVersion::V3 && self.projects_json.is_some() {
            return Err("projects_json needs version 3.0".into());
        }
        let mut projects = self.projects.iter().flatten();
        if version == SchemaVersion::V1 && projects.any(|project| project.domain.is_some()) {
            return Err("the domain of a project needs version 2.0".into());
        }
        if let Some(group) = &self.group
            && !matches!(
                (&group.id, &group.name, &group.domain),
                (Some(_), None, None) | (None, Some(_), Some(_))
            )
        {
            return Err("a group has an id, or a name and a domain".into());
        }
        Ok(Local {
            user: self.user,
            group: self.group,
            groups: self.groups,
            group_ids: self.group_ids,
            projects: self.projects,
            projects_json: self.projects_json.map(ProjectsPlace::new),
            domain: self.domain,
        })
    }
}

impl Local {
    pub(super) fn fill(&self, matches: &Matches<'_>) -> Result<Given, MappingError> {
        let fill = |template: &Option<Template>| fill(template.as_ref(), matches);
        let domain = |template: &Option<DomainTemplate>| -> Result<_, MappingError> {
            template.as_ref().map(|t| t.fill(matches)).transpose()
        };
        let user = match &self.user {
            None => None,
            Some(user) => Some(GivenUser {
                id: fill(&user.id)?,
                name: fill(&user.name)?,
                email: fill(&user.email)?,
                kind: user.kind,
                domain: domain(&user.domain)?,
            }),
        };
        let group = match &self.group {
            None => None,
            Some(group) => Some(match fill(&group.id)? {
                Some(id) => GivenGroup::Id { id },
                None => GivenGroup::Named(NamedGroup {
                    name: fill(&group.name)?.unwrap_or_default(),
                    domain: domain(&group.domain)?.unwrap_or_default(),
                }),
            }),
        };
        let projects = self.projects.as_ref().map(|projects| {
            let filled = projects.iter().map(|project| project.fill(matches));
            filled.collect::<Result<_, _>>()
        });
        let from_assertion = self.projects_json.as_ref();
        Ok(Given {
            user,
            group,
            groups: fill(&self.groups)?,
            group_ids: fill(&self.group_ids)?,
            projects: projects.transpose()?,
            projects_json: from_assertion
                .map(|place| place.read(matches))
                .transpose()?,
            domain: domain(&self.domain)?,
        })
    }
}

fn fill(
    template: Option<&Template>,
    matches: &Matches<'_>,
) -> Result<Option<String>, MappingError> {
    template.map(|template| template.fill(matches)).transpose()
}

impl DomainTemplate {
    fn fill(&self, matches: &Matches<'_>) -> Result<DomainReference, MappingError> {
        Ok(DomainReference {
            id: fill(self.id.as_ref(), matches)?,
            name: fill(self.name.as_ref(), matches)?,
        })
    }
}

impl ProjectTemplate {
    fn fill(&self, matches: &Matches<'_>) -> Result<MappedProject, MappingError> {
        let domain = self.domain.as_ref();
        let roles = self.roles.iter().map(|role| role.name.fill(matches));
        Ok(MappedProject {
            name: self.name.fill(matches)?,
            domain: domain.map(|domain| domain.fill(matches)).transpose()?,
            roles: roles.collect::<Result<_, _>>()?,
        })
    }
}

impl ProjectsPlace {
    fn new(text: String) -> Self {
        let rest = text.strip_prefix('{').unwrap_or(&text);
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let index = rest[..end.unwrap_or(rest.len())].parse().ok();
        Self { text, index }
    }

    fn read(&self, matches: &Matches<'_>) -> Result<Vec<MappedProject>, MappingError> {
        let index = self.index;
        let index = index.ok_or_else(|| MappingError::ProjectsReference(self.text.clone()))?;
        match matches.get(index) {
            None => Err(MappingError::NoSuchMatch {
                template: self.text.clone(),
                index,
                matches: matches.len(),
            }),
            Some(Match::Many(values)) if values.is_empty() => Ok(Vec::new()),
            Some(Match::Many(_)) => Err(MappingError::Projects(
                "a value that holds a semicolon arrives in parts, which are no JSON".into(),
            )),
            Some(Match::One(text)) => {
                let document: Value = serde_json::from_str(text).map_err(|error| {
                    MappingError::Unusable(format!("The projects are no JSON: {error}"))
                })?;
                projects(&document).map_err(MappingError::Projects)
            }
        }
    }
}

/// Reads what an assertion says of projects: a list of names with roles.
fn projects(document: &Value) -> Result<Vec<MappedProject>, String> {
    let list = document.as_array().ok_or("they are not a list")?;
    list.iter().map(project).collect()
}

fn project(document: &Value) -> Result<MappedProject, String> {
    let fields = document.as_object().ok_or("one is not an object")?;
    if let Some(odd) = unknown(fields, &["name", "roles", "domain"]) {
        return Err(format!("one has {odd:?}"));
    }
    let name = fields.get("name").and_then(Value::as_str);
    let name = name.ok_or("one has no name")?;
    let roles = fields.get("roles").and_then(Value::as_array);
    let roles = roles.ok_or_else(|| format!("{name:?} has no list of roles"))?;
    let role = |role: &Value| {
        let fields = role.as_object()?;
        let name = fields.get("name")?.as_str()?;
        (fields.len() == 1).then(|| name.to_owned())
    };
    let roles: Option<_> = roles.iter().map(role).collect();
    Ok(MappedProject {
        name: name.to_owned(),
        domain: fields.get("domain").map(domain).transpose()?,
        roles: roles.ok_or_else(|| format!("{name:?} has a role that is not just a name"))?,
    })
}

pub(super) fn domain(document: &Value) -> Result<DomainReference, String> {
    let fields = document.as_object().ok_or("a domain is not an object")?;
    if let Some(odd) = unknown(fields, &["id", "name"]) {
        return Err(format!("a domain has {odd:?}"));
    }
    let part = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("the {name} of a domain is not a text")),
    };
    Ok(DomainReference {
        id: part("id")?,
        name: part("name")?,
    })
}

fn unknown<'a>(fields: &'a serde_json::Map<String, Value>, known: &[&str]) -> Option<&'a str> {
    let mut names = fields.keys().map(String::as_str);
    names.find(|name| !known.contains(name))
}
