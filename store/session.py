"""Connections: one `Database`, and the two ways in, `reading()` and `writing()`.

Everything a function of the store does happens on the connection it is handed, inside the caller's
transaction; only the caller's `with` commits. Nothing is opened before the first use.

`database.of(project_id)` is the same database as one project sees it: a transaction carries its project, and
`store.projects.only` narrows every query by it. A transaction without one serves those who work for all
projects, the workers and the reconciler, and cannot ask for anything that belongs to a project.
"""

from __future__ import annotations

import copy
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy import exc

from store.columns import now
from store.engines import PATIENT, WRITES, engine_for, sqlite_driver, with_driver
from store.errors import DatabaseFull, DatabaseUnavailable, SchemaOutdated, StatementTooLong
from store.fairness import FairLock

__all__ = ["Connection", "Database", "now"]

Connection = sa.Connection

_SAFE_SQLITE = (3, 51, 3)
PROJECT = "ridgeline_project"
"""The execution option under which a connection carries its project."""
BEFORE_COMMIT = "ridgeline_before_commit"
"""The execution option of a transaction that writes: what it does last, by name, each a function of it. Who
takes a lock only then keeps nobody waiting for long, and waits for nobody while he has it."""
_CANCELLED = "57014"  # PostgreSQL's query_canceled
_NOT_UPGRADED = ("42P01", "42703")  # PostgreSQL's undefined table and column; SQLite's come as outages


class Database:
    """A database by its URL: `sqlite:///file` or `postgresql://…`."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        busy_seconds: float = 15.0,
        statement_seconds: float | None = None,
    ) -> None:
        """`statement_seconds`: a statement that takes longer is cancelled, `StatementTooLong`; None: none is.

        For those whom strangers keep busy: what nobody waits for any more would otherwise run on.
        """
        self.url = with_driver(sa.make_url(url))
        self.project_id: str | None = None
        self._is_patient = False
        self._pool = _Pool(self.url, pool_size, busy_seconds, statement_seconds)

    def of(self, project_id: str) -> Self:
        """The same database, over the same connections, as one project sees it."""
        bound = copy.copy(self)
        bound.project_id = project_id
        return bound

    def patient(self) -> Self:
        """The same database, over the same connections, for statements that may take as long as they do."""
        patient = copy.copy(self)
        patient._is_patient = True
        return patient

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    @cached_property
    def notes(self) -> list[str]:
        """What whoever runs this should know of the driver."""
        if self.dialect != "sqlite":
            return []
        driver = sqlite_driver()
        if driver.sqlite_version_info >= _SAFE_SQLITE:
            return []
        return [
            f"SQLite {driver.sqlite_version} has a bug that can damage a database in WAL mode; "
            "install pysqlite3 0.6.1 or newer, or use PostgreSQL."
        ]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one snapshot on SQLite, one for each statement on PostgreSQL."""
        with _outages_named(), self._connected() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that commits where the block ends, and leaves no trace where it raises.

        On SQLite it takes the write lock at once (`BEGIN IMMEDIATE`): a transaction that reads first and
        writes later would fail with "database is locked" as soon as there are two of them. Threads of one
        process wait for their turn here: SQLite itself would have each look again and again, and while many
        do, some never find it free.
        """
        with _outages_named(), self._pool.turn_to_write(), self._connected() as connection:
            last: dict[str, Callable[[Connection], None]] = {}
            writer = connection.execution_options(**{WRITES: True, BEFORE_COMMIT: last})
            with writer.begin():
                yield writer
                for act in last.values():
                    act(writer)

    def ping(self) -> None:
        """Raise `DatabaseUnavailable` unless the database answers."""
        with self.reading() as tx:
            tx.execute(sa.text("SELECT 1"))

    def close(self) -> None:
        """Close every idle connection."""
        self._pool.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> Connection:
        """A connection of the pool, which carries the project if there is one."""
        options = {PROJECT: self.project_id, PATIENT: self._is_patient}
        return self._pool.alive().connect().execution_options(**options)


class _Pool:
    """The connections of a process; the views of all projects share them."""

    def __init__(self, url: sa.URL, size: int, busy_seconds: float, statement_seconds: float | None) -> None:
        self._url = url
        self._size = size
        self._busy_seconds = busy_seconds
        self._statement_seconds = statement_seconds
        self._pid = os.getpid()
        self._turn = FairLock()

    @contextmanager
    def turn_to_write(self) -> Iterator[None]:
        """Alone among the threads of this process on SQLite, which has one writer at a time anyway."""
        if self._url.get_backend_name() != "sqlite":
            yield
            return
        self.alive()
        turn = self._turn
        if not turn.acquire(self._busy_seconds):
            raise DatabaseUnavailable(f"nobody else could write for {self._busy_seconds:g} seconds")
        try:
            yield
        finally:
            turn.release()

    def alive(self) -> sa.Engine:
        """The engine; a forked child lets go of its parent's connections before it uses any."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._turn = FairLock()  # The parent's may have been taken at the moment of the fork.
            self.engine.dispose(close=False)
        return self.engine

    @cached_property
    def engine(self) -> sa.Engine:
        return engine_for(
            self._url,
            pool_size=self._size,
            busy_seconds=self._busy_seconds,
            statement_seconds=self._statement_seconds,
        )


@contextmanager
def _outages_named() -> Iterator[None]:
    """Turn a driver's ways of saying "not now" into one error of the store."""
    try:
        yield
    except (exc.OperationalError, exc.TimeoutError) as error:
        if _is_full(getattr(error, "orig", None)):
            raise DatabaseFull(f"there is no space left for the database: {_reason(error)}") from error
        if _was_cancelled(error):
            raise StatementTooLong from error
        raise DatabaseUnavailable(f"the database cannot be used now: {_reason(error)}") from error
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _NOT_UPGRADED:
            raise SchemaOutdated from error
        if not error.connection_invalidated:
            raise
        raise DatabaseUnavailable(f"the connection to the database broke: {_reason(error)}") from error


_DISK_FULL = "53100"
"""PostgreSQL's word for it."""
_SQLITE_FULL = 13
_SQLITE_REFUSED = frozenset({778, 1034, 1290, 4874})
"""What SQLite says where the system refuses to write, sync or enlarge a file: SQLITE_IOERR_WRITE, _FSYNC,
_DIR_FSYNC and _SHMSIZE. A full disk it mostly names itself, but not a quota that is used up."""


def _is_full(error: BaseException | None) -> bool:
    """Whether a driver's error says that a disk is full."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == _SQLITE_FULL or code in _SQLITE_REFUSED or getattr(error, "sqlstate", None) == _DISK_FULL


def _was_cancelled(error: Exception) -> bool:
    """Whether the database gave a statement up because it took too long."""
    cause = getattr(error, "orig", None)
    code: int = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return getattr(cause, "sqlstate", None) == _CANCELLED or code == sqlite3.SQLITE_INTERRUPT


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
