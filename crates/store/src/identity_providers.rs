//! Identity providers of federated logins, with the names under which they sign.

use model::Timestamp;
use model::federation::{IdentityProvider, ProviderFilter};
use model::ids::{DomainId, IdentityProviderId};
use model::listing::{Page, TextMatch};

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::{FromRow, Row, Value};

/// What a conflict is called when another provider signs under the same name.
const REMOTE_ID: &str = "remote_id";

stored! {
    IdentityProvider as provider, "p." {
        "id" = &provider.id,
        "domain_id" = &provider.domain_id,
    } changing {
        "enabled" = provider.enabled,
        "description" = provider.description.as_deref(),
        "authorization_ttl" = provider.authorization_ttl,
    }
}

/// A query of identity providers, with a row for each name that one signs under.
macro_rules! providers {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", r.remote_id FROM identity_provider p \
             LEFT JOIN idp_remote_ids r ON r.idp_id = p.id ",
            $rest
        )
    };
}

/// Reads identity providers.
pub struct IdentityProviders<'a> {
    pub(crate) db: Conn<'a>,
}

impl IdentityProviders<'_> {
    /// Finds an identity provider by id, letter by letter: to MariaDB `Corp` is `corp`, but to a front
    /// proxy that guards the one the other is nothing to guard. `None` when there is none.
    pub async fn find(
        &mut self,
        id: &IdentityProviderId,
    ) -> Result<Option<IdentityProvider>, StoreError> {
        let rows = self
            .db
            .query(providers!("WHERE p.id = ? ORDER BY r.remote_id"))
            .bind(id)
            .rows()
            .await?;
        Ok(gather(&rows)?.pop().filter(|found| found.id == *id))
    }

    /// Finds who signs under a name; `None` when nobody does.
    pub async fn find_id_by_remote_id(
        &mut self,
        remote_id: &str,
    ) -> Result<Option<IdentityProviderId>, StoreError> {
        let rows = self
            .db
            .query("SELECT idp_id, remote_id FROM idp_remote_ids WHERE remote_id = ?")
            .bind(remote_id)
            .rows()
            .await?;
        // A database may take no notice of case; names do.
        for row in &rows {
            if row.text("remote_id")? == remote_id {
                return row.id("idp_id").map(Some);
            }
        }
        Ok(None)
    }

    /// Lists identity providers by id.
    pub async fn list(
        &mut self,
        filter: &ProviderFilter,
    ) -> Result<Vec<IdentityProvider>, StoreError> {
        let mut conditions = Where::default();
        conditions
            .text(self.db.dialect(), "p.id", filter.id.as_ref())
            .equals("p.enabled", filter.enabled);
        let head = providers!("");
        let sql = conditions.statement(head, "p.id, r.remote_id", &Page::default());
        let query = self.db.built_query(sql).bind_all(conditions.into_values());
        let mut found = gather(&query.rows().await?)?;
        found.retain(|provider| id_holds(filter.id.as_ref(), provider.id.as_str()));
        Ok(found)
    }
}

/// Changes identity providers, in a transaction.
pub struct IdentityProvidersMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl IdentityProvidersMut<'_> {
    /// Adds an identity provider. Its id and the names it signs under must both be new; a
    /// conflict over the latter is one of `remote_id`.
    pub async fn insert(&mut self, provider: &IdentityProvider) -> Result<(), StoreError> {
        self.tx
            .insert("identity_provider", Entity::New, IdentityProvider::INSERT)
            .bind_all(provider.values())
            .execute()
            .await
            .map_err(|error| error.on_unique("identity_provider"))?;
        self.insert_remote_ids(provider).await
    }

    /// Writes all attributes of an identity provider that may change.
    pub(crate) async fn update(&mut self, provider: &IdentityProvider) -> Result<(), StoreError> {
        self.tx
            .update(
                "identity_provider",
                Entity::Any,
                format!("{} WHERE id = ?", IdentityProvider::UPDATE),
            )
            .bind_all(provider.changing())
            .bind(&provider.id)
            .execute()
            .await?;
        self.tx
            .delete("idp_remote_ids", Entity::Any, "WHERE idp_id = ?")
            .bind(&provider.id)
            .execute()
            .await?;
        self.insert_remote_ids(provider).await
    }

    /// Removes an identity provider with its protocols and memberships, and the users that only
    /// it knew.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such provider.
    pub async fn delete(
        &mut self,
        id: &IdentityProviderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.lock(id).await?;
        for (table, which) in [
            ("federated_user", "WHERE idp_id = ?"),
            ("expiring_user_group_membership", "WHERE idp_id = ?"),
            ("federation_protocol", "WHERE idp_id = ?"),
            ("idp_remote_ids", "WHERE idp_id = ?"),
            ("identity_provider", "WHERE id = ?"),
        ] {
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(id).execute().await?;
        }
        self.tx.users_mut().delete_unknown(now).await
    }

    /// Removes the identity providers whose users a domain has.
    pub(crate) async fn delete_of_domain(
        &mut self,
        id: &DomainId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for table in [
            "federated_user",
            "expiring_user_group_membership",
            "federation_protocol",
            "idp_remote_ids",
        ] {
            let which = "WHERE idp_id IN (SELECT id FROM identity_provider WHERE domain_id = ?)";
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(id).execute().await?;
        }
        let removed = self
            .tx
            .delete("identity_provider", Entity::Any, "WHERE domain_id = ?")
            .bind(id)
            .execute()
            .await?;
        if removed > 0 {
            self.tx.users_mut().delete_unknown(now).await?;
        }
        Ok(())
    }

    async fn insert_remote_ids(&mut self, provider: &IdentityProvider) -> Result<(), StoreError> {
        if provider.remote_ids.is_empty() {
            return Ok(());
        }
        let rows = vec!["(?, ?)"; provider.remote_ids.len()].join(", ");
        let rest = format!("(idp_id, remote_id) VALUES {rows}");
        let pairs = provider.remote_ids.iter();
        let values = pairs.flat_map(|remote_id| [Value::from(&provider.id), remote_id.into()]);
        let insert = self.tx.insert("idp_remote_ids", Entity::Any, rest);
        let done = insert.bind_all(values).execute().await;
        done.map_err(|error| error.on_unique(REMOTE_ID))?;
        Ok(())
    }
}

/// The part of a filter by id that the database cannot check.
pub(crate) fn id_holds(filter: Option<&TextMatch>, id: &str) -> bool {
    filter.is_none_or(|filter| filter.holds_beyond_sql(id))
}

/// Makes one provider of the rows that follow each other with its id.
fn gather(rows: &[Row]) -> Result<Vec<IdentityProvider>, StoreError> {
    let mut found: Vec<IdentityProvider> = Vec::new();
    for row in rows {
        let provider = IdentityProvider::from_row(row)?;
        match found.last_mut().filter(|last| last.id == provider.id) {
            Some(last) => last.remote_ids.extend(provider.remote_ids),
            None => found.push(provider),
        }
    }
    Ok(found)
}

impl FromRow for IdentityProvider {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let authorization_ttl = row.optional_int("authorization_ttl")?;
        Ok(Self {
            id: row.id("id")?,
            enabled: row.bool("enabled")?,
            description: row.optional_text("description")?,
            domain_id: row.id("domain_id")?,
            remote_ids: Vec::from_iter(row.optional_text("remote_id")?),
            authorization_ttl: authorization_ttl.and_then(|minutes| minutes.try_into().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use model::ids::UserId;
    use model::subject::UserOptions;
    use model::user::User;
    use model::{Domain, Extra};

    use super::*;
    use crate::Store;
    use crate::scratch::{run, store};

    const NOW: Timestamp = chrono::DateTime::UNIX_EPOCH;

    fn provider(id: &str, remote_ids: &[&str]) -> IdentityProvider {
        IdentityProvider {
            id: id.into(),
            enabled: true,
            description: None,
            domain_id: "default".into(),
            remote_ids: remote_ids.iter().map(ToString::to_string).collect(),
            authorization_ttl: None,
        }
    }

    fn user(id: &str) -> User {
        User {
            id: id.into(),
            name: id.into(),
            domain_id: "default".into(),
            enabled: true,
            default_project_id: None,
            password_expires_at: None,
            last_seen: None,
            options: UserOptions::default(),
            extra: Extra::new(),
        }
    }

    async fn filled_store(folder: &tempfile::TempDir) -> Store {
        let store = store(folder).await;
        let domain = Domain {
            id: "default".into(),
            name: "Default".into(),
            description: None,
            enabled: true,
            tags: Vec::new(),
            options: Default::default(),
            extra: Extra::new(),
        };
        let mut tx = store.begin().await.unwrap();
        tx.domains_mut().insert(&domain).await.unwrap();
        for id in ["ours", "theirs", "both"] {
            tx.users_mut().insert(&user(id), None, NOW).await.unwrap();
        }
        tx.identity_providers_mut()
            .insert(&provider("corp", &["x"]))
            .await
            .unwrap();
        drop(tx.commit().await.unwrap());
        // As logins leave it: users whom only an identity provider knows have no name of ours.
        for sql in [
            "INSERT INTO federation_protocol VALUES ('p', 'corp', 'map', NULL)",
            "INSERT INTO federated_user (user_id, idp_id, protocol_id, unique_id) \
             VALUES ('theirs', 'corp', 'p', 'a'), ('both', 'corp', 'p', 'b')",
            "DELETE FROM local_user WHERE user_id = 'theirs'",
            "INSERT INTO \"group\" (id, domain_id, name) VALUES ('g', 'default', 'g')",
            "INSERT INTO expiring_user_group_membership \
             VALUES ('theirs', 'g', 'corp', '2026-01-01 00:00:00')",
            "INSERT INTO trust (id, trustor_user_id, trustee_user_id, impersonation) \
             VALUES ('given', 'theirs', 'ours', '0'), ('taken', 'ours', 'theirs', '0'), \
             ('kept', 'ours', 'both', '0')",
            "INSERT INTO id_mapping (public_id, domain_id, local_id, entity_type) \
             VALUES ('theirs', 'default', 'a', 'user'), ('both', 'default', 'b', 'user')",
            "INSERT INTO role (id, name, domain_id) VALUES ('r', 'r', 'x')",
            "INSERT INTO assignment (type, actor_id, target_id, role_id, inherited) \
             VALUES ('UserDomain', 'theirs', 'default', 'r', '0'), \
             ('GroupDomain', 'theirs', 'default', 'r', '0')",
        ] {
            run(&store, sql).await;
        }
        store
    }

    async fn users(store: &Store) -> Vec<&'static str> {
        let mut left = Vec::new();
        for id in ["both", "ours", "theirs"] {
            let found = store.users().find(&UserId::from(id)).await.unwrap();
            left.extend(found.map(|_| id));
        }
        left
    }

    /// What is left of all that hung on the users.
    async fn belongings(store: &Store) -> Vec<String> {
        let left = store
            .pool()
            .query(
                "SELECT id AS what FROM trust WHERE deleted_at IS NULL \
                 UNION ALL SELECT public_id FROM id_mapping \
                 UNION ALL SELECT CASE type WHEN 'UserDomain' THEN 'user' ELSE 'group' END \
                 FROM assignment ORDER BY 1",
            )
            .rows()
            .await
            .unwrap();
        left.iter().map(|row| row.text("what").unwrap()).collect()
    }

    #[tokio::test]
    async fn users_whom_only_the_provider_knew_go_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled_store(&folder).await;
        let mut tx = store.begin().await.unwrap();
        tx.identity_providers_mut()
            .delete(&"corp".into(), NOW)
            .await
            .unwrap();
        drop(tx.commit().await.unwrap());
        assert_eq!(users(&store).await, ["both", "ours"]);
        // A group that happens to have the id of a user keeps its roles.
        assert_eq!(belongings(&store).await, ["both", "group", "kept"]);
    }

    #[tokio::test]
    async fn users_who_only_came_by_the_protocol_go_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled_store(&folder).await;
        let mut tx = store.begin().await.unwrap();
        let (provider, protocol) = ("corp".into(), "p".into());
        tx.protocols_mut()
            .delete(&provider, &protocol, NOW)
            .await
            .unwrap();
        drop(tx.commit().await.unwrap());
        assert_eq!(users(&store).await, ["both", "ours"]);
        // A group that happens to have the id of a user keeps its roles.
        assert_eq!(belongings(&store).await, ["both", "group", "kept"]);
    }

    #[tokio::test]
    async fn a_domain_goes_with_its_providers() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled_store(&folder).await;
        let mut tx = store.begin().await.unwrap();
        let mut domains = tx.domains_mut();
        let locked = domains.lock_all_within(&"default".into()).await.unwrap();
        domains.delete(locked, NOW).await.unwrap();
        drop(tx.commit().await.unwrap());
        assert_eq!(users(&store).await, [""; 0]);
        let found = store
            .identity_providers()
            .find(&"corp".into())
            .await
            .unwrap();
        assert_eq!(found, None);
    }

    #[tokio::test]
    async fn a_conflict_says_what_collides() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled_store(&folder).await;
        for (provider, kind) in [
            (provider("corp", &[]), "identity_provider"),
            (provider("other", &["x"]), REMOTE_ID),
        ] {
            let mut tx = store.begin().await.unwrap();
            let error = tx
                .identity_providers_mut()
                .insert(&provider)
                .await
                .unwrap_err();
            assert!(matches!(error, StoreError::Conflict { kind: k } if k == kind));
        }
    }
}
