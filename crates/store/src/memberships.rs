//! Who belongs to which group now: for good, or for a while because an identity provider said so.
//!
//! Lists of groups and the roles that come of them all count memberships by the pieces of SQL
//! that are made here.

use model::Timestamp;
use model::ids::{GroupId, UserId};

use crate::db::Conn;
use crate::dialect::placeholders;
use crate::value::Value;

/// The memberships that an identity provider brought, to be joined with their end.
pub(crate) const ENDING: &str = "expiring_user_group_membership m \
     JOIN identity_provider p ON p.id = m.idp_id";

/// When a membership of [`ENDING`] ends, as SQL. A provider that says nothing, or 0, leaves it
/// to the configuration.
pub(crate) fn end(db: &Conn<'_>) -> String {
    let minutes = format!(
        "COALESCE(NULLIF(p.authorization_ttl, 0), {})",
        db.authorization_ttl()
    );
    db.dialect().minutes_after("m.last_verified", &minutes)
}

/// The groups of one user at one time, as parts of statements.
pub(crate) struct GroupsOf<'a> {
    user_id: &'a UserId,
    brought: &'a [GroupId],
    now: Timestamp,
    end: String,
}

impl<'a> GroupsOf<'a> {
    /// Those that are stored, and those that a federated login brought.
    pub(crate) fn user(
        db: &Conn<'_>,
        user_id: &'a UserId,
        brought: &'a [GroupId],
        now: Timestamp,
    ) -> Self {
        Self {
            user_id,
            brought,
            now,
            end: end(db),
        }
    }

    /// A subquery of their ids.
    pub(crate) fn ids(&self) -> String {
        let mut sql = format!(
            "SELECT group_id FROM user_group_membership WHERE user_id = ? \
             UNION SELECT m.group_id FROM {ENDING} WHERE m.user_id = ? AND {} > ?",
            self.end
        );
        if !self.brought.is_empty() {
            let marks = placeholders(self.brought.len());
            sql.push_str(&format!(
                " UNION SELECT id FROM \"group\" WHERE id IN ({marks})"
            ));
        }
        sql
    }

    /// The values of [`GroupsOf::ids`].
    pub(crate) fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> =
            vec![self.user_id.into(), self.user_id.into(), self.now.into()];
        values.extend(self.brought.iter().map(Value::from));
        values
    }

    /// The assignments of the user and of the groups by a condition that names no type: two selects
    /// of which each finds its rows by an index, which one with `OR` would not. Both yield `columns`.
    /// SQLite keeps the order of a `CROSS JOIN`: the few groups first, and then what each has.
    pub(crate) fn assignments(
        &self,
        columns: &str,
        user_types: &str,
        group_types: &str,
        condition: &str,
        values: &[Value],
    ) -> (String, Vec<Value>) {
        let sql = format!(
            "SELECT {columns} FROM assignment \
             WHERE type IN ({user_types}) AND actor_id = ? AND {condition} \
             UNION SELECT {columns} FROM ({}) member \
             CROSS JOIN assignment \
             WHERE actor_id = member.group_id AND type IN ({group_types}) AND {condition}",
            self.ids()
        );
        let mut all = vec![Value::from(self.user_id)];
        all.extend_from_slice(values);
        all.extend(self.values());
        all.extend_from_slice(values);
        (sql, all)
    }

    /// The values for `actor_id = ?` and then [`GroupsOf::ids`].
    pub(crate) fn actors(&self) -> Vec<Value> {
        let mut values = vec![Value::from(self.user_id)];
        values.extend(self.values());
        values
    }

    /// A subquery of one value: when the first of the user's memberships ends; NULL when none does.
    pub(crate) fn first_end(&self) -> String {
        let end = &self.end;
        format!("SELECT MIN({end}) FROM {ENDING} WHERE m.user_id = ? AND {end} > ?")
    }

    /// The values of [`GroupsOf::first_end`].
    pub(crate) fn first_end_values(&self) -> [Value; 2] {
        [self.user_id.into(), self.now.into()]
    }
}
