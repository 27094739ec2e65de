//! What goes into a statement and comes out of it, alike on all three databases.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use model::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::{Postgres, Row as _};

use crate::error::StoreError;

/// A bound value. `None` is a NULL of that type, since PostgreSQL wants to know which.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(Option<bool>),
    Date(Option<NaiveDate>),
    Int(Option<i64>),
    Text(Option<String>),
    Time(Option<Timestamp>),
}

impl Value {
    /// Keystone's SQLite text form of a date and time always has six decimals.
    pub(crate) fn sqlite_time(time: Timestamp) -> String {
        time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
    }
}

/// Whether a value holds a character that a text of the database cannot.
pub(crate) fn is_beyond(value: &Value, is_beyond: fn(char) -> bool) -> bool {
    matches!(value, Value::Text(Some(text)) if text.contains(is_beyond))
}

/// The values with NULL in place of each that no text of the database can equal: NULL equals
/// nothing either.
pub(crate) fn without(values: &[Value], is_beyond: fn(char) -> bool) -> Vec<Value> {
    let null = |value: &Value| match self::is_beyond(value, is_beyond) {
        true => Value::Text(None),
        false => value.clone(),
    };
    values.iter().map(null).collect()
}

macro_rules! values {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some(value.into()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map(Into::into))
            }
        }
    )*};
}

values! {
    bool => Bool,
    i64 => Int,
    u32 => Int,
    NaiveDate => Date,
    String => Text,
    &str => Text,
    &String => Text,
    Timestamp => Time
}

macro_rules! id_values {
    ($($(#[$doc:meta])* $id:ident,)*) => {$(
        impl From<&model::ids::$id> for Value {
            fn from(id: &model::ids::$id) -> Self {
                Self::Text(Some(id.as_str().to_owned()))
            }
        }
        impl From<Option<&model::ids::$id>> for Value {
            fn from(id: Option<&model::ids::$id>) -> Self {
                Self::Text(id.map(|id| id.as_str().to_owned()))
            }
        }
    )*};
}

model::for_each_id!(id_values);

/// One row of a result, read by column name.
pub(crate) enum Row {
    MySql(sqlx::mysql::MySqlRow),
    Postgres(sqlx::postgres::PgRow),
    Sqlite(sqlx::sqlite::SqliteRow),
}

/// Reads one column as the first of the given types that fits.
macro_rules! column {
    ($row:expr, $name:expr, $type:ty) => {
        $row.try_get::<Option<$type>, _>($name)
            .map_err(|error| unreadable($name, &error))
    };
}

pub(crate) fn unreadable(column: &str, reason: &impl ToString) -> StoreError {
    StoreError::Unreadable {
        column: column.to_owned(),
        reason: reason.to_string(),
    }
}

impl Row {
    /// Text, or NULL as `None`.
    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        match self {
            Self::MySql(row) => column!(row, column, String),
            Self::Postgres(row) => column!(row, column, String),
            Self::Sqlite(row) => column!(row, column, String),
        }
    }

    /// Text that is never NULL.
    pub(crate) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.optional_text(column)?
            .ok_or_else(|| unreadable(column, &"NULL"))
    }

    /// An id that is never NULL.
    pub(crate) fn id<Id: From<String>>(&self, column: &str) -> Result<Id, StoreError> {
        Ok(self.text(column)?.into())
    }

    /// An id, or NULL as `None`.
    pub(crate) fn optional_id<Id: From<String>>(
        &self,
        column: &str,
    ) -> Result<Option<Id>, StoreError> {
        Ok(self.optional_text(column)?.map(Into::into))
    }

    /// A whole number of any width, or NULL as `None`.
    pub(crate) fn optional_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self {
            Self::MySql(row) => column!(row, column, i64),
            Self::Postgres(row) => match row.try_get::<Option<i64>, _>(column) {
                Ok(value) => Ok(value),
                Err(_) => Ok(column!(row, column, i32)?.map(i64::from)),
            },
            Self::Sqlite(row) => column!(row, column, i64),
        }
    }

    /// A whole number that is never NULL.
    pub(crate) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.optional_int(column)?
            .ok_or_else(|| unreadable(column, &"NULL"))
    }

    /// A truth value, or NULL as `None`.
    pub(crate) fn optional_bool(&self, column: &str) -> Result<Option<bool>, StoreError> {
        match self {
            // A computed truth value is a plain integer here, and so is a TINYINT(1).
            Self::MySql(row) => Ok(column!(row, column, i64)?.map(|value| value != 0)),
            Self::Postgres(row) => column!(row, column, bool),
            Self::Sqlite(row) => Ok(column!(row, column, i64)?.map(|value| value != 0)),
        }
    }

    /// A truth value; NULL reads as false, as it does in Keystone.
    pub(crate) fn bool(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.optional_bool(column)?.unwrap_or(false))
    }

    /// A point in time, or NULL as `None`.
    pub(crate) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let naive = match self {
            Self::MySql(row) => column!(row, column, NaiveDateTime)?,
            Self::Postgres(row) => match column!(row, column, PostgresTime)? {
                Some(PostgresTime(None)) => {
                    return Err(unreadable(column, &"outside the calendar"));
                }
                Some(PostgresTime(time)) => time,
                None => None,
            },
            Self::Sqlite(row) => column!(row, column, String)?
                .map(|text| parse_time(&text))
                .transpose()
                .map_err(|error| unreadable(column, &error))?,
        };
        Ok(naive.map(|naive| naive.and_utc()))
    }

    /// A point in time that is never NULL.
    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.optional_time(column)?
            .ok_or_else(|| unreadable(column, &"NULL"))
    }

    /// A date, or NULL as `None`.
    pub(crate) fn optional_date(&self, column: &str) -> Result<Option<NaiveDate>, StoreError> {
        match self {
            Self::MySql(row) => column!(row, column, NaiveDate),
            Self::Postgres(row) => match column!(row, column, PostgresDate)? {
                Some(PostgresDate(None)) => Err(unreadable(column, &"outside the calendar")),
                Some(PostgresDate(date)) => Ok(date),
                None => Ok(None),
            },
            Self::Sqlite(row) => column!(row, column, String)?
                .map(|text| NaiveDate::parse_from_str(&text, "%Y-%m-%d"))
                .transpose()
                .map_err(|error| unreadable(column, &error)),
        }
    }

    /// A JSON document kept as text; NULL and the empty text read as `null`.
    pub(crate) fn json(&self, column: &str) -> Result<serde_json::Value, StoreError> {
        match self.optional_text(column)?.filter(|text| !text.is_empty()) {
            None => Ok(serde_json::Value::Null),
            Some(text) => model::json::read(&text).map_err(|error| unreadable(column, &error)),
        }
    }

    /// The `extra` column: the attributes that Keystone stores without knowing them.
    pub(crate) fn extra(&self, column: &str) -> Result<model::Extra, StoreError> {
        match self.json(column)? {
            serde_json::Value::Null => Ok(model::Extra::new()),
            serde_json::Value::Object(extra) => Ok(extra),
            _ => Err(unreadable(column, &"not a JSON object")),
        }
    }

    /// A time kept as microseconds since the epoch, or NULL as `None`.
    pub(crate) fn micros(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let time = |micros| {
            DateTime::from_timestamp_micros(micros)
                .ok_or_else(|| unreadable(column, &"outside the calendar"))
        };
        self.optional_int(column)?.map(time).transpose()
    }

    /// A time kept as microseconds since the epoch beside a rounded date column: the number
    /// counts when it is there.
    pub(crate) fn precise_time(
        &self,
        int_column: &str,
        time_column: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        match self.optional_int(int_column)? {
            None | Some(0) => self.optional_time(time_column),
            Some(_) => self.micros(int_column),
        }
    }
}

/// Reads a time in SQLite. In the form in which Keystone writes all of them this is quick, for a list may have
/// thousands.
fn parse_time(text: &str) -> chrono::ParseResult<NaiveDateTime> {
    let usual = || {
        let bytes: &[u8; 26] = text.as_bytes().try_into().ok()?;
        let separators = [4, 7, 10, 13, 16, 19].map(|place| bytes[place]);
        let number = |place: std::ops::Range<usize>| {
            bytes[place].iter().try_fold(0, |number, digit| {
                let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
                Some(number * 10 + digit)
            })
        };
        let year = number(0..4)?.try_into().ok()?;
        let date = NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?)?;
        let [hour, minute, second] = [number(11..13)?, number(14..16)?, number(17..19)?];
        let time = date.and_hms_micro_opt(hour, minute, second, number(20..26)?);
        time.filter(|_| separators == *b"-- ::.")
    };
    match usual() {
        Some(time) => Ok(time),
        None => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"),
    }
}

/// A date and time of PostgreSQL; `None` when it is outside of our calendar, as `infinity` is. The driver
/// would panic at it.
struct PostgresTime(Option<NaiveDateTime>);

/// The same for a date.
struct PostgresDate(Option<NaiveDate>);

/// The day that PostgreSQL counts from.
const POSTGRES_EPOCH: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a day");

macro_rules! postgres_times {
    ($($type:ident: $number:ty as $like:ty, $convert:expr;)*) => {$(
        impl sqlx::Type<Postgres> for $type {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                <$like as sqlx::Type<Postgres>>::type_info()
            }
        }

        impl<'r> sqlx::Decode<'r, Postgres> for $type {
            fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, BoxDynError> {
                match value.format() {
                    sqlx::postgres::PgValueFormat::Binary => {
                        let number = <$number as sqlx::Decode<Postgres>>::decode(value)?;
                        let convert: fn($number) -> Option<$like> = $convert;
                        Ok(Self(convert(number)))
                    }
                    sqlx::postgres::PgValueFormat::Text => {
                        let time = <$like as sqlx::Decode<Postgres>>::decode(value)?;
                        Ok(Self(Some(time)))
                    }
                }
            }
        }
    )*};
}

postgres_times! {
    PostgresTime: i64 as NaiveDateTime, |micros| {
        let since = TimeDelta::microseconds(micros);
        POSTGRES_EPOCH.and_time(NaiveTime::MIN).checked_add_signed(since)
    };
    PostgresDate: i32 as NaiveDate, |days| {
        let since = TimeDelta::try_days(days.into())?;
        POSTGRES_EPOCH.checked_add_signed(since)
    };
}

/// A type that one row makes.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_sqlite_are_read_in_every_form() {
        for (text, is_time) in [
            ("2026-01-02 03:04:05.678901", true),
            ("0001-12-31 23:59:59.999999", true),
            ("2024-02-29 00:00:00.000000", true),
            ("2026-01-02 03:04:05", true),
            ("2026-01-02 03:04:05.67", true),
            ("2026-01-02 03:04:60.000000", true),
            ("2025-02-29 00:00:00.000000", false),
            ("2026-13-01 00:00:00.000000", false),
            ("2026-01-02 24:00:00.000000", false),
            ("2026-01-02T03:04:05.678901", false),
            ("2026/01/02 03:04:05.678901", false),
            ("2026-01-02 03:04:05.67890x", false),
            ("2026-01-02 03:04:05.6789é", false),
            ("", false),
        ] {
            let expected = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
            assert_eq!(parse_time(text).ok(), expected.ok(), "{text}");
            assert_eq!(parse_time(text).is_ok(), is_time, "{text}");
        }
    }
}
