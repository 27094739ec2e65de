//! Whether scripts of other web sites may ask: Cross-Origin Resource Sharing, as the outermost layer
//! of the reference (oslo.middleware) does it.
//!
//! It never refuses a request. It adds headers to answers, and the browser of the script refuses
//! where they are missing.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use web::reply::Body;

/// The request headers that every script may send.
const SIMPLE_HEADERS: [&str; 8] = [
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Cache-Control",
    "Content-Language",
    "Expires",
    "Last-Modified",
    "Pragma",
];

/// What the configuration lets scripts do.
pub(crate) struct Cors {
    settings: config::Cors,
    exposed: Option<HeaderValue>,
}

/// What a request says about the script behind it.
pub(crate) struct Question {
    asks_first: bool,
    origin: Option<HeaderValue>,
    method: Option<HeaderValue>,
    headers: Option<HeaderValue>,
}

impl Question {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let header = |name: HeaderName| request.headers().get(name).cloned();
        Self {
            asks_first: *request.method() == Method::OPTIONS,
            origin: header(ORIGIN),
            method: header(ACCESS_CONTROL_REQUEST_METHOD),
            headers: header(ACCESS_CONTROL_REQUEST_HEADERS),
        }
    }
}

impl Cors {
    pub(crate) fn new(settings: &config::Cors) -> Self {
        let exposed = settings.expose_headers.join(",");
        Self {
            settings: settings.clone(),
            exposed: HeaderValue::try_from(exposed)
                .ok()
                .filter(|text| !text.is_empty()),
        }
    }

    /// Adds to an answer what the script's browser has to know.
    pub(crate) fn answer(&self, question: &Question, response: Response<Body>) -> Response<Body> {
        if question.asks_first {
            // OPTIONS succeeds everywhere, even where there is nothing.
            let mut response = match response.status().is_success() {
                true => response,
                false => Response::new(Body::default()),
            };
            self.add_permission(question, response.headers_mut());
            return response;
        }
        let mut response = response;
        self.add_origin(question, response.headers_mut());
        response
    }

    /// Tells before a request whether it may be made (a "preflight").
    fn add_permission(&self, question: &Question, headers: &mut HeaderMap) {
        let Some(origin) = self.admitted(question) else {
            return;
        };
        let is_permitted = |method: &&HeaderValue| {
            let mut methods = self.settings.allow_methods.iter();
            methods.any(|permitted| permitted.as_bytes() == method.as_bytes())
        };
        let Some(method) = question.method.as_ref().filter(is_permitted) else {
            return;
        };
        let Some(asked) = self.permitted_headers(question.headers.as_ref()) else {
            return;
        };
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        self.add_credentials(headers);
        if self.settings.max_age != 0 {
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.settings.max_age.into());
        }
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        if let Ok(asked) = HeaderValue::try_from(asked)
            && !asked.is_empty()
        {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }

    /// Tells with the answer itself whether the script may read it.
    fn add_origin(&self, question: &Question, headers: &mut HeaderMap) {
        let Some(origin) = self.admitted(question) else {
            return;
        };
        let vary = match headers.get(VARY).and_then(|value| value.to_str().ok()) {
            Some(others) => HeaderValue::try_from(format!("{others},Origin")),
            None => Ok(HeaderValue::from_static("Origin")),
        };
        if let Ok(vary) = vary {
            headers.insert(VARY, vary);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        self.add_credentials(headers);
        if let Some(exposed) = &self.exposed {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    fn add_credentials(&self, headers: &mut HeaderMap) {
        if self.settings.allow_credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    /// The origin as the configuration names it; `None` when it may not ask.
    fn admitted(&self, question: &Question) -> Option<HeaderValue> {
        let origin = question.origin.as_ref()?;
        let is_named = |name: &[u8]| {
            let mut origins = self.settings.allowed_origin.iter();
            origins.any(|allowed| allowed.as_bytes() == name)
        };
        if is_named(origin.as_bytes()) {
            return Some(origin.clone());
        }
        is_named(b"*").then(|| HeaderValue::from_static("*"))
    }

    /// The headers that the script wants to send, separated by commas; `None` when there is one
    /// among them that it may not.
    fn permitted_headers(&self, asked: Option<&HeaderValue>) -> Option<String> {
        let Some(asked) = asked else {
            return Some(String::new());
        };
        let allowed = self.settings.allow_headers.iter().map(String::as_str);
        let allowed: Vec<_> = allowed.chain(SIMPLE_HEADERS).collect();
        let names = asked.to_str().ok()?.split(',').map(str::trim);
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        let is_allowed = |name: &&str| allowed.iter().any(|it| it.eq_ignore_ascii_case(name));
        names.iter().all(is_allowed).then(|| names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: (&str, &str) = ("Origin", "https://a.example");
    const METHOD: &str = "Access-Control-Request-Method";
    const HEADERS: &str = "Access-Control-Request-Headers";

    fn settings(origins: &[&str]) -> config::Cors {
        config::Cors {
            allowed_origin: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            ..config::Cors::default()
        }
    }

    /// The status and the headers about origins that an answer with this status ends with.
    fn answer(
        settings: &config::Cors,
        method: &str,
        sent: &[(&str, &str)],
        status: u16,
    ) -> (u16, String) {
        let mut request = Request::builder().method(method);
        for (name, value) in sent {
            request = request.header(*name, *value);
        }
        let question = Question::of(&request.body(()).unwrap());
        let response = Response::builder()
            .status(status)
            .header("Vary", "X-Auth-Token");
        let response = response.body(Body::default()).unwrap();
        let response = Cors::new(settings).answer(&question, response);
        let mut told: Vec<String> = response
            .headers()
            .iter()
            .map(|(name, value)| {
                let name = name.as_str().trim_start_matches("access-control-");
                format!("{name}: {}", value.to_str().unwrap())
            })
            .collect();
        told.sort();
        (response.status().as_u16(), told.join("; "))
    }

    // The expectations of this table are the answers of oslo.middleware 8.2.
    #[test]
    fn the_browser_is_told_before_a_request() {
        let open = settings(&["https://a.example", "https://b.example"]);
        let granted = "allow-credentials: true; allow-methods: PUT; \
                       allow-origin: https://a.example; max-age: 3600; vary: Origin";
        let silent = "vary: X-Auth-Token";
        let put = (METHOD, "PUT");
        for (sent, told) in [
            (&[SITE, put][..], granted),
            (&[SITE], silent),
            (&[put], silent),
            (&[SITE, (METHOD, "put")], silent),
            (&[SITE, (METHOD, "OPTIONS")], silent),
            (&[("Origin", "https://c.example"), put], silent),
            (&[("Origin", "https://a.example/"), put], silent),
            (&[SITE, put, (HEADERS, " , ")], granted),
            (&[SITE, put, (HEADERS, "X-Auth-Token, X-Other")], silent),
        ] {
            assert_eq!(
                answer(&open, "OPTIONS", sent, 200),
                (200, told.to_owned()),
                "{sent:?}"
            );
        }
        let (_, told) = answer(
            &open,
            "OPTIONS",
            &[SITE, put, (HEADERS, "x-auth-token ,Content-Type")],
            200,
        );
        assert_eq!(
            told,
            "allow-credentials: true; allow-headers: x-auth-token,Content-Type; \
             allow-methods: PUT; allow-origin: https://a.example; max-age: 3600; vary: Origin"
        );
    }

    #[test]
    fn options_succeeds_where_nothing_is_and_then_says_nothing_else() {
        let closed = settings(&[]);
        assert_eq!(answer(&closed, "OPTIONS", &[], 404), (200, String::new()));
        assert_eq!(
            answer(&closed, "OPTIONS", &[], 204),
            (204, "vary: X-Auth-Token".into())
        );
        let (status, told) = answer(&settings(&["*"]), "OPTIONS", &[SITE, (METHOD, "GET")], 401);
        assert_eq!(status, 200);
        assert_eq!(
            told,
            "allow-credentials: true; allow-methods: GET; allow-origin: *; max-age: 3600; \
             vary: Origin"
        );
    }

    #[test]
    fn the_browser_is_told_with_the_answer_whatever_it_is() {
        let open = settings(&["https://a.example"]);
        let exposed = "X-Auth-Token,X-Openstack-Request-Id,X-Subject-Token,Openstack-Auth-Receipt";
        for status in [200, 401, 404] {
            let told = format!(
                "allow-credentials: true; allow-origin: https://a.example; \
                 expose-headers: {exposed}; vary: X-Auth-Token,Origin"
            );
            assert_eq!(answer(&open, "GET", &[SITE], status), (status, told));
        }
        let silent = (200, "vary: X-Auth-Token".to_owned());
        assert_eq!(answer(&open, "GET", &[], 200), silent);
        assert_eq!(answer(&open, "GET", &[("Origin", "null")], 200), silent);
        assert_eq!(answer(&settings(&[]), "GET", &[SITE], 200), silent);
    }

    #[test]
    fn the_options_are_kept_to() {
        let terse = config::Cors {
            allow_credentials: false,
            expose_headers: Vec::new(),
            max_age: 0,
            allow_methods: vec!["HEAD".into()],
            allow_headers: Vec::new(),
            ..settings(&["*"])
        };
        assert_eq!(
            answer(&terse, "GET", &[SITE], 200).1,
            "allow-origin: *; vary: X-Auth-Token,Origin"
        );
        let ask = |method: &'static str, headers| {
            answer(
                &terse,
                "OPTIONS",
                &[SITE, (METHOD, method), (HEADERS, headers)],
                200,
            )
            .1
        };
        assert_eq!(
            ask("HEAD", "pragma"),
            "allow-headers: pragma; allow-methods: HEAD; allow-origin: *; vary: Origin"
        );
        assert_eq!(ask("HEAD", "X-Auth-Token"), "vary: X-Auth-Token");
        assert_eq!(ask("GET", "pragma"), "vary: X-Auth-Token");
        let never = config::Cors {
            max_age: -1,
            ..terse.clone()
        };
        let sent = [SITE, (METHOD, "HEAD")];
        assert!(
            answer(&never, "OPTIONS", &sent, 200)
                .1
                .contains("max-age: -1;")
        );
    }
}
