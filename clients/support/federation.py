"""A cloud that trusts identity providers, and people who log in there with a browser."""

import http.server
import re
import threading
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from support.people import admin_login, api, role_id
from support.servers import Archstone, free_port

# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class Cloud:
    """An Archstone that may ask providers on loopback, and hands tokens to one dashboard."""

    def __init__(self, directory, settings=""):
        self.dashboard_port = free_port()
        self.dashboard = f"http://127.0.0.1:{self.dashboard_port}/auth/websso/"
        # A client of the command line listens here for its token.
        self.client_port = free_port()
        self.identity = Archstone(directory)
        self.settings = (
            "\n[archstone]\nprivate_providers = true\n[federation]\n"
            f"trusted_dashboard = {self.dashboard}\n"
            f"trusted_dashboard = http://localhost:{self.client_port}/auth/websso/\n"
            f"default_authorization_ttl = 60\n{settings}"
        )
        self.admin = None

    def __enter__(self):
        self.identity.start()
        self.identity.stop()
        with open(self.identity.directory / "keystone.conf", "a") as configuration:
            configuration.write(self.settings)
        self.identity.start(self.identity.serve())
        self.admin = api(self.identity, admin_login(self.identity))
        group = {"name": "staff", "domain_id": "default"}
        self.group = self.admin.post("/groups", json={"group": group}).json()["group"]["id"]
        self.project = self.admin.post("/projects", json={"project": {"name": "lab"}}).json()["project"]["id"]
        member = role_id(self.admin, "member")
        self.admin.put(f"/projects/{self.project}/groups/{self.group}/roles/{member}")
        return self

    def __exit__(self, *_):
        self.identity.stop()

    @property
    def url(self):
        return self.identity.plain_url

    def callback(self, provider, protocol):
        """Where a provider sends people back to."""
        place = f"identity_providers/{provider}/protocols/{protocol}"
        return f"{self.url}/v3/auth/OS-FEDERATION/{place}/callback"

    def add(self, provider, protocol, driver, settings, user, groups):
        """Adds a provider: `user` and `groups` are the attributes that name the user and groups."""
        rules = [
            {
                "local": [
                    {"user": {"name": "{0}"}},
                    {"groups": "{1}", "domain": {"id": "default"}},
                ],
                "remote": [{"type": user}, {"type": groups}],
            }
        ]
        federation = "/OS-FEDERATION"
        mapping = f"{provider}-{protocol}"
        self.admin.put(f"{federation}/mappings/{mapping}", json={"mapping": {"rules": rules}})
        described = {"enabled": True, "description": f"People of {provider}"}
        self.admin.put(
            f"{federation}/identity_providers/{provider}",
            json={"identity_provider": described},
            raise_exc=False,
        )
        spoken = {"mapping_id": mapping, "driver": driver, "settings": settings}
        answer = self.admin.put(self.path(provider, protocol), json={"protocol": spoken}, raise_exc=False)
        assert answer.status_code == 201, answer.text

    def change(self, provider, protocol, **settings):
        """Changes settings of a protocol while everything runs."""
        spoken = {"mapping_id": f"{provider}-{protocol}", "settings": settings}
        self.admin.patch(self.path(provider, protocol), json={"protocol": spoken})

    def check(self, provider, protocol):
        """What the server finds when it tries a protocol. It is asked at the address at which browsers
        come, for it tries the callback of that address."""
        place = f"{self.url}/v3{self.path(provider, protocol)}/check"
        headers = {"X-Auth-Token": self.admin.get_token()}
        answer = requests.post(place, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()["check"]

    @staticmethod
    def path(provider, protocol):
        return f"/OS-FEDERATION/identity_providers/{provider}/protocols/{protocol}"

    def websso(self, provider, protocol):
        """Where a dashboard sends a browser."""
        place = f"identity_providers/{provider}/protocols/{protocol}"
        return f"{self.url}/v3/auth/OS-FEDERATION/{place}/websso?origin={self.dashboard}"

    def said_of(self, answer):
        """What the log says of the request that was answered so."""
        number = answer.headers["X-Openstack-Request-Id"]
        return "\n".join(line for line in self.identity.printed().splitlines() if number in line)

    def token(self, text):
        """What the cloud says of a token; `None` when it is not valid."""
        headers = {"X-Subject-Token": text}
        answer = self.admin.get("/auth/tokens", headers=headers, raise_exc=False)
        return answer.json()["token"] if answer.status_code == 200 else None


class Form:
    """The one form of a page."""

    def __init__(self, page):
        found = re.search(r"<form[^>]*>.*?</form>", page.text, re.S)
        assert found, page.text
        text = found.group()
        action = re.search(r'<form[^>]*\baction="([^"]*)"', text)
        self.action = urljoin(page.url, unescape(action.group(1)) if action else page.url)
        inputs = re.findall(r"<input[^>]*>", text)
        self.fields = {}
        for field in inputs:
            name = re.search(r'\bname="([^"]*)"', field)
            value = re.search(r'\bvalue="([^"]*)"', field)
            if name:
                self.fields[unescape(name.group(1))] = unescape(value.group(1)) if value else ""


def log_in(cloud, url, browser=None, until=None, **credentials):
    """Goes through a login as a browser would; answers the token that the dashboard would get, or
    the page where it ended."""
    browser = browser or requests.Session()
    page = browser.get(url, timeout=30)
    for _ in range(10):
        if until and until(page):
            return page
        if "<form" not in page.text:
            return page
        form = Form(page)
        if form.action == cloud.dashboard:
            assert page.status_code == 200
            return form.fields["token"]
        if any("password" in name.lower() for name in form.fields):
            form.fields.update(credentials)
        page = browser.post(form.action, data=form.fields, timeout=30)
    raise AssertionError(f"the login does not end: {page.url}")


def token_of(cloud, url, **credentials):
    """The token of a login that works."""
    ended = log_in(cloud, url, **credentials)
    assert isinstance(ended, str), f"{ended.status_code} {ended.text}\n{cloud.identity.printed()[-3000:]}"
    return ended


def code_of(provider, client, callback, credentials, **more):
    """A code that a provider gives somebody for a client, as a client that asks by itself gets it.
    Its verifier is `VERIFIER`."""
    browser = requests.Session()
    query = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": callback,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **more,
    }
    form = browser.get(f"{provider.issuer}/{provider.authorization}", params=query)
    answer = browser.post(form.url, data=credentials, allow_redirects=False)
    while not answer.headers["Location"].startswith(callback):
        answer = browser.get(answer.headers["Location"], allow_redirects=False)
    [code] = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
    return code


def tokens_of(provider, client, secret, callback, credentials, **more):
    """The tokens that a client gets for somebody."""
    form = {
        "grant_type": "authorization_code",
        "code": code_of(provider, client, callback, credentials, **more),
        "redirect_uri": callback,
        "code_verifier": VERIFIER,
    }
    answer = requests.post(f"{provider.issuer}/token", data=form, auth=(client, secret), timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


class Dashboard:
    """A dashboard that waits for one token, as Horizon does."""

    def __init__(self, port):
        dashboard = self
        self.token = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                dashboard.token = parse_qs(body)["token"][0]
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<h1>Welcome to the dashboard</h1>")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
