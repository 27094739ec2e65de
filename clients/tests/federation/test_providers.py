"""The providers that other tests log in with do what such providers do."""

import base64
import hashlib
import http.server
import re
import secrets
import threading
from urllib.parse import parse_qs, urljoin, urlsplit

import jwt
import pytest
import requests
from oauthlib.oauth1 import Client as OAuth1Client

from support.browser import walk
from support.providers import PEOPLE, OAuth1Provider, OAuth2Provider, OidcProvider

CALLBACK = "http://127.0.0.1:9/callback"
PASSWORD = PEOPLE["jane"]["password"]
CLIENT = {
    "client_id": "cloud",
    "client_secret": "secret-of-the-cloud",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "client_credentials", "password"],
}
DEVICE = {
    "client_id": "cli",
    "token_endpoint_auth_method": "none",
    "application_type": "native",
    "redirect_uris": [],
    "response_types": [],
    "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
}
SECRET = (CLIENT["client_id"], CLIENT["client_secret"])


@pytest.fixture(scope="module")
def oidc():
    with OidcProvider(clients=[CLIENT, DEVICE]) as provider:
        yield provider


@pytest.fixture(scope="module")
def oauth2():
    client = {"secret": CLIENT["client_secret"], "redirect_uris": [CALLBACK]}
    with OAuth2Provider(clients={"cloud": client}) as provider:
        yield provider


@pytest.fixture(scope="module")
def oauth1():
    with OAuth1Provider(clients={"cloud": CLIENT["client_secret"]}) as provider:
        yield provider


def follow(browser, answer):
    """Follows redirects as a browser would, and stops at the callback, whose parameters it gives."""
    while answer.is_redirect:
        place = urljoin(answer.url, answer.headers["Location"])
        if place.startswith(CALLBACK):
            return {name: value for name, [value] in parse_qs(urlsplit(place).query).items()}
        answer = browser.get(place, allow_redirects=False)
    return answer


def log_in(browser, url, **form):
    """Opens a page that leads to a login form, fills it in, and follows to the callback."""
    page = follow(browser, browser.get(url, allow_redirects=False))
    assert "Password" in page.text
    return follow(browser, browser.post(page.url, data=form, allow_redirects=False))


def verifier_and_challenge():
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization_url(endpoint, challenge, **more):
    parameters = {
        "response_type": "code",
        "client_id": "cloud",
        "redirect_uri": CALLBACK,
        "state": "x",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **more,
    }
    return requests.Request("GET", endpoint, params=parameters).prepare().url


def redeem(endpoint, code, verifier):
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
    }
    return requests.post(endpoint, data=form, auth=SECRET)


def claims_of(provider, id_token, metadata):
    keys = jwt.PyJWKClient(metadata["jwks_uri"])
    key = keys.get_signing_key_from_jwt(id_token)
    return jwt.decode(id_token, key, algorithms=["RS256"], audience="cloud", issuer=provider.issuer)


def discover(provider):
    metadata = requests.get(f"{provider.issuer}/.well-known/openid-configuration").json()
    assert metadata["issuer"] == provider.issuer
    return metadata


def oidc_login(provider, browser, metadata):
    """The tokens of jane, by the code grant."""
    verifier, challenge = verifier_and_challenge()
    scope = "openid profile email groups"
    url = authorization_url(metadata["authorization_endpoint"], challenge, scope=scope, nonce="n")
    back = log_in(browser, url, name="jane", password=PASSWORD)
    assert back["state"] == "x"
    assert back["iss"] == provider.issuer
    assert redeem(metadata["token_endpoint"], back["code"], "w" * 43).status_code == 400
    back = follow(browser, browser.get(url, allow_redirects=False))
    answer = redeem(metadata["token_endpoint"], back["code"], verifier)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_oidc_code(oidc):
    metadata = discover(oidc)
    tokens = oidc_login(oidc, requests.Session(), metadata)
    claims = claims_of(oidc, tokens["id_token"], metadata)
    assert (claims["sub"], claims["nonce"], claims["groups"]) == ("jane", "n", ["staff", "wheel"])
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    userinfo = requests.get(metadata["userinfo_endpoint"], headers=bearer).json()
    assert userinfo["email"] == "jane@example.com"
    form = {"token": tokens["access_token"]}
    found = requests.post(metadata["introspection_endpoint"], data=form, auth=SECRET).json()
    assert found["active"] is True
    assert (found["sub"], found["client_id"]) == ("jane", "cloud")


def test_oidc_wrong_password_and_cancel(oidc):
    metadata = discover(oidc)
    url = authorization_url(metadata["authorization_endpoint"], verifier_and_challenge()[1], scope="openid")
    wrong = log_in(requests.Session(), url, name="jane", password="guess")
    assert wrong.status_code == 401
    cancelled = log_in(requests.Session(), url, cancel="yes")
    assert (cancelled["error"], cancelled["state"]) == ("access_denied", "x")


def test_oidc_grants_without_a_browser(oidc):
    endpoint = discover(oidc)["token_endpoint"]
    machine = requests.post(endpoint, data={"grant_type": "client_credentials"}, auth=SECRET)
    assert machine.json()["token_type"] == "Bearer"
    form = {"grant_type": "password", "username": "jane", "password": PASSWORD, "scope": "openid email"}
    person = requests.post(endpoint, data=form, auth=SECRET).json()
    bearer = {"Authorization": f"Bearer {person['access_token']}"}
    found = requests.get(discover(oidc)["userinfo_endpoint"], headers=bearer).json()
    assert (found["sub"], found["email"]) == ("jane", "jane@example.com")
    wrong = requests.post(endpoint, data=form | {"password": "guess"}, auth=SECRET)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")


def submit(browser, page, **more):
    """Sends the form of a page, with its hidden fields."""
    action = re.search(r'action="([^"]+)"', page.text)[1]
    hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    answer = browser.post(urljoin(page.url, action), data=hidden | more, allow_redirects=False)
    return follow(browser, answer)


def test_oidc_device(oidc):
    metadata = discover(oidc)
    form = {"client_id": "cli", "scope": "openid email"}
    device = requests.post(metadata["device_authorization_endpoint"], data=form).json()
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "cli",
        "device_code": device["device_code"],
    }
    pending = requests.post(metadata["token_endpoint"], data=poll)
    assert pending.json()["error"] == "authorization_pending"

    browser = requests.Session()
    page = browser.get(device["verification_uri"])
    login = submit(browser, submit(browser, page, user_code=device["user_code"]), confirm="yes")
    done = follow(
        browser, browser.post(login.url, data={"name": "jane", "password": PASSWORD}, allow_redirects=False)
    )
    assert "connected" in done.text
    assert "access_token" in requests.post(metadata["token_endpoint"], data=poll).json()


def test_oidc_rotates_its_keys():
    with OidcProvider(clients=[CLIENT]) as provider:
        metadata = discover(provider)

        def kids():
            return [key["kid"] for key in requests.get(metadata["jwks_uri"]).json()["keys"]]

        [first] = kids()
        provider.control("rotate")
        second, *rest = kids()
        assert rest == [first]
        tokens = oidc_login(provider, requests.Session(), metadata)
        assert jwt.get_unverified_header(tokens["id_token"])["kid"] == second
        provider.control("rotate", {"keep": False})
        [third] = kids()
        assert third not in (first, second)


def test_oidc_logs_out_by_back_channel():
    came = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever).start()
    try:
        place = f"http://127.0.0.1:{listener.server_port}/logout"
        client = CLIENT | {"backchannel_logout_uri": place, "backchannel_logout_session_required": True}
        with OidcProvider() as provider:
            provider.control("clients", [client])
            metadata = discover(provider)
            oidc_login(provider, requests.Session(), metadata)
            told = provider.control("logout", {"name": "jane"})["told"]
            assert {(one["client"], one["answer"]) for one in told} == {("cloud", "accepted")}
            token = parse_qs(came[0])["logout_token"][0]
            claims = claims_of(provider, token, metadata)
            assert claims["sub"] == "jane"
            assert "sid" in claims
            assert "http://schemas.openid.net/event/backchannel-logout" in claims["events"]
    finally:
        listener.shutdown()
        listener.server_close()


def test_oauth2(oauth2):
    metadata = requests.get(f"{oauth2.issuer}/.well-known/oauth-authorization-server").json()
    verifier, challenge = verifier_and_challenge()
    url = authorization_url(metadata["authorization_endpoint"], challenge, scope="profile")
    assert log_in(requests.Session(), url, name="jane", password="guess").status_code == 401
    assert log_in(requests.Session(), url, cancel="yes")["error"] == "access_denied"
    back = log_in(requests.Session(), url, name="jane", password=PASSWORD)
    assert back["state"] == "x"
    wrong = redeem(metadata["token_endpoint"], back["code"], "w" * 43)
    assert wrong.json()["error"] == "invalid_grant"
    answer = redeem(metadata["token_endpoint"], back["code"], verifier)
    token = answer.json()["access_token"]

    bearer = {"Authorization": f"Bearer {token}"}
    found = requests.get(metadata["userinfo_endpoint"], headers=bearer).json()
    assert (found["id"], found["groups"]) == ("jane", ["staff", "wheel"])
    introspection = metadata["introspection_endpoint"]
    assert requests.post(introspection, data={"token": token}).status_code == 401
    found = requests.post(introspection, data={"token": token}, auth=SECRET).json()
    assert (found["active"], found["client_id"], found["sub"]) == (True, "cloud", "jane")
    oauth2.control("revoke", {"name": "jane"})
    assert requests.post(introspection, data={"token": token}, auth=SECRET).json() == {"active": False}
    assert requests.get(metadata["userinfo_endpoint"], headers=bearer).status_code == 401


def signed(method, url, **more):
    """A request that is signed as OAuth 1.0a wants it."""
    _, headers, _ = OAuth1Client("cloud", client_secret=CLIENT["client_secret"], **more).sign(url, method)
    return requests.request(method, url, headers=headers)


def credentials(answer):
    assert answer.status_code == 200, answer.text
    found = {name: value for name, [value] in parse_qs(answer.text).items()}
    return {
        "resource_owner_key": found["oauth_token"],
        "resource_owner_secret": found["oauth_token_secret"],
    }


def test_oauth1(oauth1):
    def begin():
        answer = signed("POST", f"{oauth1.issuer}/initiate", callback_uri=CALLBACK)
        # RFC 5849 section 2.1 writes it in lower case; Authlib does not.
        assert parse_qs(answer.text)["oauth_callback_confirmed"] == ["True"]
        temporary = credentials(answer)
        return temporary, f"{oauth1.issuer}/authorize?oauth_token={temporary['resource_owner_key']}"

    token_url = f"{oauth1.issuer}/token"
    temporary, url = begin()
    assert log_in(requests.Session(), url, name="jane", password="guess").status_code == 401
    assert log_in(requests.Session(), url, cancel="yes")["error"] == "access_denied"
    assert signed("POST", token_url, **temporary, verifier="guess").status_code >= 400

    temporary, url = begin()
    back = log_in(requests.Session(), url, name="jane", password=PASSWORD)
    assert back["oauth_token"] == temporary["resource_owner_key"]
    redeem = {**temporary, "verifier": back["oauth_verifier"]}
    access = credentials(signed("POST", token_url, **redeem))
    assert signed("POST", token_url, **redeem).status_code >= 400
    found = signed("GET", f"{oauth1.issuer}/me", **access).json()
    assert (found["id"], found["groups"]) == ("jane", ["staff", "wheel"])
    forged = access | {"resource_owner_secret": "guess"}
    assert signed("GET", f"{oauth1.issuer}/me", **forged).status_code >= 400


def test_browser_logs_in(oidc, tmp_path):
    picture = tmp_path / "login.png"
    url = authorization_url(
        discover(oidc)["authorization_endpoint"], verifier_and_challenge()[1], scope="openid"
    )
    steps = [
        {"goto": url},
        {"see": "cloud asks who you are."},
        {"screenshot": str(picture)},
        {"fill": "[name=name]", "with": "jane"},
        {"fill": "[name=password]", "with": "guess"},
        {"click": "[name=login]"},
        {"see": "Wrong name or password."},
        {"fill": "[name=name]", "with": "jane"},
        {"fill": "[name=password]", "with": PASSWORD},
        {"click": "[name=login]", "until": CALLBACK},
    ]
    ended = walk(steps)
    assert ended["url"].startswith(f"{CALLBACK}?")
    assert "code" in parse_qs(urlsplit(ended["url"]).query)
    assert picture.read_bytes().startswith(b"\x89PNG")
