//! Notes of the statements that run, for a test that has all of them explained.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value as Json, json};

use crate::dialect::Dialect;
use crate::value::Value;

/// The variable that names the folder where statements are noted; without it, none are.
pub const FOLDER: &str = "ARCHSTONE_TEST_STATEMENTS";

/// Notes a statement when somebody wants to know. Of its values only their types are noted, and
/// names of ours that a statement compares with.
pub(crate) fn note(dialect: Dialect, site: &std::panic::Location<'_>, sql: &str, values: &[Value]) {
    struct Noted {
        known: HashSet<(String, String)>,
        file: std::fs::File,
    }
    static NOTED: LazyLock<Option<Mutex<Noted>>> = LazyLock::new(|| {
        let name = format!("{}.jsonl", file_name());
        let file = Path::new(&std::env::var_os(FOLDER)?).join(name);
        let file = std::fs::File::create(file).expect("a test made the folder");
        let known = HashSet::new();
        Some(Mutex::new(Noted { known, file }))
    });
    let Some(noted) = NOTED.as_ref() else {
        return;
    };
    let file = site.file().rsplit_once("store/src/");
    let site = format!("{}:{}", file.map_or(site.file(), |it| it.1), site.line());
    let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
    if !noted
        .known
        .insert((site.clone(), format!("{dialect:?} {sql}")))
    {
        return;
    }
    let values: Vec<Json> = values
        .iter()
        .map(|value| match value {
            Value::Bool(value) => json!(value.unwrap_or_default()),
            Value::Date(_) => json!("date"),
            Value::Int(_) => json!("int"),
            Value::Time(_) => json!("time"),
            Value::Text(Some(text)) if text.starts_with("<<") => json!(text),
            Value::Text(_) => json!("text"),
        })
        .collect();
    let line = json!({
        "dialect": format!("{dialect:?}"), "site": site, "sql": sql, "values": values,
    });
    writeln!(noted.file, "{line}").expect("the folder takes a line");
}

/// Processes share the folder.
fn file_name() -> String {
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let nanos = clock.map_or(0, |since| since.as_nanos());
    format!("{}-{nanos}", std::process::id())
}
