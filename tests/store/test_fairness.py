"""A lock that is handed on in order, and what that does for writers on SQLite."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from store.errors import DatabaseUnavailable
from store.fairness import FairLock
from store.session import Database


def test_whoever_asked_first_has_it_first() -> None:
    lock, order = FairLock(), []
    assert lock.acquire(0)

    def wait(number: int) -> None:
        assert lock.acquire(10)
        order.append(number)
        lock.release()

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        time.sleep(0.02)
    lock.release()
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert lock.acquire(0)


def test_whoever_gives_up_is_passed_over() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    assert not lock.acquire(0.02)
    lock.release()
    assert lock.acquire(0)
    lock.release()


def test_it_has_one_holder_at_a_time_whatever_times_out() -> None:
    lock, inside, most, got = FairLock(), 0, 0, 0

    def work() -> None:
        nonlocal inside, most, got
        for _ in range(200):
            if lock.acquire(0.001):
                inside += 1
                most = max(most, inside)
                got += 1
                inside -= 1
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert got > 0
    assert lock.acquire(1)


def test_threads_that_write_to_sqlite_wait_for_their_turn(sqlite_url: str) -> None:
    """None of them looks at the file meanwhile, so a short patience of SQLite's own is enough for all."""
    with Database(sqlite_url, busy_seconds=10) as database:
        with database.writing() as tx:
            tx.execute(sa.text("CREATE TABLE written (number INTEGER)"))
        turns: list[int] = []

        def write(number: int) -> None:
            with database.writing() as tx:
                turns.append(number)
                tx.execute(sa.text("INSERT INTO written VALUES (:number)"), {"number": number})

        with database.writing():
            threads = []
            for number in range(20):
                threads.append(threading.Thread(target=write, args=(number,)))
                threads[-1].start()
                time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert turns == list(range(20))


def test_one_that_waits_too_long_within_its_own_process_is_told(sqlite_url: str) -> None:
    with Database(sqlite_url, busy_seconds=0.05) as database, database.writing():
        with pytest.raises(DatabaseUnavailable, match="could write"), database.of("other").writing():
            pass
        database.ping()
