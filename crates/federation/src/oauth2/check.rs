//! Tries a provider: everything that a login needs, as far as it goes without a user.

use model::{Secret, Timestamp};

use super::metadata::{self, Provider};
use super::requests::{self, NoToken};
use super::settings::{Settings, Source};
use super::{OAuth2, challenge};
use crate::client::authorization::{self, MADE_UP, MADE_UP_VERIFIER, MadeUpCode};
use crate::driver::{CheckResult, Failure};
use crate::outbound::Outbound;

pub(super) async fn results(
    oauth2: &OAuth2,
    callback_url: &str,
    now: Timestamp,
) -> Vec<CheckResult> {
    let (settings, outbound) = (&oauth2.settings, &oauth2.outbound);
    let provider = match metadata::fetch(settings, outbound).await {
        Ok(provider) => provider,
        Err(failure) => return vec![fail("metadata", &failure)],
    };
    let mut results = Vec::new();
    if let Some(url) = &settings.metadata_url {
        let detail = format!("{url} answers with the provider's metadata.");
        results.push(CheckResult::pass("metadata", detail));
        let supported = provider.response_modes.as_deref();
        results.extend(settings.response_mode.check(supported));
    }
    let mut sources = vec![settings.attributes];
    sources.extend(settings.bearer.filter(|by| *by != settings.attributes));
    results.push(authorization(&provider, outbound).await);
    results.extend(pushed_request(oauth2, &provider, callback_url).await);
    results.push(token(&provider, settings, outbound, callback_url).await);
    for source in sources {
        results.push(match source {
            Source::Introspection => introspection(&provider, settings, outbound, now).await,
            Source::Userinfo => userinfo(&provider, outbound).await,
        });
    }
    results
}

/// Pushes a request that nobody will follow.
async fn pushed_request(
    oauth2: &OAuth2,
    provider: &Provider,
    callback_url: &str,
) -> Option<CheckResult> {
    let step = "pushed request";
    let place = match provider.pushing.wanted() {
        Ok(place) => place?,
        Err(failure) => return Some(fail(step, &failure)),
    };
    let request = oauth2.authorization_request(callback_url, MADE_UP, &challenge(MADE_UP_VERIFIER));
    let client = &oauth2.settings.client;
    let reply = requests::push(&oauth2.outbound, place, client, &request).await;
    let pushed = reply.and_then(|reply| authorization::pushed(place, &reply, place, &client.id));
    Some(match pushed {
        Ok(_) => CheckResult::pass(step, format!("{place} takes our authorization requests.")),
        Err(failure) => CheckResult::fail(
            step,
            format!("{failure}: see whether {callback_url} is registered there, and the client."),
        ),
    })
}

async fn authorization(provider: &Provider, outbound: &Outbound) -> CheckResult {
    let step = "authorization";
    let url = match metadata::needed(&provider.endpoints.authorization, "authorization_endpoint") {
        Ok(url) => url,
        Err(failure) => return fail(step, &failure),
    };
    // Without parameters, whatever it answers is good, as long as there is a page.
    match outbound.send(outbound.get(url.clone())).await {
        Err(failure) => fail(step, &failure),
        Ok(reply) if reply.status.is_server_error() || reply.status == 404 => {
            CheckResult::fail(step, format!("{url} answers {}.", reply.status))
        }
        Ok(reply) => CheckResult::pass(step, format!("{url} answers ({}).", reply.status)),
    }
}

async fn token(
    provider: &Provider,
    settings: &Settings,
    outbound: &Outbound,
    callback_url: &str,
) -> CheckResult {
    let step = "token";
    let url = match metadata::needed(&provider.endpoints.token, "token_endpoint") {
        Ok(url) => url,
        Err(failure) => return fail(step, &failure),
    };
    let (client, verifier) = (&settings.client, MADE_UP_VERIFIER);
    let asked = requests::token(outbound, url, client, MADE_UP, callback_url, verifier);
    let answer = match asked.await {
        Ok(_) => MadeUpCode::Accepted,
        Err(NoToken::Failure(failure)) => MadeUpCode::Failed(failure.to_string()),
        Err(NoToken::Error(code)) => MadeUpCode::Error(code),
    };
    answer.check_result(step, url, callback_url)
}

async fn introspection(
    provider: &Provider,
    settings: &Settings,
    outbound: &Outbound,
    now: Timestamp,
) -> CheckResult {
    let step = "introspection";
    let endpoint = &provider.endpoints.introspection;
    let url = match metadata::needed(endpoint, "introspection_endpoint") {
        Ok(url) => url,
        Err(failure) => return fail(step, &failure),
    };
    let made_up = Secret::new(MADE_UP.to_owned());
    let client = &settings.client;
    match requests::introspection(outbound, url, client, &made_up, now).await {
        Err(Failure::Refused(_)) => CheckResult::pass(
            step,
            format!("{url} answers, and says that a made-up token is not active."),
        ),
        Err(failure) => CheckResult::fail(
            step,
            format!("{failure}; this client may have to be allowed to ask there."),
        ),
        Ok(_) => CheckResult::fail(step, format!("{url} takes a made-up token for a good one.")),
    }
}

async fn userinfo(provider: &Provider, outbound: &Outbound) -> CheckResult {
    let step = "userinfo";
    let url = match metadata::needed(&provider.endpoints.userinfo, "userinfo_endpoint") {
        Ok(url) => url,
        Err(failure) => return fail(step, &failure),
    };
    match requests::userinfo(outbound, url, &Secret::new(MADE_UP.to_owned())).await {
        Err(Failure::Refused(_)) => {
            CheckResult::pass(step, format!("{url} answers, and refuses a made-up token."))
        }
        Err(failure) => fail(step, &failure),
        Ok(_) => CheckResult::fail(step, format!("{url} takes a made-up token for a good one.")),
    }
}

fn fail(step: &'static str, failure: &Failure) -> CheckResult {
    CheckResult::fail(step, format!("{failure}."))
}
