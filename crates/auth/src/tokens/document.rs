//! The body of a token, as `POST` and `GET /v3/auth/tokens` write it.
//!
//! Most of it is the same for all tokens of one user and scope, and is written once: see [`Parts`].

use std::fmt::Write as _;

use chrono::{Datelike as _, Timelike as _};
use model::federation::ServiceProvider;
use model::subject::{CatalogService, DomainRef, ScopeTarget};
use model::token::TokenKind;
use model::{Method, Timestamp, Token};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use web::json;

use super::ValidToken;
use super::role_document::RoleDocument;

/// Six decimals, all of them zero: Keystone cuts token times to seconds and writes them so.
pub fn time(time: Timestamp) -> String {
    let mut out = String::with_capacity(27);
    push_time(&mut out, time);
    out
}

fn push_time(out: &mut String, time: Timestamp) {
    let time = time.naive_utc();
    let Ok(year @ 0..=9999) = u32::try_from(time.year()) else {
        *out += &time.format("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        return;
    };
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let fields = [
        (0, year / 100),
        (2, year % 100),
        (5, time.month()),
        (8, time.day()),
        (11, time.hour()),
        (14, time.minute()),
        (17, time.second()),
    ];
    for (place, two_digits) in fields {
        text[place] += (two_digits / 10) as u8;
        text[place + 1] += (two_digits % 10) as u8;
    }
    out.push_str(std::str::from_utf8(&text).expect("it is ASCII"));
}

/// What all tokens of one user and scope have in common, as JSON that is put together with what each
/// token says by itself.
#[derive(Debug)]
pub struct Parts {
    user: String,
    /// What comes behind the times: `, "project": {…}, …`.
    rest: String,
}

impl Parts {
    /// Writes what the tokens with the rights of this one have in common.
    pub fn write(
        valid: &ValidToken,
        catalog: Option<&[CatalogService]>,
        service_providers: &[ServiceProvider],
    ) -> Self {
        let mut rest = String::new();
        for (name, value) in self::rest(valid, catalog, service_providers) {
            rest.push_str(", ");
            json::push_spaced(&mut rest, &name);
            rest.push_str(": ");
            json::push_spaced(&mut rest, &value);
        }
        Self {
            user: json::spaced(&user(valid)),
            rest,
        }
    }

    /// The body that clients see.
    pub fn body(&self, token: &Token) -> String {
        const FIXED: usize = 300;
        let mut out = String::with_capacity(FIXED + self.user.len() + self.rest.len());
        out.push_str("{\"token\": {\"methods\": ");
        json::push_spaced(&mut out, &Names(&token.methods));
        out.push_str(", \"user\": ");
        out.push_str(&self.user);
        let mut before = ", \"audit_ids\": [\"";
        for id in token.audit_ids.iter() {
            out.push_str(before);
            let _ = write!(out, "{id}");
            before = "\", \"";
        }
        out.push_str("\"], \"expires_at\": \"");
        push_time(&mut out, token.expires_at);
        out.push_str("\", \"issued_at\": \"");
        push_time(&mut out, token.issued_at);
        out.push('"');
        out.push_str(&self.rest);
        out.push_str("}}");
        out
    }

    /// How many bytes they are.
    pub(super) fn len(&self) -> usize {
        self.user.len() + self.rest.len()
    }
}

/// The names of methods.
struct Names<'a>(&'a [Method]);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Method::as_str))
    }
}

/// A token as policy rules see it: without a catalog.
pub(super) fn token(valid: &ValidToken) -> Value {
    let token = &valid.token;
    let audit_ids: Vec<_> = token.audit_ids.iter().map(|id| id.to_string()).collect();
    let mut out = Map::new();
    out.insert("methods".into(), json!(Names(&token.methods)));
    out.insert("user".into(), user(valid));
    out.insert("audit_ids".into(), json!(audit_ids));
    out.insert("expires_at".into(), time(token.expires_at).into());
    out.insert("issued_at".into(), time(token.issued_at).into());
    out.extend(rest(valid, None, &[]));
    Value::Object(out)
}

/// What a token's body has behind the times.
fn rest(
    valid: &ValidToken,
    catalog: Option<&[CatalogService]>,
    service_providers: &[ServiceProvider],
) -> Map<String, Value> {
    let token = &valid.token;
    let mut out = Map::new();
    match valid.target.as_deref() {
        Some(
            target @ ScopeTarget {
                domain: Some(domain),
                ..
            },
        ) => {
            out.insert(
                "project".into(),
                json!({"domain": domain_ref(domain), "id": target.id, "name": target.name}),
            );
            out.insert("is_domain".into(), false.into());
        }
        Some(target) => {
            out.insert(
                "domain".into(),
                json!({"id": target.id, "name": target.name}),
            );
        }
        None if token.has_system_scope() => {
            out.insert("system".into(), json!({"all": true}));
        }
        None => {}
    }
    if valid.target.is_some() || token.has_system_scope() {
        // As in Keystone, what a federated user holds is shown whole.
        let whole = token.federated_login().is_some();
        let roles = valid.roles.iter().map(|role| match whole {
            true => json!(RoleDocument::inside(role.clone())),
            false => json!({"id": role.id, "name": role.name}),
        });
        out.insert("roles".into(), roles.collect());
        if let Some(is_admin_project) = valid.is_admin_project {
            out.insert("is_admin_project".into(), is_admin_project.into());
        }
        if let Some(catalog) = catalog {
            out.insert("catalog".into(), self::catalog(valid, catalog));
        }
    }
    if !service_providers.is_empty() {
        let providers = service_providers.iter().map(|provider| {
            json!({
                "auth_url": provider.auth_url,
                "id": provider.id,
                "sp_url": provider.sp_url,
            })
        });
        out.insert("service_providers".into(), providers.collect());
    }
    if let Some(delegation) = &valid.delegation {
        let (name, description) = delegation.describe();
        out.insert(name.into(), description);
    }
    if let TokenKind::Certificate { thumbprint, .. } = &token.kind {
        out.insert("oauth2_credential".into(), json!({"x5t#S256": thumbprint}));
    }
    out
}

fn user(valid: &ValidToken) -> Value {
    let subject = &valid.subject;
    let mut user = json!({
        "domain": domain_ref(&subject.domain),
        "id": subject.id,
        "name": subject.name,
    });
    match valid.token.federated_login() {
        Some(login) => {
            let groups: Vec<_> = login.group_ids.iter().map(|id| json!({"id": id})).collect();
            user["OS-FEDERATION"] = json!({
                "groups": groups,
                "identity_provider": {"id": login.identity_provider_id},
                "protocol": {"id": login.protocol_id},
            });
        }
        None => {
            user["password_expires_at"] = match subject.password_expires_at {
                Some(end) => end.format("%Y-%m-%dT%H:%M:%S%.6f").to_string().into(),
                None => Value::Null,
            };
        }
    }
    user
}

fn domain_ref(domain: &DomainRef) -> Value {
    json!({"id": domain.id, "name": domain.name})
}

/// The catalog of a token: endpoints whose URL cannot be filled in are left out.
pub(super) fn catalog(valid: &ValidToken, services: &[CatalogService]) -> Value {
    let project_id = valid.token.project_id().map(|id| id.as_str());
    let user_id = valid.subject.id.as_str();
    let services = services.iter().map(|service| {
        let endpoints = service.endpoints.iter().filter_map(|endpoint| {
            let url = fill(&endpoint.url, project_id, user_id)?;
            let mut out = endpoint.extra.clone();
            out.insert("id".into(), endpoint.id.as_str().into());
            out.insert("interface".into(), endpoint.interface.as_str().into());
            out.insert("region_id".into(), json!(endpoint.region_id));
            out.insert("url".into(), url.into());
            out.insert("region".into(), json!(endpoint.region_id));
            Some(Value::Object(out))
        });
        json!({
            "endpoints": endpoints.collect::<Value>(),
            "id": service.id,
            "type": service.kind,
            "name": service.name,
        })
    });
    services.collect()
}

/// Fills `$(name)s` and `%(name)s`; `None` when a name has no value here, or the URL is no template.
pub fn fill(url: &str, project_id: Option<&str>, user_id: &str) -> Option<String> {
    fill_with(url, |name| match name {
        "tenant_id" | "project_id" => project_id,
        "user_id" => Some(user_id),
        _ => None,
    })
}

/// Whether a URL is a template of the names that Keystone knows, some of which no catalog fills.
pub fn is_template(url: &str) -> bool {
    let known = [
        "tenant_id",
        "project_id",
        "user_id",
        "compute_host",
        "public_endpoint",
    ];
    fill_with(url, |name| known.contains(&name).then_some("")).is_some()
}

/// Fills in by the rules of Python's `%`, of which only `%(name)s` and `%%` make sense here.
fn fill_with<'a>(url: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut out = String::with_capacity(url.len() + 32);
    let mut rest = url;
    while let Some(start) = rest.find("$(").into_iter().chain(rest.find('%')).min() {
        out.push_str(&rest[..start]);
        let directive = &rest[start + 1..];
        if let Some(after) = directive.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (name, after) = directive.strip_prefix('(')?.split_once(")s")?;
        out.push_str(value(name)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{fill, is_template};

    #[test]
    fn urls_are_filled_or_dropped() {
        let url = "http://a/$(project_id)s/%(tenant_id)s/$(user_id)s/x%%20y$z";
        assert_eq!(
            fill(url, Some("p"), "u").as_deref(),
            Some("http://a/p/p/u/x%20y$z")
        );
        assert_eq!(fill(url, None, "u"), None);
        assert_eq!(fill("http://a/", None, "u").as_deref(), Some("http://a/"));
        assert_eq!(fill("http://$(compute_host)s", Some("p"), "u"), None);
        assert!(is_template("http://$(compute_host)s:%(tenant_id)s"));
        for broken in [
            "http://a/$(nobody)s",
            "http://a/$(project_id)",
            "http://a/$(project_id)d",
            "http://a/%",
            "http://a/x%20y",
        ] {
            assert_eq!(fill(broken, Some("p"), "u"), None, "{broken}");
            assert!(!is_template(broken), "{broken}");
        }
    }
}
