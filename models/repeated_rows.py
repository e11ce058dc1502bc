"""Rows that occur in two splits: what is measured on them was learned by heart.

Coarse data repeat themselves by chance: of rows that are a few categories some are alike whoever drew them.
How many pairs to expect tell those that are nearly alike. Where a pairs differ in column A alone, b in column
B alone and c in these two alone, a·b/c are alike in all, if A and B are independent given all other columns:
they may depend on each other as much as they like by way of those. Copies have no such neighbours. Columns
that follow from the others (units, one-hot codes) would hide the neighbours, and are left out first.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
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
"""So many columns are left out, two at a time, to see what chance does."""
FACTOR, ERRORS = 2.5, 3.0
"""What is told exceeds the expectation by this factor and so many of its standard errors: drawn rows of two
to twelve strongly correlated columns reach 1.7 times it; with a tenth of copies, iris has 4 times."""
MOST_ROWS = 50_000
"""On so many rows columns that follow from others are sought."""
LEAST_GROUPS = 0.1
"""Distinct rows for each row: with fewer, a single column that tells all others is a code, drawn again."""
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
    whole = _hashed(table, names)
    found = _grouped(whole, where)
    if not found.pairs or not _exceeds_chance(table, names, whole, found, where):
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


def _hashed(table: Table, names: Sequence[str]) -> NDArray[np.uint64]:
    """(rows,): a sum of one hash a column, from which columns can be taken away again. It may wrap around."""
    import numpy as np

    whole = np.zeros(table.rows, np.uint64)
    for name in names:
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big")
        whole += table.frame[name].hash(seed=seed).to_numpy()
    return whole


def _exceeds_chance(
    table: Table, names: Sequence[str], whole: NDArray[Any], found: _Groups, where: NDArray[np.int64]
) -> bool:
    """Whether more pairs are alike than those that are nearly alike let expect."""
    telling = _sufficient(table, names, whole)
    apart = _hashed(table, telling)
    pairs = _grouped(apart, where).pairs
    if pairs > found.pairs:  # the rows that were looked at did not show what these columns leave out
        telling, apart, pairs = list(names), whole, found.pairs
    if len(telling) == 1:
        return len(found.counts) >= LEAST_GROUPS * table.rows
    chosen = _spread(telling)
    hashes = {name: _hashed(table, [name]) for name in chosen}
    near = {name: _grouped(apart - each, where).pairs - pairs for name, each in hashes.items()}
    expected = 0.0
    for one, other in combinations(chosen, 2):
        both = _grouped(apart - hashes[one] - hashes[other], where).pairs - pairs - near[one] - near[other]
        expected = max(expected, near[one] * near[other] / max(both, 1.0))
    if len(telling) == 2 and min(near.values()) >= found.pairs / 4:
        return False  # no third column shows how much these two depend on each other
    return found.pairs > FACTOR * expected + ERRORS * math.sqrt(expected)


def _sufficient(table: Table, names: Sequence[str], whole: NDArray[Any]) -> list[str]:
    """Columns that keep apart all rows that differ, and without any of which they would not."""
    import numpy as np

    stream = np.random.Generator(np.random.PCG64(0))
    rows = stream.permutation(table.rows)[:MOST_ROWS]
    remaining, size = list(names), max(1, len(names) // 2)
    apart = whole[rows]
    distinct = len(np.unique(apart))
    while True:
        start = 0
        while start < len(remaining):
            block = remaining[start : start + size]
            fewer = apart - _hashed(table, block)[rows]
            if len(block) < len(remaining) and len(np.unique(fewer)) == distinct:
                apart = fewer
                del remaining[start : start + size]
            else:
                start += size
        if size == 1:
            return remaining
        size //= 2


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
