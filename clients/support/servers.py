"""Starting and stopping an identity server: Archstone, or the reference Keystone in its place."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
ADMIN_PASSWORD = "correct horse battery staple"


def archstone_binary():
    """The binary under test: $ARCHSTONE_BIN, or where scripts and cargo leave a debug build."""
    if "ARCHSTONE_BIN" in os.environ:
        return Path(os.environ["ARCHSTONE_BIN"])
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    target = Path(os.environ.get("CARGO_TARGET_DIR", cache / "archstone" / "target"))
    return target / "debug" / "archstone"


def free_port():
    """A TCP port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Identity:
    """One identity server on loopback, and what a client needs to reach it.

    `directory` is its data folder: clouds.yaml and keystone.conf are there after the first start,
    and `output` holds what the server printed since it started last.
    """

    def __init__(self, directory):
        self.directory = directory
        self.https_port = free_port()
        self.http_port = free_port()
        self.url = f"https://127.0.0.1:{self.https_port}"
        self.plain_url = f"http://127.0.0.1:{self.http_port}"
        self.output = directory.with_name(f"{directory.name}-{self.http_port}.out")
        self.process = None

    def command(self):
        """The command line that serves `directory`, filling it first where it is empty."""
        raise NotImplementedError

    def start(self, command=None):
        """Starts the server and returns once it answers."""
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(command or self.command(), stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 300
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                code = self.stop()
                raise RuntimeError(f"the server does not answer (it ended with {code}):\n{self.printed()}")
            time.sleep(0.05)
        return self

    def stop(self):
        """Asks the server to end and waits for that; answers its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self):
        """Ends the server without asking."""
        self.process.kill()
        self.process.wait()

    def printed(self):
        """What the server wrote to its standard streams since it was started last."""
        return self.output.read_text(errors="replace")

    @property
    def cloud(self):
        """The name of the cloud in clouds.yaml."""
        [name] = self._clouds()
        return name

    @property
    def cacert(self):
        """The file with the certificate that signed the server's."""
        return Path(self._clouds()[self.cloud]["cacert"])

    @property
    def region(self):
        """The region of the server's endpoints in its catalog."""
        return self._clouds()[self.cloud]["region_name"]

    @property
    def database(self):
        """The SQLite file of a server that was not told of another database."""
        [file] = self.directory.glob("*.db")
        return file

    def _clouds(self):
        return yaml.safe_load((self.directory / "clouds.yaml").read_text())["clouds"]

    def _answers(self):
        try:
            requests.get(f"{self.plain_url}/v3", timeout=5)
            return True
        except (requests.ConnectionError, requests.Timeout):
            return False


class Archstone(Identity):
    """The server this repository builds, started as a newcomer would."""

    is_reference = False

    def command(self):
        return [
            archstone_binary(),
            "quickstart",
            "--data-dir", self.directory,
            "--https", f"127.0.0.1:{self.https_port}",
            "--http", f"127.0.0.1:{self.http_port}",
            "--admin-password", ADMIN_PASSWORD,
        ]  # fmt: skip

    def without_password(self):
        """The command line of someone who leaves the password to the server."""
        command = self.command()
        at = command.index("--admin-password")
        return command[:at] + command[at + 2 :]

    def move(self, connection):
        """Begins again on another database, which is empty. The server does not run meanwhile."""
        configuration = self.directory / "keystone.conf"
        with open(configuration, "a", encoding="utf-8") as file:
            file.write(f"\n[database]\nconnection = {connection}\n[identity]\npassword_hash_rounds = 4\n")
        bootstrap = ["bootstrap", "--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", "RegionOne"]
        for interface in ("public", "internal", "admin"):
            bootstrap += [f"--bootstrap-{interface}-url", f"{self.url}/v3"]
        for command in (["db_sync"], bootstrap):
            subprocess.run([archstone_binary(), "--config-file", configuration, *command], check=True)

    def serve(self):
        """The command line that serves `directory` as its keystone.conf says."""
        return [archstone_binary(), "serve", "--config-file", self.directory / "keystone.conf"]


class Keystone(Identity):
    """The reference: Keystone from PyPI under uWSGI."""

    is_reference = True
    connection = None

    def command(self):
        command = [
            sys.executable,
            REPOSITORY / "scripts" / "keystone",
            "--data-dir", self.directory,
            "--https", f"127.0.0.1:{self.https_port}",
            "--http", f"127.0.0.1:{self.http_port}",
            "--admin-password", ADMIN_PASSWORD,
            # The cheapest hash: these tests log in often, and are about other things.
            "--set", "identity.password_hash_rounds=4",
        ]  # fmt: skip
        if self.connection:
            command += ["--connection", self.connection]
        return command


def under_test():
    """The class of the server to test: IDENTITY=oracle chooses the reference."""
    return Keystone if os.environ.get("IDENTITY") == "oracle" else Archstone
