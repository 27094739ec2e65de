//! Tries a provider: everything that a login needs, as far as it goes without a user.

use http::Method;
use model::{Secret, Timestamp};

use super::{Credentials, OAuth1, with_state};
use crate::client::authorization::MADE_UP;
use crate::driver::CheckResult;

pub(super) async fn results(
    oauth1: &OAuth1,
    callback_url: &str,
    now: Timestamp,
) -> Vec<CheckResult> {
    let settings = &oauth1.settings;
    // A nonce has to be new for its second alone, and a token.
    let nonce = format!("check{}", now.timestamp_micros());
    let (post, get) = (Method::POST, Method::GET);
    vec![
        request_token(oauth1, callback_url, (&nonce, now)).await,
        authorization(oauth1).await,
        signed(
            "access token",
            oauth1,
            post,
            &settings.access_token,
            (&nonce, now),
        )
        .await,
        signed(
            "attributes",
            oauth1,
            get,
            &settings.attributes,
            (&nonce, now),
        )
        .await,
    ]
}

async fn request_token(
    oauth1: &OAuth1,
    callback_url: &str,
    fresh: (&str, Timestamp),
) -> CheckResult {
    let callback_url = with_state(callback_url, MADE_UP);
    let (works, detail) = match oauth1.temporary(&callback_url, fresh).await {
        Ok(_) => (
            true,
            "The provider accepts the signature, and gives a request token.".into(),
        ),
        Err(failure) => (
            false,
            format!(
                "{failure}. Look at consumer_key, consumer_secret and signature_method; some \
                 providers also refuse a callback that they do not know: it is {callback_url}."
            ),
        ),
    };
    CheckResult {
        step: "request token",
        works,
        needed: true,
        detail,
    }
}

async fn authorization(oauth1: &OAuth1) -> CheckResult {
    let url = &oauth1.settings.authorization;
    // Without a token, whatever it answers is good, as long as there is a page.
    let page = oauth1.outbound.send(oauth1.outbound.get(url.clone())).await;
    let (works, detail) = match page {
        Ok(reply) => {
            let missing = reply.status.is_server_error() || reply.status == 404;
            (!missing, format!("{url} answers {}.", reply.status))
        }
        Err(failure) => (false, format!("{failure}.")),
    };
    CheckResult {
        step: "authorization",
        works,
        needed: true,
        detail,
    }
}

/// Brings a made-up token, which has to be refused.
async fn signed(
    step: &'static str,
    oauth1: &OAuth1,
    method: Method,
    url: &reqwest::Url,
    (nonce, now): (&str, Timestamp),
) -> CheckResult {
    let nobody = Credentials {
        token: MADE_UP.into(),
        secret: Secret::new(MADE_UP.into()),
    };
    let verifier = [("oauth_verifier", MADE_UP)];
    let more = if method == Method::POST {
        &verifier[..]
    } else {
        &[]
    };
    let reply = oauth1.signed(method, url, Some(&nobody), more, (nonce, now));
    let (works, detail) = match reply.await {
        Ok(reply) if matches!(reply.status.as_u16(), 400 | 401 | 403) => {
            (true, format!("{url} answers, and refuses a made-up token."))
        }
        Ok(reply) => (
            false,
            format!("{url} answers {} to a made-up token.", reply.status),
        ),
        Err(failure) => (false, format!("{failure}.")),
    };
    CheckResult {
        step,
        works,
        needed: true,
        detail,
    }
}
