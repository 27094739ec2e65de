//! The userinfo endpoint (OpenID Connect Core §5.3).

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use model::{Secret, Timestamp};

use super::Oidc;
use super::discovery::Metadata;
use super::jwt::{Claims, Rules, refused};
use crate::driver::Failure;

impl Oidc {
    /// What the provider says of the user of an access token. Its answer may be signed (§5.3.2).
    pub(super) async fn userinfo(
        &self,
        metadata: &Metadata,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Claims, Failure> {
        let unavailable = |reason: &str| Failure::Unavailable(reason.to_owned());
        let url = metadata.userinfo.clone();
        let url = url.ok_or_else(|| unavailable("it has no userinfo endpoint"))?;
        let request = self.outbound.get(url);
        let request = request.header(ACCEPT, "application/json, application/jwt");
        let reply = self
            .outbound
            .send(request.bearer_auth(token.expose()))
            .await?;
        match reply.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(refused("userinfo does not accept the access token"));
            }
            status => return Err(unavailable(&format!("its userinfo answers {status}"))),
        }
        let kind = reply.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let claims = if kind.eq_ignore_ascii_case("application/jwt") {
            let text = std::str::from_utf8(&reply.body);
            let text = text.map_err(|_| unavailable("its userinfo is no text"))?;
            let audiences = [self.settings.client_id.as_str()];
            let rules = Rules {
                must_expire: false,
                ..self.rules(&audiences, now)
            };
            self.verify(text.trim(), &rules).await?.claims
        } else {
            let claims = serde_json::from_slice(&reply.body)
                .map_err(|_| unavailable("its userinfo is no JSON object"))?;
            Claims::of_reply(claims)
        };
        claims
            .subject()
            .map_err(|reason| unavailable(&format!("userinfo: {reason}")))?;
        Ok(claims)
    }
}
