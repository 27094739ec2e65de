"""Archstone while its database hangs, leaves, restarts, or is not there yet.

Between the two stands a proxy that fails on demand. Each time the server has to answer within its
own limits, to come back without help, and to have done every write as a whole or not at all.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import sqlalchemy

from support.proxy import Proxy
from support.servers import ADMIN_PASSWORD, REPOSITORY, Archstone, under_test
from support.writes import WRITES, assert_whole, names

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="tests what Archstone promises")

# [archstone] database_timeout and request_timeout of these tests, in seconds.
DATABASE_TIMEOUT = 2
REQUEST_TIMEOUT = 8

# What a busy machine adds.
SLACK = 3

# Within these many seconds after the database is back, all is as before.
RECOVERY = 8


class DatabaseServer:
    """A real database server of our own, because it is stopped and started again."""

    def __init__(self, kind, directory):
        self.kind, self.directory = kind, directory
        self.start()

    def start(self):
        """Starts it on its data, most likely on another port than before."""
        self.administrator = sqlalchemy.make_url(self._run("start").strip())

    def stop(self):
        self._run("stop")

    @property
    def port(self):
        return self.administrator.port

    def url(self, name, port=None):
        """The URL of one of its databases, there or through a proxy."""
        driver = {"postgres": "postgresql+psycopg2", "mariadb": "mysql+pymysql"}[self.kind]
        url = self.administrator.set(drivername=driver, database=name, port=port or self.port)
        return url.render_as_string(hide_password=False)

    def create(self, name):
        engine = sqlalchemy.create_engine(self.url(self.administrator.database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
            if self.kind == "postgres":
                # The script's server gives that up, and is stopped as if it crashed.
                connection.execute(sqlalchemy.text(f"ALTER DATABASE {name} SET synchronous_commit = on"))
        engine.dispose()

    def _run(self, verb):
        command = [REPOSITORY / "scripts" / self.kind, verb, self.directory]
        # Files and no pipes: the server inherits them, and reading a pipe would wait for its end.
        with tempfile.TemporaryFile() as output:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            output.seek(0)
            return output.read().decode()


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def database(request):
    # Not below pytest's own folder, which the user of the database server cannot enter.
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    server = DatabaseServer(request.param, directory / request.param)
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def site(database, tmp_path_factory):
    """Archstone on a database of that server, through a proxy."""
    database.create("identity")
    proxy = Proxy(database.port)
    site = Site(database, proxy, "identity", tmp_path_factory.mktemp("failures") / "data")
    site.prepare()
    site.server.start(site.server.serve())
    yield site
    site.server.stop()
    proxy.close()


class Site:
    """A server, and the database it reaches through a proxy."""

    def __init__(self, database, proxy, name, directory, connections=""):
        self.database, self.proxy, self.name = database, proxy, name
        directory.mkdir()
        self.server = Archstone(directory)
        (directory / "keystone.conf").write_text(f"""\
[archstone]
http_listen = 127.0.0.1:{self.server.http_port}
database_timeout = {DATABASE_TIMEOUT}
request_timeout = {REQUEST_TIMEOUT}

[database]
connection = {database.url(name, proxy.port)}
retry_interval = 1
{connections}

[identity]
password_hash_rounds = 4

[fernet_tokens]
key_repository = {directory}/fernet-keys

[fernet_receipts]
key_repository = {directory}/fernet-keys

[credential]
key_repository = {directory}/credential-keys
""")
        self._token = None

    def prepare(self):
        """Makes keys, tables and the administrator."""
        self.manage("fernet_setup")
        self.manage("credential_setup")
        self.manage("db_sync")
        self.manage("bootstrap", f"--bootstrap-password={ADMIN_PASSWORD}")

    def manage(self, *command):
        configuration = ["--config-file", self.server.directory / "keystone.conf"]
        subprocess.run([self.server.serve()[0], *command, *configuration], check=True, stderr=subprocess.DEVNULL)

    @property
    def url(self):
        """The database itself, without the proxy."""
        return self.database.url(self.name)

    def login(self):
        user = {"name": "admin", "domain": {"id": "default"}, "password": ADMIN_PASSWORD}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        return requests.post(f"{self.server.plain_url}/v3/auth/tokens", json=body, timeout=60)

    @property
    def token(self):
        if self._token is None:
            answer = self.login()
            assert answer.status_code == 201, answer.text
            self._token, self.me = answer.headers["X-Subject-Token"], answer.json()["token"]["user"]["id"]
        return self._token

    def call(self, method, path, body=None):
        headers = {"X-Auth-Token": self.token}
        return requests.request(method, f"{self.server.plain_url}/v3{path}", json=body, headers=headers, timeout=60)

    def write(self, kind):
        """Makes something; answers its name and the answer."""
        _ = self.token
        path, body = WRITES[kind](self.me)
        return body[kind]["name"], self.call("POST", path, body)

    def reads(self):
        """Whether reading works."""
        return self.call("GET", "/roles").status_code == 200

    def works(self):
        """Whether reading, writing and logging in all do."""
        return (
            self.reads()
            and self.write("project")[1].status_code == 201
            and self.login().status_code == 201
        )


def assert_unavailable(answer):
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["error"]["code"] == 503


def eventually(condition, seconds=RECOVERY):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


@contextlib.contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_a_database_that_does_not_answer_makes_503_in_time(site):
    assert site.works()
    site.proxy.hold()
    try:
        for ask in (
            lambda: site.call("GET", "/projects"),
            lambda: site.write("project")[1],
            site.login,
        ):
            with within(DATABASE_TIMEOUT + SLACK):
                assert_unavailable(ask())
    finally:
        site.proxy.release()
    eventually(site.works)
    assert_whole(site.url)


def test_a_crowd_before_a_database_that_hangs_is_answered_and_hinders_nobody_else(site):
    assert site.works()
    site.proxy.hold()
    try:
        # More than there are connections.
        with ThreadPoolExecutor(80) as crowd, within(REQUEST_TIMEOUT + SLACK):
            answers = [crowd.submit(site.call, "GET", "/projects") for _ in range(80)]
            with within(1):
                # It needs no database.
                assert requests.get(f"{site.server.plain_url}/v3", timeout=60).status_code == 200
            for answer in answers:
                assert_unavailable(answer.result())
    finally:
        site.proxy.release()
    eventually(site.works)


def test_closed_connections_are_replaced_before_anybody_notices(site):
    with ThreadPoolExecutor(20) as crowd:
        for _ in range(3):
            answers = [crowd.submit(site.call, "GET", "/users") for _ in range(40)]
            assert {answer.result().status_code for answer in answers} == {200}
            site.proxy.cut()
            # A write first, then a crowd that would find other connections of before.
            assert site.write("user")[1].status_code == 201
            answers = [crowd.submit(site.call, "GET", "/users") for _ in range(40)]
            assert {answer.result().status_code for answer in answers} == {200}
            site.proxy.cut()


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("failure", ["before", "after"])
def test_a_write_that_is_cut_off_anywhere_is_done_whole_or_not_at_all(site, kind, failure):
    refused = 0
    for messages in range(200):
        eventually(site.reads)
        site.proxy.plan(messages, failure)
        name, answer = site.write(kind)
        if not site.proxy.heal():
            # The write is through with fewer messages.
            assert answer.status_code == 201, answer.text
            break
        assert_whole(site.url)
        if answer.status_code == 201:
            assert name in names(site.url, kind)
        else:
            assert_unavailable(answer)
            refused += 1
    else:
        pytest.fail("the write never came to its end")
    # One at least for each statement of the transaction.
    assert refused >= 4
    eventually(site.works)


@pytest.mark.parametrize("kind", WRITES)
def test_a_write_whose_database_hangs_midway_is_done_whole_or_not_at_all(site, kind):
    for messages in (2, 4, 6):
        eventually(site.reads)
        site.proxy.plan(messages, "hold")
        with within(REQUEST_TIMEOUT + SLACK):
            name, answer = site.write(kind)
        assert_unavailable(answer)
        assert site.proxy.heal()
        eventually(site.works)
        assert_whole(site.url)


def test_a_client_that_leaves_amid_an_answer_of_the_database_costs_no_connection(site, tmp_path):
    proxy = Proxy(site.database.port)
    single = Site(site.database, proxy, site.name, tmp_path / "single", "max_pool_size = 1\nmax_overflow = 0")
    shutil.copytree(site.server.directory / "fernet-keys", single.server.directory / "fernet-keys")
    shutil.copytree(site.server.directory / "credential-keys", single.server.directory / "credential-keys")
    single.server.start(single.server.serve())
    try:
        assert single.works()
        # The only connection has not met these statements, so that each is prepared first.
        for path, question in (("/regions", b"FROM region"), ("/services", b"FROM service"), ("/credentials", b"FROM credential")):
            headers = {"X-Auth-Token": single.token}
            proxy.split(question, 16)
            with pytest.raises(requests.Timeout):
                requests.get(f"{single.server.plain_url}/v3{path}", headers=headers, timeout=0.5)
            assert proxy.heal(), f"nobody asked {question}"
            eventually(single.works)
    finally:
        single.server.stop()
        proxy.close()


def test_a_restart_of_the_database_is_survived_with_writers_at_work(site):
    assert site.works()
    done = {kind: [] for kind in WRITES}
    statuses = set()
    stop = time.monotonic() + 6

    def work(kind):
        while time.monotonic() < stop:
            name, answer = site.write(kind)
            statuses.add(answer.status_code)
            if answer.status_code == 201:
                done[kind].append(name)
            else:
                assert_unavailable(answer)

    with ThreadPoolExecutor(6) as writers:
        working = [writers.submit(work, kind) for kind in [*WRITES, *WRITES]]
        time.sleep(1)
        before = {kind: len(found) for kind, found in done.items()}
        site.database.stop()
        time.sleep(1)
        site.database.start()
        site.proxy.backend = site.database.port
        for each in working:
            each.result()
    assert statuses == {201, 503}
    eventually(site.works)
    assert_whole(site.url)
    for kind, found in done.items():
        assert 0 < before[kind] < len(found), "writers worked before and after"
        assert set(found) <= names(site.url, kind)


@pytest.mark.parametrize("absence", ["refuse", "hold"])
def test_a_database_that_is_down_at_the_start_is_waited_for(site, tmp_path, absence):
    proxy = Proxy(site.database.port)
    late = Site(site.database, proxy, site.name, tmp_path / "late")
    shutil.copytree(site.server.directory / "fernet-keys", late.server.directory / "fernet-keys")
    shutil.copytree(site.server.directory / "credential-keys", late.server.directory / "credential-keys")
    getattr(proxy, absence)()
    late.server.start(late.server.serve())
    try:
        with within(DATABASE_TIMEOUT + SLACK):
            assert_unavailable(late.login())
        proxy.listen() if absence == "refuse" else proxy.release()
        eventually(lambda: late.login().status_code == 201)
        assert late.works()
    finally:
        late.server.stop()
        proxy.close()


def test_a_database_that_turns_out_to_be_another_ends_the_server(site, tmp_path):
    empty = f"empty_{os.getpid()}"
    site.database.create(empty)
    proxy = Proxy(site.database.port)
    wrong = Site(site.database, proxy, empty, tmp_path / "wrong")
    wrong.manage("fernet_setup")
    proxy.refuse()
    wrong.server.start(wrong.server.serve())
    proxy.listen()
    try:
        eventually(lambda: wrong.server.process.poll() is not None, DATABASE_TIMEOUT + 1 + RECOVERY)
        assert wrong.server.process.returncode == 1
        assert "archstone db_sync" in wrong.server.printed()
    finally:
        wrong.server.stop()
        proxy.close()
