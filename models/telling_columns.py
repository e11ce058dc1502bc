"""Columns that alone tell the target, as what was written down after the fact does.

Each column answers for every row from the other rows alone: the class, or the mean, of those that have the
same value; where nobody has, what the neighbours by value say. A column that gets nearly every row right
which knowing nothing gets wrong tells the target. A thousand rows show which columns may, more which do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.encoding import moments
from models.errors import Notice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.datasets import Column, Table

TELLING = 0.98
"""Of the rows that knowing nothing gets wrong: so many right. Iris' petal width has 0.94, wine's best 0.7."""
PROMISING = 0.9
"""So many on the first few rows, to be looked at further."""
LEAST_WRONG = 10
"""Rows that knowing nothing gets wrong, at least: fewer are right by chance."""
FIRST_ROWS, MOST_ROWS = 1_000, 20_000
FIRST_CELLS, MOST_COLUMNS = 500_000, 2_000
"""Of very many columns fewer rows are looked at first, and only so many columns at all."""
EXACT = 0.01
"""Of the target's standard deviation: a value so near is right."""
LEAST_COMPANY = 50
"""Rows whose word another has, at least, for the first rows to rule a column of words out."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Told:
    """What one column says of some rows."""

    right: int
    rows: int
    wrong_without: int
    """Rows that the most frequent answer gets wrong."""

    @property
    def share(self) -> float:
        """Of the rows that knowing nothing gets wrong, those that are right now."""
        return 1 - (self.rows - self.right) / self.wrong_without if self.wrong_without else 0.0


def telling_columns(table: Table, *, exclude: str | None = None) -> Iterator[Notice]:
    """Notices on columns that alone tell the target; none where there is but one column anyway."""
    columns = [each for each in table.description.columns if each.name != exclude and not each.constant]
    looked_at = columns[:MOST_COLUMNS]
    if len(columns) < 2:
        return
    first = _sampled(table, max(200, min(FIRST_ROWS, FIRST_CELLS // len(looked_at))))
    promising = [each for each in _ordered(table, looked_at, first) if _is_promising(table, each, first)]
    if len(columns) > len(looked_at):
        detail = (
            f"{len(columns) - len(looked_at):,} of {len(columns):,} columns, the last, were not looked at"
            ": whether one of them alone tells the target is not known"
        )
        yield Notice("/dataset", detail)
    if not promising:
        return
    more = _sampled(table, MOST_ROWS)
    told = {each.name: _told(table, each, _accompanied(table, each, more)) for each in promising}
    telling = {
        name: one for name, one in told.items() if one.share >= TELLING and one.wrong_without >= LEAST_WRONG
    }
    for name, one in list(telling.items())[:SHOWN]:
        sampled = " that were looked at" if one.rows < table.rows else ""
        detail = (
            f"column {name!r} alone tells the target in {one.right:,} of {one.rows:,} rows{sampled}: "
            "was it known when the prediction is wanted?"
        )
        yield Notice("/dataset", detail, kind="data_problem")
    if len(telling) > SHOWN:
        others = ", ".join(repr(name) for name in list(telling)[SHOWN : 4 * SHOWN])
        detail = f"{len(telling) - SHOWN} more columns alone tell the target: {others}"
        yield Notice("/dataset", detail, kind="data_problem")


def _is_promising(table: Table, column: Column, first: NDArray[np.int64]) -> bool:
    rows = _accompanied(table, column, first)
    if len(rows) < min(LEAST_COMPANY, len(first)):  # too few to say: more rows will
        return True
    return _told(table, column, rows).share >= PROMISING


def _accompanied(table: Table, column: Column, sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of a sample the rows whose word another has: one alone may have company in the table."""
    import numpy as np

    if column.kind != "categorical" or len(sample) == table.rows:
        return sample
    group, _ = _grouped(table.columns[column.name][sample])
    return sample[np.bincount(group)[group] > 1]


def _ordered(table: Table, columns: list[Column], rows: NDArray[np.int64]) -> list[Column]:
    """Columns by whose order most rows have a neighbour that is like them, and text that repeats itself.

    All numbers at once: a column that tells the target is among them, and few others are.
    """
    import numpy as np

    text = [each for each in columns if each.kind == "categorical" and 2 * each.cardinality <= table.rows]
    numbers = [each for each in columns if each.kind != "categorical"]
    if not numbers:
        return text
    order = np.argsort(np.column_stack([table.columns[each.name][rows] for each in numbers]), axis=0)
    target = table.target[rows]
    if table.description.classes is None:
        spread = moments(target)[1] or 1.0
        target = target / spread - target[0] / spread
        alike = np.abs(np.diff(target[order], axis=0)) <= max(0.05, 10 / len(rows))
        least = 0.5 * len(rows)
    else:
        alike = np.diff(target[order], axis=0) == 0
        least = len(rows) - (1 - PROMISING) * (len(rows) - np.bincount(target).max())
    like = np.zeros(order.shape, np.bool_)
    like[1:] |= alike
    like[:-1] |= alike
    return [*text, *(each for each, count in zip(numbers, like.sum(axis=0), strict=True) if count >= least)]


def _sampled(table: Table, most: int) -> NDArray[np.int64]:
    """At most so many rows, ascending; of each class about as many, as far as it has them."""
    import numpy as np

    stream = np.random.Generator(np.random.PCG64(0))
    if table.rows <= most:
        return np.arange(table.rows)
    if table.description.classes is None:
        return np.sort(stream.choice(table.rows, most, replace=False))
    order = stream.permutation(table.rows)
    classes = table.target[order]
    counts = np.bincount(classes)
    grouped = np.argsort(classes, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[grouped] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[np.argsort(rank, kind="stable")[:most]])


def _told(table: Table, column: Column, rows: NDArray[np.int64]) -> _Told:
    import numpy as np

    values, target = table.columns[column.name][rows], table.target[rows]
    group, points = _grouped(values)
    if table.description.classes is None:
        usual = np.abs(target - np.median(target)) > _tolerance(target)
        right = _right_values(group, points, target)
        return _Told(int(right.sum()), len(rows), int(usual.sum()))
    counts = np.bincount(target)
    return _Told(int(_right_classes(group, points, target).sum()), len(rows), len(rows) - int(counts.max()))


def _grouped(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each row's group of equal values, and the groups' values, ascending; NaN where there is no order.

    Text has none, and neither has a missing number, which is a group of its own behind the others.
    """
    import numpy as np

    if values.dtype == object:
        seen: dict[Any, int] = {}
        group = np.fromiter((seen.setdefault(value, len(seen)) for value in values), np.int64, len(values))
        return group, np.full(len(seen), np.nan)
    points, group = np.unique(np.where(np.isfinite(values), values, np.nan), return_inverse=True)
    return group, points


def _right_classes(
    group: NDArray[np.int64], points: NDArray[np.float64], target: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which rows' class is the most frequent one among the others of their group, or of the nearest group."""
    import numpy as np

    pairs, pair, each = np.unique(
        group * (int(target.max()) + 1) + target, return_inverse=True, return_counts=True
    )
    sizes, own = np.bincount(group), each[pair]
    most = np.zeros(len(sizes), np.int64)
    np.maximum.at(most, pairs // (int(target.max()) + 1), each)
    # Of the others in its group a row's class is the most frequent one if all others together are fewer.
    right: NDArray[np.bool_] = 2 * (own - 1) > sizes[group] - 1
    alone = np.flatnonzero(sizes[group] == 1)
    if len(alone) and not np.isnan(points).all():
        head = np.zeros(len(sizes), np.int64)
        frequent = each == most[pairs // (int(target.max()) + 1)]
        head[(pairs // (int(target.max()) + 1))[frequent]] = (pairs % (int(target.max()) + 1))[frequent]
        near = _nearest(points)[group[alone]]
        right[alone] = (near >= 0) & (head[near] == target[alone])
    return right


def _nearest(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The nearest other group of each, by value; −1 where there is none."""
    import numpy as np

    count = int(np.isfinite(points).sum())
    nearest = np.full(len(points), -1)
    if count < 2:
        return nearest
    gaps = np.diff(points[:count])
    left, right = np.concatenate([[np.inf], gaps]), np.concatenate([gaps, [np.inf]])
    nearest[:count] = np.arange(count) + np.where(left < right, -1, 1)
    return nearest


def _right_values(
    group: NDArray[np.int64], points: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which rows' value is the mean of the others of their group, or on a line through the groups beside."""
    import numpy as np

    sizes, sums = np.bincount(group), np.bincount(group, weights=target)
    own = sizes[group]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        others = (sums[group] - target) / (own - 1)
        right = (own > 1) & (np.abs(others - target) <= _tolerance(target))
        count = int(np.isfinite(points).sum())
        if count > 2:
            lines = _beside(points[:count], (sums / sizes)[:count])
            alone = np.flatnonzero((own == 1) & (group < count))
            off = np.abs(lines[group[alone]] - target[alone])
            right[alone] = (off <= _tolerance(target)) | _is_monotone((sums / sizes)[:count], sizes[:count])
    return right


def _beside(points: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the line through a point on each side says of each; at the ends, through the next two."""
    import numpy as np

    place = np.arange(len(points))
    low = np.where(place == 0, 1, place - 1)
    high = np.where(place == 0, 2, place + 1)
    low[-1], high[-1] = len(points) - 3, len(points) - 2
    slope = (means[high] - means[low]) / (points[high] - points[low])
    return means[low] + slope * (points - points[low])


def _is_monotone(means: NDArray[np.float64], sizes: NDArray[np.int64]) -> bool:
    """Whether the target never turns back as the value rises: noise of any size would have it turn."""
    import numpy as np

    steps = np.diff(means)
    return len(steps) >= 2 * LEAST_WRONG and bool(
        sizes.mean() < 1.1 and ((steps >= 0).all() or (steps <= 0).all()) and np.any(steps)
    )


def _tolerance(target: NDArray[np.float64]) -> float:
    return EXACT * moments(target)[1]
