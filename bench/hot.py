"""Loads Archstone with what clients ask most often, beside the least that an answer costs.

The floor is a bare hyper server with the same settings (crates/web/examples/floor.rs) that answers every
request with as many bytes. It is loaded right before or after Archstone, in turn, with the same requests,
and the last column is Archstone's share of its requests a second. Archstone has an embedded database of
1,000 users, a catalog of ten services, and five projects of the user who asks.

"First validation" takes tokens that the server has never seen, each once: they are the user's own, under
the server's keys, with other audit ids.

--instructions runs Archstone under callgrind instead, and prints how many instructions and allocations a
request takes. --memory validates 100,000 different tokens, round after round, and prints the resident
memory after each round.
"""

import argparse
import contextlib
import http.client
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import msgpack
import requests
from cryptography.fernet import Fernet

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "clients"))

from compare import cases, seed  # noqa: E402
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
from support.servers import free_port  # noqa: E402

FIRST = "first validation"
PROJECTS = 5
ALLOCATORS = re.compile(r"^(mi_malloc|mi_zalloc|mi_calloc|mi_realloc|mi_rezalloc|malloc|calloc|realloc)\w*$")


def main():
    arguments = parse()
    for each in INTERRUPTIONS:
        signal.signal(each, interrupted)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archstone-hot-")))
        progress = Progress()
        binary = archstone_binary(progress)
        progress.say("starting Archstone")
        if arguments.instructions:
            print(instructions(binary, directory, arguments, progress))
            return
        archstone = start_archstone(stack, directory, [binary])
        facts = prepare(archstone, progress)
        if arguments.memory:
            for line in memory(archstone, directory, facts, arguments, progress):
                print(line, flush=True)
            return
        floor = [build_floor(progress)]
        print(compare(stack, archstone, floor, directory, facts, arguments, progress), flush=True)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/hot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is run (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="how long one run lasts (%(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="how many requests wait together (%(default)s)")
    parser.add_argument("--case", action="append", help="only this one; may be repeated")
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--instructions", action="store_true", help="count instructions and allocations")
    other.add_argument("--memory", action="store_true", help="how memory grows with many tokens")
    return parser.parse_args()


# Servers


def start_archstone(stack, directory, command):
    """Archstone with an embedded database, as `quickstart` makes it."""
    port, secure_port = free_port(), free_port()
    log = directory / "archstone.log"
    process = start(
        stack,
        log,
        [*command, "quickstart",
         "--data-dir", directory / "data",
         "--http", f"127.0.0.1:{port}",
         "--https", f"127.0.0.1:{secure_port}",
         "--admin-password", "correct horse battery staple"],
    )  # fmt: skip
    return ready(Server("Archstone", f"http://127.0.0.1:{port}", process), process, log)


def build_floor(progress):
    progress.say("building the floor")
    build = ["cargo", "build", "--release", "--package", "archstone-web", "--example", "floor"]
    subprocess.run(build, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    target = os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")
    return Path(target) / "release" / "examples" / "floor"


def start_floor(stack, directory, floor, size):
    port = free_port()
    log = directory / "floor.log"
    process = start(stack, log, [*floor, f"127.0.0.1:{port}", str(size)])
    return ready(Server("floor", f"http://127.0.0.1:{port}", process), process, log)


# Data


def prepare(server, progress):
    """What the cases need to know, with more projects for the user who asks."""
    facts = seed(server, progress)
    session = requests.Session()
    session.headers["X-Auth-Token"] = facts["token"]
    url = f"{server.url}/v3"
    role = session.get(f"{url}/roles?name=admin").json()["roles"][0]["id"]
    for each in range(PROJECTS - 1):
        made = session.post(f"{url}/projects", json={"project": {"name": f"project{each}"}})
        made.raise_for_status()
        path = f"{url}/projects/{made.json()['project']['id']}/users/{facts['user_id']}/roles/{role}"
        session.put(path).raise_for_status()
    # What was changed may have ended what was cached, not the token.
    session.get(f"{url}/auth/projects").raise_for_status()
    return facts


def requests_of(facts):
    """The cases of the comparison with Keystone, and some more."""
    token = {"X-Auth-Token": facts["token"]}
    wanted = [case for case in cases(facts) if "beside" not in case[0]]
    after = next(place for place, case in enumerate(wanted) if case[0] == "token validation")
    wanted.insert(after + 1, (FIRST, "GET", "/v3/auth/tokens", token, None, []))
    after = next(place for place, case in enumerate(wanted) if case[0] == "catalog")
    wanted.insert(after + 1, ("projects of the caller", "GET", "/v3/auth/projects", token, None, []))
    return wanted


class Mint:
    """Makes tokens that the server has never seen of one that it issued."""

    def __init__(self, directory, token):
        keys = sorted((directory / "data").rglob("fernet-keys/*"), key=lambda path: int(path.name))
        self.fernet = Fernet(keys[-1].read_text().strip())
        sealed = token + "=" * (-len(token) % 4)
        self.payload = msgpack.unpackb(self.fernet.decrypt(sealed.encode()))
        # One on a project, by a password: the audit ids are the last of what it says.
        if self.payload[0] != 2:
            sys.exit("the token is of another kind than expected")

    def strike(self, count):
        for _ in range(count):
            payload = [*self.payload[:-1], [os.urandom(16)]]
            sealed = self.fernet.encrypt(msgpack.packb(payload))
            yield sealed.decode().rstrip("=")


# Requests a second


def compare(stack, archstone, floor, directory, facts, arguments, progress):
    wanted = requests_of(facts)
    if arguments.case:
        wanted = [case for case in wanted if case[0] in arguments.case]
    mint = Mint(directory, facts["token"])
    results = {}
    for place, case in enumerate(wanted):
        size = len(ask(archstone.url, case, facts).content)
        with contextlib.ExitStack() as own:
            bare = start_floor(own, directory, floor, size)
            figures = {bare.name: [], archstone.name: []}
            for turn in range(-1, arguments.rounds):
                progress.show(place, len(wanted), case[0])
                for server in (bare, archstone) if turn % 2 else (archstone, bare):
                    measured = case
                    if case[0] == FIRST:
                        # More than can be asked for.
                        measured = (*case[:5], list(mint.strike(60_000 * arguments.seconds)))
                    ran = load(server, measured, arguments, directory)
                    if turn >= 0:
                        figures[server.name].append(ran)
            results[case[0], size] = figures
    progress.clear()
    head = ["case", "bytes", "floor requests/s", "Archstone requests/s", "share", "floor CPU µs", "Archstone CPU µs"]
    rows = []
    for (name, size), figures in results.items():
        rate = [statistics.median(ran["requests_per_second"] for ran in runs) for runs in figures.values()]
        cpu = [statistics.median(ran["cpu_ms"] for ran in runs) * 1e3 for runs in figures.values()]
        share = statistics.median(
            own["requests_per_second"] / bare["requests_per_second"]
            for bare, own in zip(*figures.values(), strict=True)
        )
        rows.append([name, f"{size:,}", *map(number, rate), f"{share:.0%}", *map(number, cpu)])
    return "\n".join(aligned([head, *rows], arguments.markdown))


def ask(url, case, facts):
    _, method, path, headers, body, subjects = case
    if path == "/v3/auth/tokens" and method == "GET":
        headers = headers | {"X-Subject-Token": (subjects or facts["tokens"])[0]}
    answer = requests.request(method, f"{url}{path}", headers=headers, data=body)
    answer.raise_for_status()
    return answer


# Instructions and allocations


def instructions(binary, directory, arguments, progress):
    """Each case in two lengths: what the longer takes more is the price of its requests."""
    few, many = 500, 2500
    counts = {}
    with contextlib.ExitStack() as stack:
        server = start_archstone(stack, directory, [binary])
        facts = prepare(server, progress)
    names = ["discovery", "token validation", FIRST, "catalog", "projects of the caller", "password token", "OAuth2 token"]
    wanted = [case for case in requests_of(facts) if case[0] in (arguments.case or names)]
    mint = Mint(directory, facts["token"])
    for place, case in enumerate(wanted):
        totals = []
        for length in (few, many):
            progress.show(place, len(wanted), case[0])
            out = directory / f"callgrind.{place}.{length}"
            with contextlib.ExitStack() as stack:
                command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", binary]
                server = start_archstone(stack, directory, command)
                send(server, case, facts, length, mint)
            totals.append(read_callgrind(out))
        counts[case[0]] = [(more - less) / (many - few) for less, more in zip(*totals, strict=True)]
    progress.clear()
    rows = [[name, f"{taken:,.0f}", f"{allocated:,.1f}"] for name, (taken, allocated) in counts.items()]
    return "\n".join(aligned([["case", "instructions", "allocations"], *rows], arguments.markdown))


def send(server, case, facts, count, mint):
    """One request after the other on one connection."""
    name, method, path, headers, body, subjects = case
    subjects = list(mint.strike(count)) if name == FIRST else subjects
    parts = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    for turn in range(count):
        subject = {"X-Subject-Token": subjects[turn % len(subjects)]} if subjects else {}
        connection.request(method, path, body, headers | subject)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400:
            sys.exit(f"{name}: {answer.status}")
    connection.close()


def read_callgrind(path):
    """Instructions, and calls of what allocates, of a whole run."""
    names, called, allocations, total = {}, None, 0, 0
    for line in path.read_text().splitlines():
        if line.startswith(("cfn=", "fn=")):
            number_, _, name = line.partition("=")[2].partition(" ")
            if name:
                names[number_] = name
            called = names[number_] if line.startswith("cfn=") else called
        elif line.startswith("calls="):
            if ALLOCATORS.match(called):
                allocations += int(line[6:].split()[0])
        elif line.startswith(("summary:", "totals:")):
            total = int(line.split()[1])
    return total, allocations


# Memory


def memory(archstone, directory, facts, arguments, progress):
    """Lines that say how much is resident after each round over all tokens."""
    mint = Mint(directory, facts["token"])
    tokens = list(mint.strike(100_000))
    case = next(case for case in cases(facts) if case[0] == "token validation")
    yield f"at the start: {archstone.memory():.0f} MiB"
    for turn in range(arguments.rounds):
        progress.show(turn, arguments.rounds, "validating")
        began = time.monotonic()
        ran = load(archstone, (*case[:5], tokens), arguments, directory)
        count = ran["requests_per_second"] * (time.monotonic() - began)
        yield f"round {turn + 1}: {archstone.memory():.0f} MiB after about {count:,.0f} validations of 100,000 tokens"
    progress.clear()


if __name__ == "__main__":
    main()
