//! `archstone db_sync`, with the options of `keystone-manage db_sync`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::settings::{self, Settings};

/// Create or check the database schema.
#[derive(Args)]
pub(crate) struct DbSync {
    #[command(flatten)]
    settings: Settings,
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
}

impl DbSync {
    pub(crate) async fn run(self) -> ExitCode {
        match self.sync().await {
            Ok(status) => status,
            Err(error) => {
                eprintln!("archstone: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    async fn sync(self) -> Result<ExitCode> {
        let store = settings::open_database(&self.settings.load()?)?;
        if self.check {
            let state = store.schema_state().await?;
            println!("{state}");
            return Ok(ExitCode::from(state.check() as u8));
        }
        if !self.migrate && !self.contract {
            store.sync_schema().await?;
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
