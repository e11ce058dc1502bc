"""Fewer points that draw the same picture: a curve of any length as at most `max_points` epochs.

The mandatory epochs come first: the first and the last, the minimum and maximum of every series, the best,
and the one that diverged. Between them goes Largest-Triangle-Three-Buckets (Steinarsson 2013), all series
choosing the same epochs: from each bucket comes the one whose triangle with the epoch kept before it and the
mean of the bucket after it is largest in any series, each series measured in units of its own range. No
chance is involved: the same curve thins to the same points.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypedDict

from api.charts.curve import Curve

if TYPE_CHECKING:
    from array import array

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Buffer = array[float] | Matrix
    Rows = NDArray[np.int64]


class Sampling(TypedDict):
    """What was done to a curve, as the answer says it."""

    method: Literal["none", "lttb"]
    returned: int
    total: int


def least_points(series: int) -> int:
    """The fewest `max_points` that is always obeyed for so many series: their extremes, and four more epochs.

    Below it the mandatory epochs are returned all the same, and `returned` says how many.
    """
    return 4 + 2 * series


def thin(curve: Curve, max_points: int) -> tuple[Curve, Sampling]:
    """The curve in at most `max_points` epochs (see `least_points`), and what was done to it."""
    total = len(curve.epochs)
    if total <= max_points:
        return curve, Sampling(method="none", returned=total, total=total)
    rows = kept_rows(_columns(curve), total, max_points, _notable_rows(curve))
    series = {name: [values[row] for row in rows] for name, values in curve.series.items()}
    thinned = replace(curve, epochs=[curve.epochs[row] for row in rows], series=series)
    return thinned, Sampling(method="lttb", returned=len(rows), total=total)


def _columns(curve: Curve) -> list[Matrix]:
    import numpy as np

    return [np.array(values, dtype=np.float64) for values in curve.series.values()]


def _notable_rows(curve: Curve) -> list[int]:
    """Where it is best, and where it diverged."""
    epochs = [epoch for epoch in (curve.best_epoch, curve.diverged_at()) if epoch is not None]
    rows = [(bisect_left(curve.epochs, epoch), epoch) for epoch in epochs]
    return [row for row, epoch in rows if curve.epochs[row : row + 1] == [epoch]]


def kept_rows(columns: Sequence[Buffer], length: int, max_points: int, notable: Iterable[int]) -> list[int]:
    """Which rows stay, in rising order: of series as doubles in memory, where what is not finite is a gap."""
    import numpy as np

    shapes = np.empty((len(columns), length))
    kept = {0, length - 1, *notable}
    for shape, column in zip(shapes, columns, strict=True):
        values = np.frombuffer(column, dtype=np.float64)
        finite = np.isfinite(values)
        kept |= _extreme_rows(values, finite)
        shape[:] = _to_unit_range(values, finite)
    free = np.delete(np.arange(length), sorted(kept))
    buckets = min(max_points - len(kept), len(free))
    if buckets <= 0 or not columns:
        return sorted(kept)
    return sorted([*kept, *_one_per_bucket(shapes, free, buckets, sorted(kept))])


def _extreme_rows(column: Matrix, finite: Mask) -> set[int]:
    """The first minimum and the first maximum, if anything is finite."""
    import numpy as np

    if not finite.any():
        return set()
    return {
        int(np.where(finite, column, np.inf).argmin()),
        int(np.where(finite, column, -np.inf).argmax()),
    }


def _to_unit_range(column: Matrix, finite: Mask) -> Matrix:
    """A series between 0 and 1, its gaps bridged: only the shape counts, and no value may overflow."""
    import numpy as np

    if not finite.any():
        return np.zeros_like(column)
    halves = column / 2
    if not finite.all():
        rows = np.arange(len(column))
        halves = np.interp(rows, rows[finite], halves[finite])
    low, high = float(halves.min()), float(halves.max())
    return (halves - low) / (high - low) if high > low else np.zeros_like(halves)


def _one_per_bucket(shapes: Matrix, free: Rows, buckets: int, kept: list[int]) -> list[int]:
    """From each bucket of free rows the one with the largest triangle in any series."""
    import numpy as np

    points = shapes[:, free]
    starts = np.arange(buckets) * len(free) // buckets
    ends = np.append(starts[1:], len(free))
    # Beyond each bucket lies the mean of the next one; beyond the last one lies the last epoch.
    x = np.append((np.add.reduceat(free, starts) / (ends - starts))[1:], shapes.shape[1] - 1)
    y = np.append((np.add.reduceat(points, starts, axis=1) / (ends - starts))[:, 1:], shapes[:, -1:], axis=1)
    chosen: list[int] = []
    for bucket, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        rows = free[start:end]
        before = max([kept[bisect_left(kept, int(rows[0])) - 1], *chosen[-1:]])
        rise = points[:, start:end] - shapes[:, before, None]
        areas = (x[bucket] - before) * rise - (rows - before) * (y[:, bucket] - shapes[:, before])[:, None]
        chosen.append(int(rows[np.abs(areas).max(axis=0).argmax()]))
    return chosen
