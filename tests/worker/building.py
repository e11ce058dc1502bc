"""What the worker's tests stand on: a store with real tables in it, jobs, a runner that works them off."""

from __future__ import annotations

import copy
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from models.datasets import Table, bundled
from models.defaults import complete
from models.spec import JobSpec
from models.stacking import stack_key
from models.stacks import Measured
from models.training import Training
from store import curves, datasets, events, ids, jobs, tables, weights
from store.curves import Curve
from store.files import Files
from store.jobs import Job
from store.session import Database
from store.weights import Weights
from tests.models.building import table
from worker.heartbeat import Heartbeat
from worker.runner import Runner
from worker.stacks import stacked

SHORT = {"network": {"hidden": [8]}, "regularization": {"l2": 1e-4}, "training": {"max_epochs": 6}}
"""A job that takes a moment."""


@dataclass
class Workshop:
    """A database, a file store, and whoever works with them."""

    database: Database
    files: Files
    _heartbeats: list[Heartbeat] = field(default_factory=list)

    # ── what is asked ───────────────────────────────────────────────────────────────────────────────────────

    def add_dataset(self, data: Table, name: str = "given") -> datasets.Dataset:
        dataset_id = ids.new("ds")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            if data is iris():
                path.write_bytes(_iris_file())
            else:
                data.save(path)
            stored = self.files.put(datasets.table_key(dataset_id), path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with self.database.writing() as tx:
            return datasets.add(
                tx,
                dataset_id=dataset_id,
                name=name,
                sha256=digest,
                size=stored.bytes,
                target=data.description.target.name,
                task=data.description.task,
                rows=data.rows,
                features=len(data.description.columns),
                description=data.description.model_dump(mode="json"),
                table=stored,
            )[0]

    def add_job(self, data: Table | None = None, *, priority: int = 0, **settings: Any) -> Job:
        """A queued job with a completed spec, on iris unless another table is given."""
        data = data or iris()
        dataset = self.add_dataset(data)
        asked = JobSpec.model_validate({"dataset": dataset.id, **(settings or SHORT)})
        spec = complete(asked, data.description).spec
        with self.database.writing() as tx:
            return jobs.add(
                tx,
                spec=spec.model_dump(mode="json"),
                dataset_id=dataset.id,
                max_epochs=spec.training.max_epochs or 0,
                priority=priority,
                request_id="req_test",
            )

    def add_stack(self, data: Table | None = None, *changes: Any, **settings: Any) -> list[Job]:
        """Queued jobs that are trained together: one for each of `changes`, merged into the spec."""
        data = data or iris()
        dataset = self.add_dataset(data)
        asked = [{"dataset": dataset.id, **(settings or SHORT), **each} for each in changes]
        specs = [complete(JobSpec.model_validate(each), data.description).spec for each in asked]
        assert len({stack_key(spec) for spec in specs}) == 1
        with self.database.writing() as tx:
            return [
                jobs.add(
                    tx,
                    spec=spec.model_dump(mode="json"),
                    dataset_id=dataset.id,
                    max_epochs=spec.training.max_epochs or 0,
                    stack_key=stack_key(spec),
                    stack_limit=64,
                )
                for spec in specs
            ]

    def ask(self, action: str, job: Job) -> None:
        with self.database.writing() as tx:
            getattr(jobs, f"request_{action}")(tx, job.id)

    @property
    def everybodys(self) -> Database:
        """The database as workers have it, who work for all projects."""
        unbound = copy.copy(self.database)
        unbound.project_id = None
        return unbound

    # ── who works ───────────────────────────────────────────────────────────────────────────────────────────

    def heartbeat(self, lease_seconds: float = 30) -> Heartbeat:
        """A beating one, stopped at the end of the test."""
        heartbeat = Heartbeat(self.everybodys, queues=("cpu",), lease_seconds=lease_seconds)
        heartbeat.start()
        self._heartbeats.append(heartbeat)
        return heartbeat

    def run(self, *, lease_seconds: float = 30, **options: Any) -> bool:
        """Run the next job to its end; False where there is none."""
        heartbeat = self.heartbeat(lease_seconds)
        return Runner(self.everybodys, self.files, heartbeat, **options).run_next(["cpu"])

    def stop(self) -> None:
        while self._heartbeats:
            self._heartbeats.pop().stop()

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────

    def look(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)

    def curve(self, job: Job) -> Curve:
        with self.database.reading() as tx:
            return curves.read(tx, job.id)

    def weights(self, job: Job) -> Weights:
        with self.database.reading() as tx:
            return weights.get(tx, job.id)

    def kinds(self, job: Job) -> list[str]:
        """What the job's log says, in order: epochs and statuses."""
        with self.database.reading() as tx:
            told = events.stream_after(tx, job.id, 0, limit=10_000)
        return [entry.data["status"] if entry.kind == "status" else entry.kind for entry in told]

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that there is of jobs: two that are equal mean that nothing was written in between."""
        told = (tables.jobs, tables.points, tables.events, tables.weights, tables.attempts)
        with self.database.reading() as tx:
            return {
                one.name: sorted((tuple(row) for row in tx.execute(sa.select(one))), key=repr) for one in told
            }


@cache
def iris() -> Table:
    """Read once: a table is never changed."""
    return bundled("iris")


@cache
def _iris_file() -> bytes:
    """Written once: nearly every job of the worker's tests is about it."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        iris().save(Path(file.name))
        return Path(file.name).read_bytes()


def noise(rows: int, columns: int = 4) -> Table:
    """A table as large as one likes, with nothing to learn in it."""
    random = np.random.default_rng(0)
    return table(random.normal(size=(rows, columns)), random.integers(0, 2, rows))


class Watched:
    """A stack to which something happens while it is driven: subclasses see each pulse before the runner."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = list(trainings)
        self.stack = stacked(trainings)

    def pulses(self) -> Iterator[Measured]:
        return self.stack.pulses()

    def release(self, training: Training) -> object:
        return self.stack.release(training)


def at_epoch(number: int, act: Callable[[], None]) -> type[Watched]:
    """A stack in which something happens as soon as its first training's epoch of that number ended."""

    class Eventful(Watched):
        def pulses(self) -> Iterator[Measured]:
            for measured in super().pulses():
                if any(one is self.trainings[0] and epoch.number == number for one, epoch in measured):
                    act()
                yield measured

    return Eventful


def slow(
    epoch_seconds: float, *, pulse_seconds: float = 0.02, after: int = 0, clock: Any = time
) -> type[Watched]:
    """A stack whose epochs take long, but for so many: it pulses, and computes nothing meanwhile."""

    class Slow(Watched):
        def pulses(self) -> Iterator[Measured]:
            epochs = (measured for measured in super().pulses() if measured)
            for number in count():
                end = clock.monotonic() + (epoch_seconds if number >= after else 0.0)
                while clock.monotonic() < end:
                    clock.sleep(pulse_seconds)
                    yield []
                try:
                    yield next(epochs)
                except StopIteration:
                    return

    return Slow
