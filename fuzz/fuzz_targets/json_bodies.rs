//! Any bytes may be the body of a request: they are read, or refused in a sentence that can be sent.
//!
//! The first two bytes of an input say where it arrives: at which schema, and at the operations of
//! that schema. `fuzz/seeds/json_bodies` writes such inputs.
//!
//!     fuzz/run json_bodies

#![no_main]

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use archstone_fuzz::{Bound, MIB, lengthened, linear};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::methods::login_request::LoginRequest;
use http::{HeaderMap, StatusCode, Uri};
use http_body::Body as _;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use web::failure::{ErrorContext, Failure as _};
use web::json;
use web::operation::{BodyKind, Operation};
use web::request::{Query, Request, RequestId, read_json};
use web::schemas::Schemas;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::load);
static ROUTES: LazyLock<Routes> = LazyLock::new(api::routes);
static PLACES: LazyLock<Vec<Place>> = LazyLock::new(places);

// A refusal may show a whole document, up to a mebibyte, and is written several times over.
static QUERY: Bound = Bound::new("query", 4 * MIB, 128, 4);
static WRITTEN: Bound = Bound::new("written", MIB, 192, 4);
static SCHEMA: Bound = Bound::new("schema", 6 * MIB, 256, 4);
static OPERATION: Bound = Bound::new("operation", 6 * MIB, 256, 4);

/// Where a body may arrive.
struct Place {
    schema: Option<&'static str>,
    operations: Vec<&'static Operation>,
}

/// A place for each schema, in the order of their names, and one for each operation without any.
fn places() -> Vec<Place> {
    let schemas = |operation: &Operation| {
        let part = operation.part_schema.map(|(_, schema)| schema);
        [operation.body_schema, operation.query_schema, part]
    };
    let operations: Vec<_> = ROUTES.operations().collect();
    let mut names: Vec<_> = SCHEMAS.names().collect();
    names.sort_unstable();
    let of_schema = names.into_iter().map(|name| Place {
        schema: Some(name),
        operations: operations
            .iter()
            .copied()
            .filter(|operation| schemas(operation).contains(&Some(name)))
            .collect(),
    });
    let without = operations
        .iter()
        .copied()
        .filter(|operation| schemas(operation) == [None; 3])
        .map(|operation| Place {
            schema: None,
            operations: vec![operation],
        });
    of_schema.chain(without).collect()
}

fuzz_target!(|input: &[u8]| {
    // One place for each input: to judge every body in all of them left 13 executions a second.
    let Some((place, body)) = input.split_first_chunk() else {
        return;
    };
    let place = &PLACES[usize::from(u16::from_le_bytes(*place)) % PLACES.len()];
    match std::str::from_utf8(body) {
        Ok(text) => everywhere(place, lengthened(text).as_bytes()),
        Err(_) => everywhere(place, body),
    }
});

fn everywhere(place: &Place, body: &[u8]) {
    // The same bytes as a query, where they are text.
    let query = std::str::from_utf8(body).unwrap_or_default();
    let length = body.len();
    if let Some(name) = place.schema {
        linear(length, &QUERY, || {
            if let Err(error) = SCHEMAS.validate_query(name, query) {
                assert!(!error.to_string().is_empty());
            }
        });
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        for written in [json::spaced, json::compact] {
            linear(length, &WRITTEN, || write(&value, written));
        }
        if let Some(name) = place.schema {
            linear(length, &SCHEMA, || validate(name, &value));
        }
    }
    for operation in &place.operations {
        linear(length, &OPERATION, || ask(operation, body, query));
    }
}

/// What no schema describes, such as the parts of OAuth requests, has the same form.
fn write(value: &Value, written: impl Fn(&Value) -> String) {
    let text = written(value);
    assert!(text.is_ascii());
    assert_eq!(
        serde_json::from_str::<Value>(&text).ok().as_ref(),
        Some(value)
    );
}

fn validate(name: &str, value: &Value) {
    match SCHEMAS.validate(name, value) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(()) if name == "auth.token_issue" => log_in(value),
        Ok(()) => {}
    }
}

/// Reads a request as the server would, up to where its handler begins.
fn ask(operation: &'static Operation, body: &[u8], query: &str) {
    let json = match operation.body_kind {
        BodyKind::Json => read_json(&HeaderMap::new(), body),
        BodyKind::Form | BodyKind::FromProvider => Ok(None),
    };
    let json = match json {
        Ok(json) => json,
        Err(error) => return refused(error.into()),
    };
    if let Err(error) = SCHEMAS.check(operation, json.as_ref(), "") {
        return refused(error.into());
    }
    if let Err(error) = SCHEMAS.check(operation, json.as_ref(), query) {
        refused(error.into());
    }
    let request = Request {
        operation,
        request_id: RequestId::new([0; 16]),
        uri: Uri::from_static(operation.path),
        variables: operation
            .variables()
            .map(|name| (name, "1".to_owned()))
            .collect(),
        query: Query::parse(query),
        headers: HeaderMap::new(),
        body: body.to_vec().into(),
        json,
        peer: None,
    };
    if let Err(error) = ROUTES.read(&request) {
        refused(error.into());
    }
}

/// Reads a login that the schema has let pass.
fn log_in(auth: &Value) {
    if let Err(error) = LoginRequest::parse(auth) {
        refused(error);
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
        request_id: "req-1",
        wants_html: false,
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
