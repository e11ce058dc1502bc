"""Retention: what ended long ago goes with all that belongs to it, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from store import datasets, ids, jobs, prune, tables, weights
from store.columns import now
from store.curves import record
from store.files import Files, Stored
from store.jobs import Job
from store.session import Database
from tests.store.examples import STATES, add_dataset, add_job, claim, points, snapshot


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(str(tmp_path / "files"))


def _ended(
    database: Database, files: Files, folder: Path, *, days_ago: float, reason: str = "finished"
) -> Job:
    add_job(database, metadata={"team": "risk"})
    job = claim(database)
    (folder / "content").write_bytes(b"weights")
    stored = files.put(weights.key(job.id, job.fence), folder / "content")
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 2))
        assert weights.put(tx, job.id, job.fence, stored, {})
        if reason == "finished":
            assert jobs.succeed(tx, job.id, job.fence, stop_reason=reason, result={})
        else:
            assert jobs.fail(tx, job.id, job.fence, stop_reason=reason)
        its = tables.jobs.c.id == job.id
        tx.execute(tables.jobs.update().where(its).values(finished_at=now(-86_400 * days_ago)))
    return job


def _ids(database: Database) -> set[str]:
    with database.reading() as tx:
        return set(tx.execute(sa.select(tables.jobs.c.id)).scalars())


def test_old_ones_go_with_all_that_is_theirs(database: Database, files: Files, tmp_path: Path) -> None:
    old = _ended(database, files, tmp_path, days_ago=31)
    young = _ended(database, files, tmp_path, days_ago=29)
    pruned = prune.prune(database, files, older_than_days=30)
    assert (pruned.jobs, pruned.files) == (1, 1)
    assert _ids(database) == {young.id}
    assert [found.key for found in files.list("weights")] == [weights.key(young.id, young.fence)]
    for table in ("points", "events", "attempts", "labels", "weights"):
        assert old.id not in str(snapshot(database)[table])
    assert prune.prune(database, files, older_than_days=30).jobs == 0


def test_a_dry_run_counts_and_deletes_nothing(database: Database, files: Files, tmp_path: Path) -> None:
    _ended(database, files, tmp_path, days_ago=31)
    before = snapshot(database)
    pruned = prune.prune(database, files, older_than_days=30, unused_datasets=True, dry_run=True)
    assert (pruned.jobs, pruned.files) == (1, 1)
    assert snapshot(database) == before


@pytest.mark.parametrize("state", [state for state in STATES if "quiet" not in state])
def test_unfinished_jobs_stay_however_old(database: Database, files: Files, state: str) -> None:
    job = STATES[state](database)
    with database.writing() as tx:
        tx.execute(tables.jobs.update().values(created_at=now(-1e7), started_at=now(-1e7)))
    prune.prune(database, files, older_than_days=0)
    assert (job.id in _ids(database)) is not job.is_final


def test_only_what_was_asked_for(database: Database, files: Files, tmp_path: Path) -> None:
    succeeded = _ended(database, files, tmp_path, days_ago=9)
    failed = _ended(database, files, tmp_path, days_ago=9, reason="diverged")
    assert prune.prune(database, files, older_than_days=1, project_id="other").jobs == 0
    assert prune.prune(database, files, older_than_days=1, statuses=["failed"]).jobs == 1
    assert failed.id not in _ids(database)
    assert succeeded.id in _ids(database)


def test_more_than_one_batch(database: Database, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "_AT_ONCE", 2)
    dataset_id = add_job(database).dataset_id
    for _ in range(4):
        add_job(database, dataset_id=dataset_id)
    with database.writing() as tx:
        for job_id in tx.execute(sa.select(tables.jobs.c.id)).scalars().all():
            jobs.request_cancel(tx, job_id)
    assert prune.prune(database, files, older_than_days=0).jobs == 5
    assert _ids(database) == set()


def test_unused_datasets_go_where_asked_for(database: Database, files: Files, tmp_path: Path) -> None:
    used = add_job(database).dataset_id
    with database.writing() as tx:
        unused, bundled = (_dataset(tx, files, tmp_path, bundled=kind) for kind in (False, True))
        tx.execute(tables.datasets.update().values(created_at=now(-100)))
    assert prune.prune(database, files, older_than_days=0).datasets == 0
    pruned = prune.prune(database, files, older_than_days=0, unused_datasets=True)
    assert (pruned.datasets, pruned.files) == (1, 1)
    with database.reading() as tx:
        left = set(tx.execute(sa.select(tables.datasets.c.id)).scalars())
    assert left == {used, bundled.id}
    assert not files.exists(unused.table_key)


def _dataset(tx: sa.Connection, files: Files, folder: Path, *, bundled: bool) -> datasets.Dataset:
    (folder / "content").write_bytes(b"table")
    dataset_id = ids.new("ds")
    table: Stored = files.put(datasets.table_key(dataset_id), folder / "content")
    return add_dataset(tx, dataset_id=dataset_id, table=table, bundled=bundled)
