"""Faults at a certain place: in the midst of a claim, of a checkpoint, of a finish.

No code is changed and nothing is waited for in it. What makes them certain is a lock: whoever holds the
database's, or that of one table, stops the worker just where it needs it, looks, and kills.

| fault | how the place is made sure of |
| --- | --- |
| in the claim | PostgreSQL only: `attempts` is locked, so the claim waits after its UPDATE, uncommitted |
| just claimed | the row is watched: killed within a few milliseconds of the claim's commit; not certain |
| partial checkpoint | the folder is watched; the process is stopped, and killed if the file is still so |
| checkpoint before its commit | the file has its name, and the lock keeps its row from being written |
| result before its commit | the same for the weights: they are stored, the job has not succeeded |

Each is tried on a job of its own (`specs.PREY`). Where a place is certain, which checkpoint is struck is not.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from store import tables
from store.errors import DatabaseUnavailable
from store.session import Connection, Database
from tests.chaos.history import Fault
from tests.chaos.installation import KILL, Installation, Trainer, eventually

AIM_SECONDS = 90.0
"""How long a fault may wait for its moment."""
HOLD_SECONDS = 1.0
"""The longest that a lock on everything is held: shorter than a lease, or the worker would give up itself."""

LOCK_SECONDS = 12.0
"""The longest that a lock on one table is held: whoever idles in a transaction is cut off after 15."""


class Missed(Exception):
    """The moment did not come."""


def in_the_claim(made: Installation, job_id: str) -> Trainer | str:
    """The worker has raised the fence and written `running`, and has not committed."""
    if made.database.dialect != "postgresql":
        raise Missed("SQLite shows nothing of a transaction before its commit")
    with _locked(made, tables.attempts):
        if not eventually(lambda: _somebody_waits(made), LOCK_SECONDS):
            raise Missed("nobody claimed anything")
        for name in made.named("worker"):
            made.signal(name, KILL, group=True)
    return "all workers, one in mid-claim"


def just_claimed(made: Installation, job_id: str) -> Trainer | str:
    """Nothing has happened yet but the claim."""
    return _kill(_trainer(made, job_id))


def partial_checkpoint(made: Installation, job_id: str) -> Trainer | str:
    """While the checkpoint is being written under its temporary name."""
    deadline = time.monotonic() + AIM_SECONDS
    folder = made.files / "checkpoints"
    while time.monotonic() < deadline:
        trainer = _trainer(made, job_id)
        for _ in range(4000):
            if partial := _partial(folder, job_id):
                if _struck(trainer, partial):
                    return trainer
                break
            time.sleep(0.0003)
    raise Missed("no partial file was caught")


def checkpoint_before_its_commit(made: Installation, job_id: str) -> Trainer | str:
    """The checkpoint's file has its name; its row is not there."""
    return _between(made, job_id, "checkpoints", tables.checkpoints)


def result_before_its_commit(made: Installation, job_id: str) -> Trainer | str:
    """The weights are stored, and nobody knows."""
    return _between(made, job_id, "weights", tables.weights)


AIMED: dict[str, Callable[[Installation, str], Trainer | str]] = {
    "in the claim": in_the_claim,
    "just claimed": just_claimed,
    "partial checkpoint": partial_checkpoint,
    "checkpoint before its commit": checkpoint_before_its_commit,
    "result before its commit": result_before_its_commit,
}


def strike(made: Installation, kind: str, job_id: str) -> Fault | None:
    """Do it to this job; None where the moment did not come."""
    try:
        struck = AIMED[kind](made, job_id)
    except (Missed, DatabaseUnavailable):
        return None
    at = time.time()
    if isinstance(struck, str):
        return Fault(at, at, kind, struck)
    return Fault(at, at, kind, f"process {struck.pid}", [struck.victim])


def _between(made: Installation, job_id: str, prefix: str, table: sa.Table) -> Trainer:
    """Kill whoever has stored a file of this job under `prefix` and cannot write the row for it."""
    on_sqlite = made.database.dialect == "sqlite"
    deadline = time.monotonic() + AIM_SECONDS
    while time.monotonic() < deadline:
        trainer = _trainer(made, job_id)
        holding = _held_in_mid_write(made, trainer, prefix) if on_sqlite else _locked(made, table)
        with suppress(DatabaseUnavailable), holding as tx:
            keys = set(tx.execute(sa.select(table.c.key).where(table.c.job_id == job_id)).scalars())
            seconds = HOLD_SECONDS if on_sqlite else LOCK_SECONDS
            if eventually(lambda: _stored_but(made, prefix, job_id, keys), seconds, pause=0.001):  # noqa: B023
                return _kill(trainer)
        time.sleep(0.1)
    raise Missed("nothing was stored")


@contextmanager
def _held_in_mid_write(made: Installation, trainer: Trainer, prefix: str) -> Iterator[Connection]:
    """SQLite has one lock, which would stop training long before it stores anything: the process is stopped
    as soon as a file of its job appears, and goes on, to be killed, when it can commit nothing any more."""
    folder = made.files / prefix
    before = _files_of(folder, trainer.job_id)
    if not eventually(lambda: _files_of(folder, trainer.job_id) - before, AIM_SECONDS, pause=0.0003):
        raise Missed("nothing was stored")
    _signal(trainer, signal.SIGSTOP)
    try:
        with Database(made.settings.database, busy_seconds=0.5) as database, database.writing() as tx:
            _signal(trainer, signal.SIGCONT)
            yield tx
    finally:
        _signal(trainer, signal.SIGCONT)


def _files_of(folder: Path, job_id: str) -> set[Path]:
    """Files of a job, half-written ones too."""
    return {path for path in folder.rglob("*") if job_id in path.name} if folder.exists() else set()


def _signal(trainer: Trainer, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(trainer.pid, number)


def _stored_but(made: Installation, prefix: str, job_id: str, keys: set[str]) -> bool:
    """Whether the newest file of this job is one that no row points to."""
    found = [path for path in (made.files / prefix).rglob("*") if job_id in path.as_posix()]
    ages: dict[str, float] = {}
    for path in found:
        with suppress(FileNotFoundError):
            if path.is_file() and path.suffix != ".partial":
                ages[path.relative_to(made.files).as_posix()] = path.stat().st_mtime
    return bool(ages) and max(ages, key=ages.__getitem__) not in keys


def _partial(folder: Path, job_id: str) -> Path | None:
    if not folder.exists():
        return None
    return next((path for path in folder.rglob("*.partial") if job_id in str(path)), None)


def _struck(trainer: Trainer, partial: Path) -> bool:
    """Stop it, look, and kill it only if its file is still half-written."""
    try:
        os.kill(trainer.pid, signal.SIGSTOP)
        if partial.exists():
            os.kill(trainer.pid, KILL)
            return True
        os.kill(trainer.pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
    return False


def _trainer(made: Installation, job_id: str) -> Trainer:
    """Who trains the job, as soon as somebody does."""
    found = eventually(lambda: made.trainer_of(job_id), AIM_SECONDS, pause=0.002)
    if found is None:
        raise Missed("nobody trained it")
    return found


def _kill(trainer: Trainer) -> Trainer:
    _signal(trainer, KILL)
    return trainer


@contextmanager
def _locked(made: Installation, table: sa.Table) -> Iterator[Connection]:
    """PostgreSQL: nobody can write into this table meanwhile, and all else goes on."""
    with made.database.writing() as tx:
        tx.execute(sa.text(f"LOCK TABLE {table.name} IN SHARE MODE"))
        yield tx


def _somebody_waits(made: Installation) -> bool:
    """Whether a transaction waits for our lock."""
    with made.database.reading() as tx:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'attempts'::regclass"
        return bool(tx.execute(sa.text(waiting)).scalar())
