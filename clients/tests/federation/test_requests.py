"""How a provider is asked, and what it then has to say: pushed requests, posted answers, and a way of
authentication that is insisted on."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import requests

from support.federation import Cloud, Form, log_in, token_of
from support.providers import PEOPLE, OAuth2Provider, OidcProvider

JANE = {"name": "jane", "password": PEOPLE["jane"]["password"]}
JOE = {"name": "joe", "password": PEOPLE["joe"]["password"]}
BY = ("HTTP_OIDC_PREFERRED_USERNAME", "HTTP_OIDC_GROUPS")
SCOPES = ["openid", "profile", "groups"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def strict(cloud):
    """A provider that takes pushed requests alone, where jane logs in by two factors."""
    client = {
        "client_id": "cloud",
        "client_secret": "hush",
        "redirect_uris": [cloud.callback("strict", "openid")],
    }
    people = {
        "jane": PEOPLE["jane"] | {"acr": "urn:mfa"},
        "joe": PEOPLE["joe"] | {"acr": "pwd"},
    }
    with OidcProvider(clients=[client], people=people, pushed_only=True) as provider:
        settings = {"issuer": provider.issuer, "client_id": "cloud", "client_secret": "hush", "scopes": SCOPES}
        cloud.add("strict", "openid", "oidc", settings, *BY)
        yield provider


@pytest.fixture(scope="module")
def lax(cloud):
    """The same, by the URL."""
    client = {
        "client_id": "cloud",
        "client_secret": "hush",
        "redirect_uris": [cloud.callback("lax", "openid")],
    }
    people = {
        "jane": PEOPLE["jane"] | {"acr": "urn:mfa"},
        "joe": PEOPLE["joe"] | {"acr": "pwd"},
    }
    with OidcProvider(clients=[client], people=people) as provider:
        settings = {"issuer": provider.issuer, "client_id": "cloud", "client_secret": "hush", "scopes": SCOPES}
        cloud.add("lax", "openid", "oidc", settings, *BY)
        yield provider


def finding(cloud, provider, protocol, step):
    checked = cloud.check(provider, protocol)
    [found] = [found for found in checked["findings"] if found["step"] == step]
    return checked["works"], found


def test_a_request_is_pushed_where_the_provider_takes_no_other(cloud, strict):
    begun = requests.get(cloud.websso("strict", "openid"), allow_redirects=False, timeout=30)
    query = dict(parse_qsl(urlsplit(begun.headers["Location"]).query))
    assert set(query) == {"client_id", "request_uri"}
    assert cloud.token(token_of(cloud, cloud.websso("strict", "openid"), **JANE))["user"]["name"] == "jane"
    works, found = finding(cloud, "strict", "openid", "pushed request")
    assert works and found["works"], found


def is_posted(page):
    """Whether a page posts the answer to a login."""
    return "<form" in page.text and {"code", "state"} <= set(Form(page).fields)


def test_an_answer_is_posted_where_that_is_set(cloud, strict, lax):
    for provider in ("strict", "lax"):
        cloud.change(provider, "openid", response_mode="form_post")
        came = log_in(cloud, cloud.websso(provider, "openid"), until=is_posted, **JANE)
        assert is_posted(came), came.text
        token = token_of(cloud, cloud.websso(provider, "openid"), **JANE)
        assert cloud.token(token)["user"]["name"] == "jane"
        assert cloud.check(provider, "openid")["works"]
        cloud.change(provider, "openid", response_mode=None)


def test_an_authentication_that_is_asked_for_is_insisted_on(cloud, lax):
    cloud.change("lax", "openid", authorization_parameters={"acr_values": "urn:mfa"})
    try:
        assert cloud.token(token_of(cloud, cloud.websso("lax", "openid"), **JANE))["user"]["name"] == "jane"
        refused = log_in(cloud, cloud.websso("lax", "openid"), **JOE)
        assert refused.status_code == 401
        assert "acr" in cloud.said_of(refused)
        # Neither does it help to take the parameter out of the URL.
        browser = requests.Session()
        begun = browser.get(cloud.websso("lax", "openid"), allow_redirects=False, timeout=30)
        url = urlsplit(begun.headers["Location"])
        query = [pair for pair in parse_qsl(url.query) if pair[0] != "acr_values"]
        assert len(query) < len(parse_qsl(url.query))
        shortened = urlunsplit(url._replace(query=urlencode(query)))
        refused = log_in(cloud, shortened, browser, **JANE)
        assert refused.status_code == 401
        assert "acr" in cloud.said_of(refused)
    finally:
        cloud.change("lax", "openid", authorization_parameters=None)


def test_a_check_tells_a_wrong_secret(cloud, lax):
    assert finding(cloud, "lax", "openid", "token")[1]["works"]
    cloud.change("lax", "openid", client_secret="wrong")
    works, found = finding(cloud, "lax", "openid", "token")
    assert not works and not found["works"]
    assert "invalid_client" in found["detail"]
    cloud.change("lax", "openid", client_secret="hush")
    assert cloud.check("lax", "openid")["works"]


def test_a_check_of_oauth2_tells_a_wrong_secret(cloud):
    client = {"secret": "hush", "redirect_uris": [cloud.callback("forge", "oauth2")]}
    with OAuth2Provider(clients={"cloud": client}) as provider:
        settings = {
            "authorization_endpoint": f"{provider.issuer}/authorize",
            "token_endpoint": f"{provider.issuer}/token",
            "userinfo_endpoint": f"{provider.issuer}/me",
            "client_id": "cloud",
            "client_secret": "hush",
            "attributes": "userinfo",
            "subject": "id",
        }
        cloud.add("forge", "oauth2", "oauth2", settings, "OAUTH2-preferred_username", "OAUTH2-groups")
        assert cloud.check("forge", "oauth2")["works"]
        cloud.change("forge", "oauth2", client_secret="wrong")
        assert not finding(cloud, "forge", "oauth2", "token")[0]
