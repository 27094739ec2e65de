"""What the server makes of a keystone.conf: what it refuses, reports, and where it logs."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.servers import Archstone, archstone_binary, free_port, under_test

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="tests what Archstone promises")


@pytest.fixture
def archstone(tmp_path):
    """Runs the command on a keystone.conf of these lines: `archstone("db_version", "[token]", ...)`."""

    def run(command, *lines):
        file = tmp_path / "keystone.conf"
        file.write_text("\n".join(lines))
        words = [command] if isinstance(command, str) else command
        whole = [archstone_binary(), *words, "--config-file", file]
        # The widest umask there is: who may read a file is not left to it.
        return subprocess.run(whole, capture_output=True, text=True, timeout=60, umask=0)

    return run


@pytest.fixture
def connection(tmp_path):
    """The lines of a database that has no tables yet."""
    return ["[database]", f"connection = sqlite:///{tmp_path}/keystone.db"]


@pytest.fixture
def keys(tmp_path):
    """The lines of key repositories that are not there yet."""
    return [
        *("[fernet_tokens]", f"key_repository = {tmp_path}/keys"),
        *("[fernet_receipts]", f"key_repository = {tmp_path}/keys"),
    ]


# What stops the start


@pytest.mark.parametrize(
    "section, option, value, accepted",
    [
        ("token", "expiration", "1h", "an integer, 0 or more"),
        ("DEFAULT", "debug", "perhaps", "true or false"),
        ("identity", "max_password_length", "5000", "at most 4096"),
        ("identity", "password_hash_algorithm", "md5", "one of bcrypt, bcrypt_sha256, scrypt, pbkdf2_sha512"),
        ("archstone", "http_listen", "here", "such as 127.0.0.1:5000"),
        ("archstone", "tls_minimum_version", "1.1", "one of 1.2, 1.3"),
        # Nothing acts on it yet, but who corrects it then would be surprised.
        ("wsgi", "debug_middleware", "maybe", "true or false"),
        ("database", "connection", "oracle://h/k", "sqlite, postgresql or mysql"),
    ],
)
def test_a_bad_value_stops_the_start_and_says_what_is_accepted(archstone, keys, section, option, value, accepted):
    # Without keys the database is not looked at.
    assert archstone("fernet_setup", *keys).returncode == 0
    listen = [] if option == "http_listen" else ["[archstone]", "http_listen = 127.0.0.1:0"]
    ran = archstone("serve", *keys, *listen, f"[{section}]", f"{option} = {value}")
    assert ran.returncode == 1
    assert f"[{section}] {option}" in ran.stderr
    assert accepted in ran.stderr


@pytest.mark.parametrize(
    "section, option, value, advice",
    [
        ("identity", "driver", "ldap", "stay with Keystone"),
        ("identity", "domain_specific_drivers_enabled", "true", "set it to false"),
        ("catalog", "driver", "templated", "stay with Keystone"),
        ("assignment", "driver", "ours", "stay with Keystone"),
        ("auth", "password", "address_limited", "remove the plug-in"),
        ("auth", "totp", "ours", "remove the plug-in"),
        ("tokenless_auth", "trusted_issuer", "CN=Authority", "stay with Keystone"),
        ("token", "provider", "jws", "one of fernet"),
    ],
)
def test_what_decides_who_gets_in_stops_the_start(archstone, connection, section, option, value, advice):
    for command in ("serve", "db_sync", "bootstrap"):
        more = ["--bootstrap-password", "x"] if command == "bootstrap" else []
        ran = archstone([command, *more], *connection, f"[{section}]", f"{option} = {value}")
        assert ran.returncode == 1, command
        assert f'keystone.conf:4: [{section}] {option} = "{value}" is refused' in ran.stderr
        assert advice in ran.stderr


def test_the_sample_of_keystone_with_its_defaults_stops_nothing(archstone, connection):
    """What Keystone's own generator writes, each option with its default."""
    generator = Path(sys.executable).with_name("oslo-config-generator")
    command = [generator, "--namespace", "keystone", "--namespace", "oslo.middleware", "--namespace", "oslo.log"]
    sample = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    values = [line.removeprefix("#") for line in sample.splitlines()]
    # Comments have a space; `<None>` and the like stand for no value.
    values = [line for line in values if line.startswith("[") or (line[:1].isalpha() and "= <" not in line)]
    assert "methods = external,password,token,oauth1,mapped,application_credential,ec2credential" in values
    ran = archstone("db_version", *values, *connection)
    assert ran.returncode == 0, ran.stderr
    # A sample may say something else than the default, of what does no harm.
    others = [line for line in ran.stderr.splitlines() if "is deprecated" not in line]
    assert all("has no effect in this release" in line for line in others), others
    assert len(others) < 5


def test_all_bad_values_are_told_at_once_with_their_lines(archstone):
    ran = archstone("serve", "[token]", "expiration = x", "", "[identity]", "max_password_length = y")
    assert ran.returncode == 1
    assert "keystone.conf:2: [token] expiration" in ran.stderr
    assert "keystone.conf:5: [identity] max_password_length" in ran.stderr


def test_tls_without_its_files_stops_the_start(archstone, tmp_path):
    listen = ["[archstone]", "https_listen = 127.0.0.1:0"]
    ran = archstone("serve", *listen)
    assert ran.returncode == 1
    assert "[archstone] tls_certificate" in ran.stderr and "[archstone] tls_key" in ran.stderr
    ran = archstone("serve", *listen, f"tls_certificate = {tmp_path}/none.pem", f"tls_key = {tmp_path}/none.key")
    assert ran.returncode == 1
    assert f"{tmp_path}/none.pem" in ran.stderr


def test_missing_keys_and_tables_stop_the_start_and_say_what_makes_them(archstone, keys, connection):
    listen = ["[archstone]", "http_listen = 127.0.0.1:0"]
    ran = archstone("serve", *listen, *connection, *keys)
    assert ran.returncode == 1
    assert "archstone fernet_setup" in ran.stderr
    assert archstone("fernet_setup", *keys).returncode == 0
    ran = archstone("serve", *listen, *connection, *keys)
    assert ran.returncode == 1
    assert "archstone db_sync" in ran.stderr


# What is reported


def test_an_option_without_effect_is_reported_by_name(archstone, connection):
    ran = archstone("db_version", *connection, "[ldap]", "url = ldap://h", "[wsgi]", "debug_middleware = true")
    assert ran.returncode == 0
    for option in ("[ldap] url", "[wsgi] debug_middleware"):
        assert f"{option} has no effect in this release" in ran.stderr


def test_a_method_that_is_not_built_is_reported_by_name(archstone, connection):
    ran = archstone("db_version", *connection, "[auth]", "methods = password,token,totp,oauth1")
    assert ran.returncode == 0
    assert "[auth] methods: nobody logs in by totp, oauth1" in ran.stderr


def test_a_cache_of_keystones_that_is_out_of_reach_is_reported(archstone, connection):
    lines = ["[cache]", "enabled = true", "backend = dogpile.cache.redis"]
    assert "does not see the changes made here" in archstone("db_version", *connection, *lines).stderr


def test_an_option_that_nobody_knows_is_reported_by_name(archstone, connection):
    ran = archstone("db_version", *connection, "[token]", "expiraton = 5")
    assert ran.returncode == 0
    assert "[token] expiraton is not a known option" in ran.stderr


# Where it listens


def test_without_any_address_port_5000_of_this_machine_is_taken(archstone, keys, connection):
    for command in ("fernet_setup", "db_sync"):
        assert archstone(command, *keys, *connection).returncode == 0
    with socket.socket() as other:
        # If it is taken already, that is as good.
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", 5000))
            other.listen()
        ran = archstone("serve", *keys, *connection)
    assert ran.returncode == 1
    assert "http_listen = 127.0.0.1:5000" in ran.stderr and "in use" in ran.stderr


# Which file counts


def test_files_and_folders_count_in_the_order_of_the_command_line(tmp_path):
    (tmp_path / "keystone.conf").write_text(f"[database]\nconnection = sqlite:///{tmp_path}/full.db\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.conf").write_text(f"[database]\nconnection = sqlite:///{tmp_path}/empty.db\n")
    (tmp_path / "folder" / "a.conf").write_text("[database]\nconnection = sqlite:////nowhere/k.db\n")
    file, folder = ["--config-file", tmp_path / "keystone.conf"], ["--config-dir", tmp_path / "folder"]

    def version(*words):
        ran = subprocess.run([archstone_binary(), *words], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    version("db_sync", *file)
    assert version("db_version", *file) == "742c857f1dfb"
    assert version("db_version", *file, *folder) == "None"
    assert version("db_version", *folder, *file) == "742c857f1dfb"
    # As keystone-manage takes them, before the command.
    assert version(*file, *folder, "db_version") == "None"
    assert version(*folder, *file, "db_version") == "742c857f1dfb"


# The files that it makes


def test_files_that_are_made_are_for_their_owner_alone(archstone, tmp_path, keys, connection):
    def modes(folder):
        return {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir() if file.is_file()}

    log = tmp_path / "logs"
    log.mkdir()
    for command in ("db_sync", "fernet_setup"):
        ran = archstone(command, *connection, *keys, "[DEFAULT]", f"log_dir = {log}")
        assert ran.returncode == 0, ran.stderr
    database = modes(tmp_path)
    del database["keystone.conf"]
    assert database.pop("keystone.db") == "0o600"
    assert set(database.values()) <= {"0o600"}
    assert modes(log) == {"archstone.log": "0o600"}
    assert set(modes(tmp_path / "keys").values()) == {"0o600"}


def test_the_journals_of_a_database_are_for_its_owner_alone(archstone, tmp_path, keys, connection):
    for command in ("db_sync", "fernet_setup"):
        assert archstone(command, *connection, *keys).returncode == 0
    file = tmp_path / "listen.conf"
    file.write_text(f"[archstone]\nhttp_listen = 127.0.0.1:{free_port()}\n")
    command = [archstone_binary(), "serve", "--config-file", tmp_path / "keystone.conf", "--config-file", file]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, umask=0)
    try:
        journal = tmp_path / "keystone.db-wal"
        deadline = time.monotonic() + 60
        while not journal.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        for name in ("keystone.db", "keystone.db-wal", "keystone.db-shm"):
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, name
    finally:
        server.terminate()
        server.wait()


def test_a_file_that_is_there_keeps_its_mode(archstone, tmp_path, connection):
    (tmp_path / "keystone.db").touch(0o640)
    (tmp_path / "archstone.log").touch(0o640)
    ran = archstone("db_sync", *connection, "[DEFAULT]", f"log_dir = {tmp_path}")
    assert ran.returncode == 0, ran.stderr
    for name in ("keystone.db", "archstone.log"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640, name


# The log


def test_use_stderr_adds_to_the_log_file(archstone, tmp_path, connection):
    told = "making the tables that are missing"
    log = tmp_path / "logs" / "identity.log"
    log.parent.mkdir()
    lines = ["[DEFAULT]", f"log_dir = {log.parent}", "log_file = identity.log"]

    ran = archstone("db_sync", *lines, *connection)
    assert told in log.read_text() and told not in ran.stderr

    log.unlink()
    (tmp_path / "keystone.db").unlink()
    ran = archstone("db_sync", *lines, "use_stderr = true", *connection)
    assert told in log.read_text() and told in ran.stderr


def test_a_log_folder_is_enough(archstone, tmp_path, connection):
    ran = archstone("db_sync", "[DEFAULT]", f"log_dir = {tmp_path}", *connection)
    assert ran.returncode == 0
    assert "making the tables" in (tmp_path / "archstone.log").read_text()


def test_use_json_makes_each_line_an_object(archstone, connection):
    ran = archstone("db_sync", "[DEFAULT]", "use_json = true", *connection)
    [line] = ran.stderr.splitlines()
    assert json.loads(line)["level"] == "INFO"
