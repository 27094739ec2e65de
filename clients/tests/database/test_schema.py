"""The tables we make against those that the reference makes, on each kind of database."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from support.databases import KINDS, database, run
from support.servers import REPOSITORY, archstone_binary

MIGRATIONS = REPOSITORY / "crates" / "store" / "src" / "migrations"
OURS = "archstone_"

# What the catalogs of a server know beyond SQLAlchemy's inspector. PostgreSQL's functions are left
# out: the four that db_sync leaves behind serve nothing, and we do not make them.
DETAILS = {
    "sqlite": [],
    "postgres": [
        "SELECT typname, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY enumsortorder",
        "SELECT sequencename, data_type::text FROM pg_sequences WHERE sequencename NOT LIKE 'archstone_%'",
        "SELECT event_object_table, trigger_name FROM information_schema.triggers",
    ],
    "mariadb": [
        "SELECT table_name, engine, table_collation FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name NOT LIKE 'archstone_%'",
        "SELECT table_name, column_name, collation_name, extra FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name NOT LIKE 'archstone_%'",
        "SELECT event_object_table, trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
        "SELECT @@collation_database",
    ],
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def made_by_us(kind, tmp_path_factory):
    with database(kind, tmp_path_factory.mktemp("ours")) as url:
        archstone_db_sync(tmp_path_factory.mktemp("by"), url)
        yield url


@pytest.fixture(scope="module")
def made_by_keystone(kind, tmp_path_factory):
    directory = tmp_path_factory.mktemp("theirs")
    with database(kind, directory) as url:
        done = manage(directory, url, "db_sync")
        assert done.returncode == 0, done.stderr
        yield url


def test_our_schema_is_the_one_that_keystone_makes(kind, made_by_us, made_by_keystone):
    ours, theirs = facts(kind, made_by_us), facts(kind, made_by_keystone)
    assert sum(name.startswith("table ") for name in theirs) == 49
    assert ours.keys() == theirs.keys()
    for name, fact in theirs.items():
        assert ours[name] == fact, name


def test_keystone_finds_nothing_to_do_on_our_database(made_by_us, tmp_path):
    done = manage(tmp_path, made_by_us, "db_sync", "--check")
    assert done.returncode == 0, done.stderr


def test_keystone_minds_our_tables_and_indexes_in_no_way(kind, made_by_us, tmp_path):
    before, indexes = facts(kind, made_by_us), our_indexes(made_by_us)
    assert {"archstone_ix_local_user_name", "archstone_ix_assignment_target_id"} <= indexes
    done = manage(tmp_path, made_by_us, "db_sync")
    assert done.returncode == 0, done.stderr
    assert facts(kind, made_by_us) == before
    assert our_indexes(made_by_us) == indexes
    assert inspect(create_engine(made_by_us)).has_table("archstone_change")


def test_our_indexes_may_be_dropped(kind, tmp_path, made_by_keystone):
    with database(kind, tmp_path) as url:
        archstone_db_sync(tmp_path, url)
        engine = create_engine(url)
        for table in inspect(engine).get_table_names():
            quoted = engine.dialect.identifier_preparer.quote(table)
            place = f" ON {quoted}" if kind == "mariadb" else ""
            run(url, *(f"DROP INDEX {name}{place}" for name in our_indexes_of(engine, table)))
        engine.dispose()
        assert our_indexes(url) == set()
        # Nothing of Keystone's went with them.
        assert facts(kind, url) == facts(kind, made_by_keystone)
        done = manage(tmp_path, url, "db_sync", "--check")
        assert done.returncode == 0, done.stderr


# Only MariaDB commits at each statement that defines a table.
@pytest.mark.parametrize("kind", ["mariadb"], indirect=True, scope="module")
def test_a_run_that_was_cut_short_is_completed_by_a_second(tmp_path, made_by_keystone, kind):
    statements = our_statements(kind)
    for cut in (1, len(statements) // 2, len(statements) - 1):
        with database(kind, tmp_path) as url:
            run(url, *statements[:cut])
            archstone_db_sync(tmp_path, url)
            assert facts(kind, url) == facts(kind, made_by_keystone)
            assert inspect(create_engine(url)).has_table("archstone_protocol")


def our_statements(kind):
    """The statements of our migrations in order, as a fresh database of that kind has them."""
    files = [MIGRATIONS / "archstone_schema.sql", *sorted((MIGRATIONS / kind).glob("*.sql"))]
    texts = [file.read_text().replace("{collation}", "utf8mb3_general_ci") for file in files]
    return [part for sql in texts for part in sql.split(";\n") if part.strip()]


def archstone_db_sync(directory, url):
    done = command(archstone_binary(), directory, url, "db_sync")
    assert done.returncode == 0, done.stderr


def manage(directory, url, *arguments):
    """Runs keystone-manage on a database."""
    return command(Path(sys.prefix) / "bin" / "keystone-manage", directory, url, *arguments)


def command(program, directory, url, *arguments):
    configuration = directory / "keystone.conf"
    configuration.write_text(f"[database]\nconnection = {url.replace('$', '$$')}\n")
    return subprocess.run([program, "--config-file", configuration, *arguments], capture_output=True, text=True)


def facts(kind, url):
    """Everything that is to be the same, by a name to find it under."""
    engine = create_engine(url)
    found = {}
    inspector = inspect(engine)
    for table in inspector.get_table_names():
        if not table.startswith(OURS):
            found[f"table {table}"] = {
                "columns": [column_facts(column) for column in inspector.get_columns(table)],
                "primary key": inspector.get_pk_constraint(table),
                "foreign keys": in_order(inspector.get_foreign_keys(table)),
                "unique constraints": in_order(inspector.get_unique_constraints(table)),
                "indexes": in_order(index for index in inspector.get_indexes(table) if not is_ours(index["name"])),
                "checks": in_order(inspector.get_check_constraints(table)),
            }
    with engine.connect() as connection:
        for query in [*DETAILS[kind], "SELECT * FROM alembic_version", "SELECT * FROM project"]:
            found[query] = sorted(str(tuple(row)) for row in connection.execute(text(query)))
    engine.dispose()
    return found


def is_ours(index):
    return index.startswith("archstone_ix_")


def our_indexes_of(engine, table):
    return [index["name"] for index in inspect(engine).get_indexes(table) if is_ours(index["name"])]


def our_indexes(url):
    """The names of the indexes that we add to Keystone's tables."""
    engine = create_engine(url)
    names = {name for table in inspect(engine).get_table_names() for name in our_indexes_of(engine, table)}
    engine.dispose()
    return names


def column_facts(column):
    return {**column, "type": repr(column["type"])}


def in_order(constraints):
    return sorted(constraints, key=str)
