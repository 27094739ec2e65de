//! The little that truly differs between the three databases.

use std::borrow::Cow;

/// Which database is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MariaDB, or MySQL 8.
    MariaDb,
    /// PostgreSQL.
    Postgres,
    /// SQLite, in a file.
    Sqlite,
}

/// How the conditions of writes name rows that hang on others.
const SUBQUERY: &str = " IN (SELECT";

impl Dialect {
    /// Turns our `?` into what the driver expects. Text in quotes is left alone.
    pub(crate) fn placeholders(self, sql: &'static str) -> Cow<'static, str> {
        match self {
            Self::Postgres => Cow::Owned(number_placeholders(sql)),
            Self::MariaDb | Self::Sqlite => Cow::Borrowed(sql),
        }
    }

    /// The same for a statement that was put together.
    pub(crate) fn placeholders_owned(self, sql: String) -> Cow<'static, str> {
        match self {
            Self::Postgres => Cow::Owned(number_placeholders(&sql)),
            Self::MariaDb | Self::Sqlite => Cow::Owned(sql),
        }
    }

    /// Whether no text can hold a character, whatever the column.
    pub(crate) fn unsupported_char(self) -> Option<fn(char) -> bool> {
        match self {
            Self::Postgres => Some(|c| c == '\0'),
            Self::MariaDb | Self::Sqlite => None,
        }
    }

    /// Whether a column may lack a character: Keystone's tables on MariaDB have three bytes for
    /// each, unless an operator has widened them.
    pub(crate) fn maybe_unsupported_char(self) -> Option<fn(char) -> bool> {
        match self {
            Self::MariaDb => Some(|c| c.len_utf8() > 3),
            Self::Postgres | Self::Sqlite => None,
        }
    }

    /// What follows a SELECT so that nobody changes or removes its rows until the transaction
    /// ends. SQLite has one writer at a time.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MariaDb | Self::Postgres => " FOR UPDATE",
        }
    }

    /// The same for several transactions side by side, none of which changes the rows itself.
    pub(crate) fn for_share(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MariaDb => " LOCK IN SHARE MODE",
            Self::Postgres => " FOR SHARE",
        }
    }

    /// The statement that opens a transaction which will write. On PostgreSQL and MariaDB each of its
    /// statements sees what was committed before it (READ COMMITTED, which a session of MariaDB is set
    /// to when it is opened), so what is read under a lock is what was committed last.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            // A deferred transaction that starts to write later fails at once instead of waiting.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::MariaDb => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// Asks for the time of the database in UTC, as `now`.
    pub(crate) fn utc_now(self) -> &'static str {
        match self {
            // Sessions are set to UTC when they are opened.
            Self::MariaDb => "SELECT NOW() AS now",
            Self::Postgres => "SELECT (NOW() AT TIME ZONE 'UTC') AS now",
            Self::Sqlite => "SELECT datetime('now') AS now",
        }
    }

    /// Lists the tables of the database by `name`, those aside that the database keeps for itself.
    pub(crate) fn tables(self) -> &'static str {
        match self {
            Self::MariaDb => {
                "SELECT table_name AS name FROM information_schema.tables
                 WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
            }
            Self::Postgres => {
                "SELECT CAST(tablename AS VARCHAR) AS name FROM pg_tables
                 WHERE schemaname = current_schema()"
            }
            Self::Sqlite => {
                "SELECT name FROM sqlite_master
                 WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            }
        }
    }

    /// A condition that compares without regard to case, as Keystone's `ilike` does.
    pub(crate) fn ilike(self) -> &'static str {
        match self {
            Self::Postgres => "ILIKE",
            Self::MariaDb | Self::Sqlite => "LIKE",
        }
    }
}

impl Dialect {
    /// A statement that removes rows; `rest` is its condition. MariaDB finds them by what a subquery
    /// selects only when it is said as for several tables, and otherwise looks at all rows.
    pub(crate) fn delete_from(self, table: &str, rest: &str) -> String {
        match self {
            Self::MariaDb if rest.contains(SUBQUERY) => {
                format!("DELETE FROM \"{table}\" USING \"{table}\" {rest}")
            }
            _ => format!("DELETE FROM \"{table}\" {rest}"),
        }
    }

    /// The same for a change; `rest` begins with `SET`.
    pub(crate) fn update_of(self, table: &str, rest: &str) -> String {
        match self {
            Self::MariaDb if rest.contains(SUBQUERY) => {
                format!("UPDATE \"{table}\" CROSS JOIN (SELECT 1) other {rest}")
            }
            _ => format!("UPDATE \"{table}\" {rest}"),
        }
    }

    /// Joins two tables of which the left one is to be read first; the condition stands behind `WHERE`.
    /// PostgreSQL counts for itself.
    pub(crate) fn join_in_order(self) -> &'static str {
        match self {
            Self::MariaDb => "STRAIGHT_JOIN",
            Self::Postgres | Self::Sqlite => "CROSS JOIN",
        }
    }

    /// The time that is so many minutes after that of a column.
    pub(crate) fn minutes_after(self, column: &str, minutes: &str) -> String {
        match self {
            Self::MariaDb => format!("DATE_ADD({column}, INTERVAL {minutes} MINUTE)"),
            Self::Postgres => format!("({column} + {minutes} * INTERVAL '1 minute')"),
            // Whole seconds and the fraction each for themselves: SQLite would round them to
            // thousandths, and the form is the one that times are stored and compared in.
            Self::Sqlite => format!(
                "(datetime(substr({column}, 1, 19), '+' || {minutes} || ' minutes') \
                 || substr({column}, 20))"
            ),
        }
    }

    /// Where a column holds a bound text, from 1, or 0 when it does not; case counts.
    pub(crate) fn position(self, column: &str) -> String {
        match self {
            Self::MariaDb => format!("INSTR(CAST({column} AS BINARY), CAST(? AS BINARY))"),
            Self::Postgres => format!("STRPOS({column}, ?)"),
            Self::Sqlite => format!("INSTR({column}, ?)"),
        }
    }

    /// A condition that a column ends with a text, bound twice; case counts.
    pub(crate) fn ends_with(self, column: &str) -> String {
        match self {
            Self::MariaDb => format!(
                "RIGHT(CAST({column} AS BINARY), LENGTH(CAST(? AS BINARY))) = CAST(? AS BINARY)"
            ),
            Self::Postgres => format!("RIGHT({column}, LENGTH(?)) = ?"),
            Self::Sqlite => format!("SUBSTR({column}, -LENGTH(?)) = ?"),
        }
    }
}

fn number_placeholders(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut quote = None;
    let mut count = 0;
    for c in sql.chars() {
        match (quote, c) {
            (None, '?') => {
                count += 1;
                out.push('$');
                out.push_str(&count.to_string());
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        out.push(c);
    }
    out
}

/// `?, ?, ?` for a list of values.
pub(crate) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_become_numbers_outside_of_quotes() {
        assert_eq!(
            number_placeholders(r#"SELECT '?', "a?" FROM "user" WHERE id = ? AND name = ?"#),
            r#"SELECT '?', "a?" FROM "user" WHERE id = $1 AND name = $2"#
        );
    }
    #[test]
    fn mariadb_is_told_of_several_tables_where_a_subquery_says_which_rows() {
        let (plain, deep) = ("WHERE id = ?", "WHERE id IN (SELECT id FROM b)");
        let statements = |dialect: Dialect| {
            [plain, deep].map(|which| {
                let change = format!("SET c = 1 {which}");
                (
                    dialect.delete_from("a", which),
                    dialect.update_of("a", &change),
                )
            })
        };
        let as_usual = [plain, deep].map(|which| {
            (
                format!(r#"DELETE FROM "a" {which}"#),
                format!(r#"UPDATE "a" SET c = 1 {which}"#),
            )
        });
        assert_eq!(statements(Dialect::Sqlite), as_usual);
        assert_eq!(statements(Dialect::Postgres), as_usual);
        let [at_once, by_subquery] = statements(Dialect::MariaDb);
        assert_eq!(at_once, as_usual[0]);
        assert_eq!(
            by_subquery.0,
            format!(r#"DELETE FROM "a" USING "a" {deep}"#)
        );
        assert_eq!(
            by_subquery.1,
            format!(r#"UPDATE "a" CROSS JOIN (SELECT 1) other SET c = 1 {deep}"#)
        );
    }
}
