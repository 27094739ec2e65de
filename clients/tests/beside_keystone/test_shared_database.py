"""Archstone beside the reference Keystone: one database, one key repository, one keystone.conf.

With IDENTITY=oracle a second Keystone stands in for Archstone, which shows that the tests ask for
nothing that two Keystones do not do.
"""

import contextlib
import json
import threading
import urllib.parse

import pytest
import requests
from oauthlib import oauth1

from support.databases import database
from support.keystone_tokens import tokens
from support.people import unique
from support.servers import ADMIN_PASSWORD, Keystone, under_test
from support.shared_database import (
    ADMIN_PROJECT,
    Api,
    Somebody,
    eventually,
    in_order,
    listen,
    make_with_archstone,
    make_with_keystone,
    manage_archstone,
    manage_keystone,
    password,
    secret,
    serve_with_keystone,
    write_configuration,
)

# Within these many seconds a change by the neighbour is seen: one that leaves a revocation event,
# which is followed, and any other, which waits for [cache] foreign_ttl to pass.
REVOKED = 2
CHANGED = 6


# Which database, and who made what is in it.
MADE = [
    ("sqlite", "quickstart"),
    ("postgres", "archstone"),
    ("mariadb", "keystone"),
]


@pytest.fixture(scope="module", params=MADE, ids=" by ".join)
def directory(request, tmp_path_factory):
    """The folder with the keystone.conf and the keys of both servers, and a database that is filled."""
    kind, maker = request.param
    directory = tmp_path_factory.mktemp("shared") / "data"
    directory.mkdir()
    url = Keystone(directory).plain_url
    with database(kind, directory) as connection:
        if maker == "quickstart" and not under_test().is_reference:
            # Killed, as impatient people do.
            under_test()(directory).start().kill()
        else:
            write_configuration(directory, connection)
            if maker == "archstone" and not under_test().is_reference:
                make_with_archstone(directory, url)
            else:
                make_with_keystone(directory, url)
        yield directory


@pytest.fixture(scope="module")
def servers(directory):
    """Both servers on one database."""
    with contextlib.ExitStack() as stack:
        archstone, keystone = under_test()(directory), Keystone(directory)
        keystone.start(serve_with_keystone(keystone))
        stack.callback(keystone.stop)
        if archstone.is_reference:
            archstone.start(serve_with_keystone(archstone))
        else:
            # While Keystone runs, which minds our tables in no way.
            manage_archstone(directory, "db_sync")
            listen(directory, archstone)
            archstone.start([*archstone.serve(), "--config-file", directory / "listen.conf"])
        stack.callback(archstone.stop)
        yield {"keystone": Api(keystone.plain_url), "archstone": Api(archstone.plain_url)}


@pytest.fixture(params=["keystone to archstone", "archstone to keystone"])
def between(request, servers):
    """The server that makes something, and the other, which has to see it."""
    one, other = request.param.split(" to ")
    return servers[one], servers[other]


# What each makes and the other reads


def test_what_the_first_start_made_is_the_same_seen_through_both(servers):
    for path in (
        "/domains",
        "/projects",
        "/users",
        "/roles",
        "/role_inferences",
        "/services",
        "/endpoints",
        "/regions",
    ):
        lists = [in_order(server.get(path)) for server in servers.values()]
        assert lists[0] == lists[1], path
    assignments = [in_order(server.get("/role_assignments?include_names")) for server in servers.values()]
    assert assignments[0] == assignments[1]
    assert len(assignments[0]["role_assignments"]) == 2


@pytest.mark.skipif(under_test().is_reference, reason="Keystone speaks no protocol itself")
def test_the_driver_of_a_protocol_goes_with_it(servers, directory):
    if "connection = sqlite" in (directory / "keystone.conf").read_text():
        pytest.skip("Keystone has SQLite mind no foreign keys")
    archstone, keystone = servers["archstone"], servers["keystone"]
    name = unique("provider")
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]
    archstone.do("PUT", f"/OS-FEDERATION/mappings/{name}", {"mapping": {"rules": rules}})
    provider = f"/OS-FEDERATION/identity_providers/{name}"
    plain = {"mapping_id": name}
    settings = {"issuer": "https://issuer.example", "client_id": "cloud", "client_secret": "secret"}
    spoken = plain | {"driver": "oidc", "settings": settings}
    protocol = f"{provider}/protocols/openid"

    def add(server, attributes):
        server.do("PUT", provider, {"identity_provider": {"enabled": True}})
        server.do("PUT", protocol, {"protocol": attributes})

    add(archstone, spoken)
    assert archstone.get(protocol)["protocol"]["driver"] == "oidc"
    keystone.do("DELETE", provider)
    add(keystone, plain)
    assert "driver" not in archstone.get(protocol)["protocol"]
    archstone.do("PATCH", protocol, {"protocol": spoken})
    keystone.do("DELETE", protocol)
    keystone.do("PUT", protocol, {"protocol": plain})
    assert "driver" not in archstone.get(protocol)["protocol"]


def test_what_one_makes_the_other_shows(between):
    one, other = between
    domain = one.create("/domains", "domain", name=unique("domain"), description="été")
    project = one.create(
        "/projects", "project", name=unique("project"), domain_id=domain["id"], tags=["a", "b"], color="x"
    )
    group = one.create("/groups", "group", name=unique("group"), domain_id=domain["id"])
    role = one.create("/roles", "role", name=unique("role"), options={"immutable": True})
    region = one.create("/regions", "region", id=unique("region"), description="north")
    service = one.create("/services", "service", type=unique("type"), name="name")
    endpoint = {
        "service_id": service["id"],
        "region_id": region["id"],
        "interface": "public",
        "url": "http://x.example",
    }
    endpoint = one.create("/endpoints", "endpoint", **endpoint)
    somebody = Somebody.at(one)
    one.do("PUT", f"/groups/{group['id']}/users/{somebody.id}")
    for path in (
        f"/domains/{domain['id']}",
        f"/projects/{project['id']}",
        f"/projects/{project['id']}/tags",
        f"/groups/{group['id']}",
        f"/roles/{role['id']}",
        f"/regions/{region['id']}",
        f"/services/{service['id']}",
        f"/endpoints/{endpoint['id']}",
        f"/users/{somebody.id}",
        f"/users/{somebody.id}/groups",
        f"/users/{somebody.id}/projects",
        f"/role_assignments?user.id={somebody.id}&effective&include_names",
    ):
        assert in_order(other.get(path)) == in_order(one.get(path)), path


@pytest.mark.parametrize("scope", ["unscoped", "project", "domain", "system"])
def test_tokens_of_each_scope_are_good_at_the_other(between, scope):
    one, other = between
    [role] = one.get("/roles?name=admin")["roles"]
    _, me = one.validate(one.token)
    one.do("PUT", f"/domains/default/users/{me['user']['id']}/roles/{role['id']}")
    scopes = {
        "unscoped": {"unscoped": {}},
        "project": ADMIN_PROJECT,
        "domain": {"domain": {"id": "default"}},
        "system": {"system": {"all": True}},
    }
    login = one.login(password("admin", ADMIN_PASSWORD), scopes[scope])
    assert login.status == 201
    status, body = other.validate(login.token)
    assert status == 200
    assert in_order(body) == in_order(one.validate(login.token)[1])
    # It opens the API as well, and obtains another there.
    assert other.call("GET", f"/users/{me['user']['id']}", token=login.token).ok
    rescoped = other.login({"methods": ["token"], "token": {"id": login.token}}, {"unscoped": {}})
    assert rescoped.status == 201
    _, child = one.validate(rescoped.token)
    assert child["audit_ids"][1] == body["audit_ids"][0]


def test_passwords_are_good_at_the_other_and_so_is_their_change(between):
    one, other = between
    somebody = Somebody.at(one)
    assert somebody.login(other).status == 201
    assert somebody.login(other, "wrong").status == 401
    change = {"user": {"original_password": somebody.password, "password": "a new one"}}
    other.do("POST", f"/users/{somebody.id}/password", change)
    eventually(CHANGED, lambda: somebody.login(one).status == 401)
    eventually(CHANGED, lambda: somebody.login(one, "a new one").status == 201)


def test_application_credentials_are_good_at_the_other_until_they_are_deleted(between):
    one, other = between
    somebody = Somebody.at(one)
    rules = [{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]
    credential = somebody.application_credential(one, expires_at="2099-01-01T00:00:00")
    ruled = somebody.application_credential(one, access_rules=rules)
    path = f"/users/{somebody.id}/application_credentials/{credential['id']}"
    assert in_order(other.get(path)) == in_order(one.get(path))
    login = other.login(secret(credential))
    assert login.status == 201
    assert other.login(secret(credential | {"secret": "wrong"})).status == 401
    assert in_order(one.validate(login.token)[1]) == in_order(other.validate(login.token)[1])

    assert one.validate(other.obtain(credential))[0] == 200
    assert other.validate(one.obtain(credential))[0] == 200
    token = other.login(secret(ruled)).token
    asked = {"X-Subject-Token": token, "OpenStack-Identity-Access-Rules": "1.0"}
    assert in_order(one.get("/auth/tokens", **asked)) == in_order(other.get("/auth/tokens", **asked))

    one.do("DELETE", path)
    # The reference says 404, which tells an unknown credential from a wrong secret.
    eventually(CHANGED, lambda: other.login(secret(credential)).status in (401, 404))
    eventually(CHANGED, lambda: other.validate(login.token)[0] == 404)


@pytest.mark.parametrize("kind_of_credential", ["cert", "totp", "ec2"])
def test_encrypted_credentials_are_read_by_the_other(between, kind_of_credential):
    one, other = between
    somebody = Somebody.at(one)
    blob = json.dumps({"access": unique("access"), "secret": "sécret"})
    fields = {"type": kind_of_credential, "user_id": somebody.id, "project_id": somebody.project, "blob": blob}
    made = one.create("/credentials", "credential", **fields)
    path = f"/credentials/{made['id']}"
    assert other.get(path)["credential"]["blob"] == blob
    assert in_order(other.get(path)) == in_order(one.get(path))
    changed = json.dumps(json.loads(blob) | {"secret": "another"})
    other.do("PATCH", path, {"credential": {"blob": changed}})
    eventually(CHANGED, lambda: one.get(path)["credential"]["blob"] == changed)
    one.do("DELETE", path)
    eventually(CHANGED, lambda: other.call("GET", path).status_code == 404)


# Tokens of the reference that speak for somebody else


def refuses(archstone, token, user):
    """Whether Archstone refuses a token in every place where it may stand."""
    assert archstone.validate(token)[0] == 404
    for method, path, body in [
        ("GET", f"/users/{user}", None),
        ("GET", "/auth/projects", None),
        ("GET", "/auth/catalog", None),
        ("POST", "/users", {"user": {"name": unique("mallory")}}),
        ("DELETE", f"/users/{user}", None),
    ]:
        assert archstone.call(method, path, body, token=token).status_code == 401, path
    itself = archstone.call("GET", "/auth/tokens", token=token, **{"X-Subject-Token": token})
    assert itself.status_code == 401
    proof = {"methods": ["token"], "token": {"id": token}}
    for scope in (None, {"unscoped": {}}, ADMIN_PROJECT):
        assert archstone.login(proof, scope).status == 401


@pytest.fixture
def administrator(servers):
    """Somebody who may do everything on a project, who shares less than that."""
    keystone = servers["keystone"]
    somebody = Somebody.at(keystone)
    [admin] = keystone.get("/roles?name=admin")["roles"]
    keystone.do("PUT", f"/projects/{somebody.project}/users/{somebody.id}/roles/{admin['id']}")
    return somebody


@pytest.mark.skipif(under_test().is_reference, reason="Keystone has trusts")
@pytest.mark.parametrize("impersonation", [False, True])
def test_a_token_of_a_trust_is_refused(servers, administrator, impersonation):
    archstone, keystone = servers["archstone"], servers["keystone"]
    trustor = Somebody.at(keystone)
    [member] = keystone.get("/roles?name=member")["roles"]
    for role in keystone.get("/roles")["roles"]:
        if role["name"] in ("admin", "member"):
            path = f"/projects/{trustor.project}/users/{administrator.id}/roles/{role['id']}"
            keystone.do("PUT", path)
    trust = keystone.create(
        "/OS-TRUST/trusts",
        "trust",
        trustor.login(keystone).token,
        trustor_user_id=trustor.id,
        trustee_user_id=administrator.id,
        project_id=trustor.project,
        impersonation=impersonation,
        roles=[{"id": member["id"]}],
    )
    scope = {"OS-TRUST:trust": {"id": trust["id"]}}
    login = keystone.login(password(administrator.name, administrator.password), scope)
    assert login.status == 201
    status, body = keystone.validate(login.token)
    # With what it implies, and no more.
    assert (status, {role["name"] for role in body["roles"]}) == (200, {"member", "reader"})
    refuses(archstone, login.token, administrator.id)
    # What the trustee may do by themselves is another matter.
    assert administrator.login(archstone).status == 201
    assert archstone.login(password(administrator.name, administrator.password), scope).status == 401


@pytest.mark.skipif(under_test().is_reference, reason="Keystone has OAuth 1.0a")
def test_a_token_of_an_oauth1_consumer_is_refused_before_and_after_its_access_token_is_deleted(servers, administrator):
    archstone, keystone = servers["archstone"], servers["keystone"]
    [member] = keystone.get("/roles?name=member")["roles"]
    consumer = keystone.create("/OS-OAUTH1/consumers", "consumer", description="reports")
    own = administrator.login(keystone).token
    keys = {"client_key": consumer["id"], "client_secret": consumer["secret"]}

    def signed(path, json=None, headers=None, **more):
        client = oauth1.Client(**keys, **more)
        url, headers, _ = client.sign(f"{keystone.url}/v3{path}", "POST", headers=headers or {})
        answer = requests.post(url, json=json, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer

    def credentials(answer):
        said = dict(urllib.parse.parse_qsl(answer.text))
        return {"resource_owner_key": said["oauth_token"], "resource_owner_secret": said["oauth_token_secret"]}

    project = {"Requested-Project-Id": administrator.project}
    asked = credentials(signed("/OS-OAUTH1/request_token", headers=project, callback_uri="oob"))
    path = f"/OS-OAUTH1/authorize/{asked['resource_owner_key']}"
    allowed = keystone.call("PUT", path, {"roles": [{"id": member["id"]}]}, token=own)
    verifier = allowed.json()["token"]["oauth_verifier"]
    access = credentials(signed("/OS-OAUTH1/access_token", verifier=verifier, **asked))
    login = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}
    token = signed("/auth/tokens", json=login, **access).headers["X-Subject-Token"]
    status, body = keystone.validate(token)
    # With what it implies, and no more.
    assert (status, {role["name"] for role in body["roles"]}) == (200, {"member", "reader"})
    refuses(archstone, token, administrator.id)
    own_tokens = f"/users/{administrator.id}/OS-OAUTH1/access_tokens"
    keystone.do("DELETE", f"{own_tokens}/{access['resource_owner_key']}", token=own)
    assert keystone.validate(token)[0] == 404
    refuses(archstone, token, administrator.id)


@pytest.mark.skipif(under_test().is_reference, reason="Keystone knows all of its own")
def test_a_token_that_archstone_does_not_wholly_understand_is_refused(servers, directory, administrator):
    archstone, keystone = servers["archstone"], servers["keystone"]
    own = {"user_id": administrator.id, "project_id": administrator.project, "class": "ProjectScopedPayload"}
    wanted = {
        "by EC2 keys": own | {"methods": ["ec2credential"]},
        "good": own,
    }
    by_keys, good = tokens(directory / "keystone.conf", list(wanted.values()))
    for server in (archstone, keystone):
        assert server.validate(good)[0] == server.validate(by_keys)[0] == 200
        assert server.call("GET", "/users", token=good).ok
        assert server.call("GET", "/users", token=by_keys).status_code == 403
        proof = {"methods": ["token"], "token": {"id": by_keys}}
        assert server.login(proof, {"unscoped": {}}).status == 403


# Access rules


def test_access_rules_are_enforced_alike(between):
    one, other = between
    somebody = Somebody.at(one)
    rules = [
        {"service": "identity", "method": "GET", "path": "/v3/users/*"},
        {"service": "identity", "method": "GET", "path": "/v3/auth/{what}"},
        {"service": "compute", "method": "GET", "path": "/v3/auth/catalog"},
    ]
    ruled = somebody.application_credential(one, access_rules=rules[:2], roles=[{"name": "member"}])
    elsewhere = somebody.application_credential(one, access_rules=rules[2:])
    for credential, opened in ((ruled, True), (elsewhere, False)):
        token = one.login(secret(credential)).token
        for method, path, good in [
            ("GET", f"/users/{somebody.id}", opened),
            ("GET", f"/users/{somebody.id}/", opened),
            ("HEAD", f"/users/{somebody.id}", False),
            ("GET", f"/users/{somebody.id}/projects", False),
            ("GET", "/auth/projects", opened),
            ("GET", "/auth/catalog", opened),
            ("GET", "/auth/OS-FEDERATION/websso/x", False),
            ("GET", "/regions", False),
            ("GET", "", False),
        ]:
            for header in ({}, {"OpenStack-Identity-Access-Rules": "1.0"}):
                statuses = [server.call(method, path, token=token, **header).status_code for server in (one, other)]
                assert statuses == [200 if good else 401] * 2, (path, header)
        asked = {"X-Subject-Token": token}
        promising = asked | {"OpenStack-Identity-Access-Rules": "1.0"}
        for server in (one, other):
            assert server.call("GET", "/auth/tokens", token=token, **asked).status_code == 404
            assert server.call("GET", "/auth/tokens", token=token, **promising).status_code == 200
            assert server.call("HEAD", "/auth/tokens", token=token, **promising).status_code == 401
            assert server.call("DELETE", "/auth/tokens", token=token, **promising).status_code == 401


# The schema


def test_neither_finds_anything_to_sync(servers, directory):
    manage_keystone(directory, "db_sync", "--check")
    manage_keystone(directory, "db_sync")
    if not under_test().is_reference:
        manage_archstone(directory, "db_sync", "--check")


# Revocation


def test_a_revoked_token_is_refused_by_the_other(between):
    one, other = between
    somebody = Somebody.at(one)
    first, second = somebody.login(one).token, somebody.login(one).token
    assert [other.validate(token)[0] for token in (first, second)] == [200, 200]
    one.do("DELETE", "/auth/tokens", **{"X-Subject-Token": first})
    eventually(REVOKED, lambda: other.validate(first)[0] == 404)
    assert other.validate(second)[0] == 200


def test_the_tokens_of_a_disabled_user_are_refused_by_the_other(between):
    one, other = between
    somebody = Somebody.at(one)
    token = somebody.login(one).token
    assert other.validate(token)[0] == 200
    one.do("PATCH", f"/users/{somebody.id}", {"user": {"enabled": False}})
    eventually(REVOKED, lambda: other.validate(token)[0] == 404)
    eventually(CHANGED, lambda: somebody.login(other).status == 401)


def test_a_role_taken_by_one_is_missed_at_the_other(between):
    one, other = between
    somebody = Somebody.at(one)
    token = somebody.login(one).token
    assert other.validate(token)[0] == 200
    [member] = one.get("/roles?name=member")["roles"]
    one.do("DELETE", f"/projects/{somebody.project}/users/{somebody.id}/roles/{member['id']}")
    eventually(CHANGED, lambda: other.validate(token)[0] == 404)
    eventually(CHANGED, lambda: somebody.login(other).status == 401)


# Both at once


def test_of_two_who_take_one_name_at_once_one_fails(servers):
    for _ in range(5):
        name, statuses = unique("project"), []

        def take(server, name=name, statuses=statuses):
            statuses.append(server.call("POST", "/projects", {"project": {"name": name}}).status_code)

        takers = [threading.Thread(target=take, args=(server,)) for server in servers.values()]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        assert sorted(statuses) == [201, 409]
