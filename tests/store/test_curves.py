"""Curves: gapless, exact, and fast enough to be polled."""

from __future__ import annotations

import math
import time

import pytest

from store import curves
from store.curves import Curve, Point, Recording
from store.errors import GapInCurve
from store.session import Database
from tests.store.examples import look, points, running, snapshot
from tests.store.watching import statements


def test_epochs_come_back_as_they_were_recorded(database: Database) -> None:
    job = running(database)
    values = {
        "train_loss": 0.1 + 0.2,
        "val_loss": 5e-324,
        "learning_rate": 1.7976931348623157e308,
        "sparsity": -0.0,
    }
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, [Point(1, values)], epochs_per_second=2.5)
    with database.reading() as tx:
        curve = curves.read(tx, job.id)
    assert curve == Curve([1], {name: [value] for name, value in values.items()}, {})
    assert str(curve.series["sparsity"]) == "[-0.0]"
    now = look(database, job)
    assert (now.epoch, now.epochs_per_second) == (1, 2.5)
    assert now.progress_at is not None


def test_what_is_not_finite_is_kept_by_kind(database: Database) -> None:
    job = running(database)
    odd = {"val_loss": math.nan, "objective": math.inf, "penalty_l1": -math.inf, "train_loss": 1.0}
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, [*points(1, 1), Point(2, odd)])
    with database.reading() as tx:
        curve = curves.read(tx, job.id)
        only = curves.read(tx, job.id, series=["objective"])
    assert curve.series["val_loss"] == [1.1, None]
    assert curve.series["train_loss"] == [1.0, 1.0]
    assert curve.nonfinite == {"val_loss": {2: "nan"}, "objective": {2: "inf"}, "penalty_l1": {2: "-inf"}}
    assert only == Curve([1, 2], {"objective": [None, None]}, {"objective": {2: "inf"}})


def test_many_epochs_at_once_and_one_after_another(database: Database) -> None:
    job = running(database)
    for first, last in ((1, 1), (2, 100), (101, 101)):
        with database.writing() as tx:
            assert curves.record(tx, job.id, job.fence, points(first, last))
    with database.reading() as tx:
        assert curves.read(tx, job.id).epochs == list(range(1, 102))
        assert curves.read(tx, job.id, after=99).epochs == [100, 101]
        assert curves.read(tx, job.id, after=101) == Curve()


def test_repeating_a_call_whose_answer_was_lost_is_harmless(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
    before = snapshot(database)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
        assert curves.record(tx, job.id, job.fence, [])
    assert snapshot(database) == before
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(2, 5))
    with database.reading() as tx:
        assert curves.read(tx, job.id).epochs == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "epochs", [points(5, 6), [*points(4, 4), *points(6, 6)], [*points(5, 5), *points(4, 4)], points(4, 4) * 2]
)
def test_a_gap_is_refused(database: Database, epochs: list[Point]) -> None:
    job = running(database)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
    before = snapshot(database)
    with pytest.raises(GapInCurve), database.writing() as tx:
        curves.record(tx, job.id, job.fence, epochs)
    assert snapshot(database) == before


def test_several_curves_are_recorded_together_each_under_its_fence(database: Database) -> None:
    first, second, stale = (running(database) for _ in range(3))
    with database.writing() as tx:
        told = [
            Recording(first.id, first.fence, points(1, 2), 3.5),
            Recording(stale.id, stale.fence + 1, points(1, 4)),
            Recording(second.id, second.fence, points(1, 3)),
        ]
        assert curves.record_all(tx, told) == {first.id, second.id}
    with database.writing() as tx, statements(tx) as sent:
        again = [Recording(first.id, first.fence, points(2, 3)), Recording(second.id, second.fence, [])]
        assert curves.record_all(tx, again) == {first.id, second.id}
    assert len(sent) == 3
    assert [look(database, job).epoch for job in (first, second, stale)] == [3, 3, 0]
    assert look(database, first).last_event == first.last_event + 3
    with database.reading() as tx:
        read = [curves.read(tx, job.id).epochs for job in (first, second, stale)]
    assert read == [[1, 2, 3], [1, 2, 3], []]


def test_a_gap_in_one_curve_keeps_all_of_them_as_they_were(database: Database) -> None:
    first, second = running(database), running(database)
    before = snapshot(database)
    with pytest.raises(GapInCurve), database.writing() as tx:
        curves.record_all(tx, [Recording(first.id, 1, points(1, 2)), Recording(second.id, 1, points(2, 3))])
    assert snapshot(database) == before


def test_only_the_series_asked_for(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 2))
        assert curves.series_of(tx, job.id) == ["train_loss", "val_loss"]
    with database.reading() as tx:
        curve = curves.read(tx, job.id, series=["val_loss", "unknown", "val_loss"])
    assert list(curve.series) == ["val_loss"]


def test_a_series_may_begin_late(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        late = Point(2, {"train_loss": 0.5, "val_roc_auc": 0.9})
        assert curves.record(tx, job.id, job.fence, [Point(1, {"train_loss": 1.0}), late])
    with database.reading() as tx:
        assert curves.read(tx, job.id).series == {"train_loss": [1.0, 0.5], "val_roc_auc": [None, 0.9]}


def test_no_job_no_curve(database: Database) -> None:
    with database.reading() as tx:
        assert curves.read(tx, "job_unknown") == Curve()
        assert curves.series_of(tx, "job_unknown") == []


def test_five_hundred_epochs_are_read_in_milliseconds(database: Database) -> None:
    job = running(database)
    names = [f"{split}_metric_{number}" for split in ("train", "val") for number in range(10)]
    epochs = [Point(epoch, dict.fromkeys(names, epoch / 7)) for epoch in range(1, 501)]
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, epochs)
    seconds = []
    with database.reading() as tx:
        for _ in range(11):
            began = time.perf_counter()
            assert len(curves.read(tx, job.id).epochs) == 500
            seconds.append(time.perf_counter() - began)
    # Some 3 ms; the least of them is what reading costs, the others what else the machine did.
    assert min(seconds) < 0.02
