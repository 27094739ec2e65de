//! What happens to a login while we wait for the identity provider's answer.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{SubsecRound as _, TimeDelta};
use model::federation::IdentityProvider;
use model::ids::UserId;
use model::user::{FederatedIdentity, User};
use serde_json::{Value, json};
use store::{StoreError, Tx};
use testkit::{Answer, Client, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const PROVIDER: &str = "/v3/OS-FEDERATION/identity_providers/corp";
const MAPPING: &str = "/v3/OS-FEDERATION/mappings/m";

/// A provider that takes its time to say whose a token is.
struct SlowProvider {
    url: String,
    key: EcdsaKeyPair,
    asked: Notify,
    may_answer: Notify,
}

impl SlowProvider {
    async fn start() -> Arc<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Arc::new(Self {
            url: format!("http://{}", socket.local_addr().unwrap()),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            asked: Notify::new(),
            may_answer: Notify::new(),
        });
        let itself = Arc::clone(&provider);
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                tokio::spawn(Arc::clone(&itself).answer(stream));
            }
        });
        provider
    }

    /// Answers one request.
    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let reply = if request.starts_with(b"GET /keys") {
            let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
            let encode = |bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes);
            json!({"keys": [{
                "kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256",
                "x": encode(x), "y": encode(y),
            }]})
        } else {
            self.asked.notify_one();
            self.may_answer.notified().await;
            json!({"active": true, "sub": "jane", "sid": "s1", "client_id": "us"})
        };
        let reply = reply.to_string();
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{reply}",
            reply.len()
        );
        stream.write_all(reply.as_bytes()).await.unwrap();
    }

    /// A message that it signs (RFC 7519).
    fn sign(&self, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(&json!({"alg": "ES256", "kid": "1"}));
        let signed = format!("{header}.{}", encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.unwrap());
        format!("{signed}.{signature}")
    }
}

struct Corp {
    server: TestServer,
    admin: Client,
    provider: Arc<SlowProvider>,
}

fn mapping(user: Value) -> Value {
    let rule = json!({"local": [{"user": user}], "remote": [{"type": "OIDC-sub"}]});
    json!({"mapping": {"rules": [rule]}})
}

impl Corp {
    async fn new() -> Self {
        let server = TestServer::start_with(|config| config.archstone.private_providers = true);
        let server = server.await;
        let admin = server.admin().await;
        let provider = SlowProvider::start().await;
        let by_name = mapping(json!({"name": "{0}"}));
        admin.put(MAPPING, by_name).await.expect(201);
        let body = json!({"identity_provider": {"enabled": true, "domain_id": "default"}});
        admin.put(PROVIDER, body).await.expect(201);
        let at = |path: &str| format!("{}/{path}", provider.url);
        let protocol = json!({"protocol": {
            "mapping_id": "m", "driver": "oidc",
            "settings": {
                "issuer": provider.url, "client_id": "us", "client_secret": "hush",
                "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
                "introspection_endpoint": at("introspect"), "jwks_uri": at("keys"),
                "bearer": "introspection",
            },
        }});
        let path = format!("{PROVIDER}/protocols/mapped");
        admin.put(&path, protocol).await.expect(201);
        Self {
            server,
            admin,
            provider,
        }
    }

    /// Begins a login, which waits for the provider.
    async fn begin(&self) -> JoinHandle<Answer> {
        let path = format!("{PROVIDER}/protocols/mapped/auth");
        let bearer = self.server.nobody();
        let bearer = bearer.with_header("authorization", "Bearer opaque");
        let login = tokio::spawn(async move { bearer.get(&path).await });
        self.provider.asked.notified().await;
        login
    }

    /// Lets the provider answer a login.
    async fn finish(&self, login: JoinHandle<Answer>) -> Answer {
        self.provider.may_answer.notify_one();
        login.await.unwrap()
    }

    /// The same while a transaction is open that has done its work, and is committed when the login
    /// waits for it, or did not have to.
    async fn finish_meanwhile(
        &self,
        login: JoinHandle<Answer>,
        work: impl AsyncFnOnce(&mut Tx),
    ) -> Answer {
        let mut tx = self.server.app.parts.store.begin().await.unwrap();
        work(&mut tx).await;
        self.provider.may_answer.notify_one();
        self.server.until_it_waits(|| login.is_finished()).await;
        let _saved = tx.commit().await.unwrap();
        login.await.unwrap()
    }

    async fn log_in(&self) -> Answer {
        let login = self.begin().await;
        self.finish(login).await
    }

    /// The provider says that a session has ended.
    async fn log_out(&self, id: &str, who: Value) {
        let mut claims = json!({
            "iss": self.provider.url, "aud": "us", "jti": id,
            "iat": self.server.app.parts.clock.now().timestamp(),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in who.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = self.provider.sign(&claims);
        let path = "/v3/auth/OS-FEDERATION/identity_providers/corp/protocols/mapped/logout";
        let anybody = self.server.nobody();
        let answer = anybody.post_form(path, &[("logout_token", &token)]).await;
        answer.expect(200);
    }
}

#[tokio::test]
async fn a_provider_that_is_disabled_or_deleted_during_a_login_lets_nobody_in() {
    let corp = Corp::new().await;
    corp.log_in().await.expect(201);
    let login = corp.begin().await;
    let body = json!({"identity_provider": {"enabled": false}});
    corp.admin.patch(PROVIDER, body).await.expect(200);
    corp.finish(login).await.expect(403);

    let body = json!({"identity_provider": {"enabled": true}});
    corp.admin.patch(PROVIDER, body).await.expect(200);
    let login = corp.begin().await;
    corp.admin.delete(PROVIDER).await.expect(204);
    corp.finish(login).await.expect(404);
}

#[tokio::test]
async fn a_provider_that_is_changed_during_a_login_lets_nobody_in() {
    let corp = Corp::new().await;
    let path = format!("{PROVIDER}/protocols/mapped");
    for change in [
        json!({"protocol": {"mapping_id": "m", "settings": {"client_id": "others"}}}),
        json!({"protocol": {"mapping_id": "other"}}),
    ] {
        let other = "/v3/OS-FEDERATION/mappings/other";
        let by_name = mapping(json!({"name": "{0}"}));
        let _ = corp.admin.put(other, by_name).await;
        let login = corp.begin().await;
        corp.admin.patch(&path, change).await.expect(200);
        corp.finish(login).await.expect(401);
    }
    let login = corp.begin().await;
    let body = json!({"identity_provider": {"remote_ids": ["https://other.example"]}});
    corp.admin.patch(PROVIDER, body).await.expect(200);
    corp.finish(login).await.expect(401);
}

#[tokio::test]
async fn a_mapping_that_is_changed_before_the_provider_answers_is_the_one_that_counts() {
    let corp = Corp::new().await;
    corp.server.add_person("boss", &[]).await;
    let boss = json!({"type": "local", "name": "boss", "domain": {"id": "default"}});
    for (user, name) in [(boss, "boss"), (json!({"name": "new-{0}"}), "new-jane")] {
        let login = corp.begin().await;
        corp.admin.patch(MAPPING, mapping(user)).await.expect(200);
        let token = corp.finish(login).await.expect(201);
        assert_eq!(token["token"]["user"]["name"], name);
    }
}

#[tokio::test]
async fn a_provider_or_group_that_is_deleted_while_the_login_is_written_lets_nobody_in() {
    let corp = Corp::new().await;
    let body = json!({"group": {"name": "staff", "domain_id": "default"}});
    let group = corp.admin.post("/v3/groups", body).await.expect(201);
    let group = group["group"]["id"].as_str().unwrap().to_owned();
    let mut by_group = mapping(json!({"name": "{0}"}));
    by_group["mapping"]["rules"][0]["local"][0]["group"] = json!({"id": group});
    corp.admin.patch(MAPPING, by_group).await.expect(200);
    let store = &corp.server.app.parts.store;
    for deletes_provider in [false, true] {
        let login = corp.begin().await;
        let mut tx = store.begin().await.unwrap();
        if deletes_provider {
            let now = corp.server.app.parts.clock.now();
            let mut providers = tx.identity_providers_mut();
            providers.delete(&"corp".into(), now).await.unwrap();
        } else {
            let mut groups = tx.groups_mut();
            groups.delete(&group.as_str().into()).await.unwrap();
        }
        corp.provider.may_answer.notify_one();
        corp.server.until_it_waits(|| login.is_finished()).await;
        let _saved = tx.commit().await.unwrap();
        let answer = login.await.unwrap();
        if deletes_provider {
            answer.expect(404);
        } else {
            // As when the group had been deleted before.
            answer.expect(400);
            let by_name = mapping(json!({"name": "{0}"}));
            corp.admin.patch(MAPPING, by_name).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_mapping_that_is_changed_after_it_was_applied_lets_nobody_in() {
    let corp = Corp::new().await;
    let store = &corp.server.app.parts.store;
    if store.dialect() != store::Dialect::Sqlite {
        // Only there a login waits, when it has applied the mapping, for whoever writes.
        return;
    }
    corp.server.add_person("boss", &[]).await;
    let boss = json!({"type": "local", "name": "boss", "domain": {"id": "default"}});
    for former in [json!({"name": "{0}"}), boss] {
        corp.admin.patch(MAPPING, mapping(former)).await.expect(200);
        let login = corp.begin().await;
        let mut tx = store.begin().await.unwrap();
        corp.provider.may_answer.notify_one();
        corp.server.until_it_waits(|| login.is_finished()).await;
        let changed = model::federation::Mapping {
            id: "m".into(),
            rules: mapping(json!({"name": "new-{0}"}))["mapping"]["rules"].clone(),
            schema_version: "1.0".into(),
        };
        let id = "m".into();
        let change = tx.change(&id, |_| Ok::<_, store::StoreError>(changed));
        change.await.unwrap();
        let _saved = tx.commit().await.unwrap();
        // Or it was slow to get there, and has applied the new one.
        let answer = login.await.unwrap();
        if answer.status == 201 {
            assert!(answer.text.contains("new-jane"), "{}", answer.text);
        } else {
            answer.expect(401);
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_disabled_while_a_first_login_is_written_lets_nobody_in() {
    let corp = Corp::new().await;
    let login = corp.begin().await;
    let disabling = async |tx: &mut Tx| {
        let id = "corp".into();
        let disabled = tx.change(&id, |mut provider: IdentityProvider| {
            provider.enabled = false;
            Ok::<_, StoreError>(provider)
        });
        disabled.await.unwrap();
    };
    let refused = corp.finish_meanwhile(login, disabling).await;
    refused.expect(403);
    let users = corp.admin.get("/v3/users?name=jane").await.expect(200);
    assert_eq!(users["users"], json!([]));
}

/// Whose a federated token is.
fn user_of(answer: &Answer) -> UserId {
    let token = answer.expect(201);
    token["token"]["user"]["id"].as_str().unwrap().into()
}

#[tokio::test]
async fn what_is_changed_of_a_user_while_their_login_is_written_stays() {
    let corp = Corp::new().await;
    let id = user_of(&corp.log_in().await);
    let with_address = mapping(json!({"name": "{0}", "email": "{0}@corp.example"}));
    corp.admin.patch(MAPPING, with_address).await.expect(200);
    let login = corp.begin().await;
    let colouring = async |tx: &mut Tx| {
        let coloured = tx.change(&id, |mut user: User| {
            user.extra.insert("colour".into(), "red".into());
            Ok::<_, StoreError>(user)
        });
        coloured.await.unwrap();
    };
    let answer = corp.finish_meanwhile(login, colouring).await;
    assert_eq!(user_of(&answer), id);
    let user = corp.admin.get(&format!("/v3/users/{id}")).await.expect(200);
    assert_eq!(user["user"]["colour"], "red");
    assert_eq!(user["user"]["email"], "jane@corp.example");
}

#[tokio::test]
async fn a_name_that_becomes_another_users_while_a_login_is_written_logs_them_in() {
    let corp = Corp::new().await;
    let jane = user_of(&corp.log_in().await);
    let joe = corp.server.add_person("joe", &[]).await;
    let login = corp.begin().await;
    let identity = FederatedIdentity {
        identity_provider_id: "corp".into(),
        protocol_id: "mapped".into(),
        unique_id: "jane".into(),
    };
    let giving = async |tx: &mut Tx| {
        for (id, identities) in [(&jane, vec![]), (&joe, vec![identity])] {
            let user: User = tx.hold(id).await.unwrap();
            let mut users = tx.users_mut();
            let replaced = users.replace_federated_identities(&user, &identities).await;
            replaced.unwrap();
        }
    };
    let answer = corp.finish_meanwhile(login, giving).await;
    assert_eq!(user_of(&answer), joe);
}

#[tokio::test]
async fn a_login_with_other_groups_ends_tokens_that_were_obtained_while_it_waited() {
    let corp = Corp::new().await;
    let first = corp.log_in().await;
    let id = user_of(&first);
    let body = json!({"group": {"name": "staff", "domain_id": "default"}});
    let group = corp.admin.post("/v3/groups", body).await.expect(201);
    let mut by_group = mapping(json!({"name": "{0}"}));
    by_group["mapping"]["rules"][0]["local"][0]["group"] = json!({"id": group["group"]["id"]});
    corp.admin.patch(MAPPING, by_group).await.expect(200);
    let login = corp.begin().await;
    let identity = json!({"methods": ["token"], "token": {"id": first.header("X-Subject-Token")}});
    let body = json!({"auth": {"identity": identity}});
    let clock = &corp.server.clock;
    let mut tx = corp.server.app.parts.store.begin().await.unwrap();
    tx.users_mut().lock(&id).await.unwrap();
    corp.provider.may_answer.notify_one();
    corp.server.until_it_waits(|| login.is_finished()).await;
    clock.advance(TimeDelta::seconds(5));
    let second = corp.server.nobody().post("/v3/auth/tokens", body).await;
    second.expect(201);
    clock.advance(TimeDelta::milliseconds(5700));
    drop(tx);
    let third = login.await.unwrap();
    assert_eq!(user_of(&third), id);
    let app = &corp.server.app;
    let events = app.parts.store.revocations().list(None).await.unwrap();
    let second_of_writing = app.parts.clock.now().trunc_subsecs(0);
    let before = second_of_writing - TimeDelta::seconds(1);
    assert!(
        events
            .iter()
            .any(|event| event.user_id.as_ref() == Some(&id)
                && (event.issued_before, event.revoked_at) == (before, second_of_writing)),
        "{events:?}"
    );
    for (token, status) in [(first, 404), (second, 404), (third, 200)] {
        let about = corp.admin.clone();
        let about = about.with_header("x-subject-token", token.header("X-Subject-Token"));
        about.get("/v3/auth/tokens").await.expect(status);
    }
}

#[tokio::test]
async fn a_session_that_ends_during_its_login_gives_no_token() {
    let corp = Corp::new().await;
    for (number, who) in [
        json!({"sub": "jane"}),
        json!({"sid": "s1"}),
        json!({"sub": "jane", "sid": "s1"}),
    ]
    .into_iter()
    .enumerate()
    {
        let login = corp.begin().await;
        corp.log_out(&number.to_string(), who.clone()).await;
        corp.finish(login).await.expect(401);
        // The next session is another one.
        corp.server.clock.advance(chrono::TimeDelta::seconds(1));
        let login = corp.begin().await;
        corp.log_out(
            &format!("other-{number}"),
            json!({"sub": "joe", "sid": "s2"}),
        )
        .await;
        corp.finish(login).await.expect(201);
    }
}
