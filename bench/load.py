"""What the benchmarks share: servers as processes whose CPU and memory are measured, load by wrk, and
tables."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

REPOSITORY = Path(__file__).resolve().parent.parent
INTERRUPTIONS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def interrupted(*_):
    """Ends the run once; what asks again does not keep it from stopping the servers."""
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit("stopped")


class Progress:
    """A bar on a terminal, and nothing elsewhere."""

    WIDTH = 30

    def __init__(self):
        self.visible = sys.stderr.isatty()

    def say(self, text):
        """One line that stays until the next."""
        if self.visible:
            columns = shutil.get_terminal_size().columns
            print(f"\r\x1b[K{text[: columns - 1]}", end="", file=sys.stderr, flush=True)

    def show(self, done, total, text):
        """How far one is, and with what."""
        filled = self.WIDTH * done // total
        self.say(f"[{'#' * filled}{'.' * (self.WIDTH - filled)}] {done}/{total} {text}")

    def clear(self):
        self.say("")


# Servers


class Server:
    """A server under load: its name, where it listens, and the processes whose work is its own."""

    def __init__(self, name, url, *processes, cache_port=None):
        self.name = name
        self.url = url
        self.roots = [process.pid for process in processes]
        self.cache_port = cache_port

    def pids(self):
        """Its processes, with all that they started."""
        children = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(stat_fields(stat)[1]), []).append(int(stat.parent.name))
        found, wanted = [], list(self.roots)
        while wanted:
            pid = wanted.pop()
            found.append(pid)
            wanted += children.get(pid, [])
        return found

    def cpu_seconds(self):
        """User and system time of all its processes until now."""
        fields = [stat_fields(Path(f"/proc/{pid}/stat")) for pid in self.pids()]
        return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS_PER_SECOND

    def memory(self):
        """Its resident memory in MiB, what processes share counted once."""
        sizes = 0
        for pid in self.pids():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            sizes += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return sizes / 1024

    def cache_hits(self):
        """How often its memcached had what was asked for."""
        with socket.create_connection(("127.0.0.1", self.cache_port)) as connection:
            connection.sendall(b"stats\r\nquit\r\n")
            lines = connection.makefile().read().splitlines()
        return next(int(line.split()[2]) for line in lines if line.startswith("STAT get_hits"))


def stat_fields(path):
    """The fields of /proc/PID/stat after the name, which may hold blanks: [1] is the parent."""
    return path.read_text().rpartition(")")[2].split()


def archstone_binary(progress):
    """$ARCHSTONE_BIN, or a release build of this tree."""
    if "ARCHSTONE_BIN" in os.environ:
        return os.environ["ARCHSTONE_BIN"]
    progress.say("building Archstone")
    build = ["cargo", "build", "--release", "--bin", "archstone", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(build, check=True, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(message["executable"] for message in messages if message.get("executable"))


def start(stack, log, command, **environment):
    """Starts a process that ends with us, its words in a log."""
    with open(log, "ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment, start_new_session=True)
    stack.callback(stop, process)
    return process


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def ready(server, process, log):
    """Waits until the server answers."""
    while True:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{server.url}/v3", timeout=10).ok:
                return server
        if process.poll() is not None:
            sys.exit(f"{server.name} did not start:\n{log.read_text()}")
        time.sleep(0.1)


# Load


LUA = """\
wrk.method = "%(method)s"
%(headers)s
%(body)s
local subjects = {%(subjects)s}
local turn = 0

if #subjects > 0 then
    request = function()
        turn = turn %% #subjects + 1
        wrk.headers["X-Subject-Token"] = subjects[turn]
        return wrk.format()
    end
end

done = function(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format("\\nFIGURES %%d %%d %%d %%f %%f\\n", summary.requests, summary.duration, errors.status
        + errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
"""


def load(server, case, arguments, directory):
    """One run: requests a second, CPU milliseconds a request, and latencies in milliseconds."""
    name, method, path, headers, body, subjects = case
    script = directory / "request.lua"
    script.write_text(
        LUA
        % {
            "method": method,
            "headers": "\n".join(f"wrk.headers[{lua(key)}] = {lua(value)}" for key, value in headers.items()),
            "body": f"wrk.body = {lua(body)}" if body else "",
            "subjects": ", ".join(map(lua, subjects)),
        }
    )
    seconds = arguments.seconds
    while True:
        # What the run before has left unanswered is not this one's.
        wait_until_idle(server)
        before = server.cpu_seconds()
        count, duration, errors, median, slowest, report = wrk(
            script, server.url + path, seconds, arguments.connections
        )
        cpu = server.cpu_seconds() - before
        if errors:
            sys.exit(f"\n{name}, {server.name}: {errors:.0f} of {count:.0f} requests failed\n{report}")
        # Requests under way at the end are work that is not counted, so there have to be many more.
        if count >= 10 * arguments.connections:
            return {
                "requests_per_second": count / duration,
                "cpu_ms": cpu / count * 1e3,
                "p50_ms": median * 1e3,
                "p99_ms": slowest * 1e3,
            }
        seconds *= 2


def wrk(script, url, seconds, connections):
    """Requests, seconds, errors, median and 99th percentile of latency in seconds; and wrk's own words."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", script, url]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)
    line = next(line for line in ran.stdout.splitlines() if line.startswith("FIGURES"))
    count, duration, errors, median, slowest = map(float, line.split()[1:])
    return count, duration / 1e6, errors, median / 1e6, slowest / 1e6, ran.stdout


def wait_until_idle(server):
    """Waits until the server does next to nothing."""
    pause = 0.3
    before = server.cpu_seconds()
    while True:
        time.sleep(pause)
        now = server.cpu_seconds()
        if now - before < pause / 10:
            return
        before = now


def lua(text):
    """A string literal of Lua; our texts are ASCII without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# Tables


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def aligned(rows, markdown):
    """The lines of a table whose first row is its head: words to the left, numbers to the right."""
    columns = []
    for place, cells in enumerate(zip(*rows, strict=True)):
        width = max(map(len, cells))
        rule = "-" * (width - 1) + (":" if place else "-")
        head, *body = [cell.rjust(width) if place else cell.ljust(width) for cell in cells]
        columns.append([head, rule, *body])
    if markdown:
        return [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
