//! Database addresses as SQLAlchemy writes them (`[database] connection`).

use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::error::StoreError;

/// Where the database is and how to log in there.
#[derive(Clone)]
pub(crate) enum Address {
    MariaDb(MySqlConnectOptions),
    Postgres(PgConnectOptions),
    Sqlite(SqliteConnectOptions),
}

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
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            StoreError::Address("expected sqlite:///…, postgresql://… or mysql://…".into())
        })?;
        let scheme = scheme.split('+').next().unwrap_or(scheme);
        match scheme {
            "sqlite" => sqlite(rest),
            "postgresql" | "postgres" => postgres(&parts(rest)?),
            "mysql" | "mariadb" => mariadb(&parts(rest)?),
            other => Err(StoreError::Address(format!(
                "unknown database {other:?}: expected sqlite, postgresql or mysql"
            ))),
        }
    }
}

fn sqlite(rest: &str) -> Result<Address, StoreError> {
    let path = rest.strip_prefix('/').unwrap_or(rest);
    let path = path.split('?').next().unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::Address(
            "an SQLite database lives in a file: sqlite:////absolute/path.db".into(),
        ));
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

fn postgres(parts: &Parts<'_>) -> Result<Address, StoreError> {
    let mut options = PgConnectOptions::new_without_pgpass().application_name("archstone");
    if let Some(host) = &parts.host {
        options = options.host(host);
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
    for (key, value) in &parts.query {
        options = match *key {
            "host" if value.starts_with('/') => options.socket(value),
            "host" => options.host(value),
            "sslmode" => options.ssl_mode(value.parse::<PgSslMode>().map_err(address)?),
            "sslrootcert" => options.ssl_root_cert(value),
            "sslcert" => options.ssl_client_cert(value),
            "sslkey" => options.ssl_client_key(value),
            _ => options,
        };
    }
    Ok(Address::Postgres(options))
}

fn mariadb(parts: &Parts<'_>) -> Result<Address, StoreError> {
    let mut options = MySqlConnectOptions::new()
        .charset("utf8mb4")
        // ANSI quotes let one text serve three databases: "user", "group", "limit".
        .pipes_as_concat(true)
        .no_engine_substitution(true)
        .timezone(None);
    if let Some(host) = &parts.host {
        options = options.host(host);
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
    for (key, value) in &parts.query {
        options = match *key {
            "unix_socket" => options.socket(value),
            "ssl_ca" => options.ssl_ca(value).ssl_mode(MySqlSslMode::VerifyCa),
            "ssl_cert" => options.ssl_client_cert(value),
            "ssl_key" => options.ssl_client_key(value),
            _ => options,
        };
    }
    Ok(Address::MariaDb(options))
}

fn parts(rest: &str) -> Result<Parts<'_>, StoreError> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
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
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok(Parts {
        user: user.map(decode),
        password: password.map(decode),
        host: Some(host.trim_matches(['[', ']']))
            .filter(|host| !host.is_empty())
            .map(decode),
        port: port
            .map(|port| {
                port.parse()
                    .map_err(|_| StoreError::Address(format!("port {port:?}")))
            })
            .transpose()?,
        database: decode(database),
        query: query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key, decode(value)))
            .collect(),
    })
}

fn address(error: sqlx::Error) -> StoreError {
    StoreError::Address(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlalchemy_addresses_are_understood() {
        let Ok(Address::MariaDb(options)) =
            Address::parse("mysql+pymysql://keystone:s%40cret@[::1]:3307/id?charset=utf8")
        else {
            panic!("not MariaDB");
        };
        assert_eq!(options.get_host(), "::1");
        assert_eq!(options.get_port(), 3307);
        assert_eq!(options.get_username(), "keystone");
        assert_eq!(options.get_database(), Some("id"));

        let Ok(Address::Postgres(options)) =
            Address::parse("postgresql+psycopg2://k:p@w@db/keystone?host=/run/pg")
        else {
            panic!("not PostgreSQL");
        };
        assert_eq!(options.get_username(), "k");
        assert_eq!(options.get_database(), Some("keystone"));
        assert!(options.get_socket().is_some());

        let Ok(Address::Sqlite(options)) = Address::parse("sqlite:////var/lib/k.db") else {
            panic!("not SQLite");
        };
        assert_eq!(
            options.get_filename(),
            std::path::Path::new("/var/lib/k.db")
        );
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
