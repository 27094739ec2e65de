//! The `archstone` command: an OpenStack Identity server in one binary.

mod bootstrap;
mod db_sync;
mod keys;
mod mapping_engine;
mod quickstart;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The OpenStack Identity service, with OAuth 2.0 built in.
#[derive(Parser)]
#[command(name = "archstone", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[command(rename_all = "snake_case")]
enum Command {
    /// Start a complete server with an embedded database, and show how to use it.
    Quickstart(quickstart::Quickstart),
    /// Serve, as a keystone.conf says.
    Serve(serve::Serve),
    /// Create the first domain, project, user, roles and endpoints.
    Bootstrap(bootstrap::Bootstrap),
    /// Create or check the database schema.
    DbSync(db_sync::DbSync),
    /// Create the keys that protect tokens.
    FernetSetup(keys::Keys),
    /// Replace the key that protects new tokens.
    FernetRotate(keys::Keys),
    /// Create the keys that encrypt stored credentials.
    CredentialSetup(keys::Keys),
    /// Replace the key that encrypts stored credentials.
    CredentialRotate(keys::Keys),
    /// Try mapping rules on an assertion, and explain what comes of it.
    MappingEngine(mapping_engine::MappingEngine),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Quickstart(command) => command.run().await,
        Command::Serve(command) => command.run().await,
        Command::Bootstrap(command) => command.run().await,
        Command::DbSync(command) => return command.run().await,
        Command::FernetSetup(command) => command.fernet_setup(),
        Command::FernetRotate(command) => command.fernet_rotate(),
        Command::CredentialSetup(command) => command.credential_setup(),
        Command::CredentialRotate(command) => command.credential_rotate().await,
        Command::MappingEngine(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("archstone: {error:#}");
            ExitCode::FAILURE
        }
    }
}
