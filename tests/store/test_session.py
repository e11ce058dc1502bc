"""Connections: what commits, what does not, and what happens when the database is away."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from store import jobs, session
from store.errors import DatabaseFull, DatabaseUnavailable, StatementTooLong
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.forks import forked
from tests.store.examples import add_job, look, snapshot, together
from tests.store.processes import add_jobs_for_ever, fork_a_child

ROOT = Path(__file__).parents[2]


def test_a_block_commits_where_it_ends(database: Database) -> None:
    job = add_job(database)
    assert look(database, job) == job


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_no_trace(database: Database, error: type[BaseException]) -> None:
    before = snapshot(database)

    def add_and_raise() -> None:
        with database.writing() as tx:
            tx.execute(sa.text("INSERT INTO counters VALUES ('w', 1)"))
            raise error

    with pytest.raises(error):
        add_and_raise()
    assert snapshot(database) == before


def test_reading_does_not_wait_for_writing(database: Database) -> None:
    job = add_job(database)
    with database.writing() as writing:
        jobs.request_cancel(writing, job.id)
        assert look(database, job).status == "queued"
    assert look(database, job).status == "cancelled"


def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    """The reason for BEGIN IMMEDIATE: with a deferred one, these fail at once with "database is locked"."""
    job = add_job(database)

    def raise_priority() -> None:
        for _ in range(10):
            with database.writing() as tx:
                chosen = sa.text("SELECT priority FROM jobs WHERE id = :id" + _for_update(database))
                found = tx.execute(chosen, {"id": job.id}).scalar_one()
                tx.execute(
                    sa.text("UPDATE jobs SET priority = :p WHERE id = :id"), {"p": found + 1, "id": job.id}
                )

    together([raise_priority] * 4)
    assert look(database, job).priority == 40


def _for_update(database: Database) -> str:
    return " FOR UPDATE" if database.dialect == "postgresql" else ""


def test_sqlite_is_set_up_to_lose_nothing(sqlite_url: str) -> None:
    with Database(sqlite_url, busy_seconds=7) as database, database.reading() as tx:
        pragmas = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        version = tx.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 7000}
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)
    assert database.notes == []


def test_without_its_own_sqlite_it_says_what_may_happen(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    with Database(sqlite_url) as unbound:
        database = unbound.of(DEFAULT_PROJECT)
        job = add_job(database)
        assert look(database, job) == job
        with database.reading() as tx:
            assert tx.exec_driver_sql("SELECT sqlite_version()").scalar() == sqlite3.sqlite_version
        old = sqlite3.sqlite_version_info < (3, 51, 3)
        assert [sqlite3.sqlite_version in note and "pysqlite3" in note for note in database.notes] == [
            True
        ] * old


def test_a_writer_that_waits_too_long_is_told(sqlite_url: str) -> None:
    with Database(sqlite_url) as first, Database(sqlite_url, busy_seconds=0.05) as second, first.writing():
        with pytest.raises(DatabaseUnavailable, match="locked"), second.writing():
            pass
        second.ping()


def test_a_writer_finds_the_moment_when_nobody_writes(sqlite_url: str) -> None:
    """Another process writes again and again. SQLite's own waiting sleeps through most of its breaks."""
    stopping = threading.Event()

    def write_most_of_the_time() -> None:
        with Database(sqlite_url) as other:
            while not stopping.is_set():
                with other.writing():
                    time.sleep(0.02)
                time.sleep(0.004)

    thread = threading.Thread(target=write_most_of_the_time)
    thread.start()
    with Database(sqlite_url) as database:
        try:
            began_at = time.monotonic()
            for _ in range(20):
                with database.writing():
                    pass
            took = time.monotonic() - began_at
        finally:
            stopping.set()
            thread.join()
    assert took < 1.5


def test_sqlite_waits_as_before_where_nobody_writes(sqlite_url: str) -> None:
    with Database(sqlite_url, busy_seconds=7) as database, database.writing() as tx:
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == 7000


def test_a_database_that_is_away(tmp_path: Path) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}/no/such/folder/file.db"):
        with Database(url) as database, pytest.raises(DatabaseUnavailable):
            database.ping()


def test_a_password_is_not_told(tmp_path: Path) -> None:
    with Database("postgresql://me:s3cret@127.0.0.1:1/none") as database:
        with pytest.raises(DatabaseUnavailable) as outage:
            database.ping()
        assert "s3cret" not in str(outage.value)


def test_only_two_kinds_of_database() -> None:
    with pytest.raises(ValueError, match="sqlite or postgresql"):
        Database("mysql://root@localhost/x")
    assert Database("postgres://u@h/d").dialect == "postgresql"


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/later.db").close()
    assert list(tmp_path.iterdir()) == []


def test_a_broken_connection_is_replaced(postgres_url: str) -> None:
    """PostgreSQL restarts: the running transaction is told, the next one works."""

    def break_in_the_middle() -> None:
        with database.writing() as tx:
            _terminate(other, tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            tx.exec_driver_sql("SELECT 1")

    with Database(postgres_url) as database, Database(postgres_url) as other:
        with pytest.raises(DatabaseUnavailable):
            break_in_the_middle()
        with database.reading() as tx:
            backend = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        _terminate(other, backend)
        database.ping()


def _terminate(database: Database, backend: int) -> None:
    with database.writing() as tx:
        assert tx.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend}).scalar()


def test_whoever_is_paused_in_a_transaction_lets_go_in_time(postgres_url: str) -> None:
    with Database(postgres_url) as database, database.reading() as tx:
        assert tx.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "15s"


def test_a_forked_child_takes_connections_of_its_own(database_url: str) -> None:
    """In a process of its own, for a fork is only safe where no threads are."""
    with forked(fork_a_child, database_url) as process:
        process.join(60)
    assert process.exitcode == 0


def test_sigkill_while_writing_leaves_whole_transactions(database: Database, database_url: str) -> None:
    def written() -> int:
        with database.reading() as tx:
            return int(tx.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one())

    with forked(add_jobs_for_ever, database_url):
        deadline = time.monotonic() + 30
        while written() < 5:
            assert time.monotonic() < deadline
            time.sleep(0.002)
    rows = snapshot(database)
    assert len(rows["jobs"]) >= 5
    assert len(rows["datasets"]) == len(rows["jobs"])
    assert len(rows["events"]) == 6 * len(rows["jobs"])
    assert add_job(database).status == "queued"


def test_a_full_disk_is_told_from_one_that_is_away(database: Database) -> None:
    """In each database's own words; once there is room, the same connections go on."""
    with database.reading() as tx:
        is_sqlite = tx.dialect.name == "sqlite"
        pages = tx.execute(sa.text("PRAGMA page_count")).scalar_one() if is_sqlite else 0

    def fill(tx: sa.Connection) -> None:
        if is_sqlite:
            tx.execute(sa.text(f"PRAGMA max_page_count={pages}"))
            tx.execute(sa.text("INSERT INTO counters VALUES (hex(zeroblob(1000000)), 0)"))
        else:
            said = "could not extend file: No space left on device"
            tx.execute(sa.text(f"DO $$ BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = 'disk_full'; END $$"))

    def write(act: Callable[[sa.Connection], object]) -> None:
        with database.writing() as tx:
            act(tx)

    assert issubclass(DatabaseFull, DatabaseUnavailable)
    for _ in range(2):
        with pytest.raises(DatabaseFull, match=r"full|No space left"):
            write(fill)
    if is_sqlite:
        write(lambda tx: tx.execute(sa.text("PRAGMA max_page_count=4294967294")))
    write(lambda tx: tx.execute(sa.text("INSERT INTO counters VALUES ('room', 1)")))
    with database.reading() as tx:
        assert tx.execute(sa.text("SELECT value FROM counters WHERE name = 'room'")).scalar_one() == 1


@pytest.mark.parametrize(
    ("code", "is_full"),
    [
        *(
            (sqlite3.SQLITE_FULL, True),
            (sqlite3.SQLITE_IOERR_WRITE, True),
            (sqlite3.SQLITE_IOERR_FSYNC, True),
        ),
        *((sqlite3.SQLITE_IOERR_DIR_FSYNC, True), (sqlite3.SQLITE_IOERR_SHMSIZE, True)),
        *((sqlite3.SQLITE_IOERR_READ, False), (sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_CANTOPEN, False)),
    ],
)
def test_what_sqlite_calls_a_full_disk(code: int, is_full: bool) -> None:
    error = sqlite3.OperationalError("as the driver says it")
    error.sqlite_errorcode = code
    assert session._is_full(error) == is_full


_ENDLESS = """
WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1000000000)
SELECT count(*) FROM counted
"""
_LONG = """
WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1000000)
SELECT count(*) FROM counted
"""
"""Takes some tenths of a second."""


@pytest.fixture
def hurried(database_url: str) -> Iterator[Database]:
    with Database(database_url, statement_seconds=0.05) as database:
        yield database.of(DEFAULT_PROJECT)


def test_a_statement_that_takes_too_long_is_stopped(hurried: Database) -> None:
    for way in (hurried.reading, hurried.writing):
        started = time.monotonic()
        with pytest.raises(StatementTooLong), way() as tx:
            tx.execute(sa.text(_ENDLESS))
        assert time.monotonic() - started < 5
    add_job(hurried)  # The connections are as good as before.


def test_a_writer_that_is_stopped_leaves_no_trace(hurried: Database) -> None:
    def write() -> None:
        with hurried.writing() as tx:
            tx.execute(sa.text("INSERT INTO counters VALUES ('w', 1)"))
            tx.execute(sa.text(_ENDLESS))

    with pytest.raises(StatementTooLong):
        write()
    with hurried.reading() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM counters")).scalar_one() == 0


def test_a_patient_database_waits_and_the_next_statement_is_hurried_again(hurried: Database) -> None:
    for way in (hurried.patient().reading, hurried.patient().writing):
        with way() as tx:
            assert tx.execute(sa.text(_LONG)).scalar_one() == 1_000_000
    with pytest.raises(StatementTooLong), hurried.reading() as tx:
        tx.execute(sa.text(_ENDLESS))


def test_nobody_else_is_hurried(database: Database) -> None:
    """Workers, the reconciler, migrations, backups and the command line have their own long statements."""
    with database.reading() as tx:
        assert tx.execute(sa.text(_LONG)).scalar_one() == 1_000_000
