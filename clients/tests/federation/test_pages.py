"""The pages that people see, for everybody: in light and dark, by keyboard, without scripts."""

import json
from pathlib import Path

import pytest
import requests

from support import browser
from support.federation import Cloud
from support.saml_idp import make_key

NOWHERE = "https://idp.example"
LOOKS = ["light", "dark"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A cloud with three providers that nobody runs; they are only ever asked for by name."""
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        for provider, name in [
            ("a", "Aardvark University"),
            ("b", "<b>Bees & Co.</b>"),
            ("c", "C" * 60),
        ]:
            settings = {
                "issuer": NOWHERE,
                "client_id": "cloud",
                "client_secret": "hush",
                "display_name": name,
                "authorization_endpoint": f"{NOWHERE}/{provider}/authorize",
                "token_endpoint": f"{NOWHERE}/token",
                "jwks_uri": f"{NOWHERE}/keys",
            }
            cloud.add(provider, "openid", "oidc", settings, "HTTP_OIDC_SUB", "HTTP_OIDC_GROUPS")
        yield cloud


@pytest.fixture(scope="module")
def choice(cloud):
    return f"{cloud.url}/v3/auth/OS-FEDERATION/websso?origin={cloud.dashboard}"


def look(directory, name, where, text):
    """Sees a page in both looks, and keeps pictures of it."""
    steps = [{"goto": where}, {"see": text}]
    for scheme in LOOKS:
        picture = str(directory / f"{name}-{scheme}.png")
        steps += [{"look": scheme}, {"audit": True}, {"screenshot": picture}]
    return browser.walk(steps)


def test_the_choice_is_for_everybody(choice, tmp_path):
    seen = look(tmp_path, "choice", choice, "Choose where you have an account.")
    assert seen["title"] == "Log in"
    # What an administrator writes is text, whatever it looks like.
    assert "<b>Bees & Co.</b>" in seen["text"]


def test_a_failure_is_for_everybody(cloud, tmp_path):
    stranger = f"{cloud.websso('a', 'openid')}elsewhere"
    seen = look(tmp_path, "failure", stranger, "The login failed")
    assert "give this number: req-" in seen["text"]


def test_an_empty_choice_is_for_everybody(cloud, choice, tmp_path):
    def show(whether):
        for provider in "abc":
            cloud.change(provider, "openid", discoverable=whether)

    show(False)
    try:
        look(tmp_path, "empty", choice, "There is no identity provider to log in with here.")
    finally:
        show(True)


def test_who_lets_no_scripts_run_goes_on_by_a_button(cloud, tmp_path):
    _, certificate = make_key(tmp_path, "idp")
    key = "".join(Path(certificate).read_text().splitlines()[1:-1])
    metadata = (
        f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{NOWHERE}">'
        '<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        '<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>'
        f"<X509Certificate>{key}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
        '<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        f'Location="{NOWHERE}/sso"/></IDPSSODescriptor></EntityDescriptor>'
    )
    settings = {"entity_id": "https://cloud.example/sp", "metadata": metadata}
    cloud.add("s", "saml2", "saml2", settings, "NameID", "groups")
    asked = browser.walk(
        [
            {"scripts": False},
            {"goto": cloud.websso("s", "saml2")},
            {"see": "Going to your identity provider"},
            {"press": "Tab"},
            {"focused": "Continue"},
            {"press": "Enter", "until": NOWHERE},
        ]
    )
    assert asked["url"] == f"{NOWHERE}/sso"


@pytest.mark.parametrize("scheme", LOOKS)
def test_a_provider_is_chosen_by_keyboard(choice, scheme):
    asked = browser.walk(
        [
            {"look": scheme},
            {"goto": choice},
            {"press": "Tab"},
            {"focused": "Aardvark University"},
            {"press": "Tab"},
            {"focused": "Bees & Co."},
            {"press": "Enter", "until": f"{NOWHERE}/b/authorize"},
        ]
    )
    assert "client_id=cloud" in asked["url"]


def test_programs_get_a_document_and_people_a_page(cloud):
    stranger = f"{cloud.websso('a', 'openid')}elsewhere"
    for accept, kind in [("text/html,*/*;q=0.8", "text/html"), ("application/json", "application/json")]:
        answer = requests.get(stranger, headers={"Accept": accept})
        assert answer.status_code == 401
        assert answer.headers["Content-Type"].startswith(kind)
        if kind != "text/html":
            assert json.loads(answer.text)["error"]["code"] == 401
