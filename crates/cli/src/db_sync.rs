//! `archstone db_sync`, with the options of `keystone-manage db_sync`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::settings::{self, Settings};

/// Create or check the database schema.
#[derive(Args)]
pub(crate) struct DbSync {
    /// Add what is missing. With this release that is everything.
    #[arg(long, group = "step")]
    expand: bool,
    /// Nothing is left to migrate with this release.
    #[arg(long, group = "step")]
    migrate: bool,
    /// Nothing is left to remove with this release.
    #[arg(long, group = "step")]
    contract: bool,
    /// Only tell what is to be done: exit status 0 when nothing is, 2 when --expand is, 4 when
    /// --contract is, 1 when the database is not one of Keystone's.
    #[arg(long, group = "step")]
    check: bool,
    /// Refused, as by Keystone: only the latest version can be brought about.
    #[arg(value_name = "VERSION")]
    to_version: Option<String>,
}

impl DbSync {
    pub(crate) async fn run(self, settings: Settings) -> ExitCode {
        match self.sync(settings).await {
            Ok(status) => status,
            Err(error) => {
                eprintln!("archstone: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    async fn sync(self, settings: Settings) -> Result<ExitCode> {
        let store = settings::open_database(&settings.load()?)?;
        if self.check {
            let state = store.schema_state().await?;
            println!("{state}");
            return Ok(ExitCode::from(state.check() as u8));
        }
        if self.migrate {
            println!("There is no data to migrate with this release.");
        } else if self.contract {
            // Nothing to remove, but who asks for it before --expand takes a wrong turn.
            store.check_schema().await?;
        } else if self.expand || self.to_version.is_none() {
            store.sync_schema().await?;
        } else {
            bail!("a version cannot be given: db_sync brings the database to the latest one");
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// `archstone db_version`: prints the revision as `keystone-manage db_version` does.
pub(crate) async fn version(settings: Settings) -> Result<()> {
    let store = settings::open_database(&settings.load()?)?;
    let version = store.schema_version().await?;
    println!("{}", version.as_deref().unwrap_or("None"));
    store.close().await;
    Ok(())
}
