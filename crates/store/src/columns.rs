//! The columns of a table, declared once for all statements and for reading.

use crate::value::Value;

/// What is stored in a table, one row each.
pub(crate) trait Stored {
    /// What follows `INSERT INTO` and the table: all columns, with a placeholder for each.
    const INSERT: &'static str;

    /// What follows `UPDATE` and the table: those that may change, without the condition.
    const UPDATE: &'static str;

    /// The values of all columns.
    fn values(&self) -> Vec<Value>;

    /// The values of those that may change.
    fn changing(&self) -> Vec<Value>;
}

/// Declares the columns of a table: first those that never change, then those that may. Each has its value,
/// and before that the attribute that it is read into and the function of [`crate::value::Row`] that reads
/// it, with what is done to the result where that is not the attribute yet:
///
/// ```text
/// stored! {
///     Service as service {
///         id: "id" (id) = &service.id,
///     } changing {
///         kind: "type" (optional_text, Option::unwrap_or_default) = &service.kind,
///     }
/// }
/// ```
///
/// What takes more than that to read has columns and values alone (`"type" = &service.kind`), and its own
/// `FromRow`. In the rest of the file, `columns!()` is the list for a `SELECT`, with a prefix where the table
/// has one: `Group as group, "g." { … }`.
macro_rules! stored {
    ($type:ident as $this:ident { $($fixed:tt)* } changing { $($changing:tt)* }) => {
        stored! { $type as $this, "" { $($fixed)* } changing { $($changing)* } }
    };
    ($type:ident as $this:ident, $prefix:literal {
        $($key:ident: $key_column:literal ($key_read:ident $(, $key_then:expr)?) = $key_value:expr,)*
    } changing {
        $($attribute:ident: $column:literal ($read:ident $(, $then:expr)?) = $value:expr,)*
    }) => {
        stored! {
            $type as $this, $prefix {
                $($key_column = $key_value,)*
            } changing {
                $($column = $value,)*
            }
        }

        impl $crate::value::FromRow for $type {
            fn from_row(row: &$crate::value::Row) -> Result<Self, $crate::error::StoreError> {
                Ok(Self {
                    $($key: stored!(@read row.$key_read($key_column)? $(, $key_then)?),)*
                    $($attribute: stored!(@read row.$read($column)? $(, $then)?),)*
                })
            }
        }
    };
    ($type:ident as $this:ident, $prefix:literal {
        $first:literal = $first_value:expr,
        $($key:literal = $key_value:expr,)*
    } changing {
        $changing:literal = $changing_value:expr,
        $($column:literal = $value:expr,)*
    }) => {
        macro_rules! columns {
            () => {
                concat!(
                    $prefix, $first, $(", ", $prefix, $key,)*
                    ", ", $prefix, $changing, $(", ", $prefix, $column,)*
                )
            };
        }

        impl $crate::columns::Stored for $type {
            const INSERT: &'static str = concat!(
                "(", $first, $(", ", $key,)* ", ", $changing, $(", ", $column,)*
                ") VALUES (?", $(stored!(@mark $key),)* ", ?", $(stored!(@mark $column),)* ")",
            );

            const UPDATE: &'static str =
                concat!("SET ", $changing, " = ?", $(", ", $column, " = ?",)*);

            fn values(&self) -> Vec<$crate::value::Value> {
                let $this = self;
                let mut values = vec![$first_value.into(), $($key_value.into(),)*];
                values.extend($crate::columns::Stored::changing(self));
                values
            }

            fn changing(&self) -> Vec<$crate::value::Value> {
                let $this = self;
                vec![$changing_value.into(), $($value.into(),)*]
            }
        }
    };
    (@read $value:expr) => {
        $value
    };
    (@read $value:expr, $then:expr) => {
        $then($value)
    };
    (@mark $column:literal) => {
        ", ?"
    };
}
pub(crate) use stored;
