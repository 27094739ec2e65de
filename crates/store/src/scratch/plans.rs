//! How the databases would run the statements of this crate: which tables they would read in full.
//!
//! In a debug build every statement is noted that runs while `ARCHSTONE_TEST_STATEMENTS` names a
//! folder, with the place in these sources that sent it. So a test can run all that is there, compare
//! the places with those that the sources have, and ask the planner about each statement.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value as Json;

use super::execute;
use crate::Store;
#[cfg(debug_assertions)]
pub use crate::db::FOLDER;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::value::Value;

/// What every row of [`fill`] that a statement can ask for is called. A planner that does not find what
/// is asked for by a unique index says nothing of the rest of the statement.
const PRESENT: &str = "here";

/// A statement that ran.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Which place sent it, as `users.rs:77`.
    pub site: String,
    /// Its text, in the words of the dialect.
    pub sql: String,
    values: Vec<Value>,
}

/// What a statement has in common with those that differ in the length of a page, or in how often a
/// condition is there.
fn shape(sql: &str) -> String {
    let sql = with_question_marks(sql);
    let mut shape = String::new();
    let mut before = "";
    for condition in sql.split(" AND ") {
        if condition != before {
            shape.push_str(condition);
        }
        before = condition;
    }
    let shape = shape.replace("?, ", "");
    shape.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// A statement as it stands in the sources: PostgreSQL numbers its places for values.
pub fn with_question_marks(sql: &str) -> String {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('?');
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

/// All statements that were noted in a folder and sent from one of these places, each once for a place.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn noted(
    folder: &Path,
    sites: &BTreeSet<String>,
    dialect: Dialect,
) -> std::io::Result<Vec<Sent>> {
    let dialect = format!("{dialect:?}");
    let mut found = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        for line in std::fs::read_to_string(file?.path())?.lines() {
            let line: Json = serde_json::from_str(line)?;
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let values = line["values"].as_array().into_iter().flatten();
            let sent = Sent {
                site: text("site"),
                sql: text("sql"),
                values: values.map(value).collect(),
            };
            // Some tests are always about SQLite.
            if sites.contains(&sent.site) && text("dialect") == dialect {
                found
                    .entry((sent.site.clone(), shape(&sent.sql)))
                    .or_insert(sent);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// A value to plan with, of a type that was noted: what is there, but for times and numbers, which are
/// the latest, as are those of a cluster that runs.
fn value(noted: &Json) -> Value {
    let day = NaiveDate::from_ymd_opt(2100, 1, 1).unwrap_or_default();
    match noted.as_str() {
        Some("date") => day.into(),
        Some("int") => 2_000_000_000_i64.into(),
        Some("time") => day.and_time(NaiveTime::MIN).and_utc().into(),
        Some("text") => PRESENT.into(),
        Some(text) => text.into(),
        None => noted.as_bool().unwrap_or_default().into(),
    }
}

/// The places in these sources that send statements, but for tests, and for what the migrations ask of
/// the schema.
///
/// # Errors
///
/// When the sources cannot be read.
pub fn sites() -> std::io::Result<BTreeSet<String>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    let mut folders = vec![sources.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(&sources).unwrap_or(&path);
            let name = name.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs")
                && !name.starts_with("scratch")
                && ![
                    "migrations.rs",
                    "migrations/tests.rs",
                    "follower/state_machine.rs",
                ]
                .contains(&name.as_str())
            {
                let text = std::fs::read_to_string(&path)?;
                let lines = sites_of(&text);
                found.extend(lines.into_iter().map(|line| format!("{name}:{line}")));
            }
        }
    }
    Ok(found)
}

/// The lines on which a source sends a statement.
fn sites_of(source: &str) -> Vec<usize> {
    // Tests stand at the end of a file.
    let end = source
        .find("#[cfg(test)]\nmod tests")
        .unwrap_or(source.len());
    let source = &source[..end];
    let mut lines = Vec::new();
    for call in [
        ".query(",
        ".built_query(",
        ".insert(",
        ".update(",
        ".delete(",
    ] {
        for (at, _) in source.match_indices(call) {
            let argument = source[at + call.len()..].trim_start();
            let reads = call.ends_with("query(");
            // Others insert into maps. A write names its table first.
            if reads || argument.starts_with('"') || argument.starts_with("table,") {
                lines.push(source[..at].matches('\n').count() + 1);
            }
        }
    }
    lines
}

/// Fills a database with so many rows that a planner uses indexes, and lets it count them. SQLite is left
/// alone with the counting, as it is wherever nobody asks it to; it takes all tables for big ones then.
///
/// # Errors
///
/// When the database does not answer.
pub async fn fill(store: &Store) -> Result<(), StoreError> {
    let (yes, no) = match store.dialect() {
        Dialect::Postgres => ("TRUE", "FALSE"),
        Dialect::MariaDb | Dialect::Sqlite => ("1", "0"),
    };
    let digits: Vec<String> = (0..20)
        .map(|digit| format!("SELECT {digit} AS d"))
        .collect();
    let digits = format!("({})", digits.join(" UNION ALL "));
    let numbers = format!(
        "(SELECT a.d + 20 * b.d + 400 * c.d AS n \
         FROM {digits} a CROSS JOIN {digits} b CROSS JOIN {digits} c) numbers"
    );
    // The first is the one that is asked for, in every table.
    let id =
        |prefix: &str| format!("CASE n WHEN 0 THEN '{PRESENT}' ELSE CONCAT('{prefix}', n) END");
    // A hundred domains, of which one is there to be found.
    let domain = |n: &str| {
        format!("CASE ({n}) % 100 WHEN 0 THEN '{PRESENT}' ELSE CONCAT('p', ({n}) % 100) END")
    };
    let (user, project, group, role) = (id("u"), id("p"), id("g"), id("r"));
    let (owner, name) = (domain("n"), id("name"));
    let root = crate::projects::ROOT;
    let time = "'2026-01-01 00:00:00'";
    for (table, columns, values, which) in [
        (
            "project",
            "id, name, enabled, domain_id, parent_id, is_domain",
            format!("{project}, {name}, {yes}, '{root}', NULL, {yes}"),
            "n < 100",
        ),
        (
            "project",
            "id, name, enabled, domain_id, parent_id, is_domain",
            format!("{project}, {name}, {yes}, {owner}, {owner}, {no}"),
            "n >= 100",
        ),
        (
            "user",
            "id, enabled, domain_id, default_project_id, created_at",
            format!("{user}, {yes}, {owner}, {project}, {time}"),
            "n >= 0",
        ),
        (
            "local_user",
            "user_id, domain_id, name",
            format!("{user}, {owner}, {name}"),
            "n >= 0",
        ),
        (
            "nonlocal_user",
            "user_id, domain_id, name",
            format!("{user}, {owner}, {name}"),
            "n >= 0",
        ),
        (
            "identity_provider",
            "id, enabled, domain_id",
            format!("{}, {yes}, {owner}", id("i")),
            "n < 100",
        ),
        (
            "federation_protocol",
            "id, idp_id, mapping_id",
            format!("{}, {}, 'm'", id("i"), id("i")),
            "n < 100",
        ),
        (
            "federated_user",
            "user_id, idp_id, protocol_id, unique_id, display_name",
            format!("{user}, {}, {}, {name}, {name}", domain("n"), domain("n"))
                .replace("'p'", "'i'"),
            "n >= 0",
        ),
        (
            "group",
            "id, domain_id, name",
            format!("{group}, {owner}, {name}"),
            "n < 2000",
        ),
        (
            "user_group_membership",
            "user_id, group_id",
            format!("{user}, CASE n % 2000 WHEN 0 THEN '{PRESENT}' ELSE CONCAT('g', n % 2000) END"),
            "n >= 0",
        ),
        ("role", "id, name", format!("{role}, {name}"), "n < 200"),
        (
            "assignment",
            "type, actor_id, target_id, role_id, inherited",
            format!(
                "'UserProject', {user}, {project}, \
                 CASE n % 200 WHEN 0 THEN '{PRESENT}' ELSE CONCAT('r', n % 200) END, {no}"
            ),
            "n >= 0",
        ),
        (
            "assignment",
            "type, actor_id, target_id, role_id, inherited",
            format!("'GroupProject', {group}, {project}, 'r1', {no}"),
            "n < 2000",
        ),
        (
            "application_credential",
            "internal_id, id, name, secret_hash, user_id, project_id",
            format!("n + 1, {}, {name}, '', {user}, {project}", id("a")),
            "n >= 0",
        ),
        (
            "credential",
            "id, user_id, project_id, type, key_hash, encrypted_blob",
            format!(
                "{}, {user}, {project}, CONCAT('t', n % 100), '', ''",
                id("c")
            ),
            "n >= 0",
        ),
        (
            "revocation_event",
            "user_id, issued_before, revoked_at",
            format!("{user}, {time}, {time}"),
            "n >= 0",
        ),
        (
            "user_option",
            "user_id, option_id, option_value",
            format!("{user}, '1000', 'true'"),
            "n >= 0",
        ),
        (
            "region",
            "id, description",
            format!("{}, ''", id("re")),
            "n < 10",
        ),
        ("service", "id", id("s"), "n < 10"),
    ] {
        let sql = format!(
            r#"INSERT INTO "{table}" ({columns}) SELECT {values} FROM {numbers} WHERE {which}"#
        );
        execute(store, &sql).await?;
    }
    let passwords = format!(
        "INSERT INTO password (local_user_id, self_service, created_at_int, created_at) \
         SELECT id, {no}, 1, {time} FROM local_user"
    );
    execute(store, &passwords).await?;
    match store.dialect() {
        Dialect::Sqlite => {}
        Dialect::Postgres => execute(store, "ANALYZE").await?,
        Dialect::MariaDb => {
            for table in GUARDED {
                execute(store, &format!(r#"ANALYZE TABLE "{table}""#)).await?;
            }
        }
    }
    Ok(())
}

/// The tables that grow with a cloud.
const GUARDED: [&str; 13] = [
    "user",
    "local_user",
    "nonlocal_user",
    "federated_user",
    "password",
    "project",
    "group",
    "assignment",
    "user_group_membership",
    "application_credential",
    "credential",
    "revocation_event",
    "user_option",
];

/// What a planner says of a statement.
#[derive(Debug, Default)]
pub struct Plan {
    /// The tables that it would read in full, of those that grow with a cloud.
    pub full: BTreeSet<&'static str>,
    /// Its words.
    pub words: Vec<String>,
}

/// Whether a database says how it would find rows for a statement. To add those that are given it
/// looks for none.
pub fn is_planned(sql: &str) -> bool {
    let verb = sql.split_whitespace().next().unwrap_or_default();
    match verb {
        "INSERT" => sql.contains("SELECT"),
        _ => ["SELECT", "WITH", "UPDATE", "DELETE"].contains(&verb),
    }
}

/// Asks how the database would run a statement.
///
/// # Errors
///
/// When it does not say.
pub async fn plan(store: &Store, sent: &Sent) -> Result<Plan, StoreError> {
    let (set_up, explain) = match store.dialect() {
        Dialect::Sqlite => ("", "EXPLAIN QUERY PLAN"),
        Dialect::MariaDb => ("", "EXPLAIN"),
        // Of a few thousand rows it would rather read all than look some up. So it reads all where it
        // must.
        Dialect::Postgres => (
            "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
            "EXPLAIN",
        ),
    };
    let sql = format!("{explain} {}", sent.sql);
    let rows = crate::db::explain(&store.db, set_up, sql, &sent.values).await?;
    let mut plan = Plan::default();
    let mut scanned: BTreeSet<String> = BTreeSet::new();
    match store.dialect() {
        Dialect::Sqlite => {
            for row in &rows {
                let words = row.text("detail")?;
                let name = words.split(' ').nth(1).map(str::to_owned);
                // By the type alone an index finds half of all assignments.
                if words.starts_with("SCAN ") || words.ends_with(" (type=?)") {
                    scanned.extend(name);
                }
                plan.words.push(words);
            }
        }
        Dialect::MariaDb => {
            for row in &rows {
                let told = |column| row.optional_text(column).map(Option::unwrap_or_default);
                let (table, kind) = (told("table")?, told("type")?);
                let (key, extra) = (told("key")?, told("Extra")?);
                // A row that is added has a table, too.
                let adds = told("select_type")? == "INSERT";
                if ["ALL", "index"].contains(&kind.as_str()) && !adds {
                    scanned.insert(table.clone());
                }
                // It has looked by a unique index, and found that there is nothing. What it would do
                // about other tables it does not say then.
                if extra.contains("noticed after reading const tables")
                    && GUARDED
                        .iter()
                        .filter(|table| is_mentioned(&sent.sql, table))
                        .count()
                        > 1
                {
                    return Err(StoreError::Unstorable(format!("not planned: {extra}")));
                }
                plan.words.push(format!("{table} {kind} {key} {extra}"));
            }
        }
        Dialect::Postgres => {
            for row in &rows {
                plan.words.push(row.text("QUERY PLAN")?);
            }
            scanned.extend(scanned_on_postgres(&plan.words));
        }
    }
    for name in scanned {
        for table in GUARDED {
            if is_named(&sent.sql, table, &name) {
                plan.full.insert(table);
            }
        }
    }
    Ok(plan)
}

/// The tables that are read from one end to the other, whatever by.
fn scanned_on_postgres(words: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (place, line) in words.iter().enumerate() {
        let Some((node, rest)) = line.split_once(" on ") else {
            continue;
        };
        let below = words[place + 1..].iter();
        let details = below.take_while(|line| !line.contains("->"));
        let is_full = node.contains("Seq Scan")
            || (node.contains("Index ")
                && !node.contains("Bitmap")
                && !details.clone().any(|line| line.contains("Index Cond")));
        if is_full {
            let table = rest.trim_start_matches('"').split(['"', ' ']).next();
            found.extend(table.map(str::to_owned));
        }
    }
    found
}

fn is_mentioned(sql: &str, table: &str) -> bool {
    words(sql).contains(&table)
}

fn words(sql: &str) -> Vec<&str> {
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a statement calls a table by a name: its own, or another that follows it.
fn is_named(sql: &str, table: &str, name: &str) -> bool {
    let words = words(sql);
    words
        .windows(2)
        .any(|pair| pair[0] == table && (pair[0] == name || pair[1] == name))
        || words.last() == Some(&table) && table == name
}
