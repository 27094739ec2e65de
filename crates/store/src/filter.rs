//! The one `WHERE` that the filters of a list become.

use model::listing::{Page, TextMatch};

use crate::db::Conn;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::value::Value;

/// Conditions and their values, joined by AND.
#[derive(Default)]
pub(crate) struct Where {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Where {
    /// Adds a condition with as many `?` as there are values.
    pub(crate) fn and<V: Into<Value>>(
        &mut self,
        condition: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.conditions.push(condition.into());
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// Adds values of placeholders that stand before all conditions.
    pub(crate) fn before<V: Into<Value>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.values.splice(0..0, values.into_iter().map(Into::into));
        self
    }

    /// Adds `column = ?` when there is a value.
    pub(crate) fn equals(&mut self, column: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.and(format!("{column} = ?"), [value]);
        }
        self
    }

    /// Adds a text filter.
    pub(crate) fn text(
        &mut self,
        dialect: Dialect,
        column: &str,
        filter: Option<&TextMatch>,
    ) -> &mut Self {
        let (text, ignore_case, before, after) = match filter {
            None => return self,
            Some(TextMatch::All(all)) => {
                for one in all {
                    self.text(dialect, column, Some(one));
                }
                return self;
            }
            Some(TextMatch::Equals(text)) => {
                return self.and(format!("{column} = ?"), [text.as_str()]);
            }
            Some(TextMatch::Contains { text, ignore_case }) => (text, ignore_case, "%", "%"),
            Some(TextMatch::StartsWith { text, ignore_case }) => (text, ignore_case, "", "%"),
            Some(TextMatch::EndsWith { text, ignore_case }) => (text, ignore_case, "%", ""),
        };
        if *ignore_case {
            // `%` and `_` stay wild, as they are in Keystone.
            return self.and(
                format!("{column} {} ?", dialect.ilike()),
                [format!("{before}{text}{after}")],
            );
        }
        match (before, after) {
            _ if text.is_empty() => self,
            (_, "") => self.and(dialect.ends_with(column), [text, text]),
            ("", _) => self.and(format!("{} = 1", dialect.position(column)), [text]),
            _ => self.and(format!("{} > 0", dialect.position(column)), [text]),
        }
    }

    /// Adds the start of a page; give the rest with [`Where::limit`].
    pub(crate) fn after(&mut self, column: &str, page: &Page) -> &mut Self {
        if let Some(marker) = &page.marker {
            self.and(format!("{column} > ?"), [marker]);
        }
        self
    }

    /// The statement: the head, the conditions, then the order and the length of the page.
    pub(crate) fn statement(&self, head: &str, order: &str, page: &Page) -> String {
        let mut sql = head.to_owned();
        sql.push_str(&self.clause());
        sql.push_str(" ORDER BY ");
        sql.push_str(order);
        if let Some(limit) = page.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }

    /// ` WHERE` and the conditions; nothing when there are none.
    pub(crate) fn clause(&self) -> String {
        match self.conditions.join(" AND ") {
            conditions if conditions.is_empty() => conditions,
            conditions => format!(" WHERE {conditions}"),
        }
    }

    /// The values, in the order of their placeholders.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.values
    }
}

/// Finds an id for each set of values, the last of which is a name, in their order, by a statement
/// that selects `id` and `name`; `None` where it gives none. They go to the database together, a
/// hundred at a time: compound statements have a limit.
///
/// Names are the same letter by letter, whatever the database thinks: to MariaDB `ádmins` is
/// `admins`, and who may choose the one is not meant to get the other.
pub(crate) async fn find_each<Id: From<String> + Clone, const N: usize>(
    db: &mut Conn<'_>,
    each: &'static str,
    values: Vec<[Value; N]>,
) -> Result<Vec<Option<Id>>, StoreError> {
    const TOGETHER: usize = 100;
    let select = each.strip_prefix("SELECT ").expect("the statement selects");
    let mut found = vec![None; values.len()];
    for (values, found) in values.chunks(TOGETHER).zip(found.chunks_mut(TOGETHER)) {
        let parts = (0..values.len()).map(|place| format!("SELECT {place} AS place, {select}"));
        let sql = parts.collect::<Vec<_>>().join(" UNION ALL ");
        let query = db
            .built_query(sql)
            .bind_all(values.iter().flatten().cloned());
        for row in query.rows().await? {
            let place = usize::try_from(row.int("place")?).ok();
            let Some((asked, found)) = place.and_then(|at| values.get(at).zip(found.get_mut(at)))
            else {
                continue;
            };
            let name = row.text("name")?;
            if matches!(asked.last(), Some(Value::Text(Some(asked))) if *asked == name) {
                *found = Some(row.id("id")?);
            }
        }
    }
    Ok(found)
}
