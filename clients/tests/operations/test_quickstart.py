"""`archstone quickstart`: what it tells a newcomer, what it leaves behind, and what it survives."""

import configparser
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from support.people import admin_login, api, unique
from support.servers import ADMIN_PASSWORD, REPOSITORY, Archstone, under_test

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="the reference has no quickstart")


@pytest.fixture
def server(tmp_path):
    """A server on a folder of its own, not started."""
    server = Archstone(tmp_path / "data")
    yield server
    if server.process:
        server.stop()


def printed_commands(server):
    """The indented commands of a start, each in one line."""
    text = server.printed().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if re.match(r"  (export|openstack|curl) ", line)]


def shell(*lines):
    """Runs lines as someone who has the clients installed; answers what the last one printed."""
    script = "\n".join(["set -e", *lines])
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, env=os.environ | {"PATH": path}, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def tls_files(server):
    """Certificate and key, as keystone.conf names them."""
    options = configparser.RawConfigParser()
    options.read(server.directory / "keystone.conf")
    return Path(options["archstone"]["tls_certificate"]), Path(options["archstone"]["tls_key"])


# What a start says and leaves


def test_the_commands_that_the_first_start_prints_work_as_they_stand(server):
    server.start(server.without_password())
    export, issue, create, curl = printed_commands(server)
    assert json.loads(shell(export, f"{issue} -f json"))["project_id"]
    credential = json.loads(shell(export, f"{create} -f json"))
    obtained = json.loads(shell(f"{curl} -s".replace("ID:SECRET", f"{credential['ID']}:{credential['Secret']}")))
    assert obtained["token_type"] == "Bearer"
    answer = requests.get(
        f"{server.url}/v3/auth/tokens",
        headers={"X-Auth-Token": obtained["access_token"], "X-Subject-Token": obtained["access_token"]},
        verify=str(server.cacert),
    )
    assert answer.json()["token"]["application_credential"]["name"] == credential["Name"]


def test_one_address_is_printed_for_use_and_it_serves_every_command(server):
    server.start(server.without_password())
    [greeting] = [line for line in server.printed().splitlines() if line.startswith("Archstone ")]
    assert greeting == f"Archstone is serving {server.url}"
    [other] = [line for line in server.printed().splitlines() if server.plain_url in line]
    assert "without TLS" in other
    # From the catalog, which names the address again.
    export, *_ = printed_commands(server)
    assert "admin" in shell(export, "openstack user list")


def test_a_generated_password_is_printed_once(server):
    server.start(server.without_password())
    [password] = re.findall(r"^ +password +(\S+)", server.printed(), re.MULTILINE)
    assert len(password) >= 20
    server.stop()
    server.start(server.without_password())
    assert password not in server.printed()
    export, issue, *_ = printed_commands(server)
    assert shell(export, issue)


def test_a_given_password_is_not_printed(server):
    server.start()
    assert ADMIN_PASSWORD not in server.printed()


def test_a_second_start_goes_on_with_the_same_data(server):
    server.start()
    admin = api(server, admin_login(server))
    token, cacert = admin.get_token(), server.cacert.read_bytes()
    project = admin.post("/projects", json={"project": {"name": unique("project")}}).json()["project"]
    server.stop()
    server.start()
    assert server.cacert.read_bytes() == cacert
    assert admin.get(f"/projects/{project['id']}").json()["project"]["name"] == project["name"]
    assert admin.get_token() == token


def test_serve_goes_on_with_the_configuration_that_quickstart_wrote(server):
    server.start()
    admin = api(server, admin_login(server))
    project = admin.post("/projects", json={"project": {"name": unique("project")}}).json()["project"]
    everything = {path: admin.get(path).json() for path in ("/users", "/projects", "/roles", "/endpoints")}
    files = {path: path.read_bytes() for path in server.directory.rglob("*") if path.suffix != ".db" and path.is_file()}
    server.stop()
    server.start(server.serve())
    assert admin.get(f"/projects/{project['id']}").json()["project"] == project
    assert {path: admin.get(path).json() for path in everything} == everything
    assert api(server, admin_login(server)).get_token()
    for path, content in files.items():
        if "-wal" not in path.name and "-shm" not in path.name:
            assert path.read_bytes() == content, path


def test_a_folder_with_an_awkward_name_is_no_trouble(tmp_path):
    server = Archstone(tmp_path / "it's $HOME; {really}")
    server.start(server.without_password())
    try:
        export, issue, *_ = printed_commands(server)
        assert shell(export, issue)
        server.stop()
        server.start(server.serve())
        assert shell(export, issue)
    finally:
        server.stop()


def test_secrets_in_the_folder_are_nobody_elses(server):
    server.start()
    certificates = {server.cacert, tls_files(server)[0]}
    closed = [path for path in server.directory.rglob("*") if path.is_dir() and path.stat().st_mode & 0o077 == 0]
    for path in server.directory.rglob("*"):
        if path.is_file() and path not in certificates and not set(closed) & set(path.parents):
            assert path.stat().st_mode & 0o077 == 0, f"{path} {path.stat().st_mode:o}"


def test_an_occupied_port_is_told(server, tmp_path):
    server.start()
    other = Archstone(tmp_path / "other")
    other.https_port = server.https_port
    ran = subprocess.run(other.command(), capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0
    assert f"127.0.0.1:{server.https_port}" in ran.stderr
    assert "in use" in ran.stderr


# Being killed


@pytest.mark.parametrize("milliseconds", [10, 40, 90, 160, 250])
def test_a_first_start_that_was_cut_short_is_completed_by_the_next(server, milliseconds):
    with subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        time.sleep(milliseconds / 1000)
        first.kill()
    server.start()
    assert api(server, admin_login(server)).get("/projects").status_code == 200


# Certificates


def presented(server):
    """The certificate that a new connection sees."""
    return ssl.get_server_certificate(("127.0.0.1", server.https_port), timeout=10)


def test_a_replaced_certificate_is_taken_by_new_connections_and_leaves_old_ones_alone(server, tmp_path):
    server.start()
    old_context = ssl.create_default_context(cafile=server.cacert)
    old = http.client.HTTPSConnection("127.0.0.1", server.https_port, context=old_context, timeout=10)
    assert status(old) == 200
    before = presented(server)

    other = tmp_path / "other"
    other.mkdir()
    subprocess.run([REPOSITORY / "scripts" / "certificate", other], check=True)
    certificate, key = tls_files(server)
    # Broken first, then one file after the other, as people do: what does not fit is not taken.
    for content in ("no certificate", (other / "server.pem").read_text()):
        certificate.write_text(content)
        time.sleep(1.5)
        assert presented(server) == before
        assert status(old) == 200
    assert server.printed().count("staying with the old TLS certificate") == 2
    shutil.copy(other / "server.key", key)
    deadline = time.monotonic() + 10
    while presented(server) == before:
        assert time.monotonic() < deadline, "the new certificate is not taken"
        time.sleep(0.1)

    assert presented(server) == (other / "server.pem").read_text()
    new_context = ssl.create_default_context(cafile=other / "ca.pem")
    new = http.client.HTTPSConnection("127.0.0.1", server.https_port, context=new_context, timeout=10)
    assert status(new) == 200
    # The socket is the one of before: http.client would open another only after being told to close.
    assert old.sock is not None
    assert status(old) == 200


def status(connection):
    """The status of a request on a connection that stays open."""
    connection.request("GET", "/v3")
    answer = connection.getresponse()
    answer.read()
    return answer.status
