//! Tokens of the provider that a client brings (RFC 6750).

use http::StatusCode;
use model::{Secret, Timestamp};

use super::Oidc;
use super::exchange::refusal;
use super::jwt::{Claims, Rules, refused};
use super::logout::LOGOUT_EVENT;
use super::settings::Bearer;
use crate::client::introspection::{is_access_or_id_token, is_bearers};
use crate::driver::{Failure, NO_BEARER, ProviderSession, Verified};

impl Oidc {
    pub(super) async fn judge_bearer(
        &self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Verified, Failure> {
        let Some(by) = self.settings.bearer else {
            return Err(Failure::NotSupported(NO_BEARER));
        };
        if !is_token(token.expose()) {
            return Err(refused("a bearer's token has no such letters"));
        }
        let claims = match by {
            Bearer::Jwt => self.by_signature(token, now).await?,
            Bearer::Introspection => {
                let asked = self.by_introspection(token, now);
                self.bearing.ask([token.expose().as_bytes()], asked).await?
            }
            Bearer::Userinfo => {
                let asked = self.by_userinfo(token, now);
                self.bearing.ask([token.expose().as_bytes()], asked).await?
            }
        };
        self.check_authentication(&claims, None, now)?;
        // A token that a client got for itself has no subject but the client (RFC 7662 §2.2), and
        // ends with no session. What else vouches for a user has to name one.
        let client = claims.text("client_id").is_some();
        let session = match (by, claims.subject()) {
            (_, Ok(subject)) => Some(ProviderSession {
                subject: subject.to_owned(),
                id: claims.text("sid").map(str::to_owned),
            }),
            (Bearer::Introspection, Err(_)) if client => None,
            (_, Err(reason)) => return Err(refused(reason)),
        };
        // A token that is bound to a key is worth nothing to who cannot show that key, and a
        // bearer does not (RFC 9449 §7.1, RFC 8705 §3).
        if claims.value("cnf").is_some() {
            return Err(refused("the token is bound to a key"));
        }
        Ok(Verified {
            assertion: self.assertion(&claims),
            replay_id: None,
            session,
        })
    }

    /// For whom a bearer's token may be.
    fn audiences(&self) -> Vec<&str> {
        let more = self.settings.bearer_audiences.iter().map(String::as_str);
        more.chain([self.settings.client_id.as_str()]).collect()
    }

    /// An ID token, or an access token in the form of RFC 9068.
    async fn by_signature(
        &self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Claims, Failure> {
        let audiences = self.audiences();
        let rules = Rules {
            types: &["jwt", "at+jwt"],
            ..self.rules(&audiences, now)
        };
        let claims = self.verify(token.expose(), &rules).await?.claims;
        // One that only renews others is signed by the same key, and may be for us.
        if !is_access_or_id_token(|name| claims.value(name)) {
            return Err(refused("it is neither an access token nor an ID token"));
        }
        self.check_bearers_client(&claims)?;
        // A logout token that does not say so in its header is still none to log in by (OpenID
        // Connect Back-Channel Logout 1.0 §3.2).
        let events = claims.value("events");
        if events.is_some_and(|events| events.get(LOGOUT_EVENT).is_some()) {
            return Err(refused("it is a logout token"));
        }
        Ok(claims)
    }

    /// Any token, whose user the provider tells of.
    async fn by_userinfo(&self, token: &Secret<String>, now: Timestamp) -> Result<Claims, Failure> {
        let metadata = self.metadata(now).await?;
        let claims = self.userinfo(&metadata, token, now).await?;
        let requested = &self.settings.requested;
        let asked_for = requested.check_userinfo(|name| claims.value(name));
        asked_for.map_err(refused)?;
        Ok(claims)
    }

    /// Any token, of which the provider says whether it is good (RFC 7662 §2).
    pub(super) async fn by_introspection(
        &self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Claims, Failure> {
        let unavailable = |reason: &str| Failure::Unavailable(reason.to_owned());
        let metadata = self.metadata(now).await?;
        let url = metadata.introspection.clone();
        let url = url.ok_or_else(|| unavailable("it has no introspection endpoint"))?;
        let form = [
            ("token", token.expose().as_str()),
            ("token_type_hint", "access_token"),
        ];
        let request = self.as_client(&metadata, url, &form, now)?;
        let reply = self.outbound.send(request).await?;
        if reply.status != StatusCode::OK {
            return Err(refusal("introspection endpoint", &reply));
        }
        let claims = serde_json::from_slice(&reply.body)
            .map_err(|_| unavailable("its introspection is no JSON object"))?;
        let claims = Claims::of_reply(claims);
        if claims.value("active") != Some(&true.into()) {
            return Err(refused("the provider says that the token is not active"));
        }
        claims
            .check_times(now, self.settings.clock_skew, false)
            .map_err(refused)?;
        let issuer = claims.value("iss");
        if issuer.is_some_and(|issuer| issuer != self.settings.issuer.as_str()) {
            let ours = [self.settings.issuer.as_str()];
            let reason = claims.differs("the token is of another issuer", "iss", &ours);
            return Err(refused(reason));
        }
        if !is_bearers(|member| claims.value(member)) {
            return Err(refused("the token is no bearer's access token"));
        }
        self.check_audience(&claims)?;
        self.check_bearers_client(&claims)?;
        Ok(claims)
    }

    /// To which clients a bearer's token may be issued.
    fn clients(&self) -> Vec<&str> {
        let more = self.settings.bearer_clients.iter().map(String::as_str);
        more.chain([self.settings.client_id.as_str()]).collect()
    }

    /// To which client the token was issued, when it tells (OpenID Connect Core §2): an audience that
    /// many clients share says little.
    fn check_bearers_client(&self, claims: &Claims) -> Result<(), Failure> {
        let clients = self.clients();
        let told = claims.value("azp");
        if told.is_some_and(|told| !clients.iter().any(|client| told == client)) {
            let what = "the token was issued to another client";
            let reason = claims.differs(what, "azp", &clients);
            return Err(refused(format!("{reason} (bearer_clients)")));
        }
        Ok(())
    }

    /// For whom the token is, when the provider tells: else to which client it was issued. One of
    /// which it tells neither may be anybody's.
    fn check_audience(&self, claims: &Claims) -> Result<(), Failure> {
        let mut accepted = self.audiences();
        let (name, told) = match claims.value("aud") {
            Some(_) => ("aud", claims.audiences()),
            None => {
                accepted.extend(self.settings.bearer_clients.iter().map(String::as_str));
                ("client_id", claims.text("client_id").into_iter().collect())
            }
        };
        if !told.iter().any(|name| accepted.contains(name)) {
            let reason = claims.differs("the token is for another audience", name, &accepted);
            return Err(refused(reason));
        }
        Ok(())
    }
}

/// Whether a text can be a bearer's token at all (RFC 6750 §2.1).
fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(letter)
}
