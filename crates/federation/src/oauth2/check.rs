//! Tries a provider: everything that a login needs, as far as it goes without a user.

use model::{Secret, Timestamp};

use super::metadata::{self, Provider};
use super::requests::{self, NoToken};
use super::settings::{Settings, Source};
use crate::driver::{Failure, Finding};
use crate::outbound::Outbound;

/// A code and a token that no provider issued.
const NOBODYS: &str = "archstone-check-of-the-settings";

/// Where a check says that users come back to. The provider need not know it.
const NOWHERE: &str = "https://check.invalid/";

pub(super) async fn findings(
    settings: &Settings,
    outbound: &Outbound,
    now: Timestamp,
) -> Vec<Finding> {
    let provider = match metadata::fetch(settings, outbound).await {
        Ok(provider) => provider,
        Err(failure) => return vec![bad("metadata", &failure)],
    };
    let mut findings = Vec::new();
    if let Some(url) = &settings.metadata_url {
        let detail = format!("{url} answers with the provider's metadata.");
        findings.push(Finding::good("metadata", detail));
    }
    let mut sources = vec![settings.attributes];
    sources.extend(settings.bearer.filter(|by| *by != settings.attributes));
    findings.push(authorization(&provider, outbound).await);
    findings.push(token(&provider, settings, outbound).await);
    for source in sources {
        findings.push(match source {
            Source::Introspection => introspection(&provider, settings, outbound, now).await,
            Source::Userinfo => userinfo(&provider, outbound).await,
        });
    }
    findings
}

async fn authorization(provider: &Provider, outbound: &Outbound) -> Finding {
    let step = "authorization";
    let url = match metadata::needed(&provider.endpoints.authorization, "authorization_endpoint") {
        Ok(url) => url,
        Err(failure) => return bad(step, &failure),
    };
    // Without parameters, whatever it answers is good, as long as there is a page.
    match outbound.send(outbound.get(url.clone())).await {
        Err(failure) => bad(step, &failure),
        Ok(reply) if reply.status.is_server_error() || reply.status == 404 => {
            Finding::bad(step, format!("{url} answers {}.", reply.status))
        }
        Ok(reply) => Finding::good(step, format!("{url} answers ({}).", reply.status)),
    }
}

async fn token(provider: &Provider, settings: &Settings, outbound: &Outbound) -> Finding {
    let step = "token";
    let url = match metadata::needed(&provider.endpoints.token, "token_endpoint") {
        Ok(url) => url,
        Err(failure) => return bad(step, &failure),
    };
    let asked = requests::token(outbound, url, &settings.client, NOBODYS, NOWHERE, NOBODYS);
    match asked.await {
        Ok(_) => Finding::bad(
            step,
            format!("{url} gave a token for a code that it never issued."),
        ),
        Err(NoToken::Failure(failure)) => bad(step, &failure),
        Err(NoToken::Error(code)) => match code.as_str() {
            "invalid_client" | "unauthorized_client" | "incorrect_client_credentials" => {
                let detail = format!(
                    "{url} answers {code}: look at client_id, client_secret and \
                     token_endpoint_auth_method. Some providers take a secret with special \
                     characters only by client_secret_post."
                );
                Finding::bad(step, detail)
            }
            // Providers that look at the code first say this to strangers too.
            _ => Finding::good(
                step,
                format!("{url} refuses a made-up code ({code}), as it should."),
            ),
        },
    }
}

async fn introspection(
    provider: &Provider,
    settings: &Settings,
    outbound: &Outbound,
    now: Timestamp,
) -> Finding {
    let step = "introspection";
    let endpoint = &provider.endpoints.introspection;
    let url = match metadata::needed(endpoint, "introspection_endpoint") {
        Ok(url) => url,
        Err(failure) => return bad(step, &failure),
    };
    let nobodys = Secret::new(NOBODYS.to_owned());
    let client = &settings.client;
    match requests::introspection(outbound, url, client, &nobodys, now).await {
        Err(Failure::Refused(_)) => Finding::good(
            step,
            format!("{url} answers, and says that a made-up token is not active."),
        ),
        Err(failure) => Finding::bad(
            step,
            format!("{failure}; this client may have to be allowed to ask there."),
        ),
        Ok(_) => Finding::bad(step, format!("{url} takes a made-up token for a good one.")),
    }
}

async fn userinfo(provider: &Provider, outbound: &Outbound) -> Finding {
    let step = "userinfo";
    let url = match metadata::needed(&provider.endpoints.userinfo, "userinfo_endpoint") {
        Ok(url) => url,
        Err(failure) => return bad(step, &failure),
    };
    match requests::userinfo(outbound, url, &Secret::new(NOBODYS.to_owned())).await {
        Err(Failure::Refused(_)) => {
            Finding::good(step, format!("{url} answers, and refuses a made-up token."))
        }
        Err(failure) => bad(step, &failure),
        Ok(_) => Finding::bad(step, format!("{url} takes a made-up token for a good one.")),
    }
}

fn bad(step: &'static str, failure: &Failure) -> Finding {
    Finding::bad(step, format!("{failure}."))
}
