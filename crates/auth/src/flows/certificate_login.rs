//! A user who shows a client certificate, and obtains an access token that is bound to it (RFC 8705).

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use model::ids::UserId;
use model::mapping::{DomainReference, MappedUser, Rules, SchemaVersion};
use model::subject::Subject;
use model::{Assertion, Timestamp};
use web::listen::ClientCertificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use crate::error::ApiError;
use crate::flows::issue_token::{IssuedToken, issue_bound};
use crate::parts::Parts;

/// Logs a user in whom the names in a certificate describe, as the mapping `[oauth2]
/// oauth2_cert_dn_mapping_id` reads them. The certificate has to hold now and lead to an authority that
/// is known now: a connection may be old, and a session that it resumes older.
///
/// # Errors
///
/// 401 when the certificate is none of the user's, whatever the reason.
pub async fn certificate_login(
    parts: &Parts,
    user_id: &UserId,
    certificate: &ClientCertificate,
    now: Timestamp,
) -> Result<IssuedToken, ApiError> {
    let certificate = certificate.verify(now);
    let certificate = certificate.map_err(|error| ApiError::unauthorized(error.to_string()))?;
    let assertion = assertion(certificate)
        .ok_or_else(|| ApiError::unauthorized("the names in the certificate cannot be read"))?;
    parts.store.sync().await?;
    let login = parts.store.login(user_id).await?;
    let login = login.ok_or_else(|| ApiError::unauthorized("no such user"))?;
    let user = parts.store.users().find(user_id).await?;
    let email = user.and_then(|user| user.extra.get("email")?.as_str().map(str::to_owned));
    let mapped = map(parts, &assertion).await?;
    if !describes(&mapped, &login.subject, email.as_deref()) {
        return Err(ApiError::unauthorized("the certificate is somebody else's"));
    }
    issue_bound(parts, login, thumbprint(certificate), now).await
}

/// What the mapping makes of the names.
async fn map(parts: &Parts, assertion: &Assertion) -> Result<MappedUser, ApiError> {
    let id = &parts.config.oauth2.oauth2_cert_dn_mapping_id;
    let mapping = parts.store.mappings().find(&id.as_str().into()).await?;
    let mapping = mapping.ok_or_else(|| {
        ApiError::unauthorized(format!("there is no mapping {id} for certificates"))
    })?;
    // Always by the first version, whatever the mapping says, as the reference does.
    let rules = Rules::parse(SchemaVersion::V1, &mapping.rules)
        .map_err(|error| ApiError::unauthorized(format!("mapping {id} cannot be used: {error}")))?;
    let mapped = rules.evaluate(assertion).result;
    let mapped =
        mapped.map_err(|error| ApiError::unauthorized(format!("mapping {id}: {error}")))?;
    Ok(mapped.user)
}

/// Whether everything that the mapping says of the user is so. One that says nothing would let every
/// certificate be everybody's.
fn describes(mapped: &MappedUser, user: &Subject, email: Option<&str>) -> bool {
    let DomainReference { id, name } = mapped.domain.clone().unwrap_or_default();
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let claims = [
        (said(&mapped.id), Some(user.id.as_str())),
        (said(&mapped.name), Some(user.name.as_str())),
        (said(&mapped.email), email),
        (said(&id), Some(user.domain.id.as_str())),
        (said(&name), Some(user.domain.name.as_str())),
    ];
    let names_somebody = claims[..3].iter().any(|(claim, _)| claim.is_some());
    let holds = |(claim, fact): &(Option<String>, Option<&str>)| {
        claim.as_deref().is_none_or(|claim| *fact == Some(claim))
    };
    names_somebody && claims.iter().all(holds)
}

/// The names of subject and issuer, as `SSL_CLIENT_SUBJECT_DN_CN` and so on; `None` when one cannot
/// be told apart from others. Of a name that is there twice, the last counts.
fn assertion(certificate: &[u8]) -> Option<Assertion> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut variables: Vec<(String, String)> = Vec::new();
    for (whose, names) in [
        ("SUBJECT", certificate.subject()),
        ("ISSUER", certificate.issuer()),
    ] {
        for (name, value) in names_of(names)? {
            let variable = format!("SSL_CLIENT_{whose}_DN_{}", name.to_uppercase());
            variables.push((variable, value));
        }
    }
    Some(Assertion::of_variables(variables))
}

fn names_of(names: &X509Name<'_>) -> Option<Vec<(String, String)>> {
    names
        .iter_attributes()
        .map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let value = attribute.as_str().ok()?;
            // The reference splits text where this stands.
            (!value.contains('=')).then(|| (short_name(oid), escaped(value)))
        })
        .collect()
}

/// The short name of RFC 4514 §3, where there is one.
fn short_name(oid: String) -> String {
    let known = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return oid,
    };
    known.to_owned()
}

/// A value as RFC 4514 §2.4 writes it.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (place, letter) in value.chars().enumerate() {
        let special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (place == 0 && matches!(letter, '#' | ' '))
            || (place == last && letter == ' ');
        if special {
            out.push('\\');
        }
        match letter {
            '\0' => out.push_str("\\00"),
            other => out.push(other),
        }
    }
    out
}

/// SHA-256 over the PEM as Python writes it, in padded url-safe base64: what keystonemiddleware
/// compares with, and not the thumbprint of RFC 8705 §3.1, which is over DER.
fn thumbprint(certificate: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    BASE64_URL_SAFE.encode(digest::digest(&digest::SHA256, pem.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            id: "u1".into(),
            name: "jane".into(),
            domain: model::subject::DomainRef {
                id: "d1".into(),
                name: "corp".into(),
                enabled: true,
            },
            enabled: true,
            password_expires_at: None,
            default_project_id: None,
            last_seen: None,
        }
    }

    #[test]
    fn everything_that_is_said_must_be_so_and_something_must_be_said() {
        let user = |id: &str, name: &str, email: &str| MappedUser {
            id: Some(id.to_owned()),
            name: Some(name.to_owned()),
            email: Some(email.to_owned()),
            ..MappedUser::default()
        };
        let jane = "jane@example.com";
        assert!(describes(&user("u1", "jane", jane), &subject(), Some(jane)));
        assert!(describes(&user("", "jane", ""), &subject(), None));
        assert!(!describes(&user("u1", "joe", ""), &subject(), None));
        assert!(!describes(&user("", "jane", jane), &subject(), None));
        assert!(!describes(&user("", "", ""), &subject(), None));
        let elsewhere = MappedUser {
            domain: Some(DomainReference {
                id: None,
                name: Some("else".into()),
            }),
            ..user("u1", "jane", "")
        };
        assert!(!describes(&elsewhere, &subject(), None));
        let domain_alone = MappedUser {
            domain: Some(DomainReference {
                id: Some("d1".into()),
                name: None,
            }),
            ..MappedUser::default()
        };
        assert!(!describes(&domain_alone, &subject(), None));
    }

    #[test]
    fn values_are_written_as_in_distinguished_names() {
        assert_eq!(escaped("Acme, Inc."), "Acme\\, Inc.");
        assert_eq!(escaped(" #a "), "\\ #a\\ ");
        assert_eq!(escaped("#1"), "\\#1");
        assert_eq!(escaped("plain"), "plain");
    }
}
