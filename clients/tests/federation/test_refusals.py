"""Who is turned away: dashboards that nobody trusts, what pages must not load, and false logouts."""

import http.server
import re
import threading

import pytest
import requests

from support.browser import watched
from support.federation import Cloud, token_of, tokens_of
from support.providers import PEOPLE, OidcProvider

JANE = {"name": "jane", "password": PEOPLE["jane"]["password"]}
JOE = {"name": "joe", "password": PEOPLE["joe"]["password"]}
# Where a client that asks by itself waits for a code.
NOBODY = "http://127.0.0.1:9/callback"
SECRET = {"client_id": "cloud", "client_secret": "hush"}
NAMED_BY = ("HTTP_OIDC_SUB", "HTTP_OIDC_GROUPS")


class Stranger:
    """Somebody on loopback who remembers what was asked."""

    def __init__(self):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!DOCTYPE html><html><body>Hello</body></html>")

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def stranger():
    with Stranger() as stranger:
        yield stranger


@pytest.fixture(scope="module")
def corp():
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def cloud(corp, stranger, tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        client = {**SECRET, "redirect_uris": [cloud.callback("corp", "openid"), NOBODY]}
        corp.control("clients", [client])
        settings = {**SECRET, "issuer": corp.issuer, "scopes": ["openid", "groups"]}
        cloud.add("corp", "openid", "oidc", settings, *NAMED_BY)
        cloud.add("twin", "openid", "oidc", settings, *NAMED_BY)
        cloud.add("alone", "single", "oidc", settings, *NAMED_BY)
        # To begin here, the provider has to be asked first.
        settings = {
            "request_token_url": f"{stranger.url}/initiate",
            "authorization_url": f"{stranger.url}/authorize",
            "access_token_url": f"{stranger.url}/token",
            "attributes_url": f"{stranger.url}/me",
            "consumer_key": "cloud",
            "consumer_secret": "hush",
            "subject": "id",
        }
        cloud.add("legacy", "oauth1", "oauth1", settings, "OAUTH1-id", "OAUTH1-groups")
        yield cloud


# Dashboards


BEGINNINGS = {
    "chooser": "websso",
    "chooser of a protocol": "websso/openid",
    "only provider of a protocol": "websso/single",
    "provider": "identity_providers/corp/protocols/openid/websso",
    "provider that is asked first": "identity_providers/legacy/protocols/oauth1/websso",
    "provider that is asked first, by its protocol": "websso/oauth1",
}


def beginning(cloud, where):
    return f"{cloud.url}/v3/auth/OS-FEDERATION/{BEGINNINGS[where]}"


@pytest.mark.parametrize("where", BEGINNINGS)
@pytest.mark.parametrize(
    "evil",
    [
        "https://evil.example/auth/websso/",
        "{dashboard}evil",
        "{dashboard}?evil",
        "{dashboard}#evil",
        "http://evil.example@{host}",
        "{dashboard}\\@evil.example/",
        "//evil.example/",
        "javascript:evil()",
        '"><a href="https://evil.example/">',
    ],
)
def test_a_dashboard_that_is_not_trusted_gets_nobody(cloud, stranger, where, evil):
    host = cloud.dashboard.removeprefix("http://")
    evil = evil.replace("{dashboard}", cloud.dashboard).replace("{host}", host)
    del stranger.asked[:]
    # People choose by GET alone; a dashboard may post.
    for method in ["GET"] if where == "chooser" else ["GET", "POST"]:
        for accept in ["text/html", "application/json"]:
            answer = requests.request(
                method,
                beginning(cloud, where),
                params={"origin": evil},
                headers={"Accept": accept},
                allow_redirects=False,
                timeout=30,
            )
            assert answer.status_code == 401
            assert answer.headers["Content-Type"].startswith(accept)
            assert not {"Location", "Refresh", "Link", "Set-Cookie"} & set(answer.headers)
            assert "evil" not in f"{answer.headers} {answer.text}"
            assert not re.search(r"\b(href|action|src|http-equiv)=", answer.text)
            assert "is not a trusted dashboard host" in cloud.said_of(answer)
    assert stranger.asked == []


def test_a_dashboard_that_is_not_trusted_writes_no_header_and_no_line_of_the_log(cloud):
    made_up = "admin may do everything"
    answer = requests.get(
        beginning(cloud, "chooser"),
        params={"origin": f"https://evil.example/\r\nSet-Cookie: evil\n{made_up}\x1b[2K"},
        headers={"Accept": "text/html"},
        timeout=30,
    )
    assert answer.status_code == 401
    assert "evil" not in f"{answer.headers} {answer.text}"
    [line] = [line for line in cloud.identity.printed().splitlines() if made_up in line]
    assert answer.headers["X-Openstack-Request-Id"] in line
    assert "\x1b" not in line


@pytest.mark.parametrize("where", BEGINNINGS)
def test_a_dashboard_has_to_be_named(cloud, where):
    for query in ["", "?origin="]:
        answer = requests.get(f"{beginning(cloud, where)}{query}", allow_redirects=False, timeout=30)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "Request must have an origin query parameter"


@pytest.mark.parametrize("where", BEGINNINGS)
def test_a_dashboard_that_is_trusted_gets_on(cloud, stranger, where):
    """What the refusals above would be without: these places lead somewhere."""
    answer = requests.get(
        beginning(cloud, where), params={"origin": cloud.dashboard}, allow_redirects=False, timeout=30
    )
    if "asked first" in where:
        assert "/initiate" in stranger.asked
    else:
        assert answer.status_code in (200, 302, 303)


# What pages may load


def assert_closed(answer):
    """The page may load nothing, run nothing and send nothing but what it was served with."""
    policy = answer.headers["Content-Security-Policy"]
    [nonce] = set(re.findall(r"'nonce-([^']+)'", policy))
    assert policy == (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert set(re.findall(r'nonce="([^"]*)"', answer.text)) == {nonce}
    assert "<script" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return nonce


def pages(cloud):
    """The chooser, and the page of a failure with a link to try again."""
    choice = f"{beginning(cloud, 'chooser')}?origin={cloud.dashboard}"
    return {"choice": choice, "failure": f"{choice}elsewhere"}


@pytest.mark.parametrize(("name", "status"), [("choice", 200), ("failure", 401)])
def test_a_page_is_closed(cloud, name, status):
    nonces = set()
    for _ in range(2):
        answer = requests.get(pages(cloud)[name], headers={"Accept": "text/html"}, timeout=30)
        assert answer.status_code == status
        nonces.add(assert_closed(answer))
    assert len(nonces) == 2


def test_the_page_of_a_failed_login_is_closed(cloud):
    browser = requests.Session()
    browser.headers["Accept"] = "text/html"
    page = browser.get(cloud.websso("corp", "openid"), timeout=30)
    page = browser.post(page.url, data={"cancel": "yes"}, timeout=30)
    assert page.status_code == 401
    assert_closed(page)
    # There is one way on, and that leads to us.
    [link] = re.findall(r'href="([^"]*)"', page.text)
    assert link.startswith(f"{cloud.url}/v3/auth/OS-FEDERATION/identity_providers/corp/protocols/openid/websso?")


@pytest.mark.parametrize("name", ["choice", "failure"])
def test_a_page_asks_nobody_for_anything(cloud, stranger, name):
    url = pages(cloud)[name]
    del stranger.asked[:]
    assert watched(url, stranger) == [url]
    assert stranger.asked == []


def test_a_page_without_a_policy_would_ask_strangers(stranger):
    """That the test before would see it."""
    with Stranger() as other:
        watched(other.url, stranger)
    ways = {"image", "script", "style", "frame", "object", "video", "background", "beacon", "fetch", "form"}
    assert {f"/{way}" for way in ways} <= set(stranger.asked)


# Logouts


def log_out(cloud, token, provider="corp"):
    place = cloud.callback(provider, "openid").replace("/callback", "/logout")
    return requests.post(place, data={"logout_token": token}, timeout=30)


def assert_not_taken(cloud, answer, reason):
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "The logout is not valid."
    said = cloud.said_of(answer)
    assert "a logout of an identity provider was refused" in said
    assert reason in said


@pytest.fixture(scope="module")
def jane(cloud):
    """Her token, that false logouts leave as it is."""
    return token_of(cloud, cloud.websso("corp", "openid"), **JANE)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"claims": {"aud": "shop"}}, "it is for another audience"),
        ({"forged": True}, "its signature is wrong"),
        ({"claims": {"nonce": "n"}}, "a logout token has no nonce"),
        ({"claims": {"iss": "https://evil.example"}}, "it is of another issuer"),
        ({"claims": {"events": None}}, "it is no logout token"),
        ({"claims": {"events": {"http://schemas.openid.net/event/other": {}}}}, "it is no logout token"),
        ({"claims": {"sub": None}}, "the logout token names neither user nor session"),
        ({"claims": {"jti": None}}, "the logout token has no name of its own"),
        ({"claims": {"iat": None}}, "it does not say when it was issued"),
        ({"claims": {"iat": 1, "exp": None}}, "the logout token is too old"),
        ({"claims": {"exp": 1}}, "it has expired"),
    ],
)
def test_a_logout_that_is_not_right_ends_nothing(cloud, corp, jane, asked, reason):
    asked = {**asked, "claims": {"sub": "jane", **asked.get("claims", {})}}
    token = corp.control("logout_token", asked)["logout_token"]
    assert_not_taken(cloud, log_out(cloud, token), reason)
    assert cloud.token(jane)


def test_a_logout_of_another_provider_ends_nothing(cloud, corp, jane):
    with OidcProvider(clients=[SECRET | {"redirect_uris": [cloud.callback("corp", "openid")]}]) as other:
        its_own = other.control("logout_token", {"claims": {"sub": "jane"}})["logout_token"]
        posing = other.control("logout_token", {"claims": {"sub": "jane", "iss": corp.issuer}})["logout_token"]
    assert_not_taken(cloud, log_out(cloud, its_own), "the provider has no such key as signed the token")
    assert_not_taken(cloud, log_out(cloud, posing), "the provider has no such key as signed the token")
    assert cloud.token(jane)


def test_an_id_token_is_no_logout(cloud, corp, jane):
    token = tokens_of(corp, "cloud", "hush", NOBODY, JANE, scope="openid")["id_token"]
    assert_not_taken(cloud, log_out(cloud, token), "it is no logout token")
    assert cloud.token(jane)


def test_a_logout_counts_once(cloud, corp):
    first = token_of(cloud, cloud.websso("corp", "openid"), **JOE)
    token = corp.control("logout_token", {"claims": {"sub": "joe"}})["logout_token"]
    assert log_out(cloud, token).status_code == 200
    assert cloud.token(first) is None
    again = token_of(cloud, cloud.websso("corp", "openid"), **JOE)
    assert_not_taken(cloud, log_out(cloud, token), "the logout was used before")
    assert cloud.token(again)


def test_a_logout_ends_what_came_by_that_provider_alone(cloud, corp):
    """The same provider is known by two names, and vouches for both."""
    joe = token_of(cloud, cloud.websso("corp", "openid"), **JOE)
    token = corp.control("logout_token", {"claims": {"sub": "joe"}})["logout_token"]
    assert log_out(cloud, token, "twin").status_code == 200
    assert cloud.token(joe)
    assert log_out(cloud, token).status_code == 200
    assert cloud.token(joe) is None


def test_a_provider_that_was_disabled_still_ends_its_sessions(cloud, corp):
    joe = token_of(cloud, cloud.websso("corp", "openid"), **JOE)
    token = corp.control("logout_token", {"claims": {"sub": "joe"}})["logout_token"]

    def enable(enabled):
        body = {"identity_provider": {"enabled": enabled}}
        cloud.admin.patch("/OS-FEDERATION/identity_providers/corp", json=body)

    enable(False)
    try:
        assert cloud.token(joe)
        assert log_out(cloud, token).status_code == 200
        assert cloud.token(joe) is None
    finally:
        enable(True)
