"""Writes of several rows each, and whether a database holds half of one."""

import contextlib

import sqlalchemy

from support.people import unique

# Each is one request that writes several rows; `me` is the id of who asks.
WRITES = {
    "project": lambda me: (
        "/projects",
        {"project": {"name": unique("whole"), "tags": ["one", "two", "three"], "options": {"immutable": False}}},
    ),
    "user": lambda me: (
        "/users",
        {
            "user": {
                "name": unique("whole"),
                "password": unique("password"),
                "options": {"ignore_password_expiry": True, "lock_password": True},
            }
        },
    ),
    "application_credential": lambda me: (
        f"/users/{me}/application_credentials",
        {
            "application_credential": {
                "name": unique("whole"),
                "roles": [{"name": "member"}, {"name": "reader"}],
                "access_rules": [
                    {"service": unique("service"), "method": method, "path": "/v2.1/servers"}
                    for method in ("GET", "POST")
                ],
            }
        },
    ),
}

# What each finds is half of something.
HALVES = {
    "a user without a name": (
        """SELECT id FROM "user" WHERE id NOT IN (SELECT user_id FROM local_user)
        AND id NOT IN (SELECT user_id FROM nonlocal_user) AND id NOT IN (SELECT user_id FROM federated_user)"""
    ),
    "a name without a user": """SELECT name FROM local_user WHERE user_id NOT IN (SELECT id FROM "user")""",
    "a name without a password": "SELECT name FROM local_user WHERE id NOT IN (SELECT local_user_id FROM password)",
    "a password of nobody": "SELECT id FROM password WHERE local_user_id NOT IN (SELECT id FROM local_user)",
    "a user without both options": (
        """SELECT name FROM local_user WHERE name LIKE 'whole-%'
        AND (SELECT COUNT(*) FROM user_option WHERE user_option.user_id = local_user.user_id) <> 2"""
    ),
    "an option of nobody": """SELECT user_id FROM user_option WHERE user_id NOT IN (SELECT id FROM "user")""",
    "a project without its tags": (
        """SELECT name FROM project WHERE name LIKE 'whole-%'
        AND (SELECT COUNT(*) FROM project_tag WHERE project_tag.project_id = project.id) <> 3"""
    ),
    "a project without its option": (
        """SELECT name FROM project WHERE name LIKE 'whole-%'
        AND id NOT IN (SELECT project_id FROM project_option)"""
    ),
    "a tag of nothing": "SELECT name FROM project_tag WHERE project_id NOT IN (SELECT id FROM project)",
    "an application credential without its roles": (
        """SELECT name FROM application_credential WHERE name LIKE 'whole-%'
        AND (SELECT COUNT(*) FROM application_credential_role
             WHERE application_credential_id = application_credential.internal_id) <> 2"""
    ),
    "an application credential without its access rules": (
        """SELECT name FROM application_credential WHERE name LIKE 'whole-%'
        AND (SELECT COUNT(*) FROM application_credential_access_rule
             WHERE application_credential_id = application_credential.internal_id) <> 2"""
    ),
    "an access rule of no application credential": (
        """SELECT external_id FROM access_rule
        WHERE id NOT IN (SELECT access_rule_id FROM application_credential_access_rule)"""
    ),
    "an assignment of nobody": (
        """SELECT actor_id FROM assignment WHERE type IN ('UserProject', 'UserDomain')
        AND actor_id NOT IN (SELECT id FROM "user")"""
    ),
    "an assignment on nothing": "SELECT target_id FROM assignment WHERE target_id NOT IN (SELECT id FROM project)",
    "an assignment of no role": "SELECT role_id FROM assignment WHERE role_id NOT IN (SELECT id FROM role)",
}

# Where the names of what WRITES makes are.
NAMES = {
    "project": "SELECT name FROM project WHERE name LIKE 'whole-%'",
    "user": "SELECT name FROM local_user WHERE name LIKE 'whole-%'",
    "application_credential": "SELECT name FROM application_credential WHERE name LIKE 'whole-%'",
}


def assert_whole(url):
    """No write was done by half."""
    with connection(url) as database:
        for what, query in HALVES.items():
            assert database.execute(sqlalchemy.text(query)).fetchall() == [], what


def names(url, kind):
    """The names of all that WRITES made of that kind."""
    with connection(url) as database:
        return {name for [name] in database.execute(sqlalchemy.text(NAMES[kind]))}


@contextlib.contextmanager
def connection(url):
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as database:
        if engine.dialect.name == "mysql":
            database.execute(sqlalchemy.text("SET sql_mode = 'ANSI_QUOTES'"))
        yield database
    engine.dispose()
