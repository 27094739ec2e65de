//! Finding the settings, and starting the log that they ask for.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use server::app::{App, SystemClock, SystemRandomness};
use server::config::{Config, Source, Sources};
use tracing_subscriber::EnvFilter;

/// Where the settings are.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// A configuration file; may be given several times, and the last one counts most.
    /// Without it, keystone.conf is looked for where Keystone looks.
    #[arg(long, value_name = "FILE")]
    config_file: Vec<PathBuf>,
    /// A folder of configuration files, read in the order of their names.
    #[arg(long, value_name = "DIR")]
    config_dir: Vec<PathBuf>,
}

impl Settings {
    /// Reads the settings and tells the operator what is doubtful in them.
    pub(crate) fn load(&self) -> Result<Config> {
        let files = self.config_file.iter().cloned().map(Source::File);
        let folders = self.config_dir.iter().cloned().map(Source::Folder);
        let config = Config::load(&Sources::of_process(files.chain(folders).collect()))?;
        start_log(&config)?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        for option in config.unhonoured() {
            tracing::warn!("{option}");
        }
        Ok(config)
    }
}

/// A server on the machine's clock and random source.
pub(crate) fn open(config: Config) -> Result<App> {
    Ok(App::open(
        config,
        Arc::new(SystemClock),
        Arc::new(SystemRandomness::default()),
    )?)
}

/// Starts the log as `[DEFAULT]` asks; `RUST_LOG` overrides what is logged.
pub(crate) fn start_log(config: &Config) -> Result<()> {
    let general = &config.default;
    let level = if general.debug { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false);
    let path = general
        .log_file
        .as_ref()
        .map(|file| match &general.log_dir {
            Some(folder) => folder.join(file),
            None => file.clone(),
        });
    match path.filter(|_| !general.use_stderr) {
        None => log.with_writer(std::io::stderr).with_ansi(false).init(),
        Some(path) => {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(&path)
                .with_context(|| format!("[DEFAULT] log_file = {}", path.display()))?;
            log.with_ansi(false).with_writer(Arc::new(file)).init();
        }
    }
    Ok(())
}

/// Only the database of a server: what is needed before there are keys.
pub(crate) fn open_database(config: &Config) -> Result<store::Store> {
    Ok(store::Store::connect(&server::startup::database(config))?)
}
