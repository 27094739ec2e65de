"""Fills a database with many users, projects, role assignments and groups, and prints how long requests take.

Everything is made by SQL, so that half a million users take a minute. Every user has a password, and
one group in two sizes is bigger than the others: its members come to that many roles on one project. The
groups that are deleted are as big, and while one is, somebody validates tokens and somebody writes.

A request is sent several times on one connection, and the median is printed beside its goal; the deletion
is sent once. Beside it stands what the server took of a processor, which a machine that others use changes
less, and the most memory that it had resident meanwhile.
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
from sqlalchemy import create_engine, event, make_url, text

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "bench"))
sys.path.insert(0, str(REPOSITORY / "clients"))

from load import Progress, archstone_binary, interrupted  # noqa: E402
from support.servers import ADMIN_PASSWORD, Archstone  # noqa: E402

# The password of every user, hashed by bcrypt in four rounds.
PASSWORD = "growth"
HASH = "$2b$04$p1JogRhQjLkmWOJAGqGI/.3x3IFGZXA5/CCSuFF2P.PWllIzZGQBm"
# Keystone's ids are random, and so are the places where their rows are put in an index.
SPREAD = 2654435761
USER, PROJECT, GROUP = "a", "b", "c"


def main():
    arguments = parse()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    progress = Progress()
    binary = str(archstone_binary(progress))
    builds = [("took", binary)]
    if arguments.before:
        builds.insert(0, ("before", str(arguments.before)))
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archstone-grow-")))
        directory.chmod(0o755)
        progress.say(f"starting {arguments.database}")
        # The first build makes the schema, as it was in its time.
        os.environ["ARCHSTONE_BIN"] = builds[0][1]
        server, url = start(stack, directory, arguments.database)
        filled = arguments.keep and arguments.keep / f"{arguments.users}-{arguments.members}.sqlite"
        if filled and filled.exists():
            progress.say("copying the database")
            shutil.copyfile(filled, server.database)
        else:
            Filler(arguments, url, progress).fill()
            if filled:
                shutil.copyfile(server.database, filled)
        # So that what takes long is seen to take long.
        os.environ["OS_ARCHSTONE__DATABASE_TIMEOUT"] = "600"
        results = {}
        for number, (name, binary) in enumerate(builds):
            os.environ["ARCHSTONE_BIN"] = binary
            progress.say("bringing the schema up to date")
            subprocess.run([binary, "--config-file", server.directory / "keystone.conf", "db_sync"], check=True)
            if arguments.database != "sqlite":
                analyze(url)
            # What an earlier build has left there is not for the next one to carry.
            execute(url, "DELETE FROM revocation_event")
            server.start(server.serve())
            try:
                results[name] = measure(server, arguments, number, progress)
            finally:
                server.stop()
        progress.clear()
        print(table(results, arguments), flush=True)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/grow", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("sqlite", "postgres", "mariadb"), default="sqlite")
    parser.add_argument("--scale", type=float, default=1, help="multiplies all of the following (%(default)s)")
    parser.add_argument("--users", type=int, default=50_000, help="%(default)s")
    parser.add_argument("--projects", type=int, default=5_000, help="%(default)s")
    parser.add_argument("--assignments", type=int, default=110_000, help="%(default)s")
    parser.add_argument("--groups", type=int, default=500, help="%(default)s")
    parser.add_argument("--members", type=int, default=10_000, help="of each of the big groups (%(default)s)")
    parser.add_argument("--repeat", type=int, default=15, help="how often each request is sent (%(default)s)")
    parser.add_argument("--before", type=Path, metavar="BINARY", help="an earlier build, measured first")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="keep the filled SQLite database there")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    arguments = parser.parse_args()
    for size in ("users", "projects", "assignments", "groups", "members"):
        setattr(arguments, size, int(getattr(arguments, size) * arguments.scale))
    if arguments.keep and arguments.database != "sqlite":
        parser.error("only a SQLite database is kept")
    if arguments.members > arguments.users:
        parser.error("a group has no more members than there are users")
    return arguments


# The server and its database


def start(stack, directory, kind):
    """A server that was set up on an empty database of that kind and does not run, and the database's URL."""
    server = Archstone(directory / "data")
    stack.callback(stop_if_running, server)
    server.start()
    server.stop()
    if kind == "sqlite":
        return server, f"sqlite:///{server.database}"
    script = REPOSITORY / "scripts" / kind
    stack.callback(subprocess.run, [script, "stop", directory / kind], check=True)
    (directory / kind).mkdir(mode=0o755)
    command = [script, "start", directory / kind]
    started = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, start_new_session=True)
    driver = {"postgres": "postgresql+psycopg2", "mariadb": "mysql+pymysql"}[kind]
    administrator = make_url(started.stdout.strip()).set(drivername=driver)
    execute(administrator, "CREATE DATABASE growth")
    url = administrator.set(database="growth").render_as_string(hide_password=False)
    server.move(url)
    return server, url


def stop_if_running(server):
    if server.process and server.process.poll() is None:
        server.stop()


def execute(url, *statements):
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    if engine.dialect.name == "mysql":

        @event.listens_for(engine, "connect")
        def quotes(connection, _):
            connection.cursor().execute("SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT', unique_checks = 0")

    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
            connection.exec_driver_sql("PRAGMA cache_size = -500000")
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def analyze(url):
    """What the servers do by themselves some time after many rows were added. Nobody does it for SQLite."""
    if url.startswith("postgres"):
        execute(url, "ANALYZE")
    else:
        tables = "password", "assignment", "user_group_membership", "project", "local_user"
        execute(url, *(f"ANALYZE TABLE {table}" for table in tables), 'ANALYZE TABLE "user"', 'ANALYZE TABLE "group"')


class Filler:
    """Fills a database; `sizes` are those of the command line."""

    def __init__(self, sizes, url, progress):
        self.sizes = sizes
        self.url = url
        self.progress = progress
        self.kind = make_url(url).get_backend_name()

    def numbers(self, count):
        """A table of the numbers `n` from 0."""
        last = count - 1
        return {
            "sqlite": f"(WITH RECURSIVE up (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n < {last})"
            " SELECT n FROM up) numbers",
            "postgresql": f"(SELECT CAST(n AS BIGINT) AS n FROM generate_series(0, {last}) up (n)) numbers",
            "mysql": f"(SELECT seq AS n FROM seq_0_to_{last}) numbers",
        }[self.kind]

    def id(self, kind, number):
        """An expression for the id of something, 32 hexadecimal digits."""
        spread = f"(({number}) * {SPREAD} % 4294967296)"
        return {
            "sqlite": f"printf('%08x{kind}%023x', {spread}, {number})",
            "postgresql": f"lpad(to_hex({spread}), 8, '0') || '{kind}' || lpad(to_hex({number}), 23, '0')",
            "mysql": f"LOWER(CONCAT(LPAD(HEX({spread}), 8, '0'), '{kind}', LPAD(HEX({number}), 23, '0')))",
        }[self.kind]

    def name(self, prefix, number):
        digits = {
            "sqlite": f"printf('%06d', {number})",
            "postgresql": f"lpad(CAST({number} AS VARCHAR), GREATEST(6, length(CAST({number} AS VARCHAR))), '0')",
            "mysql": f"LPAD({number}, GREATEST(6, LENGTH({number})), '0')",
        }[self.kind]
        return f"CONCAT('{prefix}-', {digits})" if self.kind == "mysql" else f"'{prefix}-' || {digits}"

    def fill(self):
        sizes = self.sizes
        user, project, group = (self.id(kind, "n") for kind in (USER, PROJECT, GROUP))
        true, false = ("TRUE", "FALSE") if self.kind == "postgresql" else ("1", "0")
        role = "(SELECT id FROM role WHERE name = '{}')"
        some_role = f"CASE n % 3 WHEN 0 THEN {role.format('member')} ELSE {role.format('reader')} END"
        # Each user is in one group; three groups more are big.
        few = sizes.groups - 3
        many = max(1, sizes.users // sizes.members)
        steps = [
            (
                "projects",
                "INSERT INTO project (id, name, extra, description, enabled, domain_id, parent_id, is_domain)"
                f" SELECT {project}, {self.name('project', 'n')}, '{{}}', '', {true}, 'default', 'default', {false}"
                f" FROM {self.numbers(sizes.projects)}",
            ),
            (
                "users",
                'INSERT INTO "user" (id, extra, enabled, created_at, domain_id)'
                f" SELECT {user}, '{{\"email\": \"somebody@example.org\"}}', {true}, '2026-01-01 00:00:00', 'default'"
                f" FROM {self.numbers(sizes.users)}",
            ),
            (
                "names of users",
                "INSERT INTO local_user (user_id, domain_id, name)"
                f" SELECT {user}, 'default', {self.name('user', 'n')} FROM {self.numbers(sizes.users)}",
            ),
            (
                "passwords",
                "INSERT INTO password (local_user_id, self_service, password_hash, created_at_int, created_at)"
                f" SELECT id, {false}, '{HASH}', 1767225600000000, '2026-01-01 00:00:00' FROM local_user"
                " WHERE name LIKE 'user-%'",
            ),
            (
                "groups",
                'INSERT INTO "group" (id, domain_id, name, description, extra)'
                f" SELECT {group}, 'default', {self.name('group', 'n')}, '', '{{}}' FROM {self.numbers(sizes.groups)}",
            ),
            (
                "members",
                "INSERT INTO user_group_membership (user_id, group_id)"
                f" SELECT {user}, {self.id(GROUP, f'3 + n % {few}')} FROM {self.numbers(sizes.users)}",
            ),
        ]
        for big in range(3):
            steps.append(
                (
                    "members of a big group",
                    "INSERT INTO user_group_membership (user_id, group_id)"
                    f" SELECT {self.id(USER, f'n * {many}')}, {self.id(GROUP, str(big))}"
                    f" FROM {self.numbers(sizes.members)}",
                )
            )
            steps.append(
                (
                    "roles of a big group",
                    "INSERT INTO assignment (type, actor_id, target_id, role_id, inherited)"
                    f" SELECT 'GroupProject', {self.id(GROUP, str(big))}, {self.id(PROJECT, str(big))},"
                    f" id, {false} FROM role WHERE name = 'member'",
                )
            )
        # Users have roles on projects, on as many each that they come to so many assignments.
        done = 0
        while done < sizes.assignments:
            count = min(sizes.users, sizes.assignments - done)
            target = self.id(PROJECT, f"3 + (n + {done * 7}) % {sizes.projects - 3}")
            steps.append(
                (
                    "role assignments",
                    "INSERT INTO assignment (type, actor_id, target_id, role_id, inherited)"
                    f" SELECT 'UserProject', {user}, {target}, {some_role}, {false} FROM {self.numbers(count)}",
                )
            )
            done += count
        for number, (what, statement) in enumerate(steps):
            self.progress.show(number, len(steps), f"adding {what}")
            execute(self.url, statement.replace(":", "\\:"))


# Requests


def identity(kind, number):
    return f"{number * SPREAD % 2**32:08x}{kind}{number:023x}"


class Client:
    """Sends requests on one connection, as the administrator."""

    def __init__(self, server):
        self.url = f"{server.plain_url}/v3"
        self.session = requests.Session()
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        user = {"name": "admin", "domain": {"id": "default"}, "password": ADMIN_PASSWORD}
        self.token = self.login(user, scope)
        self.session.headers["X-Auth-Token"] = self.token

    def login(self, user, scope=None):
        login = {"identity": {"methods": ["password"], "password": {"user": user}}}
        if scope:
            login["scope"] = scope
        answer = self.session.post(f"{self.url}/auth/tokens", json={"auth": login})
        answer.raise_for_status()
        return answer.headers["X-Subject-Token"]

    def send(self, method, path, **more):
        answer = self.session.request(method, f"{self.url}{path}", **more)
        answer.raise_for_status()
        return answer


def requests_to_time(arguments):
    """Each as (what, goal in milliseconds, how often at most, function of a client that sends it)."""
    project = identity(PROJECT, 777)
    somebody = identity(USER, 777)
    user = {"name": "user-000777", "domain": {"id": "default"}, "password": PASSWORD}
    scope = {"project": {"id": identity(PROJECT, 3 + 777 % (arguments.projects - 3))}}
    get = lambda path: lambda client: client.send("GET", path)  # noqa: E731
    held = f"/role_assignments?scope.project.id={identity(PROJECT, 0)}&effective&include_names"
    return [
        ("GET /v3/users?name=user-000777", 5, 100, get("/users?name=user-000777")),
        ("GET /v3/users?domain_id=…&name=…", 5, 100, get("/users?domain_id=default&name=user-000777")),
        ("GET /v3/users?limit=50", 10, 100, get("/users?limit=50")),
        ("GET /v3/users?limit=50&marker=…", 10, 100, get(f"/users?limit=50&marker={somebody}")),
        ("GET /v3/users/{id}", 3, 100, get(f"/users/{somebody}")),
        ("POST /v3/auth/tokens, a known password", 3, 100, lambda client: client.login(user, scope)),
        ("GET /v3/projects?name=…", 5, 100, get("/projects?name=project-000777")),
        (
            f"GET /v3/groups/{{id}}/users?limit=100, {arguments.members:,} members",
            20,
            100,
            get(f"/groups/{identity(GROUP, 0)}/users?limit=100"),
        ),
        ("GET /v3/users/{id}/groups", 5, 100, get(f"/users/{somebody}/groups")),
        ("GET /v3/role_assignments?scope.project.id=…", 10, 100, get(f"/role_assignments?scope.project.id={project}")),
        ("GET /v3/role_assignments?user.id=…&effective", 10, 100, get(f"/role_assignments?user.id={somebody}&effective")),
        (f"GET …?scope.project.id=…&effective&include_names, {2 * arguments.members:,} rows", None, 3, get(held)),
    ]


def measure(server, arguments, number, progress):
    """Milliseconds, MiB and milliseconds of a processor for each request."""
    client = Client(server)
    results = {}
    wanted = requests_to_time(arguments)
    for place, (what, goal, most, send) in enumerate(wanted):
        progress.show(place, len(wanted), what)
        # The first opens connections and fills caches; it hashes where there is a password.
        send(client)
        reset_peak(server)
        times, used = [], processor(server)
        # What takes seconds is not sent many times.
        while len(times) < min(most, arguments.repeat) and sum(times) < 10_000:
            began = time.perf_counter()
            send(client)
            times.append((time.perf_counter() - began) * 1000)
        used = (processor(server) - used) / len(times)
        results[what] = (statistics.median(times), goal, peak(server), used)
    progress.say("deleting a big group")
    results |= delete(server, client, 1 + number, arguments)
    return results


def delete(server, client, number, arguments):
    """Deletes a big group, while others validate and write."""
    others = {
        "validating": lambda own: own.send("GET", "/auth/tokens", headers={"X-Subject-Token": own.token}),
        "writing": lambda own: own.send("PATCH", "/regions/RegionOne", json={"region": {"description": "x"}}),
    }
    slowest, is_over = dict.fromkeys(others, 0.0), threading.Event()

    def go_on(name, own):
        while not is_over.is_set():
            began = time.perf_counter()
            others[name](own)
            slowest[name] = max(slowest[name], (time.perf_counter() - began) * 1000)
            time.sleep(0.005)

    threads = [threading.Thread(target=go_on, args=(name, Client(server))) for name in others]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before = dict(slowest)
    slowest.update(dict.fromkeys(others, 0.0))
    reset_peak(server)
    used = processor(server)
    began = time.perf_counter()
    client.send("DELETE", f"/groups/{identity(GROUP, number)}")
    took = (time.perf_counter() - began) * 1000
    used = processor(server) - used
    # What the process does of it after the answer counts as well.
    time.sleep(2)
    is_over.set()
    for thread in threads:
        thread.join()
    without = f"without: {before['validating']:.0f} ms"
    return {
        f"DELETE /v3/groups/{{id}}, {arguments.members:,} members": (took, 1000, peak(server), used),
        f"the slowest validation beside it ({without})": (slowest["validating"], 50, None, None),
        "the slowest write beside it": (slowest["writing"], 1000, None, None),
    }


def reset_peak(server):
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def processor(server):
    """Milliseconds of a processor that all threads of the server have used."""
    # The number that Linux gives to the clock of a process.
    return time.clock_gettime((~server.process.pid << 3) | 2) * 1000


def peak(server):
    """The most memory that was resident since, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


# The table


def table(results, arguments):
    headings = ["request"]
    for name in results:
        headings += [f"{name} ms", "CPU ms", "MiB"]
    if "before" in results:
        headings.append("ratio")
    headings.append("goal")
    rows = []
    # The names of what went on beside the deletion hold what it takes without.
    for place, what in enumerate(results["took"]):
        row, measured = [what], []
        for each in results.values():
            took, goal, memory, used = list(each.values())[place]
            measured.append(took)
            row += [figure(took), "" if used is None else figure(used), "" if memory is None else f"{memory:,.0f}"]
        if "before" in results:
            row.append(f"{measured[0] / measured[1]:,.1f}")
        row.append("" if goal is None else f"< {goal:,} ms{'' if measured[-1] < goal else ' missed'}")
        rows.append(row)
    size = (
        f"{arguments.database}: {arguments.users:,} users, {arguments.projects:,} projects,"
        f" {arguments.assignments:,} assignments, {arguments.groups:,} groups"
    )
    return f"{size}\n\n{written(headings, rows, arguments.markdown)}"


def figure(number):
    return f"{number:,.0f}" if number >= 20 else f"{number:,.1f}"


def written(headings, rows, markdown):
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    pad = lambda row: [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]  # noqa: E731
    if not markdown:
        return "\n".join("  ".join(pad(row)).rstrip() for row in [headings, *rows])
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [pad(headings), rule, *map(pad, rows)])


if __name__ == "__main__":
    main()
