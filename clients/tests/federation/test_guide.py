"""What docs/federation.md tells operators to type, typed, and then a login."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from support import saml_idp
from support.federation import Cloud, token_of
from support.providers import PEOPLE, OAuth1Provider, OAuth2Provider, OidcProvider
from support.servers import REPOSITORY, archstone_binary

GUIDE = (REPOSITORY / "docs" / "federation.md").read_text()
SECRET = "hush"
JANE = PEOPLE["jane"]["password"]


def commands(heading):
    """The shell commands below a heading, block by block."""
    _, found, rest = GUIDE.partition(f"\n{heading}\n")
    assert found, f"there is no heading {heading}"
    section = re.split(r"^##", rest, maxsplit=1, flags=re.M)[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)


class Operator:
    """Somebody with a shell, the client's configuration, and the guide."""

    def __init__(self, cloud, folder):
        self.folder = folder
        [common] = commands("## A provider in five commands")
        self.common = common.replace("http://127.0.0.1:5001", cloud.url)
        assert cloud.url in self.common
        os.symlink(archstone_binary(), folder / "archstone")
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OS_CLIENT_CONFIG_FILE": str(cloud.identity.directory / "clouds.yaml"),
            "OS_CLOUD": cloud.identity.cloud,
        }

    def types(self, block, without=(), **variables):
        """Types commands; answers what they print. The first that fails fails all."""
        script = f"""set -euo pipefail
            curl() {{ command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }}
            {self.common}
            {"".join(f"unset {name};" for name in without)}
            {block}"""
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
        return ran.stdout


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        # The guide makes them.
        cloud.admin.delete(f"/groups/{cloud.group}")
        cloud.admin.delete(f"/projects/{cloud.project}")
        yield cloud


@pytest.fixture(scope="module")
def operator(cloud, tmp_path_factory):
    return Operator(cloud, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def corp(cloud, operator):
    """The provider of the first part, added as it says."""
    client = {
        "client_id": "cloud",
        "client_secret": SECRET,
        "redirect_uris": [cloud.callback("corp", "openid")],
        "grant_types": ["authorization_code", "password"],
    }
    nobody = {"password": JANE, "preferred_username": "jim"}
    people = PEOPLE | {"jim": nobody}
    with OidcProvider(clients=[client], people=people, bare_id_token=True) as provider:
        add, work, _browser = commands("### OpenID Connect")
        assert_works(operator.types(add, ISSUER=provider.issuer, SECRET=SECRET), "corp")
        operator.types(work)
        yield provider


def assert_works(printed, provider):
    """The check found that all is well, and everybody can see the provider."""
    assert '"works":true,"findings"' in printed.replace(" ", ""), printed
    assert f'"{provider}"' in printed


def assert_member(cloud, provider, protocol, **credentials):
    body = cloud.token(token_of(cloud, cloud.websso(provider, protocol), **credentials))
    assert body["user"]["name"] == "jane"
    return body["user"]["OS-FEDERATION"]["groups"]


def test_openid_connect(cloud, corp):
    [group] = assert_member(cloud, "corp", "openid", name="jane", password=JANE)
    assert cloud.admin.get(f"/groups/{group['id']}").json()["group"]["name"] == "staff"


def test_people_without_groups_log_in(cloud, corp):
    token = token_of(cloud, cloud.websso("corp", "openid"), name="jim", password=JANE)
    user = cloud.token(token)["user"]
    assert user["name"] == "jim"
    assert user["OS-FEDERATION"]["groups"] == []


def test_oauth2(cloud, operator):
    client = {"secret": SECRET, "redirect_uris": [cloud.callback("forge", "oauth2")]}
    with OAuth2Provider(clients={"cloud": client}) as provider:
        [add] = commands("### OAuth 2.0")
        assert_works(operator.types(add, ISSUER=provider.issuer, SECRET=SECRET), "forge")
        assert_member(cloud, "forge", "oauth2", name="jane", password=JANE)


def test_saml2(cloud, operator, tmp_path):
    server = saml_idp.listen(tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        [add] = commands("### SAML 2.0")
        assert '"works": true, "findings"' in operator.types(add, METADATA=f"{server.url}/metadata")
        metadata = (operator.folder / "sp.xml").read_bytes()
        assert requests.put(f"{server.url}/service", data=metadata).status_code == 204
        password = saml_idp.USERS["jane"]["password"]
        assert_member(cloud, "university", "saml2", user="jane", password=password)
    finally:
        server.shutdown()
        server.server_close()


def test_oauth1(cloud, operator):
    with OAuth1Provider(clients={"cloud": SECRET}) as provider:
        [add] = commands("### OAuth 1.0a")
        assert_works(operator.types(add, ISSUER=provider.issuer, SECRET=SECRET), "legacy")
        assert_member(cloud, "legacy", "oauth1", name="jane", password=JANE)


def test_a_front_proxy(operator):
    [add] = commands("### A front proxy")
    # Nobody is trusted here, which the check says.
    assert "trusted_proxies" in operator.types(add)


def test_a_mapping_is_tried(operator, corp):
    [block] = commands("## What a mapping sees")
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "HTTP_OIDC_SUB"}]}]
    (operator.folder / "rules.json").write_text(json.dumps(rules))
    (operator.folder / "assertion.txt").write_text("HTTP_OIDC_SUB: jane\n")
    printed = operator.types(block)
    assert '"name": "jane"' in printed or '"name":"jane"' in printed


def test_without_a_browser(cloud, operator, corp):
    cloud.admin.patch(
        cloud.path("corp", "openid"), json={"protocol": {"mapping_id": "corp", "settings": {"bearer": "userinfo"}}}
    )
    [block] = commands("## Without a browser")
    variables = {"ISSUER": corp.issuer, "SECRET": SECRET, "PASSWORD": JANE}
    assert "project_id" in operator.types(block, without=("OS_CLOUD", "OS_CLIENT_CONFIG_FILE"), **variables)
