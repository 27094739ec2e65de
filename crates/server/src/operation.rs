//! Operations: what the server can be asked to do, declared once beside the handler.
//!
//! From the list of them come the router, the default policy and its sample, `Allow` headers,
//! span names and the API description.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use policy::Rule;
use serde::Serialize;

use crate::call::{Call, Incoming};
use crate::error::{ApiError, ErrorContext, Failure};
use crate::extract::Extract;
use crate::reply::Reply;

/// The body of an answer: always whole, never streamed.
pub type Body = http_body_util::Full<Bytes>;

/// One thing that a client can ask for.
#[derive(Debug)]
pub struct Operation {
    /// The HTTP method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path, with `{name}` for each variable.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The policy rules that it may ask.
    pub rules: &'static [Rule],
    /// The name of the JSON schema of its body.
    pub body_schema: Option<&'static str>,
    /// The name of one attribute of its body, and of the JSON schema by which the handler judges it.
    pub part_schema: Option<(&'static str, &'static str)>,
    /// The name of the JSON schema of its query.
    pub query_schema: Option<&'static str>,
    /// The filters of its list that rules may name, as `%(filter_attr.NAME)s`.
    pub filters: &'static [&'static str],
    /// Why nobody has to be logged in for it; `None` for all that somebody must be.
    pub public: Option<&'static str>,
}

/// Whether bodies at this path are forms (RFC 6749), or else what identity providers send through a
/// browser, which is known before there is an operation; elsewhere they are JSON objects.
pub fn takes_forms(path: &str) -> bool {
    const PLACES: [&str; 2] = [crate::oauth2::PREFIX, "/v3/auth/OS-FEDERATION/websso"];
    hears_providers(path) || PLACES.iter().any(|place| path.starts_with(place))
}

/// Whether identity providers speak at this path, through a browser or by themselves.
pub fn hears_providers(path: &str) -> bool {
    path.starts_with("/v3/auth/OS-FEDERATION/identity_providers/")
}

impl Operation {
    const fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            summary,
            rules: &[],
            body_schema: None,
            part_schema: None,
            query_schema: None,
            filters: &[],
            public: None,
        }
    }

    /// An operation that reads.
    pub const fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, summary)
    }

    /// An operation that only tells whether; where there is none, the one that reads answers.
    pub const fn head(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::HEAD, path, summary)
    }

    /// An operation that adds something under an id of our choice, or acts.
    pub const fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, summary)
    }

    /// An operation that adds or replaces something under an id of the client's choice.
    pub const fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, summary)
    }

    /// An operation that changes something.
    pub const fn patch(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PATCH, path, summary)
    }

    /// An operation that removes something.
    pub const fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, summary)
    }

    /// The policy rules that its handler asks.
    pub const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// The JSON schema that its body must meet before the handler runs.
    pub const fn body(mut self, schema: &'static str) -> Self {
        self.body_schema = Some(schema);
        self
    }

    /// The attribute of its body that its handler judges, and by which JSON schema.
    pub const fn part(mut self, attribute: &'static str, schema: &'static str) -> Self {
        self.part_schema = Some((attribute, schema));
        self
    }

    /// The JSON schema that its query must meet before the handler runs.
    pub const fn query(mut self, schema: &'static str) -> Self {
        self.query_schema = Some(schema);
        self
    }

    /// The filters of its list that rules may name.
    pub const fn filters(mut self, filters: &'static [&'static str]) -> Self {
        self.filters = filters;
        self
    }

    /// Lets everybody in, for this reason.
    pub const fn public(mut self, reason: &'static str) -> Self {
        self.public = Some(reason);
        self
    }
}

type Answer = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How one run of a handler ended.
pub(crate) enum Outcome {
    /// An answer, good or bad.
    Response(Response<Body>),
    /// The whole request has to be retried; this makes the response if that is in vain.
    Retry(Box<dyn FnOnce() -> Response<Body> + Send>),
}

impl Outcome {
    /// What a failure comes to. One that is retried is rendered, and so logged, only if that is in vain.
    fn failed<E: Failure>(
        failure: E,
        into_response: impl FnOnce(E) -> Response<Body> + Send + 'static,
    ) -> Self {
        match failure.should_retry() {
            true => Self::Retry(Box::new(move || into_response(failure))),
            false => Self::Response(into_response(failure)),
        }
    }
}

pub(crate) type Handle = Arc<dyn Fn(Call) -> Answer + Send + Sync>;

type Read = fn(&Incoming) -> Result<(), ApiError>;

/// Operations and their handlers.
#[derive(Default)]
pub struct Routes {
    pub(crate) entries: Vec<(&'static Operation, Handle)>,
    readers: Vec<Read>,
}

impl Routes {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation. Only a handler that ends in a [`Reply`] fits, and a reply takes a
    /// permit, so one that forgot to authorize does not compile.
    #[must_use]
    pub fn on<A, H: Handler<A>>(mut self, operation: &'static Operation, handler: H) -> Self {
        let handle: Handle = Arc::new(move |call| {
            let handler = handler.clone();
            Box::pin(async move {
                let app = call.app.clone();
                let base_url = call.links.base_url().to_owned();
                let request = Arc::clone(&call.request);
                match handler.run(call).await {
                    Ok(response) => Outcome::Response(response),
                    Err(failure) => Outcome::failed(failure, move |failure| {
                        failure.into_response(&ErrorContext {
                            base_url: &base_url,
                            insecure_debug: app.insecure_debug(),
                            request_id: &request.request_id,
                            wants_html: request.wants_html(),
                        })
                    }),
                }
            })
        });
        self.entries.push((operation, handle));
        self.readers.push(H::read);
        self
    }

    /// Adds all routes of another resource.
    #[must_use]
    pub fn and(mut self, mut other: Self) -> Self {
        self.entries.append(&mut other.entries);
        self.readers.append(&mut other.readers);
        self
    }

    /// All operations, in the order of their declaration.
    pub fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        self.entries.iter().map(|(operation, _)| *operation)
    }

    /// Reads the parts of a request that its handler takes, and runs nothing.
    ///
    /// # Errors
    ///
    /// What the handler's parts find wrong with the request.
    ///
    /// # Panics
    ///
    /// When the request's operation is not one of these.
    pub fn read(&self, request: &Incoming) -> Result<(), ApiError> {
        let place = self
            .operations()
            .position(|operation| std::ptr::eq(operation, request.operation))
            .expect("the operation is one of these");
        self.readers[place](request)
    }
}

/// An async function from a [`Call`], and up to two parts of the request, to a [`Reply`].
pub trait Handler<A>: Clone + Send + Sync + 'static {
    /// What it fails with.
    type Failure: Failure;

    /// Takes the request apart, and runs nothing.
    ///
    /// # Errors
    ///
    /// What a part finds wrong with the request.
    fn read(request: &Incoming) -> Result<(), ApiError>;

    /// Takes the request apart and runs the function.
    fn run(self, call: Call) -> impl Future<Output = Result<Response<Body>, Self::Failure>> + Send;
}

macro_rules! handler {
    ($($part:ident),*) => {
        impl<F, Fut, T, E, $($part,)*> Handler<($($part,)*)> for F
        where
            F: Fn(Call, $($part),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<Reply<T>, E>> + Send,
            T: Serialize,
            E: Failure,
            $($part: Extract + Send,)*
        {
            type Failure = E;

            fn read(_request: &Incoming) -> Result<(), ApiError> {
                $( $part::extract(_request)?; )*
                Ok(())
            }

            async fn run(self, call: Call) -> Result<Response<Body>, E> {
                $(
                    #[expect(non_snake_case, reason = "the macro names values as their types")]
                    let $part = $part::extract(&call.request)?;
                )*
                Ok(self(call, $($part),*).await?.into_response())
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);

impl From<std::convert::Infallible> for ApiError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use store::StoreError;

    use super::*;

    #[test]
    fn a_failure_that_is_retried_is_rendered_only_if_that_is_in_vain() {
        let rendered = Arc::new(AtomicUsize::new(0));
        let outcome = |failure: ApiError| {
            let rendered = Arc::clone(&rendered);
            Outcome::failed(failure, move |_| {
                rendered.fetch_add(1, Ordering::SeqCst);
                Response::new(Body::default())
            })
        };
        let missing = || StoreError::missing("user", "ada");
        let Outcome::Response(_) = outcome(missing().into()) else {
            panic!("what is missing is not retried");
        };
        assert_eq!(rendered.swap(0, Ordering::SeqCst), 1);
        let Outcome::Retry(in_vain) = outcome(ApiError::overtaken(missing())) else {
            panic!("what was overtaken is retried");
        };
        assert_eq!(rendered.load(Ordering::SeqCst), 0);
        in_vain();
        assert_eq!(rendered.load(Ordering::SeqCst), 1);
    }
}
