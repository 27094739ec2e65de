//! A provider that really listens, strict where a good one is, and wrong where a test wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::keys::{Key, encode};

pub(crate) const CLIENT: &str = "archstone";
pub(crate) const SECRET: &str = "a:b%c d+é";
pub(crate) const ACCESS_TOKEN: &str = "an-access-token";

/// The provider. It stops when it is dropped.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// How the provider behaves: a test changes it at will.
pub(crate) struct State {
    issuer: String,
    /// The keys that it shows.
    pub(crate) shown: Vec<Value>,
    /// The key that it signs with.
    pub(crate) signer: Arc<Key>,
    /// What the metadata say besides or instead.
    pub(crate) metadata: Value,
    /// How clients prove who they are.
    pub(crate) client: Client,
    /// Whether it names itself in callbacks.
    pub(crate) names_issuer: bool,
    /// Whether it checks the PKCE verifier.
    pub(crate) checks_verifier: bool,
    /// Makes the ID token of good claims.
    pub(crate) id_token: MakeToken,
    pub(crate) userinfo: Value,
    /// Who signs userinfo, when it is a signed token.
    pub(crate) signs_userinfo: Option<Arc<Key>>,
    pub(crate) introspection: Value,
    /// What it answers at a path instead.
    pub(crate) instead: HashMap<String, Instead>,
    pub(crate) now: i64,
    codes: HashMap<String, Asked>,
    /// Whether it takes pushed requests alone.
    pub(crate) demands_pushing: bool,
    /// Requests that were pushed, by their URI.
    pushed: HashMap<String, HashMap<String, String>>,
    /// The paths that were asked for.
    pub(crate) log: Vec<String>,
}

/// Makes a token of claims.
pub(crate) type MakeToken = Box<dyn Fn(&Key, Value) -> String + Send>;

/// How clients prove who they are.
pub(crate) enum Client {
    Basic,
    Post,
    Jwt(Arc<Key>),
    /// By name alone, or by the certificate that the connection was made with.
    Name,
}

/// An answer of a bad provider.
#[derive(Clone)]
pub(crate) enum Instead {
    Never,
    /// The usual one, when there is a permit.
    Held(Arc<Semaphore>),
    Body(String),
    Redirect(String),
    Status(u16, Value),
}

struct Asked {
    redirect_uri: String,
    challenge: String,
    nonce: String,
}

struct Request {
    path: String,
    authorization: Option<String>,
    form: HashMap<String, String>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one that speaks TLS.
    pub(crate) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let issuer = match tls {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        let signer = Arc::new(Key::ec("first"));
        let state = Arc::new(Mutex::new(State {
            issuer: issuer.clone(),
            shown: vec![signer.jwk()],
            signer,
            metadata: json!({}),
            client: Client::Basic,
            names_issuer: false,
            checks_verifier: true,
            id_token: Box::new(|key, claims| key.token(&claims)),
            userinfo: json!({"sub": "jane", "email": "jane@example.com"}),
            signs_userinfo: None,
            introspection: json!({"active": false}),
            instead: HashMap::new(),
            now: super::NOW,
            codes: HashMap::new(),
            demands_pushing: false,
            pushed: HashMap::new(),
            log: Vec::new(),
        }));
        let task = tokio::spawn(serve(listener, tls, Arc::clone(&state)));
        Self {
            issuer,
            state,
            task,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds this")
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let state = self.state();
        state.log.iter().filter(|asked| *asked == path).count()
    }

    /// The settings that suit it.
    pub(crate) fn settings(&self) -> Value {
        json!({"issuer": self.issuer, "client_id": CLIENT, "client_secret": SECRET})
    }

    /// The claims of a good ID token, but for the nonce.
    pub(crate) fn claims(&self) -> Value {
        self.state().claims()
    }

    /// A token by its present key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.state().signer.token(claims)
    }

    /// Logs the user in at the URL that the driver sent them to, and gives what the browser brings
    /// back.
    pub(crate) fn log_in(&self, url: &str) -> Vec<(String, String)> {
        let url = Url::parse(url).expect("a URL");
        assert!(
            url.as_str()
                .starts_with(&format!("{}/authorize?", self.issuer))
        );
        let mut query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["client_id"], CLIENT);
        if self.state().demands_pushing {
            assert_eq!(query.len(), 2, "{url}");
            let pushed = self.state().pushed.remove(&query["request_uri"]);
            query = pushed.expect("a request that was pushed");
        }
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let mut state = self.state();
        let code = format!("code-{}", state.codes.len());
        let asked = Asked {
            redirect_uri: query["redirect_uri"].clone(),
            challenge: query["code_challenge"].clone(),
            nonce: query["nonce"].clone(),
        };
        state.codes.insert(code.clone(), asked);
        let mut brought = vec![
            ("code".to_owned(), code),
            ("state".to_owned(), query["state"].clone()),
        ];
        if state.names_issuer {
            brought.push(("iss".to_owned(), self.issuer.clone()));
        }
        brought
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (state, tls) = (Arc::clone(&state), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => answer(stream, &state).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => answer(stream, &state).await,
                    Err(_) => None,
                },
            }
        });
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
) -> Option<()> {
    let request = read(&mut stream).await?;
    let instead = {
        let mut state = state.lock().ok()?;
        state.log.push(request.path.clone());
        state.instead.get(&request.path).cloned()
    };
    let (status, kind, place, body) = match instead {
        Some(Instead::Never) => std::future::pending().await,
        Some(Instead::Held(permits)) => {
            permits.acquire().await.ok()?.forget();
            usual(state, &request)?
        }
        Some(Instead::Body(body)) => (200, "application/json", String::new(), body),
        Some(Instead::Redirect(place)) => (302, "text/plain", place, String::new()),
        Some(Instead::Status(status, body)) => {
            (status, "application/json", String::new(), body.to_string())
        }
        None => usual(state, &request)?,
    };
    let head = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nlocation: \
         {place}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn usual(state: &Mutex<State>, request: &Request) -> Option<(u16, &'static str, String, String)> {
    let (status, body) = state.lock().ok()?.reply(request);
    Some(match body {
        Value::String(token) => (status, "application/jwt", String::new(), token),
        body => (status, "application/json", String::new(), body.to_string()),
    })
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").map_or(Some(0), |text| text.parse().ok())?;
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request {
        path: head.split(' ').nth(1)?.to_owned(),
        authorization: header("authorization"),
        form: form_urlencoded::parse(&bytes[end + 4..])
            .into_owned()
            .collect(),
    })
}

impl State {
    fn claims(&self) -> Value {
        json!({
            "iss": self.issuer,
            "sub": "jane",
            "aud": CLIENT,
            "iat": self.now,
            "exp": self.now + 300,
            "sid": "session-1",
            "preferred_username": "Jane",
            "groups": ["staff", "cloud;admins"],
            "email_verified": true,
        })
    }

    fn reply(&mut self, request: &Request) -> (u16, Value) {
        match request.path.as_str() {
            "/.well-known/openid-configuration" => (200, self.metadata()),
            "/jwks" => (200, json!({"keys": self.shown})),
            "/token" => self.tokens(request),
            "/par" if !self.knows(request) => (401, json!({"error": "invalid_client"})),
            "/par" => {
                let uri = format!("urn:ietf:params:oauth:request_uri:{}", self.pushed.len());
                self.pushed.insert(uri.clone(), request.form.clone());
                (201, json!({"request_uri": uri, "expires_in": 60}))
            }
            "/userinfo" => self.userinfo(request),
            "/introspect" if !self.knows(request) => (401, json!({"error": "invalid_client"})),
            "/introspect" => (200, self.introspection.clone()),
            _ => (404, json!({})),
        }
    }

    fn metadata(&self) -> Value {
        let url = |path: &str| format!("{}{path}", self.issuer);
        let mut metadata = json!({
            "issuer": self.issuer,
            "authorization_endpoint": url("/authorize"),
            "token_endpoint": url("/token"),
            "jwks_uri": url("/jwks"),
            "userinfo_endpoint": url("/userinfo"),
            "introspection_endpoint": url("/introspect"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.names_issuer,
            "pushed_authorization_request_endpoint": url("/par"),
            "require_pushed_authorization_requests": self.demands_pushing,
        });
        for (name, value) in self.metadata.as_object().expect("an object") {
            metadata[name] = value.clone();
        }
        metadata
    }

    /// Whether the client has proven who it is, in the one way that is expected.
    fn knows(&self, request: &Request) -> bool {
        let given = |name: &str| request.form.get(name).map(String::as_str);
        match &self.client {
            Client::Basic => {
                // As RFC 6749 §2.3.1 wants: encoded as in a form, then as HTTP has it.
                let pair = "archstone:a%3Ab%25c+d%2B%C3%A9";
                let wanted = format!("Basic {}", BASE64_STANDARD.encode(pair));
                request.authorization.as_ref() == Some(&wanted) && given("client_secret").is_none()
            }
            Client::Post => {
                given("client_id") == Some(CLIENT) && given("client_secret") == Some(SECRET)
            }
            Client::Jwt(key) => {
                let claims = given("client_assertion").and_then(|token| key.read(token));
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                given("client_assertion_type") == Some(kind)
                    && claims.is_some_and(|claims| {
                        claims["iss"] == CLIENT
                            && claims["sub"] == CLIENT
                            && claims["aud"] == format!("{}/token", self.issuer)
                            && claims["jti"].is_string()
                            && claims["exp"].as_i64().is_some_and(|end| end > self.now)
                    })
            }
            Client::Name => given("client_id") == Some(CLIENT) && request.authorization.is_none(),
        }
    }

    fn tokens(&mut self, request: &Request) -> (u16, Value) {
        if !self.knows(request) {
            return (401, json!({"error": "invalid_client"}));
        }
        let given = |name: &str| request.form.get(name).cloned().unwrap_or_default();
        let refused = (400, json!({"error": "invalid_grant"}));
        // A code counts once, whatever comes of it.
        let Some(asked) = self.codes.remove(&given("code")) else {
            return refused;
        };
        let challenge = encode(digest(&SHA256, given("code_verifier").as_bytes()));
        if given("grant_type") != "authorization_code"
            || given("redirect_uri") != asked.redirect_uri
            || (self.checks_verifier && challenge != asked.challenge)
        {
            return refused;
        }
        let mut claims = self.claims();
        claims["nonce"] = json!(asked.nonce);
        if self.signer.algorithm() != "EdDSA" {
            let hash = digest(&SHA256, ACCESS_TOKEN.as_bytes());
            claims["at_hash"] = json!(encode(&hash.as_ref()[..16]));
        }
        let tokens = json!({
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "id_token": (self.id_token)(&self.signer, claims),
        });
        (200, tokens)
    }

    fn userinfo(&self, request: &Request) -> (u16, Value) {
        let wanted = format!("Bearer {ACCESS_TOKEN}");
        if request.authorization.as_ref() != Some(&wanted) {
            return (401, json!({"error": "invalid_token"}));
        }
        if let Some(signer) = &self.signs_userinfo {
            let mut claims = json!({"iss": self.issuer, "aud": CLIENT});
            for (name, value) in self.userinfo.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            return (200, json!(signer.token(&claims)));
        }
        (200, self.userinfo.clone())
    }
}
