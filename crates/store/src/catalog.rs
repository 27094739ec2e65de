//! The service catalog as tokens carry it.

use model::ids::ProjectId;
use model::subject::{CatalogEndpoint, CatalogService};

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::Row;

/// The catalog of the database.
pub struct Catalog<'a> {
    pub(crate) db: Conn<'a>,
}

impl Catalog<'_> {
    /// All enabled services with their enabled endpoints, in one statement. When endpoints were
    /// chosen for the project (OS-EP-FILTER), only those, and only services that have one.
    pub async fn list(
        &mut self,
        project_id: Option<&ProjectId>,
    ) -> Result<Vec<CatalogService>, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT s.id, s.type, s.extra, e.id AS endpoint_id, e.interface, e.region_id, \
                 e.url, e.extra AS endpoint_extra, \
                 (SELECT COUNT(*) FROM project_endpoint WHERE project_id = ?) AS chosen, \
                 pe.endpoint_id AS chosen_id \
                 FROM service s \
                 LEFT JOIN endpoint e ON e.service_id = s.id AND e.enabled = ? \
                 LEFT JOIN project_endpoint pe \
                   ON pe.endpoint_id = e.id AND pe.project_id = ? \
                 WHERE s.enabled = ? ORDER BY s.id, e.id",
            )
            .bind(project_id)
            .bind(true)
            .bind(project_id)
            .bind(true)
            .rows()
            .await?;
        let mut services: Vec<CatalogService> = Vec::new();
        for row in &rows {
            let filtered = row.int("chosen")? > 0;
            if filtered && row.optional_text("chosen_id")?.is_none() {
                continue;
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
        Ok(services)
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
