"""The operator's commands beside those of keystone-manage: exit codes, files, and what is stored."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy
from cryptography.fernet import Fernet

from support.databases import database
from support.servers import Archstone, archstone_binary, under_test

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="compares both by itself")

# Root may give files away; others only to themselves.
OWNER = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())
TO_OWNER = ["--keystone-user", str(OWNER[0]), "--keystone-group", str(OWNER[1])]

KEYSTONE_MANAGE = Path(sys.executable).with_name("keystone-manage")


class Tool:
    """One of the two commands, with a keystone.conf, keys and a database of its own."""

    def __init__(self, binary, directory, url):
        self.binary, self.directory, self.url = binary, directory, url
        directory.mkdir()
        self.configuration = directory / "keystone.conf"
        self.configuration.write_text(f"""\
[database]
connection = {url}
[identity]
password_hash_rounds = 4
[fernet_tokens]
key_repository = {directory}/keys/tokens
max_active_keys = 2
[fernet_receipts]
key_repository = {directory}/keys/receipts
[credential]
key_repository = {directory}/keys/credentials
""")

    def run(self, *words):
        """Exit code and last line of output."""
        command = [self.binary, "--config-file", self.configuration, *words]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return ran.returncode, ran.stdout.strip().rpartition("\n")[2]

    def files(self):
        """Each file and folder of the key repositories: its mode, owner and size."""
        found = {}
        for path in sorted((self.directory / "keys").rglob("*")):
            is_folder, stat = path.is_dir(), path.stat()
            size = None if is_folder else stat.st_size
            found[str(path.relative_to(self.directory))] = (oct(stat.st_mode), stat.st_uid, stat.st_gid, size)
        return found

    def keys(self, repository):
        return {int(path.name): path.read_text() for path in (self.directory / "keys" / repository).iterdir()}

    def query(self, sql, **values):
        engine = sqlalchemy.create_engine(self.url)
        with engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(sql), values)
            rows = sorted(map(tuple, result), key=repr) if result.returns_rows else None
        engine.dispose()
        return rows


@pytest.fixture
def tools():
    # Not below pytest's own folder, which the owner of the keys cannot enter, whom Keystone becomes.
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        folder.chmod(0o755)
        with database("sqlite", folder) as one, database("sqlite", folder) as other:
            yield Tool(KEYSTONE_MANAGE, folder / "keystone", one), Tool(archstone_binary(), folder / "archstone", other)


def both(tools, *words):
    """Runs a command of both, which has to end alike; answers the exit code."""
    (theirs, *outputs), (ours, *more) = (tool.run(*words) for tool in tools)
    outputs += more
    assert ours == theirs, (words, *outputs)
    return ours


def test_key_repositories_are_made_and_rotated_alike(tools):
    keystone, archstone = tools
    before = {}
    for command in ("fernet_setup", "credential_setup", "fernet_rotate", "fernet_setup", "fernet_rotate"):
        assert both(tools, command, *TO_OWNER) == 0
        assert archstone.files() == keystone.files(), command
        for tool in tools:
            keys = tool.keys("tokens")
            if command == "fernet_rotate":
                # The staged key became the primary one, and a new one is staged.
                assert keys[max(keys)] == before[tool][0]
                assert keys[0] != before[tool][0]
            elif tool in before:
                assert keys == before[tool]
            before[tool] = keys
    assert sorted(archstone.keys("tokens")) == [0, 3]
    assert sorted(archstone.keys("receipts")) == [0, 2, 3]
    assert archstone.files()["keys/tokens/0"] == ("0o100600", *OWNER, 44)
    assert both(tools, "receipt_rotate", *TO_OWNER) == 0
    assert both(tools, "token_setup", *TO_OWNER) == 0
    assert archstone.files() == keystone.files()


def test_nothing_is_rotated_that_is_not_there(tools):
    _, archstone = tools
    assert archstone.run("fernet_rotate", *TO_OWNER)[0] == 1
    assert archstone.run("credential_migrate", *TO_OWNER)[0] == 1
    assert not archstone.files()


def test_the_schema_is_checked_and_made_alike(tools):
    keystone, archstone = tools
    assert [tool.run("db_version") for tool in tools] == [(0, "None")] * 2
    assert both(tools, "db_sync", "--check") == 2
    assert both(tools, "db_sync", "--contract") == 1
    assert both(tools, "db_sync", "5") == 1
    assert both(tools, "db_sync", "--migrate") == 0
    assert both(tools, "db_sync", "--expand") == 0
    assert both(tools, "db_sync", "--contract") == 0
    assert both(tools, "db_sync", "--check") == 0
    assert [tool.run("db_version") for tool in tools] == [(0, "742c857f1dfb")] * 2
    assert both(tools, "db_sync") == 0
    # One of two steps, for both.
    assert both(tools, "db_sync", "--check", "--expand") == 2
    # And crosswise.
    theirs, ours = keystone.configuration.read_text(), archstone.configuration.read_text()
    keystone.configuration.write_text(ours)
    archstone.configuration.write_text(theirs)
    assert keystone.run("db_sync", "--check")[0] == 0
    # Keystone's own tables are all there; only ours are not.
    assert archstone.run("db_sync", "--check")[0] == 2
    assert archstone.run("db_sync")[0] == 0
    assert archstone.run("db_sync", "--check")[0] == 0
    assert archstone.run("db_version") == (0, "742c857f1dfb")


BOOTSTRAPPED = {
    "projects": "SELECT name, domain_id, is_domain, enabled FROM project",
    "users": 'SELECT local_user.name, local_user.domain_id, enabled FROM "user" JOIN local_user ON user_id = "user".id',
    "passwords": "SELECT self_service, expires_at IS NULL, substr(password_hash, 1, 7) FROM password",
    "roles": "SELECT name, domain_id FROM role",
    "options": "SELECT role.name, option_id, option_value FROM role_option JOIN role ON role.id = role_id",
    "implications": (
        "SELECT prior.name, implied.name FROM implied_role"
        " JOIN role prior ON prior.id = prior_role_id JOIN role implied ON implied.id = implied_role_id"
    ),
    "assignments": (
        "SELECT type, role.name, project.name, inherited FROM assignment"
        " JOIN role ON role.id = role_id JOIN project ON project.id = target_id"
    ),
    "system assignments": (
        "SELECT type, target_id, role.name, inherited FROM system_assignment JOIN role ON role.id = role_id"
    ),
    "revocations": "SELECT user_id IS NULL, project_id FROM revocation_event",
    "regions": "SELECT id, parent_region_id FROM region",
    "services": "SELECT type, enabled, extra FROM service",
    "endpoints": "SELECT interface, url, region_id, enabled FROM endpoint",
}


def test_bootstrapping_stores_the_same(tools):
    for tool in tools:
        assert tool.run("db_sync")[0] == 0
    archstone = tools[1]
    for tool in tools:
        # Archstone opens the whole server for this, which needs keys.
        assert tool.run("fernet_setup", *TO_OWNER)[0] == 0
    assert both(tools, "bootstrap") == 1
    first = ["--bootstrap-password", "one", "--bootstrap-region-id", "R", "--bootstrap-public-url", "http://h/v3"]
    more = ["--bootstrap-username", "root", "--bootstrap-project-name", "ops", "--bootstrap-role-name", "boss"]
    more += ["--bootstrap-service-name", "id", "--no-immutable-roles", "--bootstrap-admin-url", "http://a/v3"]
    moved = [*first, "--bootstrap-password", "two", "--bootstrap-public-url", "http://moved/v3"]
    for words in (first, [*first, *more], first, moved):
        assert both(tools, "bootstrap", *words) == 0
        theirs, ours = ({what: tool.query(sql) for what, sql in BOOTSTRAPPED.items()} for tool in tools)
        for found in (theirs, ours):
            found["services"] = [(*columns, json.loads(extra)) for *columns, extra in found["services"]]
        assert ours == theirs
    assert len(archstone.query(BOOTSTRAPPED["users"])) == 2


def test_credentials_are_brought_under_a_new_key_before_the_next_rotation(tools):
    keystone, archstone = tools
    for tool in tools:
        # Keystone does nothing without the keys of tokens.
        for command in (["fernet_setup", *TO_OWNER], ["credential_setup", *TO_OWNER], ["db_sync"]):
            assert tool.run(*command)[0] == 0
        key = primary(tool)
        tool.query(
            "INSERT INTO credential (id, user_id, type, extra, encrypted_blob, key_hash)"
            " VALUES ('c', 'u', 'totp', '{}', :blob, :hash)",
            blob=Fernet(key).encrypt(b"secret").decode(),
            hash=digest(key),
        )
    assert both(tools, "credential_rotate", *TO_OWNER) == 0
    # The credential is under a former key now, which the next rotation would put at risk.
    assert both(tools, "credential_rotate", *TO_OWNER) == 1
    assert archstone.files() == keystone.files()
    before = archstone.query("SELECT encrypted_blob FROM credential")
    assert both(tools, "credential_migrate", *TO_OWNER) == 0
    assert archstone.query("SELECT encrypted_blob FROM credential") != before
    for tool in tools:
        [(blob, key_hash)] = tool.query("SELECT encrypted_blob, key_hash FROM credential")
        key = primary(tool)
        assert Fernet(key).decrypt(blob.encode()) == b"secret"
        assert key_hash == digest(key)
    assert both(tools, "credential_rotate", *TO_OWNER) == 0
    assert archstone.files() == keystone.files()


def primary(tool):
    keys = tool.keys("credentials")
    return keys[max(keys)].encode()


def digest(key):
    return hashlib.sha1(key).hexdigest()
