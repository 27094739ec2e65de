"""Archstone and the reference are asked the same, and answer the same; see `differential`."""

import contextlib
import subprocess

import pytest
from differential import Differential, corpus

from support.databases import KINDS, database
from support.servers import ADMIN_PASSWORD, REPOSITORY, under_test

# Both servers hand tokens to one dashboard, and take its users' providers' word from a proxy. It is the
# protocol's name that Keystone wants among the methods.
METHODS = "external,password,token,oauth1,mapped,application_credential,openid"
DASHBOARD = "https://dashboard.example/auth/websso/"
PAGE = "<form action=$host>$token</form>"


def federation(directory):
    """The settings of a federated login, section.option to value."""
    page = directory.with_name(f"{directory.name}-sso.html")
    page.write_text(PAGE)
    return {
        "auth.methods": METHODS,
        "federation.trusted_dashboard": DASHBOARD,
        "federation.sso_callback_template": page,
    }


# What is asked on each kind of database; the rest on one.
EVERYWHERE = ["characters"]
PLAYED = [(file, "sqlite") for file in corpus.files()]
PLAYED += [(file, kind) for file in EVERYWHERE for kind in KINDS if kind != "sqlite"]


@contextlib.contextmanager
def reference(directory, connection):
    """The URL of a fresh Keystone, for this test changes and lists what a server has."""
    script = REPOSITORY / "scripts" / "oracle"
    # One process: each has a cache of its own, and they do not tell each other of changes.
    start = [script, "start", directory, "--admin-password", ADMIN_PASSWORD, "--processes", "1"]
    if connection:
        start += ["--connection", connection]
    for name, value in federation(directory).items():
        start += ["--set", f"{name}={value}"]
    yield subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    subprocess.run([script, "stop", directory], check=True)


@contextlib.contextmanager
def archstone(directory, connection):
    """The URL of a fresh Archstone with the cheapest hash, for this test logs in hundreds of times."""
    server = under_test()(directory).start()
    server.stop()
    with open(directory / "keystone.conf", "a", encoding="utf-8") as configuration:
        configuration.write("\n[identity]\npassword_hash_rounds = 4\n[archstone]\ntrusted_proxies = 127.0.0.1\n")
        for name, value in federation(directory).items():
            section, option = name.split(".")
            configuration.write(f"[{section}]\n{option} = {value}\n")
    if connection:
        server.move(connection)
    server.start(server.serve() if connection else None)
    yield server.plain_url
    server.stop()


# Fresh servers for each file: lists show what other files leave behind, and wanted differences too.
@pytest.fixture
def differential(request, tmp_path_factory):
    self_check = under_test().is_reference
    with contextlib.ExitStack() as stack:
        connections = [None, None]
        if request.param != "sqlite":
            folder = tmp_path_factory.mktemp("databases")
            connections = [stack.enter_context(database(request.param, folder)) for _ in connections]
        oracle = stack.enter_context(reference(tmp_path_factory.mktemp("oracle"), connections[0]))
        start = reference if self_check else archstone
        subject = stack.enter_context(start(tmp_path_factory.mktemp("subject") / "data", connections[1]))
        yield Differential(oracle, subject, ADMIN_PASSWORD, self_check=self_check)


@pytest.mark.parametrize("file, differential", PLAYED, indirect=["differential"])
def test_both_answer_the_same(differential, file):
    problems = differential.play(file).problems() + differential.idle([file])
    assert not problems, "\n\n" + "\n\n".join(problems)
