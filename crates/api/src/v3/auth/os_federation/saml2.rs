//! Keystone to Keystone: a token of ours becomes an assertion that another cloud accepts.

use std::collections::HashMap;

use auth::admission::validate_token::{
    ValidationError, ValidationOptions, refuse_ec2, validate_token,
};
use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::tokens::ValidToken;
use chrono::TimeDelta;
use federation::saml2::idp::{Response, Statement};
use http::{HeaderName, HeaderValue};
use model::federation::ServiceProvider;
use model::ids::ServiceProviderId;
use model::user::{GroupFilter, Membership};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use web::json;
use web::operation::Operation;
use web::request::extract::Json;

use crate::saml_idp::{self, Unusable};

/// The operations that give assertions.
pub fn routes() -> Routes {
    Routes::new().on(&PLAIN, plain).on(&ECP, for_ecp)
}

static PLAIN: Operation = Operation::post(
    "/v3/auth/OS-FEDERATION/saml2",
    "Issue a SAML assertion for a service provider",
)
.part("auth", "federation.saml_create")
.public("the token in the body authenticates the caller")
.answers(&[(200, "The SAML response with the assertion.")]);
static ECP: Operation = Operation::post(
    "/v3/auth/OS-FEDERATION/saml2/ecp",
    "Issue a SAML assertion for a service provider, in a SOAP message for ECP clients",
)
.part("auth", "federation.saml_create")
.public("the token in the body authenticates the caller")
.answers(&[(
    200,
    "The SAML response with the assertion, in a SOAP message.",
)]);

const X_SP_URL: HeaderName = HeaderName::from_static("x-sp-url");
const X_AUTH_URL: HeaderName = HeaderName::from_static("x-auth-url");

async fn plain(call: Call, Json(body): Json) -> Result<Reply<()>, ApiError> {
    let (provider, response) = respond(&call, &body).await?;
    reply(&call, &provider, response.document())
}

async fn for_ecp(call: Call, Json(body): Json) -> Result<Reply<()>, ApiError> {
    let (provider, response) = respond(&call, &body).await?;
    let relay_state = format!("{}{}", provider.relay_state_prefix, call.parts.random.id());
    reply(&call, &provider, response.soap_message(&relay_state))
}

/// Judges the request and writes the response for the service provider that it names.
async fn respond(call: &Call, body: &Value) -> Result<(ServiceProvider, Response), ApiError> {
    let auth = body.get("auth").unwrap_or(&Value::Null);
    call.parts
        .schemas
        .validate("federation.saml_create", auth)?;
    let request = AssertionRequest::deserialize(auth).map_err(ApiError::internal)?;
    let id = request.scope.service_provider.id;
    let provider = call.store.service_providers().find(&id).await?;
    let provider = provider.ok_or_else(|| ApiError::not_found("Service Provider", &id))?;
    if !provider.enabled {
        let reason = format!("Service Provider {id} is disabled");
        return Err(ApiError::refused(reason));
    }
    // The other cloud believes us for longer than what we keep in memory may be old.
    call.parts.store.sync().await?;
    let token = request.identity.token.id;
    let valid = validate_token(
        &call.parts,
        &token,
        call.now(),
        ValidationOptions::default(),
    )
    .await;
    let valid = valid.map_err(ValidationError::of_proof)?;
    refuse_ec2(&valid)?;
    let attributes = attributes(call, &valid).await?;
    let saml = &call.parts.config.saml;
    let lifetime = TimeDelta::from_std(saml.assertion_expiration_time).unwrap_or(TimeDelta::MAX);
    let random = &call.parts.random;
    let statement = Statement {
        issuer: saml_idp::entity_id(saml)?,
        recipient: &provider.sp_url,
        subject: &valid.subject.name,
        attributes: &attributes,
        ids: [random.id(), random.id(), random.id()],
        now: call.now(),
        until: call
            .now()
            .checked_add_signed(lifetime)
            .unwrap_or(model::Timestamp::MAX_UTC),
    };
    let settings = saml.clone();
    let signer = call.parts.files.run(move || saml_idp::signer(&settings));
    let signer = signer.await?;
    let response = Response::write(&statement, &signer)?;
    Ok((provider, response))
}

/// What is said of the holder of a token: as the token says it, and their groups; but not those when
/// the token was made by delegation, for they may have more roles than were delegated.
async fn attributes(
    call: &Call,
    valid: &ValidToken,
) -> Result<Vec<(&'static str, Vec<String>)>, ApiError> {
    let target = valid.token.project_id().and(valid.target.as_ref());
    let Some((project, domain)) = target.and_then(|it| Some((it, it.domain.as_ref()?))) else {
        return Err(ApiError::denied(
            "Use a project scoped token when attempting to create a SAML assertion",
        ));
    };
    let subject = &valid.subject;
    let roles = valid.roles.iter().map(|role| role.name.clone());
    let mut attributes = vec![
        ("openstack_user", vec![subject.name.clone()]),
        ("openstack_roles", roles.collect()),
        ("openstack_project", vec![project.name.clone()]),
        ("openstack_project_domain", vec![domain.name.clone()]),
        ("openstack_user_domain", vec![subject.domain.name.clone()]),
    ];
    let primary = &call.parts.config.auth.additional_primary_auth_methods;
    if valid.is_delegated(primary) {
        return Ok(attributes);
    }
    let mut groups = Vec::new();
    let memberships = call
        .store
        .groups()
        .list_of_user(&subject.id, &GroupFilter::default(), call.now())
        .await?;
    // Mostly the user's own domain, so mostly nothing is looked up.
    let mut domains = HashMap::from([(subject.domain.id.clone(), subject.domain.name.clone())]);
    for Membership { group, .. } in memberships {
        if !domains.contains_key(&group.domain_id) {
            let found = call.store.domains().find(&group.domain_id).await?;
            let found = found.ok_or_else(|| ApiError::not_found("domain", &group.domain_id))?;
            domains.insert(group.domain_id.clone(), found.name.to_string());
        }
        let name = GroupName {
            name: &group.name,
            domain: DomainName {
                name: &domains[&group.domain_id],
            },
        };
        groups.push(format!("JSON:{}", json::spaced(&name)));
    }
    if !groups.is_empty() {
        attributes.push(("openstack_groups", groups));
    }
    Ok(attributes)
}

fn reply(call: &Call, provider: &ServiceProvider, text: String) -> Result<Reply<()>, ApiError> {
    // Beyond ASCII, a URL goes as the bytes of its UTF-8.
    let url = |url: &str| {
        HeaderValue::from_bytes(url.as_bytes()).map_err(|_| {
            ApiError::BadRequest(format!(
                "A URL of Service Provider {} holds a character that no header can hold.",
                provider.id
            ))
        })
    };
    let reply = call
        .public()
        .text(HeaderValue::from_static("text/xml"), text);
    Ok(reply
        .header(X_SP_URL, url(&provider.sp_url)?)
        .header(X_AUTH_URL, url(&provider.auth_url)?))
}

impl From<Unusable> for ApiError {
    fn from(unusable: Unusable) -> Self {
        Self::internal(unusable)
    }
}

/// What the schema lets pass.
#[derive(Deserialize)]
struct AssertionRequest {
    identity: Identity,
    scope: AssertionScope,
}

#[derive(Deserialize)]
struct Identity {
    token: Named<String>,
}

#[derive(Deserialize)]
struct AssertionScope {
    service_provider: Named<ServiceProviderId>,
}

#[derive(Deserialize)]
struct Named<Id> {
    id: Id,
}

/// A group, as mappings read it.
#[derive(Serialize)]
struct GroupName<'a> {
    name: &'a str,
    domain: DomainName<'a>,
}

#[derive(Serialize)]
struct DomainName<'a> {
    name: &'a str,
}
