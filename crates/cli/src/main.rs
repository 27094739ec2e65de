//! The `archstone` command: an OpenStack Identity server in one binary.

mod bootstrap;
mod db_sync;
mod keys;
mod mapping_engine;
mod one_line;
mod quickstart;
mod serve;
mod settings;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use keys::Purpose::{Credentials, Receipts, Tokens};

/// Most of what a request allocates is small and gone at once: docs/decisions/0005-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The OpenStack Identity service, with OAuth 2.0 built in.
#[derive(Parser)]
// As with argparse, an option that is given twice counts as given last.
#[command(
    name = "archstone",
    version,
    propagate_version = true,
    args_override_self = true
)]
struct Cli {
    #[command(flatten)]
    settings: settings::Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[command(rename_all = "snake_case")]
enum Command {
    /// Start a complete server with an embedded database, and show how to use it.
    Quickstart(quickstart::Quickstart),
    /// Serve, as a keystone.conf says.
    Serve,
    /// Create the first domain, project, user, roles and endpoints.
    Bootstrap(bootstrap::Bootstrap),
    /// Create or check the database schema.
    DbSync(db_sync::DbSync),
    /// Print the revision of the database schema.
    DbVersion,
    /// Create the keys that protect tokens and receipts.
    FernetSetup(keys::Keys),
    /// Replace the keys that protect new tokens and receipts.
    FernetRotate(keys::Keys),
    /// Create the keys that protect tokens.
    TokenSetup(keys::Keys),
    /// Replace the key that protects new tokens.
    TokenRotate(keys::Keys),
    /// Create the keys that protect receipts.
    ReceiptSetup(keys::Keys),
    /// Replace the key that protects new receipts.
    ReceiptRotate(keys::Keys),
    /// Create the keys that encrypt stored credentials.
    CredentialSetup(keys::Keys),
    /// Replace the key that encrypts stored credentials.
    CredentialRotate(keys::Keys),
    /// Encrypt stored credentials with the key that encrypts new ones.
    CredentialMigrate(keys::Keys),
    /// Print a policy file with every rule and its default.
    Policy,
    /// Print the description of the API (OpenAPI 3.1).
    Openapi,
    /// Try mapping rules on an assertion, and explain what comes of it.
    MappingEngine(mapping_engine::MappingEngine),
    /// Print the metadata of this server as SAML identity provider.
    SamlIdpMetadata,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("archstone: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(cli));
    // Dropped, it would wait without end for threads that read a file or ask for an address.
    runtime.shutdown_background();
    code
}

async fn run(Cli { settings, command }: Cli) -> ExitCode {
    let done = match command {
        Command::Quickstart(command) => command.run(settings).await,
        Command::Serve => serve::run(settings).await,
        Command::Bootstrap(command) => command.run(settings).await,
        Command::DbSync(command) => return command.run(settings).await,
        Command::DbVersion => db_sync::version(settings).await,
        Command::FernetSetup(keys) => keys.setup(settings, &[Tokens, Receipts]),
        Command::FernetRotate(keys) => keys.rotate(settings, &[Tokens, Receipts]),
        Command::TokenSetup(keys) => keys.setup(settings, &[Tokens]),
        Command::TokenRotate(keys) => keys.rotate(settings, &[Tokens]),
        Command::ReceiptSetup(keys) => keys.setup(settings, &[Receipts]),
        Command::ReceiptRotate(keys) => keys.rotate(settings, &[Receipts]),
        Command::CredentialSetup(keys) => keys.setup(settings, &[Credentials]),
        Command::CredentialRotate(keys) => keys.credential_rotate(settings).await,
        Command::CredentialMigrate(_) => keys::credential_migrate(settings).await,
        Command::Policy => print(&api::derived::policy_sample::sample()),
        Command::Openapi => print(&api::derived::openapi::text()),
        Command::MappingEngine(command) => command.run(),
        Command::SamlIdpMetadata => saml_idp_metadata(settings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("archstone: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn saml_idp_metadata(settings: settings::Settings) -> anyhow::Result<()> {
    let config = settings.load()?;
    print(&(api::saml_idp::metadata(&config.saml)? + "\n"))
}

/// Writes to the standard output, which may be a pipe that ends early.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
