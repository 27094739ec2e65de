"""Fixtures: the server under test, its administrator, and people who use it."""

import pytest

from support.people import Person, admin_login, api
from support.servers import under_test


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """The server under test, one for the whole run."""
    server = under_test()(tmp_path_factory.mktemp("identity") / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def admin(identity):
    """The API as the administrator sees it: `admin.get("/users")`."""
    return api(identity, admin_login(identity))


@pytest.fixture
def new_person(identity, admin):
    """Makes people: `new_person("member", "reader")` holds these roles on a project of its own."""
    return lambda *roles: Person.create(identity, admin, roles or ("member",))
