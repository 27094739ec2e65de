//! Providers whose answers say more than anybody needs, and who has to wait for them.

use std::time::Duration;

use model::clock::Stopwatch;

use model::user::Group;
use serde_json::{Value, json};
use testkit::{Client, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::add_provider;

/// Answers each request with this document.
async fn provider(document: &Value) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let document = document.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{document}",
        document.len()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(serve(stream, answer.clone()));
        }
    });
    url
}

async fn serve(mut stream: TcpStream, answer: String) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        // The one who asks may be gone.
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        request.push(byte);
    }
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A server with a mapping by the names of groups.
async fn start() -> (TestServer, Client) {
    let server = TestServer::start_with(|config| config.archstone.private_providers = true).await;
    let admin = server.admin().await;
    let rules = json!([{
        "local": [{"user": {"name": "{0}"}, "groups": "{1}", "domain": {"id": "default"}}],
        "remote": [{"type": "OAUTH2-sub"}, {"type": "OAUTH2-groups"}],
    }]);
    let mapping = json!({"mapping": {"rules": rules}});
    let path = "/v3/OS-FEDERATION/mappings/m";
    admin.put(path, mapping).await.expect(201);
    (server, admin)
}

/// Adds a provider whose userinfo is this document, and gives the path to log in with its tokens.
async fn add_provider_saying(admin: &Client, id: &str, document: &Value) -> String {
    let url = provider(document).await;
    let settings = json!({
        "client_id": "c", "client_secret": "hush", "attributes": "userinfo",
        "bearer": "userinfo", "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "userinfo_endpoint": format!("{url}/me"),
    });
    let spoken = json!({"mapping_id": "m", "driver": "oauth2", "settings": settings});
    add_provider(admin, id, spoken).await;
    format!("/v3/OS-FEDERATION/identity_providers/{id}/protocols/mapped/auth")
}

/// How long a request typically takes.
async fn wait(user: &Client) -> Duration {
    let mut waits = Vec::new();
    for _ in 0..25 {
        let began = Stopwatch::start();
        user.get("/v3/auth/projects").await.expect(200);
        waits.push(began.elapsed());
    }
    waits.sort();
    waits[waits.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_with_long_answers_keep_nobody_else_waiting() {
    let (server, admin) = start().await;
    let names = |count: usize| (0..count).map(|number| format!("n{number}"));
    let members = |count: usize| {
        let mut members: serde_json::Map<_, _> =
            names(count).map(|name| (name, json!("x"))).collect();
        members.insert("sub".into(), json!("joe"));
        members.insert("groups".into(), json!(["g"]));
        Value::Object(members)
    };
    let groups = |count: usize| json!({"sub": "joe", "groups": Value::from_iter(names(count))});
    let idle = wait(&admin).await;
    for (number, (what, mut document, status)) in [
        ("nothing more", groups(1), 201),
        ("as many members as may be", members(9_000), 201),
        // Such an answer is none, whoever it is about.
        ("many members", members(60_000), 503),
        ("as many groups as may be", groups(9_000), 201),
        ("many groups", groups(40_000), 401),
    ]
    .into_iter()
    .enumerate()
    {
        // Nobody bears the name of somebody of another provider in the same domain.
        document["sub"] = json!(format!("joe{number}"));
        let path = add_provider_saying(&admin, &format!("p{number}"), &document).await;
        // Whoever is known by then is not added by two at once.
        let bearer = server.nobody();
        let bearer = bearer.with_header("authorization", "Bearer opaque");
        let answer = bearer.get(&path).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        let mut flood = JoinSet::new();
        for one in 0..4 {
            let bearer = server.nobody();
            let bearer = bearer.with_header("authorization", &format!("Bearer opaque{one}"));
            let path = path.clone();
            flood.spawn(async move {
                loop {
                    let answer = bearer.get(&path).await;
                    assert_eq!(answer.status, status, "{}", answer.text);
                }
            });
        }
        let beside = wait(&admin).await;
        if let Some(broken) = flood.try_join_next() {
            broken.unwrap();
        }
        flood.shutdown().await;
        assert!(
            beside < idle * 200,
            "{what}: somebody waits {beside:?}, and on an idle server {idle:?}"
        );
    }
}

#[tokio::test]
async fn a_login_with_more_groups_than_a_token_holds_is_told_so() {
    let (server, admin) = start().await;
    // The longer an id, the more room it takes.
    let mut tx = server.app.parts.store.begin().await.unwrap();
    for number in 0..600 {
        let group = Group {
            id: format!("{number:064}").as_str().into(),
            name: format!("n{number}"),
            domain_id: "default".into(),
            description: None,
            extra: model::Extra::default(),
        };
        tx.groups_mut().insert(&group).await.unwrap();
    }
    let _saved = tx.commit().await.unwrap();
    for (count, status) in [(400, 201), (600, 403)] {
        let names = (0..count).map(|number| format!("n{number}"));
        let said = json!({"sub": format!("joe{count}"), "groups": Value::from_iter(names)});
        let path = add_provider_saying(&admin, &format!("p{count}"), &said).await;
        let bearer = server.nobody();
        let bearer = bearer.with_header("authorization", "Bearer opaque");
        let answer = bearer.get(&path).await;
        let document = answer.expect(status);
        if status == 201 {
            let token = answer.header("X-Subject-Token");
            let about = admin.clone().with_header("x-subject-token", token);
            about.get("/v3/auth/tokens").await.expect(200);
        } else {
            assert_eq!(
                document["error"]["message"],
                "The identity provider and its mapping bring 600 groups, more than a token can \
                 hold."
            );
        }
    }
}
