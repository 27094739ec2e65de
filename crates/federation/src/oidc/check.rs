//! Tries a provider, and says in plain words what works.

use http::StatusCode;
use model::{Secret, Timestamp};

use super::Oidc;
use super::discovery::{self, Discovered, Metadata};
use super::settings::{Bearer, ClientAuthentication};
use crate::FlowSecret;
use crate::client::authorization::{self, MADE_UP, MadeUpCode};
use crate::driver::{CheckResult, Failure};

impl Oidc {
    /// Asks the provider again, whatever is remembered of it.
    pub(super) async fn results(&self, callback_url: &str, now: Timestamp) -> Vec<CheckResult> {
        const STEP: &str = "discovery";
        let metadata = match discovery::fetch(&self.settings, &self.outbound).await {
            Ok(metadata) => metadata,
            Err(failure) => return vec![CheckResult::fail(STEP, sentence(&failure))],
        };
        let mut results = vec![match metadata.discovered {
            Some(_) => CheckResult::pass(STEP, "The metadata are of the issuer that is set."),
            None => CheckResult::pass(STEP, "It is not asked: the endpoints are set."),
        }];
        results.push(self.check_keys(&metadata).await);
        results.extend(self.check_userinfo(&metadata));
        results.extend(self.check_introspection(&metadata, now).await);
        if let Some(discovered) = &metadata.discovered {
            results.push(check_flow(discovered));
            results.push(check_pkce(discovered));
            let modes = discovered.response_modes_supported.as_deref();
            results.extend(self.settings.response_mode.check(modes));
            results.push(self.check_client(discovered));
            results.extend(self.check_scopes(discovered));
            results.extend(self.check_contexts(discovered));
            results.extend(self.check_signatures(discovered));
            results.push(check_logout(discovered));
        }
        results.extend(self.check_pushing(&metadata, callback_url, now).await);
        results.push(self.check_token(&metadata, callback_url, now).await);
        results
    }

    /// Brings a code that nobody issued, by which the provider shows whether it knows us.
    async fn check_token(
        &self,
        metadata: &Metadata,
        callback_url: &str,
        now: Timestamp,
    ) -> CheckResult {
        let secret = made_up_secret();
        let reply = self.bring_code(metadata, MADE_UP, &secret, callback_url, now);
        let answer = match reply.await {
            Err(failure) => MadeUpCode::Failed(sentence(&failure)),
            Ok(reply) => match authorization::error_of(&reply) {
                Some(code) if !reply.status.is_server_error() => MadeUpCode::Error(code),
                _ if reply.status == StatusCode::OK => MadeUpCode::Accepted,
                _ => MadeUpCode::Failed(format!("{} answers {}", metadata.token, reply.status)),
            },
        };
        answer.check_result("token", &metadata.token, callback_url)
    }

    /// Pushes a request that nobody will follow, where requests are pushed.
    async fn check_pushing(
        &self,
        metadata: &Metadata,
        callback_url: &str,
        now: Timestamp,
    ) -> Option<CheckResult> {
        const STEP: &str = "pushed request";
        let place = match metadata.pushing.wanted() {
            Ok(place) => place?,
            Err(failure) => return Some(CheckResult::fail(STEP, sentence(&failure))),
        };
        let request = self.authorization_request(&made_up_secret(), callback_url);
        Some(match self.push(metadata, place, &request, now).await {
            Ok(_) => CheckResult::pass(STEP, format!("{place} takes our authorization requests.")),
            Err(failure) => {
                let failure = sentence(&failure);
                let detail = format!(
                    "{failure} See whether {callback_url} is registered there, and the client."
                );
                CheckResult::fail(STEP, detail)
            }
        })
    }

    async fn check_keys(&self, metadata: &Metadata) -> CheckResult {
        const STEP: &str = "keys";
        match self.fetch_keys(metadata).await {
            Ok(keys) if keys.len() == 0 => CheckResult::fail(
                STEP,
                "The provider shows no key for a signature that is known here.",
            ),
            Ok(keys) => CheckResult::pass(STEP, format!("Keys to check by: {}.", keys.len())),
            Err(failure) => CheckResult::fail(STEP, sentence(&failure)),
        }
    }

    fn check_userinfo(&self, metadata: &Metadata) -> Option<CheckResult> {
        const STEP: &str = "userinfo";
        let wanted = self.settings.userinfo || self.settings.bearer == Some(Bearer::Userinfo);
        wanted.then(|| match metadata.userinfo {
            Some(_) => CheckResult::pass(STEP, "The provider has a userinfo endpoint."),
            None => CheckResult::fail(
                STEP,
                "The provider has no userinfo endpoint, and it is to be asked there. Set \
                 userinfo_endpoint.",
            ),
        })
    }

    /// Asks of a token that nobody issued, for a provider may let only some clients ask.
    async fn check_introspection(
        &self,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Option<CheckResult> {
        const STEP: &str = "introspection";
        if self.settings.bearer != Some(Bearer::Introspection) {
            return None;
        }
        if metadata.introspection.is_none() {
            return Some(CheckResult::fail(
                STEP,
                "The provider has no introspection endpoint, so no bearer's token is accepted. \
                 Set introspection_endpoint.",
            ));
        }
        let made_up = Secret::new(MADE_UP.to_owned());
        Some(match self.by_introspection(&made_up, now).await {
            Err(Failure::Refused(_)) => CheckResult::pass(
                STEP,
                "The introspection endpoint answers, and does not take a made-up token.",
            ),
            Err(failure) => {
                let failure = sentence(&failure);
                let detail = format!("{failure} This client may have to be allowed to ask there.");
                CheckResult::fail(STEP, detail)
            }
            Ok(_) => CheckResult::fail(STEP, "The provider takes a made-up token for a good one."),
        })
    }

    fn check_client(&self, discovered: &Discovered) -> CheckResult {
        const STEP: &str = "client authentication";
        let method = self.settings.client.as_str();
        let basic = matches!(self.settings.client, ClientAuthentication::Basic(_));
        match &discovered.token_endpoint_auth_methods_supported {
            Some(known) if !known.iter().any(|known| known == method) => {
                let known = known.join(", ");
                let detail = format!(
                    "The provider does not accept '{method}', but: {known}. Set \
                     token_endpoint_auth_method to one of them."
                );
                CheckResult::fail(STEP, detail)
            }
            // OpenID Connect Discovery §3: what is meant when it says nothing.
            None if !basic => {
                let detail = format!("The provider does not say whether it accepts '{method}'.");
                CheckResult::pass(STEP, detail)
            }
            _ => CheckResult::pass(STEP, format!("The provider accepts '{method}'.")),
        }
    }

    fn check_scopes(&self, discovered: &Discovered) -> Option<CheckResult> {
        const STEP: &str = "scopes";
        let known = discovered.scopes_supported.as_ref()?;
        let ours = self.settings.scopes.iter().map(String::as_str);
        let unknown: Vec<_> = ours
            .filter(|ours| !known.iter().any(|known| known == ours))
            .collect();
        Some(match unknown.is_empty() {
            true => CheckResult::pass(STEP, "The provider knows all scopes that are set."),
            false => {
                let detail = format!(
                    "The provider does not list: {}. It may leave out what it does not know, or \
                     refuse logins.",
                    unknown.join(", ")
                );
                CheckResult::warn(STEP, detail)
            }
        })
    }

    /// Whether the provider can authenticate users as it is asked to.
    fn check_contexts(&self, discovered: &Discovered) -> Option<CheckResult> {
        const STEP: &str = "authentication context";
        let known = discovered.acr_values_supported.as_ref()?;
        let knows = |asked: &str| known.iter().any(|known| known == asked);
        let mut contexts = self.settings.requested.contexts().peekable();
        contexts.peek()?;
        let unknown = contexts.find(|asked| !asked.iter().any(|asked| knows(asked)));
        Some(match unknown {
            None => CheckResult::pass(STEP, "The provider lists an acr that is asked for."),
            Some(asked) => CheckResult::warn(
                STEP,
                format!(
                    "The provider lists the acr values {}, and none of those that are asked for: \
                     {}. Anyone who logs in otherwise is refused.",
                    known.join(", "),
                    asked.join(", ")
                ),
            ),
        })
    }

    fn check_signatures(&self, discovered: &Discovered) -> Option<CheckResult> {
        const STEP: &str = "signatures";
        let known = discovered.id_token_signing_alg_values_supported.as_ref()?;
        let ours = self.settings.algorithms.iter();
        let common: Vec<_> = ours
            .map(|ours| format!("{ours:?}"))
            .filter(|ours| known.contains(ours))
            .collect();
        let (known, common) = (known.join(", "), common.join(", "));
        Some(match common.is_empty() {
            true => CheckResult::fail(
                STEP,
                format!("The provider signs by: {known}; none is accepted."),
            ),
            false => CheckResult::pass(STEP, format!("The provider signs by: {common}.")),
        })
    }
}

fn check_flow(discovered: &Discovered) -> CheckResult {
    const STEP: &str = "flow";
    let types = discovered.response_types_supported.as_deref();
    match types.unwrap_or_default().iter().any(|kind| kind == "code") {
        true => CheckResult::pass(STEP, "The provider supports the authorization code flow."),
        false => CheckResult::fail(
            STEP,
            "The provider does not say that it supports the authorization code flow, which is the \
             one that is used.",
        ),
    }
}

fn check_pkce(discovered: &Discovered) -> CheckResult {
    const STEP: &str = "pkce";
    match &discovered.code_challenge_methods_supported {
        Some(methods) if methods.iter().any(|method| method == "S256") => {
            CheckResult::pass(STEP, "The provider supports PKCE with S256.")
        }
        Some(_) => CheckResult::warn(
            STEP,
            "The provider does not support PKCE with S256: it may not notice a stolen code. Logins \
             still work, and the nonce guards them.",
        ),
        None => CheckResult::pass(
            STEP,
            "The provider does not say whether it supports PKCE; it is used all the same.",
        ),
    }
}

fn check_logout(discovered: &Discovered) -> CheckResult {
    const STEP: &str = "back-channel logout";
    match discovered.backchannel_logout_supported {
        Some(true) => CheckResult::pass(STEP, "The provider can tell us when a session ends."),
        _ => CheckResult::warn(
            STEP,
            "The provider does not say that it tells when a session ends: tokens live on.",
        ),
    }
}

/// The secret of a login that nobody began.
fn made_up_secret() -> FlowSecret {
    FlowSecret::new([0; 32])
}

/// A failure as a sentence of its own.
fn sentence(failure: &Failure) -> String {
    let text = failure.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
