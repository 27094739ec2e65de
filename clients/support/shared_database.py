"""Archstone and the reference Keystone on one database: filling it, and calling both as their users do."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import requests

from support.people import unique
from support.servers import ADMIN_PASSWORD, REPOSITORY, archstone_binary


def listen(directory, archstone):
    """The addresses of Archstone, which count more than those of the first start."""
    (directory / "listen.conf").write_text(f"""\
[archstone]
http_listen = 127.0.0.1:{archstone.http_port}
https_listen =
""")


def write_configuration(directory, url):
    """One file for both."""
    (directory / "keystone.conf").write_text(f"""\
[database]
connection = {url.replace("$", "$$")}

[identity]
password_hash_rounds = 4

[fernet_tokens]
key_repository = {directory}/fernet-keys

[fernet_receipts]
key_repository = {directory}/fernet-keys

[credential]
key_repository = {directory}/credential-keys
""")


def make_with_keystone(directory, url):
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    manage_keystone(directory, "fernet_setup", *owner)
    manage_keystone(directory, "credential_setup", *owner)
    manage_keystone(directory, "db_sync")
    manage_keystone(directory, "bootstrap", *first_things(url))


def make_with_archstone(directory, url):
    manage_archstone(directory, "fernet_setup")
    manage_archstone(directory, "credential_setup")
    manage_archstone(directory, "db_sync")
    manage_archstone(directory, "bootstrap", *first_things(url))


def manage_keystone(directory, *command):
    manage = Path(sys.executable).with_name("keystone-manage")
    run([manage, "--config-file", directory / "keystone.conf", *command])


def manage_archstone(directory, *command):
    run([archstone_binary(), *command, "--config-file", directory / "keystone.conf"])


def first_things(url):
    return [
        f"--bootstrap-password={ADMIN_PASSWORD}",
        "--bootstrap-region-id=RegionOne",
        *(f"--bootstrap-{interface}-url={url}/v3" for interface in ("public", "internal", "admin")),
    ]


def run(command):
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, f"{command}: {ran.stderr}"


def serve_with_keystone(server):
    return [
        sys.executable,
        REPOSITORY / "scripts" / "keystone",
        "--data-dir", server.directory,
        "--http", f"127.0.0.1:{server.http_port}",
    ]  # fmt: skip


@dataclasses.dataclass
class Api:
    """One server, as its administrator and others call it."""

    url: str
    _token: str = None

    @property
    def token(self):
        """The administrator's token, issued here."""
        if self._token is None:
            self._token = self.login(password("admin", ADMIN_PASSWORD), ADMIN_PROJECT).token
        return self._token

    def call(self, method, path, body=None, token=None, **headers):
        headers = {"X-Auth-Token": token or self.token, **headers}
        return requests.request(method, f"{self.url}/v3{path}", json=body, headers=headers, timeout=60)

    def get(self, path, **more):
        return self._good(self.call("GET", path, **more))

    def create(self, path, kind, token=None, **fields):
        return self._good(self.call("POST", path, {kind: fields}, token=token))[kind]

    def do(self, method, path, body=None, token=None, **headers):
        self._good(self.call(method, path, body, token, **headers))

    def login(self, identity, scope=None):
        """A login of any kind, good or not."""
        auth = {"identity": identity} | ({"scope": scope} if scope else {})
        return Login(requests.post(f"{self.url}/v3/auth/tokens", json={"auth": auth}, timeout=60))

    def obtain(self, credential):
        """A token from the OAuth 2.0 token endpoint."""
        form = {"grant_type": "client_credentials"}
        basic = (credential["id"], credential["secret"])
        answer = requests.post(f"{self.url}/v3/OS-OAUTH2/token", form, auth=basic, timeout=60)
        return self._good(answer)["access_token"]

    def validate(self, token):
        """Status and body of the validation of a token."""
        answer = self.call("GET", "/auth/tokens", **{"X-Subject-Token": token})
        return answer.status_code, answer.json().get("token")

    @staticmethod
    def _good(answer):
        assert answer.ok, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


class Login:
    """What a login was answered with."""

    def __init__(self, answer):
        self.status = answer.status_code
        self.token = answer.headers.get("X-Subject-Token")


ADMIN_PROJECT = {"project": {"name": "admin", "domain": {"id": "default"}}}


def password(name, word):
    return {
        "methods": ["password"],
        "password": {"user": {"name": name, "domain": {"id": "default"}, "password": word}},
    }


def secret(credential):
    given = {key: credential[key] for key in ("id", "secret")}
    return {"methods": ["application_credential"], "application_credential": given}


def in_order(document):
    """The document with lists in one order, for what has none; and without links, which name the host."""
    if isinstance(document, dict):
        return {key: in_order(value) for key, value in document.items() if key != "links"}
    if isinstance(document, list):
        return sorted(map(in_order, document), key=lambda item: json.dumps(item, sort_keys=True))
    return document


def eventually(seconds, condition):
    """Waits for a condition to hold, and no longer than promised."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@dataclasses.dataclass
class Somebody:
    """A user who is member of a project."""

    id: str
    name: str
    password: str
    project: str

    @classmethod
    def at(cls, server):
        name, word = unique("user"), unique("password")
        project = server.create("/projects", "project", name=unique("project"))["id"]
        user = server.create("/users", "user", name=name, password=word, domain_id="default", email="a@example.org")
        [member] = server.get("/roles?name=member")["roles"]
        server.do("PUT", f"/projects/{project}/users/{user['id']}/roles/{member['id']}")
        return cls(user["id"], name, word, project)

    def login(self, server, word=None):
        return server.login(password(self.name, word or self.password), {"project": {"id": self.project}})

    def application_credential(self, server, **fields):
        path = f"/users/{self.id}/application_credentials"
        return server.create(path, "application_credential", self.login(server).token, name=unique("app"), **fields)
