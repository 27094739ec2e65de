"""keystoneauth1, the library below every OpenStack client: its plugins, sessions and exceptions."""

import datetime
import time

import pytest
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from support.people import admin_login, api, unique
from support.servers import ADMIN_PASSWORD


def auth_url(identity):
    return f"{identity.url}/v3"


def token_body(admin, token):
    """What the server says of a token."""
    return admin.get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]


# Passwords


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        ({"project_name": "admin", "project_domain_name": "Default"}, "project"),
        ({"domain_id": "default"}, "domain"),
        ({"system_scope": "all"}, "system"),
        ({"unscoped": True}, None),
    ],
)
def test_a_password_buys_a_token_of_each_scope(identity, admin, scope, kind):
    if kind == "domain":
        me = admin.get_user_id()
        [role] = admin.get("/roles", params={"name": "admin"}).json()["roles"]
        admin.put(f"/domains/default/users/{me}/roles/{role['id']}")
    plugin = v3.Password(
        auth_url(identity), username="admin", password=ADMIN_PASSWORD, user_domain_name="Default", **scope
    )
    body = token_body(admin, api(identity, plugin).get_token())
    assert [key for key in ("project", "domain", "system") if key in body] == ([kind] if kind else [])
    assert body["methods"] == ["password"]
    assert body["user"]["name"] == "admin"


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"username": "nobody"},
        {"user_domain_id": "nowhere"},
        {"project_name": "nothing"},
    ],
)
def test_whatever_is_wrong_about_a_login_the_answer_is_the_same(identity, change):
    right = {
        "username": "admin",
        "password": ADMIN_PASSWORD,
        "user_domain_id": "default",
        "project_name": "admin",
        "project_domain_id": "default",
    }
    with pytest.raises(exceptions.Unauthorized) as refused:
        api(identity, v3.Password(auth_url(identity), **right | change)).get_token()
    assert refused.value.message.startswith("The request you have made requires authentication. (HTTP 401)")


def test_a_disabled_user_is_refused(identity, new_person):
    person = new_person()
    person.update(enabled=False)
    with pytest.raises(exceptions.Unauthorized):
        person.api().get_token()


def test_a_user_changes_the_own_password(identity, new_person):
    person = new_person()
    change = {"user": {"original_password": person.password, "password": "a new one"}}
    person.api().post(f"/users/{person.id}/password", json=change)
    with pytest.raises(exceptions.Unauthorized):
        person.api().get_token()
    person.password = "a new one"
    assert person.api().get_token()


# Sessions


def test_the_session_finds_the_service_by_the_catalog(identity, admin):
    client = session.Session(auth=admin_login(identity), verify=str(identity.cacert))
    filters = {"service_type": "identity", "region_name": identity.region}
    for interface in ("public", "internal", "admin"):
        assert client.get_endpoint(interface=interface, **filters) == auth_url(identity)
    versions = client.get_all_version_data(interface="public", **filters)
    [version] = versions[identity.region]["public"]["identity"]
    assert (version.version, version.status) == ("3.14", "CURRENT")
    assert client.get("/users", endpoint_filter=filters).status_code == 200


def test_a_session_whose_token_was_revoked_logs_in_again(identity, new_person):
    person = new_person()
    client = person.api()
    first = client.get_token()
    client.delete("/auth/tokens", headers={"X-Subject-Token": first})
    assert client.get(f"/users/{person.id}").status_code == 200
    assert client.get_token() != first


def test_tls_is_verified_with_the_cacert(identity):
    plugin = admin_login(identity)
    assert session.Session(auth=plugin, verify=str(identity.cacert)).get_token()
    with pytest.raises(exceptions.SSLError):
        session.Session(auth=admin_login(identity)).get(f"{identity.url}/v3/users")


def test_the_plain_listener_serves_the_same(identity):
    plugin = v3.Password(
        f"{identity.plain_url}/v3", username="admin", password=ADMIN_PASSWORD, user_domain_id="default", unscoped=True
    )
    assert session.Session(auth=plugin).get_token()


# Tokens for tokens


def test_an_unscoped_token_buys_one_on_a_project_with_the_same_expiry(identity, admin, new_person):
    person = new_person("member")
    unscoped = api(identity, person.login(unscoped=True)).get_token()
    scoped = api(identity, v3.Token(auth_url(identity), unscoped, project_id=person.project_id)).get_token()
    parent, child = token_body(admin, unscoped), token_body(admin, scoped)
    assert child["project"]["id"] == person.project_id
    assert child["expires_at"] == parent["expires_at"]
    assert set(child["methods"]) == {"password", "token"}
    assert child["audit_ids"][1] == parent["audit_ids"][0]
    assert {role["name"] for role in child["roles"]} == {"member", "reader"}


def test_a_token_is_rescoped_from_project_to_project(identity, admin, new_person):
    one, other = new_person(), new_person()
    [role] = admin.get("/roles", params={"name": "reader"}).json()["roles"]
    admin.put(f"/projects/{other.project_id}/users/{one.id}/roles/{role['id']}")
    token = one.api().get_token()
    rescoped = api(identity, v3.Token(auth_url(identity), token, project_id=other.project_id)).get_token()
    assert token_body(admin, rescoped)["project"]["id"] == other.project_id


def test_a_token_does_not_reach_a_project_without_a_role(identity, new_person):
    one, other = new_person(), new_person()
    with pytest.raises(exceptions.Unauthorized):
        api(identity, v3.Token(auth_url(identity), one.api().get_token(), project_id=other.project_id)).get_token()


@pytest.mark.parametrize("token", ["garbage", "gAAAAABnonsense"])
def test_garbage_buys_nothing(identity, token):
    with pytest.raises(exceptions.NotFound):
        api(identity, v3.Token(auth_url(identity), token, unscoped=True)).get_token()


# Application credentials


def credential_login(identity, credential, **change):
    fields = {
        "application_credential_id": credential["id"],
        "application_credential_secret": credential["secret"],
    }
    return v3.ApplicationCredential(auth_url(identity), **fields | change)


def test_an_application_credential_logs_in_by_id_and_by_name(identity, admin, new_person):
    person = new_person("member", "manager")
    credential = person.application_credential(roles=[{"name": "member"}])
    by_id = credential_login(identity, credential)
    by_name = v3.ApplicationCredential(
        auth_url(identity),
        application_credential_name=credential["name"],
        application_credential_secret=credential["secret"],
        username=person.name,
        user_domain_id="default",
    )
    for plugin in (by_id, by_name):
        body = token_body(admin, api(identity, plugin).get_token())
        assert body["user"]["id"] == person.id
        assert body["project"]["id"] == person.project_id
        assert body["application_credential"] == {
            "id": credential["id"],
            "name": credential["name"],
            "restricted": True,
        }
        assert {role["name"] for role in body["roles"]} == {"member", "reader"}


def test_a_wrong_secret_is_refused(identity, new_person):
    credential = new_person().application_credential()
    for secret in ("wrong", "", "x" + credential["secret"], credential["secret"].swapcase()):
        with pytest.raises(exceptions.Unauthorized):
            api(identity, credential_login(identity, credential, application_credential_secret=secret)).get_token()


def test_a_secret_that_was_good_is_refused_once_its_credential_is_deleted(identity, new_person):
    person = new_person()
    credential = person.application_credential()
    token = api(identity, credential_login(identity, credential)).get_token()
    person.api().delete(f"/users/{person.id}/application_credentials/{credential['id']}")
    # The reference tells that there is no such credential; we tell nobody which ids exist.
    refusal = exceptions.NotFound if identity.is_reference else exceptions.Unauthorized
    with pytest.raises(refusal):
        api(identity, credential_login(identity, credential)).get_token()
    with pytest.raises(exceptions.NotFound):
        person.admin.get("/auth/tokens", headers={"X-Subject-Token": token})


def test_an_application_credential_ends_at_its_hour(identity, admin, new_person):
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=12)
    credential = new_person().application_credential(expires_at=expires.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    body = token_body(admin, api(identity, credential_login(identity, credential)).get_token())
    assert body["expires_at"] == expires.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    time.sleep((expires - datetime.datetime.now(datetime.UTC)).total_seconds() + 0.1)
    with pytest.raises(exceptions.Unauthorized):
        api(identity, credential_login(identity, credential)).get_token()


def test_only_an_unrestricted_credential_makes_another(identity, new_person):
    person = new_person()
    path = f"/users/{person.id}/application_credentials"
    body = {"application_credential": {"name": unique("second")}}
    restricted = api(identity, credential_login(identity, person.application_credential()))
    with pytest.raises(exceptions.Forbidden):
        restricted.post(path, json=body)
    unrestricted = api(identity, credential_login(identity, person.application_credential(unrestricted=True)))
    assert unrestricted.post(path, json=body).status_code == 201


def test_a_delegated_token_buys_no_other(identity, new_person):
    person = new_person()
    token = api(identity, credential_login(identity, person.application_credential())).get_token()
    with pytest.raises(exceptions.Forbidden):
        api(identity, v3.Token(auth_url(identity), token, project_id=person.project_id)).get_token()


# OAuth 2.0


def oauth2_login(identity, credential, **change):
    fields = {
        "oauth2_endpoint": f"{identity.url}/v3/OS-OAUTH2/token",
        "oauth2_client_id": credential["id"],
        "oauth2_client_secret": credential["secret"],
    }
    return v3.OAuth2ClientCredential(auth_url(identity), **fields | change)


def test_client_credentials_give_both_headers_for_the_same_rights(identity, admin, new_person):
    person = new_person()
    credential = person.application_credential()
    client = api(identity, oauth2_login(identity, credential))
    assert client.get(f"/users/{person.id}").json()["user"]["name"] == person.name
    headers = client.session.get_auth_headers()
    scheme, bearer = headers["Authorization"].split()
    assert scheme == "Bearer"
    for token in (bearer, headers["X-Auth-Token"]):
        body = token_body(admin, token)
        assert body["application_credential"]["id"] == credential["id"]
        assert body["project"]["id"] == person.project_id


def test_client_credentials_with_a_wrong_secret_buy_nothing(identity, new_person):
    credential = new_person().application_credential()
    with pytest.raises(exceptions.Unauthorized):
        api(identity, oauth2_login(identity, credential, oauth2_client_secret="wrong")).get_token()


def test_the_plugin_tells_what_the_token_endpoint_said(identity, new_person):
    credential = new_person().application_credential()
    client = api(identity, oauth2_login(identity, credential))
    assert client.get_token()
    client.session.auth.oauth2_client_secret = "wrong"
    with pytest.raises(exceptions.ClientException, match="The request you have made requires authentication."):
        client.get("/projects")
