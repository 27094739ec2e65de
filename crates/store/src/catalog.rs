//! The service catalog as tokens carry it.

use std::collections::HashSet;

use model::Extra;
use model::ids::ProjectId;
use model::subject::{CatalogEndpoint, CatalogService};
use serde_json::json;

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::Row;

/// The catalog of the database.
pub struct Catalog<'a> {
    pub(crate) db: Conn<'a>,
}

/// What a project is shown of the catalog.
#[derive(Debug, Default)]
pub struct Shown {
    /// The services, with their endpoints.
    pub services: Vec<CatalogService>,
    /// Whether they were chosen for this project; otherwise all projects without a choice are shown
    /// the same.
    pub are_chosen: bool,
}

impl Catalog<'_> {
    /// All enabled services with their enabled endpoints, in one statement. When endpoints were
    /// chosen for the project (OS-EP-FILTER), by themselves or in groups, only those, and only
    /// services that have one. Projects with groups are rare, and cost two statements more. When
    /// none were chosen, the catalog is whole or, if the operator wants that, empty.
    pub async fn list(&mut self, project_id: Option<&ProjectId>) -> Result<Shown, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT s.id, s.type, s.extra, e.id AS endpoint_id, e.interface, e.region_id, \
                 e.url, e.extra AS endpoint_extra, \
                 (SELECT COUNT(*) FROM project_endpoint \
                  JOIN endpoint ON endpoint.id = project_endpoint.endpoint_id \
                  WHERE project_endpoint.project_id = ?) AS chosen, \
                 (SELECT COUNT(*) FROM project_endpoint_group WHERE project_id = ?) AS chosen_groups, \
                 pe.endpoint_id AS chosen_id \
                 FROM service s \
                 LEFT JOIN endpoint e ON e.service_id = s.id AND e.enabled = ? \
                 LEFT JOIN project_endpoint pe \
                   ON pe.endpoint_id = e.id AND pe.project_id = ? \
                 WHERE s.enabled = ? ORDER BY s.id, e.id",
            )
            .bind(project_id)
            .bind(project_id)
            .bind(true)
            .bind(project_id)
            .bind(true)
            .rows()
            .await?;
        let has_groups = match rows.first() {
            Some(row) => row.int("chosen_groups")? > 0,
            None => false,
        };
        let grouped = if has_groups {
            self.list_grouped(project_id).await?
        } else {
            HashSet::new()
        };
        let is_filtered = match rows.first() {
            Some(row) => row.int("chosen")? > 0 || !grouped.is_empty(),
            None => false,
        };
        if !is_filtered && !self.db.whole_catalog() {
            return Ok(Shown::default());
        }
        let mut services: Vec<CatalogService> = Vec::new();
        for row in &rows {
            if is_filtered && row.optional_text("chosen_id")?.is_none() {
                let endpoint_id = row.optional_text("endpoint_id")?;
                if !endpoint_id.is_some_and(|id| grouped.contains(&id)) {
                    continue;
                }
            }
            let id = row.text("id")?;
            if services.last().is_none_or(|service| service.id != id) {
                let extra = row.extra("extra")?;
                services.push(CatalogService {
                    id,
                    kind: row.optional_text("type")?.unwrap_or_default(),
                    name: extra
                        .get("name")
                        .and_then(|name| name.as_str())
                        .unwrap_or("")
                        .to_owned(),
                    endpoints: Vec::new(),
                });
            }
            if let (Some(service), Some(endpoint)) = (services.last_mut(), endpoint(row)?) {
                service.endpoints.push(endpoint);
            }
        }
        Ok(Shown {
            services,
            are_chosen: is_filtered,
        })
    }

    /// The endpoints that the groups of a project hold: each group says what its endpoints have
    /// in common.
    async fn list_grouped(
        &mut self,
        project_id: Option<&ProjectId>,
    ) -> Result<HashSet<String>, StoreError> {
        let groups = self
            .db
            .query(
                "SELECT eg.filters FROM endpoint_group eg \
                 JOIN project_endpoint_group pg ON pg.endpoint_group_id = eg.id \
                 WHERE pg.project_id = ?",
            )
            .bind(project_id)
            .rows()
            .await?;
        let mut filters = Vec::new();
        for row in &groups {
            filters.push(row.extra("filters")?);
        }
        let endpoints = self
            .db
            .query("SELECT id, interface, service_id, region_id, enabled FROM endpoint")
            .rows()
            .await?;
        let mut found = HashSet::new();
        for row in &endpoints {
            let id = row.text("id")?;
            let facts = json!({
                "interface": row.text("interface")?,
                "service_id": row.text("service_id")?,
                "region_id": row.optional_text("region_id")?,
                "enabled": row.bool("enabled")?,
            });
            let fits = |filter: &Extra| filter.iter().all(|(name, value)| facts[name] == *value);
            if filters.iter().any(fits) {
                found.insert(id);
            }
        }
        Ok(found)
    }
}

fn endpoint(row: &Row) -> Result<Option<CatalogEndpoint>, StoreError> {
    let Some(id) = row.optional_text("endpoint_id")? else {
        return Ok(None);
    };
    Ok(Some(CatalogEndpoint {
        id,
        interface: row.text("interface")?,
        region_id: row.optional_text("region_id")?,
        url: row.text("url")?,
        extra: row.extra("endpoint_extra")?,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::CacheSettings;
    use crate::Store;
    use crate::scratch::{run, store_with};

    /// Two services: `one` with the endpoints `a` and `b` (disabled), `two` with `c`.
    async fn filled(folder: &tempfile::TempDir, cache: CacheSettings) -> Store {
        let store = store_with(folder, |options| options.cache = cache).await;
        for id in ["one", "two"] {
            let sql =
                format!("INSERT INTO service (id, type, extra) VALUES ('{id}', '{id}', '{{}}')");
            run(&store, &sql).await;
        }
        for (id, interface, service) in [
            ("a", "public", "one"),
            ("b", "admin", "one"),
            ("c", "public", "two"),
        ] {
            let sql = format!(
                "INSERT INTO endpoint (id, interface, service_id, url, extra) \
                 VALUES ('{id}', '{interface}', '{service}', 'http://{id}', '{{}}')"
            );
            run(&store, &sql).await;
        }
        let mut tx = store.begin().await.unwrap();
        let mut disabled = tx.endpoints().find(&"b".into()).await.unwrap().unwrap();
        disabled.enabled = false;
        tx.endpoints_mut().update(&disabled).await.unwrap();
        drop(tx.commit().await.unwrap());
        store
    }

    async fn choose(store: &Store, endpoint: &str, project: &str) {
        let sql = format!(
            "INSERT INTO project_endpoint (endpoint_id, project_id) \
             VALUES ('{endpoint}', '{project}')"
        );
        run(store, &sql).await;
    }

    async fn choose_group(store: &Store, id: &str, filters: &str, project: &str) {
        let sql = format!(
            "INSERT INTO endpoint_group (id, name, filters) VALUES ('{id}', '{id}', '{filters}')"
        );
        run(store, &sql).await;
        let sql = format!(
            "INSERT INTO project_endpoint_group (endpoint_group_id, project_id) \
             VALUES ('{id}', '{project}')"
        );
        run(store, &sql).await;
    }

    /// The services of a catalog, each with its endpoints.
    async fn shown(store: &Store, project: Option<&str>) -> Vec<String> {
        let project = project.map(ProjectId::from);
        let services = store
            .catalog()
            .list(project.as_ref())
            .await
            .unwrap()
            .services;
        let show = |service: &CatalogService| {
            let ids: Vec<_> = service.endpoints.iter().map(|it| it.id.as_str()).collect();
            format!("{}: {}", service.id, ids.join(" "))
        };
        services.iter().map(show).collect()
    }

    #[tokio::test]
    async fn endpoints_are_chosen_for_a_project() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(&folder, CacheSettings::NONE).await;
        choose(&store, "a", "chooser").await;
        choose(&store, "gone", "forgotten").await;
        choose(&store, "b", "disabled").await;
        let all = ["one: a", "two: c"];
        assert_eq!(shown(&store, Some("chooser")).await, ["one: a"]);
        // What is chosen and no longer exists does not count; what is disabled does.
        assert_eq!(shown(&store, Some("forgotten")).await, all);
        assert!(shown(&store, Some("disabled")).await.is_empty());
        assert_eq!(shown(&store, Some("other")).await, all);
        assert_eq!(shown(&store, None).await, all);
    }

    #[tokio::test]
    async fn projects_that_are_shown_the_whole_catalog_share_it_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheSettings {
            enabled: true,
            sole_writer: true,
            ..CacheSettings::NONE
        };
        let store = filled(&folder, cache).await;
        choose(&store, "a", "chooser").await;
        let shown = async |project: &str| {
            let project = ProjectId::from(project);
            store.services_for(Some(&project)).await.unwrap()
        };
        let (chooser, one, other) = (
            shown("chooser").await,
            shown("one").await,
            shown("other").await,
        );
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!((chooser.len(), one.len()), (1, 2));
        assert!(Arc::ptr_eq(&one, &store.services_for(None).await.unwrap()));
        // What was read before a change is shared with nobody after it.
        choose(&store, "c", "someone").await;
        assert!(!Arc::ptr_eq(&one, &shown("other").await));
    }

    #[tokio::test]
    async fn groups_choose_endpoints_for_a_project() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(&folder, CacheSettings::NONE).await;
        choose_group(&store, "first", r#"{"service_id": "one"}"#, "by-service").await;
        choose_group(
            &store,
            "public",
            r#"{"interface": "public"}"#,
            "by-interface",
        )
        .await;
        choose_group(&store, "none", r#"{"interface": "internal"}"#, "by-nothing").await;
        choose_group(&store, "again", r#"{"service_id": "one"}"#, "both").await;
        choose(&store, "c", "both").await;
        let all = ["one: a", "two: c"];
        assert_eq!(shown(&store, Some("by-service")).await, ["one: a"]);
        assert_eq!(shown(&store, Some("by-interface")).await, all);
        assert_eq!(shown(&store, Some("by-nothing")).await, all);
        assert_eq!(shown(&store, Some("both")).await, all);
    }
}
