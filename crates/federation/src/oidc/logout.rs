//! The provider says that a session has ended (OpenID Connect Back-Channel Logout 1.0).

use chrono::TimeDelta;
use model::{Secret, Timestamp};

use super::Oidc;
use super::jwt::{Rules, refused};
use crate::driver::{Failure, ProviderSessionEnd, ReplayId};

/// The event that makes a token a logout token (§2.4).
pub(super) const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Older messages are not accepted, so that they need not be remembered for longer.
const MAX_AGE: TimeDelta = TimeDelta::minutes(5);

impl Oidc {
    /// Checks a logout token (§2.6).
    pub(super) async fn judge_logout(
        &self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<ProviderSessionEnd, Failure> {
        let audiences = [self.settings.client_id.as_str()];
        // Providers of before 2022 send no `exp`; the age is judged by `iat`.
        let rules = Rules {
            types: &["jwt", "logout+jwt"],
            must_expire: false,
            ..self.rules(&audiences, now)
        };
        let claims = self.verify(token.expose(), &rules).await?.claims;
        let text = |name: &str| claims.text(name).map(str::to_owned);
        let (subject, session) = (text("sub"), text("sid"));
        if subject.is_none() && session.is_none() {
            return Err(refused("the logout token names neither user nor session"));
        }
        let event = claims.value("events").and_then(|all| all.get(LOGOUT_EVENT));
        if !event.is_some_and(serde_json::Value::is_object) {
            return Err(refused("it is no logout token"));
        }
        // An ID token is never taken for one.
        if claims.value("nonce").is_some() {
            return Err(refused("a logout token has no nonce"));
        }
        let issued = claims.time("iat").map_err(refused)?;
        let issued = issued.ok_or_else(|| refused("it does not say when it was issued"))?;
        let until = issued + MAX_AGE + self.settings.clock_skew;
        if until <= now {
            return Err(refused("the logout token is too old"));
        }
        let id = text("jti").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| refused("the logout token has no name of its own"))?;
        Ok(ProviderSessionEnd {
            subject,
            id: session,
            replay_id: ReplayId {
                id: format!("logout:{id}"),
                until,
            },
        })
    }
}
