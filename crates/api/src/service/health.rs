//! `/healthcheck`: whether the server should get requests, told to load balancers.
//!
//! It lies outside of the API: no token is looked at, and every method gets the same answer.

use std::path::Path;

use config::Healthcheck;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use secrets::blocking_pool::BlockingPool;
use serde_json::{Value, json};
use web::reply::{Body, escape_html};
use web::request::accept::preferred;
use web::request::origin::Origin;

/// The headers by which a proxy shows itself.
const PROXY_HEADERS: [&str; 5] = [
    "x-forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-for",
    "x-forwarded-prefix",
];

/// What one of `[healthcheck] backends` found.
struct CheckResult {
    available: bool,
    reason: &'static str,
    details: String,
}

/// Whether a path is the health check's, or below it.
pub(crate) fn is_at(path: &str) -> bool {
    path.strip_prefix("/healthcheck")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer; `None` for those who may not ask.
pub(crate) async fn answer(
    settings: &Healthcheck,
    method: &Method,
    headers: &HeaderMap,
    origin: &Origin,
    port: u16,
    files: &BlockingPool,
) -> Option<Response<Body>> {
    let allowed = &settings.allowed_source_ranges;
    if !allowed.is_empty() && !allowed.iter().any(|range| range.contains(origin.client)) {
        return None;
    }
    let is_given = |name: &str| headers.get(name).is_some_and(|value| !value.is_empty());
    if settings.ignore_proxied_requests && PROXY_HEADERS.into_iter().any(is_given) {
        return None;
    }
    let mut results = Vec::new();
    for backend in &settings.backends {
        match backend.as_str() {
            "disable_by_file" => results.push(disable_by_file(settings, files).await),
            "disable_by_files_ports" => results.push(disable_by_port(settings, port, files).await),
            "enable_by_files" => results.push(enable_by_files(settings, files).await),
            other => tracing::warn!(backend = other, "there is no such health check"),
        }
    }
    let is_healthy = results.iter().all(|result| result.available);
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let mut response = if method == Method::HEAD {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        write(settings.detailed, &results, accept.unwrap_or_default())
    };
    if !is_healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Some(response)
}

async fn disable_by_file(settings: &Healthcheck, files: &BlockingPool) -> CheckResult {
    let Some(path) = &settings.disable_by_file_path else {
        return CheckResult::pass("No 'disable_by_file_path' configuration value specified".into());
    };
    if exists(files, path).await {
        let details = format!("Path '{}' was found", path.display());
        return CheckResult::fail("DISABLED BY FILE", details);
    }
    CheckResult::pass(format!("Path '{}' was not found", path.display()))
}

/// A file is given for each port, as `port:path`; ports without one are well.
async fn disable_by_port(settings: &Healthcheck, port: u16, files: &BlockingPool) -> CheckResult {
    for entry in &settings.disable_by_file_paths {
        let Some((of_port, path)) = entry.trim().split_once(':') else {
            continue;
        };
        if of_port.parse() == Ok(port) && exists(files, Path::new(path)).await {
            return CheckResult::fail("DISABLED BY FILE", String::new());
        }
    }
    CheckResult::pass(String::new())
}

async fn enable_by_files(settings: &Healthcheck, files: &BlockingPool) -> CheckResult {
    for path in &settings.enable_by_file_paths {
        if !exists(files, path).await {
            let details = format!("File path {} is missing", path.display());
            return CheckResult::fail("FILE PATH MISSING", details);
        }
    }
    CheckResult::pass("Specified file paths are available".into())
}

async fn exists(files: &BlockingPool, path: &Path) -> bool {
    let path = path.to_owned();
    files.run(move || path.exists()).await
}

impl CheckResult {
    fn pass(details: String) -> Self {
        Self {
            available: true,
            reason: "OK",
            details,
        }
    }

    fn fail(reason: &'static str, details: String) -> Self {
        Self {
            available: false,
            reason,
            details,
        }
    }
}

fn write(detailed: bool, results: &[CheckResult], accept: &str) -> Response<Body> {
    let offers = ["text/plain", "text/html", "application/json"];
    let (kind, text) = match preferred(accept, &offers) {
        Some("text/html") => ("text/html; charset=UTF-8", html(detailed, results)),
        Some("application/json") => ("application/json", json(detailed, results)),
        _ => {
            let reasons: Vec<_> = results.iter().map(|result| result.reason).collect();
            ("text/plain; charset=UTF-8", reasons.join("\n"))
        }
    };
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Indented and sorted. What a detailed answer of the reference tells of Python is left out.
fn json(detailed: bool, results: &[CheckResult]) -> String {
    let reason = |result: &CheckResult| match detailed {
        false => result.reason.into(),
        true => json!({
            "class": "HealthcheckResult",
            "details": result.details,
            "reason": result.reason,
        }),
    };
    let reasons: Value = results.iter().map(reason).collect();
    let mut out = Vec::new();
    let indented = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, indented);
    let document = json!({"detailed": detailed, "reasons": reasons});
    serde::Serialize::serialize(&document, &mut serializer)
        .expect("writing to memory does not fail");
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn html(detailed: bool, results: &[CheckResult]) -> String {
    let cell = |name: &str, text: &str| format!("    <{name}>{}</{name}>\n", escape_html(text));
    let title = |text: &str| format!("<TH>\n{text}\n</TH>\n");
    let (mut titles, mut rows) = (String::new(), String::new());
    if detailed {
        titles += &title("Kind");
    }
    titles += &title("Reason");
    if detailed {
        titles += &title("Details");
    }
    for result in results {
        rows += "<TR>\n";
        if detailed {
            rows += &cell("TD", "HealthcheckResult");
        }
        rows += &cell("TD", result.reason);
        if detailed {
            rows += &cell("TD", &result.details);
        }
        rows += "</TR>\n";
    }
    format!(
        "<HTML>\n<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>\n<BODY>\n\n\
         <H2>Result of {} checks:</H2>\n<TABLE bgcolor=\"#ffffff\" border=\"1\">\n<TBODY>\n<TR>\n\n\
         {titles}</TR>\n{rows}\n</TBODY>\n</TABLE>\n<HR></HR>\n\n</BODY>\n</HTML>",
        results.len()
    )
}
