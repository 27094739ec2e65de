mod auth;
mod broken_mappings;
mod identity_providers;
mod mappings;
mod memberships;
mod protocols;
mod scopes;
mod service_providers;

use serde_json::json;
use testkit::Client;

/// Adds a mapping that takes the name of a user from `REMOTE_USER`.
pub(super) async fn add_mapping(admin: &Client, id: &str) {
    let rule = json!({"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]});
    let body = json!({"mapping": {"rules": [rule]}});
    let path = format!("/v3/OS-FEDERATION/mappings/{id}");
    admin.put(&path, body).await.expect(201);
}

/// Adds an identity provider for the users of the default domain.
async fn add_provider(admin: &Client, id: &str) {
    let body = json!({"identity_provider": {"domain_id": "default"}});
    let path = format!("/v3/OS-FEDERATION/identity_providers/{id}");
    admin.put(&path, body).await.expect(201);
}

/// Adds a protocol with a mapping.
async fn add_protocol(admin: &Client, provider: &str, id: &str, mapping: &str) {
    let body = json!({"protocol": {"mapping_id": mapping}});
    let path = format!("/v3/OS-FEDERATION/identity_providers/{provider}/protocols/{id}");
    admin.put(&path, body).await.expect(201);
}
