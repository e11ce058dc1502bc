"""What every test may ask for: real databases and a real broker, private to this run."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from store import migrate
from store.session import Connection, Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT, metadata, projects
from tests import browsers, budget, servers

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for what the tests start: see tests/models/conftest.py

MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux."""
ENOUGH_BYTES = 8 * 1024**3
"""Far more than all that lies there at once."""


def _temporary_files_in_memory() -> None:
    """Nothing that the tests write must outlive the machine, so none of their syncs need wait for a disk.

    Only where there is much room and programs may run; a folder that was chosen stays the chosen one.
    """
    if {"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & os.environ.keys() or not os.access(MEMORY, os.W_OK):
        return
    there = os.statvfs(MEMORY)
    if there.f_bavail * there.f_frsize >= ENOUGH_BYTES and not there.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


_temporary_files_in_memory()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs a Chromium; `./run browser` installs one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two processes share the modules in this order."""

    items.sort(key=budget.rank)
    browsers.leave_out(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Modules are shared among the processes, and folders that have a server of their own stay whole."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return budget.server_of(nodeid) or super()._split_scope(nodeid)

    return ByServer(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of pytest-xdist has ended."""
    browsers.told_by(node.config, node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was left out is said where people look: at the end."""
    if line := browsers.report(terminalreporter.config):
        terminalreporter.write_line(line, yellow=True)
    passed = terminalreporter.getreports("passed") + terminalreporter.getreports("")
    if line := budget.describe(budget.find_slow(passed)):
        terminalreporter.write_line(line, yellow=True)


gc.disable()


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the collector need go through it neither before nor after."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _log_plainly() -> None:
    """structlog as it comes, but for its tracebacks: to paint all variables of all frames takes seconds."""
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


_log_plainly()


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """What a test configures of logging ends with it: text that is not UTF-8 must not reach a report."""
    yield
    _log_plainly()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of this process (each xdist worker), or what RIDGELINE_TEST_DATABASE_URL names."""
    named = os.environ.get("RIDGELINE_TEST_DATABASE_URL")
    if named:
        yield named
        return
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: str) -> Iterator[servers.Databases]:
    databases = servers.Databases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: servers.Databases) -> Iterator[str]:
    """The URL of a fresh database with the newest schema, on PostgreSQL."""
    with postgres_databases.fresh() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "ridgeline.db"
    with Database(f"sqlite:///{path}") as database:
        migrate.upgrade(database)
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The URL of a fresh database with the newest schema, on SQLite."""
    path = tmp_path / "ridgeline.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def kept_postgresql(postgres_databases: servers.Databases) -> Iterator[Database]:
    """One database for the many tests that only need it empty: emptying is cheaper than making."""
    with postgres_databases.fresh() as url, Database(url) as database:
        yield database


@pytest.fixture(scope="session")
def kept_sqlite(migrated_sqlite: Path) -> Iterator[Database]:
    """The same on SQLite."""
    path = migrated_sqlite.with_name("kept.db")
    shutil.copyfile(migrated_sqlite, path)
    with Database(f"sqlite:///{path}") as database:
        yield database


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """The same test on both: an empty database with the newest schema, as the default project sees it."""
    return _empty_all(request.getfixturevalue(f"kept_{request.param}"))


@pytest.fixture
def sqlite_database(kept_sqlite: Database) -> Database:
    """The same on SQLite alone, for what does not depend on the database."""
    return _empty_all(kept_sqlite)


@pytest.fixture
def postgresql_database(kept_postgresql: Database) -> Database:
    """The same on PostgreSQL alone, for what only a database with locks on rows does."""
    return _empty_all(kept_postgresql)


def _empty_all(kept: Database) -> Database:
    with kept.writing() as tx:
        _empty(tx)
        tx.execute(projects.insert().values(id=DEFAULT_PROJECT, name=DEFAULT_PROJECT))
    return kept.of(DEFAULT_PROJECT)


_HAVE_ROWS = "SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {name})" for name in metadata.tables)
_DELETE_FIRST = [table.name for table in reversed(metadata.sorted_tables)]
"""Whoever refers to others comes before them."""


def _empty(tx: Connection) -> None:
    """Delete what is in the tables, once it is known which have rows: most tests leave some in a few."""
    found = dict(zip(metadata.tables, tx.exec_driver_sql(_HAVE_ROWS).one(), strict=True))
    deletions = [f"DELETE FROM {name}" for name in _DELETE_FIRST if found[name]]
    if (
        tx.dialect.name == "postgresql"
    ):  # There each statement is a round trip, SQLite takes but one at a time.
        deletions = ["; ".join(deletions)] if deletions else []
    for deletion in deletions:
        tx.exec_driver_sql(deletion)


@pytest.fixture
def database_url(database: Database) -> str:
    """The same test on both: the URL of an empty database with the newest schema."""
    return database.url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def broker_server() -> Iterator[str]:
    """A Valkey of this process (of each xdist worker), or what RIDGELINE_TEST_BROKER_URL names."""
    named = os.environ.get("RIDGELINE_TEST_BROKER_URL")
    if named:
        yield named
        return
    with servers.valkey() as url:
        yield url


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a server leaves it that has been started once: to be copied, for the next one's start.

    The bundled datasets are there; to write them takes longer than all the rest of a start.
    """
    from starlette.testclient import TestClient

    from api.app import create_app

    folder = tmp_path_factory.mktemp("prepared")
    with TestClient(create_app(Settings(data_dir=folder)), "http://localhost") as client:
        # Who needs a bundled dataset before it has been stored waits for it.
        assert client.post("/v1/jobs/validate", json={"dataset": "digits"}).status_code == 200
        assert len(client.get("/v1/datasets").json()["data"]) == 5
    return folder
