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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType, TracebackType
from typing import Any, Self

import orjson
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import ConnectionPoolEntry

from store.columns import now
from store.errors import DatabaseFull, DatabaseUnavailable, SchemaOutdated
from store.fairness import FairLock

__all__ = ["Connection", "Database", "now"]

Connection = sa.Connection

_SAFE_SQLITE = (3, 51, 3)
_LOOK_SECONDS = 0.001
"""Between two looks at SQLite's write lock while another process has it, which is for some milliseconds."""
_WRITES = "ridgeline_writes"
PROJECT = "ridgeline_project"
"""The execution option under which a connection carries its project."""
BEFORE_COMMIT = "ridgeline_before_commit"
"""The execution option of a transaction that writes: what it does last, by name, each a function of it. Who
takes a lock only then keeps nobody waiting for long, and waits for nobody while he has it."""
_NOT_UPGRADED = ("42P01", "42703")  # PostgreSQL's undefined table and column; SQLite's come as outages


def _sqlite_driver() -> ModuleType:
    """pysqlite3 brings a current SQLite of its own; the interpreter's may have the WAL-reset bug."""
    try:
        import pysqlite3
    except ImportError:
        return sqlite3
    driver: ModuleType = pysqlite3
    return driver


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


class Database:
    """A database by its URL: `sqlite:///file` or `postgresql://…`."""

    def __init__(self, url: str, *, pool_size: int = 10, busy_seconds: float = 15.0) -> None:
        self.url = _with_driver(sa.make_url(url))
        self.project_id: str | None = None
        self._pool = _Pool(self.url, pool_size, busy_seconds)

    def of(self, project_id: str) -> Self:
        """The same database, over the same connections, as one project sees it."""
        bound = copy.copy(self)
        bound.project_id = project_id
        return bound

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    @cached_property
    def notes(self) -> list[str]:
        """What whoever runs this should know of the driver."""
        if self.dialect != "sqlite":
            return []
        driver = _sqlite_driver()
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
            writer = connection.execution_options(**{_WRITES: True, BEFORE_COMMIT: last})
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
        return self._pool.alive().connect().execution_options(**{PROJECT: self.project_id})


class _Pool:
    """The connections of a process; the views of all projects share them."""

    def __init__(self, url: sa.URL, size: int, busy_seconds: float) -> None:
        self._url = url
        self._size = size
        self._busy_seconds = busy_seconds
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
        options: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": orjson.loads}
        if self._url.get_backend_name() == "sqlite":
            return _sqlite_engine(self._url, self._busy_seconds, self._size, options)
        return _postgresql_engine(self._url, self._size, options)


def _with_driver(url: sa.URL) -> sa.URL:
    """People write `postgresql://` or `postgres://`; SQLAlchemy wants the driver named."""
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url
    raise ValueError(f"the database must be sqlite or postgresql, not {url.drivername}")


def _sqlite_engine(url: sa.URL, busy_seconds: float, pool_size: int, options: dict[str, Any]) -> sa.Engine:
    engine = sa.create_engine(
        url,
        module=_sqlite_driver(),
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        pool_size=pool_size,
        # Each connection keeps some megabytes of pages at hand: the fewer are in use, the less memory it is.
        pool_use_lifo=True,
        max_overflow=4 * pool_size,
        **options,
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: ConnectionPoolEntry) -> None:
        # The driver's own transaction handling is switched off; `begin` below says how one begins.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            _begin_to_write(connection, busy_seconds)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_to_write(connection: Connection, busy_seconds: float) -> None:
    """Take SQLite's write lock, looking for it often.

    SQLite itself sleeps longer and longer between two looks, up to a tenth of a second: beside processes that
    write little but often, whoever comes late finds it taken each time, though it is free most of the time.
    """
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    try:
        deadline = time.monotonic() + busy_seconds
        while not _begun(driver) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # It says what is wrong.
    finally:
        driver.execute(f"PRAGMA busy_timeout={round(1000 * busy_seconds)}")


def _begun(driver: Any) -> bool:
    """Whether it was free; any other error than that it is taken is left to whoever asks next."""
    try:
        driver.execute("BEGIN IMMEDIATE")
    except _sqlite_driver().Error as error:
        return bool(getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY)
    return True


def _postgresql_engine(url: sa.URL, pool_size: int, options: dict[str, Any]) -> sa.Engine:
    return sa.create_engine(
        url,
        # A worker that is paused in mid-transaction would hold its rows' locks for ever.
        connect_args={"connect_timeout": 5, "options": "-c idle_in_transaction_session_timeout=15000"},
        pool_size=pool_size,
        max_overflow=4 * pool_size,
        pool_pre_ping=True,
        **options,
    )


@contextmanager
def _outages_named() -> Iterator[None]:
    """Turn a driver's ways of saying "not now" into one error of the store."""
    try:
        yield
    except (exc.OperationalError, exc.TimeoutError) as error:
        if _is_full(getattr(error, "orig", None)):
            raise DatabaseFull(f"there is no space left for the database: {_reason(error)}") from error
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


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
