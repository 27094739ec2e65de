"""Logins by OpenID Connect, OAuth 2.0 and OAuth 1.0a with real providers, browsers and clients."""

import os
import stat
import subprocess
import sys
import threading
import time

import pytest
import requests
from keystoneauth1 import exceptions, loading, session
from keystoneauth1.identity import v3
from keystoneauth1.identity.v3 import oidc as v3oidc

from support import browser
from support.federation import VERIFIER, Cloud, Dashboard, code_of, log_in, token_of
from support.people import api
from support.providers import PEOPLE, OAuth1Provider, OAuth2Provider, OidcProvider
from support.servers import archstone_binary

PASSWORD = PEOPLE["jane"]["password"]
JANE = {"name": "jane", "password": PASSWORD}
JOE = {"name": "joe", "password": PEOPLE["joe"]["password"]}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def oidc(cloud):
    callback = cloud.callback("corp", "openid")
    client = {
        "client_id": "cloud",
        "client_secret": "secret-of-the-cloud",
        "redirect_uris": [callback],
        "grant_types": ["authorization_code", "client_credentials", "password"],
        "backchannel_logout_uri": callback.replace("/callback", "/logout"),
        "backchannel_logout_session_required": True,
    }
    device = {
        "client_id": "cli",
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "redirect_uris": [],
        "response_types": [],
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
    }
    with OidcProvider(clients=[client, device]) as provider:
        settings = {
            "issuer": provider.issuer,
            "client_id": "cloud",
            "client_secret": "secret-of-the-cloud",
            "scopes": ["openid", "profile", "email", "groups"],
            "display_name": "The Corporation",
            "bearer": "userinfo",
        }
        cloud.add("corp", "openid", "oidc", settings, "HTTP_OIDC_PREFERRED_USERNAME", "HTTP_OIDC_GROUPS")
        yield provider


@pytest.fixture(scope="module")
def oauth2(cloud):
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
            "issuer": provider.issuer,
            "bearer": "userinfo",
        }
        cloud.add("forge", "oauth2", "oauth2", settings, "OAUTH2-preferred_username", "OAUTH2-groups")
        yield provider


@pytest.fixture(scope="module")
def oauth1(cloud):
    with OAuth1Provider(clients={"cloud": "hush"}) as provider:
        settings = {
            "request_token_url": f"{provider.issuer}/initiate",
            "authorization_url": f"{provider.issuer}/authorize",
            "access_token_url": f"{provider.issuer}/token",
            "attributes_url": f"{provider.issuer}/me",
            "consumer_key": "cloud",
            "consumer_secret": "hush",
            "subject": "id",
            "issuer": provider.issuer,
        }
        cloud.add("legacy", "oauth1", "oauth1", settings, "OAUTH1-preferred_username", "OAUTH1-groups")
        yield provider


def scoped(cloud, token):
    """A token for the project of the group that the provider names."""
    plugin = v3.Token(f"{cloud.url}/v3", token, project_id=cloud.project)
    client = session.Session(auth=plugin)
    return client.auth.get_access(client)


def assert_member(cloud, token, name, provider, protocol):
    """The token is an unscoped one of that user, and obtains one for the project."""
    body = cloud.token(token)
    assert body["user"]["name"] == name
    federated = body["user"]["OS-FEDERATION"]
    assert federated["identity_provider"] == {"id": provider}
    assert federated["protocol"] == {"id": protocol}
    assert federated["groups"] == [{"id": cloud.group}]
    assert "project" not in body
    access = scoped(cloud, token)
    assert access.role_names == ["member", "reader"]
    headers = {"X-Auth-Token": token}
    listed = requests.get(f"{cloud.url}/v3/OS-FEDERATION/projects", headers=headers).json()
    assert [project["name"] for project in listed["projects"]] == ["lab"]


# With a browser


def test_oidc(cloud, oidc):
    token = token_of(cloud, cloud.websso("corp", "openid"), **JANE)
    assert_member(cloud, token, "jane", "corp", "openid")


def test_a_provider_and_a_protocol_with_other_letters(cloud):
    provider, protocol = "my-corp_1.x", "open-id"
    client = {
        "client_id": "cloud",
        "client_secret": "hush",
        # As an operator reads it in the guide; providers compare it letter by letter.
        "redirect_uris": [cloud.callback(provider, protocol)],
    }
    with OidcProvider(clients=[client]) as there:
        settings = {
            "issuer": there.issuer,
            "client_id": "cloud",
            "client_secret": "hush",
            "scopes": ["openid", "groups"],
        }
        cloud.add(provider, protocol, "oidc", settings, "HTTP_OIDC_SUB", "HTTP_OIDC_GROUPS")
        listed = requests.get(f"{cloud.url}/v3/auth/OS-FEDERATION/identity_providers").json()
        [shown] = [one for one in listed["identity_providers"] if one["id"] == provider]
        [way] = shown["protocols"]
        assert f"{way['links']['websso']}?origin={cloud.dashboard}" == cloud.websso(provider, protocol)
        assert way["links"]["auth"] == f"{cloud.url}/v3{cloud.path(provider, protocol)}/auth"
        token = token_of(cloud, cloud.websso(provider, protocol), **JANE)
        assert_member(cloud, token, "jane", provider, protocol)
    cloud.admin.delete(f"/OS-FEDERATION/identity_providers/{provider}")


def test_oauth2(cloud, oauth2):
    token = token_of(cloud, cloud.websso("forge", "oauth2"), **JANE)
    assert_member(cloud, token, "jane", "forge", "oauth2")


def test_oauth1(cloud, oauth1):
    token = token_of(cloud, cloud.websso("legacy", "oauth1"), **JANE)
    assert_member(cloud, token, "jane", "legacy", "oauth1")


@pytest.mark.parametrize(
    ("provider", "protocol"), [("corp", "openid"), ("forge", "oauth2"), ("legacy", "oauth1")]
)
def test_who_cancels_sees_why(cloud, oidc, oauth2, oauth1, provider, protocol):
    browser = requests.Session()
    browser.headers["Accept"] = "text/html"
    page = browser.get(cloud.websso(provider, protocol))
    page = browser.post(page.url, data={"cancel": "yes"})
    assert page.status_code == 401
    assert "did not confirm who you are" in page.text
    number = page.headers["X-Openstack-Request-Id"]
    assert number in page.text
    [line] = [line for line in cloud.identity.printed().splitlines() if number in line]
    assert "the provider refused: " in line
    assert "Try again" in page.text


def test_the_number_of_a_failure_leads_to_the_condition_that_failed(cloud, oidc):
    rules = [
        {"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "HTTP_OIDC_EMPLOYEE"}]},
        {
            "local": [{"user": {"name": "{0}"}}],
            "remote": [{"type": "HTTP_OIDC_SUB"}, {"type": "HTTP_OIDC_EMAIL", "any_one_of": ["joe@example.com"]}],
        },
    ]
    cloud.admin.put("/OS-FEDERATION/mappings/employees", json={"mapping": {"rules": rules}})
    path = cloud.path("corp", "openid")
    cloud.admin.patch(path, json={"protocol": {"mapping_id": "employees"}})
    try:
        page = log_in(cloud, cloud.websso("corp", "openid"), **JANE)
    finally:
        cloud.admin.patch(path, json={"protocol": {"mapping_id": "corp-openid"}})
    assert page.status_code == 401
    number = page.headers["X-Openstack-Request-Id"]
    lines = [line for line in cloud.identity.printed().splitlines() if number in line]
    tried = [line for line in lines if "a condition of the mapping was tried" in line]
    for line, words in zip(
        tried,
        [
            'mapping.rule=1 mapping.attribute="HTTP_OIDC_EMPLOYEE" mapping.test="present" mapping.held=false',
            'mapping.rule=2 mapping.attribute="HTTP_OIDC_SUB" mapping.test="present" mapping.held=true',
            'mapping.rule=2 mapping.attribute="HTTP_OIDC_EMAIL" mapping.test="any_one_of" mapping.held=false',
        ],
        strict=True,
    ):
        assert words in line
    assert "HTTP_OIDC_PREFERRED_USERNAME" in next(line for line in lines if "to see it with values" in line)
    assert "authentication failed reason=mapping employees: " in "\n".join(lines)
    # Values are about people, and none of the log's business.
    assert "jane" not in "".join(lines)


def test_a_callback_counts_once(cloud, oidc):
    browser = requests.Session()
    page = browser.get(cloud.websso("corp", "openid"))
    cookies = requests.utils.dict_from_cookiejar(browser.cookies)
    page = browser.post(page.url, data=JANE)
    assert 'name="token"' in page.text
    again = requests.get(page.url, cookies=cookies)
    assert again.status_code == 401
    other = requests.get(page.url)
    assert other.status_code == 401


def test_any_node_finishes_what_another_began(cloud, oidc):
    browser = requests.Session()
    page = browser.get(cloud.websso("corp", "openid"))
    cloud.identity.stop()
    cloud.identity.start(cloud.identity.serve())
    page = browser.post(page.url, data=JANE)
    assert 'name="token"' in page.text


def test_keys_are_followed_when_they_change(cloud, oidc):
    token_of(cloud, cloud.websso("corp", "openid"), **JANE)
    oidc.control("rotate", {"keep": False})
    # A key that is not known is asked for at most once in a while.
    time.sleep(11)
    token = token_of(cloud, cloud.websso("corp", "openid"), **JANE)
    assert cloud.token(token)["user"]["name"] == "jane"


def test_a_logout_at_the_provider_ends_the_tokens(cloud, oidc):
    joe = token_of(cloud, cloud.websso("corp", "openid"), **JOE)
    jane = token_of(cloud, cloud.websso("corp", "openid"), **JANE)
    project = scoped(cloud, jane).auth_token
    assert cloud.token(project)
    oidc.control("logout", {"name": "jane"})
    deadline = time.monotonic() + 10
    while cloud.token(jane) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert cloud.token(jane) is None
    assert cloud.token(project) is None
    assert cloud.token(joe)


def test_settings_count_at_once(cloud, oidc):
    cloud.change("corp", "openid", client_secret="wrong")
    page = log_in(cloud, cloud.websso("corp", "openid"), **JANE)
    assert page.status_code == 503
    assert "invalid_client" in cloud.identity.printed().splitlines()[-1]
    cloud.change("corp", "openid", client_secret="secret-of-the-cloud")
    assert cloud.token(token_of(cloud, cloud.websso("corp", "openid"), **JANE))


def test_secrets_of_protocols_survive_the_rotation_of_keys(cloud, oidc):
    def run(*words):
        conf = cloud.identity.directory / "keystone.conf"
        command = [archstone_binary(), *words, "--config-file", conf]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    for _ in range(4):
        assert run("credential_rotate").returncode == 0
        refused = run("credential_rotate")
        assert refused.returncode == 1 and "credential_migrate" in refused.stderr
        migrated = run("credential_migrate")
        assert migrated.returncode == 0, migrated.stderr
    # The server reads its keys again by itself.
    time.sleep(3)
    assert cloud.token(token_of(cloud, cloud.websso("corp", "openid"), **JANE))


@pytest.mark.parametrize(
    ("provider", "protocol"), [("corp", "openid"), ("forge", "oauth2"), ("legacy", "oauth1")]
)
def test_a_check_finds_that_all_is_well(cloud, oidc, oauth2, oauth1, provider, protocol):
    check = cloud.check(provider, protocol)
    assert check["works"], check


def test_a_provider_that_is_gone_is_told_so(cloud, oauth2):
    settings = {"issuer": "http://127.0.0.1:9", "client_id": "c", "client_secret": "s"}
    cloud.add("gone", "openid", "oidc", settings, "a", "b")
    answer = requests.get(cloud.websso("gone", "openid"), headers={"Accept": "text/html"})
    assert answer.status_code == 503
    assert "cannot log in right now" in answer.text
    check = cloud.check("gone", "openid")
    assert not check["works"]
    cloud.admin.delete("/OS-FEDERATION/identity_providers/gone")


def test_chromium_from_the_choice_to_the_dashboard(cloud, oidc, oauth2, tmp_path):
    with Dashboard(cloud.dashboard_port) as dashboard:
        browser.walk(
            [
                {"goto": f"{cloud.url}/v3/auth/OS-FEDERATION/websso?origin={cloud.dashboard}"},
                {"see": "Choose where you have an account."},
                {"screenshot": str(tmp_path / "choose.png")},
                {"click": "text=The Corporation"},
                {"fill": "[name=name]", "with": "jane"},
                {"fill": "[name=password]", "with": PASSWORD},
                {"click": "button[name=login]"},
                {"see": "Welcome to the dashboard"},
            ]
        )
    assert_member(cloud, dashboard.token, "jane", "corp", "openid")


def test_chromium_sees_a_failure(cloud, oidc, tmp_path):
    seen = browser.walk(
        [
            {"goto": cloud.websso("corp", "openid")},
            {"click": "button[name=cancel]"},
            {"see": "The login failed"},
            {"screenshot": str(tmp_path / "failure.png")},
        ]
    )
    assert "give this number: req-" in seen["text"]


# Without a browser


def oidc_plugin(cloud, oidc, plugin, **more):
    return plugin(
        f"{cloud.url}/v3",
        identity_provider="corp",
        protocol="openid",
        discovery_endpoint=f"{oidc.issuer}/.well-known/openid-configuration",
        **{"client_id": "cloud", "client_secret": "secret-of-the-cloud", "scope": "openid profile groups"} | more,
    )


def access(plugin):
    return plugin.get_access(session.Session())


def test_v3oidcpassword(cloud, oidc):
    plugin = oidc_plugin(
        cloud, oidc, v3.OidcPassword, username="jane", password=PASSWORD, project_id=cloud.project
    )
    found = access(plugin)
    assert (found.username, found.role_names) == ("jane", ["member", "reader"])


def test_v3oidcaccesstoken(cloud, oidc):
    form = {"grant_type": "password", "scope": "openid profile groups", "username": "jane", "password": PASSWORD}
    secret = ("cloud", "secret-of-the-cloud")
    token = requests.post(f"{oidc.issuer}/token", data=form, auth=secret).json()["access_token"]
    plugin = v3.OidcAccessToken(f"{cloud.url}/v3", "corp", "openid", access_token=token, project_id=cloud.project)
    assert access(plugin).username == "jane"
    forged = v3.OidcAccessToken(f"{cloud.url}/v3", "corp", "openid", access_token=token + "x")
    with pytest.raises(exceptions.Unauthorized):
        access(forged)


def test_v3oidcauthcode(cloud, oidc):
    callback = cloud.callback("corp", "openid")
    code = code_of(oidc, "cloud", callback, JANE, scope="openid profile groups")
    # The plugin knows no PKCE: it is given what it would have to say.
    plugin = oidc_plugin(cloud, oidc, v3.OidcAuthorizationCode, code=code, redirect_uri=callback)
    payload = plugin.get_payload
    plugin.get_payload = lambda session: payload(session) | {"code_verifier": VERIFIER}
    assert access(plugin).username == "jane"


def test_v3oidcclientcredentials(cloud, oidc):
    # A client has no claims of a person, so its token is judged by introspection, and mapped apart.
    settings = {
        "issuer": oidc.issuer,
        "client_id": "cloud",
        "client_secret": "secret-of-the-cloud",
        "bearer": "introspection",
    }
    cloud.add("corp", "machines", "oidc", settings, "HTTP_OIDC_CLIENT_ID", "HTTP_OIDC_SCOPE")
    plugin = v3.OidcClientCredentials(
        f"{cloud.url}/v3",
        identity_provider="corp",
        protocol="machines",
        client_id="cloud",
        client_secret="secret-of-the-cloud",
        discovery_endpoint=f"{oidc.issuer}/.well-known/openid-configuration",
        scope="groups",
    )
    assert access(plugin).username == "cloud"


def test_v3oidcdeviceauthz(cloud, oidc):
    plugin = oidc_plugin(
        cloud, oidc, v3oidc.OidcDeviceAuthorization, client_id="cli", client_secret=None, project_id=cloud.project
    )

    def confirm():
        deadline = time.monotonic() + 20
        while not getattr(plugin, "device_code", None) and time.monotonic() < deadline:
            time.sleep(0.05)
        place = plugin.verification_uri_complete
        log_in(cloud, place, until=lambda page: "connected" in page.text, **JANE)

    person = threading.Thread(target=confirm)
    person.start()
    found = access(plugin)
    person.join()
    assert found.username == "jane"


def test_the_openstack_command(cloud, oidc):
    command = [
        os.path.join(os.path.dirname(sys.executable), "openstack"),
        "--os-auth-type", "v3oidcpassword",
        "--os-auth-url", f"{cloud.url}/v3",
        "--os-identity-api-version", "3",
        "--os-identity-provider", "corp",
        "--os-protocol", "openid",
        "--os-client-id", "cloud",
        "--os-client-secret", "secret-of-the-cloud",
        "--os-openid-scope", "openid profile groups",
        "--os-discovery-endpoint", f"{oidc.issuer}/.well-known/openid-configuration",
        "--os-username", "jane",
        "--os-password", PASSWORD,
        "--os-project-id", cloud.project,
        "token", "issue", "-f", "value", "-c", "project_id",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == cloud.project


def test_a_client_that_traps_the_redirect(cloud, oidc, tmp_path, monkeypatch):
    loader = loading.get_plugin_loader("v3websso")
    plugin = loader.load_from_options(
        auth_url=f"{cloud.url}/v3",
        identity_provider="corp",
        protocol="openid",
        redirect_host="localhost",
        redirect_port=cloud.client_port,
        cache_path=str(tmp_path),
        project_id=cloud.project,
    )

    def open_browser(url, **_):
        def go():
            person = requests.Session()
            page = person.get(url)
            page = person.post(page.url, data=JANE)
            fields = page.text.split('id="token" value="')[1].split('"')[0]
            person.post(f"http://localhost:{cloud.client_port}/auth/websso/", data={"token": fields})

        threading.Timer(0.5, go).start()

    monkeypatch.setattr("webbrowser.open", open_browser)
    assert access(plugin).username == "jane"


# By a front proxy


def test_a_front_proxy_is_believed_on_its_socket_and_nobody_elsewhere(cloud, oidc):
    socket = cloud.identity.directory / "proxy.sock"
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]
    cloud.admin.put("/OS-FEDERATION/mappings/proxied", json={"mapping": {"rules": rules}})
    provider = "/OS-FEDERATION/identity_providers/proxied"
    cloud.admin.put(provider, json={"identity_provider": {"enabled": True}})
    cloud.admin.put(f"{provider}/protocols/mapped", json={"protocol": {"mapping_id": "proxied"}})
    path = f"/v3{provider}/protocols/mapped/auth"

    def curl(*words):
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "X-Env-REMOTE_USER: admin", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout

    assert curl(f"{cloud.url}{path}") == "401"
    assert curl("--cacert", str(cloud.identity.cacert), f"{cloud.identity.url}{path}") == "401"
    forwarded = ["-H", "X-Forwarded-For: 127.0.0.1", "-H", "Forwarded: for=127.0.0.1"]
    assert curl(*forwarded, f"{cloud.url}{path}") == "401"
    with open(cloud.identity.directory / "keystone.conf", "a") as configuration:
        configuration.write(f"[archstone]\nproxy_socket = {socket}\n")
    for restart in range(2):
        # The second start replaces what a kill left behind.
        (cloud.identity.kill if restart else cloud.identity.stop)()
        cloud.identity.start(cloud.identity.serve())
        assert stat.S_IMODE(socket.stat().st_mode) == 0o660
        assert curl("--unix-socket", str(socket), f"http://cloud{path}") == "201"
        assert curl(f"{cloud.url}{path}") == "401"
    second = subprocess.run(cloud.identity.serve(), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1


def test_the_public_list(cloud, oidc, oauth2, oauth1):
    listed = requests.get(f"{cloud.url}/v3/auth/OS-FEDERATION/identity_providers").json()
    kinds = {
        (provider["id"], protocol["id"]): protocol["type"]
        for provider in listed["identity_providers"]
        for protocol in provider["protocols"]
    }
    assert kinds["corp", "openid"] == "IDP.OIDC"
    assert kinds["forge", "oauth2"] == "IDP.OAuth"
    assert kinds["legacy", "oauth1"] == "IDP.OAuth"


def test_an_application_credential_of_a_federated_user(cloud, oidc):
    token = token_of(cloud, cloud.websso("corp", "openid"), **JANE)
    project = v3.Token(f"{cloud.url}/v3", token, project_id=cloud.project)
    jane = api(cloud.identity, project)
    me = jane.get_user_id()
    made = jane.post(
        f"/users/{me}/application_credentials", json={"application_credential": {"name": "ci"}}
    ).json()["application_credential"]
    secret = (made["id"], made["secret"])
    obtained = requests.post(
        f"{cloud.url}/v3/OS-OAUTH2/token", auth=secret, data={"grant_type": "client_credentials"}
    )
    assert obtained.status_code == 200, obtained.text
    body = cloud.token(obtained.json()["access_token"])
    assert sorted(role["name"] for role in body["roles"]) == ["member", "reader"]
    assert body["application_credential"]["id"] == made["id"]


def test_an_application_credential_ends_with_the_membership(cloud):
    client = {"client_id": "cloud", "client_secret": "hush", "redirect_uris": [cloud.callback("brief", "openid")]}
    with OidcProvider(clients=[client]) as brief:
        settings = {
            "issuer": brief.issuer,
            "client_id": "cloud",
            "client_secret": "hush",
            "scopes": ["openid", "groups"],
        }
        cloud.add("brief", "openid", "oidc", settings, "HTTP_OIDC_SUB", "HTTP_OIDC_GROUPS")
        minute = {"identity_provider": {"authorization_ttl": 1}}
        cloud.admin.patch("/OS-FEDERATION/identity_providers/brief", json=minute)
        login = token_of(cloud, cloud.websso("brief", "openid"), **JANE)
        ends = time.monotonic() + 61
        jane = api(cloud.identity, v3.Token(f"{cloud.url}/v3", login, project_id=cloud.project))
        path = f"/users/{jane.get_user_id()}/application_credentials"
        made = jane.post(path, json={"application_credential": {"name": "ci"}}).json()["application_credential"]
        plugin = {"application_credential_id": made["id"], "application_credential_secret": made["secret"]}

        def roles():
            """Those of its token; `None` when it gets none, by either way to ask for one."""
            try:
                found = access(v3.ApplicationCredential(f"{cloud.url}/v3", **plugin)).role_names
            except exceptions.Unauthorized:
                found = None
            secret = (made["id"], made["secret"])
            form = {"grant_type": "client_credentials"}
            obtained = requests.post(f"{cloud.url}/v3/OS-OAUTH2/token", auth=secret, data=form)
            assert obtained.status_code == (200 if found else 401), obtained.text
            return found

        assert roles() == ["member", "reader"]
        time.sleep(ends - time.monotonic())
        assert roles() is None
        # It is the membership that ended, which the next login renews.
        token_of(cloud, cloud.websso("brief", "openid"), **JANE)
        assert roles() == ["member", "reader"]
