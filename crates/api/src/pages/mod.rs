//! The pages that people see: few, served by the server itself, with nothing loaded from
//! elsewhere.

use askama::Template;
use auth::error::ApiError;
use auth::parts::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use http::{Response, StatusCode, header};
use web::failure::{ErrorContext, Failure};
use web::reply::{Body, Page};
use web::request::BadRequest;

/// A page on which people choose an identity provider.
#[derive(Template)]
#[template(path = "choose.html")]
struct Choose<'a> {
    nonce: &'a str,
    choices: &'a [Choice],
}

/// One identity provider and protocol to choose.
pub struct Choice {
    /// Where to begin.
    pub url: String,
    /// What people call it.
    pub name: String,
    /// A sentence about it.
    pub about: Option<String>,
}

/// A form that posts itself.
#[derive(Template)]
#[template(path = "post.html")]
struct Post<'a> {
    nonce: &'a str,
    title: &'a str,
    form: &'a str,
    action: &'a str,
    fields: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    nonce: &'a str,
    title: &'a str,
    explanation: &'a str,
    retry: Option<&'a str>,
    request_id: &'a str,
}

/// Lets people choose.
///
/// # Errors
///
/// 500 when the page cannot be written.
pub fn choose(parts: &Parts, choices: &[Choice]) -> Result<Page, ApiError> {
    let nonce = nonce(parts);
    let page = Choose {
        nonce: &nonce,
        choices,
    };
    render(&page, &nonce, "'none'")
}

/// Hands a token to a dashboard, by the form that Horizon expects.
///
/// # Errors
///
/// 500 when the page cannot be written.
pub fn hand_over(parts: &Parts, origin: &str, token: &str) -> Result<Page, ApiError> {
    let fields = [("token".to_owned(), token.to_owned())];
    post(parts, "Logging you in", "sso", origin, &fields)
}

/// Sends the browser on with a form.
///
/// # Errors
///
/// 500 when the page cannot be written.
pub fn forward(parts: &Parts, action: &str, fields: &[(String, String)]) -> Result<Page, ApiError> {
    post(
        parts,
        "Going to your identity provider",
        "forward",
        action,
        fields,
    )
}

fn post(
    parts: &Parts,
    title: &str,
    form: &str,
    action: &str,
    fields: &[(String, String)],
) -> Result<Page, ApiError> {
    let nonce = nonce(parts);
    let page = Post {
        nonce: &nonce,
        title,
        form,
        action,
        fields,
    };
    // Browsers judge the redirects that follow a form by the same rule, and where those lead
    // is not ours to know.
    render(&page, &nonce, "http: https:")
}

fn render(page: &impl Template, nonce: &str, form_action: &str) -> Result<Page, ApiError> {
    Ok(Page::new(
        page.render().map_err(ApiError::internal)?,
        format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
             form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
        ),
    ))
}

/// The page that an operator wrote, whose scripts and styles are theirs to answer for.
pub fn written_by_operator(html: String) -> Page {
    Page::new(html, "frame-ancestors 'none'".into())
}

fn nonce(parts: &Parts) -> String {
    let mut bytes = [0; 18];
    parts.random.fill(&mut bytes);
    BASE64_STANDARD_NO_PAD.encode(bytes)
}

/// Why a request of a browser failed: a page for people, the usual document for everybody else.
#[derive(Debug)]
pub struct PageError {
    error: Box<ApiError>,
    /// Where to begin again; `None` when that would not help.
    retry: Option<String>,
}

impl PageError {
    /// Offers to begin again there.
    #[must_use]
    pub fn retry(mut self, url: String) -> Self {
        self.retry = Some(url);
        self
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self {
            error: Box::new(error),
            retry: None,
        }
    }
}

impl From<store::StoreError> for PageError {
    fn from(error: store::StoreError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<federation::Failure> for PageError {
    fn from(failure: federation::Failure) -> Self {
        ApiError::from(failure).into()
    }
}

impl From<BadRequest> for PageError {
    fn from(complaint: BadRequest) -> Self {
        ApiError::from(complaint).into()
    }
}

impl Failure for PageError {
    fn into_response(self, context: &ErrorContext<'_>) -> Response<Body> {
        let status = self.error.status();
        let (title, explanation) = self.explain(context.insecure_debug);
        if context.wants_html && !self.error.is_logged() {
            // People see less of it than programs.
            tracing::info!(reason = %self.error, "the page of a failure was shown");
        }
        let mut response = (*self.error).into_response(context);
        if !context.wants_html {
            return response;
        }
        let page = FailurePage {
            nonce: context.request_id,
            title,
            explanation: &explanation,
            retry: self.retry.as_deref(),
            request_id: context.request_id,
        };
        // The nonce need not be secret where no script runs and no text of others is a tag.
        if let Ok(page) = render(&page, context.request_id, "'none'") {
            let (html, headers) = page.into_parts();
            let mut answer = Response::new(Body::from(html));
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            if let Some(value) = response.headers_mut().remove(header::RETRY_AFTER) {
                answer.headers_mut().insert(header::RETRY_AFTER, value);
            }
            return answer;
        }
        response
    }

    fn should_retry(&self) -> bool {
        self.error.should_retry()
    }
}

impl PageError {
    /// What to tell people, who cannot do much with the words that programs get.
    fn explain(&self, insecure_debug: bool) -> (&'static str, String) {
        let said = self.error.message(insecure_debug);
        match self.error.status() {
            StatusCode::UNAUTHORIZED if !insecure_debug => (
                "The login failed",
                "Your identity provider did not confirm who you are, or you have no account \
                 here."
                    .into(),
            ),
            StatusCode::FORBIDDEN => ("You cannot log in here", said),
            // The name of what does not exist was chosen by the author of the link.
            StatusCode::NOT_FOUND => (
                "There is no such login",
                "The address names an identity provider, or a way to log in with it, that this \
                 cloud does not have."
                    .into(),
            ),
            StatusCode::SERVICE_UNAVAILABLE => (
                "You cannot log in right now",
                "Your identity provider, or something else that is needed, did not answer as it \
                 should. Try again in a moment."
                    .into(),
            ),
            StatusCode::INTERNAL_SERVER_ERROR => (
                "Something went wrong on our side",
                "The login could not be completed. It is not your fault, and an operator has to \
                 look into it."
                    .into(),
            ),
            _ => ("The login failed", said),
        }
    }
}
