//! Keystone to Keystone over HTTP: assertions about our users, and what we accept of another.

mod floods;

use chrono::TimeDelta;
use config::Config;
use federation::saml2::ecp;
use http::Method;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer};

const PLAIN: &str = "/v3/auth/OS-FEDERATION/saml2";
const ENVELOPED: &str = "/v3/auth/OS-FEDERATION/saml2/ecp";
const METADATA: &str = "/v3/OS-FEDERATION/saml2/metadata";
const PROVIDERS: &str = "/v3/OS-FEDERATION/service_providers";
const PROTOCOL: &str = "/v3/OS-FEDERATION/identity_providers/cloud/protocols/saml2";
const CONSUMER: &str = "/v3/auth/OS-FEDERATION/identity_providers/cloud/protocols/saml2/ecp";
const DASHBOARD: &str = "https://horizon.example/auth/websso/";
/// How a client says that it supports ECP.
const PAOS: &str =
    "ver=\"urn:liberty:paos:2003-08\"; \"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp\"";

/// A server that is an identity provider, and the folder of its key.
async fn start_with(change: impl FnOnce(&mut Config)) -> (TestServer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let (key_file, certificate_file) = (folder.path().join("key"), folder.path().join("cert"));
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    std::fs::write(&certificate_file, certificate).unwrap();
    let missing = folder.path().join("metadata.xml");
    let options = format!(
        "[saml]\nkeyfile = {}\ncertfile = {}\nidp_metadata_path = {}\n\
         idp_entity_id = https://home.example/idp\nidp_sso_endpoint = https://home.example/sso\n",
        key_file.display(),
        certificate_file.display(),
        missing.display(),
    );
    let read = Config::parse("keystone.conf".as_ref(), &options).unwrap();
    let server = TestServer::start_with(|config| {
        config.saml = read.saml;
        change(config);
    })
    .await;
    (server, folder)
}

async fn start() -> (TestServer, tempfile::TempDir) {
    start_with(|_| {}).await
}

/// Adds the cloud that assertions are for.
async fn add_cloud(admin: &Client, sp_url: &str) {
    let cloud = json!({
        "auth_url": "https://cloud.example/auth", "sp_url": sp_url, "enabled": true,
    });
    let body = json!({ "service_provider": cloud });
    let path = format!("{PROVIDERS}/cloud");
    admin.put(&path, body).await.expect(201);
}

fn request(token: &str) -> Value {
    json!({"auth": {
        "identity": {"methods": ["token"], "token": {"id": token}},
        "scope": {"service_provider": {"id": "cloud"}},
    }})
}

/// Asks for an assertion, as keystoneauth does: without a token in the header.
async fn ask(server: &TestServer, path: &str, token: &str) -> Answer {
    server.nobody().post(path, request(token)).await
}

/// The text without the signature, which every key writes differently.
fn unsigned(text: &str) -> String {
    let (before, rest) = text.split_once("<ds:Signature ").unwrap();
    let (signature, after) = rest.split_once("</ds:Signature>").unwrap();
    assert!(signature.contains("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"));
    assert!(signature.contains("http://www.w3.org/2001/04/xmlenc#sha256"));
    format!("{before}{after}").replace("><", ">\n<")
}

#[tokio::test]
async fn a_token_becomes_an_assertion_to_a_service_provider() {
    let (server, _folder) = start().await;
    let admin = server.admin().await;
    add_cloud(&admin, "https://cloud.example/sp").await;
    let user = server
        .add_person(
            "ada & co",
            &[("member", Scope::Project), ("reader", Scope::Project)],
        )
        .await;
    let domain = json!({"domain": {"name": "Länder"}});
    let domain = admin.post("/v3/domains", domain).await.expect(201);
    for (name, domain) in [
        ("staff", &json!("default")),
        ("Bayern", &domain["domain"]["id"]),
    ] {
        let body = json!({"group": {"name": name, "domain_id": domain}});
        let group = admin.post("/v3/groups", body).await.expect(201);
        let id = group["group"]["id"].as_str().unwrap();
        let path = format!("/v3/groups/{id}/users/{user}");
        admin.put_empty(&path).await.expect(204);
    }
    let scope = json!({"project": {"id": testkit::home()}});
    let ada = server.log_in("ada & co", Some(scope)).await;
    let answer = ask(&server, PLAIN, ada.token()).await;
    let text = answer.expect_text(200);
    assert_eq!(answer.header("Content-Type"), "text/xml");
    assert_eq!(answer.header("X-sp-url"), "https://cloud.example/sp");
    assert_eq!(answer.header("X-auth-url"), "https://cloud.example/auth");
    insta::assert_snapshot!(unsigned(&text));
    let answer = ask(&server, ENVELOPED, ada.token()).await;
    let text = answer.expect_text(200);
    assert_eq!(answer.header("Content-Type"), "text/xml");
    assert_eq!(answer.header("X-sp-url"), "https://cloud.example/sp");
    let text = unsigned(&text);
    let head: Vec<&str> = text.lines().take(6).collect();
    insta::assert_snapshot!(head.join("\n"));
    assert!(
        text.ends_with("</samlp:Response>\n</S:Body>\n</S:Envelope>"),
        "{text}"
    );
}

#[tokio::test]
async fn a_delegated_token_says_nothing_of_groups() {
    let (server, _folder) = start().await;
    let admin = server.admin().await;
    add_cloud(&admin, "https://cloud.example/sp").await;
    let roles = [("member", Scope::Project), ("reader", Scope::Project)];
    let user = server.add_person("ada", &roles).await;
    let body = json!({"group": {"name": "admins", "domain_id": "default"}});
    let group = admin.post("/v3/groups", body).await.expect(201);
    let id = group["group"]["id"].as_str().unwrap();
    let path = format!("/v3/groups/{id}/users/{user}");
    admin.put_empty(&path).await.expect(204);
    let scope = json!({"project": {"id": testkit::home()}});
    let ada = server.log_in("ada", Some(scope)).await;
    let answer = ask(&server, PLAIN, ada.token()).await;
    assert!(answer.expect_text(200).contains("openstack_groups"));

    let path = format!("/v3/users/{user}/application_credentials");
    let wanted = json!({"name": "ci", "secret": "hush", "roles": [{"name": "reader"}]});
    let wanted = json!({ "application_credential": wanted });
    let made = ada.post(&path, wanted).await.expect(201);
    let shown = json!({"id": made["application_credential"]["id"], "secret": "hush"});
    let identity = json!({"methods": ["application_credential"], "application_credential": shown});
    let body = json!({"auth": {"identity": identity}});
    let delegated = server.nobody().post("/v3/auth/tokens", body).await;
    delegated.expect(201);
    let answer = ask(&server, PLAIN, delegated.header("X-Subject-Token")).await;
    let text = answer.expect_text(200);
    assert!(text.contains(">reader<") && !text.contains(">member<"));
    assert!(!text.contains("openstack_groups"), "{text}");
}

#[tokio::test]
async fn an_assertion_needs_a_token_of_a_project_and_a_provider_that_is_on() {
    let (server, _folder) = start().await;
    let admin = server.admin().await;
    for path in [PLAIN, ENVELOPED] {
        let message = ask(&server, path, admin.token()).await.message(404);
        assert_eq!(message, "Could not find Service Provider: cloud.");
    }
    add_cloud(&admin, "https://cloud.example/sp").await;
    let stranger = server.stranger().await;
    let elsewhere = server.with_role("member", Scope::Domain).await;
    let whole = server.system_admin().await;
    for path in [PLAIN, ENVELOPED] {
        ask(&server, path, "no token").await.expect(404);
        for somebody in [&stranger, &elsewhere, &whole] {
            let message = ask(&server, path, somebody.token()).await.message(403);
            assert_eq!(
                message,
                "You are not authorized to perform the requested action: Use a project scoped \
                 token when attempting to create a SAML assertion."
            );
        }
        ask(&server, path, admin.token()).await.expect_text(200);
        for wrong in [
            json!({}),
            json!({"auth": {}}),
            json!({"auth": {"identity": {"token": {"id": 1}},
                "scope": {"service_provider": {"id": "cloud"}}}}),
            json!({"auth": {"identity": {"token": {"id": "x"}},
                "scope": {"service_provider": {"id": "cloud"}, "project": {}}}}),
        ] {
            server.nobody().post(path, wrong).await.expect(400);
        }
        server.nobody().get(path).await.expect(405);
        server.nobody().head(path).await.expect_text(405);
    }
    let off = json!({"service_provider": {"enabled": false}});
    let path = format!("{PROVIDERS}/cloud");
    admin.patch(&path, off).await.expect(200);
    let message = ask(&server, PLAIN, admin.token()).await.message(403);
    assert_eq!(
        message,
        "You are not authorized to perform the requested action."
    );
    // A token that has ended is none.
    admin
        .patch(&path, json!({"service_provider": {"enabled": true}}))
        .await
        .expect(200);
    server.clock.advance(TimeDelta::hours(2));
    ask(&server, PLAIN, admin.token()).await.expect(404);
}

#[tokio::test]
async fn a_node_vouches_for_nobody_whose_token_another_has_revoked() {
    let (one, _folder) = start().await;
    let other = one.second_node().await;
    let admin = one.admin().await;
    add_cloud(&admin, "https://cloud.example/sp").await;
    let ada = one.with_role("member", Scope::Project).await;
    for path in [PLAIN, ENVELOPED] {
        ask(&other, path, ada.token()).await.expect_text(200);
    }
    let revoke = admin.with_header("x-subject-token", ada.token());
    revoke.delete("/v3/auth/tokens").await.expect(204);
    // No word was passed between the nodes, and no time has gone by.
    for path in [PLAIN, ENVELOPED] {
        ask(&other, path, ada.token()).await.expect(404);
    }
}

#[tokio::test]
async fn a_name_that_xml_cannot_hold_is_told_of() {
    let (server, _folder) = start().await;
    let admin = server.admin().await;
    add_cloud(&admin, "https://cloud.example/sp").await;
    let body = json!({"project": {"name": "pro\u{1}ject", "domain_id": "default"}});
    let project = admin.post("/v3/projects", body).await.expect(201);
    let roles = [("member", Scope::Project)];
    server.add_person("ja\u{8}ne", &roles).await;
    let ada = server.add_person("ada", &roles).await;
    let on_home = json!({"project": {"id": testkit::home()}});
    let refused = async |token: &str| {
        for path in [PLAIN, ENVELOPED] {
            let message = ask(&server, path, token).await.message(400);
            assert!(message.contains("that XML cannot hold"), "{message}");
        }
    };
    let token = server.log_in("ja\u{8}ne", Some(on_home.clone())).await;
    refused(token.token()).await;
    // The names of projects and groups stand in it as well.
    let project = project["project"]["id"].as_str().unwrap();
    let roles = admin.get("/v3/roles?name=member").await.expect(200);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    let grant = format!("/v3/projects/{project}/users/{ada}/roles/{role}");
    admin.put_empty(&grant).await.expect(204);
    let scope = json!({"project": {"id": project}});
    refused(server.log_in("ada", Some(scope)).await.token()).await;
    let good = server.log_in("ada", Some(on_home.clone())).await;
    ask(&server, PLAIN, good.token()).await.expect_text(200);
    let body = json!({"group": {"name": "gro\u{b}up", "domain_id": "default"}});
    let group = admin.post("/v3/groups", body).await.expect(201);
    let id = group["group"]["id"].as_str().unwrap();
    let path = format!("/v3/groups/{id}/users/{ada}");
    admin.put_empty(&path).await.expect(204);
    let in_group = server.log_in("ada", Some(on_home)).await;
    // A group's name is written as JSON, which has words for such characters.
    ask(&server, PLAIN, in_group.token()).await.expect_text(200);
}

#[tokio::test]
async fn without_a_name_or_a_key_there_are_no_assertions() {
    type Change = fn(&mut Config);
    let changes: [Change; 4] = [
        |config| config.saml.idp_entity_id = None,
        |config| config.saml.keyfile = "/nonexistent/key".into(),
        |config| config.saml.certfile = "/nonexistent/certificate".into(),
        // No certificate is there.
        |config| config.saml.certfile = config.saml.keyfile.clone(),
    ];
    for change in changes {
        let (server, _folder) = start_with(change).await;
        let admin = server.admin().await;
        add_cloud(&admin, "https://cloud.example/sp").await;
        let message = ask(&server, PLAIN, admin.token()).await.message(500);
        assert!(message.starts_with("An unexpected error"), "{message}");
    }
}

#[tokio::test]
async fn our_metadata_are_those_of_the_file_else_those_of_the_options() {
    let (server, folder) = start().await;
    let answer = server.nobody().get(METADATA).await;
    let text = answer.expect_text(200);
    assert_eq!(answer.header("Content-Type"), "text/xml");
    let (before, rest) = text.split_once("<ds:X509Certificate>").unwrap();
    let (_, after) = rest.split_once("</ds:X509Certificate>").unwrap();
    insta::assert_snapshot!(format!("{before}{after}").replace("><", ">\n<"));
    std::fs::write(folder.path().join("metadata.xml"), "<mine/>").unwrap();
    assert_eq!(
        server.nobody().get(METADATA).await.expect_text(200),
        "<mine/>"
    );
    let (server, _folder) = start_with(|config| config.saml.idp_entity_id = None).await;
    server.nobody().get(METADATA).await.expect(500);
}

/// Lets a cloud accept what a server says, by the metadata that the server has now.
async fn add_source(server: &TestServer, cloud: &TestServer, settings: Value) {
    let admin = cloud.admin().await;
    let body = json!({"group": {"name": "guests"}});
    let group = admin.post("/v3/groups", body).await.expect(201);
    let rule = json!({
        "local": [{"user": {"name": "{0}"}, "group": {"id": group["group"]["id"]}}],
        "remote": [
            {"type": "openstack_user"},
            {"type": "openstack_roles", "any_one_of": ["member"]},
        ],
    });
    let body = json!({"mapping": {"rules": [rule]}});
    let path = "/v3/OS-FEDERATION/mappings/m";
    admin.put(path, body).await.expect(201);
    let body = json!({"identity_provider": {"domain_id": "default", "enabled": true}});
    let (path, _) = PROTOCOL.split_once("/protocols").unwrap();
    admin.put(path, body).await.expect(201);
    let metadata = server.nobody().get(METADATA).await.expect_text(200);
    let mut all = json!({"entity_id": "https://cloud.example", "metadata": metadata});
    for (name, value) in settings.as_object().unwrap() {
        all[name] = value.clone();
    }
    let protocol = json!({"mapping_id": "m", "driver": "saml2", "settings": all});
    let body = json!({ "protocol": protocol });
    admin.put(PROTOCOL, body).await.expect(201);
}

/// Relays a SOAP message to a cloud, as keystoneauth does.
async fn bring(cloud: &TestServer, envelope: &str) -> Answer {
    let kind = "application/vnd.paos+xml";
    let nobody = cloud.nobody();
    nobody
        .send_raw(Method::POST, CONSUMER, kind, envelope)
        .await
}

#[tokio::test]
async fn another_cloud_accepts_an_assertion_once() {
    let (server, _folder) = start().await;
    let cloud = TestServer::start().await;
    add_cloud(&server.admin().await, &format!("{}{CONSUMER}", cloud.url)).await;
    let accepts = json!({"allow_unsolicited": true, "require_audience": false});
    add_source(&server, &cloud, accepts).await;
    let member = server.with_role("member", Scope::Project).await;
    let reader = server.with_role("reader", Scope::Project).await;
    let envelope = ask(&server, ENVELOPED, member.token())
        .await
        .expect_text(200);
    let forged = envelope.replace(">member-project<", ">admin<");
    assert_ne!(forged, envelope);
    bring(&cloud, &forged).await.expect(401);
    let answer = bring(&cloud, &envelope).await;
    let token = answer.expect(201);
    assert_eq!(token["token"]["user"]["name"], "member-project");
    let federation = &token["token"]["user"]["OS-FEDERATION"];
    assert_eq!(federation["identity_provider"], json!({"id": "cloud"}));
    let user = cloud.nobody().with_token(answer.header("X-Subject-Token"));
    user.get("/v3/auth/projects").await.expect(200);
    bring(&cloud, &envelope).await.expect(401);
    // The mapping wants another role.
    let envelope = ask(&server, ENVELOPED, reader.token())
        .await
        .expect_text(200);
    bring(&cloud, &envelope).await.expect(401);
    let envelope = ask(&server, ENVELOPED, member.token())
        .await
        .expect_text(200);
    cloud.clock.advance(TimeDelta::seconds(3600 + 60));
    bring(&cloud, &envelope).await.expect(401);
}

#[tokio::test]
async fn names_that_differ_in_outer_space_are_two_users() {
    let (server, _folder) = start().await;
    let cloud = TestServer::start().await;
    let admin = server.admin().await;
    add_cloud(&admin, &format!("{}{CONSUMER}", cloud.url)).await;
    let accepts = json!({"allow_unsolicited": true, "require_audience": false});
    add_source(&server, &cloud, accepts).await;
    let names = ["fadm", "fadm ", " fadm", "fadm\n", "\tfadm\t"];
    let mut seen = std::collections::HashSet::new();
    for (number, name) in names.into_iter().enumerate() {
        let roles = [("member", Scope::Project)];
        let user = server.add_person(&format!("{number}"), &roles).await;
        // The API would not take such a name; a directory's people have it. One at a time has it
        // here, for the database may hold them to be one name.
        let rename = async |name: &str| {
            let text = format!("UPDATE local_user SET name = '{name}' WHERE user_id = '{user}'");
            server.sql(&text).await;
        };
        rename(name).await;
        let scope = json!({"project": {"id": testkit::home()}});
        let token = server.log_in(name, Some(scope)).await;
        let answer = ask(&server, ENVELOPED, token.token()).await;
        rename(&number.to_string()).await;
        let token = bring(&cloud, &answer.expect_text(200)).await.expect(201);
        let found = &token["token"]["user"];
        assert_eq!(found["name"], name);
        assert!(seen.insert(found["id"].to_string()), "{name:?}: {found}");
    }
}

#[tokio::test]
async fn an_assertion_counts_once_among_all_nodes_and_for_our_own_users_too() {
    let (server, _folder) = start().await;
    let one = TestServer::start_with(|config| {
        let text = "[DEFAULT]\npublic_endpoint = https://cloud.example/\n";
        let read = Config::parse("keystone.conf".as_ref(), text).unwrap();
        config.default.public_endpoint = read.default.public_endpoint;
    })
    .await;
    let other = one.second_node().await;
    let sp_url = format!("https://cloud.example{CONSUMER}");
    add_cloud(&server.admin().await, &sp_url).await;
    let accepts = json!({"allow_unsolicited": true, "require_audience": false});
    add_source(&server, &one, accepts).await;
    let member = server.with_role("member", Scope::Project).await;
    let twice = async || {
        let answer = ask(&server, ENVELOPED, member.token()).await;
        let envelope = answer.expect_text(200);
        let token = bring(&one, &envelope).await.expect(201);
        bring(&other, &envelope).await.expect(401);
        bring(&one, &envelope).await.expect(401);
        token["token"]["user"].get("OS-FEDERATION").is_some()
    };
    assert!(twice().await);
    one.add_person("member-project", &[]).await;
    let local = json!({"user": {"name": "{0}", "type": "local", "domain": {"id": "default"}}});
    let rule = json!({"local": [local], "remote": [{"type": "openstack_user"}]});
    let body = json!({"mapping": {"rules": [rule]}});
    let admin = one.admin().await;
    let mapping = "/v3/OS-FEDERATION/mappings/m";
    admin.patch(mapping, body).await.expect(200);
    other.clock.advance(TimeDelta::seconds(1));
    assert!(!twice().await);
}

#[tokio::test]
async fn what_nobody_asked_for_is_accepted_only_where_settings_say_so() {
    let (server, _folder) = start().await;
    let admin = server.admin().await;
    let member = server.with_role("member", Scope::Project).await;
    add_cloud(&admin, "https://cloud.example/sp").await;
    let accepts = json!({"allow_unsolicited": true, "require_audience": false});
    for (settings, status) in [
        (json!({}), 401),
        (json!({"allow_unsolicited": true}), 401),
        (json!({"require_audience": false}), 401),
        (accepts.clone(), 201),
    ] {
        let cloud = TestServer::start().await;
        add_source(&server, &cloud, settings).await;
        let sp_url = format!("{}{CONSUMER}", cloud.url);
        let change = json!({"service_provider": {"sp_url": sp_url}});
        let path = format!("{PROVIDERS}/cloud");
        admin.patch(&path, change).await.expect(200);
        let answer = ask(&server, ENVELOPED, member.token()).await;
        let envelope = answer.expect_text(200);
        bring(&cloud, &envelope).await.expect(status);
    }
    // What is for one cloud is not for another.
    let envelope = ask(&server, ENVELOPED, member.token())
        .await
        .expect_text(200);
    let another = TestServer::start().await;
    add_source(&server, &another, accepts).await;
    bring(&another, &envelope).await.expect(401);
}

#[tokio::test]
async fn a_login_of_a_browser_and_one_without_a_browser_do_not_end_each_other() {
    let (server, _folder) = start().await;
    let cloud = TestServer::start_with(|config| {
        config.default.insecure_debug = true;
        config.federation.trusted_dashboard = vec![DASHBOARD.to_owned()].into();
    })
    .await;
    add_cloud(&server.admin().await, &format!("{}{CONSUMER}", cloud.url)).await;
    let metadata = server.nobody().get(METADATA).await.expect_text(200);
    let metadata = metadata.replace("bindings:URI", "bindings:HTTP-Redirect");
    add_source(&server, &cloud, json!({ "metadata": metadata })).await;
    let member = server.with_role("member", Scope::Project).await;
    let answer = ask(&server, ENVELOPED, member.token()).await;
    let envelope = answer.expect_text(200);

    let begin = CONSUMER.replace("/ecp", &format!("/websso?origin={DASHBOARD}"));
    let begun = cloud.nobody().get(&begin).await;
    let (cookie, _) = begun.header("Set-Cookie").split_once(';').unwrap();
    let (_, of_browser) = cookie.split_once('=').unwrap();
    let client = cloud
        .nobody()
        .with_header("accept", ecp::CONTENT_TYPE)
        .with_header("paos", PAOS);
    let begun = client.get(&format!("{PROTOCOL}/auth")).await;
    let begun = begun.expect_text(200);
    let of_client = relay_state(&begun);

    let bring_envelope = async |sealed: &str| {
        let envelope = envelope.replace(relay_state(&envelope), sealed);
        bring(&cloud, &envelope).await.message(401)
    };
    let bring_cookie = async |sealed: &str| {
        let now = cloud.app.parts.clock.now();
        let login = cloud.app.parts.login_cookies.open(sealed, now).unwrap();
        let cookie = format!("{}={sealed}", login.cookie_name());
        let browser = cloud.nobody().with_header("cookie", &cookie);
        let state = login.secret.derive("state");
        let fields = [("SAMLResponse", "PGEvPg=="), ("RelayState", &state)];
        let callback = CONSUMER.replace("/ecp", "/callback");
        browser.post_form(&callback, &fields).await.message(401)
    };
    for (reason, word) in [
        (bring_envelope(of_client).await, "(InResponseTo)"),
        (bring_envelope(of_browser).await, "belongs to no login"),
        (bring_cookie(of_browser).await, "it is no SAML response"),
        (bring_cookie(of_client).await, "nobody asked"),
    ] {
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

/// The relay state of a SOAP message.
fn relay_state(envelope: &str) -> &str {
    let (before, _) = envelope.split_once("</ecp:RelayState>").unwrap();
    before.rsplit_once('>').unwrap().1
}
