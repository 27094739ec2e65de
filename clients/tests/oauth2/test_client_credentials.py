"""curl at POST /v3/OS-OAUTH2/token: client credentials (RFC 6749 §4.4) for application credentials."""

import base64
import datetime
import json
import subprocess
import time
import urllib.parse

import pytest
from authlib.integrations.requests_client import OAuth2Session

GRANT = ["-d", "grant_type=client_credentials"]


class Answer:
    """A status, headers with lower-case names, and a JSON body."""

    def __init__(self, text):
        head, self.body = text.split("\r\n\r\n", 1)
        status, *lines = head.split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """Status, error code and description of an OAuth 2.0 error (RFC 6749 §5.2)."""
        assert self.headers["content-type"] == "application/json"
        assert set(self.json) == {"error", "error_description"}
        return self.status, self.json["error"], self.json["error_description"]


@pytest.fixture
def curl(identity):
    """Calls the token endpoint with curl; its answers must keep caches away (RFC 6749 §5.1)."""

    def call(*arguments, path="/v3/OS-OAUTH2/token"):
        command = ["curl", "-s", "-i", "--http1.1", "--cacert", identity.cacert, *arguments, f"{identity.url}{path}"]
        answer = Answer(subprocess.run(command, capture_output=True, check=True).stdout.decode())
        if path.endswith("/token") and answer.status != 405 and not identity.is_reference:
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["pragma"] == "no-cache"
        return answer

    return call


@pytest.fixture
def credential(new_person):
    return new_person().application_credential()


def basic(credential):
    return ["-u", f"{credential['id']}:{credential['secret']}"]


def form(client_id, client_secret):
    return ["--data-urlencode", f"client_id={client_id}", "--data-urlencode", f"client_secret={client_secret}"]


INVALID_CLIENT = (401, "invalid_client", "Client authentication failed.")
REFUSED = (401, "invalid_client", "The request you have made requires authentication.")


def absent(identity):
    """The refusal of a client that is not there: the reference tells it from a wrong secret, RFC 6749 §5.2 does not."""
    if identity.is_reference:
        return (404, "other_error", "An unknown error occurred and failed to get an OAuth2.0 access token.")
    return REFUSED


# Tokens


def test_basic_authentication_buys_a_token_for_the_api(curl, credential):
    answer = curl(*basic(credential), *GRANT)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    token = answer.json["access_token"]
    assert answer.json == {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
    shown = curl("-H", f"X-Auth-Token: {token}", "-H", f"X-Subject-Token: {token}", path="/v3/auth/tokens")
    assert shown.status == 200
    body = shown.json["token"]
    assert body["methods"] == ["application_credential"]
    assert body["application_credential"]["id"] == credential["id"]
    assert body["project"]["id"] == credential["project_id"]


def test_the_form_buys_the_same(curl, credential):
    answer = curl(*GRANT, *form(credential["id"], credential["secret"]))
    assert answer.status == 200
    assert set(answer.json) == {"access_token", "expires_in", "token_type"}


def test_basic_authentication_is_preferred_to_the_form(curl, credential):
    assert curl(*basic(credential), *GRANT, *form("someone", "else")).status == 200
    wrong = [*GRANT, *form(credential["id"], credential["secret"]), "-u", f"{credential['id']}:wrong"]
    assert curl(*wrong).error == REFUSED


def test_no_token_and_no_json_is_asked_for(curl, credential):
    headers = ["-H", "X-Auth-Token: garbage", "-H", "Accept: text/html"]
    assert curl(*headers, *basic(credential), *GRANT).status == 200


# Secrets of which encoding makes something else (RFC 6749 §2.3.1)


SECRETS = ["p+q/r% s:é", "100%25", "a b", "%41", "plain"]


def encoded(text):
    """As golang.org/x/oauth2, Spring and openid-client do before HTTP Basic."""
    return urllib.parse.quote_plus(text, safe="")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_accepted_as_it_is(curl, new_person, secret):
    credential = new_person().application_credential(secret=secret)
    assert curl(*basic(credential), *GRANT).status == 200
    assert curl(*GRANT, *form(credential["id"], secret)).status == 200


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_accepted_encoded(curl, identity, new_person, secret):
    if identity.is_reference:
        pytest.skip("Keystone takes what is in HTTP Basic as it is")
    credential = new_person().application_credential(secret=secret)
    sent = ["-u", f"{encoded(credential['id'])}:{encoded(secret)}"]
    assert curl(*sent, *GRANT).status == 200
    assert curl("-u", f"{credential['id']}:{encoded(secret)}x", *GRANT).error == REFUSED


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_gets_a_token_with_any_secret(identity, new_person, method):
    for secret in SECRETS:
        credential = new_person().application_credential(secret=secret)
        client = OAuth2Session(credential["id"], secret, token_endpoint_auth_method=method)
        url = f"{identity.url}/v3/OS-OAUTH2/token"
        token = client.fetch_token(url, grant_type="client_credentials", verify=str(identity.cacert))
        assert token["token_type"] == "Bearer"


# Requests that are wrong in form


@pytest.mark.parametrize("name", ["grant_type", "client_id", "scope"])
def test_a_parameter_is_given_once(curl, identity, credential, name):
    if identity.is_reference:
        pytest.skip("Keystone takes the first")
    answer = curl(*basic(credential), *GRANT, "-d", f"client_id=x&scope=y&{name}=z")
    assert answer.error == (400, "invalid_request", f"The parameter {name} is given more than once.")


@pytest.mark.parametrize(
    "body",
    [
        ["-d", ""],
        ["-d", "client_id=x&client_secret=y"],
        ["-H", "Content-Type: application/json", "-d", '{"grant_type": "client_credentials"}'],
    ],
)
def test_the_grant_type_is_required(curl, credential, body):
    answer = curl(*basic(credential), *body)
    assert answer.error == (400, "invalid_request", "The parameter grant_type is required.")


@pytest.mark.parametrize("grant_type", ["password", "authorization_code", "refresh_token", "", "Client_Credentials"])
def test_no_other_grant_is_supported(curl, credential, grant_type):
    answer = curl(*basic(credential), "-d", f"grant_type={grant_type}")
    assert answer.error == (400, "unsupported_grant_type", f"The parameter grant_type {grant_type} is not supported.")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_only_post_is_allowed(curl, method):
    answer = curl("-X", method)
    assert answer.error == (405, "other_error", "The method is not allowed for the requested URL.")


# Clients that are refused


@pytest.mark.parametrize(
    "authentication",
    [
        [],
        ["-d", "client_id=&client_secret=secret"],
        ["-d", "client_secret=secret"],
        ["-d", "client_id=someone"],
        ["-u", "someone:"],
        ["-u", ":secret"],
        ["-H", "Authorization: Basic !"],
        ["-H", "Authorization: Basic " + base64.b64encode(b"no colon").decode()],
        ["-H", "Authorization: Bearer garbage"],
    ],
)
def test_a_client_must_name_itself_and_give_a_secret(curl, identity, authentication):
    answer = curl(*GRANT, *authentication)
    assert answer.error == INVALID_CLIENT
    assert answer.headers["www-authenticate"] == f'Keystone uri="{identity.url}/v3"'


def test_a_wrong_secret_is_refused(curl, identity, credential):
    for authentication in (["-u", f"{credential['id']}:wrong"], form(credential["id"], "wrong")):
        answer = curl(*GRANT, *authentication)
        assert answer.error == REFUSED
        assert answer.headers["www-authenticate"] == f'Keystone uri="{identity.url}/v3"'


def test_an_unknown_client_is_refused(curl, identity):
    assert curl(*GRANT, "-u", "nobody:secret").error == absent(identity)
    assert curl(*GRANT, *form("nobody", "secret")).error == absent(identity)


def test_a_deleted_credential_is_refused(curl, identity, new_person):
    person = new_person()
    credential = person.application_credential()
    assert curl(*basic(credential), *GRANT).status == 200
    person.api().delete(f"/users/{person.id}/application_credentials/{credential['id']}")
    assert curl(*basic(credential), *GRANT).error == absent(identity)


def test_an_expired_credential_is_refused(curl, identity, new_person):
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=4)
    credential = new_person().application_credential(expires_at=expires.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    answer = curl(*basic(credential), *GRANT)
    assert answer.status == 200
    # That of the token, which ends with the credential; the reference tells the configured one.
    assert answer.json["expires_in"] == 3600 if identity.is_reference else answer.json["expires_in"] <= 4
    time.sleep((expires - datetime.datetime.now(datetime.UTC)).total_seconds() + 0.1)
    assert curl(*basic(credential), *GRANT).error == REFUSED


def test_a_disabled_owner_is_refused(curl, new_person):
    person = new_person()
    credential = person.application_credential()
    person.update(enabled=False)
    assert curl(*basic(credential), *GRANT).error == REFUSED
    person.update(enabled=True)
    assert curl(*basic(credential), *GRANT).status == 200


def test_an_owner_without_a_role_is_refused(curl, admin, new_person):
    person = new_person("member")
    credential = person.application_credential()
    admin.delete(person.grant("member"))
    assert curl(*basic(credential), *GRANT).error == REFUSED


def test_a_disabled_project_is_refused(curl, identity, admin, new_person):
    person = new_person()
    credential = person.application_credential()
    admin.patch(f"/projects/{person.project_id}", json={"project": {"enabled": False}})
    assert curl(*basic(credential), *GRANT).error == absent(identity)
