"""Levels, trends and noise of a series that one wild epoch does not move: medians throughout.

A series has NaN where nothing finite was measured. Long ones are looked at here and there, evenly spread, so
that a hundred thousand epochs cost hardly more than a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from statistics import median

MOST_READ = 400
"""Of a stretch of epochs at most so many are looked at, evenly spread: a median needs no more."""
END = 10
"""A tenth of the epochs is the end of a curve."""
TAIL = 4
"""A quarter of the epochs is where it is seen whether a curve still moves."""
LEAST_END = 5
"""Epochs that a level is made of at least: a median of five varies half as much as its parts."""
LEAST_TAIL = 6
"""Two times three epochs: a median of three outvotes one that is wild."""
TYPICAL, UNUSUAL = 0.5, 0.9
"""Which quantile of an epoch's bends is taken for its noise: the median, or what one in ten exceeds."""
NORMAL = {TYPICAL: 1.4826, UNUSUAL: 0.6080}
"""From that quantile of the absolute values of normal noise to its standard deviation: 1/Φ⁻¹((1 + q)/2)."""


def level(values: Sequence[float]) -> float:
    """The median of those that are finite."""
    stride = max(len(values) // MOST_READ, 1)
    return median([value for value in values[::stride] if not math.isnan(value)] or [math.nan])


def end(values: Sequence[float]) -> float:
    """The level of the last tenth, five epochs at least."""
    return level(values[-max(len(values) // END, LEAST_END) :])


def levels(values: Sequence[float]) -> list[tuple[int, float]]:
    """(epoch, level) along the curve, each of the tenth of all epochs around it, of five at least."""
    around, stride = max(len(values) // (2 * END), LEAST_END // 2), max(len(values) // MOST_READ, 1)
    centres = range(0, len(values), stride)
    found = ((each + 1, level(values[max(each - around, 0) : each + around + 1])) for each in centres)
    return [(epoch, middle) for epoch, middle in found if not math.isnan(middle)]


def lowest(values: Sequence[float]) -> tuple[int, float]:
    """(epoch, level) where it is lowest; (0, NaN) where there is nothing finite."""
    return min(levels(values), key=lambda pair: pair[1], default=(0, math.nan))


def noise(values: Sequence[float], quantile: float = TYPICAL) -> float:
    """σ of independent noise around a straight line: a second difference of it varies by 6·σ²."""
    triples = zip(values, islice(values, 1, None), islice(values, 2, None), strict=False)
    stride = max(len(values) // MOST_READ, 1)
    bends = [abs(a - 2 * b + c) for a, b, c in islice(triples, 0, None, stride)]
    finite = sorted(bend for bend in bends if not math.isnan(bend))
    if not finite:
        return 0.0
    chosen = median(finite) if quantile == TYPICAL else finite[int(quantile * (len(finite) - 1))]
    return NORMAL[quantile] * chosen / math.sqrt(6)


def surge(values: Sequence[float]) -> float:
    """By how much the second half went above the lowest value before, at most; 0 where it never did."""
    least, most = math.inf, 0.0
    for place, value in enumerate(values):
        if not math.isnan(value):
            most = max(most, value - least) if 2 * place >= len(values) else most
            least = min(least, value)
    return most


def tail(values: Sequence[float]) -> tuple[float, float, float]:
    """Levels of the two halves of the last quarter, and the standard error of their difference.

    Of the noise in the last quarter and in the last three quarters the larger one counts: a few epochs may be
    calm by chance.
    """
    last = values[-max(len(values) // TAIL, LEAST_TAIL) :]
    first, second = last[: len(last) // 2], last[len(last) // 2 :]
    # The median of m normal numbers has a variance of (π/2)·σ²/m.
    sd = max(noise(last), noise(values[len(values) // 4 :]))
    error = sd * math.sqrt(math.pi / 2 * (1 / max(len(first), 1) + 1 / max(len(second), 1)))
    return level(first), level(second), error


def first_nan(*curves: Sequence[float]) -> int | None:
    """The first epoch in which one of them has no number."""
    found = [
        next(epoch for epoch, value in enumerate(values, 1) if math.isnan(value))
        for values in curves
        if math.isnan(sum(values))  # Whatever NaN is added to is NaN.
    ]
    return min(found, default=None)
