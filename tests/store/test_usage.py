"""What a project stores and has open: kept sums that are those of the rows, whatever happens to these."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from store import (
    checkpoints,
    curves,
    datasets,
    events,
    jobs,
    projects,
    prune,
    row_sizes,
    tables,
    usage,
    weights,
)
from store.columns import now
from store.curves import Point, record
from store.errors import ActionNotAllowed, DatasetInUse
from store.events import Entry
from store.files import Files, Stored
from store.jobs import Job
from store.session import Connection, Database
from store.stretches import EPOCHS
from store.tables import DEFAULT_PROJECT
from store.usage import Usage
from tests.store.examples import STATES, add_dataset, add_job, claim, keep, points, running, together
from tests.store.watching import statements

# ── what the rows say ───────────────────────────────────────────────────────────────────────────────────────


def _text(document: Any) -> int:
    return 0 if document is None else len(orjson.dumps(document))


def _rows_of(tx: Connection, table: sa.Table, job_id: str) -> list[Any]:
    return list(tx.execute(sa.select(table).where(table.c.job_id == job_id)).all())


def _row_bytes(tx: Connection, job: Any) -> int:
    """What a job's rows take, added up row by row."""
    documents = ("spec", "equivalents", "warnings", "metadata", "result", "error", "environment")
    curve = _rows_of(tx, tables.points, job.id)
    packed = _rows_of(tx, tables.stretches, job.id)
    return (
        row_sizes.JOB
        + sum(_text(getattr(job, name)) for name in documents)
        + len((job.stop_detail or "").encode())
        + len((job.notes or "").encode())
        + row_sizes.LABEL * len(_rows_of(tx, tables.labels, job.id))
        + row_sizes.SCORE * len(_rows_of(tx, tables.scores, job.id))
        + sum(row_sizes.EVENT + _text(row.data) for row in _rows_of(tx, tables.events, job.id))
        + row_sizes.ATTEMPT * len(_rows_of(tx, tables.attempts, job.id))
        + sum(row_sizes.EPOCH + _text(row._mapping["values"]) + _text(row.nonfinite) for row in curve)
        + sum(len(row.data) + _text(row.series) + _text(row.nonfinite) for row in packed)
    )


def _true(tx: Connection) -> dict[str, Usage]:
    """What each project uses, added up from all rows."""
    found: dict[str, Usage] = {}

    def add(project_id: str, stored_bytes: int, open_jobs: int = 0) -> None:
        found[project_id] = found.get(project_id, usage.NOTHING) + Usage(stored_bytes, open_jobs)

    for dataset in tx.execute(sa.select(tables.datasets)).all():
        if not dataset.bundled:
            rows = row_sizes.DATASET + _text(dataset.description) + len((dataset.user_notes or "").encode())
            rows += _text(dataset.metadata or None)
            add(dataset.project_id, dataset.table_bytes + rows)
    for job in tx.execute(sa.select(tables.jobs)).all():
        add(job.project_id, _row_bytes(tx, job), int(job.finished_at is None))
        for kept in _rows_of(tx, tables.weights, job.id):
            add(job.project_id, kept.bytes + row_sizes.WEIGHTS + _text(kept.summary))
        for kept in _rows_of(tx, tables.checkpoints, job.id):
            add(job.project_id, kept.bytes)
    return found


def check(database: Database) -> None:
    """The sums are those of the rows, by our count and by the reconciler's."""
    with database.reading() as tx:
        for project_id, true in _true(tx).items():
            assert usage.of(tx, project_id) == true
        assert not usage.has_drifted(tx)


# ── whatever happens ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", STATES)
def test_in_every_state_of_a_job(database: Database, state: str) -> None:
    job = STATES[state](database)
    check(database)
    with database.writing() as tx, suppress(ActionNotAllowed):
        jobs.delete(tx, job.id)
    check(database)


def test_an_empty_project_uses_nothing(database: Database) -> None:
    with database.reading() as tx:
        assert projects.usage_of(tx) == usage.NOTHING


def test_what_is_in_a_transaction_counts_in_it_already(database: Database) -> None:
    with database.writing() as tx:
        add_dataset(tx)
        assert projects.usage_of(tx).stored_bytes > 900
    check(database)


def test_what_is_undone_is_not_counted(database: Database) -> None:
    add_job(database)
    with suppress(ZeroDivisionError), database.writing() as tx:
        add_dataset(tx)
        raise ZeroDivisionError
    check(database)


def test_who_only_reads_charges_nobody(database: Database) -> None:
    with database.reading() as tx, pytest.raises(KeyError):
        usage.charge(tx, DEFAULT_PROJECT, stored_bytes=1)


def test_a_long_curve_counts_as_what_it_is(database: Database) -> None:
    """Its numbers as text, and once more in packed columns; what is set back is free again."""
    job = running(database)
    series = [f"series_{number}" for number in range(13)]
    with database.writing() as tx:
        before = projects.usage_of(tx).stored_bytes
        epochs = [Point(epoch, dict.fromkeys(series, 1 / (7 + epoch))) for epoch in range(1, 1201)]
        assert record(tx, job.id, job.fence, epochs)
    with database.reading() as tx:
        after = projects.usage_of(tx).stored_bytes
        text = sum(len(orjson.dumps(epoch.values)) for epoch in epochs)
    assert after - before > text + 8 * 13 * 4 * EPOCHS
    check(database)
    with database.writing() as tx:
        assert curves.rewind(tx, job.id, 3)
        assert not curves.rewind(tx, job.id, 3)
    check(database)
    with database.writing() as tx:
        curves.rewind(tx, job.id, 0)
        assert projects.usage_of(tx).stored_bytes == before


def test_documents_count_by_their_bytes(database: Database) -> None:
    def stored() -> int:
        with database.reading() as tx:
            return projects.usage_of(tx).stored_bytes

    dataset_id = add_job(database).dataset_id
    small = stored()
    add_job(database, dataset_id=dataset_id)
    plain = stored() - small
    add_job(database, dataset_id=dataset_id, metadata={"note": "ä" * 100_000})
    assert stored() - small - 2 * plain == pytest.approx(200_000, abs=500)
    check(database)


class Walk:
    """Anything that may be done to jobs and datasets, drawn at random."""

    def __init__(self, database: Database, files: Files, seed: int) -> None:
        self.database = database
        self.files = files
        self.chance = random.Random(seed)
        self.held: list[Job] = []
        self.numbers: dict[str, int] = {}

    def step(self) -> None:
        acts = (
            *(self.add, self.add, self.claim, self.claim, self.record, self.record, self.checkpoint),
            *(self.fall_back, self.warn, self.append, self.weigh, self.end, self.release, self.expire),
            *(self.ask, self.delete, self.add_dataset, self.drop_dataset, self.prune),
        )
        self.chance.choice(acts)()

    def _any(self) -> Job | None:
        with self.database.reading() as tx:
            rows = jobs.page(tx, limit=100).rows
        return self.chance.choice(rows) if rows else None

    def _mine(self) -> Job | None:
        return self.chance.choice(self.held) if self.held else None

    def add(self) -> None:
        size = self.chance.randrange(300)
        changes = {"metadata": {"team": "x" * size, "n": size}, "warnings": [{"detail": "w" * size}]}
        add_job(self.database, priority=size % 3, stack_key="k", stack_limit=3, **changes)

    def claim(self) -> None:
        with self.database.writing() as tx:
            lease = self.chance.choice((30.0, -1.0))
            self.held += jobs.claim(
                tx, worker=f"worker-{len(self.held)}", queues=["cpu"], lease_seconds=lease, at_most=3
            )

    def _reached(self, tx: Connection, job: Job) -> int:
        return tx.execute(sa.select(tables.jobs.c.epoch).where(tables.jobs.c.id == job.id)).scalar() or 0

    def record(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                reached = self._reached(tx, job)
                epochs = [*points(reached + 1, reached + 3), Point(reached + 4, {"val_loss": float("nan")})]
                record(tx, job.id, job.fence, epochs)

    def checkpoint(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                reached = self._reached(tx, job)
            number = self.numbers[job.id] = self.numbers.get(job.id, 0) + 1
            keep(self.database, job, number, reached, size=self.chance.randrange(1000))

    def fall_back(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                for damaged in checkpoints.of(tx, job.id)[:1]:
                    checkpoints.fall_back(tx, job.id, job.fence, damaged, why="it is damaged")

    def warn(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                jobs.add_warnings(tx, job.id, job.fence, [{"detail": f"warning {self.chance.random()}"}])

    def append(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                events.append(tx, job.id, Entry("warning", {"detail": "said"}), fence=job.fence)

    def weigh(self) -> None:
        if job := self._mine():
            stored = Stored(weights.key(job.id, job.fence), "c" * 64, self.chance.randrange(5000))
            with self.database.writing() as tx:
                weights.put(tx, job.id, job.fence, stored, {"layers": [1.5, float("inf")]})

    def end(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                ends: list[Callable[[], bool]] = [
                    partial(
                        jobs.succeed, tx, job.id, job.fence, stop_reason="max_epochs", result={"loss": 0.5}
                    ),
                    partial(jobs.fail, tx, job.id, job.fence, stop_reason="diverged", stop_detail="NaN"),
                    partial(jobs.cancelled, tx, job.id, job.fence, result={"nan": float("nan")}),
                    partial(jobs.paused, tx, job.id, job.fence, detail="as asked"),
                ]
                self.chance.choice(ends)()

    def release(self) -> None:
        if job := self._mine():
            with self.database.writing() as tx:
                jobs.release(tx, job.id, job.fence, detail="draining")

    def expire(self) -> None:
        with self.database.writing() as tx:
            jobs.expire(tx, max_attempts=2, backoff_seconds=0)

    def ask(self) -> None:
        acts = (jobs.request_cancel, jobs.request_finish, jobs.request_pause, jobs.request_resume)
        if job := self._any():
            with self.database.writing() as tx, suppress(ActionNotAllowed):
                self.chance.choice(acts)(tx, job.id)

    def delete(self) -> None:
        if job := self._any():
            with suppress(ActionNotAllowed), self.database.writing() as tx:
                jobs.delete(tx, job.id)

    def add_dataset(self) -> None:
        with self.database.writing() as tx:
            digest = self.chance.choice("abc") * 64
            add_dataset(
                tx, sha256=digest, bundled=self.chance.random() < 0.3, description={"columns": [digest]}
            )

    def drop_dataset(self) -> None:
        with self.database.writing() as tx, suppress(DatasetInUse):
            if rows := datasets.page(tx, limit=100).rows:
                datasets.delete(tx, self.chance.choice(rows).id)

    def prune(self) -> None:
        if self.chance.random() < 0.3:
            with self.database.writing() as tx:
                some = tables.jobs.c.finished_at.is_not(None)
                tx.execute(tables.jobs.update().where(some).values(finished_at=now(-90_000)))
            prune.prune(self.database, self.files, older_than_days=1, unused_datasets=True)


def test_whatever_is_done_in_any_order(database: Database, tmp_path: Path) -> None:
    walk = Walk(database, Files(str(tmp_path / "files")), seed=1)
    for _ in range(5):
        for _ in range(25):
            walk.step()
        check(database)


def test_pruning_takes_from_each_project_what_was_its_own(database: Database, tmp_path: Path) -> None:
    with database.writing() as tx:
        other = projects.add(tx, name="other", quotas={}).id
    for one in (database, database.of(other)):
        job = running(one)
        with one.writing() as tx:
            assert weights.put(tx, job.id, job.fence, Stored(f"weights/{job.id}", "c" * 64, 700), {})
            assert jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})
            tx.execute(tables.jobs.update().values(finished_at=now(-90_000)))
            tx.execute(tables.datasets.update().values(created_at=now(-90_000)))
    pruned = prune.prune(database, Files(str(tmp_path / "files")), older_than_days=1, unused_datasets=True)
    assert (pruned.jobs, pruned.datasets) == (2, 2)
    check(database)
    with database.reading() as tx:
        assert usage.of(tx, other) == usage.of(tx, DEFAULT_PROJECT) == usage.NOTHING


# ── many at once ────────────────────────────────────────────────────────────────────────────────────────────


def test_many_charge_many_projects_at_once(database: Database) -> None:
    """In any order, rows of others held meanwhile: nobody waits in a circle, and nothing is lost."""
    names = [f"project_{number}" for number in range(6)]
    rounds, each = 8, 3

    def charge(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(rounds):
            with database.writing() as tx:
                for project_id in chance.sample(names, each):
                    usage.charge(tx, project_id, stored_bytes=1)
                    tx.execute(tables.counters.delete().where(tables.counters.c.name == "nothing"))

    together([partial(charge, seed) for seed in range(6)])
    with database.reading() as tx:
        assert sum(usage.of(tx, name).stored_bytes for name in names) == 6 * rounds * each


def test_workers_of_one_project_do_not_wait_for_each_other(postgres_url: str) -> None:
    """Each connection has a part of its own: one that has not committed yet holds up no other."""
    with Database(postgres_url) as database:
        with database.writing() as slow, database.writing() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            assert _part(slow) != _part(other)
            for tx in (slow, other):
                usage.charge(tx, "busy", stored_bytes=1)
                usage._charges(tx)(tx)
        with database.reading() as tx:
            assert usage.of(tx, "busy").stored_bytes == 2


def _part(tx: Connection) -> int:
    return int(tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()) % usage.PARTS


# ── what has drifted all the same ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def drifted(database: Database) -> Iterator[Database]:
    """Sums that are wrong, and jobs that go on meanwhile."""
    with database.writing() as tx:
        projects.add(tx, name="other", quotas={})
    running(database)
    with database.writing() as tx:
        tx.execute(tables.usage.insert().values(project_id="gone", part=3, stored_bytes=5, open_jobs=-1))
        tx.execute(tables.datasets.update().values(table_bytes=123_456))
    return database


def test_drift_is_found_and_added_once(drifted: Database) -> None:
    with drifted.reading() as tx:
        assert usage.has_drifted(tx)
    with drifted.writing() as tx:
        assert usage.correct(tx) == 2
    check(drifted)
    with drifted.writing() as tx:
        assert usage.correct(tx) == 0
        assert usage.of(tx, "gone") == usage.NOTHING


def test_several_correct_at_once_and_it_is_added_once(drifted: Database) -> None:
    def correct() -> int:
        with drifted.writing() as tx:
            return usage.correct(tx)

    assert sum(together([correct] * 4)) == 2
    check(drifted)


def test_correcting_beside_work_that_goes_on(drifted: Database) -> None:
    def work() -> None:
        for _ in range(6):
            add_job(drifted)
            job = claim(drifted)
            with drifted.writing() as tx:
                assert record(tx, job.id, job.fence, points(1, 3))
                assert jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})

    def correct() -> None:
        for _ in range(10):
            with drifted.writing() as tx:
                usage.correct(tx)

    together([work, work, correct])
    check(drifted)


def test_a_correction_takes_in_what_its_own_transaction_has_charged(database: Database) -> None:
    with database.writing() as tx:
        add_dataset(tx)
        assert usage.correct(tx) == 0
    check(database)


def test_recording_takes_one_statement_more_than_what_it_records(database: Database) -> None:
    """Hold, insert, note progress; and one that tells of all jobs of a stack together."""
    held: Sequence[Job] = [running(database) for _ in range(3)]
    with database.writing() as tx, statements(tx) as sent:
        curves.record_all(tx, [curves.Recording(job.id, job.fence, points(1, 2)) for job in held])
        assert len(sent) == 3
        usage._charges(tx)(tx)
        assert len(sent) == 4
    check(database)
