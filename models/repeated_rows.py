"""Rows that occur in two splits: what is measured on them was learned by heart.

Coarse data repeat themselves by chance: of rows that are a few categories some are alike whoever drew them.
How many pairs to expect tell those that are alike in all columns but one: where a share p of all pairs agree
in that column, p/(1 − p) times as many agree in it as well. What is told lies clearly above that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import Notice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.datasets import Table
    from models.splits import Split

MOST_CELLS = 20_000_000
"""Of larger tables only the first columns are looked at first: 0.1 s."""
MOST_COLUMNS = 6
"""So many columns are left out in turn, to see what chance does."""
SHOWN = 3

_TRAIN, _VALIDATION, _TEST = range(3)
_NAMES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows that are alike share a group."""

    of_row: NDArray[np.int64]
    """(rows,): each row's group."""
    counts: NDArray[np.float64]
    """(groups, 3): rows of the training, validation and test splits."""

    @property
    def pairs(self) -> float:
        """Pairs of rows that are alike and lie in two splits."""
        train, validation, test = self.counts.T
        return float((train * validation + train * test + validation * test).sum())


def repeated_rows(table: Table, split: Split, *, exclude: str | None = None) -> Notice | None:
    """A notice where rows, alike in every column and the target, lie in two splits more than chance would."""
    import numpy as np

    where = np.full(table.rows, _TRAIN)
    where[split.validation], where[split.test] = _VALIDATION, _TEST
    names = _compared(table, exclude)
    if len(split.train) == table.rows or len(names) < 2:
        return None
    first = names[: max(2, MOST_CELLS // max(table.rows, 1))]
    found = _grouped(table.frame.select(first).hash_rows(seed=0).to_numpy(), where)
    if not found.pairs:
        return None
    hashes = {name: table.frame[name].hash(seed=place) for place, name in enumerate(names)}
    whole = np.zeros(table.rows, np.uint64)
    for each in hashes.values():
        whole += each.to_numpy()  # which may wrap around
    found = _grouped(whole, where)
    expected = max(_expected(whole, hashes[name].to_numpy(), found.pairs, where) for name in _spread(names))
    if found.pairs <= 1.2 * expected + 3 * math.sqrt(expected):
        return None
    return Notice("/dataset", _detail(found, where), kind="data_problem")


def _compared(table: Table, exclude: str | None) -> list[str]:
    """The target and every column but the one that tells the splits and those that only name the rows."""
    columns = [each for each in table.description.columns if each.name != exclude and not each.constant]
    named = [each.name for each in columns if not _names_rows(table, each.name, each.kind, each.cardinality)]
    return [table.description.target.name, *named]


def _names_rows(table: Table, name: str, kind: str, cardinality: int) -> bool:
    """A number or word of its own in every row, as keys have it: nothing else would ever be alike."""
    if cardinality < table.rows:
        return False
    return kind == "categorical" or (kind == "numeric" and table.frame[name].dtype.is_integer())


def _grouped(hashes: NDArray[Any], where: NDArray[np.int64]) -> _Groups:
    import numpy as np

    _, group = np.unique(hashes, return_inverse=True)
    cells = np.bincount(3 * group + where, minlength=3 * (int(group.max()) + 1))
    return _Groups(group, cells.reshape(-1, 3).astype(np.float64))


def _expected(whole: NDArray[Any], own: NDArray[Any], pairs: float, where: NDArray[np.int64]) -> float:
    """How many pairs would be alike by chance, from those that are alike but for one column."""
    import numpy as np

    _, counts = np.unique(own, return_counts=True)
    agreeing = float(np.square(counts / len(own)).sum())
    nearly = _grouped(whole - own, where).pairs - pairs
    return nearly * agreeing / (1 - agreeing) if nearly > 0 and agreeing < 1 else 0.0


def _spread(names: Sequence[str]) -> Sequence[str]:
    stride = -(-len(names) // MOST_COLUMNS)
    return names[::stride]


def _detail(found: _Groups, where: NDArray[np.int64]) -> str:
    import numpy as np

    taught = found.counts[:, _TRAIN] > 0
    seen = (where != _TRAIN) & taught[found.of_row]
    if seen.any():
        rows, of, among = np.flatnonzero(seen), int((where != _TRAIN).sum()), _TRAIN
        what = f"{len(rows):,} of the {of:,} rows outside training occur in training as well"
    else:
        rows = np.flatnonzero((where == _TEST) & (found.counts[:, _VALIDATION] > 0)[found.of_row])
        of, among = int((where == _TEST).sum()), _VALIDATION
        what = f"{len(rows):,} of the {of:,} test rows occur in validation as well"
    examples = []
    for row in rows[:SHOWN].tolist():
        like = int(np.flatnonzero((found.of_row == found.of_row[row]) & (where == among))[0])
        examples.append(f"row {row} ({_NAMES[where[row]]}) is row {like} ({_NAMES[among]})")
    return (
        f"{what}, alike in every column and the target: {', '.join(examples)}, counted from 0; "
        "scores on them flatter, so drop repeated rows or give both to one split"
    )
