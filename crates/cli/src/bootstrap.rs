//! `archstone bootstrap`, with the options of `keystone-manage bootstrap`.

use anyhow::{Result, bail};
use auth::flows::bootstrap;
use clap::Args;
use model::Secret;

use crate::settings::{self, Settings};

/// Create the first domain, project, user, roles and endpoints. May be run again.
#[derive(Args)]
pub(crate) struct Bootstrap {
    /// The administrator's name.
    #[arg(long, env = "OS_BOOTSTRAP_USERNAME", default_value = "admin")]
    bootstrap_username: String,
    /// The administrator's password. Rather set the variable: arguments are seen by everybody.
    #[arg(long, env = "OS_BOOTSTRAP_PASSWORD", hide_env_values = true)]
    bootstrap_password: Option<String>,
    /// The administrator's project.
    #[arg(long, env = "OS_BOOTSTRAP_PROJECT_NAME", default_value = "admin")]
    bootstrap_project_name: String,
    /// The administrator's role.
    #[arg(long, env = "OS_BOOTSTRAP_ROLE_NAME", default_value = "admin")]
    bootstrap_role_name: String,
    /// The name of the identity service in the catalog.
    #[arg(long, env = "OS_BOOTSTRAP_SERVICE_NAME", default_value = "keystone")]
    bootstrap_service_name: String,
    /// The URL of its admin endpoint.
    #[arg(long, env = "OS_BOOTSTRAP_ADMIN_URL")]
    bootstrap_admin_url: Option<String>,
    /// The URL of its public endpoint.
    #[arg(long, env = "OS_BOOTSTRAP_PUBLIC_URL")]
    bootstrap_public_url: Option<String>,
    /// The URL of its internal endpoint.
    #[arg(long, env = "OS_BOOTSTRAP_INTERNAL_URL")]
    bootstrap_internal_url: Option<String>,
    /// The region of these endpoints.
    #[arg(long, env = "OS_BOOTSTRAP_REGION_ID")]
    bootstrap_region_id: Option<String>,
    /// Protect the roles against changes. This is the default.
    #[arg(long, overrides_with = "no_immutable_roles")]
    immutable_roles: bool,
    /// Do not protect the roles against changes.
    #[arg(long)]
    no_immutable_roles: bool,
}

impl Bootstrap {
    pub(crate) async fn run(self, settings: Settings) -> Result<()> {
        let Some(password) = self.bootstrap_password else {
            bail!(
                "give the administrator's password: --bootstrap-password, or OS_BOOTSTRAP_PASSWORD"
            );
        };
        let endpoints = [
            ("public", self.bootstrap_public_url),
            ("internal", self.bootstrap_internal_url),
            ("admin", self.bootstrap_admin_url),
        ];
        let wanted = bootstrap::Bootstrap {
            username: self.bootstrap_username,
            password: Secret::new(password),
            project_name: self.bootstrap_project_name,
            role_name: self.bootstrap_role_name,
            service_name: self.bootstrap_service_name,
            region_id: self.bootstrap_region_id.map(Into::into),
            endpoints: endpoints
                .into_iter()
                .filter_map(|(interface, url)| Some((interface, url?)))
                .collect(),
            immutable_roles: !self.no_immutable_roles,
        };
        let app = settings::open(settings.load()?)?;
        bootstrap::bootstrap(&app.parts, &wanted).await?;
        app.parts.store.close().await;
        Ok(())
    }
}
