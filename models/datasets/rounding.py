"""Rounding a number that stands for a column, in an example that is nobody's row."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Final

_DIGITS: Final = 1
"""Of half of a column's range: a twentieth of it and finer is as fine as an example need be."""


def round_within(value: float, low: float, high: float, *, whole: bool = False) -> float:
    """A number among others from `low` to `high`, as coarse as the range allows, and never outside of it.

    `whole` for what counts in whole steps, such as days. What is no range, since all are the same, is left as
    it is.
    """
    spread = high / 2 - low / 2  # Halved: the difference of two floats may be more than a float holds.
    if not (isfinite(spread) and spread > 0):
        return value
    digits = _DIGITS - floor(log10(spread))
    try:
        rounded = round(value, min(digits, 0) if whole else digits)
    except OverflowError:  # Upwards, from the largest of floats.
        return value
    return min(max(rounded, low), high)
