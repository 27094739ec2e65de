//! Access rules: the kinds of request that application credentials may make.

use model::application_credential::{AccessRule, AccessRuleFilter};
use model::ids::{AccessRuleId, UserId};
use model::listing::Page;

use crate::application_credentials::access_rule;
use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::{FromRow, Row, Value};

/// Reads access rules.
pub struct AccessRules<'a> {
    pub(crate) db: Conn<'a>,
}

/// An access rule and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedAccessRule {
    /// The rule.
    pub rule: AccessRule,
    /// Its owner.
    pub user_id: UserId,
}

/// Why an access rule was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteError {
    /// There is none of this id that belongs to the user.
    Absent,
    /// An application credential uses it.
    InUse,
}

const COLUMNS: &str = "external_id, user_id, service, path, method";

impl AccessRules<'_> {
    /// Finds an access rule of a user by id.
    pub async fn find(
        &mut self,
        user_id: &UserId,
        id: &AccessRuleId,
    ) -> Result<Option<AccessRule>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM access_rule WHERE user_id = ? AND external_id = ?");
        self.db
            .built_query(sql)
            .bind(user_id)
            .bind(id)
            .optional()
            .await
    }

    /// Lists the access rules of a user by id.
    pub async fn list(
        &mut self,
        user_id: &UserId,
        filter: &AccessRuleFilter,
        page: &Page,
    ) -> Result<Vec<AccessRule>, StoreError> {
        let dialect = self.db.dialect();
        let mut conditions = Where::default();
        conditions
            .equals("user_id", Some(user_id))
            .text(dialect, "service", filter.service.as_ref())
            .text(dialect, "path", filter.path.as_ref())
            .text(dialect, "method", filter.method.as_ref())
            .after("external_id", page);
        let head = format!("SELECT {COLUMNS} FROM access_rule");
        let sql = conditions.statement(&head, "external_id", page);
        let mut found: Vec<AccessRule> = self
            .db
            .built_query(sql)
            .bind_all(conditions.into_values())
            .all()
            .await?;
        let texts = [&filter.service, &filter.path, &filter.method];
        found.retain(|rule| {
            texts
                .iter()
                .zip([&rule.service, &rule.path, &rule.method])
                .all(|(text, value)| {
                    text.as_ref()
                        .is_none_or(|text| text.holds_beyond_sql(value))
                })
        });
        Ok(found)
    }

    /// All access rules that a new application credential of the user may refer to, and those of
    /// the given ids, of any owner.
    pub async fn list_candidates(
        &mut self,
        user_id: &UserId,
        ids: &[AccessRuleId],
    ) -> Result<Vec<OwnedAccessRule>, StoreError> {
        let mut sql = format!("SELECT {COLUMNS} FROM access_rule WHERE user_id = ?");
        if !ids.is_empty() {
            sql.push_str(&format!(" OR external_id IN ({})", placeholders(ids.len())));
        }
        self.db
            .built_query(sql)
            .bind(user_id)
            .bind_all(ids)
            .all()
            .await
    }
}

/// Changes access rules, in a transaction.
pub struct AccessRulesMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl AccessRulesMut<'_> {
    /// Adds access rules of a user.
    pub async fn insert(
        &mut self,
        user_id: &UserId,
        rules: &[AccessRule],
    ) -> Result<(), StoreError> {
        if rules.is_empty() {
            return Ok(());
        }
        let rows = vec!["(?, ?, ?, ?, ?)"; rules.len()].join(", ");
        let rest = format!("({COLUMNS}) VALUES {rows}");
        let values = rules.iter().flat_map(|rule| {
            [
                Value::from(&rule.id),
                user_id.into(),
                (&rule.service).into(),
                (&rule.path).into(),
                (&rule.method).into(),
            ]
        });
        self.tx
            .insert("access_rule", Entity::New, rest)
            .bind_all(values)
            .execute()
            .await
            .map_err(|error| error.on_unique("access_rule"))?;
        Ok(())
    }

    /// Removes an access rule of a user that no application credential uses.
    pub async fn delete(
        &mut self,
        user_id: &UserId,
        id: &AccessRuleId,
    ) -> Result<Result<(), DeleteError>, StoreError> {
        // A credential may be made with it meanwhile: the foreign key would take the rule away from
        // it, and so let it make every request.
        if !self.lock(user_id, id).await? {
            return Ok(Err(DeleteError::Absent));
        }
        let deleted = self
            .tx
            .delete(
                "access_rule",
                Entity::Any,
                "WHERE user_id = ? AND external_id = ? AND NOT EXISTS \
                 (SELECT used.access_rule_id FROM application_credential_access_rule used \
                  WHERE used.access_rule_id = access_rule.id)",
            )
            .bind(user_id)
            .bind(id)
            .execute()
            .await?;
        match deleted {
            0 => Ok(Err(DeleteError::InUse)),
            _ => Ok(Ok(())),
        }
    }

    /// Keeps everybody else from using an access rule again until the transaction ends; whether
    /// there is one.
    async fn lock(&mut self, user_id: &UserId, id: &AccessRuleId) -> Result<bool, StoreError> {
        let db = &mut self.tx.read();
        let how = db.dialect().for_update();
        let sql = format!("SELECT id FROM access_rule WHERE user_id = ? AND external_id = ?{how}");
        let query = db.built_query(sql).bind(user_id).bind(id);
        Ok(!query.rows().await?.is_empty())
    }
}

impl FromRow for AccessRule {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        access_rule(row, "external_id")
    }
}

impl FromRow for OwnedAccessRule {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            rule: AccessRule::from_row(row)?,
            user_id: row.id("user_id")?,
        })
    }
}
