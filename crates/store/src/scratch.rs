//! Databases for one test, on a server that is there for tests.

use crate::db::{Db, Options};
use crate::error::StoreError;

/// Creates an empty database on the server at `connection`, whose user may do that, and returns
/// how to connect to it.
///
/// # Errors
///
/// When the server does not answer or refuses. The name must be a plain word.
pub async fn create_database(options: &Options, name: &str) -> Result<String, StoreError> {
    let db = std::sync::Arc::new(Db::connect(options)?);
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || name.is_empty() {
        return Err(StoreError::Address(format!(
            "{name:?} cannot name a database"
        )));
    }
    let mut session = db.acquire(true).await?;
    session.statement(format!("CREATE DATABASE {name}")).await?;
    drop(session);
    db.close().await;
    let (address, query) = match options.connection.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (options.connection.as_str(), String::new()),
    };
    // scheme://authority/database
    let authority_end = address
        .rfind('/')
        .filter(|end| address[..*end].contains("://"));
    let server = authority_end.map_or(address, |end| &address[..end]);
    Ok(format!("{server}/{name}{query}"))
}
