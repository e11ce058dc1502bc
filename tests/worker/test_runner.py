"""The runner on real databases, real tables and real small trainings."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from models.errors import DataError
from models.stacks import Measured
from models.training import Training
from models.weights import load
from store import jobs
from store.errors import FilesFull, NotFound
from store.files import Files, Stored
from store.session import Database
from tests.worker.building import SHORT, Watched, Workshop, at_epoch, iris, slow
from tests.worker.clocks import Clock, beat_often, until
from worker import curves, driving, outcomes
from worker.curves import Recorder
from worker.runner import Runner

LONG = {"network": {"hidden": [8]}, "regularization": None, "training": {"max_epochs": 100_000}}


def gapless(workshop: Workshop, job: jobs.Job) -> int:
    """The number of epochs of a curve that has each of them once."""
    epochs = workshop.curve(job).epochs
    assert epochs == list(range(1, len(epochs) + 1))
    return len(epochs)


def test_a_job_runs_to_its_end(workshop: Workshop) -> None:
    job = workshop.add_job()
    assert workshop.run()
    done = workshop.look(job)
    assert (done.status, done.stop_reason, done.attempt) == ("succeeded", "max_epochs", 1)
    assert done.result is not None
    assert done.result["last_epoch"] == gapless(workshop, job) == 6
    assert 0 < done.result["test"]["loss"] < 2
    assert done.environment is not None
    assert {"ridgeline", "torch", "python", "host", "threads", "device"} <= done.environment.keys()
    assert done.environment["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert done.environment["company"] == 0
    assert workshop.kinds(job) == ["queued", "running", *["epoch"] * 6, "succeeded", "end"]


def test_its_weights_say_what_was_reported(small_workshop: Workshop, tmp_path: Any) -> None:
    job = small_workshop.add_job()
    small_workshop.run()
    kept = small_workshop.weights(job)
    path = small_workshop.files.fetch(kept.key, tmp_path / "weights.safetensors", sha256=kept.sha256)
    assert f"{job.id}.1." in kept.key
    assert load(path).network.parameter_count() == (small_workshop.look(job).result or {})["parameters"]
    assert [layer["name"] for layer in kept.summary["layers"]] == ["hidden_1", "output"]


def test_nothing_to_do(small_workshop: Workshop) -> None:
    assert not small_workshop.run()


def test_finding_nothing_waits_for_nobody_who_writes(small_workshop: Workshop) -> None:
    """With every job comes a nudge, and most of them find that it was taken with others."""
    heartbeat, url = small_workshop.heartbeat(), str(small_workshop.database.url)
    with Database(url) as other, Database(url, busy_seconds=0.1) as own, other.writing():
        assert not Runner(own, small_workshop.files, heartbeat).run_next(["cpu"])


def test_a_job_for_another_queue_is_left_alone(small_workshop: Workshop) -> None:
    job = small_workshop.add_job()
    heartbeat = small_workshop.heartbeat()
    assert not Runner(small_workshop.everybodys, small_workshop.files, heartbeat).run_next(["gpu"])
    assert small_workshop.look(job).status == "queued"


def test_epochs_are_seen_soon_after_they_were_measured(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of a second at most, and here a pulse to look. The last comes with the end."""
    clock = Clock.of(monkeypatch, "worker.curves", "worker.heartbeat", "worker.runner")
    job = small_workshop.add_job(**{**SHORT, "training": {"max_epochs": 4}})
    lags: list[float] = []

    class Timed(slow(0.5, pulse_seconds=0.05, clock=clock)):  # type: ignore[misc]
        def pulses(self) -> Iterator[Measured]:
            began: dict[int, float] = {}
            for measured in super().pulses():
                seen = began.keys() & set(small_workshop.curve(job).epochs)
                lags.extend(clock.now - began.pop(number) for number in seen)
                began |= {epoch.number: clock.now for _, epoch in measured}
                yield measured

    small_workshop.run(stack=Timed)
    assert len(lags) == 3
    assert max(lags) < 0.31


def test_many_quick_epochs_share_transactions(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred a second, in some four transactions."""
    clock = Clock.of(monkeypatch, "worker.curves", "worker.heartbeat", "worker.runner")
    job = small_workshop.add_job(**{**SHORT, "training": {"max_epochs": 200}})
    flushed: list[int] = []

    def flush(database: Database, recorders: Sequence[Recorder]) -> None:
        curves.flush(database, recorders)
        flushed.append(len(small_workshop.curve(job).epochs))

    monkeypatch.setattr(driving, "flush", flush)
    small_workshop.run(stack=slow(0.01, pulse_seconds=0.01, clock=clock))
    assert gapless(small_workshop, job) == 200
    assert 6 <= len(flushed) <= 10


# ── what people ask for ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked is heard at once, not only within a second."""
    beat_often(monkeypatch)


@pytest.mark.usefixtures("often")
def test_cancel_in_the_midst_of_a_long_epoch(workshop: Workshop) -> None:
    job = workshop.add_job()
    running = threading.Thread(target=workshop.run, kwargs={"stack": slow(60, after=1)})
    running.start()
    until(lambda: workshop.curve(job).epochs)
    asked_at = time.monotonic()
    workshop.ask("cancel", job)
    running.join()
    assert time.monotonic() - asked_at < 2
    done = workshop.look(job)
    assert (done.status, done.stop_reason) == ("cancelled", "cancelled")
    assert done.result is not None
    assert done.result["restored_epoch"] == done.result["best_epoch"] == 1
    assert done.result["test"] is None
    assert workshop.weights(job).summary["layers"]


@pytest.mark.usefixtures("often")
def test_cancel_before_the_first_epoch_leaves_no_weights(small_workshop: Workshop) -> None:
    job = small_workshop.add_job()
    running = threading.Thread(target=small_workshop.run, kwargs={"stack": slow(60)})
    running.start()
    until(lambda: small_workshop.look(job).status == "running")
    small_workshop.ask("cancel", job)
    running.join()
    assert (small_workshop.look(job).status, small_workshop.look(job).result) == ("cancelled", None)
    with pytest.raises(NotFound):
        small_workshop.weights(job)


def test_a_cancel_acknowledged_as_training_ends_is_never_followed_by_success(
    small_workshop: Workshop,
) -> None:
    job = small_workshop.add_job()

    class CancelledAtLast(Training):
        def result(self) -> dict[str, Any]:
            small_workshop.ask("cancel", job)
            return super().result()

    small_workshop.run(begin=CancelledAtLast)
    assert small_workshop.look(job).status == "cancelled"
    assert gapless(small_workshop, job) == 6


def test_finish_restores_the_best_and_succeeds(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(**LONG)
    small_workshop.run(stack=at_epoch(5, lambda: small_workshop.ask("finish", job)))
    done = small_workshop.look(job)
    assert (done.status, done.stop_reason) == ("succeeded", "finished")
    assert done.result is not None
    assert 5 <= done.result["last_epoch"] == gapless(small_workshop, job) < 100_000
    assert done.result["test"] is not None


@pytest.mark.usefixtures("often")
def test_finish_cuts_a_long_epoch_short(small_workshop: Workshop) -> None:
    job = small_workshop.add_job()
    running = threading.Thread(target=small_workshop.run, kwargs={"stack": slow(60)})
    running.start()
    until(lambda: small_workshop.look(job).status == "running")
    asked_at = time.monotonic()
    small_workshop.ask("finish", job)
    running.join()
    assert time.monotonic() - asked_at < 2
    assert small_workshop.look(job).stop_reason == "finished"
    assert gapless(small_workshop, job) == 1


# ── who has the job ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_that_was_taken_away_gets_nothing_more_written(workshop: Workshop) -> None:
    job = workshop.add_job(**LONG)
    left: list[Any] = []

    def take_away() -> None:
        with workshop.database.writing() as tx:
            assert jobs.release(tx, job.id, workshop.look(job).fence, detail="the test takes it away")
            assert jobs.claim(tx, worker="another", queues=["cpu"], lease_seconds=30)
        left.append(workshop.rows())

    assert workshop.run(stack=at_epoch(3, take_away))
    assert workshop.rows() == left[0]
    assert workshop.look(job).worker_id == "another"


def test_a_worker_that_is_told_to_stop_puts_its_job_back_uncounted(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(**LONG)
    told = threading.Event()
    assert small_workshop.run(stack=at_epoch(3, told.set), draining=told.is_set)
    released = small_workshop.look(job)
    assert (released.status, released.lost) == ("queued", 0)
    assert small_workshop.run(stack=at_epoch(released.epoch + 2, lambda: small_workshop.ask("finish", job)))
    assert small_workshop.look(job).status == "succeeded"
    assert (
        (small_workshop.look(job).result or {})["last_epoch"]
        == gapless(small_workshop, job)
        >= released.epoch + 2
    )
    assert "rewound" not in small_workshop.kinds(job), "it goes on from where it was"


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (MemoryError(), "out_of_memory", "ran out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory", "memory"),
        (DataError("no rows are left"), "data_error", "no rows are left"),
        (SystemExit(3), "internal_error", "SystemExit: 3"),
        (KeyboardInterrupt(), "internal_error", "KeyboardInterrupt"),
        (ZeroDivisionError("division by zero"), "internal_error", "ZeroDivisionError: division by zero"),
        (OSError("postgresql://me:secret@host/db: refused"), "internal_error", "postgresql://…@host/db"),
        (ValueError("a NUL \x00 and a surrogate \ud800"), "internal_error", "ValueError"),
        (RecursionError(), "internal_error", "RecursionError"),
    ],
)
def test_whatever_is_raised_fails_the_job_and_not_the_worker(
    small_workshop: Workshop, error: BaseException, reason: str, said: str
) -> None:
    def explode() -> None:
        raise error

    bad, good = small_workshop.add_job(**LONG), small_workshop.add_job()
    assert small_workshop.run(stack=at_epoch(3, explode))
    failed = small_workshop.look(bad)
    assert (failed.status, failed.stop_reason, failed.attempt) == ("failed", reason, 1)
    assert failed.error is not None
    assert said in failed.error["detail"]
    assert "secret" not in failed.error["detail"]
    assert 2 <= gapless(small_workshop, bad) <= 3
    assert small_workshop.run()
    assert small_workshop.look(good).status == "succeeded"


def test_divergence_is_an_outcome_that_keeps_the_best(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(**LONG)

    class Diverging(Watched):
        def pulses(self) -> Iterator[Measured]:
            for measured in super().pulses():
                yield measured
                if len(self.trainings[0].history) == 3:
                    for parameter in self.trainings[0].network.parameters():
                        parameter.data.fill_(float("nan"))

    assert small_workshop.run(stack=Diverging)
    done = small_workshop.look(job)
    assert (done.status, done.stop_reason, done.attempt) == ("failed", "diverged", 1)
    assert gapless(small_workshop, job) == 4
    curve = small_workshop.curve(job)
    assert curve.series["train_loss"][3] is None
    assert curve.nonfinite["train_loss"] == {4: "nan"}
    assert done.result is not None
    assert done.result["restored_epoch"] <= 3
    assert done.result["train"]["loss"] > 0
    assert small_workshop.weights(job).summary["layers"]


def test_divergence_at_once_keeps_nothing(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(
        regularization=None,
        network={"hidden": [8]},
        optimizer={"kind": "sgd", "learning_rate": 100.0, "momentum": 0.9},
        training={"max_epochs": 1000, "batch_size": 1},
    )

    class PoisonedAtOnce(Watched):
        def pulses(self) -> Iterator[Measured]:
            next(self.trainings[0].network.parameters()).data.fill_(float("inf"))
            return super().pulses()

    assert small_workshop.run(stack=PoisonedAtOnce)
    assert small_workshop.look(job).stop_reason == "diverged"
    with pytest.raises(NotFound):
        small_workshop.weights(job)


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_dataset_whose_file_is_bad_is_a_data_error(
    small_workshop: Workshop, tmp_path: Any, harm: str
) -> None:
    job = small_workshop.add_job()
    key = f"datasets/{job.dataset_id}.parquet"
    small_workshop.files.delete(key)
    if harm == "damaged":
        other = tmp_path / "other"
        other.write_bytes(b"not what was stored")
        small_workshop.files.put(key, other)
    small_workshop.run()
    assert small_workshop.look(job).stop_reason == "data_error"


def test_a_spec_that_this_version_cannot_read_fails_the_job(small_workshop: Workshop) -> None:
    dataset = small_workshop.add_dataset(iris())
    with small_workshop.database.writing() as tx:
        job = jobs.add(tx, spec={"dataset": dataset.id, "novelty": 1}, dataset_id=dataset.id, max_epochs=1)
    small_workshop.run()
    failed = small_workshop.look(job)
    assert (failed.status, failed.stop_reason) == ("failed", "internal_error")


def test_a_full_disk_costs_the_job_nothing(small_workshop: Workshop) -> None:
    class FullDisk(Files):
        def put(self, *_: Any, **__: Any) -> Stored:
            raise FilesFull

    job = small_workshop.add_job()
    room = small_workshop.files
    small_workshop.files = FullDisk(room.url)
    small_workshop.run(backoff_seconds=0)
    released = small_workshop.look(job)
    assert (released.status, released.lost) == ("queued", 0)
    small_workshop.files = room
    small_workshop.run()
    assert small_workshop.look(job).status == "succeeded"


def test_a_full_disk_for_what_is_written_in_passing_costs_nothing_either(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoRoom:
        def __init__(self, **_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    job = small_workshop.add_job()
    with monkeypatch.context() as patched:
        patched.setattr(outcomes.tempfile, "NamedTemporaryFile", NoRoom)
        small_workshop.run(backoff_seconds=0)
    assert (small_workshop.look(job).status, small_workshop.look(job).lost) == ("queued", 0)
    small_workshop.run()
    assert small_workshop.look(job).status == "succeeded"


def test_what_cannot_be_stored_as_a_result_fails_the_job(small_workshop: Workshop) -> None:
    class Strange(Training):
        def result(self) -> dict[str, Any]:
            return {"what": object()}

    job = small_workshop.add_job()
    small_workshop.run(begin=Strange)
    failed = small_workshop.look(job)
    assert (failed.status, failed.stop_reason) == ("failed", "internal_error")


def test_metrics_that_are_not_numbers_are_told_apart(small_workshop: Workshop) -> None:
    class Undefined(Training):
        def result(self) -> dict[str, Any]:
            return super().result() | {"test": {"loss": 1.0, "r2": float("nan")}}

    job = small_workshop.add_job()
    small_workshop.run(begin=Undefined)
    done = small_workshop.look(job)
    assert done.status == "succeeded"
    assert (done.result or {})["test"] == {"loss": 1.0, "r2": None, "nonfinite": {"r2": "nan"}}
