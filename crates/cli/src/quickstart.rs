//! `archstone quickstart`: a complete server in one folder, for trying and for development.

use std::fs;
use std::future::pending;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use auth::flows::bootstrap::{Bootstrap, bootstrap};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use config::{self, Config, Source, Sources};
use model::Secret;
use model::clock::{Clock as _, SystemClock};
use secrets::credential_encryption::MAX_ACTIVE_KEYS;
use secrets::key_repository::KeyRepository;
use secrets::random::{Random as _, SystemRandomness};
use web::listen::local_ca::LocalAuthority;

use crate::serve::{Sockets, serve};
use crate::settings::{self, Settings};

/// Start a complete server with an embedded database, and show how to use it.
#[derive(Args)]
pub(crate) struct Quickstart {
    /// The folder for the database, keys and certificates. A second start uses it again.
    #[arg(long, default_value = "./archstone-data")]
    data_dir: PathBuf,
    /// Where to serve HTTPS.
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDRESS")]
    https: SocketAddr,
    /// Where to serve plain HTTP, which is only for this machine.
    #[arg(long, default_value = "127.0.0.1:5001", value_name = "ADDRESS")]
    http: SocketAddr,
    /// The administrator's password. Without it, the first start makes one and prints it.
    #[arg(long, env = "OS_BOOTSTRAP_PASSWORD", hide_env_values = true)]
    admin_password: Option<String>,
}

impl Quickstart {
    pub(crate) async fn run(self, settings: Settings) -> Result<()> {
        if settings.are_given() {
            bail!(
                "quickstart has its keystone.conf in --data-dir: use `archstone serve` for yours"
            );
        }
        fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("--data-dir {}", self.data_dir.display()))?;
        let folder = fs::canonicalize(&self.data_dir)?;
        let names = [
            "localhost".to_owned(),
            self.https.ip().to_string(),
            "127.0.0.1".to_owned(),
        ];
        let authority = LocalAuthority::open_or_create(
            &folder.join("tls"),
            &names,
            SystemClock::default().now(),
        )?;
        let files = Files {
            folder: &folder,
            authority: &authority,
        };
        for keys in [files.fernet_keys(), files.credential_keys()] {
            KeyRepository::new(keys).setup(MAX_ACTIVE_KEYS, None)?;
        }
        // The addresses are this start's; all else in the file is the operator's to change.
        let configuration = folder.join("keystone.conf");
        if !configuration.exists() {
            write(&configuration, &self.configuration(&files)?, 0o600)?;
        }
        let mut config = Config::load(&Sources::of_process(vec![Source::File(configuration)]))?;
        config.archstone.https_listen = vec![self.https];
        config.archstone.http_listen = vec![self.http];
        settings::start_log(&config)?;
        let sockets = Sockets::bind(&config).await?;
        let app = settings::open(config)?;
        app.parts.store.sync_schema().await?;
        let default_domain = &app.parts.config.identity.default_domain_id;
        // Bootstrapping is one transaction: without its domain, an earlier start was cut short.
        if app
            .parts
            .store
            .domains()
            .find(default_domain)
            .await?
            .is_none()
        {
            let generated = self.admin_password.is_none();
            let password = self.admin_password.clone().unwrap_or_else(new_password);
            // Before the database takes the password, so that none is lost in between.
            let clouds = self.clouds(&files, &password);
            write(&folder.join("clouds.yaml"), &clouds, 0o600)?;
            bootstrap(&app.parts, &self.first_things(&password)).await?;
            self.print_welcome(&files, generated.then_some(password.as_str()));
        } else {
            self.greet_again(&files);
        }
        serve(app, sockets, pending()).await
    }

    fn url(&self) -> String {
        format!("https://{}", self.https)
    }

    fn first_things(&self, password: &str) -> Bootstrap {
        let url = format!("{}/v3", self.url());
        let interfaces = ["public", "internal", "admin"];
        Bootstrap {
            username: "admin".into(),
            password: Secret::new(password.to_owned()),
            project_name: "admin".into(),
            role_name: "admin".into(),
            service_name: "keystone".into(),
            region_id: Some("RegionOne".into()),
            endpoints: interfaces
                .map(|interface| (interface, url.clone()))
                .to_vec(),
            immutable_roles: true,
        }
    }

    fn configuration(&self, files: &Files<'_>) -> Result<String> {
        let database = files.database();
        let database = database.to_str().context("--data-dir is not UTF-8")?;
        let written = config::Quickstart {
            connection: Secret::new(format!("sqlite:///{database}")),
            token_keys: files.fernet_keys(),
            credential_keys: files.credential_keys(),
            http_listen: vec![self.http],
            https_listen: vec![self.https],
            tls: Some((
                files.authority.certificate.clone(),
                files.authority.key.clone(),
            )),
            public_endpoint: None,
        };
        Ok(written.write()?)
    }

    fn clouds(&self, files: &Files<'_>, password: &str) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        // The clients take braces for references to other values, but in a password.
        let authority = files.authority.authority.display().to_string();
        let authority = authority.replace('{', "{{").replace('}', "}}");
        format!(
            "clouds:\n\
             \x20 archstone:\n\
             \x20   auth:\n\
             \x20     auth_url: {url}/v3\n\
             \x20     username: admin\n\
             \x20     password: {password}\n\
             \x20     project_name: admin\n\
             \x20     user_domain_id: default\n\
             \x20     project_domain_id: default\n\
             \x20   region_name: RegionOne\n\
             \x20   identity_api_version: 3\n\
             \x20   cacert: {authority}\n",
            url = self.url(),
            password = quoted(password),
            authority = quoted(&authority),
        )
    }

    fn print_welcome(&self, files: &Files<'_>, password: Option<&str>) {
        let folder = files.folder.display();
        println!("Archstone is serving {}", self.url());
        println!();
        if let Some(password) = password {
            println!("  user      admin");
            println!("  password  {password}   (also in {folder}/clouds.yaml; not shown again)");
            println!();
        }
        self.show_usage(files);
    }

    fn greet_again(&self, files: &Files<'_>) {
        println!("Archstone is serving {} again.", self.url());
        println!();
        self.show_usage(files);
    }

    /// What a newcomer does next, to be copied line by line.
    fn show_usage(&self, files: &Files<'_>) {
        let clouds = files.folder.join("clouds.yaml");
        println!("Use it with the openstack command (pip install python-openstackclient):");
        println!();
        println!(
            "  export OS_CLIENT_CONFIG_FILE={} OS_CLOUD=archstone",
            shell_word(&clouds)
        );
        println!("  openstack token issue");
        println!("  openstack application credential create my-app");
        println!();
        println!("Obtain an OAuth 2.0 access token with the id and secret that this prints:");
        println!();
        println!(
            "  curl --cacert {} -u ID:SECRET -d grant_type=client_credentials \\\n    \
             {}/v3/OS-OAUTH2/token",
            shell_word(&files.authority.authority),
            self.url()
        );
        println!();
        println!(
            "http://{} serves the same without TLS, for a look or for a proxy on this machine;",
            self.http
        );
        println!("clients that begin there are sent to the address above by the catalog.");
        println!();
        println!(
            "Stop with Ctrl-C. Everything is in {}.",
            files.folder.display()
        );
        // A pipe that nobody reads any more must not stop the server.
        let _ = std::io::stdout().flush();
    }
}

/// Where things are in the data folder.
struct Files<'a> {
    folder: &'a Path,
    authority: &'a LocalAuthority,
}

impl Files<'_> {
    fn database(&self) -> PathBuf {
        self.folder.join("keystone.db")
    }

    fn fernet_keys(&self) -> PathBuf {
        self.folder.join("fernet-keys")
    }

    fn credential_keys(&self) -> PathBuf {
        self.folder.join("credential-keys")
    }
}

/// A path as a shell takes it.
fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// 128 random bits that can be typed.
fn new_password() -> String {
    let mut bytes = [0; 16];
    SystemRandomness::default().fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let temporary = path.with_extension("new");
    // What a start that was cut short left there may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| temporary.display().to_string());
        }
        _ => {}
    }
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&temporary)
        .with_context(|| temporary.display().to_string())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path).with_context(|| path.display().to_string())
}
