"""Loads Archstone and the reference Keystone in turn, and prints how they compare.

Both serve the same data from one MariaDB with one keystone.conf: 1,000 users, and a catalog of ten
services in three interfaces. Keystone has two processes of uWSGI, and memcached for its cache.
"Beside writes" another node writes meanwhile, straight to the database: 50 changes of the roles of the
user whose tokens are validated and 10 revocations of other tokens a second. Each round loads one server
after the other with the same request, and the next round the other way round, so that a machine that
slows down or warms up favours neither. Medians are printed.

CPU is what all processes of the server used, memcached included where it has one, and the
database not; memory is the sum of their proportional set sizes (PSS) after the last round.
"""

import argparse
import base64
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
import requests

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "clients"))

from load import (  # noqa: E402
    INTERRUPTIONS,
    Progress,
    Server,
    aligned,
    archstone_binary,
    interrupted,
    load,
    number,
    ready,
    start,
)
from support.databases import run as run_sql  # noqa: E402
from support.servers import free_port  # noqa: E402

PASSWORD = "correct horse battery staple"
USERS = 1000
SERVICES = 10
TOKENS = 100
BESIDE_WRITES = "token validation beside writes"


def main():
    arguments = parse()
    # So that what was started is stopped.
    for number in INTERRUPTIONS:
        signal.signal(number, interrupted)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archstone-bench-")))
        directory.chmod(0o755)
        progress = Progress()
        binary = None if arguments.only_keystone else archstone_binary(progress)
        progress.say("starting MariaDB, memcached and Keystone")
        database = start_database(stack, directory)
        keystone = start_keystone(stack, directory, database)
        facts = seed(keystone, progress)
        servers = [keystone]
        if arguments.before:
            progress.say("starting the earlier Archstone")
            servers = [start_archstone(stack, directory, arguments.before, "Before")]
        if binary:
            progress.say("starting Archstone")
            servers.append(start_archstone(stack, directory, binary))
        results = measure(servers, cases(facts), arguments, progress, directory, database, facts["user_id"])
        memory = {server.name: server.memory() for server in servers}
        if keystone in servers and not keystone.cache_hits():
            sys.exit("Keystone did not use memcached, so this would be no fair comparison")
        # Before the servers are stopped, for one that does not stop takes nothing along.
        print(table(results, memory, arguments), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps({"cases": results, "memory_mib": memory}, indent=2))


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is run (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="how long one run lasts at least (%(default)s)")
    parser.add_argument("--connections", type=int, default=4, help="how many requests wait together (%(default)s)")
    parser.add_argument("--case", action="append", help="only this one; may be repeated")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--only-keystone", action="store_true", help="measure the reference alone")
    other.add_argument(
        "--before", type=Path, metavar="BINARY", help="compare with an earlier build of Archstone instead of Keystone"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")
    return parser.parse_args()


# Servers


def start_database(stack, directory):
    """The URL of an empty database, on $ARCHSTONE_TEST_MARIADB or a server of our own."""
    administrator = os.environ.get("ARCHSTONE_TEST_MARIADB")
    if administrator is None:
        script = REPOSITORY / "scripts" / "mariadb"
        stack.callback(subprocess.run, [script, "stop", directory / "mariadb"], check=True)
        # In a session of its own, so that a Ctrl-C of the terminal reaches us alone.
        started = subprocess.run(
            [script, "start", directory / "mariadb"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        administrator = started.stdout.strip()
    base = administrator.replace("mysql://", "mysql+pymysql://", 1).rpartition("/")[0]
    name = f"bench{os.getpid()}"
    run_sql(f"{base}/mysql", f"CREATE DATABASE {name}")
    stack.callback(run_sql, f"{base}/mysql", f"DROP DATABASE {name}")
    return f"{base}/{name}"


def start_keystone(stack, directory, database):
    """Keystone under uWSGI with two processes and its cache on; makes database and keys."""
    cache_port, port = free_port(), free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    log = directory / "keystone.log"
    memcached = start(stack, log, ["memcached", *user, "-l", "127.0.0.1", "-p", str(cache_port)])
    command = [
        sys.executable, REPOSITORY / "scripts" / "keystone",
        "--data-dir", directory / "data",
        "--http", f"127.0.0.1:{port}",
        "--connection", database,
        "--processes", "2",
        "--admin-password", PASSWORD,
        "--set", "cache.enabled=true",
        "--set", "cache.backend=dogpile.cache.pymemcache",
        "--set", f"cache.memcache_servers=127.0.0.1:{cache_port}",
    ]  # fmt: skip
    uwsgi = start(stack, log, command)
    keystone = Server("Keystone", f"http://127.0.0.1:{port}", uwsgi, memcached, cache_port=cache_port)
    return ready(keystone, uwsgi, log)


def start_archstone(stack, directory, binary, name="Archstone"):
    """Archstone on the database that Keystone made, with Keystone's configuration."""
    port = free_port()
    configuration = ["--config-file", directory / "data" / "keystone.conf"]
    subprocess.run([binary, "db_sync", *configuration], check=True, capture_output=True)
    log = directory / f"{name.lower()}.log"
    process = start(stack, log, [binary, "serve", *configuration], OS_ARCHSTONE__HTTP_LISTEN=f"127.0.0.1:{port}")
    return ready(Server(name, f"http://127.0.0.1:{port}", process), process, log)


# Data and requests


def seed(server, progress):
    """Fills the database by the API, and answers what the cases need to know of it."""
    url = f"{server.url}/v3"
    session = requests.Session()
    login = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}},
            },
            "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
        }
    }

    def post(path, body, token=None):
        answer = session.post(f"{url}{path}", json=body, headers={"X-Auth-Token": token} if token else {})
        answer.raise_for_status()
        return answer

    issued = post("/auth/tokens", login)
    token, me = issued.headers["X-Subject-Token"], issued.json()["token"]["user"]["id"]
    for number in range(SERVICES - 1):
        service = {"service": {"type": f"type{number}", "name": f"service{number}"}}
        service = post("/services", service, token).json()["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": service, "interface": interface, "region_id": "RegionOne"}
            endpoint["url"] = f"http://{interface}.example:{8000 + number}/v1/$(project_id)s"
            post("/endpoints", {"endpoint": endpoint}, token)

    def add_user(number):
        user = {"name": f"user{number:04}", "email": f"user{number:04}@example.org", "password": None}
        post("/users", {"user": user}, token)

    # The administrator is a user too.
    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(pool.map(add_user, range(USERS - 1)), start=1):
            progress.show(done, USERS - 1, "making users")

    credential = {"application_credential": {"name": "bench"}}
    credential = post(f"/users/{me}/application_credentials", credential, token).json()["application_credential"]
    application_login = {
        "auth": {
            "identity": {
                "methods": ["application_credential"],
                "application_credential": {"id": credential["id"], "secret": credential["secret"]},
            }
        }
    }
    progress.say("making tokens")
    tokens = [post("/auth/tokens", application_login).headers["X-Subject-Token"] for _ in range(TOKENS)]
    return {
        "token": token,
        "tokens": tokens,
        "password_login": login,
        "application_login": application_login,
        "credential": credential,
        "user_id": me,
    }


def cases(facts):
    """Each request as (name, method, path, headers, body, subject tokens to take in turn)."""
    token = {"X-Auth-Token": facts["token"]}
    as_json = {"Content-Type": "application/json"}
    form = "grant_type=client_credentials&client_id={id}&client_secret={secret}".format(**facts["credential"])
    as_form = {"Content-Type": "application/x-www-form-urlencoded"}
    return [
        ("discovery", "GET", "/v3", {}, None, []),
        ("token validation", "GET", "/v3/auth/tokens", token, None, facts["tokens"]),
        (BESIDE_WRITES, "GET", "/v3/auth/tokens", token, None, facts["tokens"]),
        ("catalog", "GET", "/v3/auth/catalog", token, None, []),
        (f"list of {USERS:,} users", "GET", "/v3/users", token, None, []),
        ("password token", "POST", "/v3/auth/tokens", as_json, json.dumps(facts["password_login"]), []),
        (
            "application-credential token",
            "POST",
            "/v3/auth/tokens",
            as_json,
            json.dumps(facts["application_login"]),
            [],
        ),
        ("OAuth2 token", "POST", "/v3/OS-OAUTH2/token", as_form, form, []),
    ]


# Measuring


def measure(servers, requested, arguments, progress, directory, database, user_id):
    """Every figure, by case and server, one for each round."""
    if arguments.case:
        requested = [case for case in requested if case[0] in arguments.case]
    total, done = len(requested) * len(servers) * (arguments.rounds + 1), 0
    results = {case[0]: {server.name: [] for server in servers} for case in requested}
    # The round before the first fills caches and pools, and is not counted.
    for number in range(-1, arguments.rounds):
        for case in requested:
            for server in servers if number % 2 == 0 else reversed(servers):
                progress.show(done, total, f"{case[0]}, {server.name}")
                with writes(database, user_id) if case[0] == BESIDE_WRITES else contextlib.nullcontext():
                    figures = load(server, case, arguments, directory)
                if number >= 0:
                    results[case[0]][server.name].append(figures)
                done += 1
    progress.clear()
    return results


@contextlib.contextmanager
def writes(database, user_id):
    """What another node writes for as long as this lasts."""
    url = urllib.parse.urlsplit(database)
    connection = pymysql.connect(
        host=url.hostname,
        port=url.port,
        user=url.username,
        password=url.password or "",
        database=url.path.lstrip("/"),
        autocommit=True,
    )
    over = threading.Event()

    def write():
        with connection, connection.cursor() as cursor:
            for turn in itertools.count():
                if over.wait(0.02):
                    return
                change = "INSERT INTO archstone_change (kind, entity_id, at) VALUES ('roles', %s, %s)"
                cursor.execute(change, (user_id, time.time_ns() // 1000))
                if turn % 5 == 0:
                    cursor.execute(
                        "INSERT INTO revocation_event (audit_id, issued_before, revoked_at)"
                        " VALUES (%s, UTC_TIMESTAMP(), UTC_TIMESTAMP())",
                        (base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"="),),
                    )

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# Results


def table(results, memory, arguments):
    """The medians as a table."""
    names = list(memory)
    columns = [("requests/s", "requests_per_second", 1), ("CPU ms/request", "cpu_ms", -1)]
    columns += [("p50 ms", "p50_ms", -1), ("p99 ms", "p99_ms", -1)]
    head = ["case"]
    for title, _, _ in columns:
        head += [f"{name} {title}" for name in names] + (["ratio"] if len(names) == 2 else [])
    rows = []
    for case, figures in results.items():
        row = [case]
        for _, key, direction in columns:
            medians = [statistics.median(figure[key] for figure in figures[name]) for name in names]
            row += [number(median) for median in medians] + ratio(medians, direction)
        rows.append(row)
    lines = aligned([head, *rows], arguments.markdown)
    usage = ", ".join(f"{name} {size:.0f} MiB" for name, size in memory.items())
    lines += [
        "",
        f"Resident memory: {usage}.",
        f"Medians of {arguments.rounds} rounds of {arguments.seconds} s, {arguments.connections} connections,"
        f" {os.cpu_count()} cores shared by wrk, the database and the server.",
        "A ratio above 1 is in favour of Archstone." if len(names) == 2 else "",
    ]
    return "\n".join(lines).rstrip()


def ratio(medians, direction):
    """How many times better the second is than the first; nothing to say of one alone."""
    if len(medians) < 2:
        return []
    first, second = medians if direction < 0 else reversed(medians)
    # A run may cost less than the clock of /proc can tell.
    return [f"{first / second:.1f}" if second else "-"]


if __name__ == "__main__":
    main()
