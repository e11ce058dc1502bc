"""A worker to which something happens at its n-th side effect, and what must be true of its job then."""

from __future__ import annotations

import copy
import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa
import structlog
from safetensors.torch import load_file

from models.checkpoints import load
from store import attempts, checkpoints, events, files, tables
from store.columns import now
from store.errors import DatabaseUnavailable
from store.jobs import Job
from store.session import Connection, Database
from store.settings import Settings
from tests.worker.building import Workshop
from worker import reconciler
from worker.heartbeat import Heartbeat
from worker.reconciler import Reconciler
from worker.runner import Runner

Kind = Literal["dies", "fails"]


class KilledError(Exception):
    """The process is gone: nothing that it still tries has any effect."""


@dataclass
class Fate:
    """Counts side effects; at the chosen one the process dies, or that one effect fails."""

    at: int = 0
    kind: Kind = "dies"
    steps: list[str] = field(default_factory=list)
    met: bool = False

    def step(self, name: str) -> None:
        """Before an effect, or after it where its answer may be lost."""
        if self.met and self.kind == "dies":
            raise KilledError
        self.steps.append(name)
        if len(self.steps) == self.at:
            self.met = True
            raise KilledError if self.kind == "dies" else _failure(name)


def _failure(name: str) -> Exception:
    if name in ("begin", "commit", "committed"):
        return DatabaseUnavailable("the test says so")
    return OSError(errno.ENOSPC, "no space left, the test says")


class DoomedDatabase(Database):
    """A real database whose transactions may fail to begin, to commit, or to say that they have committed."""

    fate = Fate()

    @classmethod
    def over(cls, database: Database) -> DoomedDatabase:
        """The same database, over the same connections: they know the statements already."""
        doomed = copy.copy(database)
        doomed.__class__ = cls
        assert isinstance(doomed, cls)
        return doomed

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self.fate.step("begin")
        with super().writing() as tx:
            yield tx
            self.fate.step("commit")
        self.fate.step("committed")


@contextmanager
def untold() -> Iterator[None]:
    """Without log lines: hundreds of tracebacks would take longer to paint than all that they tell of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@dataclass
class Doomed:
    """A worker of a workshop, to whom things happen."""

    workshop: Workshop
    fate: Fate = field(default_factory=Fate)

    @cached_property
    def database(self) -> DoomedDatabase:
        return DoomedDatabase.over(self.workshop.everybodys)

    def run(self, fate: Fate, **options: Any) -> bool:
        """Run the next job as far as fate allows. Its heartbeat has no thread that could count along."""
        self.fate = self.database.fate = fate
        heartbeat = Heartbeat(self.database, queues=("cpu",), lease_seconds=60)
        options = {"backoff_seconds": 0, **options}
        with self._files_watched():
            try:
                return Runner(self.database, self.workshop.files, heartbeat, **options).run_next(["cpu"])
            except (KilledError, DatabaseUnavailable):
                return True  # it could not even claim

    @contextmanager
    def _files_watched(self) -> Iterator[None]:
        """Every fsync, rename and deletion in the file store may be the last."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(files.os, "fsync", self._watched("fsync", os.fsync))
            patched.setattr(Path, "replace", self._watched("rename", Path.replace))
            patched.setattr(files.Folder, "delete", self._watched("delete", files.Folder.delete))
            yield

    def _watched(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            self.fate.step(name)
            return act(*arguments)

        return watched


# ── what must be true ───────────────────────────────────────────────────────────────────────────────────────


def reconciled(workshop: Workshop) -> Reconciler:
    """A reconciler of this workshop that nudges nobody and gives no job up."""
    return Reconciler(workshop.everybodys, workshop.files, _patient(), _Silent())


@cache
def _patient() -> Settings:
    """Made once: to look for each setting in all its sources takes longer than what is done with them."""
    return Settings(backoff_seconds=0, max_attempts=99)


class _Silent:
    def nudge(self, queue: str) -> None:
        """Nobody listens."""

    def waiting(self, queue: str) -> int:
        return 0


def run_out(workshop: Workshop) -> None:
    """Every lease is over, and a reconciler sees to it."""
    with workshop.database.writing() as tx:
        held = tables.jobs.c.status == "running"
        tx.execute(tables.jobs.update().where(held).values(lease_expires_at=now(-1)))
    reconciled(workshop).expire()


def check_unfinished(workshop: Workshop, job: Job, folder: Path) -> None:
    """No row points to a file that is missing or damaged, and the curve reaches to every checkpoint."""
    with workshop.database.reading() as tx:
        kept = checkpoints.of(tx, job.id)
    assert len(kept) <= checkpoints.KEPT
    for one in kept:
        path = workshop.files.fetch(one.key, folder / "checkpoint", sha256=one.sha256)
        found = load(path)
        assert (found.epoch, found.batch) == (one.epoch, one.batch)
        assert one.epoch <= workshop.look(job).epoch
    check_curve(workshop, job)


def check_curve(workshop: Workshop, job: Job) -> int:
    """Each epoch once, for those who look and for those who follow the stream; how many there are."""
    epochs = workshop.curve(job).epochs
    assert epochs == list(range(1, len(epochs) + 1))
    followed = 0
    with workshop.database.reading() as tx:
        for event in events.stream_after(tx, job.id, 0, limit=10_000):
            if event.kind == "rewound":
                followed = min(followed, event.data["epoch"])
            elif event.kind == "epoch":
                assert event.data["epoch"] == followed + 1
                followed += 1
    assert followed == len(epochs) == workshop.look(job).epoch
    return followed


def check_ended(workshop: Workshop, job: Job, status: str) -> None:
    """One end, one result, the whole curve, one set of weights, no checkpoint, and no attempt left open."""
    done = workshop.look(job)
    assert done.status == status, (done.status, done.stop_detail, done.error)
    kinds = workshop.kinds(job)
    assert (kinds.count("end"), kinds.count(status), kinds[-1]) == (1, 1, "end")
    length = check_curve(workshop, job)
    if status == "succeeded":
        assert done.result is not None
        assert done.result["last_epoch"] == length
        kept = workshop.weights(job)
        assert workshop.files.exists(kept.key)
    with workshop.database.reading() as tx:
        assert checkpoints.of(tx, job.id) == []
        assert all(attempt.ended_at for attempt in attempts.of(tx, job.id))


def check_swept(workshop: Workshop) -> None:
    """What no row points to is swept, and nothing else is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reconciler, "SWEEP_SECONDS", -1.0)
        reconciled(workshop).sweep()
    with workshop.database.reading() as tx:
        known = {
            *tx.execute(sa.select(tables.weights.c.key)).scalars(),
            *tx.execute(sa.select(tables.checkpoints.c.key)).scalars(),
            *tx.execute(sa.select(tables.datasets.c.table_key)).scalars(),
        }
    left = {
        found.key
        for prefix in ("weights", "checkpoints", "datasets")
        for found in workshop.files.list(prefix)
    }
    assert left == known


def trained(workshop: Workshop, job: Job, folder: Path) -> tuple[dict[str, bytes], dict[str, list[Any]]]:
    """The bytes of every tensor of the weights, and the curve but for what the clock said."""
    kept = workshop.weights(job)
    path = workshop.files.fetch(kept.key, folder / "weights", sha256=kept.sha256)
    tensors = {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}
    series = {name: values for name, values in workshop.curve(job).series.items() if name != "epoch_seconds"}
    return tensors, series
