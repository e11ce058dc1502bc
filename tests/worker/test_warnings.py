"""What a worker finds in the rows is told in the job's row and log, soon and once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from models import row_notices
from models.datasets import Column, Table
from models.stacks import Measured
from store import events
from tests.models.building import table
from tests.worker.building import SHORT, Workshop, at_epoch, slow
from tests.worker.clocks import Clock
from worker import driving


def leaky(rows: int = 120) -> Table:
    """One column is the class, and the first rows occur again at the end."""
    stream = np.random.default_rng(0)
    y = stream.integers(0, 2, rows)
    x = np.column_stack([stream.normal(size=(rows, 3)), 3.0 * y])
    return table(np.concatenate([x, x[:30]]), np.concatenate([y, y[:30]]))


def told(workshop: Workshop, job: Any) -> list[dict[str, Any]]:
    """The warnings of the row, which are those of the log."""
    found = workshop.look(job).warnings
    with workshop.database.reading() as tx:
        assert [each.data for each in events.log(tx, job.id) if each.kind == "warning"] == found
    return found


def test_data_problems_are_told(workshop: Workshop) -> None:
    job = workshop.add_job(leaky(), **SHORT)
    workshop.run()
    assert workshop.look(job).status == "succeeded"
    repeated, leak = told(workshop, job)
    assert (
        (repeated["pointer"], repeated["kind"])
        == (leak["pointer"], leak["kind"])
        == ("/dataset", "data_problem")
    )
    assert "occur in training as well" in repeated["detail"]
    assert "column 'x3' alone tells the target in 150 of 150 rows" in leak["detail"]


def test_they_are_told_before_an_epoch_that_takes_long_is_over(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock.of(monkeypatch, "worker.curves", "worker.heartbeat", "worker.runner")
    job, seen = small_workshop.add_job(leaky(), **SHORT), list[int]()

    class Looking(slow(0.4, pulse_seconds=0.1, clock=clock)):  # type: ignore[misc]
        def pulses(self) -> Iterator[Measured]:
            for measured in super().pulses():
                if measured and not seen:
                    seen.append(len(small_workshop.look(job).warnings))
                yield measured

    small_workshop.run(stack=Looking)
    assert seen == [2]


def test_members_of_a_stack_are_told_each_its_own(small_workshop: Workshop) -> None:
    settings = SHORT | {"metrics": ["accuracy", "roc_auc"]}
    watching = {"early_stopping": {"monitor": "val_roc_auc", "patience": 2}}
    both = small_workshop.add_stack(
        one_class(), {}, {"regularization": watching}, **settings, split={"column": "split"}
    )
    assert small_workshop.run(at_most=64)
    plain, watched = ({each["pointer"] for each in told(small_workshop, job)} for job in both)
    assert "/metrics/1" in plain
    assert "/regularization/early_stopping/monitors/0/metric" in watched
    assert small_workshop.look(both[1]).stop_reason == "max_epochs"


def one_class() -> Table:
    """Validation has the second class alone."""
    stream = np.random.default_rng(0)
    y = np.r_[np.arange(60) % 2, np.ones(20, int), np.arange(20) % 2]
    made = table(stream.normal(size=(100, 3)), y)
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    levels = ["test", "train", "validation"]
    column = Column(name="split", kind="categorical", missing=0, cardinality=3, constant=False, levels=levels)
    description = made.description.model_copy(update={"columns": [*made.description.columns, column]})
    return Table(made.frame.with_columns(split=pl.Series(splits)), description)


def test_an_attempt_that_follows_tells_nothing_twice(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(leaky(), **SHORT)
    told_to_stop = threading.Event()
    small_workshop.run(stack=at_epoch(3, told_to_stop.set), draining=told_to_stop.is_set, backoff_seconds=0)
    assert small_workshop.look(job).status == "queued"
    small_workshop.run()
    done = small_workshop.look(job)
    assert (done.status, done.attempt) == ("succeeded", 2)
    assert len(told(small_workshop, job)) == 2


def test_fista_that_has_not_converged_is_told_at_the_end(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(optimizer={"kind": "fista"}, training={"max_epochs": 3})
    small_workshop.run()
    (warning,) = told(small_workshop, job)
    assert warning["pointer"] == "/training/max_epochs"
    assert "not converged" in (small_workshop.look(job).stop_detail or "")


def test_of_good_data_nothing_is_told(small_workshop: Workshop) -> None:
    job = small_workshop.add_job(**SHORT)
    small_workshop.run()
    assert told(small_workshop, job) == []


@pytest.mark.parametrize("error", [FloatingPointError("a column that nobody thought of"), MemoryError()])
@pytest.mark.parametrize("name", ["repeated_rows", "undefined_series"])
def test_looking_for_notices_ends_no_job(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(row_notices, name, stumble)
    assert (driving.data_problems, driving.row_notices) == (
        row_notices.data_problems,
        row_notices.row_notices,
    )
    job = small_workshop.add_job(**SHORT)
    small_workshop.run()
    assert small_workshop.look(job).status == "succeeded"
