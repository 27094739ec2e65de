//! The ID token (OpenID Connect Core §3.1.3.7).

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use model::Timestamp;

use super::Oidc;
use super::exchange::Tokens;
use super::jwt::{Claims, refused};
use crate::FlowSecret;
use crate::driver::Failure;

impl Oidc {
    /// Checks the ID token of a login in every way that the document names.
    pub(super) async fn check_id_token(
        &self,
        tokens: &Tokens,
        secret: &FlowSecret,
        began: Timestamp,
        now: Timestamp,
    ) -> Result<Claims, Failure> {
        let audiences = [self.settings.client_id.as_str()];
        let rules = self.rules(&audiences, now);
        let verified = self.verify(tokens.id_token.expose(), &rules).await?;
        let claims = verified.claims;
        claims.subject().map_err(refused)?;
        if claims.value("iat").is_none() {
            return Err(refused("the ID token does not say when it was issued"));
        }
        let nonce = claims.text("nonce").unwrap_or_default();
        if !secret.matches("nonce", nonce) {
            return Err(refused("the nonce is not the one of this login"));
        }
        self.check_party(&claims)?;
        check_access_token(&claims, tokens.access_token.expose(), verified.algorithm)?;
        self.check_authentication(&claims, Some(began), now)?;
        Ok(claims)
    }

    /// Numbers 4 and 5: a token for several audiences says to whom it was issued: to us.
    fn check_party(&self, claims: &Claims) -> Result<(), Failure> {
        let party = claims.value("azp");
        if party.is_none() && claims.audiences().len() > 1 {
            return Err(refused("it has several audiences and no authorized party"));
        }
        if party.is_some() && claims.text("azp") != Some(&self.settings.client_id) {
            let ours = [self.settings.client_id.as_str()];
            return Err(refused(claims.differs(
                "it was issued to another client",
                "azp",
                &ours,
            )));
        }
        Ok(())
    }

    /// Numbers 12 and 13: how and when the user was authenticated is as we asked. `began` is when the
    /// login began here; `None` for a token that a client brings.
    pub(super) fn check_authentication(
        &self,
        claims: &Claims,
        began: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let requested = &self.settings.requested;
        let how = requested.check_claims(|name| claims.value(name));
        how.map_err(refused)?;
        let told = claims.time("auth_time").map_err(refused)?;
        let when = requested.check_time(told, began, now, self.settings.clock_skew);
        when.map_err(refused)
    }
}

/// Checks that the access token came with this ID token (OpenID Connect Core §3.1.3.8).
fn check_access_token(claims: &Claims, token: &str, signed: Algorithm) -> Result<(), Failure> {
    if claims.value("at_hash").is_none() {
        return Ok(());
    }
    let hash = match signed {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        // The hash inside Ed25519 is SHA-512.
        _ => &digest::SHA512,
    };
    let hash = digest::digest(hash, token.as_bytes());
    let (half, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    if claims.text("at_hash") != Some(&BASE64_URL_SAFE_NO_PAD.encode(half)) {
        return Err(refused("the access token is not the one of the ID token"));
    }
    Ok(())
}
