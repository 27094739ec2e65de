//! The methods of federated logins: older clients exchange the tokens of such logins under their names.
//! The logins themselves are a flow (`flows/federated_login.rs`).

use model::{Method, Timestamp};

use super::token::{confirm_source, exchange, find_token};
use super::{Answer, Attempt, AuthenticationMethod, Proof, proof, proves_nothing};
use crate::error::ApiError;
use crate::parts::Parts;

/// By the token of a federated login.
pub(super) struct ByFederatedToken(pub(super) Method);

impl AuthenticationMethod for ByFederatedToken {
    fn name(&self) -> Method {
        self.0.clone()
    }

    fn prove<'a>(&'a self, attempt: Attempt<'a>) -> Answer<'a, Proof> {
        Box::pin(async move {
            let name = &self.0;
            let text = proof(&attempt, name)["id"].as_str();
            let text = text.ok_or_else(|| proves_nothing(name))?;
            let source = find_token(attempt, text).await?;
            if source.token.federated_login().is_none() {
                let reason = format!("{name} wants a token of a federated login");
                return Err(ApiError::unauthorized(reason));
            }
            exchange(attempt, &source).await
        })
    }

    fn confirm<'a>(
        &'a self,
        parts: &'a Parts,
        proof: &'a mut Proof,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(confirm_source(parts, proof, now))
    }
}
