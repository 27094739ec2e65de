//! The catalog: regions, services and their endpoints.

use crate::Extra;
use crate::ids::{EndpointId, RegionId, ServiceId};

/// A part of the deployment, perhaps within another.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its id, which is its name.
    pub id: RegionId,
    /// What people wrote about it.
    pub description: String,
    /// The region around it.
    pub parent_region_id: Option<RegionId>,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

/// Something that offers an API.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// What kind it is (`identity`, `compute`).
    pub kind: String,
    /// Whether the catalog shows it.
    pub enabled: bool,
    /// Its name and description, and attributes that the server does not know.
    pub extra: Extra,
}

/// Where a service is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// The region.
    pub region_id: Option<RegionId>,
    /// The service.
    pub service_id: ServiceId,
    /// The URL, with places to fill.
    pub url: String,
    /// Whether the catalog shows it.
    pub enabled: bool,
    /// Attributes that the server does not know.
    pub extra: Extra,
}

/// Which endpoints to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointFilter {
    /// Only `public`, `internal` or `admin` ones.
    pub interface: Option<String>,
    /// Only those of this service.
    pub service_id: Option<ServiceId>,
    /// Only those in this region.
    pub region_id: Option<RegionId>,
}
