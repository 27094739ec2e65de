//! Option files of MySQL clients (`my.cnf`), as PyMySQL reads them for `read_default_file`.

use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Reads one group of an option file: names in lower case with hyphens, values without quotes.
///
/// # Errors
///
/// When the file cannot be read. PyMySQL goes on without it, and so without what it says of TLS.
pub(crate) fn read(file: &str, group: &str) -> Result<Vec<(String, String)>, StoreError> {
    let path = below_home(file);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        StoreError::Address(format!("read_default_file={}: {error}", path.display()))
    })?;
    Ok(options(&text, group))
}

fn below_home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(file).to_owned(),
    }
}

fn options(text: &str, group: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut options = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';', '!']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            inside = name == group;
        } else if inside {
            // An option without a value, such as `ssl`, is switched on.
            let (name, value) = line.split_once(['=', ':']).unwrap_or((line, "1"));
            let name = name.trim().to_lowercase().replace('_', "-");
            options.push((name, without_quotes(value.trim()).to_owned()));
        }
    }
    options
}

fn without_quotes(value: &str) -> &str {
    let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_one_group_are_read_as_pymysql_does() {
        let text = "user = nobody\n[client]\nssl\n[tripleo]\n# of TLS\nSSL_CA = '/etc/ca.pem'\n\
                    password=\"a'b\"\n!include other\nport: 3307\n[mysqld]\nssl-ca = x\n";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            options(text, "tripleo"),
            [
                pair("ssl-ca", "/etc/ca.pem"),
                pair("password", "a'b"),
                pair("port", "3307")
            ]
        );
        assert_eq!(options(text, "client"), [pair("ssl", "1")]);
    }
}
