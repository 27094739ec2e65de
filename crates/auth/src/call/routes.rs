//! Operations and their handlers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::Response;
use serde::Serialize;
use web::failure::{ErrorContext, Failure};
use web::operation::Operation;
use web::reply::Body;
use web::request::extract::Extract;
use web::request::{BadRequest, Request};
use web::router::Router;

use super::Call;
use super::reply::Reply;
use crate::error::ApiError;

type Answer = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How one run of a handler ended.
enum Outcome {
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

type Run = Box<dyn Fn(Call) -> Answer + Send + Sync>;

type Read = fn(&Request) -> Result<(), BadRequest>;

/// Operations and their handlers.
#[derive(Default)]
pub struct Routes {
    entries: Vec<(&'static Operation, Handle)>,
}

impl Routes {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation. Only a handler that ends in a [`Reply`] fits, and a reply takes a
    /// permit, so one that forgot to authorize does not compile.
    ///
    /// # Panics
    ///
    /// When the handler takes other path variables than the operation has: a defect that every test
    /// shows.
    #[must_use]
    pub fn on<A, H: Handler<A>>(mut self, operation: &'static Operation, handler: H) -> Self {
        check_variables(operation, H::VARIABLES);
        let run: Run = Box::new(move |call| {
            let handler = handler.clone();
            Box::pin(async move {
                let insecure_debug = call.parts.insecure_debug();
                let links = call.links.clone();
                let request = Arc::clone(&call.request);
                match handler.run(call).await {
                    Ok(reply) => {
                        let response = reply.into_response();
                        debug_assert!(
                            operation.answers_with(response.status()),
                            "{} {} does not declare that it answers with {}",
                            operation.method,
                            operation.path,
                            response.status(),
                        );
                        Outcome::Response(response)
                    }
                    Err(failure) => Outcome::failed(failure, move |failure| {
                        render(
                            failure,
                            &ErrorContext {
                                base_url: links.base_url(),
                                insecure_debug,
                                request_id: request.request_id.as_str(),
                                wants_html: request.wants_html(),
                            },
                        )
                    }),
                }
            })
        });
        let handle = Handle {
            run,
            read: H::read,
            fail: |error, context| render(H::Failure::from(error), context),
        };
        self.entries.push((operation, handle));
        self
    }

    /// Adds all routes of another resource.
    #[must_use]
    pub fn and(mut self, mut other: Self) -> Self {
        self.entries.append(&mut other.entries);
        self
    }

    /// All operations, in the order of their declaration.
    pub fn operations(&self) -> impl Iterator<Item = &'static Operation> + Clone {
        self.entries.iter().map(|(operation, _)| *operation)
    }

    /// A router over all of them.
    pub fn into_router(self) -> Router<Handle> {
        Router::new(self.entries)
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
    pub fn read(&self, request: &Request) -> Result<(), BadRequest> {
        let mut entries = self.entries.iter();
        let (_, handle) = entries
            .find(|(operation, _)| std::ptr::eq(*operation, request.operation))
            .expect("the operation is one of these");
        (handle.read)(request)
    }
}

/// Checks that a handler takes all variables of the path by one of its parts, each as what it is, or
/// none.
fn check_variables(operation: &Operation, parts: &[&[&[&str]]]) {
    let mut parts = parts.iter().filter(|names| !names.is_empty());
    let Some(taken) = parts.next() else { return };
    let variables: Vec<_> = operation.variables().collect();
    let fit = variables.len() == taken.len()
        && (variables.iter().zip(*taken)).all(|(variable, names)| names.contains(variable));
    assert!(
        fit && parts.next().is_none(),
        "{}: the handler takes other variables: {taken:?}",
        operation.path
    );
}

/// Renders a failure. One that looks like a success would be one without a [`super::reply::Permit`].
fn render(failure: impl Failure, context: &ErrorContext<'_>) -> Response<Body> {
    let response = failure.into_response(context);
    if response.status().is_success() {
        return ApiError::internal("a failure with the status of a success").into_response(context);
    }
    response
}

/// How an operation is carried out.
pub struct Handle {
    run: Run,
    read: Read,
    fail: fn(ApiError, &ErrorContext<'_>) -> Response<Body>,
}

impl Handle {
    /// Runs the handler, and runs it again while the database asks for that. A handler has no
    /// effect outside of its transaction until it has answered.
    pub async fn run(&self, call: impl Fn() -> Call) -> Response<Body> {
        let should_retry = |outcome: &Outcome| matches!(outcome, Outcome::Retry(_));
        match store::retrying(should_retry, || (self.run)(call())).await {
            Outcome::Response(response) => response,
            Outcome::Retry(into_response) => into_response(),
        }
    }

    /// The response to a request that never came to the handler, in the form in which this operation
    /// tells errors.
    pub fn fail(&self, error: ApiError, context: &ErrorContext<'_>) -> Response<Body> {
        (self.fail)(error, context)
    }
}

/// An async function from a [`Call`], and up to two parts of the request, to a [`Reply`].
pub trait Handler<A>: Clone + Send + Sync + 'static {
    /// What it answers with.
    type Document: Serialize;

    /// What it fails with.
    type Failure: Failure + From<ApiError>;

    /// How the variables of the path have to be called that its parts take.
    const VARIABLES: &'static [&'static [&'static [&'static str]]];

    /// Takes the request apart, and runs nothing.
    ///
    /// # Errors
    ///
    /// What a part finds wrong with the request.
    fn read(request: &Request) -> Result<(), BadRequest>;

    /// Takes the request apart and runs the function.
    fn run(
        self,
        call: Call,
    ) -> impl Future<Output = Result<Reply<Self::Document>, Self::Failure>> + Send;
}

macro_rules! handler {
    ($($part:ident),*) => {
        impl<F, Fut, T, E, $($part,)*> Handler<($($part,)*)> for F
        where
            F: Fn(Call, $($part),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<Reply<T>, E>> + Send,
            T: Serialize,
            E: Failure + From<ApiError>,
            $($part: Extract + Send,)*
        {
            type Document = T;
            type Failure = E;

            const VARIABLES: &'static [&'static [&'static [&'static str]]] = &[$($part::VARIABLES),*];

            fn read(_request: &Request) -> Result<(), BadRequest> {
                $( $part::extract(_request)?; )*
                Ok(())
            }

            async fn run(self, call: Call) -> Result<Reply<T>, E> {
                $(
                    #[expect(non_snake_case, reason = "the macro names values as their types")]
                    let $part = $part::extract(&call.request)?;
                )*
                self(call, $($part),*).await
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use model::ids::{CredentialId, UserId};
    use store::StoreError;

    use super::*;
    use crate::call::path::Path;

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

    #[test]
    fn a_failure_with_the_status_of_a_success_is_none() {
        struct Sly;
        impl From<BadRequest> for Sly {
            fn from(_: BadRequest) -> Self {
                Self
            }
        }
        impl Failure for Sly {
            fn into_response(self, _: &ErrorContext<'_>) -> Response<Body> {
                Response::new(Body::from("a success without a permit"))
            }
            fn should_retry(&self) -> bool {
                false
            }
        }
        let context = ErrorContext {
            base_url: "",
            insecure_debug: false,
            request_id: "req-1",
            wants_html: false,
        };
        assert_eq!(render(Sly, &context).status(), 500);
    }

    /// Whether routes can be made of a handler that takes these variables, by each of its parts.
    fn fits(path: &'static str, parts: &[&[&[&str]]]) -> bool {
        let operation = Operation::get(path, "Show something");
        std::panic::catch_unwind(|| check_variables(&operation, parts)).is_ok()
    }

    #[test]
    fn a_handler_takes_the_variables_of_its_path_each_as_what_it_is() {
        const USER: &[&str] = <Path<UserId> as Extract>::VARIABLES[0];
        const CREDENTIAL: &[&str] = <Path<CredentialId> as Extract>::VARIABLES[0];
        let path = "/v3/users/{user_id}/application_credentials/{application_credential_id}";
        assert!(fits(path, &[]), "it need not take any");
        assert!(fits("/v3/users/{user_id}", &[&[], &[USER]]));
        assert!(
            !fits(path, &[&[USER, CREDENTIAL]]),
            "another kind of credential"
        );
        assert!(!fits(path, &[&[USER]]), "fewer than there are");
        assert!(
            !fits("/v3/users/{user_id}", &[&[USER, USER]]),
            "more than there are"
        );
        assert!(!fits("/v3/users/{user_id}", &[&[USER], &[USER]]), "twice");
    }
}
