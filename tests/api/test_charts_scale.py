"""Axes: every value has its place, and the numbers beside them are few, round and different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.charts.scale import epoch_scale, epoch_ticks, scale_of

DRAWABLE = st.floats(-1e100, 1e100).filter(lambda value: value == 0 or abs(value) >= 1e-100)


@given(st.lists(DRAWABLE, max_size=20))
def test_every_value_has_its_place(values: list[float]) -> None:
    scale = scale_of(values)
    assert scale.low < scale.high
    places = [scale.position(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)


@given(st.lists(DRAWABLE, max_size=20), st.integers(3, 12))
def test_ticks_are_few_and_within_the_axis(values: list[float], most: int) -> None:
    scale = scale_of(values)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= 1.25 * most + 1
    assert all(-1e-9 <= scale.position(value) <= 1 + 1e-9 for value, _ in ticks)
    labels = [label for _, label in ticks]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.1, 2.3], ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        ([0.91, 0.99], ["0.92", "0.94", "0.96", "0.98"]),
        ([0.001, 1.0], ["0.001", "0.01", "0.1", "1"]),
        ([1e9, 1e9 + 4], ["1000000000", "1000000001", "1000000002", "1000000003", "1000000004"]),
        ([], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_tick_labels(values: list[float], labels: list[str]) -> None:
    assert [label for _, label in scale_of(values).ticks(5)] == labels


def test_an_axis_goes_by_ratios_from_more_than_two_decades_of_positive_values() -> None:
    assert scale_of([0.01, 1.1]).log
    assert not scale_of([0.01, 1.0]).log
    assert not scale_of([0.0, 1000.0]).log
    assert not scale_of([-1.0, 1000.0]).log


@pytest.mark.parametrize(
    ("epochs", "labels"),
    [
        ([1, 60], ["1", "10", "20", "30", "40", "50", "60"]),
        ([1, 10_000], ["1", "2,000", "4,000", "6,000", "8,000", "10,000"]),
        ([1, 3], ["1", "2", "3"]),
        ([7], ["7"]),
        ([], ["1"]),
    ],
)
def test_epochs_are_whole_and_begin_with_the_first(epochs: list[int], labels: list[str]) -> None:
    assert [label for _, label in epoch_ticks(epoch_scale(epochs), 7)] == labels
