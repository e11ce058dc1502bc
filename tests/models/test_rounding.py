"""A number that stands for a column lies within it, as coarse as its range allows, and overflows nowhere."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datasets.rounding import round_within

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "low", "high", "rounded"),
    [
        (10002.5, 10001.0, 10004.0, 10002.5),
        (10002.4987, 10001.0, 10004.0, 10002.5),
        (1_700_001_234.0, 1_700_000_000.0, 1_700_002_000.0, 1_700_001_200.0),
        (0.123456, 0.0, 1.0, 0.12),
        (5.0, 5.0, 5.0, 5.0),
        (1e308, -sys.float_info.max, sys.float_info.max, 1e308),
        (99.96, 0.0, 99.97, 99.97),
    ],
)
def test_it_is_as_coarse_as_the_range_allows(value: float, low: float, high: float, rounded: float) -> None:
    assert round_within(value, low, high) == rounded


def test_days_are_whole() -> None:
    assert round_within(19_000.4, 19_000.0, 19_001.0, whole=True) == 19_000.0


@given(st.lists(FLOATS, min_size=3, max_size=3).map(sorted))
def test_it_lies_within(numbers: list[float]) -> None:
    low, value, high = numbers
    assert low <= round_within(value, low, high) <= high
