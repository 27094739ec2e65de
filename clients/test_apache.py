"""Logins by Apache in front of Archstone, and of the reference Keystone in its place.

Apache is configured as docs/federation.md shows it. What operators had before, with mod_proxy_uwsgi,
is the same without the headers that Archstone needs.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import threading

import pytest
import requests
from keystoneauth1 import adapter, exceptions, session
from keystoneauth1.identity import v3

import saml_idp
from apache import WORKER, Apache, Site
from federation import Cloud, log_in
from people import admin_login, api, role_id
from providers import PEOPLE, OidcProvider
from servers import Keystone, free_port

JANE = {"name": "jane", "password": PEOPLE["jane"]["password"]}
SAML_JANE = {"user": "jane", "password": saml_idp.USERS["jane"]["password"]}
BOB = ("bob", "the password of bob")
# Apache knows them too.
STRANGER = ("stranger", BOB[1])

OPENID = ("corp", "openid")
SAML = ("university", "saml2")
METHODS = "external,password,token,mapped,openid,saml2,application_credential"
EXTERNAL = {"auth": {"identity": {"methods": ["external"], "external": {}}}}
TIMELY = ["audit_ids", "catalog", "expires_at", "issued_at"]
# The line that keeps a client from having the proxy take away what it added.
CONNECTION = "RequestHeader unset Connection"


class Reference(Keystone):
    """A Keystone that trusts a dashboard, and that mod_proxy_uwsgi reaches."""

    def __init__(self, directory, dashboard):
        super().__init__(directory)
        self.uwsgi = f"127.0.0.1:{free_port()}"
        page = directory.with_name("sso.html")
        page.write_text('<form action="$host"><input name="token" value="$token"></form>')
        self.settings = {
            "auth.methods": METHODS,
            "federation.trusted_dashboard": dashboard,
            "federation.sso_callback_template": page,
            "federation.default_authorization_ttl": 60,
        }

    def command(self):
        # One process: each has a cache of its own, and they do not tell each other of changes.
        command = [*super().command(), "--uwsgi", self.uwsgi, "--processes", "1"]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        return command


@dataclasses.dataclass
class Server:
    """What stands behind Apache."""

    url: str
    dashboard: str
    admin: adapter.Adapter
    ids: dict = dataclasses.field(default_factory=dict)

    def store(self, issuer, entity):
        """Stores what an operator would: all that is needed to log in."""
        federation = "/OS-FEDERATION"
        if "staff" not in self.ids:
            group = {"name": "staff", "domain_id": "default"}
            self.ids["staff"] = self.admin.post("/groups", json={"group": group}).json()["group"]["id"]
            project = {"name": "lab"}
            self.ids["lab"] = self.admin.post("/projects", json={"project": project}).json()["project"]["id"]
        user = {"name": BOB[0], "password": BOB[1], "domain_id": "default"}
        self.ids["bob"] = self.admin.post("/users", json={"user": user}).json()["user"]["id"]
        member = role_id(self.admin, "member")
        for actor in (f"groups/{self.ids['staff']}", f"users/{self.ids['bob']}"):
            self.admin.put(f"/projects/{self.ids['lab']}/{actor}/roles/{member}")
        for (provider, protocol), rules, attribute, remote_id in [
            (OPENID, OPENID_RULES, "HTTP_OIDC_ISS", issuer),
            (SAML, SAML_RULES, "MELLON_IDP", entity),
        ]:
            self.admin.put(f"{federation}/mappings/{provider}", json={"mapping": {"rules": rules}})
            described = {"enabled": True, "remote_ids": [remote_id]}
            path = f"{federation}/identity_providers/{provider}"
            self.admin.put(path, json={"identity_provider": described})
            spoken = {"mapping_id": provider, "remote_id_attribute": attribute}
            self.admin.put(f"{path}/protocols/{protocol}", json={"protocol": spoken})

    def token(self, text):
        """What the server says of a token."""
        return self.admin.get("/auth/tokens", headers={"X-Subject-Token": text}).json()["token"]

    def scoped(self, text):
        """What it says of the one for the project that this one buys."""
        plugin = v3.Token(f"{self.url}/v3", text, project_id=self.ids["lab"])
        return self.token(session.Session(auth=plugin).get_token())

    def known(self, token):
        """A token without what is another at each login and each server: ids become names."""
        said = {name: value for name, value in token.items() if name not in TIMELY}
        names = {id: f"<{name}>" for name, id in self.ids.items()}
        names.setdefault(said["user"]["id"], "<user>")
        names.setdefault(said["user"]["domain"]["id"], "<domain>")
        # Their order has no meaning.
        said.get("roles", []).sort(key=lambda role: role["name"])
        said["methods"].sort()
        for role in said.get("roles", []):
            names[role["id"]] = f"<{role['name']}>"
        names.pop("default", None)
        text = json.dumps(said)
        for id, name in names.items():
            text = text.replace(id, name)
        return json.loads(text)


LOCAL_GROUPS = {"groups": "{1}", "domain": {"id": "default"}}
OPENID_RULES = [
    {
        "local": [{"user": {"name": "{0}", "email": "{2}"}}, LOCAL_GROUPS],
        "remote": [{"type": "HTTP_OIDC_SUB"}, {"type": "HTTP_OIDC_GROUPS"}, {"type": "HTTP_OIDC_EMAIL"}],
    },
    # An answer about a token has no claims of the user's.
    {
        "local": [{"user": {"name": "{0}"}}, {"group": {"name": "staff", "domain": {"id": "default"}}}],
        "remote": [{"type": "HTTP_OIDC_SUB"}, {"type": "HTTP_OIDC_CLIENT_ID", "any_one_of": ["cloud"]}],
    },
]
SAML_RULES = [
    {
        "local": [{"user": {"name": "{0}"}}, LOCAL_GROUPS],
        "remote": [{"type": "MELLON_UID"}, {"type": "MELLON_GROUPS"}, {"type": "MELLON_NAME_ID"}],
    }
]


class World:
    """Everything that runs."""

    def __init__(self, oidc, idp, apache, directory):
        self.oidc, self.idp, self.apache = oidc, idp, apache
        self.cloud = Cloud(directory / "data")
        self.reference = Reference(directory / "reference", self.cloud.dashboard)
        self.keys = [open(path).read() for path in saml_idp.make_key(directory, "sp")]
        for name, text in zip(["sp.key", "sp.pem"], self.keys):
            apache.write(name, text)
        apache.write("idp.xml", idp.provider.metadata())
        # As htpasswd -s writes it.
        digest = base64.b64encode(hashlib.sha1(BOB[1].encode()).digest()).decode()
        apache.write("users", "".join(f"{name}:{{SHA}}{digest}\n" for name in (BOB[0], STRANGER[0], "admin")))
        # The socket gets the group of its folder, which Apache's workers are in.
        run = apache.directory / "run"
        run.mkdir()
        if os.getuid() == 0:
            shutil.chown(run, group=WORKER)
        run.chmod(0o2750)
        self.socket = run / "proxy.sock"

        direct, reference = f"{self.cloud.url}/", f"uwsgi://{self.reference.uwsgi}/"
        headers = "RequestHeader set X-Env-"
        self.openid = self.site("mod_auth_openidc", direct)
        self.saml = self.site("mod_auth_mellon", direct)
        self.basic = self.site("mod_auth_basic", direct)
        self.by_socket = self.site("mod_auth_openidc", f"unix:{self.socket}|http://localhost/")
        self.careless = self.site("mod_auth_openidc", direct, without=[CONNECTION])
        # Where Archstone speaks for itself.
        self.native = self.site("mod_auth_basic", direct, without=["Require", "AuthType"])
        self.openid_before = self.site("mod_auth_openidc", reference, without=[headers])
        self.saml_before = self.site("mod_auth_mellon", reference, without=[headers])
        self.basic_before = self.site("mod_auth_basic", reference, without=[headers])
        self.sites = [site for site in vars(self).values() if isinstance(site, Site)]
        self.cloud.settings += f"""
[DEFAULT]
public_endpoint = {self.native.url}
[auth]
methods = {METHODS}
[archstone]
trusted_proxies = 127.0.0.1
proxy_socket = {self.socket}
external_logins = true
"""

    def site(self, module, backend, **how):
        places = {
            "mod_auth_openidc": {"https://idp.example": self.oidc.issuer},
            "mod_auth_mellon": {"/etc/apache2/mellon": str(self.apache.directory)},
            "mod_auth_basic": {"/etc/apache2": str(self.apache.directory)},
        }
        return Site(module, backend, places[module], **how)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.cloud)
            stack.callback(self.reference.start().stop)
            self.apache.start(self.sites)
            self.archstone = Server(self.cloud.url, self.cloud.dashboard, self.cloud.admin)
            self.archstone.ids |= {"staff": self.cloud.group, "lab": self.cloud.project}
            admin = api(self.reference, admin_login(self.reference))
            self.keystone = Server(self.reference.plain_url, self.cloud.dashboard, admin)
            for server in (self.archstone, self.keystone):
                server.store(self.oidc.issuer, f"{self.idp.url}/metadata")
            self.introduce()
            self.running = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.running.close()

    def introduce(self):
        """Tells the providers of us."""
        place = f"{self.native.url}/v3/auth/OS-FEDERATION/identity_providers/corp/protocols/openid/callback"
        sites = [site for site in self.sites if "OIDCRedirectURI" in site.text]
        client = {
            "client_id": "cloud",
            "client_secret": "hush",
            "redirect_uris": [*(f"{site.url}/v3/auth/OS-FEDERATION/openid" for site in sites), place],
            "grant_types": ["authorization_code", "password"],
        }
        self.oidc.control("clients", [client])
        for site in (self.saml, self.saml_before):
            metadata = requests.get(f"{site.url}/v3/auth/OS-FEDERATION/mellon/metadata", timeout=10)
            assert metadata.status_code == 200, metadata.text
            requests.put(f"{self.idp.url}/service", data=metadata.text, timeout=10).raise_for_status()

    def log_in(self, site, url, browser=None, **credentials):
        """Logs in as a browser does; the token, or the page where it ended."""
        return log_in(self.cloud, f"{site.url}{url}", browser, **credentials)

    def token_of(self, site, url, **credentials):
        """The token of a login that works."""
        ended = self.log_in(site, url, **credentials)
        if not isinstance(ended, str):
            assert ended.status_code == 201, f"{ended.status_code} {ended.text}\n{self.printed()}"
            return ended.headers["X-Subject-Token"]
        return ended

    def printed(self):
        return f"{self.apache.printed()[-3000:]}\n{self.cloud.identity.printed()[-3000:]}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    idp = saml_idp.listen(tmp_path_factory.mktemp("idp"))
    threading.Thread(target=idp.serve_forever, daemon=True).start()
    try:
        with OidcProvider() as oidc, Apache() as apache:
            with World(oidc, idp, apache, tmp_path_factory.mktemp("world")) as world:
                yield world
    finally:
        idp.shutdown()
        idp.server_close()


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


def external(site, login=None, headers=None, body=EXTERNAL):
    """A login at /v3/auth/tokens by what Apache knows."""
    return requests.post(f"{site.url}/v3/auth/tokens", json=body, auth=login, headers=headers, timeout=30)


# The same login at both


@pytest.mark.parametrize("way", ["auth", "websso", "websso of any"])
@pytest.mark.parametrize("kind", ["openid", "saml"])
def test_archstone_takes_the_place_of_keystone(world, kind, way):
    provider, protocol = OPENID if kind == "openid" else SAML
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
