"""keystonemiddleware, which every OpenStack service has in front of it: auth_token and oauth2_token."""

import json
import threading
import wsgiref.simple_server

import pytest
import requests
from keystonemiddleware import auth_token, oauth2_token

from support.people import Person, unique

IDENTITY_HEADERS = ("HTTP_X_USER_ID", "HTTP_X_PROJECT_ID", "HTTP_X_ROLES")


def report(environ, start_response):
    """The protected service: replies with what the middleware says of the caller."""
    start_response("200 OK", [("Content-Type", "application/json")])
    caller = {name.removeprefix("HTTP_"): environ[name] for name in IDENTITY_HEADERS}
    return [json.dumps(caller | {"PATH": environ["PATH_INFO"]}).encode()]


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def service_user(identity, admin):
    """Who the middleware itself logs in as: a user with nothing but the role service."""
    return Person.create(identity, admin, ["service"])


@pytest.fixture(scope="module")
def service_type(admin):
    """The protected service's type in the catalog, which access rules name."""
    name = unique("reports")
    service = admin.post("/services", json={"service": {"type": name, "name": name}}).json()["service"]
    endpoint = {"service_id": service["id"], "interface": "public", "url": "http://reports.example/"}
    admin.post("/endpoints", json={"endpoint": endpoint})
    return name


@pytest.fixture(scope="module", params=["auth_token", "oauth2_token"])
def service(request, identity, service_user, service_type):
    """The service behind one of the middlewares: call it with a path and a token."""
    settings = {
        "auth_type": "password",
        "auth_url": f"{identity.url}/v3",
        "username": service_user.name,
        "password": service_user.password,
        "user_domain_id": "default",
        "project_id": service_user.project_id,
        "cafile": str(identity.cacert),
        "service_type": service_type,
        "www_authenticate_uri": f"{identity.url}/v3",
        # The middleware would trust an answer for five minutes, and hide what the server says now.
        "token_cache_time": "-1",
    }
    middleware = {"auth_token": auth_token.AuthProtocol, "oauth2_token": oauth2_token.OAuth2Protocol}[request.param]
    header = {"auth_token": "X-Auth-Token: {}", "oauth2_token": "Authorization: Bearer {}"}[request.param]
    application = middleware(report, settings)
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application, handler_class=QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def call(token, path="/reports/1", method="GET"):
        name, value = header.format(token).split(": ", 1)
        return requests.request(
            method, f"http://127.0.0.1:{server.server_port}{path}", headers={name: value}, timeout=30
        )

    yield call
    server.shutdown()
    thread.join()
    server.server_close()


def bought_token(identity, credential):
    """An access token for client credentials."""
    answer = requests.post(
        f"{identity.url}/v3/OS-OAUTH2/token",
        data={"grant_type": "client_credentials"},
        auth=(credential["id"], credential["secret"]),
        verify=str(identity.cacert),
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()["access_token"]


def assert_refused(identity, answer):
    assert answer.status_code == 401
    message = "The request you have made requires authentication."
    assert answer.json() == {"error": {"code": 401, "title": "Unauthorized", "message": message}}
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{identity.url}/v3"'


def test_the_service_learns_who_calls(identity, new_person, service):
    person = new_person("member")
    answer = service(bought_token(identity, person.application_credential()))
    assert answer.status_code == 200
    caller = answer.json()
    assert set(caller.pop("X_ROLES").split(",")) == {"member", "reader"}
    assert caller == {"X_USER_ID": person.id, "X_PROJECT_ID": person.project_id, "PATH": "/reports/1"}


def test_a_password_token_serves_as_well(identity, new_person, service):
    person = new_person("reader")
    answer = service(person.api().get_token())
    assert answer.status_code == 200
    assert answer.json()["X_ROLES"] == "reader"


@pytest.mark.parametrize("token", ["garbage", "gAAAAABrA4wq", ""])
def test_garbage_is_refused(identity, service, token):
    assert_refused(identity, service(token))


def test_the_credential_may_be_deleted_meanwhile(identity, new_person, service):
    person = new_person()
    credential = person.application_credential()
    token = bought_token(identity, credential)
    assert service(token).status_code == 200
    person.api().delete(f"/users/{person.id}/application_credentials/{credential['id']}")
    assert_refused(identity, service(token))


def test_the_user_may_be_disabled_meanwhile(identity, new_person, service):
    person = new_person()
    token = bought_token(identity, person.application_credential())
    assert service(token).status_code == 200
    person.update(enabled=False)
    assert_refused(identity, service(token))


def test_the_token_may_be_revoked_meanwhile(identity, new_person, service):
    person = new_person()
    credential = person.application_credential()
    token, other = bought_token(identity, credential), bought_token(identity, credential)
    assert service(token).status_code == 200
    person.admin.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert_refused(identity, service(token))
    assert service(other).status_code == 200


def test_roles_are_those_of_now_and_without_any_the_token_is_worth_nothing(identity, admin, new_person, service):
    person = new_person("member", "reader")
    token = bought_token(identity, person.application_credential())
    assert set(service(token).json()["X_ROLES"].split(",")) == {"member", "reader"}
    admin.delete(person.grant("member"))
    assert service(token).json()["X_ROLES"] == "reader"
    admin.delete(person.grant("reader"))
    assert_refused(identity, service(token))


def test_access_rules_say_what_may_be_called(identity, new_person, service, service_type):
    rules = [
        {"service": service_type, "method": "GET", "path": "/reports/*"},
        {"service": service_type, "method": "POST", "path": "/reports"},
        {"service": "another", "method": "DELETE", "path": "/reports/*"},
    ]
    token = bought_token(identity, new_person().application_credential(access_rules=rules))
    assert service(token, "/reports/1").status_code == 200
    assert service(token, "/reports", method="POST").status_code == 200
    assert_refused(identity, service(token, "/reports/1/pages"))
    assert_refused(identity, service(token, "/reports"))
    assert_refused(identity, service(token, "/reports/1", method="POST"))
    assert_refused(identity, service(token, "/reports/1", method="DELETE"))


def test_a_token_with_access_rules_is_unknown_to_who_does_not_check_them(identity, admin, new_person, service_type):
    rules = [{"service": service_type, "method": "GET", "path": "/reports/*"}]
    token = bought_token(identity, new_person().application_credential(access_rules=rules))
    plain = admin.get("/auth/tokens", headers={"X-Subject-Token": token}, raise_exc=False)
    assert plain.status_code == 404
    headers = {"X-Subject-Token": token, "OpenStack-Identity-Access-Rules": "1.0"}
    [rule] = admin.get("/auth/tokens", headers=headers).json()["token"]["application_credential"]["access_rules"]
    assert {key: rule[key] for key in ("service", "method", "path")} == rules[0]
