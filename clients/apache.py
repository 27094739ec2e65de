"""A real Apache on loopback that logs users in, as docs/federation.md shows it.

    site = Site("mod_auth_openidc", backend, places)
    with Apache([site]) as apache:
        site.url

It is Debian's, as a child in a folder of its own: no service is needed, and nothing in /etc is read.
Workers of a root's Apache are www-data, who has to get at what they read; so the folder is not below
pytest's own.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import requests

from servers import REPOSITORY, free_port

PROGRAM = "/usr/sbin/apache2"
MODULES = Path("/usr/lib/apache2/modules")
WORKER = "www-data"
LOADED = [
    "mpm_event", "authn_core", "authn_file", "auth_basic", "authz_core", "authz_user", "headers", "proxy",
    "proxy_http", "proxy_uwsgi", "auth_openidc", "auth_mellon",
]  # fmt: skip


def documented(module):
    """The virtual host for a module in docs/federation.md."""
    text = (REPOSITORY / "docs" / "federation.md").read_text()
    blocks = re.findall(r"^```apache\n(.*?)^```", text, re.M | re.S)
    [block] = [block for block in blocks if block.startswith(f"# {module}")]
    return block


class Site:
    """A virtual host of the documentation, with the places of a test for those that it names.

    `backend` is what it stands before, as ProxyPass names it; `without` are patterns of lines that
    are left out, each of which has to be there.
    """

    def __init__(self, module, backend, places=None, without=()):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        text = documented(module)
        for pattern in without:
            text, times = re.subn(rf"^ *{pattern}.*\n", "", text, flags=re.M)
            assert times, f"no line {pattern} in the documentation"
        places = {
            "*:5000": f"127.0.0.1:{self.port}",
            "https://cloud.example:5000": self.url,
            "http://10.0.0.20:5001/": backend,
            **(places or {}),
        }
        for written, meant in places.items():
            assert written in text, f"no {written} in the documentation"
            text = text.replace(written, meant)
        self.text = text


class Apache:
    """Apache with some sites, as long as its context. `directory` is where its files are; `files` are
    written there before it starts."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="apache-"))
        self.directory.chmod(0o755)
        self.process = None

    def write(self, name, text):
        """Writes a file that workers, and nobody else, may read; answers its path."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(path, WORKER, WORKER)
        return path

    def start(self, sites):
        """Starts it and returns once it answers at each site."""
        lines = [
            f'ServerRoot "{self.directory}"',
            f'DefaultRuntimeDir "{self.directory}"',
            f'PidFile "{self.directory / "pid"}"',
            f'ErrorLog "{self.log}"',
            f'Mutex file:{self.directory} default',
            "ServerName 127.0.0.1",
            "StartServers 1",
            "MaxSpareThreads 64",
            "ThreadsPerChild 16",
            "MaxRequestWorkers 64",
            *(f"LoadModule {name}_module {MODULES / f'mod_{name}.so'}" for name in LOADED),
            *(f"Listen 127.0.0.1:{site.port}" for site in sites),
        ]
        if os.getuid() == 0:
            lines += [f"User {WORKER}", f"Group {WORKER}"]
        file = self.directory / "apache2.conf"
        file.write_text("\n".join([*lines, *(site.text for site in sites)]))
        command = [PROGRAM, "-D", "FOREGROUND", "-d", self.directory, "-f", file]
        with open(self.directory / "output", "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 30
        while not all(answers(site) for site in sites):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Apache does not answer:\n{self.printed()}")
            time.sleep(0.05)
        return self

    @property
    def log(self):
        return self.directory / "error.log"

    def printed(self):
        """What it wrote to its standard streams and its log."""
        files = [self.directory / "output", self.log]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory)


def answers(site):
    try:
        requests.head(site.url, timeout=5, allow_redirects=False)
        return True
    except (requests.ConnectionError, requests.Timeout):
        return False
