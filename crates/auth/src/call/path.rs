//! The variables of a request's path.

use model::ids;
use web::request::extract::Extract;
use web::request::{BadRequest, Request};

/// The variables of the path, in order.
pub struct Path<T>(pub T);

/// The type of one path variable: an id, or text.
pub trait Segment: From<String> {
    /// How variables of this type are called.
    const NAMES: &'static [&'static str];
}

/// A path variable that is no id.
pub struct Text(pub String);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Segment for Text {
    const NAMES: &'static [&'static str] = &["value"];
}

macro_rules! segments {
    ($($id:ident = $($name:literal)|+,)*) => {$(
        impl Segment for ids::$id {
            const NAMES: &'static [&'static str] = &[$($name),+];
        }
    )*};
}

segments! {
    AccessRuleId = "access_rule_id",
    ApplicationCredentialId = "application_credential_id",
    CredentialId = "credential_id",
    DomainId = "domain_id",
    EndpointId = "endpoint_id",
    GroupId = "group_id",
    IdentityProviderId = "idp_id",
    MappingId = "mapping_id",
    ProjectId = "project_id",
    ProtocolId = "protocol_id",
    RegionId = "region_id",
    RoleId = "role_id" | "prior_role_id" | "implied_role_id",
    ServiceId = "service_id",
    ServiceProviderId = "service_provider_id",
    TrustId = "trust_id",
    UserId = "user_id",
}

impl<A: Segment> Extract for Path<A> {
    const VARIABLES: &'static [&'static [&'static str]] = &[A::NAMES];

    fn extract(request: &Request) -> Result<Self, BadRequest> {
        Ok(Self(segment(request, 0)))
    }
}

impl<A: Segment, B: Segment> Extract for Path<(A, B)> {
    const VARIABLES: &'static [&'static [&'static str]] = &[A::NAMES, B::NAMES];

    fn extract(request: &Request) -> Result<Self, BadRequest> {
        Ok(Self((segment(request, 0), segment(request, 1))))
    }
}

impl<A: Segment, B: Segment, C: Segment> Extract for Path<(A, B, C)> {
    const VARIABLES: &'static [&'static [&'static str]] = &[A::NAMES, B::NAMES, C::NAMES];

    fn extract(request: &Request) -> Result<Self, BadRequest> {
        Ok(Self((
            segment(request, 0),
            segment(request, 1),
            segment(request, 2),
        )))
    }
}

fn segment<T: From<String>>(request: &Request, place: usize) -> T {
    let (_, value) = request
        .variables
        .get(place)
        .expect("a handler takes no more path variables than its operation declares");
    value.clone().into()
}
