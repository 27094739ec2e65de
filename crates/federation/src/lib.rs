//! Federated login, as relying party: one driver for each protocol, behind one trait.
//!
//! A driver sends the user to a provider ([`Driver::begin`]), judges what comes back
//! ([`Driver::complete`], [`Driver::bearer`]), and yields an [`Assertion`](model::Assertion).
//! Nothing after that knows which protocol it came by.

mod client;
mod driver;
mod kind;
pub mod oauth1;
pub mod oauth2;
pub mod oidc;
pub mod outbound;
pub mod saml2;
pub mod settings;

pub use driver::flow_secret::FlowSecret;
pub use driver::{
    Answer, AuthorizationRequest, Callback, CheckResult, Driver, Failure, FindLogin, Login,
    ProviderSession, ProviderSessionEnd, Redirect, ReplayId, Verified,
};
pub use kind::DriverKind;
pub use oauth1::OAuth1;
pub use oauth2::OAuth2;
pub use outbound::Outbound;
pub use outbound::readers::Readers;
pub use saml2::Saml2;
pub use settings::WrongSetting;
