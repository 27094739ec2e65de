"""`kill -9` in the middle of many writes: what was confirmed is there, and nothing by half."""

import configparser
import contextlib
import random
import sqlite3
import threading
import time

import pytest
import yaml
from keystoneauth1.identity import v3

from support.databases import database
from support.people import api
from support.servers import Archstone, under_test
from support.writes import WRITES, assert_whole, names

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="tests what Archstone promises")

ROUNDS = 4


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def site(request, tmp_path):
    """A server that quickstart has made on that database, and the database's URL."""
    server = Archstone(tmp_path / "data")
    with database(request.param, tmp_path) as url:
        server.start(server.without_password())
        server.stop()
        # Quickstart takes up the file that it left, with what its operator changed there.
        if request.param == "sqlite":
            url = f"sqlite:///{server.database}"
        else:
            change(server, "database", "connection", url.replace("$", "$$"))
            (server.directory / "clouds.yaml").unlink()
            server.start(server.without_password())
            assert administrator_password(server) in server.printed()
            server.stop()
        # The cheapest hash: writes are to be many.
        change(server, "identity", "password_hash_rounds", "4")
        server.start(server.without_password())
        yield server, url
        server.stop()


def change(server, section, option, value):
    """Sets an option in the server's keystone.conf."""
    options = configparser.RawConfigParser()
    options.read(server.directory / "keystone.conf")
    if not options.has_section(section):
        options.add_section(section)
    options[section][option] = value
    with open(server.directory / "keystone.conf", "w") as file:
        options.write(file)


def test_what_was_confirmed_outlives_a_kill_and_nothing_is_there_by_half(site):
    server, url = site
    password = administrator_password(server)
    assert password not in server.printed()
    confirmed = {kind: set() for kind in WRITES}
    for _ in range(ROUNDS):
        kill_while_writing(server, confirmed)
        # As the kill left it, and as the next start finds it.
        assert_whole(url)
        for kind, found in confirmed.items():
            assert found <= names(url, kind)
        server.start(server.without_password())
        assert password not in server.printed()
        assert login(server, password).get("/projects").status_code == 200
        assert_whole(url)
    assert all(len(found) >= ROUNDS for found in confirmed.values())
    if url.startswith("sqlite"):
        server.stop()
        with contextlib.closing(sqlite3.connect(server.database)) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert file.execute("PRAGMA foreign_key_check").fetchall() == []


def administrator_password(server):
    """The password that the first start made."""
    clouds = yaml.safe_load((server.directory / "clouds.yaml").read_text())
    return clouds["clouds"][server.cloud]["auth"]["password"]


def login(server, password):
    scope = {"project_name": "admin", "project_domain_id": "default"}
    who = {"username": "admin", "password": password, "user_domain_id": "default"}
    return api(server, v3.Password(f"{server.url}/v3", **who, **scope))


def kill_while_writing(server, confirmed):
    """Kills the server while some write; notes the names of what it confirmed."""
    password = administrator_password(server)
    writers = []
    for kind in [*WRITES, *WRITES]:
        # A session is not made to be shared by threads.
        session = login(server, password)
        session.get_token()
        writers.append(threading.Thread(target=write_until_killed, args=(session, kind, confirmed[kind])))
    enough = {kind: len(found) + random.randint(1, 10) for kind, found in confirmed.items()}
    for writer in writers:
        writer.start()
    while any(len(confirmed[kind]) < enough[kind] for kind in enough) and all(map(threading.Thread.is_alive, writers)):
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.05))
    server.kill()
    for writer in writers:
        writer.join()


def write_until_killed(admin, kind, confirmed):
    with contextlib.suppress(Exception):
        while True:
            path, body = WRITES[kind](admin.get_user_id())
            admin.post(path, json=body, connect_retries=0)
            confirmed.add(body[kind]["name"])
