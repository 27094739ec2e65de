//! Domains: owners of projects, users and groups.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Permit, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::checks::{refuse_immutable, refuse_reserved_characters};
use auth::flows::delete_domain::delete_domain;
use auth::rules::keys_of;
use auth::rules::targets::OnlyDomain;
use model::Extra;
use model::ids::DomainId;
use model::project::{Domain, DomainFilter};
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named, nullable};

use crate::v3::projects;
use crate::v3::resource_options::OptionsDocument;

/// The operations on domains.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/domains", "List domains")
    .rules(&[LIST_DOMAINS])
    .query("resource.domain_index_request_query")
    .filters(&["name", "enabled"]);
static SHOW: Operation =
    Operation::get("/v3/domains/{domain_id}", "Show a domain").rules(&[GET_DOMAIN]);
static CREATE: Operation = Operation::post("/v3/domains", "Create a domain")
    .rules(&[CREATE_DOMAIN])
    .body("resource.domain_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/domains/{domain_id}", "Update a domain")
    .rules(&[UPDATE_DOMAIN])
    .body("resource.domain_update_request_body");
static DELETE: Operation =
    Operation::delete("/v3/domains/{domain_id}", "Delete a domain").rules(&[DELETE_DOMAIN]);

const ANY_SCOPE: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";

const LIST_DOMAINS: Rule = Rule::new(
    "identity:list_domains",
    "rule:admin_required or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.domain.id)s)",
)
.scopes(ANY_SCOPE)
.deprecated(ADMIN)
.about(keys_of::<OnlyDomain>());
const GET_DOMAIN: Rule = Rule::new(
    "identity:get_domain",
    "rule:admin_required or (role:reader and system_scope:all) or \
     token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s",
)
.scopes(ANY_SCOPE)
.deprecated("rule:admin_required or token.project.domain.id:%(target.domain.id)s")
.about(keys_of::<Domain>());
const CREATE_DOMAIN: Rule = Rule::new("identity:create_domain", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const UPDATE_DOMAIN: Rule = Rule::new("identity:update_domain", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Domain>());
const DELETE_DOMAIN: Rule = Rule::new("identity:delete_domain", ADMIN)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Domain>());

async fn list(call: Call) -> Result<Reply<Collection<DomainDocument>>, ApiError> {
    // A token of a domain sees that one only.
    let scope = call.caller().domain_scope();
    let permit = call.authorize(LIST_DOMAINS, OnlyDomain(scope.clone()))?;
    let query = &call.request.query;
    let filter = DomainFilter {
        id: scope,
        enabled: query.flag_filter("enabled")?,
        name: query.text("name"),
    };
    let range = projects::range(&call).await?;
    let page = range.page();
    let domains = call.store.domains().list(&filter, &page).await?;
    let documents = domains
        .into_iter()
        .map(|domain| DomainDocument::new(domain, &call.links))
        .collect();
    let part = call.part_of_collection("domains", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<DomainId>,
) -> Result<Reply<One<DomainDocument>>, ApiError> {
    let domain = call.store.domains().find(&id).await?;
    let (domain, permit) = call.find_or_refuse(GET_DOMAIN, "domain", &id, domain)?;
    Ok(permit.ok(One::new("domain", DomainDocument::new(domain, &call.links))))
}

async fn create(
    call: Call,
    Body(request): Body<CreateDomain>,
) -> Result<Reply<One<DomainDocument>>, ApiError> {
    let permit = call.authorize(CREATE_DOMAIN, ())?;
    let domain = request.into_domain(&call)?;
    projects::check_name(&call, &domain.name)?;
    let mut tx = call.begin().await?;
    tx.domains_mut()
        .insert(&domain)
        .await
        .map_err(|error| name_taken(error.into(), &domain.name))?;
    let saved = tx.commit().await?;
    Ok(permit.created(
        saved,
        One::new("domain", DomainDocument::new(domain, &call.links)),
    ))
}

async fn update(
    call: Call,
    Path(id): Path<DomainId>,
    Body(change): Body<ChangeDomain>,
) -> Result<Reply<One<DomainDocument>>, ApiError> {
    let (permit, domain) = find(&call, &id, UPDATE_DOMAIN).await?;
    let id = domain.id.clone();
    let name = change.clone().apply(domain).name;
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |domain| {
        change.check(&call, &domain)?;
        Ok(change.apply(domain))
    });
    let changed = changed.await.map_err(|error| name_taken(error, &name))?;
    let saved = tx.commit().await?;
    Ok(permit.updated(
        saved,
        One::new("domain", DomainDocument::new(changed, &call.links)),
    ))
}

async fn delete(call: Call, Path(id): Path<DomainId>) -> Result<Reply<()>, ApiError> {
    let (permit, domain) = find(&call, &id, DELETE_DOMAIN).await?;
    Ok(permit.done(delete_domain(&call, &domain.id).await?))
}

/// A domain, and the right to do with it what a rule is about. That there is no such domain is
/// told to everybody who is logged in, as by the reference.
async fn find(call: &Call, id: &DomainId, rule: Rule) -> Result<(Permit, Domain), ApiError> {
    call.require_token()?;
    let domain = call.store.domains().find(id).await?;
    let domain = domain.ok_or_else(|| ApiError::not_found("domain", id))?;
    Ok((call.authorize(rule, &domain)?, domain))
}

pub(crate) fn name_taken(error: ApiError, name: &str) -> ApiError {
    error.conflict_details(|| {
        format!(
            "it is not permitted to have two projects acting as domains with the same name: {name}"
        )
    })
}

/// Refuses the name that `[federation] federated_domain_name` reserves, and at which the reference
/// breaks; `[resource] domain_name_url_safe` says whether another may hold anything.
pub(crate) fn check_name(call: &Call, name: &str) -> Result<(), ApiError> {
    refuse_reserved_name(call, name)?;
    let rule = call.parts.config.resource.domain_name_url_safe;
    refuse_reserved_characters(rule, "Domain", name)
}

/// The first half of [`check_name`], which holds for a project that shall act as a domain too.
pub(crate) fn refuse_reserved_name(call: &Call, name: &str) -> Result<(), ApiError> {
    let reserved = call
        .parts
        .config
        .federation
        .federated_domain_name
        .to_lowercase();
    if name.trim().to_lowercase() == reserved {
        return Err(ApiError::BadRequest(format!(
            "The domain name {name} is reserved."
        )));
    }
    Ok(())
}

/// The body of a new domain.
#[derive(Deserialize)]
struct CreateDomain {
    name: String,
    explicit_domain_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    enabled: Option<bool>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    options: OptionsDocument,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateDomain {
    const NAME: &'static str = "domain";
    const UNDERSCORES: bool = true;
}

impl CreateDomain {
    fn into_domain(mut self, call: &Call) -> Result<Domain, ApiError> {
        for ours in ["id", "links", "is_domain", "domain_id", "parent_id"] {
            self.extra.remove(ours);
        }
        let id = match self.explicit_domain_id {
            None => call.new_id(),
            Some(id) if is_hex_uuid(&id) => id.into(),
            Some(_) => {
                return Err(ApiError::BadRequest(
                    "Domain ID does not conform to required UUID format.".into(),
                ));
            }
        };
        check_name(call, &self.name)?;
        self.tags.sort_unstable();
        Ok(Domain {
            id,
            name: self.name.trim().to_owned(),
            description: self.description.unwrap_or_else(|| Some(String::new())),
            enabled: self.enabled.unwrap_or(true),
            tags: self.tags,
            options: self.options.into(),
            extra: self.extra,
        })
    }
}

fn is_hex_uuid(id: &str) -> bool {
    id.len() == 32
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The body of a change. What is absent stays as it is.
#[derive(Clone, Deserialize)]
struct ChangeDomain {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    enabled: Option<bool>,
    tags: Option<Vec<String>>,
    options: Option<OptionsDocument>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeDomain {
    const NAME: &'static str = "domain";
}

impl ChangeDomain {
    /// Refuses all changes to what is immutable but those that lift the mark, and a name that may
    /// not be.
    fn check(&self, call: &Call, domain: &Domain) -> Result<(), ApiError> {
        if !self.only_clears_immutable() {
            refuse_immutable("update", "domain", domain.id.as_str(), domain.options)?;
        }
        match self.name.as_deref().filter(|name| *name != domain.name) {
            Some(name) => check_name(call, name),
            None => Ok(()),
        }
    }

    fn only_clears_immutable(&self) -> bool {
        self.options.is_some_and(OptionsDocument::lifts_the_mark)
            && self.name.is_none()
            && self.description.is_none()
            && self.enabled.is_none()
            && self.tags.is_none()
            && self.extra.is_empty()
    }

    fn apply(mut self, mut domain: Domain) -> Domain {
        for ours in ["id", "links", "is_domain", "domain_id", "parent_id"] {
            self.extra.remove(ours);
        }
        if let Some(name) = self.name {
            domain.name = name.trim().to_owned();
        }
        if let Some(description) = self.description {
            domain.description = description;
        }
        if let Some(enabled) = self.enabled {
            domain.enabled = enabled;
        }
        if let Some(mut tags) = self.tags {
            tags.sort_unstable();
            domain.tags = tags;
        }
        if let Some(options) = self.options {
            options.apply(&mut domain.options);
        }
        domain.extra.extend(self.extra);
        domain
    }
}

/// A domain, as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct DomainDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: DomainId,
    name: String,
    description: Option<String>,
    enabled: bool,
    tags: Vec<String>,
    options: OptionsDocument,
    links: SelfLink,
}

impl DomainDocument {
    pub(crate) fn new(domain: Domain, links: &Links) -> Self {
        Self {
            links: links.to(&format!("domains/{}", domain.id)),
            id: domain.id,
            name: domain.name,
            description: domain.description,
            enabled: domain.enabled,
            tags: domain.tags,
            options: domain.options.into(),
            attributes: domain.extra,
        }
    }
}
