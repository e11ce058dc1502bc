"""Thinning keeps what a reader must not miss, says what it did, and depends on nothing but the curve."""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.charts import Curve, least_points, thin

VALUES = st.none() | st.floats()
# The first example of a run also pays for loading NumPy.
unhurried = settings(deadline=None, max_examples=50)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    length = draw(st.integers(0, 60))
    first = draw(st.integers(1, 1000))
    names = draw(st.lists(st.sampled_from(["train_loss", "val_loss", "val_r2", "sparsity"]), unique=True))
    column = st.lists(VALUES, min_size=length, max_size=length)
    epochs = list(range(first, first + length))
    best = draw(st.none() | st.integers(first, first + length))
    return Curve("job_1", "any", epochs, {name: draw(column) for name in names}, best, None)


def finite(curve: Curve, name: str) -> list[tuple[float, int]]:
    pairs = zip(curve.series[name], curve.epochs, strict=True)
    return [(value, epoch) for value, epoch in pairs if value is not None and math.isfinite(value)]


@unhurried
@given(curves(), st.integers(2, 30))
def test_mandatory_epochs_are_kept(curve: Curve, max_points: int) -> None:
    kept = set(thin(curve, max_points)[0].epochs)
    assert kept >= {*curve.epochs[:1], *curve.epochs[-1:]}
    if curve.best_epoch in curve.epochs:
        assert curve.best_epoch in kept
    if curve.diverged_at() is not None:
        assert curve.diverged_at() in kept


@unhurried
@given(curves(), st.integers(2, 30))
def test_extremes_of_every_series_are_kept(curve: Curve, max_points: int) -> None:
    thinned, _ = thin(curve, max_points)
    for name in curve.series:
        before, after = (sorted(value for value, _ in finite(each, name)) for each in (curve, thinned))
        assert before[:1] == after[:1]
        assert before[-1:] == after[-1:]


@unhurried
@given(curves(), st.integers(2, 30))
def test_what_is_kept_is_unchanged_and_in_order(curve: Curve, max_points: int) -> None:
    thinned, _ = thin(curve, max_points)
    assert thinned.epochs == sorted(set(thinned.epochs))
    for name, values in thinned.series.items():
        rows = [curve.epochs.index(epoch) for epoch in thinned.epochs]
        assert repr(values) == repr([curve.series[name][row] for row in rows])
    assert (thinned.job_id, thinned.name, thinned.best_epoch) == (curve.job_id, curve.name, curve.best_epoch)


@unhurried
@given(curves(), st.integers(2, 30))
def test_the_number_of_points_is_obeyed_and_said(curve: Curve, max_points: int) -> None:
    thinned, sampling = thin(curve, max_points)
    assert sampling["total"] == len(curve.epochs)
    assert sampling["returned"] == len(thinned.epochs)
    assert sampling["method"] == ("none" if len(curve.epochs) <= max_points else "lttb")
    if max_points >= least_points(len(curve.series)) and curve.series:
        assert len(thinned.epochs) == min(max_points, len(curve.epochs))


@unhurried
@given(curves(), st.integers(2, 30))
def test_the_same_curve_thins_to_the_same_points(curve: Curve, max_points: int) -> None:
    assert repr(thin(curve, max_points)) == repr(thin(curve, max_points))


def test_a_bump_that_is_no_extreme_survives_in_whichever_series_it_is() -> None:
    smooth = [1.0 - epoch / 2000 for epoch in range(2000)]
    bumped = [3.0, *smooth[1:700], 1.2, *smooth[701:]]
    for names in (("train_loss", "val_loss"), ("val_loss", "train_loss")):
        curve = Curve("job_1", "", list(range(1, 2001)), dict(zip(names, (smooth, bumped), strict=True)))
        assert 701 in thin(curve, 40)[0].epochs


def test_points_spread_over_the_whole_curve() -> None:
    curve = Curve(
        "job_1", "", list(range(1, 10_001)), {"val_loss": [1 / epoch for epoch in range(1, 10_001)]}
    )
    epochs = thin(curve, 100)[0].epochs
    assert max(later - earlier for earlier, later in pairwise(epochs)) <= 2 * 10_000 / 97


def test_values_at_the_edge_of_floating_point_do_not_overflow() -> None:
    values = [(-1) ** epoch * 1.7e308 for epoch in range(500)]
    assert thin(Curve("job_1", "", list(range(1, 501)), {"val_r2": values}), 50)[1]["returned"] == 50


def test_a_hundred_thousand_epochs_thin_in_no_time() -> None:
    chance = random.Random(0)
    values: list[float | None] = [chance.random() for _ in range(100_000)]
    curve = Curve("job_1", "", list(range(1, 100_001)), {"train_loss": values, "val_loss": values[::-1]})
    thin(curve, 10)
    spent = []
    for _ in range(3):
        start = time.thread_time()
        thin(curve, 500)
        spent.append(time.thread_time() - start)
    assert min(spent) < 0.1


def test_a_curve_whose_columns_do_not_match_is_refused() -> None:
    with pytest.raises(ValueError, match="series val_loss has 1 values for 2 epochs"):
        Curve("job_1", "", [1, 2], {"val_loss": [0.5]})
