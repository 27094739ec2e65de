"""Measures how long a start takes, with an existing SQLite database.

From the start of the process until `GET /v3` is answered, and until a token that an earlier start
issued is validated, each asked again every millisecond. Archstone is $ARCHSTONE_BIN, or built as a
release.
"""

import argparse
import http.client
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "bench"))
sys.path.insert(0, str(REPOSITORY / "clients"))

from load import Progress, archstone_binary  # noqa: E402
from support.servers import free_port  # noqa: E402

PASSWORD = "correct horse battery staple"
LOGIN = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}},
        },
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
    }
}


def main():
    parser = argparse.ArgumentParser(
        prog="bench/start", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=20, help="how often it is started (%(default)s)")
    arguments = parser.parse_args()
    binary = archstone_binary(Progress())
    with tempfile.TemporaryDirectory(prefix="archstone-start-") as directory:
        folder = Path(directory) / "data"
        https, port = free_port(), free_port()
        listen = ["--https", f"127.0.0.1:{https}", "--http", f"127.0.0.1:{port}"]
        with Running([binary, "quickstart", "--data-dir", folder, "--admin-password", PASSWORD, *listen]) as server:
            server.until(port, "GET", "/v3")
            answer = server.until(port, "POST", "/v3/auth/tokens", json.dumps(LOGIN), expected=201)
            token = answer.getheader("X-Subject-Token")
        asks = {"X-Auth-Token": token, "X-Subject-Token": token}
        for what, path, headers in [("GET /v3", "/v3", {}), ("validation of a token", "/v3/auth/tokens", asks)]:
            took = []
            for _ in range(arguments.starts):
                with Running([binary, "serve", "--config-file", folder / "keystone.conf"]) as server:
                    server.until(port, "GET", path, headers=headers)
                    took.append((time.monotonic() - server.began) * 1e3)
            median, least, most = statistics.median(took), min(took), max(took)
            print(f"start to {what}: median {median:.0f} ms, {least:.0f} to {most:.0f} ms, {len(took)} starts")


class Running:
    """A server that runs as long as this is used."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.began = time.monotonic()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.log.close()

    def until(self, port, method, path, body=None, headers=None, expected=200):
        """Asks until there is the expected answer, and gives it."""
        headers = {"Content-Type": "application/json"} | (headers or {})
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == expected:
                    return answer
                sys.exit(f"{answer.status} {text.decode()}")
            except OSError:
                pass
            finally:
                connection.close()
            if self.process.poll() is not None:
                self.log.seek(0)
                sys.exit(f"it did not start:\n{self.log.read().decode()}")
            time.sleep(0.001)


if __name__ == "__main__":
    main()
