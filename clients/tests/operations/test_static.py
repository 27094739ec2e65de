"""The static binary: what it may weigh, and that it needs nothing of the system it runs on."""

import os
import shutil
import socketserver
import struct
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.databases import database
from support.servers import ADMIN_PASSWORD, Archstone

pytestmark = [
    pytest.mark.skipif("ARCHSTONE_STATIC_BIN" not in os.environ, reason="$ARCHSTONE_STATIC_BIN names no binary"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root changes its root"),
]

LARGEST = 30_000_000


@pytest.fixture
def root(tmp_path):
    """A root with nothing in it but the binary."""
    root = tmp_path / "root"
    root.mkdir()
    binary = root / "archstone"
    binary.write_bytes(Path(os.environ["ARCHSTONE_STATIC_BIN"]).read_bytes())
    binary.chmod(0o755)
    return root


class InRoot(Archstone):
    """A server that sees a root of its own."""

    def __init__(self, root):
        super().__init__(root / "data")
        self.output = root.with_name("output")
        self.root = root

    def command(self):
        binary, *arguments = super().command()
        seen = ["/data" if argument == self.directory else argument for argument in arguments]
        return ["chroot", self.root, "/archstone", *seen]

    @property
    def cacert(self):
        return self.root / super().cacert.relative_to("/")


def token(server):
    """Obtains a token over TLS, from outside."""
    login = (
        '{"auth": {"identity": {"methods": ["password"], "password": {"user": '
        f'{{"name": "admin", "domain": {{"id": "default"}}, "password": "{ADMIN_PASSWORD}"}}}}}}}}}}'
    )
    curl = ["curl", "--silent", "--fail", "--show-error", "--include", "--cacert", server.cacert]
    curl += ["--header", "Content-Type: application/json", "--data", login, f"{server.url}/v3/auth/tokens"]
    ran = subprocess.run(curl, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stderr}\n{server.printed()}"
    [line] = [line for line in ran.stdout.splitlines() if line.lower().startswith("x-subject-token:")]
    return line.split()[1]


def run(root, *arguments):
    """Runs a command of the binary in that root, with an empty environment."""
    command = [shutil.which("chroot"), root, "/archstone", *arguments]
    return subprocess.run(command, capture_output=True, env={}, text=True)


def test_it_is_one_small_file_that_loads_no_library(root):
    binary = root / "archstone"
    assert binary.stat().st_size <= LARGEST
    headers = subprocess.run(["readelf", "--program-headers", "--dynamic", binary], capture_output=True, check=True, text=True)
    assert "INTERP" not in headers.stdout
    assert "(NEEDED)" not in headers.stdout


def test_it_serves_in_an_empty_root_and_again_after_a_stop(root):
    server = InRoot(root)
    server.start()
    try:
        assert token(server)
        assert server.stop() == 0
        server.start()
        assert "again" in server.printed()
        assert token(server)
    finally:
        server.stop()
    assert sorted(path.name for path in root.iterdir()) == ["archstone", "data"]


def test_it_finds_a_database_by_a_name_of_the_file_hosts(root, tmp_path):
    (root / "etc").mkdir()
    (root / "etc" / "hosts").write_text("127.0.0.1 database.test\n")
    with database("mariadb", tmp_path) as url:
        synced = run(root, "--config-file", configuration(root, url), "db_sync")
        assert synced.returncode == 0, synced.stderr


def test_it_finds_a_database_by_the_name_service(root, tmp_path):
    (root / "etc").mkdir()
    (root / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    with name_server(), database("postgres", tmp_path) as url:
        synced = run(root, "--config-file", configuration(root, url), "db_sync")
        assert synced.returncode == 0, synced.stderr


def configuration(root, url):
    """A keystone.conf that names the database by a name; its path within the root."""
    (root / "keystone.conf").write_text(f"[database]\nconnection = {url.replace('127.0.0.1', 'database.test')}\n")
    return "/keystone.conf"


class Answer(socketserver.BaseRequestHandler):
    """Says of every name that it is on loopback, and has no address of IPv6."""

    def handle(self):
        query, socket = self.request
        name_end = query.index(b"\0", 12) + 1
        question = query[12 : name_end + 4]
        [kind] = struct.unpack("!H", query[name_end : name_end + 2])
        found = kind == 1
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, found, 0, 0)
        address = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([127, 0, 0, 1])
        socket.sendto(head + question + (address if found else b""), self.client_address)


@contextmanager
def name_server():
    """A name server where a root without any choice of port looks for one."""
    try:
        server = socketserver.ThreadingUDPServer(("127.0.0.1", 53), Answer)
    except OSError as error:
        pytest.skip(f"no name server of ours: {error}")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
