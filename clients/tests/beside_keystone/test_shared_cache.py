"""A Keystone with a cache beside Archstone: it sees at once what Archstone changes.

Keystones tell each other of changes by what they keep in memcached, and Archstone tells them in the
same way. With IDENTITY=oracle a second Keystone stands in for it.
"""

import shutil
import subprocess
import time

import pytest
import sqlalchemy

from support.people import unique
from support.servers import Keystone, free_port, under_test
from support.shared_database import (
    ADMIN_PROJECT,
    Api,
    Somebody,
    eventually,
    listen,
    make_with_keystone,
    manage_archstone,
    secret,
    serve_with_keystone,
    write_configuration,
)

# Within these many seconds a change has to be seen. What Keystone keeps, it keeps for ten minutes.
SEEN = 2


@pytest.fixture(scope="module", params=["oslo_cache.memcache_pool", "dogpile.cache.pymemcache"])
def directory(request, tmp_path_factory):
    """The folder of both servers, whose keystone.conf names a memcached that runs."""
    if not shutil.which("memcached"):
        pytest.skip("there is no memcached")
    directory = tmp_path_factory.mktemp("cached") / "data"
    directory.mkdir()
    port = free_port()
    memcached = subprocess.Popen(["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port)])
    write_configuration(directory, f"sqlite:///{directory}/keystone.db")
    with (directory / "keystone.conf").open("a") as file:
        file.write(f"\n[cache]\nbackend = {request.param}\nmemcache_servers = 127.0.0.1:{port}\n")
    make_with_keystone(directory, Keystone(directory).plain_url)
    yield directory
    memcached.terminate()
    memcached.wait()


@pytest.fixture(scope="module")
def servers(directory):
    """Archstone, or the Keystone in its place, and the Keystone beside it."""
    changing, keeping = under_test()(directory), Keystone(directory)
    keeping.start(serve_with_keystone(keeping))
    if changing.is_reference:
        changing.start(serve_with_keystone(changing))
    else:
        manage_archstone(directory, "db_sync")
        listen(directory, changing)
        changing.start([*changing.serve(), "--config-file", directory / "listen.conf"])
        assert "[cache]" not in changing.printed()
    yield Api(changing.plain_url), Api(keeping.plain_url)
    changing.stop()
    keeping.stop()


def kept(keeping, token):
    """Has the Keystone keep all that it needs to validate the token."""
    for _ in range(3):
        assert keeping.validate(token)[0] == 200


def test_the_keystone_does_not_see_what_nobody_tells_it(servers, directory):
    changing, keeping = servers
    somebody = Somebody.at(changing)
    kept(keeping, somebody.login(keeping).token)
    keeping.get(f"/users/{somebody.id}")
    engine = sqlalchemy.create_engine(f"sqlite:///{directory}/keystone.db")
    with engine.begin() as database:
        database.execute(sqlalchemy.text("UPDATE user SET enabled = 0 WHERE id = :id"), {"id": somebody.id})
    engine.dispose()
    time.sleep(SEEN)
    assert keeping.get(f"/users/{somebody.id}")["user"]["enabled"], "else these tests prove nothing"


def test_a_disabled_user_is_seen(servers):
    changing, keeping = servers
    somebody = Somebody.at(changing)
    token = somebody.login(keeping).token
    kept(keeping, token)
    changing.do("PATCH", f"/users/{somebody.id}", {"user": {"enabled": False}})
    eventually(SEEN, lambda: keeping.validate(token)[0] == 404)
    eventually(SEEN, lambda: not keeping.get(f"/users/{somebody.id}")["user"]["enabled"])


def test_a_revoked_token_is_seen(servers):
    changing, keeping = servers
    somebody = Somebody.at(changing)
    token = somebody.login(changing).token
    kept(keeping, token)
    changing.do("DELETE", "/auth/tokens", **{"X-Subject-Token": token})
    eventually(SEEN, lambda: keeping.validate(token)[0] == 404)


def test_a_role_that_is_taken_away_is_seen(servers):
    changing, keeping = servers
    somebody = Somebody.at(changing)
    kept(keeping, somebody.login(keeping).token)
    [member] = changing.get("/roles?name=member")["roles"]
    changing.do("DELETE", f"/projects/{somebody.project}/users/{somebody.id}/roles/{member['id']}")
    eventually(SEEN, lambda: somebody.login(keeping).status == 401)


def test_what_was_renamed_is_seen_everywhere(servers):
    changing, keeping = servers
    project = changing.create("/projects", "project", name=unique("project"))
    service = changing.create("/services", "service", type=unique("type"), name="before")
    region = changing.create("/regions", "region", id=unique("region"), description="before")
    for kind, found, field in (
        ("project", f"/projects/{project['id']}", "name"),
        ("service", f"/services/{service['id']}", "name"),
        ("region", f"/regions/{region['id']}", "description"),
    ):
        keeping.get(found)
        after = unique("after")
        changing.do("PATCH", found, {kind: {field: after}})
        eventually(SEEN, lambda: keeping.get(found)[kind][field] == after)


def test_an_application_credential_that_is_deleted_is_seen(servers):
    changing, keeping = servers
    somebody = Somebody.at(changing)
    credential = somebody.application_credential(changing)
    token = keeping.login(secret(credential)).token
    kept(keeping, token)
    changing.do("DELETE", f"/users/{somebody.id}/application_credentials/{credential['id']}")
    eventually(SEEN, lambda: keeping.validate(token)[0] == 404)
    eventually(SEEN, lambda: keeping.login(secret(credential), ADMIN_PROJECT).status in (401, 404))
