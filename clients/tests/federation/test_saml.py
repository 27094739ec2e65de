"""Logins by SAML 2.0 with a real provider, pysaml2's, a real browser and real clients."""

import base64
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from keystoneauth1 import exceptions, loading, session
from keystoneauth1.identity import v3
from saml2 import BINDING_HTTP_POST

from support import browser, saml_idp
from support.federation import Cloud, Dashboard, Form, log_in, token_of

PASSWORD = saml_idp.USERS["jane"]["password"]
JANE = {"user": "jane", "password": PASSWORD}
UID = "urn:oid:0.9.2342.19200300.100.1.1"
ENTITLEMENT = "urn:oid:1.3.6.1.4.1.5923.1.1.1.7"
PAOS = {
    "Accept": "application/vnd.paos+xml",
    "PAOS": 'ver="urn:liberty:paos:2003-08";"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"',
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        yield cloud


@contextmanager
def serving(directory, port=0):
    """A provider that answers meanwhile."""
    server = saml_idp.listen(directory, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Our key, as settings."""
    key, certificate = saml_idp.make_key(tmp_path_factory.mktemp("sp"), "sp")
    return {"private_key": read(key), "certificate": read(certificate)}


@pytest.fixture(scope="module")
def idp(cloud, keys, tmp_path_factory):
    """A provider that the cloud trusts in several ways, and that trusts the cloud."""
    with serving(tmp_path_factory.mktemp("idp")) as server:
        ways = [
            ("redirect", {"binding": "redirect"}, "uid", "eduPersonEntitlement"),
            ("post", {"binding": "post"}, UID, ENTITLEMENT),
            (
                "sealed",
                {"want_assertions_encrypted": True, "attribute_prefix": "MELLON_"},
                "MELLON_uid",
                f"MELLON_{ENTITLEMENT}",
            ),
        ]
        for provider, settings, user, groups in ways:
            settings = settings_with(server, keys, entity_id=entity(provider), **settings)
            cloud.add(provider, "saml2", "saml2", settings, user, groups)
            introduce(cloud, server, provider)
        yield server


def settings_with(idp, keys, **changed):
    """Settings that work, but for what is changed; `None` leaves one out."""
    settings = {"entity_id": entity("new"), "metadata_url": f"{idp.url}/metadata", **keys, **changed}
    return {name: value for name, value in settings.items() if value is not None}


def entity(provider):
    """Our name to the provider, which is another for each way in which we know it: each is a
    service of its own there."""
    return f"https://cloud.example.org/{provider}"


def read(path):
    with open(path) as file:
        return file.read()


def our_metadata(cloud, provider, base=None, protocol="saml2"):
    query = {"identity_provider": provider, "protocol": protocol}
    url = f"{base or cloud.url}/v3/OS-FEDERATION/saml2/metadata"
    answer = requests.get(url, params=query, verify=str(cloud.identity.cacert))
    assert answer.status_code == 200, answer.text
    return answer.text


def introduce(cloud, server, provider, base=None, protocol="saml2"):
    """Gives our metadata to the provider, as its operator would."""
    metadata = our_metadata(cloud, provider, base, protocol)
    assert requests.put(f"{server.url}/service", data=metadata).status_code == 204


def scoped(cloud, token):
    plugin = v3.Token(f"{cloud.url}/v3", token, project_id=cloud.project)
    client = session.Session(auth=plugin)
    return client.auth.get_access(client)


def assert_member(cloud, token, provider, protocol="saml2"):
    """The token is an unscoped one of Jane, and obtains one for the project of her group."""
    body = cloud.token(token)
    assert body["user"]["name"] == "jane"
    federated = body["user"]["OS-FEDERATION"]
    assert federated["identity_provider"] == {"id": provider}
    assert federated["protocol"] == {"id": protocol}
    assert federated["groups"] == [{"id": cloud.group}]
    assert "project" not in body
    assert scoped(cloud, token).role_names == ["member", "reader"]


def answered(cloud, url, user="jane"):
    """Goes to the provider and logs in there: the browser, and the form that it is about to post."""
    person = requests.Session()
    person.headers["Accept"] = "text/html"
    page = person.get(url)
    while "SAMLResponse" not in page.text:
        form = Form(page)
        if "password" in form.fields:
            form.fields.update(user=user, password=saml_idp.USERS[user]["password"])
        page = person.post(form.action, data=form.fields)
        assert page.status_code == 200, said(page)
    return person, Form(page)


def post(person, form, **changed):
    return person.post(form.action, data={**form.fields, **changed})


def said(page):
    """What a page says, in short."""
    return f"{page.status_code} {page.text[-800:]}"


def assert_logged_in(page):
    assert page.status_code == 200, said(page)
    assert 'name="token"' in page.text


def assert_refused(page):
    assert page.status_code == 401, said(page)
    assert 'name="token"' not in page.text


def xml_of(form):
    return base64.b64decode(form.fields["SAMLResponse"]).decode()


def encoded(xml):
    return base64.b64encode(xml.encode()).decode()


# With a browser


def test_our_metadata_is_public_and_names_where_answers_go(cloud, idp, keys):
    metadata = our_metadata(cloud, "redirect")
    assert f'entityID="{entity("redirect")}"' in metadata
    assert cloud.callback("redirect", "saml2") in metadata
    assert "".join(keys["certificate"].split("\n")[1:-2]) in "".join(metadata.split())
    assert "PRIVATE" not in metadata
    known = idp.provider.server.metadata
    consumers = known.assertion_consumer_service(entity("redirect"), binding=BINDING_HTTP_POST)
    assert cloud.callback("redirect", "saml2") in [consumer["location"] for consumer in consumers]
    missing = {"identity_provider": "redirect", "protocol": "nothing"}
    answer = requests.get(f"{cloud.url}/v3/OS-FEDERATION/saml2/metadata", params=missing)
    assert answer.status_code == 404


@pytest.mark.parametrize("provider", ["redirect", "post"])
def test_a_browser_logs_in(cloud, idp, provider):
    token = token_of(cloud, cloud.websso(provider, "saml2"), **JANE)
    assert_member(cloud, token, provider)


def test_a_provider_and_a_protocol_with_other_letters(cloud, idp, keys):
    provider, protocol = "my-corp_1.x", "open-id"
    settings = settings_with(idp, keys, entity_id=entity(provider))
    cloud.add(provider, protocol, "saml2", settings, "uid", "eduPersonEntitlement")
    assert f'"{cloud.callback(provider, protocol)}"' in our_metadata(cloud, provider, protocol=protocol)
    introduce(cloud, idp, provider, protocol=protocol)
    token = token_of(cloud, cloud.websso(provider, protocol), **JANE)
    assert_member(cloud, token, provider, protocol)
    cloud.admin.delete(f"/OS-FEDERATION/identity_providers/{provider}")


def test_the_public_list_says_how_they_speak(cloud, idp):
    listed = requests.get(f"{cloud.url}/v3/auth/OS-FEDERATION/identity_providers").json()
    kinds = {
        (provider["id"], protocol["id"]): protocol["type"]
        for provider in listed["identity_providers"]
        for protocol in provider["protocols"]
    }
    expected = {(provider, "saml2"): "IDP.SAML" for provider in ("redirect", "post", "sealed")}
    assert kinds == expected


@pytest.mark.parametrize("sign", ["response", "assertion", "both"])
@pytest.mark.parametrize("encrypt", [False, True])
def test_whatever_part_is_signed(cloud, idp, sign, encrypt):
    idp.provider.sign, idp.provider.encrypt = sign, encrypt
    provider = "sealed" if encrypt else "redirect"
    try:
        person, form = answered(cloud, cloud.websso(provider, "saml2"))
    finally:
        idp.provider.sign, idp.provider.encrypt = "assertion", False
    assert ("EncryptedAssertion" in xml_of(form)) == encrypt
    page = post(person, form)
    assert_logged_in(page)
    assert_member(cloud, Form(page).fields["token"], provider)


@pytest.mark.parametrize("provider", ["redirect", "sealed"])
def test_somebody_in_thousands_of_groups(cloud, idp, provider):
    idp.provider.encrypt = provider == "sealed"
    try:
        person, form = answered(cloud, cloud.websso(provider, "saml2"), "busy")
    finally:
        idp.provider.encrypt = False
    assert len(form.fields["SAMLResponse"]) > 114_688
    page = post(person, form)
    assert_logged_in(page)
    assert cloud.token(Form(page).fields["token"])["user"]["name"] == "busy"


def test_what_has_to_be_encrypted_is_not_taken_plain(cloud, idp):
    person, form = answered(cloud, cloud.websso("sealed", "saml2"))
    assert_refused(post(person, form))


def test_what_has_to_be_signed_is_not_taken_without(cloud, idp):
    cloud.change("redirect", "saml2", want_response_signed=True)
    try:
        person, form = answered(cloud, cloud.websso("redirect", "saml2"))
        assert_refused(post(person, form))
    finally:
        cloud.change("redirect", "saml2", want_response_signed=False)
    idp.provider.sign = "none"
    try:
        person, form = answered(cloud, cloud.websso("redirect", "saml2"))
    finally:
        idp.provider.sign = "assertion"
    assert "SignatureValue" not in xml_of(form)
    assert_refused(post(person, form))


def test_who_is_in_no_mapping_is_refused(cloud, idp):
    person, form = answered(cloud, cloud.websso("redirect", "saml2"), user="nobody")
    page = post(person, form)
    assert_refused(page)
    assert page.headers["X-Openstack-Request-Id"] in page.text


def test_a_provider_that_is_registered_by_its_name(cloud, idp):
    path = "/OS-FEDERATION/identity_providers/redirect"
    spoken = {"mapping_id": "redirect-saml2", "remote_id_attribute": "MELLON_IDP"}
    cloud.admin.patch(cloud.path("redirect", "saml2"), json={"protocol": spoken})
    try:
        cloud.admin.patch(path, json={"identity_provider": {"remote_ids": [f"{idp.url}/metadata"]}})
        token = token_of(cloud, cloud.websso("redirect", "saml2"), **JANE)
        assert_member(cloud, token, "redirect")
        cloud.admin.patch(path, json={"identity_provider": {"remote_ids": ["https://other.example.org"]}})
        assert log_in(cloud, cloud.websso("redirect", "saml2"), **JANE).status_code == 403
    finally:
        cloud.admin.patch(path, json={"identity_provider": {"remote_ids": [f"{idp.url}/metadata"]}})


# What is no login


def test_an_answer_counts_once(cloud, idp):
    person, form = answered(cloud, cloud.websso("redirect", "saml2"))
    cookies = requests.utils.dict_from_cookiejar(person.cookies)
    assert_logged_in(post(person, form))
    # The browser forgot its cookie; who kept it gets no further.
    assert_refused(post(person, form))
    again = requests.post(form.action, data=form.fields, cookies=cookies)
    assert_refused(again)


def test_an_answer_counts_only_in_the_browser_that_asked(cloud, idp):
    person, form = answered(cloud, cloud.websso("redirect", "saml2"))
    assert_refused(post(requests.Session(), form))
    other, theirs = answered(cloud, cloud.websso("redirect", "saml2"))
    assert_refused(post(other, form))
    # With the state of their own login, but with the answer to another.
    assert_refused(post(other, theirs, SAMLResponse=form.fields["SAMLResponse"]))
    assert_logged_in(post(person, form))
    assert_logged_in(post(other, theirs))


def test_logins_in_two_tabs_do_not_disturb_each_other(cloud, idp):
    person, first = answered(cloud, cloud.websso("redirect", "saml2"))
    page = person.get(cloud.websso("redirect", "saml2"))
    form = Form(page)
    form.fields.update(JANE)
    second = Form(person.post(form.action, data=form.fields))
    assert_logged_in(post(person, first))
    assert_logged_in(post(person, second))


def test_an_answer_is_for_one_provider_alone(cloud, idp):
    person, form = answered(cloud, cloud.websso("redirect", "saml2"))
    person.get(cloud.websso("post", "saml2"))
    cookies = requests.utils.dict_from_cookiejar(person.cookies)
    other = cloud.callback("post", "saml2")
    assert_refused(requests.post(other, data=form.fields, cookies=cookies))
    without = {"SAMLResponse": form.fields["SAMLResponse"]}
    assert_refused(requests.post(other, data=without, cookies=cookies))
    assert_logged_in(post(person, form))


@pytest.mark.parametrize(
    "forge",
    [
        lambda xml: xml.replace(">jane<", ">root<"),
        lambda xml: xml.replace("cloud.example.org/redirect", "cloud.example.org/other"),
        lambda xml: re.sub(r"<(\w+:)?Signature\b.*</(\w+:)?Signature>", "", xml, flags=re.DOTALL),
        lambda xml: xml.replace("status:Success", "status:Responder"),
        lambda xml: xml[:-20],
        lambda xml: "",
    ],
    ids=["attribute", "audience", "unsigned", "status", "cut", "empty"],
)
def test_what_was_changed_on_the_way_is_refused(cloud, idp, forge):
    person, form = answered(cloud, cloud.websso("redirect", "saml2"))
    forged = forge(xml_of(form))
    assert forged != xml_of(form)
    assert_refused(post(person, form, SAMLResponse=encoded(forged)))


def test_who_pretends_to_be_the_provider_is_refused(cloud, idp, tmp_path):
    impostor = saml_idp.IdentityProvider(tmp_path, idp.url)
    impostor.trust(our_metadata(cloud, "post"))
    person = requests.Session()
    form = Form(person.get(cloud.websso("post", "saml2")))
    request = impostor.parse(form.fields["SAMLRequest"], BINDING_HTTP_POST)
    answer = {"RelayState": form.fields["RelayState"]}
    callback = cloud.callback("post", "saml2")
    forged = encoded(impostor.respond(request, "jane"))
    assert_refused(person.post(callback, data={**answer, "SAMLResponse": forged}))
    # Only the key was wrong.
    good = encoded(idp.provider.respond(request, "jane"))
    assert_logged_in(person.post(callback, data={**answer, "SAMLResponse": good}))


def unasked(idp, callback):
    """What the provider sends when somebody begins there."""
    answer = {"in_response_to": None, "destination": callback, "sp_entity_id": entity("redirect")}
    return encoded(idp.provider.respond_with(answer, "jane"))


def test_who_begins_at_the_provider_is_taken_only_where_that_is_allowed(cloud, idp):
    callback = cloud.callback("redirect", "saml2")
    answer = {"SAMLResponse": unasked(idp, callback)}
    assert_refused(requests.post(callback, data=answer))
    cloud.change("redirect", "saml2", allow_unsolicited=True)
    try:
        page = requests.post(callback, data=answer)
        assert_logged_in(page)
        assert Form(page).action == cloud.dashboard
        assert_member(cloud, Form(page).fields["token"], "redirect")
        assert_refused(requests.post(callback, data=answer))
        # Also when a login from here was given up before.
        person = requests.Session()
        person.get(cloud.websso("redirect", "saml2"))
        assert_logged_in(person.post(callback, data={"SAMLResponse": unasked(idp, callback)}))
        # To the dashboard that is named, but not to just any.
        trusted = f"http://localhost:{cloud.client_port}/auth/websso/"
        for named, reached in [(trusted, trusted), ("https://evil.example.org/", cloud.dashboard)]:
            answer = {"SAMLResponse": unasked(idp, callback), "RelayState": named}
            page = requests.post(callback, data=answer)
            assert_logged_in(page)
            assert Form(page).action == reached
        # An answer to somebody else's request is still nobody else's.
        _, form = answered(cloud, cloud.websso("redirect", "saml2"))
        assert_refused(post(requests.Session(), form))
    finally:
        cloud.change("redirect", "saml2", allow_unsolicited=False)


# Chromium


def chromium(cloud, url, *screenshots):
    """Logs Jane in by Chromium; what came to the dashboard."""
    fill, done = screenshots
    with Dashboard(cloud.dashboard_port) as dashboard:
        browser.walk(
            [
                {"goto": url},
                {"fill": "[name=user]", "with": "jane"},
                {"fill": "[name=password]", "with": PASSWORD},
                {"screenshot": str(fill)},
                {"click": "button"},
                {"see": "Welcome to the dashboard"},
                {"screenshot": str(done)},
            ]
        )
    return dashboard.token


@pytest.mark.parametrize("provider", ["redirect", "post"])
def test_chromium_over_http(cloud, idp, provider, tmp_path):
    shots = (tmp_path / "form.png", tmp_path / "done.png")
    token = chromium(cloud, cloud.websso(provider, "saml2"), *shots)
    assert_member(cloud, token, provider)


@pytest.mark.parametrize("provider", ["redirect", "post"])
def test_chromium_over_https(cloud, idp, provider, tmp_path):
    # To a browser, the provider's http and our https are two sites, even at the same address.
    introduce(cloud, idp, provider, cloud.identity.url)
    try:
        url = cloud.websso(provider, "saml2").replace(cloud.url, cloud.identity.url)
        begun = requests.get(url, verify=str(cloud.identity.cacert), allow_redirects=False)
        cookie = begun.headers["Set-Cookie"]
        assert "; Secure; SameSite=None" in cookie
        assert "; HttpOnly" in cookie
        shots = (tmp_path / "form.png", tmp_path / "done.png")
        assert_member(cloud, chromium(cloud, url, *shots), provider)
    finally:
        introduce(cloud, idp, provider)


def test_chromium_sees_a_failure(cloud, idp, tmp_path):
    idp.provider.sign = "none"
    try:
        seen = browser.walk(
            [
                {"goto": cloud.websso("redirect", "saml2")},
                {"fill": "[name=user]", "with": "jane"},
                {"fill": "[name=password]", "with": PASSWORD},
                {"click": "button"},
                {"see": "The login failed"},
                {"screenshot": str(tmp_path / "failure.png")},
            ]
        )
    finally:
        idp.provider.sign = "assertion"
    assert "give this number: req-" in seen["text"]


# Without a browser


def saml_plugin(cloud, idp, password=PASSWORD, **scope):
    loader = loading.get_plugin_loader("v3samlpassword")
    return loader.load_from_options(
        auth_url=f"{cloud.url}/v3",
        identity_provider="redirect",
        protocol="saml2",
        identity_provider_url=f"{idp.url}/ecp",
        username="jane",
        password=password,
        **scope,
    )


def test_v3samlpassword(cloud, idp):
    plugin = saml_plugin(cloud, idp)
    client = session.Session(auth=plugin)
    assert_member(cloud, client.get_token(), "redirect")
    plugin = saml_plugin(cloud, idp, project_id=cloud.project)
    found = plugin.get_access(session.Session(auth=plugin))
    assert (found.username, found.role_names, found.project_id) == (
        "jane",
        ["member", "reader"],
        cloud.project,
    )


def test_v3samlpassword_with_a_wrong_password(cloud, idp):
    plugin = saml_plugin(cloud, idp, password="wrong")
    with pytest.raises(exceptions.ClientException):
        plugin.get_access(session.Session(auth=plugin))


def test_the_openstack_command(cloud, idp):
    command = [
        os.path.join(os.path.dirname(sys.executable), "openstack"),
        "--os-auth-type", "v3samlpassword",
        "--os-auth-url", f"{cloud.url}/v3",
        "--os-identity-api-version", "3",
        "--os-identity-provider", "redirect",
        "--os-identity-provider-url", f"{idp.url}/ecp",
        "--os-protocol", "saml2",
        "--os-username", "jane",
        "--os-password", PASSWORD,
        "--os-project-id", cloud.project,
        "token", "issue", "-f", "value", "-c", "project_id",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == cloud.project


def envelope(cloud, idp):
    """Goes by hand what keystoneauth goes: the envelope with the answer, and where it goes."""
    place = "identity_providers/redirect/protocols/saml2"
    asked = requests.get(f"{cloud.url}/v3/OS-FEDERATION/{place}/auth", headers=PAOS)
    assert asked.headers["Content-Type"] == "application/vnd.paos+xml"
    [relay] = re.findall(r"<ecp:RelayState.*</ecp:RelayState>", asked.text)
    # pysaml2 loses the prefixes of SOAP when it reads a header that it does not need.
    bare = re.sub(r"<S:Header>.*</S:Header>", "", asked.text, flags=re.DOTALL)
    answer = requests.post(f"{idp.url}/ecp", data=bare, auth=("jane", PASSWORD))
    assert answer.status_code == 200, answer.text
    text, replaced = re.subn(r"<ecp:Response [^>]*/>", relay, answer.text)
    assert replaced == 1
    return f"{cloud.url}/v3/auth/OS-FEDERATION/{place}/ecp", text


def bring(url, text):
    return requests.post(url, data=text.encode(), headers={"Content-Type": "application/vnd.paos+xml"})


def test_an_envelope_counts_once_and_only_where_it_was_asked_for(cloud, idp):
    url, text = envelope(cloud, idp)
    assert_refused(bring(url.replace("/redirect/", "/post/"), text))
    assert_refused(bring(url, text.replace(">jane<", ">root<")))
    assert_refused(bring(url, re.sub(r"<ecp:RelayState.*</ecp:RelayState>", "", text)))
    assert_refused(bring(url, "no envelope"))
    _, other = envelope(cloud, idp)
    [relay] = re.findall(r"<ecp:RelayState.*</ecp:RelayState>", other)
    assert_refused(bring(url, re.sub(r"<ecp:RelayState.*</ecp:RelayState>", relay, text)))
    issued = bring(url, text)
    assert issued.status_code == 201, issued.text
    assert issued.json()["token"]["user"]["name"] == "jane"
    assert issued.headers["X-Subject-Token"]
    assert_refused(bring(url, text))


def test_who_brings_nothing_is_refused(cloud, idp):
    place = "identity_providers/redirect/protocols/saml2"
    url = f"{cloud.url}/v3/OS-FEDERATION/{place}/auth"
    assert_refused(requests.get(url))
    # There are no such tokens here.
    assert requests.get(url, headers={"Authorization": "Bearer something"}).status_code == 400


# Settings


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"entity_id": None}, "entity_id"),
        ({"entity_id": ""}, "entity_id"),
        ({"entity_id": 5}, "entity_id"),
        ({"metadata_url": None}, "metadata_url"),
        ({"metadata_url": "http://idp.example.org/metadata"}, "metadata_url"),
        ({"metadata_url": "nonsense"}, "metadata_url"),
        ({"metadata": "<a/>"}, "metadata_url"),
        ({"metadata_url": None, "metadata": "nonsense"}, "metadata"),
        ({"metadata_url": None, "metadata": "<a/>"}, "metadata"),
        ({"metadata_certificate": "nonsense"}, "metadata_certificate"),
        ({"private_key": None}, "private_key"),
        ({"certificate": None}, "certificate"),
        ({"private_key": "nonsense"}, "private_key"),
        ({"certificate": "nonsense"}, "certificate"),
        ({"old_certificate": "nonsense"}, "old_private_key"),
        ({"private_key": None, "certificate": None, "sign_requests": True}, "private_key"),
        ({"private_key": None, "certificate": None, "want_assertions_encrypted": True}, "private_key"),
        ({"clock_skew": 601}, "clock_skew"),
        ({"clock_skew": -1}, "clock_skew"),
        ({"binding": "artifact"}, "binding"),
        ({"authn_context": "password"}, "authn_context"),
        ({"sign_request": True}, "sign_request"),
    ],
)
def test_a_wrong_setting_is_named(cloud, idp, keys, changed, named):
    spoken = {"mapping_id": "redirect-saml2", "driver": "saml2", "settings": settings_with(idp, keys, **changed)}
    answer = cloud.admin.put(cloud.path("redirect", "new"), json={"protocol": spoken}, raise_exc=False)
    assert answer.status_code == 400, answer.text
    message = answer.json()["error"]["message"]
    assert re.search(rf"\b{named}\b", message), message
    assert "PRIVATE KEY" not in message
    assert cloud.admin.get(cloud.path("redirect", "new"), raise_exc=False).status_code == 404


def test_a_certificate_of_another_key_is_named(cloud, idp, keys, tmp_path):
    _, other = saml_idp.make_key(tmp_path, "other")
    settings = settings_with(idp, keys, certificate=read(other))
    spoken = {"mapping_id": "redirect-saml2", "driver": "saml2", "settings": settings}
    answer = cloud.admin.put(cloud.path("redirect", "new"), json={"protocol": spoken}, raise_exc=False)
    assert answer.status_code == 400, answer.text
    assert "certificate" in answer.json()["error"]["message"]


def test_our_key_is_not_shown(cloud, idp):
    answer = cloud.admin.get(cloud.path("redirect", "saml2"))
    protocol = answer.json()["protocol"]
    assert "PRIVATE KEY" not in answer.text
    assert protocol["has_secrets"] is True
    assert "private_key" not in protocol["settings"]
    assert protocol["settings"]["entity_id"] == entity("redirect")


def test_metadata_as_text(cloud, idp, keys):
    settings = settings_with(idp, keys, metadata_url=None, metadata=idp.provider.metadata(), entity_id=entity("text"))
    cloud.add("text", "saml2", "saml2", settings, "uid", "eduPersonEntitlement")
    introduce(cloud, idp, "text")
    assert cloud.check("text", "saml2")["works"]
    assert_member(cloud, token_of(cloud, cloud.websso("text", "saml2"), **JANE), "text")


def test_unsigned_requests(cloud, idp):
    cloud.change("redirect", "saml2", sign_requests=False)
    try:
        # This provider wants signed ones.
        page = log_in(cloud, cloud.websso("redirect", "saml2"), **JANE)
        assert page.status_code == 400
        assert page.url.startswith(idp.url)
        check = cloud.check("redirect", "saml2")
        assert not check["works"]
        assert "signed requests" in [found["step"] for found in check["findings"] if not found["works"]]
    finally:
        cloud.change("redirect", "saml2", sign_requests=True)
    assert cloud.check("redirect", "saml2")["works"]


def test_an_asked_for_kind_of_login_has_to_be_met(cloud, idp):
    password = saml_idp.AUTHN["class_ref"]
    cloud.change("redirect", "saml2", authn_context=["urn:oasis:names:tc:SAML:2.0:ac:classes:X509"])
    try:
        person, form = answered(cloud, cloud.websso("redirect", "saml2"))
        assert_refused(post(person, form))
        cloud.change("redirect", "saml2", authn_context=[password])
        assert_member(cloud, token_of(cloud, cloud.websso("redirect", "saml2"), **JANE), "redirect")
    finally:
        cloud.change("redirect", "saml2", authn_context=[])


@pytest.mark.parametrize("provider", ["redirect", "post", "sealed"])
def test_a_check_finds_that_all_is_well(cloud, idp, provider):
    check = cloud.check(provider, "saml2")
    assert check["works"], check
    steps = [found["step"] for found in check["findings"]]
    assert steps[:3] == ["identity provider", "method", "mapping"]
    assert steps[3:] == ["our key", "metadata", "endpoint", "signing keys"]
    assert f"{idp.url}/metadata" in str(check)


def test_a_provider_that_is_gone_and_comes_back(cloud, keys, tmp_path):
    with serving(tmp_path) as server:
        port = server.server_address[1]
        settings = settings_with(server, keys, entity_id=entity("gone"))
        cloud.add("gone", "saml2", "saml2", settings, "uid", "eduPersonEntitlement")
        introduce(cloud, server, "gone")
        services = server.provider.services
    page = requests.get(cloud.websso("gone", "saml2"), headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert "cannot log in right now" in page.text
    check = cloud.check("gone", "saml2")
    assert not check["works"]
    [wrong] = [found for found in check["findings"] if not found["works"]]
    assert wrong["step"] == "metadata"
    assert f":{port}" in wrong["detail"]
    with serving(tmp_path, port) as server:
        for metadata in services.values():
            server.provider.trust(metadata)
        # Whoever checks sees it at once, and after that it is known.
        assert cloud.check("gone", "saml2")["works"]
        assert_member(cloud, token_of(cloud, cloud.websso("gone", "saml2"), **JANE), "gone")
    check = cloud.check("gone", "saml2")
    assert not check["works"], check
    cloud.admin.delete("/OS-FEDERATION/identity_providers/gone")


def test_settings_count_at_once(cloud, idp):
    token_of(cloud, cloud.websso("redirect", "saml2"), **JANE)
    cloud.change("redirect", "saml2", entity_id=entity("renamed"))
    try:
        # A stranger to the provider.
        page = log_in(cloud, cloud.websso("redirect", "saml2"), **JANE)
        assert page.status_code == 400
        introduce(cloud, idp, "redirect")
        assert_member(cloud, token_of(cloud, cloud.websso("redirect", "saml2"), **JANE), "redirect")
    finally:
        cloud.change("redirect", "saml2", entity_id=entity("redirect"))


def test_our_own_key_is_changed_while_everything_runs(cloud, idp, keys, tmp_path):
    key, certificate = saml_idp.make_key(tmp_path, "new")
    new = {"private_key": read(key), "certificate": read(certificate)}
    old = {"old_private_key": keys["private_key"], "old_certificate": keys["certificate"]}
    idp.provider.encrypt = True
    try:
        # The provider encrypts to the old key, until it has read of the new.
        person, form = answered(cloud, cloud.websso("sealed", "saml2"))
        cloud.change("sealed", "saml2", **new, **old)
        assert_logged_in(post(person, form))
        introduce(cloud, idp, "sealed")
        assert_member(cloud, token_of(cloud, cloud.websso("sealed", "saml2"), **JANE), "sealed")
    finally:
        idp.provider.encrypt = False
        cloud.change("sealed", "saml2", **keys)
        introduce(cloud, idp, "sealed")


def test_a_new_key_of_the_provider_is_followed(cloud, idp, tmp_path):
    token_of(cloud, cloud.websso("redirect", "saml2"), **JANE)
    idp.provider.use_key(tmp_path)
    # Nobody is asked for new keys more often than this.
    time.sleep(11)
    assert_member(cloud, token_of(cloud, cloud.websso("redirect", "saml2"), **JANE), "redirect")
    assert_member(cloud, token_of(cloud, cloud.websso("post", "saml2"), **JANE), "post")


def test_any_node_finishes_what_another_began(cloud, idp):
    person, form = answered(cloud, cloud.websso("redirect", "saml2"))
    cloud.identity.stop()
    cloud.identity.start(cloud.identity.serve())
    assert_logged_in(post(person, form))
