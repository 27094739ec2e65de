"""Stopping Archstone: requests in flight are answered, and nothing makes the end take longer than said.

`[archstone] shutdown_grace` is what running requests get; 5 seconds later the process is gone,
whatever held it up.
"""

import configparser
import contextlib
import fcntl
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests

from support.databases import database
from support.proxy import Proxy
from support.servers import ADMIN_PASSWORD, Archstone, under_test

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="tests what Archstone promises")

# [archstone] shutdown_grace of these tests, and what the end may take after it, in seconds.
GRACE = 4
CLOSING = 5

# What a connection may stay without a word once it was told to end.
LINGER = 5

# What a busy machine adds.
SLACK = 3

SETTINGS = {
    "archstone": {"shutdown_grace": GRACE, "request_timeout": 60},
    "identity": {"password_hash_rounds": 4},
}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def server(request, tmp_path):
    """A server on that database."""
    with database(request.param, tmp_path) as url:
        yield from started(tmp_path, url)


@pytest.fixture
def small_server(tmp_path):
    """A server on SQLite, for what has nothing to do with its database."""
    with database("sqlite", tmp_path) as url:
        yield from started(tmp_path, url)


def started(directory, url):
    server = Archstone(directory / "data")
    server.start()
    assert stop(server)[0] == 0
    configure(server, SETTINGS | {"database": {"connection": url.replace("$", "$$")}})
    server.start()
    yield server
    # Whatever a test has left of it.
    if server.process.poll() is None:
        server.kill()


def configure(server, settings):
    """Sets options in the server's keystone.conf, which quickstart takes up."""
    options = configparser.RawConfigParser()
    options.read(server.directory / "keystone.conf")
    for section, values in settings.items():
        if section != "DEFAULT" and not options.has_section(section):
            options.add_section(section)
        for option, value in values.items():
            options[section][option] = str(value)
    with open(server.directory / "keystone.conf", "w") as file:
        options.write(file)


def reconfigure(server, settings):
    """Starts it again with other options."""
    assert stop(server)[0] == 0
    configure(server, settings)
    server.start()


def ask_to_stop(server):
    # Before it, for this program may be slow to come to the next line.
    asked_at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    return asked_at


def ended(server, asked_at, limit=60):
    """Waits for the end: the exit status, and how many seconds it took."""
    status = server.process.wait(timeout=limit)
    return status, time.monotonic() - asked_at


def stop(server):
    return ended(server, ask_to_stop(server))


def login_body(password=ADMIN_PASSWORD):
    user = {"name": "admin", "domain": {"id": "default"}, "password": password}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}


def login(server):
    return requests.post(f"{server.plain_url}/v3/auth/tokens", json=login_body(), timeout=60)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def connect_tls(server):
    context = ssl.create_default_context(cafile=server.cacert)
    return context.wrap_socket(connect(server.https_port), server_hostname="127.0.0.1")


def is_stopping(server):
    """Whether nobody listens any more."""
    try:
        connect(server.http_port).close()
        return False
    except OSError:
        return True


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def answer(connection):
    """The whole answer to one request: status and body."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()):
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        body = stream.read(length)
        assert len(body) == length, "the answer is whole"
        return status, body


def is_closed(connection):
    """Waits for the other end to close."""
    try:
        return connection.recv(1) == b""
    except (ConnectionResetError, ssl.SSLError):
        return True


class Crowd:
    """Threads that ask for the same again and again, each on one connection."""

    def __init__(self, server, size, path, headers):
        self.statuses, self.broken = [], []
        self._server, self._path, self._headers = server, path, headers
        self._threads = [threading.Thread(target=self._ask) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def join(self):
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask(self):
        fields = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
        request = f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()
        with contextlib.suppress(ConnectionError), connect(self._server.http_port) as connection:
            while True:
                connection.sendall(request)
                with connection.makefile("rb") as stream:
                    head = stream.readline()
                    if not head:
                        # A connection may be closed between two requests, but not within an answer.
                        return
                    length = 0
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        name, value = line.split(b":", 1)
                        if name.lower() == b"content-length":
                            length = int(value)
                    if line == b"" or len(stream.read(length)) < length:
                        self.broken.append(head)
                        return
                self.statuses.append(int(head.split()[1]))


@pytest.mark.parametrize("path", ["/v3/auth/tokens", "/v3/users"])
def test_a_crowd_on_open_connections_is_answered_to_the_end(server, path):
    token = login(server).headers["X-Subject-Token"]
    crowd = Crowd(server, 40, path, {"X-Auth-Token": token, "X-Subject-Token": token})
    eventually(lambda: len(crowd.statuses) > 400, 60)
    status, seconds = stop(server)
    crowd.join()
    assert status == 0
    assert seconds < GRACE, "nobody had to be cut off"
    assert set(crowd.statuses) == {200}
    assert crowd.broken == []
    assert "did not let go" not in server.printed()


def test_a_crowd_that_has_left_amid_its_requests_does_not_hold_up_the_end(server):
    token = login(server).headers["X-Subject-Token"]
    head = f"GET /v3/users HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {token}\r\n\r\n".encode()
    for number in range(300):
        with connect(server.http_port) as connection:
            connection.sendall(head)
            time.sleep(number % 10 / 2000)
    status, seconds = stop(server)
    assert status == 0
    assert seconds < SLACK
    assert "did not let go" not in server.printed()


def test_connections_that_only_wait_are_closed_at_once(small_server):
    server = small_server
    waiting = []
    for _ in range(20):
        idle, fresh = connect(server.http_port), connect(server.http_port)
        idle.sendall(b"GET /v3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(idle)[0] == 200
        secure_idle, secure_fresh = connect_tls(server), connect_tls(server)
        secure_idle.sendall(b"GET /v3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(secure_idle)[0] == 200
        # The begin of a handshake (RFC 8446, section 5.1), and not even that.
        half, silent = connect(server.https_port), connect(server.https_port)
        half.sendall(b"\x16\x03\x01")
        waiting += [idle, fresh, secure_idle, secure_fresh, half, silent]
    # All of them are accepted by now.
    assert requests.get(f"{server.plain_url}/v3", timeout=60).ok
    assert requests.get(f"{server.url}/v3", verify=server.cacert, timeout=60).ok
    status, seconds = stop(server)
    assert status == 0
    assert seconds < SLACK
    assert all(map(is_closed, waiting))


def test_clients_that_say_nothing_more_are_given_up_after_a_while(small_server):
    configure_grace(small_server, 30)
    head, connection = connect(small_server.http_port), connect(small_server.http_port)
    head.sendall(b"GET /v3 HTTP/1.1\r\nHo")
    # HTTP/2 that does not answer when it is told of the end: the preface, and empty settings (RFC 9113, sections 3.4 and 6.5).
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
    assert connection.recv(9)[3] == 4, "the server has sent its settings"
    status, seconds = stop(small_server)
    assert status == 0
    assert seconds < LINGER + SLACK
    assert is_closed(head)


def configure_grace(server, seconds):
    reconfigure(server, {"archstone": {"shutdown_grace": seconds}})


def half_a_login(server):
    """A connection on which half of a login was sent, and the other half."""
    text = requests.Request("POST", "http://localhost", json=login_body()).prepare().body
    connection = connect(server.http_port)
    head = f"POST /v3/auth/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n"
    connection.sendall(head.encode() + text[:20])
    # So that it has come as far as it can.
    time.sleep(0.5)
    return connection, text[20:]


def test_a_request_that_was_begun_may_be_finished(server):
    connection, rest = half_a_login(server)
    asked_at = ask_to_stop(server)
    eventually(lambda: is_stopping(server))
    connection.sendall(rest)
    assert answer(connection)[0] == 201
    assert is_closed(connection)
    status, seconds = ended(server, asked_at)
    assert status == 0
    assert seconds < GRACE


def test_a_request_that_never_comes_to_its_end_is_cut_off_after_the_grace(server):
    connection, _ = half_a_login(server)
    status, seconds = stop(server)
    assert status == 0
    assert GRACE <= seconds < GRACE + SLACK
    assert is_closed(connection)


def test_logins_that_wait_for_their_hash_are_answered(small_server):
    server = small_server
    hashing(server, rounds=10)
    crowd, asked_at = stop_amid_logins(server, 12)
    assert ended(server, asked_at)[0] == 0
    assert crowd() == [201] * 12


def test_hashes_that_would_take_too_long_are_not_waited_for(small_server):
    server = small_server
    # Longer for one than the grace is: then the password is remembered, and nobody has to wait.
    hashing(server, rounds=17)
    configure_grace(server, 1)
    crowd, asked_at = stop_amid_logins(server, 60)
    status, seconds = ended(server, asked_at)
    assert status == 0
    assert 1 <= seconds < 1 + CLOSING
    statuses = crowd()
    assert len(statuses) < 60, "some were cut off"
    assert set(statuses) <= {201}


def hashing(server, rounds):
    """Gives the administrator a hash that costs so much, on one thread."""
    reconfigure(server, {"archstone": {"hash_threads": 1}, "identity": {"password_hash_rounds": rounds}})
    signed = login(server)
    headers = {"X-Auth-Token": signed.headers["X-Subject-Token"]}
    me = signed.json()["token"]["user"]["id"]
    change = {"user": {"password": ADMIN_PASSWORD}}
    changed = requests.patch(f"{server.plain_url}/v3/users/{me}", json=change, headers=headers, timeout=60)
    assert changed.status_code == 200, changed.text
    # What it remembers of passwords ends with it.
    reconfigure(server, {"archstone": {"shutdown_grace": 30}})


def stop_amid_logins(server, count):
    """Stops the server with logins at work; answers what gives their statuses, and when it was."""
    statuses = []
    text = requests.Request("POST", "http://localhost", json=login_body()).prepare().body
    head = f"POST /v3/auth/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n".encode()
    connections = [connect(server.http_port) for _ in range(count)]
    for connection in connections:
        connection.sendall(head + text)
    # Long enough for all to have come in, and too short for the hashes.
    time.sleep(0.3)
    asked_at = ask_to_stop(server)

    def collect():
        for connection in connections:
            with contextlib.suppress(ConnectionError, IndexError):
                statuses.append(answer(connection)[0])
        return statuses

    return collect, asked_at


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_database_that_hangs_does_not_hold_up_the_end(kind, tmp_path):
    with database(kind, tmp_path) as url:
        for server in started(tmp_path, url):
            scheme, rest = url.split("@127.0.0.1:")
            port, name = rest.split("/")
            proxy = Proxy(int(port))
            configure(server, {"archstone": {"database_timeout": 2}})
            reconfigure(server, {"database": {"connection": f"{scheme}@127.0.0.1:{proxy.port}/{name}"}})
            token = login(server).headers["X-Subject-Token"]
            proxy.hold()
            crowd = Crowd(server, 20, "/v3/users", {"X-Auth-Token": token})
            time.sleep(0.5)
            status, seconds = stop(server)
            crowd.join()
            proxy.close()
            assert status == 0
            assert seconds < GRACE + CLOSING
            assert set(crowd.statuses) == {503}
            assert crowd.broken == []


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(small_server, first):
    server = small_server
    configure_grace(server, 30)
    _waiting = half_a_login(server)
    server.process.send_signal(first)
    eventually(lambda: is_stopping(server))
    time.sleep(0.5)
    assert server.process.poll() is None
    status, seconds = stop(server)
    assert status == 1
    assert seconds < 1 + SLACK
    assert "a second time" in server.printed()


def test_a_log_that_nobody_reads_does_not_hold_up_the_end(small_server):
    server = small_server
    assert stop(server)[0] == 0
    configure(server, {"DEFAULT": {"debug": "true"}, "archstone": {"shutdown_grace": 1}})
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    server.process = process
    fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    # Connections that break are logged, until the log is full and everything waits for it.
    deadline = time.monotonic() + 60
    refused = 0
    while refused < 10:
        assert time.monotonic() < deadline
        try:
            with socket.create_connection(("127.0.0.1", server.http_port), timeout=1) as connection:
                connection.sendall(b"nonsense\r\n\r\n")
                connection.recv(100)
        except TimeoutError:
            refused += 1
        except ConnectionError:
            time.sleep(0.05)
    asked_at = ask_to_stop(server)
    status, seconds = ended(server, asked_at)
    process.stderr.close()
    assert status == 1, "it did not come to its end by itself"
    assert 1 + CLOSING <= seconds < 1 + CLOSING + SLACK
