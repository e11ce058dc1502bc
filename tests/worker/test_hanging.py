"""A file store that hangs while a worker wants to read a table, keep a checkpoint or store weights.

The heartbeat goes on meanwhile, nothing is counted against the job, and what is asked of it holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.bucket import Bucket, Patience
from store.files import Files, Folder
from tests.silent import hanging
from tests.worker.building import Workshop, at_epoch
from worker.checkpoints import Cadence

SECONDS = 0.4
"""A request hangs twice as long."""


class Turning:
    """A folder that becomes a bucket which hangs."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self._files = workshop.files
        vars(self._files)["_place"] = Folder(folder)

    def hang(self) -> None:
        vars(self._files)["_place"] = Bucket("s3://ridgeline/prefix", Patience(small=SECONDS, pause=SECONDS))


@pytest.fixture
def turning(small_workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turning]:
    with hanging() as silent:
        settings = {"ENDPOINT_URL": silent.url, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
        for name, value in {**settings, "REGION": "us-east-1", "ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        small_workshop.files = Files(str(tmp_path / "files"))
        yield Turning(small_workshop, tmp_path / "files")


def test_a_table_that_cannot_be_read_releases_the_job(small_workshop: Workshop, turning: Turning) -> None:
    job = small_workshop.add_job()
    turning.hang()
    # It hangs for longer than the lease: were that not renewed meanwhile, nothing more would be written.
    assert small_workshop.run(lease_seconds=1.5 * SECONDS, backoff_seconds=60)
    left = small_workshop.look(job)
    assert (left.status, left.lost) == ("queued", 0)


def test_checkpoints_that_hang_cost_a_warning_and_weights_a_release(
    small_workshop: Workshop, turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every epoch wants a checkpoint of each of six jobs: all but the first are told at once."""
    monkeypatch.setattr("worker.checkpoints._SHORTEST_SECONDS", 0.0)
    jobs = small_workshop.add_stack(None, *({"training": {"max_epochs": 6, "seed": n}} for n in range(6)))
    started = time.monotonic()
    small_workshop.run(
        at_most=6, stack=at_epoch(2, turning.hang), cadence=Cadence(1000.0, 1), backoff_seconds=60
    )
    assert time.monotonic() - started < 12 * SECONDS
    for job in jobs:
        left = small_workshop.look(job)
        assert (left.status, left.lost, left.epoch) == ("queued", 0, 6)
        assert small_workshop.kinds(job).count("warning") == 1


def test_a_drain_and_a_cancel_do_not_wait_for_each_hang(small_workshop: Workshop, turning: Turning) -> None:
    training = {"max_epochs": 100_000}
    jobs = small_workshop.add_stack(None, *({"training": {**training, "seed": n}} for n in range(8)))
    draining, since = [False], [0.0]

    def stop() -> None:
        turning.hang()
        small_workshop.ask("cancel", jobs[0])
        draining[0], since[0] = True, time.monotonic()

    small_workshop.run(at_most=8, stack=at_epoch(3, stop), draining=lambda: draining[0])
    assert time.monotonic() - since[0] < 6 * SECONDS
    states = [small_workshop.look(job).status for job in jobs]
    assert states == ["cancelled", *["queued"] * 7]
