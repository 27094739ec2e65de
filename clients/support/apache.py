"""A real Apache on loopback that logs users in, as docs/federation.md shows it, and what it stands
before: Archstone, and the reference Keystone, which know the same of providers, mappings and users.

It is Debian's, as a child in a folder of its own: no service is needed, and nothing in /etc is read.
Workers of a root's Apache are www-data, who has to get at what they read; so the folder is not below
pytest's own.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import requests
from keystoneauth1 import adapter, session
from keystoneauth1.identity import v3

from support import saml_idp
from support.federation import Cloud, log_in
from support.people import admin_login, api, role_id
from support.servers import REPOSITORY, Keystone, free_port

PROGRAM = "/usr/sbin/apache2"
MODULES = Path("/usr/lib/apache2/modules")
WORKER = "www-data"
LOADED = [
    "mpm_event", "authn_core", "authn_file", "auth_basic", "authz_core", "authz_user", "headers", "proxy",
    "proxy_http", "proxy_uwsgi", "auth_openidc", "auth_mellon", "shib",
]  # fmt: skip
# Called otherwise than after its file.
SYMBOLS = {"shib": "mod_shib"}
SHIBD = "/usr/sbin/shibd"
SHIBBOLETH = """\
<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" logger="{directory}/logger">
    <OutOfProcess logger="{directory}/logger"/>
    <InProcess logger="{directory}/logger"/>
    <UnixListener address="{directory}/run/shibd.sock"/>
    <ApplicationDefaults entityID="{entity}" REMOTE_USER="uid" signing="front">
        <Sessions checkAddress="false" handlerSSL="false" cookieProps="http" redirectLimit="exact">
            <SSO entityID="{idp}">SAML2</SSO>
            <Handler type="MetadataGenerator" Location="/Metadata" signing="false">{bases}</Handler>
        </Sessions>
        <MetadataProvider type="XML" path="{directory}/institute.xml"/>
        <AttributeExtractor type="XML" path="{directory}/attribute-map.xml" reloadChanges="false"/>
        <CredentialResolver type="File" key="{directory}/sp.key" certificate="{directory}/sp.pem"/>
    </ApplicationDefaults>
    <SecurityPolicyProvider type="XML" path="/etc/shibboleth/security-policy.xml"/>
    <ProtocolProvider type="XML" path="/etc/shibboleth/protocols.xml" reloadChanges="false"/>
</SPConfig>
"""
ATTRIBUTE_MAP = """\
<Attributes xmlns="urn:mace:shibboleth:2.0:attribute-map">
    <Attribute name="urn:oid:0.9.2342.19200300.100.1.1" id="uid"/>
    <Attribute name="urn:oid:1.3.6.1.4.1.5923.1.1.1.7" id="entitlement"/>
</Attributes>
"""
LOGGER = """\
log4j.rootCategory=WARN, out
log4j.appender.out=org.apache.log4j.FileAppender
log4j.appender.out.fileName={directory}/shibboleth.log
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c %x: %m%n
"""


# She has neither address nor groups.
ANN = {"ann": {"password": "the password of ann"}}
BOB = ("bob", "the password of bob")

OPENID = ("corp", "openid")
SAML = ("university", "saml2")
SHIB = ("institute", "mapped")
METHODS = "external,password,token,mapped,openid,saml2,kerberos,application_credential"
TIMELY = ["audit_ids", "catalog", "expires_at", "issued_at"]

LOCAL_GROUPS = {"groups": "{1}", "domain": {"id": "default"}}
OPENID_RULES = [
    {
        "local": [{"user": {"name": "{0}", "email": "{2}"}}, LOCAL_GROUPS],
        "remote": [{"type": "HTTP_OIDC_SUB"}, {"type": "HTTP_OIDC_GROUPS"}, {"type": "HTTP_OIDC_EMAIL"}],
    },
    # An answer about a token has no claims of the user's.
    {
        "local": [{"user": {"name": "{0}"}}, {"group": {"name": "staff", "domain": {"id": "default"}}}],
        "remote": [
            {"type": "HTTP_OIDC_SUB"},
            {"type": "HTTP_OIDC_SCOPE", "any_one_of": ["groups"], "regex": True},
        ],
    },
]
SAML_RULES = [
    {
        "local": [{"user": {"name": "{0}"}}, LOCAL_GROUPS],
        "remote": [{"type": "MELLON_uid"}, {"type": "MELLON_groups"}, {"type": "MELLON_NAME_ID"}],
    }
]


# The names are those of Apache's environment, for both servers.
SHIB_RULES = [
    {
        "local": [{"user": {"name": "{0}"}}, LOCAL_GROUPS],
        "remote": [{"type": "REMOTE_USER"}, {"type": "entitlement"}],
    }
]


def documented(module):
    """The virtual host for a module in docs/federation.md."""
    text = (REPOSITORY / "docs" / "federation.md").read_text()
    blocks = re.findall(r"^```apache\n(.*?)^```", text, re.M | re.S)
    [block] = [block for block in blocks if block.startswith(f"# {module}")]
    return block


class Site:
    """A virtual host of the documentation, with the places of a test for those that it names.

    `backend` is what it stands before, as ProxyPass names it; `without` are patterns of lines that
    are left out, each of which has to be there.
    """

    def __init__(self, address, module, backend, places, without=()):
        self.address = address
        self.url = f"http://{address}"
        text = documented(module)
        for pattern in without:
            text, times = re.subn(rf"^ *{pattern}.*\n", "", text, flags=re.M)
            assert times, f"no line {pattern} in the documentation"
        places = {
            "*:5000": address,
            "https://cloud.example:5000": self.url,
            "http://10.0.0.20:5001/": backend,
            **places,
        }
        for written, meant in places.items():
            assert written in text, f"no {written} in the documentation"
            text = text.replace(written, meant)
        self.text = text


class Apache:
    """Apache and the daemon of mod_shib, as long as their context, from `start` on.

    Their files are in `directory`, and their sockets in `run` there, which has the group of workers.
    """

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="apache-"))
        self.directory.chmod(0o755)
        self.run = self.directory / "run"
        self.run.mkdir()
        if os.getuid() == 0:
            shutil.chown(self.run, group=WORKER)
        self.run.chmod(0o2770)
        self.processes = []

    def write(self, name, text):
        """Writes a file that workers, and nobody else, may read; answers its path."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(path, WORKER, WORKER)
        return path

    def start(self, sites, entity, idp):
        """Starts both and returns once Apache answers at each site. `entity` is the name of mod_shib to
        the provider whose own is `idp`."""
        bases = [site.url for site in sites if "ShibRequestSetting" in site.text]
        places = {
            "directory": self.directory,
            "entity": entity,
            "idp": idp,
            "bases": "".join(f"<EndpointBase>{base}/Shibboleth.sso</EndpointBase>" for base in bases),
        }
        self.write("attribute-map.xml", ATTRIBUTE_MAP)
        self.write("shibboleth.log", "")
        self.write("logger", LOGGER.format(**places))
        shibboleth = self.write("shibboleth2.xml", SHIBBOLETH.format(**places))
        user = ["-u", WORKER, "-g", WORKER] if os.getuid() == 0 else []
        self.spawn(SHIBD, "-F", "-f", "-c", shibboleth, "-p", self.run / "shibd.pid", *user)
        configuration = self.write("apache2.conf", self.configuration(sites))
        self.spawn(PROGRAM, "-D", "FOREGROUND", "-d", self.directory, "-f", configuration)
        deadline = time.monotonic() + 30
        while not all(answers(site) for site in sites) or not (self.run / "shibd.sock").exists():
            if any(process.poll() is not None for process in self.processes) or time.monotonic() > deadline:
                raise RuntimeError(f"Apache does not answer:\n{self.printed()}")
            time.sleep(0.05)
        return self

    def configuration(self, sites):
        lines = [
            f'ServerRoot "{self.directory}"',
            f'DefaultRuntimeDir "{self.directory}"',
            f'PidFile "{self.directory}/pid"',
            f'ErrorLog "{self.directory}/error.log"',
            f"Mutex file:{self.directory} default",
            "ServerName 127.0.0.1",
            "StartServers 1",
            "MaxSpareThreads 64",
            "ThreadsPerChild 16",
            "MaxRequestWorkers 64",
            *(f"LoadModule {SYMBOLS.get(name, f'{name}_module')} {MODULES}/mod_{name}.so" for name in LOADED),
            f"ShibConfig {self.directory}/shibboleth2.xml",
            # Else a valid user of the other modules is none.
            "ShibCompatValidUser On",
            *(f"Listen {site.address}" for site in sites),
        ]
        if os.getuid() == 0:
            lines += [f"User {WORKER}", f"Group {WORKER}"]
        return "\n".join([*lines, *(site.text for site in sites)])

    def spawn(self, *command):
        with open(self.directory / "output", "ab") as output:
            self.processes.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))

    def printed(self):
        """What they wrote to their standard streams and their logs."""
        files = [self.directory / name for name in ("output", "error.log", "shibboleth.log")]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory)


def answers(site):
    try:
        requests.head(site.url, timeout=5, allow_redirects=False)
        return True
    except (requests.ConnectionError, requests.Timeout):
        return False


class Reference(Keystone):
    """A Keystone that trusts a dashboard, and that mod_proxy_uwsgi reaches."""

    def __init__(self, directory, dashboard):
        super().__init__(directory)
        self.uwsgi = f"127.0.0.1:{free_port()}"
        page = directory.with_name("sso.html")
        page.write_text('<form action="$host"><input name="token" value="$token"></form>')
        self.settings = {
            "auth.methods": METHODS,
            "auth.external": "Domain",
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
    admin: adapter.Adapter
    ids: dict = dataclasses.field(default_factory=dict)

    def store(self, issuers):
        """Stores what an operator would: all that is needed to log in."""
        federation = "/OS-FEDERATION"
        if "staff" not in self.ids:
            group = {"name": "staff", "domain_id": "default"}
            self.ids["staff"] = self.admin.post("/groups", json={"group": group}).json()["group"]["id"]
            project = {"name": "lab"}
            self.ids["lab"] = self.admin.post("/projects", json={"project": project}).json()["project"]["id"]
        user = {"name": BOB[0], "password": BOB[1], "domain_id": "default"}
        self.ids["bob"] = self.admin.post("/users", json={"user": user}).json()["user"]["id"]
        # Another of that name.
        acme = self.admin.post("/domains", json={"domain": {"name": "acme"}}).json()["domain"]["id"]
        self.admin.post("/users", json={"user": {"name": BOB[0], "domain_id": acme}})
        member = role_id(self.admin, "member")
        for actor in (f"groups/{self.ids['staff']}", f"users/{self.ids['bob']}"):
            self.admin.put(f"/projects/{self.ids['lab']}/{actor}/roles/{member}")
        for (provider, protocol), rules, attribute in [
            (OPENID, OPENID_RULES, "HTTP_OIDC_ISS"),
            (SAML, SAML_RULES, "MELLON_IDP"),
            (SHIB, SHIB_RULES, "Shib-Identity-Provider"),
        ]:
            self.admin.put(f"{federation}/mappings/{provider}", json={"mapping": {"rules": rules}})
            described = {"enabled": True, "remote_ids": [issuers[provider, protocol]]}
            path = f"{federation}/identity_providers/{provider}"
            self.admin.put(path, json={"identity_provider": described})
            spoken = {"mapping_id": provider, "remote_id_attribute": attribute}
            self.admin.put(f"{path}/protocols/{protocol}", json={"protocol": spoken})

    def token(self, text):
        """What the server says of a token."""
        return self.admin.get("/auth/tokens", headers={"X-Subject-Token": text}).json()["token"]

    def scoped(self, text):
        """What it says of the one for the project that is obtained with this one."""
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


class World:
    """Everything that runs."""

    def __init__(self, oidc, university, institute, apache, directory):
        self.oidc, self.university, self.institute, self.apache = oidc, university, institute, apache
        # Each site has an address of its own, which connections of the machine to itself do not use.
        port = free_port()
        self.addresses = (f"127.0.0.{number}:{port}" for number in range(2, 250))
        self.cloud = Cloud(directory / "data")
        self.reference = Reference(directory / "reference", self.cloud.dashboard)
        self.keys = [open(path).read() for path in saml_idp.make_key(directory, "sp")]
        for name, text in zip(["sp.key", "sp.pem"], self.keys):
            apache.write(name, text)
        apache.write("idp.xml", university.provider.metadata())
        apache.write("institute.xml", institute.provider.metadata())
        # As htpasswd -s writes it.
        digest = base64.b64encode(hashlib.sha1(BOB[1].encode()).digest()).decode()
        apache.write("users", "".join(f"{name}:{{SHA}}{digest}\n" for name in (BOB[0], "stranger")))
        self.socket = apache.run / "proxy.sock"

        direct, reference = f"{self.cloud.url}/", f"uwsgi://{self.reference.uwsgi}/"
        self.openid = self.site("mod_auth_openidc", direct)
        self.saml = self.site("mod_auth_mellon", direct)
        self.shib = self.site("mod_shib", direct)
        self.basic = self.site("mod_auth_basic", direct)
        self.by_socket = self.site("mod_auth_openidc", f"unix:{self.socket}|http://localhost/")
        # What a line is for shows where it is missing.
        connection, user = "RequestHeader unset Connection", "RequestHeader set X-Env-REMOTE_USER"
        attribute = "RequestHeader unset X-Env-MELLON_groups"
        self.careless = {
            "connection": self.site("mod_auth_openidc", direct, without=[connection]),
            "user": self.site("mod_auth_openidc", direct, without=[user]),
            "both": self.site("mod_auth_mellon", direct, without=[connection, attribute]),
            "attribute": self.site("mod_auth_mellon", direct, without=[attribute]),
            "domain": self.site("mod_auth_basic", direct, without=["RequestHeader set X-Env-REMOTE_DOMAIN"]),
            "type": self.site("mod_auth_basic", direct, without=["RequestHeader set X-Env-AUTH_TYPE"]),
        }
        # Where Archstone speaks for itself.
        self.native = self.site("mod_auth_openidc", direct, without=["AuthType", "Require"])
        self.openid_before = self.site("mod_auth_openidc", reference, without=["RequestHeader"])
        self.saml_before = self.site("mod_auth_mellon", reference, without=["RequestHeader"])
        self.shib_before = self.site("mod_shib", reference, without=["RequestHeader"])
        self.basic_before = self.site("mod_auth_basic", reference, without=["RequestHeader"])
        sites = [*vars(self).values(), *self.careless.values()]
        self.sites = [site for site in sites if isinstance(site, Site)]
        self.cloud.settings += f"""
[DEFAULT]
public_endpoint = {self.native.url}
[auth]
methods = {METHODS}
external = Domain
[archstone]
trusted_proxies = 127.0.0.1
proxy_socket = {self.socket}
external_logins = true
"""

    def site(self, module, backend, **how):
        places = {
            "mod_auth_openidc": {"https://idp.example": self.oidc.issuer},
            "mod_auth_mellon": {"/etc/apache2/mellon": str(self.apache.directory)},
            "mod_shib": {},
            "mod_auth_basic": {"/etc/apache2": str(self.apache.directory)},
        }
        return Site(next(self.addresses), module, backend, places[module], **how)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.cloud)
            stack.callback(self.reference.start().stop)
            issuers = {
                OPENID: self.oidc.issuer,
                SAML: f"{self.university.url}/metadata",
                SHIB: f"{self.institute.url}/metadata",
            }
            self.apache.start(self.sites, f"{self.shib.url}/shibboleth", issuers[SHIB])
            self.archstone = Server(self.cloud.url, self.cloud.admin)
            self.archstone.ids |= {"staff": self.cloud.group, "lab": self.cloud.project}
            admin = api(self.reference, admin_login(self.reference))
            self.keystone = Server(self.reference.plain_url, admin)
            self.archstone.store(issuers)
            self.keystone.store(issuers)
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
        mellon = [site for site in self.sites if "MellonIdPMetadataFile" in site.text]
        places = [(self.university, f"{site.url}/v3/auth/OS-FEDERATION/mellon/metadata") for site in mellon]
        for idp, place in [*places, (self.institute, f"{self.shib.url}/Shibboleth.sso/Metadata")]:
            metadata = requests.get(place, timeout=10)
            assert metadata.status_code == 200, metadata.text
            requests.put(f"{idp.url}/service", data=metadata.text, timeout=10).raise_for_status()

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
