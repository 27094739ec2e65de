//! Configuration files that are written: the sample of all options, and a first file.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use model::secret::Secret;

use super::{Config, ini, options::table::Spec};

impl Config {
    /// A `keystone.conf` that holds every option this release honours, each commented out, with
    /// what it means, what it accepts and its default.
    pub fn sample() -> String {
        let mut text = String::from(
            "# Every option that this release of Archstone honours, with its default. Keystone reads \
             the same\n# file; what else it knows is reported at the start and has no effect.\n",
        );
        let specs = Self::specs();
        for (section, doc) in Self::section_docs() {
            let specs: Vec<&Spec> = specs
                .iter()
                .filter(|spec| spec.section == *section && !spec.pending)
                .collect();
            if specs.is_empty() {
                continue;
            }
            text.push_str(&format!("\n[{section}]\n{}", comment(doc)));
            for spec in specs {
                text.push_str(&format!(
                    "\n{}# Accepts {}{}.\n",
                    comment(spec.doc),
                    spec.rule.describe(),
                    if spec.deprecated { "; deprecated" } else { "" },
                ));
                if spec.default.is_empty() {
                    text.push_str(&format!("#{} =\n", spec.name));
                }
                for value in &spec.default {
                    text.push_str(format!("#{} = {value}", spec.name).trim_end());
                    text.push('\n');
                }
            }
        }
        text
    }
}

/// What a first configuration says.
#[derive(Clone, Debug)]
pub struct Quickstart {
    /// The database's URL.
    pub connection: Secret<String>,
    /// The folder of the keys of tokens and receipts.
    pub token_keys: PathBuf,
    /// The folder of the keys of credentials.
    pub credential_keys: PathBuf,
    /// The addresses without TLS.
    pub http_listen: Vec<SocketAddr>,
    /// The addresses with TLS.
    pub https_listen: Vec<SocketAddr>,
    /// The certificate and its key, as PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The URL under which clients reach the server, without `/v3`; without one, links follow the
    /// address that a request was sent to.
    pub public_endpoint: Option<String>,
}

/// A value that a file cannot hold: it spans lines or is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{section}] {name} cannot be written to a file: the value spans lines or is not UTF-8")]
pub struct Unwritable {
    /// The section.
    pub section: &'static str,
    /// The option's name.
    pub name: &'static str,
}

impl Quickstart {
    /// Writes a `keystone.conf` that [`Config::load`] reads back unchanged, each option with what
    /// it means.
    ///
    /// # Errors
    ///
    /// A value spans lines or is not UTF-8.
    pub fn write(&self) -> Result<String, Unwritable> {
        let mut file = Writer::new();
        file.set(
            "DEFAULT",
            "public_endpoint",
            self.public_endpoint.as_deref(),
        )?;
        file.set(
            "archstone",
            "https_listen",
            addresses(&self.https_listen).as_deref(),
        )?;
        file.set(
            "archstone",
            "http_listen",
            addresses(&self.http_listen).as_deref(),
        )?;
        if let Some((certificate, key)) = &self.tls {
            file.set_path("archstone", "tls_certificate", certificate)?;
            file.set_path("archstone", "tls_key", key)?;
        }
        file.set_path("credential", "key_repository", &self.credential_keys)?;
        file.set("database", "connection", Some(self.connection.expose()))?;
        file.set_path("fernet_receipts", "key_repository", &self.token_keys)?;
        file.set_path("fernet_tokens", "key_repository", &self.token_keys)?;
        Ok(file.text)
    }
}

/// Writes assignments under their sections.
struct Writer {
    specs: Vec<Spec>,
    text: String,
    section: &'static str,
}

impl Writer {
    fn new() -> Self {
        Self {
            specs: Config::specs(),
            text: String::from("# Written by archstone quickstart.\n"),
            section: "",
        }
    }

    fn set_path(
        &mut self,
        section: &'static str,
        name: &'static str,
        path: &Path,
    ) -> Result<(), Unwritable> {
        let path = path.to_str().ok_or(Unwritable { section, name })?;
        self.set(section, name, Some(path))
    }

    /// Adds an assignment, or nothing when there is no value.
    fn set(
        &mut self,
        section: &'static str,
        name: &'static str,
        value: Option<&str>,
    ) -> Result<(), Unwritable> {
        let Some(value) = value else {
            return Ok(());
        };
        let value = ini::quote(value).ok_or(Unwritable { section, name })?;
        if self.section != section {
            self.section = section;
            self.text.push_str(&format!("\n[{section}]\n"));
        }
        let spec = self
            .specs
            .iter()
            .find(|spec| (spec.section, spec.name) == (section, name))
            .expect("only declared options are written");
        self.text
            .push_str(&format!("{}{name} = {value}\n", comment(spec.doc)));
        Ok(())
    }
}

fn addresses(addresses: &[SocketAddr]) -> Option<String> {
    let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// Doc lines as comments of a file.
fn comment(doc: &[&str]) -> String {
    doc.iter()
        .map(|line| format!("# {}\n", line.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Uri, Warning};

    #[test]
    fn the_sample_is_the_one_that_is_checked_in() {
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let path = package + "/../../deploy/keystone.conf.sample";
        let sample = Config::sample();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &sample).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap();
        assert!(
            checked_in == sample,
            "{path} is out of date; run this test with UPDATE=1"
        );
    }

    #[test]
    fn the_values_of_the_sample_are_the_defaults() {
        let values: String = Config::sample()
            .lines()
            .filter(|line| !line.ends_with(" ="))
            .map(|line| match line.strip_prefix('#') {
                Some(value) if !value.starts_with(' ') => format!("{value}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = Config::parse(Path::new("sample"), &values).unwrap();
        assert!(values.contains("\nexpiration = 3600\n"));
        let others = |it: &Warning| !matches!(it, Warning::Deprecated { .. });
        assert!(
            !config.warnings().iter().any(others),
            "{:?}",
            config.warnings()
        );
        let defaults = Config::default();
        assert_eq!(
            config,
            Config {
                origin: config.origin.clone(),
                ..defaults
            }
        );
    }

    fn quickstart() -> Quickstart {
        Quickstart {
            connection: Secret::new("sqlite:////var/lib/archstone/keystone.db".to_owned()),
            token_keys: "/var/lib/archstone/fernet-keys".into(),
            credential_keys: "/var/lib/archstone/credential-keys".into(),
            http_listen: Vec::new(),
            https_listen: vec![
                "127.0.0.1:5000".parse().unwrap(),
                "[::1]:5000".parse().unwrap(),
            ],
            tls: Some(("/etc/c.pem".into(), "/etc/k.pem".into())),
            public_endpoint: Some("https://localhost:5000".to_owned()),
        }
    }

    #[test]
    fn a_first_file_is_read_back_unchanged() {
        let awkward = [
            "$a ${token.expiration} $$ \\$ \\\\$",
            " spaces around ",
            "\"quoted\"",
            "'quoted'",
            "\"",
            "# ; = :",
            "\u{a0}\u{1f}",
        ];
        for value in awkward {
            let written = Quickstart {
                connection: Secret::new(value.to_owned()),
                token_keys: value.into(),
                credential_keys: value.into(),
                ..quickstart()
            };
            let text = written.write().unwrap();
            let config = Config::parse(Path::new("keystone.conf"), &text).unwrap();
            assert_eq!(config.database.connection, written.connection, "{text}");
            assert_eq!(config.fernet_tokens.key_repository, written.token_keys);
            assert_eq!(config.fernet_receipts.key_repository, written.token_keys);
            assert_eq!(config.credential.key_repository, written.credential_keys);
            assert_eq!(config.archstone.https_listen, written.https_listen);
            assert_eq!(config.archstone.http_listen, []);
            let endpoint = config.default.public_endpoint.as_ref().map(Uri::as_str);
            assert_eq!(endpoint, written.public_endpoint.as_deref());
            assert!(config.warnings().is_empty() && config.unsupported_options().is_empty());
        }
    }

    #[test]
    fn a_value_that_spans_lines_is_not_written() {
        let written = Quickstart {
            token_keys: "a\nb".into(),
            ..quickstart()
        };
        assert_eq!(
            written.write().unwrap_err().to_string(),
            "[fernet_receipts] key_repository cannot be written to a file: \
             the value spans lines or is not UTF-8"
        );
    }
}
