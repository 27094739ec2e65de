//! Finding the settings, and starting the log that they ask for.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use api::app::App;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use config::{Config, Source, Sources};
use model::clock::SystemClock;
use secrets::random::SystemRandomness;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};

use crate::one_line::OneLine;

const FILE: &str = "config-file";
const FOLDER: &str = "config-dir";

/// The name of the log in a log_dir without log_file.
const LOG_FILE: &str = "archstone.log";

/// Where the settings are: `--config-file` and `--config-dir`, before or after the subcommand.
#[derive(Debug)]
pub(crate) struct Settings {
    /// In the order of the command line, because what comes later counts more.
    given: Vec<Source>,
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let path = |id: &'static str, value: &'static str| {
            Arg::new(id)
                .long(id)
                .value_name(value)
                .value_parser(value_parser!(PathBuf))
                .action(ArgAction::Append)
                .global(true)
        };
        command
            .arg(path(FILE, "FILE").help(
                "A configuration file; may be given several times, and the last one counts most. \
                 Without it, keystone.conf is looked for where Keystone looks",
            ))
            .arg(path(FOLDER, "DIR").help(
                "A folder of configuration files, read in the order of their names, and with \
                 --config-file in the order of the command line",
            ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |id, source: fn(PathBuf) -> Source| {
            let places = matches.indices_of(id).into_iter().flatten();
            let paths = matches.get_many::<PathBuf>(id).into_iter().flatten();
            places.zip(paths.map(move |path| source(path.clone())))
        };
        let mut given: Vec<_> = of(FILE, Source::File)
            .chain(of(FOLDER, Source::Folder))
            .collect();
        given.sort_by_key(|(place, _)| *place);
        Ok(Self {
            given: given.into_iter().map(|(_, source)| source).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Settings {
    /// Whether the command line names any.
    pub(crate) fn are_given(&self) -> bool {
        !self.given.is_empty()
    }

    /// Reads the settings and tells the operator what is doubtful in them.
    pub(crate) fn load(self) -> Result<Config> {
        let config = Config::load(&Sources::of_process(self.given))?;
        start_log(&config)?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        for option in config.unsupported_options() {
            tracing::warn!("{option}");
        }
        Ok(config)
    }
}

/// A server on the machine's clock and random source.
pub(crate) fn open(config: Config) -> Result<App> {
    Ok(App::open(
        config,
        Arc::new(SystemClock::default()),
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
    let file = match (&general.log_dir, &general.log_file) {
        (None, None) => None,
        (Some(folder), file) => Some(folder.join(file.as_deref().unwrap_or(LOG_FILE.as_ref()))),
        (None, Some(file)) => Some(file.clone()),
    };
    let file = file.as_deref().map(open_log).transpose()?;
    let writer = match file {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(file) if general.use_stderr => BoxMakeWriter::new(file.and(std::io::stderr)),
        Some(file) => BoxMakeWriter::new(file),
    };
    let log = log.with_writer(OneLine(writer)).with_ansi(false);
    if general.use_json {
        log.json().init();
    } else {
        log.init();
    }
    Ok(())
}

fn open_log(path: &Path) -> Result<Arc<File>> {
    let mut options = File::options();
    // Requests and names of users are nobody else's business; logrotate may give it another mode.
    let file = options.create(true).append(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("[DEFAULT] log_file = {}", path.display()))?;
    Ok(Arc::new(file))
}

/// Only the database of a server: what is needed before there are keys.
pub(crate) fn open_database(config: &Config) -> Result<store::Store> {
    Ok(store::Store::connect(&api::app::database(
        config,
        Arc::new(SystemClock::default()),
    ))?)
}
