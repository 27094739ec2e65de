//! Any bytes may be the body of a request: they are read, or refused in a sentence that can be sent.
//!
//!     fuzz/run json_bodies

#![no_main]

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use server::call::{Incoming, Query};
use server::error::{ApiError, ErrorContext, Failure as _};
use server::flows::login_request::{ApplicationCredentialProof, LoginRequest, PasswordProof};
use server::json;
use server::operation::Routes;
use server::router::read_json;
use server::schemas::Schemas;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::load);
static ROUTES: LazyLock<Routes> = LazyLock::new(server::routes);

fuzz_target!(|body: &[u8]| {
    // What no schema describes, such as the parts of OAuth requests, has the same form.
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        for name in SCHEMAS.names() {
            if let Err(error) = SCHEMAS.validate(name, &value) {
                assert!(!error.to_string().is_empty());
            }
        }
        for text in [json::spaced(&value), json::compact(&value)] {
            assert!(text.is_ascii());
            assert_eq!(
                serde_json::from_str::<Value>(&text).ok().as_ref(),
                Some(&value)
            );
        }
        if let Some(auth) = value.get("auth")
            && SCHEMAS.validate("auth.token_issue", auth).is_ok()
        {
            log_in(auth);
        }
    }
    for operation in ROUTES.operations() {
        let json = match read_json(operation.path, &HeaderMap::new(), body) {
            Ok(json) => json,
            Err(error) => {
                refused(error);
                continue;
            }
        };
        // The same bytes as a query, where it is text.
        let query = std::str::from_utf8(body).unwrap_or_default();
        if let Err(error) = SCHEMAS.check(operation, json.as_ref(), "") {
            refused(error.into());
            continue;
        }
        if let Err(error) = SCHEMAS.check(operation, json.as_ref(), query) {
            refused(error.into());
        }
        let variables = operation
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let request = Incoming {
            operation,
            request_id: String::new(),
            path: operation.path.to_owned(),
            variables: variables.map(|name| (name, "1".to_owned())).collect(),
            query: Query::parse(query),
            headers: HeaderMap::new(),
            body: body.to_vec().into(),
            json,
            peer: None,
        };
        if let Err(error) = ROUTES.read(&request) {
            refused(error);
        }
    }
});

/// Reads a login that the schema has let pass.
fn log_in(auth: &Value) {
    let login = match LoginRequest::parse(auth) {
        Ok(login) => login,
        Err(error) => return refused(error),
    };
    for method in &login.methods {
        let proof = login.proof(method);
        if let Err(error) = PasswordProof::parse(proof) {
            refused(error);
        }
        if let Err(error) = ApplicationCredentialProof::parse(proof) {
            refused(error);
        }
    }
}

/// A refusal is the client's fault, and JSON.
fn refused(error: ApiError) {
    let status = error.status();
    assert!(
        [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&status),
        "{error:?}"
    );
    let response = error.into_response(&ErrorContext {
        base_url: "http://localhost",
        insecure_debug: true,
    });
    assert_eq!(response.status(), status);
    let body = pin!(response.into_body());
    let Poll::Ready(Some(Ok(frame))) = body.poll_frame(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("a refusal is whole");
    };
    let text = frame.into_data().expect("a refusal has a body");
    assert!(serde_json::from_slice::<Value>(&text).is_ok(), "{text:?}");
}
