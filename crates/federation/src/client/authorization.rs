//! What OpenID Connect and OAuth 2.0 have in common where a user is sent to log in: how the answer
//! comes back, and requests that are pushed to the provider first (RFC 9126).

use http::StatusCode;
use model::Secret;
use reqwest::Url;
use serde::Deserialize;

use crate::driver::{CheckResult, Failure};
use crate::outbound::{Reply, place};
use crate::settings::WrongSetting;

/// How the answer to an authorization request comes back (OAuth 2.0 Multiple Response Types §2.1,
/// OAuth 2.0 Form Post Response Mode §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    /// In the URL that the browser is sent back to.
    #[default]
    Query,
    /// In a form that the browser posts.
    FormPost,
}

impl ResponseMode {
    /// Reads the setting.
    ///
    /// # Errors
    ///
    /// [`WrongSetting`] for a mode that is not known here.
    pub(crate) fn read(given: Option<&str>) -> Result<Self, WrongSetting> {
        match given {
            None | Some("query") => Ok(Self::Query),
            Some("form_post") => Ok(Self::FormPost),
            Some(other) => {
                let reason = format!("'{other}' is not one of 'query' and 'form_post'.");
                Err(WrongSetting::new("response_mode", reason))
            }
        }
    }

    /// The parameter of the request, where it has to be said.
    pub(crate) fn parameter(self) -> Option<(&'static str, &'static str)> {
        (self == Self::FormPost).then_some(("response_mode", "form_post"))
    }

    /// Whether the provider says that it answers so.
    pub(crate) fn check(self, supported: Option<&[String]>) -> Option<CheckResult> {
        const STEP: &str = "response mode";
        let knows = |mode: &str| supported.is_some_and(|all| all.iter().any(|one| one == mode));
        match (self, supported) {
            (Self::FormPost, _) if knows("form_post") => Some(CheckResult::pass(
                STEP,
                "The provider posts its answer, as 'response_mode' is set.",
            )),
            // RFC 8414 §2: what is meant when it says nothing.
            (Self::FormPost, _) => Some(CheckResult::fail(
                STEP,
                "The provider does not say that it posts its answer, but 'response_mode' is \
                 'form_post'. Take the setting away.",
            )),
            (Self::Query, Some(_)) if !knows("query") && knows("form_post") => {
                Some(CheckResult::fail(
                    STEP,
                    "The provider does not answer in the URL, but posts its answer. Set response_mode \
                 to form_post.",
                ))
            }
            (Self::Query, _) => None,
        }
    }
}

/// What the provider says of pushed requests, and what is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushing {
    /// Where they are pushed to.
    pub(crate) endpoint: Option<Url>,
    /// Whether the provider takes no others (RFC 9126 §5).
    pub(crate) required: bool,
    /// Whether the endpoint was set by hand, so that requests are to be pushed.
    pub(crate) set: bool,
}

impl Pushing {
    /// Where to push a request; `None` when it goes by the URL.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] when it has to be pushed, and nothing says where.
    pub(crate) fn wanted(&self) -> Result<Option<&Url>, Failure> {
        match &self.endpoint {
            Some(url) if self.required || self.set => Ok(Some(url)),
            None if self.required => Err(Failure::Unavailable(
                "it takes pushed authorization requests alone, and its metadata have no \
                 pushed_authorization_request_endpoint"
                    .into(),
            )),
            _ => Ok(None),
        }
    }
}

/// The answer to a pushed request (RFC 9126 §2.2).
#[derive(Deserialize)]
struct Pushed {
    request_uri: Secret<String>,
}

/// An error of the provider's (RFC 6749 §5.2).
#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// The error that a provider answers with; `None` when the answer is none.
pub(crate) fn error_of(reply: &Reply) -> Option<String> {
    let answer = serde_json::from_slice::<ErrorAnswer>(&reply.body).ok()?;
    let plain = |letter: &char| matches!(letter, ' '..='~');
    Some(answer.error.chars().filter(plain).take(200).collect())
}

/// The URL at which the user logs in, after their request was pushed (RFC 9126 §4).
pub(crate) fn pushed(
    endpoint: &Url,
    reply: &Reply,
    authorization: &Url,
    client_id: &str,
) -> Result<Url, Failure> {
    let odd = |what: String| Failure::Unavailable(format!("{}: {what}", place(endpoint)));
    if !matches!(reply.status, StatusCode::CREATED | StatusCode::OK) {
        let said = error_of(reply).unwrap_or_else(|| reply.status.to_string());
        return Err(odd(format!("it answers '{said}' to a pushed request")));
    }
    let answer: Pushed = serde_json::from_slice(&reply.body)
        .map_err(|_| odd("the answer holds no request_uri (RFC 9126)".into()))?;
    let mut url = authorization.clone();
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("request_uri", answer.request_uri.expose());
    Ok(url)
}

/// What a token endpoint made of a code that nobody issued, brought with our client's proof.
pub(crate) enum MadeUpCode {
    /// There are tokens for it.
    Accepted,
    /// It is refused, with an error of RFC 6749 §5.2 or the provider's own.
    Error(String),
    /// There was another answer, or none.
    Failed(String),
}

impl MadeUpCode {
    /// What that says of the client. Providers that look at the code first say `invalid_grant` to
    /// strangers too.
    pub(crate) fn check_result(
        self,
        step: &'static str,
        url: &Url,
        callback_url: &str,
    ) -> CheckResult {
        let url = place(url);
        match self {
            Self::Accepted => CheckResult::fail(
                step,
                format!("{url} gave a token for a code that it never issued."),
            ),
            Self::Failed(why) => CheckResult::fail(step, format!("{}.", why.trim_end_matches('.'))),
            Self::Error(code) => match code.as_str() {
                "invalid_client" | "unauthorized_client" | "incorrect_client_credentials" => {
                    CheckResult::fail(
                        step,
                        format!(
                            "{url} answers {code}: look at client_id, client_secret and \
                             token_endpoint_auth_method. Some providers take a secret with special \
                             characters only by client_secret_post."
                        ),
                    )
                }
                "redirect_uri_mismatch" | "invalid_redirect_uri" => CheckResult::fail(
                    step,
                    format!("{url} answers {code}: register {callback_url} there."),
                ),
                "unsupported_grant_type" => CheckResult::fail(
                    step,
                    format!("{url} answers {code}: allow the authorization code grant there."),
                ),
                _ => CheckResult::pass(
                    step,
                    format!("{url} refuses a made-up code ({code}), as it should."),
                ),
            },
        }
    }
}

/// A code and a token that no provider issued.
pub(crate) const MADE_UP: &str = "archstone-check-of-the-settings";

/// A verifier of a code that no provider issued: it has the length that RFC 7636 §4.1 wants.
pub(crate) const MADE_UP_VERIFIER: &str = "archstone-check-of-the-settings-0123456789-abc";
