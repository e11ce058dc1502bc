"""Stretches: a long curve is read from them, and nobody could tell but by the time it takes."""

from __future__ import annotations

import math
import time
from itertools import product

import pytest
import sqlalchemy as sa

from store import curves, jobs, stretches
from store.curves import Curve, Point
from store.jobs import Job
from store.session import Database
from store.stretches import EPOCHS
from store.tables import jobs as jobs_table
from store.tables import points as recorded
from store.tables import stretches as kept
from tests.store.examples import elsewhere, running
from tests.store.watching import statements


def numbered(first: int, last: int) -> list[Point]:
    """Epochs among which there is everything: gaps, a series that begins late, what is not finite."""
    return [Point(epoch, dict(_values(epoch))) for epoch in range(first, last + 1)]


def _values(epoch: int) -> list[tuple[str, float]]:
    odd = {EPOCHS: math.nan, EPOCHS + 1: math.inf, 2 * EPOCHS + 1: -math.inf}
    values = [("train_loss", 1 / epoch), ("val_loss", odd.get(epoch, -0.0 if epoch % 7 else 5e-324))]
    return [*values, ("val_f1", 0.1 * epoch)] if epoch % (3 * EPOCHS // 2) > 2 * EPOCHS // 3 else values


def record(database: Database, job: Job, epochs: list[Point], at_once: int) -> None:
    for start in range(0, len(epochs), at_once):
        with database.writing() as tx:
            assert curves.record(tx, job.id, job.fence, epochs[start : start + at_once])


def read(database: Database, job: Job, after: int = 0, series: list[str] | None = None) -> Curve:
    with database.reading() as tx:
        return curves.read(tx, job.id, after=after, series=series)


def stretched(database: Database, job: Job) -> list[int]:
    with database.reading() as tx:
        chosen = sa.select(kept.c.last).where(kept.c.job_id == job.id).order_by(kept.c.last)
        return list(tx.execute(chosen).scalars())


@pytest.mark.parametrize("at_once", [17, EPOCHS // 3, EPOCHS, 2 * EPOCHS + 100])
def test_a_stretch_is_kept_as_soon_as_it_is_full(database: Database, at_once: int) -> None:
    job = running(database)
    record(database, job, numbered(1, EPOCHS - 1), at_once)
    assert stretched(database, job) == []
    record(database, job, numbered(EPOCHS, 2 * EPOCHS + 100), at_once)
    assert stretched(database, job) == [EPOCHS, 2 * EPOCHS]


AFTER = [0, 1, EPOCHS - 1, EPOCHS, EPOCHS + 7, 2 * EPOCHS, 2 * EPOCHS + 9, 9 * EPOCHS]
SERIES = [None, ["val_f1", "unknown", "val_loss"]]


def test_a_curve_is_the_same_with_and_without_stretches(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, 2 * EPOCHS + 10), 200)
    assert len(stretched(database, job)) == 2
    asked = list(product(AFTER, SERIES))
    packed = [read(database, job, *each) for each in asked]
    with database.writing() as tx:
        stretches.cut(tx, job.id, 0)
    for (after, series), found in zip(asked, packed, strict=True):
        assert found.epochs == list(range(after + 1, 2 * EPOCHS + 11))
        assert repr(found) == repr(read(database, job, after, series))


def test_chosen_rows_are_those_of_the_whole_curve(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, EPOCHS + 10), EPOCHS + 10)
    rows = [0, 5, EPOCHS - 1, EPOCHS, EPOCHS + 9]
    with database.reading() as tx:
        packed = curves.packed(tx, job.id)
    whole, chosen = packed.curve(), packed.curve(rows)
    assert chosen.epochs == [row + 1 for row in rows]
    assert chosen.series == {name: [values[row] for row in rows] for name, values in whole.series.items()}
    assert chosen.nonfinite == whole.nonfinite == {"val_loss": {EPOCHS: "nan", EPOCHS + 1: "inf"}}
    assert packed.curve([0]).nonfinite == {}


def test_a_curve_is_one_statement(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, EPOCHS + 10), EPOCHS + 10)
    with database.reading() as tx, statements(tx) as sent:
        curves.packed(tx, job.id)
    assert len(sent) == 1


def test_stretches_go_where_their_points_go(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, 2 * EPOCHS + 10), 200)
    with database.writing() as tx:
        assert curves.rewind(tx, job.id, EPOCHS + 5)
        tx.execute(jobs_table.update().where(jobs_table.c.id == job.id).values(epoch=EPOCHS + 5))
    assert stretched(database, job) == [EPOCHS]
    assert read(database, job).epochs[-1] == EPOCHS + 5
    again = [Point(point.epoch, {"train_loss": 7.0}) for point in numbered(EPOCHS + 6, 2 * EPOCHS)]
    record(database, job, again, 200)
    assert stretched(database, job) == [EPOCHS, 2 * EPOCHS]
    assert read(database, job).series["train_loss"][EPOCHS + 4 : EPOCHS + 6] == [1 / (EPOCHS + 5), 7.0]
    with database.writing() as tx:
        assert jobs.fail(tx, job.id, job.fence, stop_reason="internal_error")
        jobs.delete(tx, job.id)
        assert tx.execute(sa.select(kept.c.last)).all() == []


def test_a_curve_that_began_before_there_were_stretches_has_none(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, EPOCHS + 10), 200)
    with database.writing() as tx:
        stretches.cut(tx, job.id, 0)
    record(database, job, numbered(EPOCHS + 11, 2 * EPOCHS + 10), 200)
    assert stretched(database, job) == []
    assert read(database, job).epochs == list(range(1, 2 * EPOCHS + 11))


def test_another_projects_curve_is_not_there(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, EPOCHS + 10), EPOCHS + 10)
    with database.reading() as tx, elsewhere(tx):
        assert curves.packed(tx, job.id).length == 0


def test_a_hundred_thousand_epochs_are_read_in_moments(database: Database) -> None:
    job = running(database)
    record(database, job, numbered(1, 3 * EPOCHS), 3 * EPOCHS)
    spent = []
    with database.writing() as tx:
        tx.execute(recorded.delete().where(recorded.c.job_id == job.id))
        row = tx.execute(sa.select(kept).where(kept.c.last == EPOCHS)).one()._mapping
        tx.execute(kept.delete())
        tx.execute(kept.insert(), [{**row, "last": EPOCHS * each} for each in range(1, 401)])
    with database.reading() as tx:
        for _ in range(5):
            began = time.process_time()
            assert curves.packed(tx, job.id).length == 400 * EPOCHS
            spent.append(time.process_time() - began)
    # Some 10 ms; row by row it is a second.
    assert min(spent) < 0.1
