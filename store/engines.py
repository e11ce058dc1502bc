"""The engines of both databases: their drivers, how a transaction begins, how long a statement may take."""

from __future__ import annotations

import math
import sqlite3
import time
from types import ModuleType
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

WRITES: Final = "ridgeline_writes"
"""The execution option of a connection whose transaction writes."""
PATIENT: Final = "ridgeline_patient"
"""The execution option of a connection whose statements may take as long as they do."""

_LOOK_SECONDS = 0.001
"""Between two looks at SQLite's write lock while another process has it, which is for some milliseconds."""
_UNTIL = "ridgeline_until"
"""Where a connection of SQLite's keeps when its statement is to be given up."""
_STEPS = 100_000
"""Of SQLite's between two looks at the clock: some milliseconds."""


def sqlite_driver() -> ModuleType:
    """pysqlite3 brings a current SQLite of its own; the interpreter's may have the WAL-reset bug."""
    try:
        import pysqlite3
    except ImportError:
        return sqlite3
    driver: ModuleType = pysqlite3
    return driver


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def with_driver(url: sa.URL) -> sa.URL:
    """People write `postgresql://` or `postgres://`; SQLAlchemy wants the driver named."""
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url
    raise ValueError(f"the database must be sqlite or postgresql, not {url.drivername}")


def engine_for(
    url: sa.URL, *, pool_size: int, busy_seconds: float, statement_seconds: float | None
) -> sa.Engine:
    """An engine that has opened nothing yet; see `Database` for what may be chosen."""
    options: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": orjson.loads}
    if url.get_backend_name() != "sqlite":
        return _postgresql_engine(url, pool_size, options, statement_seconds)
    engine = _sqlite_engine(url, busy_seconds, pool_size, options)
    if statement_seconds:
        _interrupt_after(engine, statement_seconds)
    return engine


def _sqlite_engine(url: sa.URL, busy_seconds: float, pool_size: int, options: dict[str, Any]) -> sa.Engine:
    engine = sa.create_engine(
        url,
        module=sqlite_driver(),
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
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WRITES):
            _begin_to_write(connection, busy_seconds)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_to_write(connection: sa.Connection, busy_seconds: float) -> None:
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
    except sqlite_driver().Error as error:
        return bool(getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY)
    return True


def _interrupt_after(engine: sa.Engine, seconds: float) -> None:
    """Have SQLite look at the clock now and then, and give up a statement that has taken so long."""

    @sa.event.listens_for(engine, "connect")
    def watch(connection: Any, record: ConnectionPoolEntry) -> None:
        def is_late() -> bool:
            until: float = record.info.get(_UNTIL, math.inf)
            return time.monotonic() > until

        connection.set_progress_handler(is_late, _STEPS)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def begin(connection: sa.Connection, *_: Any) -> None:
        is_patient = connection.get_execution_options().get(PATIENT)
        connection.info[_UNTIL] = math.inf if is_patient else time.monotonic() + seconds


def _postgresql_engine(
    url: sa.URL, pool_size: int, options: dict[str, Any], statement_seconds: float | None
) -> sa.Engine:
    # A worker that is paused in mid-transaction would hold its rows' locks for ever.
    chosen = ["-c idle_in_transaction_session_timeout=15000"]
    if statement_seconds:
        chosen.append(f"-c statement_timeout={round(1000 * statement_seconds)}")
    engine = sa.create_engine(
        url,
        connect_args={"connect_timeout": 5, "options": " ".join(chosen)},
        pool_size=pool_size,
        max_overflow=4 * pool_size,
        pool_pre_ping=True,
        **options,
    )

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if statement_seconds and connection.get_execution_options().get(PATIENT):
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

    return engine
