"""Access tokens for users who show a client certificate (RFC 8705), with keystoneauth's client too."""

import base64
import hashlib
import json

import pytest
import requests
from keystoneauth1 import loading, session

from support.authority import Authority
from support.people import admin_login, api, role_id
from support.servers import Archstone


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "clients")


@pytest.fixture(scope="module")
def cloud(authority, tmp_path_factory):
    server = Archstone(tmp_path_factory.mktemp("cloud") / "data").start()
    server.stop()
    with open(server.directory / "keystone.conf", "a") as configuration:
        configuration.write(f"\n[archstone]\ntls_client_authorities = {authority.file}\n")
        configuration.write("[oauth2]\noauth2_authn_methods = tls_client_auth,client_secret_basic\n")
    server.start(server.serve())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def admin(cloud):
    return api(cloud, admin_login(cloud))


@pytest.fixture(scope="module")
def jane(admin):
    """A user with a default project, and the mapping that knows her by name, address and issuer."""
    remote = [
        {"type": "SSL_CLIENT_SUBJECT_DN_CN"},
        {"type": "SSL_CLIENT_SUBJECT_DN_EMAILADDRESS"},
        {"type": "SSL_CLIENT_ISSUER_DN_O", "any_one_of": ["Acme\\, Inc."]},
    ]
    user = {"name": "{0}", "email": "{1}", "domain": {"id": "default"}}
    rules = [{"local": [{"user": user}], "remote": remote}]
    admin.put("/OS-FEDERATION/mappings/oauth2_mapping", json={"mapping": {"rules": rules}})
    project = admin.post("/projects", json={"project": {"name": "lab"}}).json()["project"]["id"]
    user = {"name": "jane", "email": "jane@example.com", "default_project_id": project}
    user = admin.post("/users", json={"user": user}).json()["user"]
    admin.put(f"/projects/{project}/users/{user['id']}/roles/{role_id(admin, 'member')}")
    return user


@pytest.fixture(scope="module")
def proof(authority):
    return authority.client("jane", COMMON_NAME="jane", EMAIL_ADDRESS="jane@example.com")


def obtain(cloud, client_id, cert=None, **more):
    form = {"grant_type": "client_credentials", "client_id": client_id}
    url = f"{cloud.url}/v3/OS-OAUTH2/token"
    return requests.post(url, data=form, cert=cert, verify=str(cloud.cacert), **more)


def assert_refused(answer):
    assert answer.status_code == 401, answer.text
    assert answer.json() == {
        "error": "invalid_client",
        "error_description": "Client authentication failed.",
    }


def test_a_certificate_buys_a_token_that_is_bound_to_it(cloud, admin, jane, proof):
    answer = obtain(cloud, jane["id"], proof)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["access_token"]
    shown = admin.get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    with open(proof[0], "rb") as pem:
        digest = hashlib.sha256(pem.read()).digest()
    assert shown["oauth2_credential"] == {"x5t#S256": base64.urlsafe_b64encode(digest).decode()}
    assert shown["project"]["id"] == jane["default_project_id"]
    assert shown["methods"] == []
    # It makes no other tokens.
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}}
    again = requests.post(f"{cloud.plain_url}/v3/auth/tokens", json={"auth": auth})
    assert again.status_code == 403


def test_the_client_of_keystoneauth(cloud, jane, proof):
    loader = loading.get_plugin_loader("v3oauth2mtlsclientcredential")
    plugin = loader.load_from_options(
        auth_url=f"{cloud.url}/v3",
        oauth2_endpoint=f"{cloud.url}/v3/OS-OAUTH2/token",
        oauth2_client_id=jane["id"],
    )
    client = session.Session(auth=plugin, cert=proof, verify=str(cloud.cacert))
    access = plugin.get_access(client)
    assert (access.username, access.role_names) == ("jane", ["member", "reader"])


@pytest.mark.parametrize(
    "parts",
    [
        {"COMMON_NAME": "joe", "EMAIL_ADDRESS": "jane@example.com"},
        {"COMMON_NAME": "jane", "EMAIL_ADDRESS": "joe@example.com"},
        {"COMMON_NAME": "jane"},
        {"COMMON_NAME": "jane", "EMAIL_ADDRESS": "jane@example.com", "ORGANIZATION_NAME": "a=b"},
    ],
)
def test_a_certificate_of_somebody_else_is_refused(cloud, jane, authority, parts):
    assert_refused(obtain(cloud, jane["id"], authority.client("else", **parts)))


def test_who_is_not_a_user_with_a_role_is_refused(cloud, admin, jane, proof, authority):
    assert_refused(obtain(cloud, "nobody", proof))
    assert_refused(obtain(cloud, admin.get_user_id(), proof))
    homeless = {"name": "homeless", "email": "h@example.com"}
    homeless = admin.post("/users", json={"user": homeless}).json()["user"]
    own = authority.client("homeless", COMMON_NAME="homeless", EMAIL_ADDRESS="h@example.com")
    assert_refused(obtain(cloud, homeless["id"], own))
    change = {"user": {"default_project_id": jane["default_project_id"]}}
    admin.patch(f"/users/{homeless['id']}", json=change)
    assert_refused(obtain(cloud, homeless["id"], own))
    admin.patch(f"/users/{jane['id']}", json={"user": {"enabled": False}})
    try:
        assert_refused(obtain(cloud, jane["id"], proof))
    finally:
        admin.patch(f"/users/{jane['id']}", json={"user": {"enabled": True}})


def test_another_authority_or_an_old_certificate_is_no_proof(cloud, jane, authority, tmp_path):
    parts = {"COMMON_NAME": "jane", "EMAIL_ADDRESS": "jane@example.com"}
    for bad in [
        Authority(tmp_path, "clients").client("forged", **parts),
        authority.client("old", days=-1, **parts),
    ]:
        with pytest.raises(requests.exceptions.ConnectionError):
            obtain(cloud, jane["id"], bad)


def test_without_a_certificate_the_secret_counts(cloud, admin, jane, proof):
    assert_refused(obtain(cloud, jane["id"]))
    me = admin.get_user_id()
    made = admin.post(
        f"/users/{me}/application_credentials", json={"application_credential": {"name": "mtls"}}
    ).json()["application_credential"]
    basic = {"auth": (made["id"], made["secret"])}
    assert obtain(cloud, "", **basic).status_code == 200
    # A certificate counts more, so that the form has to name its user.
    assert_refused(obtain(cloud, "", proof, **basic))


def test_a_mapping_that_names_nobody_lets_nobody_in(cloud, admin, jane, proof):
    path = "/OS-FEDERATION/mappings/oauth2_mapping"
    before = admin.get(path).json()["mapping"]["rules"]
    anybody = json.loads(json.dumps(before))
    anybody[0]["local"] = [{"user": {"domain": {"id": "default"}}}]
    admin.patch(path, json={"mapping": {"rules": anybody}})
    try:
        assert_refused(obtain(cloud, jane["id"], proof))
    finally:
        admin.patch(path, json={"mapping": {"rules": before}})
    assert obtain(cloud, jane["id"], proof).status_code == 200
