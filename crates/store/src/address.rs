//! Database addresses as SQLAlchemy writes them (`[database] connection`).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::error::StoreError;
use crate::option_file;

/// Where the database is and how to log in there.
#[derive(Clone)]
pub(crate) enum Address {
    MariaDb(MySqlConnectOptions),
    Postgres(PgConnectOptions),
    Sqlite(SqliteConnectOptions),
}

/// What of an address has no effect, a sentence each.
pub(crate) type Remarks = Vec<String>;

/// The parts of `scheme+driver://user:password@host:port/database?key=value`.
struct Parts<'a> {
    user: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    database: String,
    query: Vec<(&'a str, String)>,
}

impl Address {
    /// Reads an address; the driver behind the `+` does not matter to us.
    ///
    /// A parameter that would make the connection weaker if it were dropped is honoured or refused;
    /// others that have no effect are named.
    pub(crate) fn parse(text: &str) -> Result<(Self, Remarks), StoreError> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| refused("expected sqlite:///…, postgresql://… or mysql://…"))?;
        let scheme = scheme.split('+').next().unwrap_or(scheme);
        let mut remarks = Remarks::new();
        let address = match scheme {
            "sqlite" => sqlite(rest, &mut remarks)?,
            "postgresql" | "postgres" => postgres(&parts(rest)?, &mut remarks)?,
            "mysql" | "mariadb" => mariadb(parts(rest)?, &mut remarks)?,
            other => {
                return Err(refused(format!(
                    "unknown database {other:?}: expected sqlite, postgresql or mysql"
                )));
            }
        };
        Ok((address, remarks))
    }
}

fn sqlite(rest: &str, remarks: &mut Remarks) -> Result<Address, StoreError> {
    let path = rest.strip_prefix('/').unwrap_or(rest);
    let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
    if path.is_empty() || path == ":memory:" {
        return Err(refused(
            "an SQLite database lives in a file: sqlite:////absolute/path.db",
        ));
    }
    for (key, _) in query(parameters)? {
        remarks.push(without_effect(key));
    }
    Ok(Address::Sqlite(
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With a write-ahead log this is safe against a crash of the process, and a power
            // failure loses at most the last transactions, never the database.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true),
    ))
}

fn postgres(parts: &Parts<'_>, remarks: &mut Remarks) -> Result<Address, StoreError> {
    let mut options = PgConnectOptions::new_without_pgpass().application_name("archstone");
    if let Some(host) = &parts.host {
        options = options.host(one_host(host)?);
    }
    if let Some(port) = parts.port {
        options = options.port(port);
    }
    if let Some(user) = &parts.user {
        options = options.username(user);
    }
    if let Some(password) = &parts.password {
        options = options.password(password);
    }
    options = options.database(&parts.database);
    let mut authorities = std::env::var("PGSSLROOTCERT").ok();
    let (mut certificate, mut key_file) = (None, None);
    for (key, value) in &parts.query {
        options = match *key {
            "host" if value.starts_with('/') => options.socket(value),
            "host" => options.host(one_host(value)?),
            "port" => options.port(port(value)?),
            "application_name" => options.application_name(value),
            "options" => options.options(session_options(value)?),
            "sslmode" => options.ssl_mode(value.parse().map_err(address)?),
            "sslrootcert" => {
                authorities = Some(value.clone());
                options
            }
            "sslcert" => {
                certificate = Some(value);
                options
            }
            "sslkey" => {
                key_file = Some(value);
                options
            }
            // Ours is never older than TLS 1.2, and newer when both sides can.
            "ssl_min_protocol_version" if value != "TLSv1.3" => options,
            "gssencmode" | "channel_binding" if value != "require" => options,
            "client_encoding" if value.to_lowercase().starts_with("utf") => options,
            "user" | "password" | "dbname" => return Err(before_the_question_mark(key)),
            "hostaddr"
            | "service"
            | "passfile"
            | "require_auth"
            | "gssencmode"
            | "channel_binding"
            | "target_session_attrs" => return Err(not_understood(key)),
            key if key.starts_with("ssl") => return Err(not_understood(key)),
            key => {
                remarks.push(without_effect(key));
                options
            }
        };
    }
    match (certificate, key_file) {
        (Some(certificate), Some(key)) => {
            options = options
                .ssl_client_cert(pem("sslcert", certificate, CERTIFICATE)?)
                .ssl_client_key(pem("sslkey", key, KEY)?);
        }
        (None, None) => {}
        _ => return Err(refused("sslcert and sslkey are given together")),
    }
    postgres_tls(options, authorities, remarks).map(Address::Postgres)
}

/// What libpq makes of `sslmode` and `sslrootcert`, or more.
fn postgres_tls(
    options: PgConnectOptions,
    authorities: Option<String>,
    remarks: &mut Remarks,
) -> Result<PgConnectOptions, StoreError> {
    let authorities = authorities.or_else(|| {
        let file = std::env::home_dir()?.join(".postgresql/root.crt");
        file.exists().then(|| file.to_string_lossy().into_owned())
    });
    let mode = match (options.get_ssl_mode(), &authorities) {
        (PgSslMode::Disable, _) => return Ok(options.ssl_mode(PgSslMode::Disable)),
        // To try without TLS first is no use to anybody.
        (PgSslMode::Allow | PgSslMode::Prefer, _) => {
            return Ok(options.ssl_mode(PgSslMode::Prefer));
        }
        (PgSslMode::Require, None) => return Ok(options.ssl_mode(PgSslMode::Require)),
        // libpq checks the authority here, too.
        (PgSslMode::Require, Some(_)) => "require with sslrootcert",
        (PgSslMode::VerifyCa, _) => "verify-ca",
        (PgSslMode::VerifyFull, _) => "",
    };
    if !mode.is_empty() {
        remarks.push(format!("sslmode={mode}: {NAME_IS_CHECKED}"));
    }
    let options = options.ssl_mode(PgSslMode::VerifyFull);
    match authorities.as_deref() {
        None => Err(refused(
            "sslmode needs sslrootcert with the authorities that are trusted",
        )),
        Some("system") => Ok(options),
        Some(file) => Ok(options.ssl_root_cert(pem("sslrootcert", file, CERTIFICATE)?)),
    }
}

/// The settings of a session that `options` holds, as `-c name=value` or `--name=value`.
fn session_options(text: &str) -> Result<Vec<(String, String)>, StoreError> {
    let mut words = text.split_whitespace();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            setting => setting,
        };
        let Some((name, value)) = setting.and_then(|it| it.split_once('=')) else {
            return Err(refused("options holds more than -c name=value"));
        };
        options.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(options)
}

/// What a MySQL client is told of TLS.
#[derive(Default)]
struct MariaDbTls {
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    /// Whether the server's certificate is checked; when nobody says, it is if there are
    /// authorities to check it by.
    verify: Option<bool>,
    required: bool,
    disabled: bool,
}

fn mariadb(mut parts: Parts<'_>, remarks: &mut Remarks) -> Result<Address, StoreError> {
    let mut options = MySqlConnectOptions::new()
        .charset("utf8mb4")
        // ANSI quotes let one text serve three databases: "user", "group", "limit".
        .pipes_as_concat(true)
        .no_engine_substitution(true)
        .timezone(None);
    let mut tls = MariaDbTls::default();
    let given = |name: &str| parts.query.iter().find(|(key, _)| *key == name);
    let mut socket = given("unix_socket").map(|(_, path)| path.clone());
    if let Some((file, group)) = option_file(&parts.query) {
        for (name, value) in option_file::read(file, group)? {
            match name.as_str() {
                // What the address says counts more.
                "user" => parts.user = parts.user.or(Some(value)),
                "password" => parts.password = parts.password.or(Some(value)),
                "host" => parts.host = parts.host.or(Some(value)),
                "port" if parts.port.is_none() => parts.port = Some(port(&value)?),
                "socket" => socket = socket.or(Some(value)),
                "database" if parts.database.is_empty() => parts.database = value,
                "port" | "database" => {}
                "ssl-password" => return Err(not_understood("ssl-password")),
                name if name.starts_with("ssl") => {
                    tls.set(&name.replace('-', "_"), &value, remarks)?;
                }
                _ => {}
            }
        }
    }
    for (key, value) in &parts.query {
        match *key {
            "unix_socket" | "read_default_file" | "read_default_group" => {}
            "charset" if value.to_lowercase().starts_with("utf8") => {}
            "user" | "password" | "passwd" | "host" | "port" | "database" | "db" => {
                return Err(before_the_question_mark(key));
            }
            "server_public_key" | "init_command" | "auth_plugin_map" => {
                return Err(not_understood(key));
            }
            key if key.starts_with("ssl") || key.starts_with("tls") => {
                tls.set(key, value, remarks)?;
            }
            key => remarks.push(without_effect(key)),
        }
    }
    if let Some(host) = &parts.host {
        options = options.host(one_host(host)?);
    }
    if let Some(port) = parts.port {
        options = options.port(port);
    }
    if let Some(user) = &parts.user {
        options = options.username(user);
    }
    if let Some(password) = &parts.password {
        options = options.password(password);
    }
    if let Some(socket) = socket {
        options = options.socket(socket);
    }
    tls.apply(options.database(&parts.database))
        .map(Address::MariaDb)
}

/// The option file that an address names, and its group; a group alone means the usual file.
fn option_file<'a>(query: &'a [(&str, String)]) -> Option<(&'a str, &'a str)> {
    let given = |name: &str| {
        let found = query.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    };
    match (given("read_default_file"), given("read_default_group")) {
        (None, None) => None,
        (file, group) => Some((file.unwrap_or("/etc/my.cnf"), group.unwrap_or("client"))),
    }
}

impl MariaDbTls {
    /// Takes over one parameter, as SQLAlchemy, PyMySQL or mysqlclient call it.
    fn set(&mut self, key: &str, value: &str, remarks: &mut Remarks) -> Result<(), StoreError> {
        let text = || Some(value.to_owned());
        match key {
            "ssl_ca" => self.authorities = text(),
            "ssl_cert" => self.certificate = text(),
            "ssl_key" => self.key = text(),
            "ssl" => self.required |= switch(key, value)?,
            "ssl_disabled" => self.disabled = switch(key, value)?,
            "ssl_verify_cert" | "ssl_verify_server_cert" | "ssl_verify_identity" => {
                let verify = switch(key, value)?;
                // One of them that asks for it is enough.
                self.verify = Some(self.verify.unwrap_or(false) || verify);
                self.required = true;
            }
            "ssl_check_hostname" => {
                if !switch(key, value)? {
                    remarks.push(format!("ssl_check_hostname={value}: {NAME_IS_CHECKED}"));
                }
            }
            "ssl_mode" | "ssl_verify_mode" => match value.to_uppercase().as_str() {
                "DISABLED" => self.disabled = true,
                "PREFERRED" => {}
                "REQUIRED" if key == "ssl_mode" => self.required = true,
                "VERIFY_CA" => {
                    self.verify = Some(true);
                    remarks.push(format!("{key}=VERIFY_CA: {NAME_IS_CHECKED}"));
                }
                "VERIFY_IDENTITY" => self.verify = Some(true),
                _ => return Err(not_understood(key)),
            },
            // All that are spoken here are good ones.
            "ssl_cipher" => remarks.push(without_effect(key)),
            "ssl_capath" => {
                return Err(refused(format!(
                    "{key} is not read: name a file of authorities with ssl_ca"
                )));
            }
            _ => return Err(not_understood(key)),
        }
        Ok(())
    }

    fn apply(self, mut options: MySqlConnectOptions) -> Result<MySqlConnectOptions, StoreError> {
        if self.disabled {
            return Ok(options.ssl_mode(MySqlSslMode::Disabled));
        }
        let verify = self.verify.unwrap_or(self.authorities.is_some());
        let files = [&self.authorities, &self.certificate, &self.key];
        let required = self.required || files.into_iter().any(Option::is_some);
        if let Some(file) = &self.authorities {
            options = options.ssl_ca(pem("ssl_ca", file, CERTIFICATE)?);
        }
        // A key may stand in the file of its certificate.
        match (
            &self.certificate,
            self.key.as_ref().or(self.certificate.as_ref()),
        ) {
            (Some(certificate), Some(key)) => {
                options = options
                    .ssl_client_cert(pem("ssl_cert", certificate, CERTIFICATE)?)
                    .ssl_client_key(pem("ssl_key", key, KEY)?);
            }
            (None, Some(_)) => return Err(refused("ssl_key needs ssl_cert")),
            _ => {}
        }
        Ok(options.ssl_mode(match (verify, required) {
            (true, _) => MySqlSslMode::VerifyIdentity,
            (false, true) => MySqlSslMode::Required,
            (false, false) => MySqlSslMode::Preferred,
        }))
    }
}

/// The driver trusts the public authorities besides those that are named. Without the name, a
/// certificate that one of them gave to anybody would do.
const NAME_IS_CHECKED: &str = "the name in the server's certificate is checked all the same";

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const KEY: &str = "PRIVATE KEY-----";

/// A file that must hold something in PEM: a file of authorities without any would be no error to
/// the driver.
fn pem(key: &str, file: &str, content: &str) -> Result<PathBuf, StoreError> {
    let text =
        fs::read_to_string(file).map_err(|error| refused(format!("{key}={file}: {error}")))?;
    match text.contains(content) {
        true => Ok(file.into()),
        false => Err(refused(format!(
            "{key}={file}: there is no {content} in it"
        ))),
    }
}

fn switch(key: &str, value: &str) -> Result<bool, StoreError> {
    match value.to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "required" | "optional" => Ok(true),
        "0" | "false" | "no" | "off" | "none" => Ok(false),
        _ => Err(refused(format!("{key} is neither true nor false"))),
    }
}

fn port(text: &str) -> Result<u16, StoreError> {
    text.parse().map_err(|_| refused(format!("port {text:?}")))
}

fn one_host(host: &str) -> Result<&str, StoreError> {
    match host.contains(',') {
        true => Err(refused("more than one host is named")),
        false => Ok(host),
    }
}

fn refused(reason: impl Into<String>) -> StoreError {
    StoreError::Address(reason.into())
}

fn not_understood(key: &str) -> StoreError {
    refused(format!(
        "this release does not understand {key}, and to leave it out could make the connection \
         weaker, or another one"
    ))
}

fn before_the_question_mark(key: &str) -> StoreError {
    refused(format!("{key} belongs before the question mark"))
}

fn without_effect(key: &str) -> String {
    format!("{key} has no effect")
}

fn parts(rest: &str) -> Result<Parts<'_>, StoreError> {
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    // A password may hold an @ that nobody escaped: the last one ends it.
    let (login, place) = match authority.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, authority),
    };
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => (Some(user), Some(password).filter(|text| !text.is_empty())),
        None => (None, None),
    };
    let (host, number) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    Ok(Parts {
        user: user.map(decode),
        password: password.map(decode),
        host: Some(host.trim_matches(['[', ']']))
            .filter(|host| !host.is_empty())
            .map(decode),
        port: number.map(port).transpose()?,
        database: decode(database),
        query: query(parameters)?,
    })
}

/// The parameters of an address, each at most once.
fn query(text: &str) -> Result<Vec<(&str, String)>, StoreError> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() {
            return Err(refused(format!("{key} has no value")));
        }
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(refused(format!("{key} is given twice")));
        }
        pairs.push((key, decode(&value.replace('+', " "))));
    }
    Ok(pairs)
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn address(error: sqlx::Error) -> StoreError {
    refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlalchemy_addresses_are_understood() {
        let Ok((Address::MariaDb(options), _)) =
            Address::parse("mysql+pymysql://keystone:s%40cret@[::1]:3307/id?charset=utf8")
        else {
            panic!("not MariaDB");
        };
        assert_eq!(options.get_host(), "::1");
        assert_eq!(options.get_port(), 3307);
        assert_eq!(options.get_username(), "keystone");
        assert_eq!(options.get_database(), Some("id"));

        let Ok((Address::Postgres(options), _)) =
            Address::parse("postgresql+psycopg2://k:p@w@db/keystone?host=/run/pg")
        else {
            panic!("not PostgreSQL");
        };
        assert_eq!(options.get_username(), "k");
        assert_eq!(options.get_database(), Some("keystone"));
        assert!(options.get_socket().is_some());

        let Ok((Address::Sqlite(options), _)) = Address::parse("sqlite:////var/lib/k.db") else {
            panic!("not SQLite");
        };
        assert_eq!(
            options.get_filename(),
            std::path::Path::new("/var/lib/k.db")
        );
    }

    fn mysql(parameters: &str) -> (MySqlSslMode, Remarks) {
        match Address::parse(&format!("mysql+pymysql://u@h/k?{parameters}")) {
            Ok((Address::MariaDb(options), remarks)) => (options.get_ssl_mode(), remarks),
            Ok(_) => panic!("not MariaDB"),
            Err(error) => panic!("{parameters}: {error}"),
        }
    }

    #[test]
    fn what_mysql_is_told_of_tls_is_never_weaker_than_written() {
        use MySqlSslMode::{Disabled, Preferred, Required, VerifyIdentity};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, format!("{CERTIFICATE}\n-----BEGIN {KEY}\n")).unwrap();
        let pem = file.display();
        for (parameters, mode) in [
            (String::new(), Preferred),
            ("charset=utf8".to_owned(), Preferred),
            (format!("ssl_ca={pem}"), VerifyIdentity),
            (
                format!("ssl_ca={pem}&ssl_check_hostname=false"),
                VerifyIdentity,
            ),
            (format!("ssl_ca={pem}&ssl_verify_cert=false"), Required),
            (format!("ssl_cert={pem}"), Required),
            ("ssl_verify_cert=true".to_owned(), VerifyIdentity),
            (
                "ssl_verify_cert=true&ssl_verify_identity=false".to_owned(),
                VerifyIdentity,
            ),
            ("ssl_verify_identity=1".to_owned(), VerifyIdentity),
            ("ssl_mode=VERIFY_CA".to_owned(), VerifyIdentity),
            ("ssl_mode=required".to_owned(), Required),
            ("ssl=true".to_owned(), Required),
            ("ssl_disabled=true".to_owned(), Disabled),
        ] {
            let (found, _) = mysql(&parameters);
            assert_eq!(format!("{found:?}"), format!("{mode:?}"), "{parameters}");
        }
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "").unwrap();
        let address = format!("mysql://u@h/k?ssl_ca={}", empty.display());
        assert!(Address::parse(&address).is_err());
    }

    #[test]
    fn parameters_without_effect_are_named() {
        assert_eq!(mysql("charset=utf8mb4&unix_socket=/run/m").1, [""; 0]);
        assert_eq!(
            mysql("plugin=x&charset=latin1").1,
            ["plugin has no effect", "charset has no effect"]
        );
        let Ok((_, remarks)) = Address::parse("sqlite:///k.db?mode=ro") else {
            panic!("not SQLite");
        };
        assert_eq!(remarks, ["mode has no effect"]);
    }

    #[test]
    fn the_settings_of_a_postgresql_session_are_taken_over() {
        let address = "postgresql://u@h/k?options=-c+search_path%3Done%20--statement-timeout=5";
        let Ok((Address::Postgres(options), _)) = Address::parse(address) else {
            panic!("not PostgreSQL");
        };
        let options = options.get_options().unwrap();
        assert!(
            options.ends_with("-c search_path=one -c statement_timeout=5"),
            "{options}"
        );
        assert!(Address::parse("postgresql://u@h/k?options=-d").is_err());
    }

    #[test]
    fn a_useless_address_says_what_is_expected() {
        for text in [
            "",
            "keystone.db",
            "oracle://x/y",
            "sqlite://",
            "mysql://u@h:port/d",
        ] {
            assert!(
                matches!(Address::parse(text), Err(StoreError::Address(_))),
                "{text}"
            );
        }
    }
}
