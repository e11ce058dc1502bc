"""Migrations: they build exactly the tables that the code sees, once, whoever runs them and from wherever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from store import migrate
from store.errors import SchemaOutdated
from store.session import Database
from store.tables import metadata
from tests.forks import forked
from tests.servers import Databases
from tests.store.processes import find_nothing_to_upgrade, upgrade

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/a folder/empty.db"
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.fresh(migrated=False) as url:
        yield url


@pytest.fixture
def empty(empty_url: str, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "a folder").mkdir()
    with Database(empty_url) as database:
        yield database


@pytest.fixture
def migrated(database_url: str) -> Iterator[Database]:
    """One with the newest schema."""
    with Database(database_url) as database:
        yield database


def _tables(database: Database) -> set[str]:
    with database.reading() as tx:
        return set(sa.inspect(tx).get_table_names())


def _definitions(database: Database) -> set[str]:
    """Every table, column, index and constraint, in the database's own words."""
    if database.dialect == "sqlite":
        queries = ["SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%alembic%'"]
    else:
        queries = [
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
            "SELECT conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass",
            "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default,"
            " character_maximum_length) FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
        ]
    with database.reading() as tx:
        found = [text for query in queries for text in tx.exec_driver_sql(query).scalars()]
    return {"\n".join(_clauses(text)) for text in found}


def _clauses(definition: str) -> list[str]:
    """What stands between the commas of a definition, in any order: a later migration's columns come last."""
    clauses, depth = [""], 0
    for character in " ".join(definition.split()):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 1:
            clauses.append("")
        else:
            clauses[-1] += character
    head, _, first = clauses[0].partition("(")
    last, _, tail = clauses[-1].rpartition(")")
    inner = [first, *clauses[1:-1], last] if len(clauses) > 1 else [first.rpartition(")")[0]]
    return [head.strip(), *sorted(clause.strip() for clause in inner), tail.strip()]


def test_migrations_build_what_the_code_sees(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.reading() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []
    migrated = _definitions(empty)
    with empty.writing() as tx:
        metadata.drop_all(tx)
    with empty.writing() as tx:
        metadata.create_all(tx)
    assert migrated == _definitions(empty)
    assert len(migrated) > len(metadata.tables)


def test_upgrading_again_changes_nothing(migrated: Database) -> None:
    before = _definitions(migrated)
    migrate.upgrade(migrated)
    assert _definitions(migrated) == before


def test_an_old_schema_is_told_from_the_newest(empty: Database) -> None:
    """The other tests here end with one that is the newest."""
    with pytest.raises(SchemaOutdated, match="ridgeline database upgrade"):
        migrate.check(empty)


def test_a_database_of_a_later_version_is_left_alone(migrated: Database) -> None:
    def say(version: str) -> None:
        with migrated.writing() as tx:
            tx.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")

    say("9999")
    try:
        with pytest.raises(SchemaOutdated):
            migrate.check(migrated)
        with pytest.raises(SchemaOutdated, match="another version"):
            migrate.upgrade(migrated)
    finally:
        say(migrate.newest())


def test_an_upgrade_that_breaks_off_leaves_nothing(empty: Database) -> None:
    """As a kill in the middle would: tables and version are one transaction, on SQLite as well."""

    def upgrade_and_raise() -> None:
        with empty.writing() as tx:
            command.upgrade(migrate._config(tx), "head")
            assert "jobs" in sa.inspect(tx).get_table_names()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        upgrade_and_raise()
    assert _tables(empty) == set()
    migrate.upgrade(empty)
    migrate.check(empty)


def test_several_processes_upgrade_at_once(empty: Database) -> None:
    url = empty.url.render_as_string(hide_password=False)
    with forked(upgrade, url) as first, forked(upgrade, url) as second, forked(upgrade, url) as third:
        for process in (first, second, third):
            process.join(60)
            assert process.exitcode == 0
    migrate.check(empty)
    assert _tables(empty) == {*metadata.tables, "alembic_version"}


def test_the_program_may_be_started_anywhere(tmp_path: Path) -> None:
    """As an installed package is."""
    url = f"sqlite:///{tmp_path}/new.db"
    settings = {"RIDGELINE_DATABASE_URL": url, "RIDGELINE_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "store.migrate"],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "is up to date" in done.stdout
    with Database(url) as database:
        migrate.check(database)


def test_an_upgrade_may_take_as_long_as_it_does(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's statements are stopped after a while; an index over a million jobs takes longer."""
    counted = "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 1500000)"
    upgrade_itself = command.upgrade

    def slowly(config: Config, revision: str) -> None:
        config.attributes["connection"].exec_driver_sql(f"{counted} SELECT count(*) FROM g")
        upgrade_itself(config, revision)

    monkeypatch.setattr(command, "upgrade", slowly)
    url = empty.url.render_as_string(hide_password=False)
    with Database(url, statement_seconds=0.15) as hurried:
        migrate.upgrade(hurried)
    migrate.check(empty)


def test_the_newest_revision_is_known_without_alembic(sqlite_url: str) -> None:
    with Database(sqlite_url) as database, database.reading() as tx:
        script = ScriptDirectory.from_config(migrate._config(tx))
    assert script.get_current_head() == migrate.newest()
    assert {revision.revision for revision in script.walk_revisions()} == {
        path.name[:4] for path in (ROOT / "store/migrations/versions").glob("[0-9]*.py")
    }


def test_a_server_that_finds_nothing_to_upgrade_does_without_alembic(sqlite_url: str) -> None:
    with forked(find_nothing_to_upgrade, sqlite_url) as process:
        process.join(60)
    assert process.exitcode == 0
