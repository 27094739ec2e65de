//! What can go wrong between us and the database, in the store's own words.

/// Why a statement or a transaction did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row of that kind exists already: a unique index said so.
    #[error("a {kind} like this exists already")]
    Conflict {
        /// What the caller tried to store, in Keystone's words (`project`, `user`).
        kind: &'static str,
    },
    /// A unique index refused a row, and the repository has not yet said what the row was.
    #[error("a unique index refused the row: {0}")]
    Duplicate(String),
    /// A foreign key refused a change: what it refers to is gone, or is still referred to.
    #[error("a foreign key refused the change: {0}")]
    Reference(String),
    /// What a row names is not there (any more).
    #[error("there is no {kind} {id}")]
    Missing {
        /// What was looked for, in Keystone's words.
        kind: &'static str,
        /// How it was called.
        id: String,
    },
    /// A column cannot hold a value: it is too long, too large, or has characters that the
    /// column's character set lacks.
    #[error("a column cannot hold the value: {0}")]
    Unstorable(String),
    /// A bound text cannot be compared with a column, whose character set lacks some of its
    /// characters.
    #[error("a text cannot be compared with a column: {0}")]
    Uncomparable(String),
    /// The whole transaction has to be retried: a deadlock, a serialisation
    /// failure, a failed certification of a cluster, a locked file.
    #[error("the database asks to retry the transaction")]
    Retry(#[source] sqlx::Error),
    /// The database cannot be reached, or closed the connection.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database did not answer in time.
    #[error("the database did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// A column holds what Keystone would never write.
    #[error("column {column} holds an unreadable value: {reason}")]
    Unreadable {
        /// The column's name in the statement.
        column: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// The database address in the configuration cannot be used.
    #[error("[database] connection cannot be used: {0}")]
    Address(String),
    /// The tables are not ones that this release can work on; the text says what to do.
    #[error("{0}")]
    Schema(String),
    /// Any other failure of the driver.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Says what the row was that a unique index refused; other errors pass unchanged.
    #[must_use]
    pub fn on_unique(self, kind: &'static str) -> Self {
        match self {
            Self::Duplicate(_) => Self::Conflict { kind },
            other => other,
        }
    }

    /// That what a row names is not there.
    pub fn missing(kind: &'static str, id: impl ToString) -> Self {
        Self::Missing {
            kind,
            id: id.to_string(),
        }
    }

    /// What a change or a removal that touched so many rows comes to: without any, what it was
    /// about is missing.
    pub(crate) fn require_found(
        touched: u64,
        kind: &'static str,
        id: impl ToString,
    ) -> Result<(), Self> {
        match touched {
            0 => Err(Self::missing(kind, id)),
            _ => Ok(()),
        }
    }

    /// The same for somebody else who waited for it: that the database did not answer.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::TimedOut(after) => Self::TimedOut(*after),
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// Whether the database is not there now, or in the way of itself, and may come back by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Retry(_)) || self.leaves_unknown()
    }

    /// Whether nobody said what became of the work: it may be done, or yet be done.
    pub(crate) fn leaves_unknown(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut(_))
    }

    /// Whether the connection itself is of no further use.
    pub(crate) fn breaks_connection(error: &sqlx::Error) -> bool {
        matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
        ) || matches!(error, sqlx::Error::Database(database) if closes_session(database.as_ref()))
    }
}

/// PostgreSQL class 57P (shutdown, crash, session timeout) and 08, MariaDB 1053, 1927, 4031: the
/// server has closed, or is about to close, this session. PostgreSQL 53300, MariaDB 1040, 1203: it
/// has too many already.
fn closes_session(error: &dyn sqlx::error::DatabaseError) -> bool {
    match number(error) {
        Some(number) => [1040, 1053, 1203, 1927, 4031].contains(&number),
        None => error.code().is_some_and(|code| {
            code.starts_with("57P") || code.starts_with("08") || code == "53300"
        }),
    }
}

/// The numeric code of MariaDB.
fn number(error: &dyn sqlx::error::DatabaseError) -> Option<u16> {
    error
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .map(|error| error.number())
}

/// Whether the transaction has to be retried.
fn should_retry(error: &dyn sqlx::error::DatabaseError) -> bool {
    if let Some(number) = number(error) {
        // Deadlock, lock wait timeout, statement to be prepared again.
        return [1213, 1205, 1615].contains(&number);
    }
    // PostgreSQL: serialisation failure, deadlock. SQLite: busy, busy snapshot.
    error
        .code()
        .is_some_and(|code| ["40001", "40P01", "5", "517"].contains(&code.as_ref()))
}

/// A node of a Galera cluster that has lost the others: it takes no statement, or it could not ask
/// them whether a transaction may be committed. It takes seconds at least until it is back.
fn lacks_cluster(error: &dyn sqlx::error::DatabaseError) -> bool {
    number(error).is_some_and(|number| [1047, 1180].contains(&number))
}

/// MariaDB and MySQL: a text with characters that a column's character set lacks is compared with
/// the column.
fn is_incomparable(error: &dyn sqlx::error::DatabaseError) -> bool {
    number(error).is_some_and(|number| [1267, 1270, 1271, 3988].contains(&number))
}

/// Whether a value is too much for its column, or for the database.
fn is_unstorable(error: &dyn sqlx::error::DatabaseError) -> bool {
    if let Some(number) = number(error) {
        // Out of range, wrong time, wrong characters, too long.
        return [1264, 1292, 1366, 1406].contains(&number);
    }
    // PostgreSQL: too long, out of range, no time, wrong characters (NUL among them), a pattern
    // that ends with its escape. SQLite: too big.
    let unfit = [
        "22001", "22003", "22007", "22008", "22021", "22025", "22P05", "18",
    ];
    error
        .code()
        .is_some_and(|code| unfit.contains(&code.as_ref()))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        if StoreError::breaks_connection(&error) {
            return Self::Unavailable(error.to_string());
        }
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                Self::Unavailable(error.to_string())
            }
            sqlx::Error::Database(database) => match database.kind() {
                ErrorKind::UniqueViolation => Self::Duplicate(database.message().to_owned()),
                ErrorKind::ForeignKeyViolation => Self::Reference(database.message().to_owned()),
                _ if lacks_cluster(database.as_ref()) => Self::Unavailable(error.to_string()),
                _ if should_retry(database.as_ref()) => Self::Retry(error),
                _ if is_incomparable(database.as_ref()) => {
                    Self::Uncomparable(database.message().to_owned())
                }
                _ if is_unstorable(database.as_ref()) => {
                    Self::Unstorable(database.message().to_owned())
                }
                _ => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }
}
