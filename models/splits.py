"""Which rows train, which validate, which test: dealt by random fractions or by a column that says so."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.datasets import Table
    from models.spec import SplitSpec

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers, ascending; every row of the table is in exactly one of the three."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_rows(split: SplitSpec, table: Table) -> Split:
    """Deal the rows; raises `DataError` where nothing, or only one class, is left to train on."""
    dealt = _by_fractions(split, table) if split.column is None else _by_column(split.column, table)
    if not len(dealt.train):
        raise DataError("no rows are left to train on; lower split.validation and split.test")
    if table.description.classes is not None and len(set(table.target[dealt.train].tolist())) < 2:
        raise DataError("the training rows hold a single class; set split.stratify, or use more rows")
    return dealt


def sizes(split: SplitSpec, rows: int) -> dict[str, int] | None:
    """How many rows each split gets of so many; None where a column of the data tells."""
    if split.column is not None:
        return None
    validation, test = _share(split.validation, rows), _share(split.test, rows)
    return {"train": rows - validation - test, "validation": validation, "test": test}


def _by_fractions(split: SplitSpec, table: Table) -> Split:
    validation, test = _share(split.validation, table.rows), _share(split.test, table.rows)
    order = _shuffled(split.seed or 0, table.rows)
    if split.stratify and table.description.classes is not None:
        order = _interleaved(order, table.target)
    ends = (validation, validation + test)
    return Split(_sorted(order[ends[1] :]), _sorted(order[: ends[0]]), _sorted(order[ends[0] : ends[1]]))


def _share(fraction: float | None, rows: int) -> int:
    """A fraction that was asked for is at least one row."""
    return max(1, round(fraction * rows)) if fraction else 0


def _shuffled(seed: int, rows: int) -> NDArray[np.int64]:
    import numpy as np

    # The bit generator is named because `default_rng` may change it, and the seed would mean other rows.
    return np.random.Generator(np.random.PCG64(seed)).permutation(rows)


def _interleaved(order: NDArray[np.int64], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Reorder a shuffle so that every stretch of it has the classes in the whole's proportions.

    The i-th of a class's n rows goes to (i + ½)/n of the way. A class of one row lands in the middle and one
    of two rows at a quarter and three, so rare classes are trained on before they are tested on.
    """
    import numpy as np

    shuffled = classes[order]
    grouped = np.argsort(shuffled, kind="stable")
    counts = np.bincount(shuffled)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.empty(len(order))
    place[grouped] = (np.arange(len(order)) - starts + 0.5) / np.repeat(counts, counts)
    return order[np.argsort(place, kind="stable")]


def _by_column(name: str, table: Table) -> Split:
    import numpy as np

    values = table.columns.get(name)
    if values is None:
        near = difflib.get_close_matches(name, table.columns, 1, 0.0)
        raise DataError(f"split.column: there is no column {name!r}; did you mean {near[0]!r}?")
    said = values.tolist()
    strange = next((value for value in said if value not in SPLITS), None) if None not in said else "nothing"
    if strange is not None:
        raise DataError(f"split.column: {name!r} says {strange!r} in some row, not train, validation or test")
    return Split(*(np.flatnonzero(values == split) for split in SPLITS))


def _sorted(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    return np.sort(rows)
