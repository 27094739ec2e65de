"""Three Archstones, each on a node of its own of one Galera cluster, with one key repository.

Clients go round the nodes. What they have changed at one counts at once for a login at another, also
while the other's database is behind; and what they change at several at once is not lost.
"""

import contextlib
import itertools
import statistics
import shutil
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url

from support.people import unique
from support.servers import REPOSITORY, Archstone, under_test
from support.shared_database import Api, Somebody, eventually, make_with_archstone, secret, write_configuration

# Within these many seconds everybody knows a change, on a busy machine too.
KNOWN = 5

# A node that is cut off finds that out after as many seconds, or is back.
NOTICED = 40

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="tests what Archstone promises")


class Cluster:
    """A real cluster of our own, because one of its nodes is made to fall behind."""

    def __init__(self, directory):
        self.directory = directory
        self.nodes = [make_url(url) for url in self._run("start").split()]

    def stop(self):
        self._run("stop")

    def url(self, node, database="identity"):
        """The URL of a database, there."""
        url = self.nodes[node].set(drivername="mysql+pymysql", database=database)
        return url.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def connected(self, node):
        """What runs statements there, one by one, as a plain client does; answers their rows."""
        url = self.nodes[node]
        with pymysql.connect(host=url.host, port=url.port, user=url.username, autocommit=True) as connection:
            cursor = connection.cursor()

            def run(sql, *values):
                cursor.execute(sql, values)
                return cursor.fetchall()

            yield run

    def run(self, node, sql, *values):
        with self.connected(node) as run:
            return run(sql, *values)

    def status(self, node, name):
        """What a node says of its part in the cluster."""
        [(_, value)] = self.run(node, "SHOW STATUS WHERE variable_name = %s", name)
        return value

    @contextlib.contextmanager
    def behind(self, node):
        """Keeps a node from applying what the others commit, by the lock that a backup takes."""
        with self.connected(node) as run:
            run("FLUSH TABLES WITH READ LOCK")
            try:
                yield
            finally:
                run("UNLOCK TABLES")

    @contextlib.contextmanager
    def cut_off(self, node):
        """Keeps a node from speaking with the others; waits until it is one of them again."""
        with self.connected(node) as run:
            run("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
            try:
                yield
            finally:
                run("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
                eventually(NOTICED, lambda: self.status(node, "wsrep_local_state_comment") == "Synced")

    def conflicts(self):
        """How many transactions the nodes have refused for those of others."""
        names = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return sum(int(self.status(node, name)) for node in range(len(self.nodes)) for name in names)

    def _run(self, verb):
        command = [REPOSITORY / "scripts" / "galera", verb, self.directory]
        # Files and no pipes: the servers inherit them, and reading a pipe would wait for their end.
        with tempfile.TemporaryFile() as output:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=output)
            output.seek(0)
            return output.read().decode()


@pytest.fixture(scope="module")
def cluster():
    # Not below pytest's own folder, which the user of the database server cannot enter.
    directory = Path(tempfile.mkdtemp(prefix="galera-"))
    directory.chmod(0o755)
    try:
        cluster = Cluster(directory / "cluster")
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def directory(cluster, tmp_path_factory):
    """The folder with the configuration and the keys of all nodes."""
    directory = tmp_path_factory.mktemp("galera") / "data"
    directory.mkdir()
    cluster.run(0, "CREATE DATABASE identity")
    write_configuration(directory, cluster.url(0))
    make_with_archstone(directory, Archstone(directory).plain_url)
    return directory


@contextlib.contextmanager
def served(cluster, directory, node, database=""):
    """An Archstone on that node of the cluster, with so much more under [database]."""
    server = Archstone(directory)
    own = directory / f"{server.http_port}.conf"
    own.write_text(f"""\
[archstone]
http_listen = 127.0.0.1:{server.http_port}
https_listen =

[database]
connection = {cluster.url(node)}
retry_interval = 1
{database}
""")
    server.start([*server.serve(), "--config-file", own])
    try:
        yield Api(server.plain_url)
    finally:
        assert server.stop() == 0
        assert "panic" not in server.printed()


@pytest.fixture(scope="module")
def nodes(cluster, directory):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(served(cluster, directory, node)) for node in range(len(cluster.nodes))]


def going_round(nodes, rounds):
    """The nodes in every order of going round, each time with another first."""
    for turn in range(rounds):
        turn %= len(nodes)
        yield nodes[turn:] + nodes[:turn]


def at_once(calls):
    """Does all of that at the same time, each in a thread; answers what each answered."""
    calls = list(calls)
    barrier = threading.Barrier(len(calls))

    def work(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(work, calls))


def role_path(node, somebody):
    [member] = node.get("/roles?name=member")["roles"]
    return f"/projects/{somebody.project}/users/{somebody.id}/roles/{member['id']}"


def by_password(node, somebody, _credential):
    return somebody.login(node)


def by_credential(node, _somebody, credential):
    return node.login(secret(credential))


def disable_user(node, somebody, _credential):
    node.do("PATCH", f"/users/{somebody.id}", {"user": {"enabled": False}})


def disable_project(node, somebody, _credential):
    node.do("PATCH", f"/projects/{somebody.project}", {"project": {"enabled": False}})


def remove_role(node, somebody, _credential):
    node.do("DELETE", role_path(node, somebody))


def change_password(node, somebody, _credential):
    change = {"user": {"original_password": somebody.password, "password": unique("another")}}
    node.do("POST", f"/users/{somebody.id}/password", change)


def delete_credential(node, somebody, credential):
    node.do("DELETE", f"/users/{somebody.id}/application_credentials/{credential['id']}")


# What ends which logins.
ENDS = {
    "disabled user": (disable_user, [by_password, by_credential]),
    "disabled project": (disable_project, [by_password, by_credential]),
    "removed role": (remove_role, [by_password, by_credential]),
    "changed password": (change_password, [by_password]),
    "deleted credential": (delete_credential, [by_credential]),
}


# Logins


@pytest.mark.parametrize("what", ENDS)
def test_a_login_at_one_node_is_refused_at_once_for_what_was_done_at_another(nodes, what):
    end, ways = ENDS[what]
    for one, *others in going_round(nodes, 6):
        somebody = Somebody.at(one)
        credential = somebody.application_credential(one)
        tries = list(itertools.product([*others, one], ways))
        # All of them remember somebody from now on.
        assert {way(node, somebody, credential).status for node, way in tries} == {201}
        end(one, somebody, credential)
        assert {way(node, somebody, credential).status for node, way in tries} == {401}


def test_a_login_at_one_node_succeeds_at_once_by_what_was_done_at_another(nodes):
    for one, two, three in going_round(nodes, 6):
        somebody = Somebody.at(one)
        assert somebody.login(two).status == 201
        disable_user(three, somebody, None)
        assert somebody.login(two).status == somebody.login(one).status == 401
        two.do("PATCH", f"/users/{somebody.id}", {"user": {"enabled": True, "password": "another"}})
        assert somebody.login(three, "another").status == somebody.login(one, "another").status == 201
        path = role_path(one, somebody)
        one.do("DELETE", path)
        assert somebody.login(two, "another").status == 401
        three.do("PUT", path)
        assert somebody.login(two, "another").status == somebody.login(one, "another").status == 201


@pytest.mark.parametrize("what", ENDS)
def test_a_login_at_a_node_whose_database_is_behind_waits_for_it(cluster, directory, nodes, what):
    end, [way, *_] = ENDS[what]
    one, late, _ = nodes
    somebody = Somebody.at(one)
    credential = somebody.application_credential(one)
    newest = "SELECT MAX(id) FROM identity.archstone_change"
    asks = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'identity' AND command = 'Execute'"
    with (
        served(cluster, directory, 1, "mysql_wsrep_sync_wait = 0") as careless,
        ThreadPoolExecutor() as pool,
    ):
        assert {way(node, somebody, credential).status for node in (one, late, careless)} == {201}
        with cluster.behind(1):
            end(one, somebody, credential)
            login = pool.submit(way, late, somebody, credential)
            eventually(KNOWN, lambda: cluster.run(1, asks) != ((0,),))
            # Whoever does not ask for more reads what was, and one of us that is told not to wait issues
            # tokens from it.
            assert cluster.run(1, newest) < cluster.run(0, newest)
            assert way(careless, somebody, credential).status == 201
            assert not login.done()
        assert login.result().status == 401
        assert way(careless, somebody, credential).status == 401


# Validation


def revoke(node, token):
    node.do("DELETE", "/auth/tokens", **{"X-Subject-Token": token})


def test_a_token_that_ended_at_one_node_ends_at_the_others(nodes):
    greatest = {}
    for what, (end, [*_, way]) in {**ENDS, "revoked token": (None, [by_password])}.items():
        for one, *others in going_round(nodes, 3):
            somebody = Somebody.at(one)
            credential = somebody.application_credential(one)
            token = way(one, somebody, credential).token
            assert {node.validate(token)[0] for node in nodes} == {200}
            if end:
                end(one, somebody, credential)
            else:
                revoke(one, token)
            began = time.monotonic()
            assert one.validate(token)[0] == 404
            for node in others:
                eventually(KNOWN, lambda: node.validate(token)[0] == 404)
            greatest[what] = max(greatest.get(what, 0), time.monotonic() - began)
    print("known everywhere after at most", {what: f"{took:.2f} s" for what, took in greatest.items()})


# Writes


def test_changes_of_one_project_at_all_nodes_at_once_are_all_kept(cluster, nodes):
    before = cluster.conflicts()
    names = ["description", "colour", "shape"]
    for turn in range(12):
        project = nodes[0].create("/projects", "project", name=unique("project"))["id"]

        def change(node, name, path=f"/projects/{project}", value=str(turn)):
            return node.call("PATCH", path, {"project": {name: value}}).status_code

        assert at_once(lambda pair=pair: change(*pair) for pair in zip(nodes, names)) == [200] * 3
        for node in nodes:
            found = node.get(f"/projects/{project}")["project"]
            assert [found[name] for name in names] == [str(turn)] * 3
    assert cluster.conflicts() > before, "else this proves nothing"


def test_nodes_that_change_one_row_all_the_time_never_fail_and_at_most_ask_to_come_again(nodes):
    project = nodes[0].create("/projects", "project", name=unique("project"))["id"]
    writers = [(node, f"writer_{number}") for number, node in enumerate([*nodes, *nodes])]

    def work(node, name):
        """Answers what each change came to, and the last one that was made."""
        statuses, last = set(), None
        for turn in range(25):
            answer = node.call("PATCH", f"/projects/{project}", {"project": {name: str(turn)}})
            statuses.add(answer.status_code)
            last = str(turn) if answer.ok else last
        return statuses, last

    done = at_once(lambda writer=writer: work(*writer) for writer in writers)
    assert set().union(*(statuses for statuses, _ in done)) <= {200, 503}
    for node in nodes:
        found = node.get(f"/projects/{project}")["project"]
        assert [found.get(name) for _, name in writers] == [last for _, last in done]


def test_of_those_who_take_one_name_at_all_nodes_at_once_one_gets_it(cluster, nodes):
    before = cluster.conflicts()
    for kind in ["project", "user", "role", "group", "domain"] * 3:
        body = {kind: {"name": unique(kind)}}
        answers = at_once(lambda node=node: node.call("POST", f"/{kind}s", body) for node in nodes)
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert cluster.conflicts() > before, "else this proves nothing"


# Following


def test_ids_with_gaps_are_followed(cluster, nodes):
    """Each node gives every third id, so that where one writes there are more gaps than rows."""

    def write(node, project, stop):
        count = 0
        while not stop.is_set():
            count += 1
            node.do("PATCH", f"/projects/{project}", {"project": {"description": str(count)}})
        return count

    def logins():
        took = []
        for one, two, three in going_round(nodes, 12):
            somebody = Somebody.at(one)
            assert somebody.login(two).status == 201
            disable_user(three, somebody, None)
            began = time.monotonic()
            assert somebody.login(two).status == 401
            took.append(time.monotonic() - began)
        return f"{statistics.median(took) * 1000:.1f} ms"

    assert cluster.run(0, "SELECT @@auto_increment_increment") == ((3,),)
    projects = [node.create("/projects", "project", name=unique("project"))["id"] for node in nodes]
    quiet = logins()
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, node, project, stop) for node, project in zip(nodes, projects)]
        try:
            busy = logins()
        finally:
            stop.set()
        written = sum(writer.result() for writer in writers)
    after = logins()
    [(rows, ids)] = cluster.run(0, "SELECT COUNT(*), MAX(id) - MIN(id) + 1 FROM identity.archstone_change")
    assert ids - rows > 100, "else this proves nothing"
    print(f"a login took {quiet}; {busy} while {written} changes were written, {after} after; {rows} rows in {ids} ids")


# A node without the others


def test_a_node_that_is_cut_off_refuses_rather_than_answer_from_what_it_knows(cluster, directory, nodes):
    one, two, lost = nodes
    somebody = Somebody.at(one)
    token = somebody.login(lost).token
    assert lost.validate(token)[0] == 200
    writes = []

    def write():
        answer = lost.call("POST", "/projects", {"project": {"name": unique("project")}})
        writes.append(answer)
        return answer.status_code

    def refuses():
        login = somebody.login(lost).status
        # The others go on only when they have given it up; so nobody is told of the change before.
        assert login != 201
        return {login, lost.validate(token)[0], write()} == {503}

    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as stack:
        with cluster.cut_off(2):
            # Until it notices, it waits for the others in vain.
            cut_short = pool.submit(write)
            starting = pool.submit(stack.enter_context, served(cluster, directory, 2))
            disable_user(one, somebody, None)
            assert somebody.login(two).status == 401
            eventually(NOTICED, refuses)
            assert cut_short.result() in (201, 503)
            # One that starts meanwhile waits for its database as well.
            late = starting.result()
            assert somebody.login(late).status == 503
        for node in (lost, late):
            eventually(NOTICED, lambda: somebody.login(node).status == 401)
            eventually(NOTICED, lambda: node.validate(token)[0] == 404)
    assert {answer.status_code for answer in writes} <= {201, 503}
    for answer in writes:
        if answer.status_code == 201:
            one.get(f"/projects/{answer.json()['project']['id']}")
    assert write() == 201
