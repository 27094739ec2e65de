"""Logins by Apache in front of Archstone, and of the reference Keystone in its place.

Apache is configured as docs/federation.md shows it. What operators had before, with mod_proxy_uwsgi,
is the same without the headers that Archstone needs.
"""

import contextlib
import http.client
import stat
import threading

import pytest
import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from support import saml_idp
from support.apache import ANN, BOB, LOCAL_GROUPS, OPENID, OPENID_RULES, SAML, SAML_RULES, SHIB, Apache, World
from support.providers import PEOPLE, OidcProvider

JANE = {"name": "jane", "password": PEOPLE["jane"]["password"]}
SAML_JANE = {"user": "jane", "password": saml_idp.USERS["jane"]["password"]}
NOBODY = {"user": "nobody", "password": saml_idp.USERS["nobody"]["password"]}
# Apache knows him too.
STRANGER = ("stranger", BOB[1])
EXTERNAL = {"auth": {"identity": {"methods": ["external"], "external": {}}}}
# What the proxy shall take away, if it is up to the client.
TAKEN_AWAY = {"Connection": "keep-alive, X-Env-REMOTE_USER, X-Env-MELLON_UID"}


@contextlib.contextmanager
def saml_provider(directory):
    server = saml_idp.listen(directory)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with (
        OidcProvider(people=PEOPLE | ANN) as oidc,
        saml_provider(tmp_path_factory.mktemp("university")) as university,
        saml_provider(tmp_path_factory.mktemp("institute")) as institute,
        Apache() as apache,
        World(oidc, university, institute, apache, tmp_path_factory.mktemp("world")) as world,
    ):
        yield world


def auth(provider, protocol):
    """Where clients log in."""
    return f"/v3/OS-FEDERATION/identity_providers/{provider}/protocols/{protocol}/auth"


def websso(world, provider, protocol):
    """Where a dashboard sends a browser, for a provider that the user chose."""
    place = f"identity_providers/{provider}/protocols/{protocol}"
    return f"/v3/auth/OS-FEDERATION/{place}/websso?origin={world.cloud.dashboard}"


def websso_of_any(world, protocol):
    """The same for the provider whose remote id Apache names."""
    return f"/v3/auth/OS-FEDERATION/websso/{protocol}?origin={world.cloud.dashboard}"


# The same login at both


@pytest.mark.parametrize("way", ["auth", "websso", "websso of any"])
@pytest.mark.parametrize("kind", ["openid", "saml", "shib"])
def test_archstone_takes_the_place_of_keystone(world, kind, way):
    provider, protocol = {"openid": OPENID, "saml": SAML, "shib": SHIB}[kind]
    login = JANE if kind == "openid" else SAML_JANE
    url = {
        "auth": auth(provider, protocol),
        "websso": websso(world, provider, protocol),
        "websso of any": websso_of_any(world, protocol),
    }[way]
    tokens = []
    for server, site in [
        (world.archstone, getattr(world, kind)),
        (world.keystone, getattr(world, f"{kind}_before")),
    ]:
        token = world.token_of(site, url, **login)
        tokens.append((server.known(server.token(token)), server.known(server.scoped(token))))
    unscoped, scoped = tokens[0]
    assert unscoped["user"]["name"] == "jane"
    assert unscoped["user"]["OS-FEDERATION"]["groups"] == [{"id": "<staff>"}]
    assert unscoped["methods"] == [protocol]
    assert [role["name"] for role in scoped["roles"]] == ["member", "reader"]
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize("kind", ["saml", "shib"])
def test_who_lacks_an_attribute_is_refused_by_both(world, kind):
    for site in (getattr(world, kind), getattr(world, f"{kind}_before")):
        page = world.log_in(site, auth(*(SAML if kind == "saml" else SHIB)), **NOBODY)
        assert page.status_code == 401, page.text
        assert "X-Subject-Token" not in page.headers


def v3oidcaccesstoken(world, site, **scope):
    form = {"grant_type": "password", "scope": "openid profile groups", "username": "jane"}
    form["password"] = JANE["password"]
    answer = requests.post(f"{world.oidc.issuer}/token", data=form, auth=("cloud", "hush"), timeout=30)
    token = answer.json()["access_token"]
    return v3.OidcAccessToken(f"{site.url}/v3", *OPENID, access_token=token, **scope)


def v3oidcpassword(world, site, **scope):
    return v3.OidcPassword(
        f"{site.url}/v3",
        *OPENID,
        client_id="cloud",
        client_secret="hush",
        discovery_endpoint=f"{world.oidc.issuer}/.well-known/openid-configuration",
        scope="openid profile groups",
        username="jane",
        password=JANE["password"],
        **scope,
    )


@pytest.mark.parametrize("plugin", [v3oidcaccesstoken, v3oidcpassword])
def test_clients_without_a_browser(world, plugin):
    tokens = []
    for server, site in [(world.archstone, world.openid), (world.keystone, world.openid_before)]:
        obtained = plugin(world, site, project_id=server.ids["lab"])
        tokens.append(server.known(server.token(session.Session(auth=obtained).get_token())))
    assert tokens[0]["user"]["name"] == "jane"
    assert [role["name"] for role in tokens[0]["roles"]] == ["member", "reader"]
    assert tokens[0] == tokens[1]
    forged = v3.OidcAccessToken(f"{world.openid.url}/v3", *OPENID, access_token="forged")
    with pytest.raises(exceptions.Unauthorized):
        forged.get_access(session.Session())


# Users of Keystone's own, at /v3/auth/tokens

IN_DEFAULT = {"project": {"name": "lab", "domain": {"id": "default"}}}
EXTERNAL_BODIES = [
    {"auth": {"identity": {"methods": ["external"], "external": {}}}},
    {"auth": {"identity": {"methods": []}}},
    {"auth": {"identity": {"methods": ["external"], "external": {}}, "scope": IN_DEFAULT}},
]


def external(site, login=None, headers=None, body=EXTERNAL):
    """A login by what Apache knows."""
    return requests.post(f"{site.url}/v3/auth/tokens", json=body, auth=login, headers=headers, timeout=30)


@pytest.mark.parametrize("body", EXTERNAL_BODIES, ids=["named", "unnamed", "scoped"])
def test_external(world, body):
    tokens = []
    for server, site in [(world.archstone, world.basic), (world.keystone, world.basic_before)]:
        answer = external(site, BOB, body=body)
        assert answer.status_code == 201, f"{answer.text}\n{world.printed()}"
        tokens.append(server.known(answer.json()["token"]))
    assert tokens[0]["methods"] == ["external"]
    assert tokens[0]["user"]["id"] == "<bob>"
    assert tokens[0] == tokens[1]


def test_external_refuses_whom_apache_or_keystone_does_not_know(world):
    for site in (world.basic, world.basic_before):
        assert "WWW-Authenticate" in external(site, ("bob", "wrong")).headers
        refused = external(site, STRANGER)
        assert refused.status_code == 401
        assert refused.json()["error"]["message"] == "The request you have made requires authentication."


def test_the_socket_of_a_proxy(world):
    token = world.token_of(world.by_socket, websso_of_any(world, "openid"), **JANE)
    assert world.archstone.known(world.archstone.token(token))["user"]["name"] == "jane"
    # Who may write to it is whom its folder names.
    assert stat.S_IMODE(world.socket.stat().st_mode) == 0o660
    assert world.socket.stat().st_gid == world.socket.parent.stat().st_gid


@contextlib.contextmanager
def mapped(server, rules):
    """Other rules for a while."""
    path = f"/OS-FEDERATION/mappings/{OPENID[0]}"
    server.admin.patch(path, json={"mapping": {"rules": rules}})
    try:
        yield
    finally:
        server.admin.patch(path, json={"mapping": {"rules": OPENID_RULES}})


def test_a_claim_that_apache_does_not_take_for_a_header(world):
    # Its name has an underscore, so that Keystone has it of Apache's environment alone.
    local = [{"user": {"name": "{0}"}}, LOCAL_GROUPS]
    rules = [{"local": local, "remote": [{"type": "OIDC-preferred_username"}, {"type": "OIDC-groups"}]}]
    tokens = []
    for server, site in [(world.archstone, world.openid), (world.keystone, world.openid_before)]:
        with mapped(server, rules):
            tokens.append(server.known(server.token(world.token_of(site, auth(*OPENID), **JANE))))
    assert tokens[0]["user"]["name"] == "jane"
    assert tokens[0] == tokens[1]


# From Apache to the native drivers, and back


def who(server, token):
    """Who somebody is, by what a login must not change."""
    unscoped, scoped = server.token(token), server.scoped(token)
    roles = sorted(role["name"] for role in scoped["roles"])
    return unscoped["methods"], unscoped["user"], roles


def speak(world, provider, protocol, mapping, driver, **settings):
    """Changes who speaks a protocol with the provider."""
    spoken = {"mapping_id": mapping, "driver": driver, **({"settings": settings} if settings else {})}
    path = world.cloud.path(provider, protocol)
    answer = world.cloud.admin.patch(path, json={"protocol": spoken}, raise_exc=False)
    assert answer.status_code == 200, answer.text


def test_from_mod_auth_openidc_to_oidc_and_back(world):
    server, url = world.archstone, websso(world, *OPENID)
    before = who(server, world.token_of(world.openid, url, **JANE))
    settings = {
        "issuer": world.oidc.issuer,
        "client_id": "cloud",
        "client_secret": "hush",
        "scopes": ["openid", "profile", "email", "groups"],
    }
    try:
        speak(world, *OPENID, "corp", "oidc", **settings)
        check = world.cloud.check(*OPENID)
        assert check["works"], check
        assert who(server, world.token_of(world.native, url, **JANE)) == before
        # What Apache still says counts for nothing.
        assert is_nobody(world.log_in(world.openid, auth(*OPENID), **JANE))
    finally:
        speak(world, *OPENID, "corp", "external")
    assert who(server, world.token_of(world.openid, url, **JANE)) == before
    assert is_nobody(requests.get(f"{world.native.url}{auth(*OPENID)}", timeout=30))


def test_from_mod_auth_mellon_to_saml2_and_back(world):
    server, url = world.archstone, websso(world, *SAML)
    before = who(server, world.token_of(world.saml, url, **SAML_JANE))
    # The attributes have their own names now.
    uid, entitlement = "urn:oid:0.9.2342.19200300.100.1.1", "urn:oid:1.3.6.1.4.1.5923.1.1.1.7"
    remote = [{"type": f"MELLON_{uid}"}, {"type": f"MELLON_{entitlement}"}, {"type": "MELLON_NAME_ID"}]
    rules = [{"local": SAML_RULES[0]["local"], "remote": remote}]
    server.admin.put("/OS-FEDERATION/mappings/native", json={"mapping": {"rules": rules}})
    settings = {
        "entity_id": f"{world.native.url}/sp",
        "metadata_url": f"{world.university.url}/metadata",
        "private_key": world.keys[0],
        "certificate": world.keys[1],
        "attribute_prefix": "MELLON_",
    }
    try:
        speak(world, *SAML, "native", "saml2", **settings)
        query = {"identity_provider": SAML[0], "protocol": SAML[1]}
        url_of_ours = f"{world.native.url}/v3/OS-FEDERATION/saml2/metadata"
        metadata = requests.get(url_of_ours, params=query, timeout=30).text
        requests.put(f"{world.university.url}/service", data=metadata, timeout=10).raise_for_status()
        assert who(server, world.token_of(world.native, url, **SAML_JANE)) == before
        assert is_nobody(world.log_in(world.saml, auth(*SAML), **SAML_JANE))
    finally:
        speak(world, *SAML, SAML[0], "external")
    assert who(server, world.token_of(world.saml, url, **SAML_JANE)) == before


# What clients make up


def is_nobody(answer):
    """Nobody was logged in."""
    return answer.status_code in (401, 403) and "X-Subject-Token" not in answer.headers


OTHER_SPELLING = {"X-Env-REMOTE-USER": "admin"}
FORGED_USERS = [
    {"X-Env-REMOTE_USER": "admin"},
    {"x-env-remote_user": "admin"},
    OTHER_SPELLING,
    {"X-Env-HTTP_REMOTE_USER": "admin", "X_Env_REMOTE_USER": "admin"},
    {"Remote-User": "admin", "REMOTE_USER": "admin"},
    {"X-Env-REMOTE_USER": "admin"} | TAKEN_AWAY,
    OTHER_SPELLING | TAKEN_AWAY,
    OTHER_SPELLING | {"Proxy-Connection": TAKEN_AWAY["Connection"]},
]


@pytest.mark.parametrize("forged", FORGED_USERS)
def test_a_made_up_user_does_not_count(world, forged):
    for site in (world.openid, world.saml, world.shib, world.by_socket):
        assert is_nobody(external(site, headers=forged))
    answer = external(world.basic, BOB, forged)
    assert is_nobody(answer) or answer.json()["token"]["user"]["name"] == "bob"


KERBEROS = {"auth": {"identity": {"methods": ["kerberos"], "kerberos": {}}}}


# A line of Apache's keeps the very name of a variable out. What is only nearly called so counts for
# nothing here, whatever Apache does.


@pytest.mark.parametrize(("spelling", "counts"), [("X-Env-REMOTE_DOMAIN", True), ("X-Env-REMOTE-DOMAIN", False)])
def test_a_made_up_domain_does_not_count(world, spelling, counts):
    def domain(site):
        return external(site, BOB, {spelling: "acme"}).json()["token"]["user"]["domain"]["name"]

    assert domain(world.basic) == "Default"
    assert domain(world.careless["domain"]) == ("acme" if counts else "Default")


@pytest.mark.parametrize(("spelling", "counts"), [("X-Env-AUTH_TYPE", True), ("X-Env-AUTH-TYPE", False)])
def test_a_made_up_kind_of_login_does_not_count(world, spelling, counts):
    forged = {spelling: "Negotiate"}
    assert is_nobody(external(world.basic, BOB, forged, KERBEROS))
    answer = external(world.careless["type"], BOB, forged, KERBEROS)
    assert answer.status_code == 201 if counts else is_nobody(answer)


def test_a_made_up_user_would_count_without_a_line(world):
    answer = external(world.careless["user"], headers=FORGED_USERS[0])
    assert answer.json()["token"]["user"]["name"] == "admin"


@pytest.mark.parametrize(
    ("careless", "forged"), [("user", OTHER_SPELLING), ("connection", OTHER_SPELLING | TAKEN_AWAY)]
)
def test_a_header_that_is_nearly_called_so_never_counts(world, careless, forged):
    assert is_nobody(external(world.careless[careless], headers=forged))


CLAIMS = {"Oidc-Sub": "jane", "Oidc-Groups": "staff", "Oidc-Email": "jane@example.com"}
FORGED_CLAIMS = [
    CLAIMS,
    {"OIDC-sub": "jane"},
    {"OIDC_Sub": "jane"},
    {"Oidc_Sub": "jane", "Connection": "keep-alive, Oidc-Sub"},
    {"X-Env-HTTP_OIDC_SUB": "jane"},
    {"X-Env-HTTP-OIDC-SUB": "jane", "Connection": "keep-alive, Oidc-Sub"},
    {"HTTP_OIDC_SUB": "jane"},
]


@pytest.mark.parametrize("forged", FORGED_CLAIMS)
def test_made_up_claims_do_not_count(world, forged):
    joe = requests.Session()
    login = {"name": "joe", "password": PEOPLE["joe"]["password"]}
    for site in (world.openid, world.by_socket):
        world.log_in(site, auth(*OPENID), joe, **login)
        answer = joe.get(f"{site.url}{auth(*OPENID)}", headers=forged, timeout=30)
        assert is_nobody(answer) or answer.json()["token"]["user"]["name"] == "joe"


@pytest.mark.parametrize("spelling", ["Oidc-{}", "OIDC_{}", "X-Env-HTTP_OIDC_{}", "X-Env-HTTP-OIDC-{}"])
def test_made_up_claims_do_not_count_where_the_provider_says_nothing(world, spelling):
    ann = requests.Session()
    login = {"name": "ann", "password": ANN["ann"]["password"]}
    assert is_nobody(world.log_in(world.openid, auth(*OPENID), ann, **login))
    forged = {spelling.format("Groups"): "staff", spelling.format("Email"): "ann@example.com"}
    assert is_nobody(ann.get(f"{world.openid.url}{auth(*OPENID)}", headers=forged, timeout=30))


def test_who_reaches_archstone_without_apache_can_make_up_claims(world):
    # For this is an address of a trusted proxy, and so the claims above are worth trying.
    answer = requests.get(f"{world.cloud.url}{auth(*OPENID)}", headers=CLAIMS | issuer(world), timeout=30)
    assert answer.json()["token"]["user"]["name"] == "jane"


def issuer(world):
    return {"Oidc-Iss": world.oidc.issuer}


SIDE_DOORS = [
    "{}",
    "{}/",
    "{}//",
    "/{}",
    "/.{}",
    "/x/..{}",
    "/x/%2e%2e{}",
    "{}/.",
    "{}%2f",
    "{}%00",
    "{}%20",
    "{};x",
    "{}?x=/",
    "{}%3fx",
]


@pytest.mark.parametrize(
    "door",
    [
        *(door.format(auth(*OPENID)) for door in SIDE_DOORS),
        auth(*OPENID).upper(),
        auth("corp", "%6fpenid"),
        auth("cor%70", "openid").replace("/auth", "/%61uth"),
        auth("Corp", "openid"),
        auth("corp", "OPENID"),
        auth("corp/", "openid"),
        auth("corp", "x/../openid"),
        auth("corp", "openid").replace("/auth", "%2fauth"),
    ],
)
def test_there_is_no_side_door_to_a_login(world, door):
    # As it stands; libraries would tidy it.
    for method in ("GET", "POST"):
        line = http.client.HTTPConnection(world.openid.address, timeout=30)
        line.putrequest(method, door, skip_accept_encoding=True)
        for name, value in (CLAIMS | issuer(world)).items():
            line.putheader(name, value)
        line.putheader("Content-Length", "0")
        line.endheaders()
        answer = line.getresponse()
        assert answer.status >= 300, answer.read()
        assert not answer.getheader("X-Subject-Token")
        line.close()


FORGED_ATTRIBUTES = [
    {"X-Env-MELLON_GROUPS": "staff"},
    {"X-Env-MELLON-GROUPS": "staff"},
    {"X-Env-MELLON_UID": "jane", "X-Env-MELLON_GROUPS": "staff"},
    {"X-Env-MELLON-UID": "jane", "X-Env-MELLON-GROUPS": "staff"},
    {"X-Env-MELLON-UID": "jane", "X-Env-MELLON-GROUPS": "staff"} | TAKEN_AWAY,
    {"MELLON_UID": "jane", "Mellon-Uid": "jane", "MELLON_GROUPS": "staff"},
]


def forge_attributes(world, site, forged):
    """A login of somebody without groups, and then a request of his with these headers."""
    nobody = requests.Session()
    world.log_in(site, auth(*SAML), nobody, **NOBODY)
    return nobody.get(f"{site.url}{auth(*SAML)}", headers=forged, timeout=30)


@pytest.mark.parametrize("forged", FORGED_ATTRIBUTES)
def test_made_up_attributes_do_not_count(world, forged):
    answer = forge_attributes(world, world.saml, forged)
    assert is_nobody(answer), answer.text


@pytest.mark.parametrize("spelling", ["X-Env-ENTITLEMENT", "X-Env-entitlement", "Entitlement", "entitlement"])
def test_made_up_attributes_do_not_count_beside_mod_shib(world, spelling):
    nobody = requests.Session()
    world.log_in(world.shib, auth(*SHIB), nobody, **NOBODY)
    assert is_nobody(nobody.get(f"{world.shib.url}{auth(*SHIB)}", headers={spelling: "staff"}, timeout=30))


def test_made_up_attributes_would_count_without_a_line(world):
    answer = forge_attributes(world, world.careless["attribute"], FORGED_ATTRIBUTES[0])
    assert answer.json()["token"]["user"]["name"] == "nobody"


@pytest.mark.parametrize(
    ("careless", "forged"), [("attribute", FORGED_ATTRIBUTES[1]), ("both", FORGED_ATTRIBUTES[3] | TAKEN_AWAY)]
)
def test_attributes_that_are_nearly_called_so_never_count(world, careless, forged):
    assert is_nobody(forge_attributes(world, world.careless[careless], forged))
