"""Keystone to Keystone: one cloud vouches for its users at another.

Assertions are taken to another Archstone by keystoneauth, judged by a service provider of pysaml2, and
compared with those of the reference Keystone. Everything has to be there: pysaml2 and xmlsec1.
"""

import base64
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
import requests
import saml2.client
import saml2.config
from keystoneauth1 import adapter, exceptions, session
from keystoneauth1.identity import v3
from saml2 import BINDING_HTTP_POST
from saml2.sigver import SignatureError

from support.people import Person, admin_login, api, role_id, unique
from support.saml_idp import make_key
from support.servers import Archstone, Keystone, archstone_binary, under_test

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="compares both by itself")

ENTITY = "https://home.example/idp?a=1&b=2"
SP_ENTITY = "https://cloud.example/sp"
PAOS = {"Content-Type": "application/vnd.paos+xml"}
NAMES = {
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "ecp": "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp",
    "soap": "http://schemas.xmlsoap.org/soap/envelope/",
}


def options(folder):
    """What both servers read below [saml]."""
    key, certificate = make_key(folder, "signing")
    return {
        "keyfile": key,
        "certfile": certificate,
        "idp_entity_id": ENTITY,
        "idp_sso_endpoint": "https://home.example/sso?a=1&b=2",
        "idp_organization_name": "Größe & Co",
        "idp_contact_type": "technical",
        "idp_contact_telephone": "+43 1 5550100",
        "assertion_expiration_time": "1800",
    }


class VouchingKeystone(Keystone):
    """The reference as identity provider."""

    def command(self):
        settings = options(self.directory.parent)
        return super().command() + [
            word for name, value in settings.items() for word in ("--set", f"saml.{name}={value}")
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("k2k")


@pytest.fixture(scope="module")
def home(folder):
    """The cloud that vouches for its users."""
    server = Archstone(folder / "home").start()
    server.stop()
    with open(server.directory / "keystone.conf", "a") as file:
        lines = [f"{name} = {value}" for name, value in options(folder).items()]
        file.write("\n".join(["", "[saml]", *lines, ""]))
    server.start(server.serve())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cloud(folder):
    """The cloud that takes them in."""
    server = Archstone(folder / "cloud").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def reference(folder):
    server = VouchingKeystone(folder / "reference").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trust(folder, home, cloud):
    """Both know each other; the project of guests, and the file with the certificates of both."""
    admin = api(cloud, admin_login(cloud))
    group = admin.post("/groups", json={"group": {"name": "guests"}}).json()["group"]["id"]
    project = admin.post("/projects", json={"project": {"name": "guest house"}}).json()["project"]["id"]
    admin.put(f"/projects/{project}/groups/{group}/roles/{role_id(admin, 'member')}")
    rule = {
        "local": [{"user": {"name": "{0} of {1}"}, "group": {"id": group}}],
        "remote": [
            {"type": "openstack_user"},
            {"type": "openstack_project"},
            {"type": "openstack_roles", "any_one_of": ["member"]},
            {"type": "openstack_user_domain", "any_one_of": ["Default"]},
        ],
    }
    admin.put("/OS-FEDERATION/mappings/guests", json={"mapping": {"rules": [rule]}})
    befriend(home, cloud, "cloud", "home", "saml2", remote_ids=[ENTITY])
    bundle = folder / "both.pem"
    bundle.write_text(home.cacert.read_text() + cloud.cacert.read_text())
    return project, str(bundle)


def befriend(home, cloud, service, provider, protocol, **described):
    """Tells the cloud of a provider, by which the one at home can be meant, and the latter of the
    cloud."""
    admin = api(cloud, admin_login(cloud))
    path = f"/OS-FEDERATION/identity_providers/{provider}"
    body = {"enabled": True, "domain_id": "default", **described}
    admin.put(path, json={"identity_provider": body})
    settings = {
        "entity_id": SP_ENTITY,
        "metadata": metadata(archstone_binary(), home),
        "allow_unsolicited": True,
        "require_audience": False,
    }
    spoken = {
        "mapping_id": "guests",
        "remote_id_attribute": "MELLON_IDP" if described.get("remote_ids") else None,
        "driver": "saml2",
        "settings": settings,
    }
    path = f"{path}/protocols/{protocol}"
    admin.put(path, json={"protocol": spoken})
    add_service_provider(
        api(home, admin_login(home)),
        service,
        auth_url=f"{cloud.url}/v3{path}/auth",
        sp_url=f"{cloud.url}/v3/auth{path}/ecp",
    )


def add_service_provider(admin, service, **urls):
    body = {"service_provider": {"enabled": True, **urls}}
    admin.put(f"/OS-FEDERATION/service_providers/{service}", json=body)


def metadata(binary, server):
    command = [binary, "--config-file", server.directory / "keystone.conf", "saml_idp_metadata"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def request(token, provider="cloud"):
    identity = {"methods": ["token"], "token": {"id": token}}
    return {"auth": {"identity": identity, "scope": {"service_provider": {"id": provider}}}}


def ask(server, body, path=""):
    """Asks for an assertion without saying who asks, as the token in the body says it."""
    url = f"{server.url}/v3/auth/OS-FEDERATION/saml2{path}"
    return requests.post(url, json=body, verify=str(server.cacert), timeout=60)


def token_of(server, plugin):
    return plugin.get_token(session.Session(verify=str(server.cacert)))


# With another Archstone


def test_a_user_of_one_cloud_works_in_the_other(home, cloud, trust):
    project, bundle = trust
    person = Person.create(home, api(home, admin_login(home)), ["member"])
    name = unique("Jörg <ł & 李>")
    person.update(name=name)
    plugin = v3.Keystone2Keystone(person.login(), "cloud", project_id=project)
    client = adapter.Adapter(session.Session(auth=plugin, verify=bundle), endpoint_override=f"{cloud.url}/v3")
    own = client.get("/auth/tokens", headers={"X-Subject-Token": client.get_token()}).json()["token"]
    assert re.fullmatch(rf"{re.escape(name)} of project-\w+", own["user"]["name"])
    assert own["user"]["OS-FEDERATION"]["identity_provider"] == {"id": "home"}
    assert own["project"]["id"] == project
    assert "member" in {role["name"] for role in own["roles"]}
    assert [one["name"] for one in client.get("/auth/projects").json()["projects"]] == ["guest house"]


def test_a_cloud_and_a_provider_with_other_letters(home, cloud, trust):
    project, bundle = trust
    befriend(home, cloud, "my-cloud_1.x", "my-corp_1.x", "open-id")
    person = Person.create(home, api(home, admin_login(home)), ["member"])
    plugin = v3.Keystone2Keystone(person.login(), "my-cloud_1.x", project_id=project)
    try:
        found = plugin.get_access(session.Session(auth=plugin, verify=bundle))
    finally:
        # Tokens of all others list it as well.
        api(home, admin_login(home)).delete("/OS-FEDERATION/service_providers/my-cloud_1.x")
    assert found.username.startswith(f"{person.name} of project-")
    assert found.project_id == project


def test_who_is_not_mapped_gets_no_token(home, cloud, trust):
    _, bundle = trust
    person = Person.create(home, api(home, admin_login(home)), ["reader"])
    plugin = v3.Keystone2Keystone(person.login(), "cloud")
    with pytest.raises(exceptions.Unauthorized):
        plugin.get_token(session.Session(verify=bundle))


def test_an_assertion_is_good_once_and_as_it_was_written(home, cloud, trust):
    person = Person.create(home, api(home, admin_login(home)), ["member"])
    answer = ask(home, request(token_of(home, person.login())), "/ecp")
    assert answer.status_code == 200

    def bring(envelope):
        url = answer.headers["X-sp-url"]
        return requests.post(url, envelope, headers=PAOS, verify=str(cloud.cacert), timeout=60)

    assert bring(answer.text.replace(person.name, "admin")).status_code == 401
    first = bring(answer.text)
    assert first.status_code == 201
    assert first.headers["X-Subject-Token"]
    assert bring(answer.text).status_code == 401


def test_an_assertion_for_another_cloud_is_not_taken_by_its_name(home, cloud, trust):
    """Nothing but the URL binds such an assertion; the client must not choose it by its Host."""
    person = Person.create(home, api(home, admin_login(home)), ["member"])
    path = "/v3/auth/OS-FEDERATION/identity_providers/home/protocols/saml2/ecp"
    other = f"https://other.example:{cloud.https_port}"
    described = {"enabled": True, "auth_url": f"{other}/auth", "sp_url": f"{other}{path}"}
    admin = api(home, admin_login(home))
    admin.put("/OS-FEDERATION/service_providers/other", json={"service_provider": described})
    answer = ask(home, request(token_of(home, person.login()), "other"), "/ecp")
    admin.delete("/OS-FEDERATION/service_providers/other")
    assert answer.status_code == 200
    for host, refused in [(f"other.example:{cloud.https_port}", 500), (None, 401)]:
        headers = PAOS | ({"Host": host} if host else {})
        url = f"{cloud.url}{path}"
        brought = requests.post(url, answer.text, headers=headers, verify=str(cloud.cacert), timeout=60)
        assert brought.status_code == refused


# With pysaml2


def service_provider(home, url):
    """A service provider of pysaml2 that trusts a server."""
    settings = {
        "entityid": SP_ENTITY,
        "xmlsec_binary": shutil.which("xmlsec1"),
        "allow_unknown_attributes": True,
        "metadata": {"inline": [metadata(archstone_binary(), home)]},
        "service": {
            "sp": {
                "endpoints": {"assertion_consumer_service": [(url, BINDING_HTTP_POST)]},
                "allow_unsolicited": True,
                "want_assertions_signed": True,
                "want_response_signed": False,
            }
        },
    }
    return saml2.client.Saml2Client(saml2.config.SPConfig().load(settings))


def test_pysaml2_accepts_the_response(home, cloud, trust):
    person = Person.create(home, api(home, admin_login(home)), ["member", "reader"])
    answer = ask(home, request(token_of(home, person.login())))
    assert answer.headers["Content-Type"].startswith("text/xml")
    client = service_provider(home, answer.headers["X-sp-url"])

    def judge(text):
        return client.parse_authn_request_response(base64.b64encode(text.encode()), BINDING_HTTP_POST)

    response = judge(answer.text)
    assert response.issuer() == ENTITY
    assert response.get_subject().text == person.name
    identity = response.get_identity()
    assert identity["openstack_user"] == [person.name]
    assert set(identity["openstack_roles"]) == {"member", "reader"}
    assert identity["openstack_user_domain"] == identity["openstack_project_domain"] == ["Default"]
    with pytest.raises(SignatureError):
        judge(answer.text.replace(person.name, "admin"))


# Beside the reference


@pytest.fixture(scope="module")
def both(home, reference, trust):
    """The servers and, in each, the token of a person with the same names around them."""
    password = unique("password")
    tokens = []
    for server in (home, reference):
        admin = api(server, admin_login(server))
        if server is reference:
            providers = api(home, admin_login(home)).get("/OS-FEDERATION/service_providers").json()
            [url] = [one["sp_url"] for one in providers["service_providers"]]
            add_service_provider(admin, "cloud", sp_url=url, auth_url="https://cloud.example/auth")
        body = {"name": "Jörg <jörg@example.com>", "password": password, "domain_id": "default"}
        user = admin.post("/users", json={"user": body}).json()["user"]["id"]
        project = admin.post("/projects", json={"project": {"name": "a & b"}}).json()["project"]["id"]
        for role in ("member", "manager"):
            admin.put(f"/projects/{project}/users/{user}/roles/{role_id(admin, role)}")
        domain = admin.post("/domains", json={"domain": {"name": "Länder"}}).json()["domain"]["id"]
        for name, place in (("staff", "default"), ('"Bayern"', domain)):
            group = admin.post("/groups", json={"group": {"name": name, "domain_id": place}}).json()["group"]["id"]
            admin.put(f"/groups/{group}/users/{user}")
        plugin = v3.Password(f"{server.url}/v3", user_id=user, password=password, project_id=project)
        unscoped = v3.Password(f"{server.url}/v3", user_id=user, password=password, unscoped=True)
        tokens.append((token_of(server, plugin), token_of(server, unscoped)))
    return (home, *tokens[0]), (reference, *tokens[1])


def said(response):
    """What a response says, without what is of the moment."""

    def text(path, **attributes):
        element = response.find(path, NAMES)
        return element.text, *(element.get(name) for name in attributes.get("named", ()))

    assertion = "saml:Assertion/"
    attributes = {
        attribute.get("Name"): sorted(value.text for value in attribute)
        for attribute in response.iterfind(f"{assertion}saml:AttributeStatement/saml:Attribute", NAMES)
    }
    subject = f"{assertion}saml:Subject/"
    return {
        "response": (response.tag, response.get("Version"), response.get("Destination")),
        "status": text("samlp:Status/samlp:StatusCode", named=["Value"])[1:],
        "issuers": [text(f"{place}saml:Issuer", named=["Format"]) for place in ("", assertion)],
        "subject": text(f"{subject}saml:NameID", named=["Format"]),
        "method": text(f"{subject}saml:SubjectConfirmation", named=["Method"])[1:],
        "recipient": text(
            f"{subject}saml:SubjectConfirmation/saml:SubjectConfirmationData", named=["Recipient", "InResponseTo"]
        )[1:],
        "class": text(f"{assertion}saml:AuthnStatement/saml:AuthnContext/saml:AuthnContextClassRef"),
        "authority": text(f"{assertion}saml:AuthnStatement/saml:AuthnContext/saml:AuthenticatingAuthority"),
        "order": list(attributes),
        "attributes": attributes,
        "names": [attribute.attrib for attribute in response.iter(f"{{{NAMES['saml']}}}Attribute")],
    }


def test_assertions_say_what_those_of_keystone_say(both):
    answers = [ask(server, request(token)) for server, token, _ in both]
    assert [answer.status_code for answer in answers] == [200, 200]
    ours, theirs = (said(xml.fromstring(answer.content)) for answer in answers)
    assert ours == theirs
    assert len(ours["attributes"]["openstack_groups"]) == 2
    kinds = [answer.headers["Content-Type"].partition(";")[0] for answer in answers]
    assert kinds == ["text/xml"] * 2
    # Keystone shows the URLs as Python shows bytes, with which nobody can do anything.
    assert f"b'{answers[0].headers['X-sp-url']}'" == answers[1].headers["X-sp-url"]
    assert answers[0].headers["X-auth-url"].endswith("/protocols/saml2/auth")


def test_envelopes_are_those_of_keystone(both):
    answers = [ask(server, request(token), "/ecp") for server, token, _ in both]
    assert [answer.status_code for answer in answers] == [200, 200]
    ours, theirs = (xml.fromstring(answer.content) for answer in answers)
    responses = [one.find("soap:Body/samlp:Response", NAMES) for one in (ours, theirs)]
    assert said(responses[0]) == said(responses[1])
    for envelope in (ours, theirs):
        assert [part.tag for part in envelope] == [f"{{{NAMES['soap']}}}{name}" for name in ("Header", "Body")]
        [relay_state] = envelope.find("soap:Header", NAMES)
        assert relay_state.tag == f"{{{NAMES['ecp']}}}RelayState"
        assert relay_state.attrib == {
            f"{{{NAMES['soap']}}}actor": "http://schemas.xmlsoap.org/soap/actor/next",
            f"{{{NAMES['soap']}}}mustUnderstand": "1",
        }
        assert re.fullmatch("ss:mem:[0-9a-f]{32}", relay_state.text)


def test_what_keystone_signs_by_sha1_is_not_accepted(both, cloud):
    _, (reference, token, _) = both
    envelope = ask(reference, request(token), "/ecp").content
    [url] = {one.get("Destination") for one in xml.fromstring(envelope).iter(f"{{{NAMES['samlp']}}}Response")}
    answer = requests.post(url, envelope, headers=PAOS, verify=str(cloud.cacert), timeout=60)
    assert answer.status_code == 401
    assert "its algorithm is not accepted" in cloud.printed()


@pytest.mark.parametrize(
    "body",
    [
        lambda token, unscoped: request(token, "nowhere"),
        lambda token, unscoped: request(unscoped),
        lambda token, unscoped: request("no token"),
        lambda token, unscoped: request("no token", "nowhere"),
        lambda token, unscoped: {},
        lambda token, unscoped: {"auth": None},
        lambda token, unscoped: {"auth": {"identity": {"token": {"id": "x"}}}},
        lambda token, unscoped: {"auth": request("x")["auth"] | {"more": 1}},
    ],
)
def test_refusals_are_those_of_keystone(both, body):
    answers = [ask(server, body(token, unscoped)) for server, token, unscoped in both]
    ours, theirs = (answer.json()["error"] for answer in answers)
    assert ours == theirs


def tree(element):
    """An element without the prefixes of namespaces and the space around texts."""
    text = "".join((element.text or "").split())
    return element.tag, sorted(element.attrib.items()), text, [tree(child) for child in element]


def test_the_metadata_are_those_of_keystone(home, reference):
    keystone_manage = Path(sys.executable).with_name("keystone-manage")
    ours = metadata(archstone_binary(), home)
    theirs = metadata(keystone_manage, reference)
    assert tree(xml.fromstring(ours)) == tree(xml.fromstring(theirs))
    # Without the file that they are written to, the server makes them itself.
    url = f"{home.url}/v3/OS-FEDERATION/saml2/metadata"
    assert requests.get(url, verify=str(home.cacert), timeout=60).content.decode() == ours.rstrip("\n")


@pytest.mark.parametrize("option", ["idp_entity_id", "idp_sso_endpoint", "certfile"])
def test_metadata_that_cannot_be_made_name_the_option(folder, tmp_path, option):
    file = tmp_path / "keystone.conf"
    settings = options(folder) | {option: "/nonexistent" if option == "certfile" else ""}
    file.write_text("\n".join(["[saml]", *(f"{name} = {value}" for name, value in settings.items())]))
    command = [archstone_binary(), "--config-file", file, "saml_idp_metadata"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert f"[saml] {option}" in ran.stderr
