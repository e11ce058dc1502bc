"""Attempts brought to their ends in the database: those that end together in one transaction.

What one of them cannot have written must not keep the others from their ends: then each is written for
itself. What cannot be written at all is left to its lease.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from store.errors import DatabaseUnavailable
from store.session import Connection, Database
from worker import endings
from worker.attempts import Attempt
from worker.curves import record
from worker.endings import Ending

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.25
"""Between two tries to write an ending while the database is away."""


def conclude(database: Database, ended: Mapping[Attempt, Ending], *, backoff_seconds: float) -> None:
    """Write the endings, each with the epochs that still wait; raises nothing, whatever happens."""
    if len(ended) > 1 and not _tried_together(database, ended):
        for attempt, ending in ended.items():
            _conclude(database, attempt, ending, backoff_seconds)
    elif len(ended) == 1:
        ((attempt, ending),) = ended.items()
        _conclude(database, attempt, ending, backoff_seconds)
    for attempt, ending in ended.items():
        attempt.end(type(ending).__name__.lower())


def _tried_together(database: Database, ended: Mapping[Attempt, Ending]) -> bool:
    try:
        _write(database, ended)
    except BaseException as error:
        log.warning("some ends cannot be written together", jobs=len(ended), error=str(error))
        return False
    return True


def _conclude(database: Database, attempt: Attempt, ending: Ending, backoff_seconds: float) -> None:
    """One for itself; where its result or its last epochs cannot be stored, perhaps that it failed can."""
    with attempt.in_focus():
        try:
            _write(database, {attempt: ending})
        except BaseException as error:
            log.exception("the end of the job could not be written")
            failure = endings.of(error, delay_seconds=backoff_seconds)
        else:
            return
        attempt.recorder.forget()
        try:
            _write(database, {attempt: failure})
        except BaseException:
            log.exception("the job is left to its lease")


def _write(database: Database, ended: Mapping[Attempt, Ending]) -> None:
    """One transaction, tried until the leases are lost."""
    written: set[Attempt] | None = None
    while written is None and (held := _held(ended)):
        try:
            with database.writing() as tx:
                wanted = _written(tx, held)
        except DatabaseUnavailable as error:
            log.warning("the ends of jobs wait for the database", jobs=len(held), error=str(error))
            time.sleep(RETRY_SECONDS)
        else:
            written = wanted
    _tell(ended, written or set())


def _held(ended: Mapping[Attempt, Ending]) -> dict[Attempt, Ending]:
    return {attempt: ending for attempt, ending in ended.items() if not attempt.lease.lost}


def _written(tx: Connection, ended: Mapping[Attempt, Ending]) -> set[Attempt]:
    """Those whose ends were written; the jobs of the others are no longer ours.

    All rows are held first, and always in the same order, as the heartbeat does.
    """
    mine = record(tx, [attempt.recorder for attempt in ended])
    return {
        attempt
        for attempt, ending in ended.items()
        if attempt.job.id in mine and ending.write(tx, attempt.job.id, attempt.job.fence)
    }


def _tell(ended: Mapping[Attempt, Ending], written: set[Attempt]) -> None:
    for attempt, ending in ended.items():
        with attempt.in_focus():
            if attempt not in written:
                log.warning("job is no longer this worker's; nothing more is written")
                continue
            log.info("attempt ends", ending=type(ending).__name__.lower(), detail=ending.detail)
            if ending.final:
                attempt.kept.discard()
