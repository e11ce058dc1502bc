"""What the store's tests do in forked processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from store import migrate
from store.files import Files
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.store.examples import add_job


def add_jobs_for_ever(database_url: str) -> None:
    """For a process that is to be killed in the midst of it; each job has five warnings."""
    database = Database(database_url).of(DEFAULT_PROJECT)
    while True:
        add_job(database, warnings=[{"pointer": "", "detail": "x"}] * 5)


def fork_a_child(database_url: str) -> None:
    """Use a database before the fork, in the child and after it; ends with 3 where both share connections."""
    database = Database(database_url)
    database.ping()
    parent = id(database._pool.engine.pool)
    child = os.fork()
    if not child:
        database.ping()
        os._exit(0 if id(database._pool.engine.pool) != parent else 3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    database.ping()
    sys.exit(status)


def upgrade(database_url: str) -> None:
    """Bring a database to the newest schema."""
    migrate.upgrade(Database(database_url))


def find_nothing_to_upgrade(database_url: str) -> None:
    """Ends with 1 where alembic was loaded for that."""
    migrate.upgrade(Database(database_url))
    sys.exit("alembic" in sys.modules)


def put(files_url: str, key: str, path: str) -> None:
    """Store a file."""
    Files(files_url).put(key, Path(path))
