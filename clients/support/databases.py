"""Throwaway databases on the servers that scripts/test starts."""

import os
import uuid
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url, text

KINDS = ("sqlite", "postgres", "mariadb")


@contextmanager
def database(kind, directory):
    """An empty database of that kind: its URL as SQLAlchemy and Keystone write it."""
    name = f"t{uuid.uuid4().hex}"
    if kind == "sqlite":
        yield f"sqlite:///{directory / name}.db"
        return
    variable = f"ARCHSTONE_TEST_{kind.upper()}"
    if variable not in os.environ:
        pytest.skip(f"${variable} names no server")
    driver = {"postgres": "postgresql+psycopg2", "mariadb": "mysql+pymysql"}[kind]
    administrator = make_url(os.environ[variable]).set(drivername=driver)
    run(administrator, f"CREATE DATABASE {name}")
    try:
        yield administrator.set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if kind == "postgres" else ""
        run(administrator, f"DROP DATABASE {name}{force}")


def run(url, *statements):
    """Runs statements one by one, each in a transaction of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
