"""Which rows train, which validate, which test: dealt by random fractions or by a column that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import DataError
from models.suggestions import near_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.datasets import Table
    from models.spec import SplitSpec

SPLITS = ("train", "validation", "test")
USUAL_SHARE = 0.2
"""Of the rows, for validation and for the test each, where nobody says otherwise."""


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
    """How many rows each split gets of so many; None where a column of the data tells.

    Fractions are of the rows that there are, rounded, and at least one row each: too few rows leave none,
    or less than none, to train on.
    """
    if split.column is not None:
        return None
    return _sizes(split.validation, split.test, rows)


def _sizes(validation: float | None, test: float | None, rows: int) -> dict[str, int]:
    held_out = {"validation": _share(validation, rows), "test": _share(test, rows)}
    return {"train": rows - sum(held_out.values()), **held_out}


def filled_shares(split: SplitSpec, rows: int, least: int) -> tuple[float, float]:
    """Validation and test as they were asked for; what was left out is a fifth, or as much as fits.

    Beside a large share the other one takes half of what is left, at most; and none where rows are so few
    that fewer than `least` would be left to train on, the test first.
    """
    validation, test = split.validation, split.test
    if validation is None:
        validation = _beside(test)
    if test is None:
        test = _beside(split.validation)
        if _sizes(validation, test, rows)["train"] < least:
            test = 0.0
    if split.validation is None and _sizes(validation, test, rows)["train"] < least:
        validation = 0.0
    return validation, test


def _beside(other: float | None) -> float:
    share = min(USUAL_SHARE, float(f"{(1 - (other or 0)) / 2:.3g}"))
    return share if share + (other or 0) < 1 else 0.0


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

    The i-th of a class's n rows goes to (i + ½)/n of the way. A class of one row goes to the end and one of
    two rows at a quarter and three, so rare classes are trained on before they are tested on.
    """
    import numpy as np

    shuffled = classes[order]
    grouped = np.argsort(shuffled, kind="stable")
    counts = np.bincount(shuffled)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.empty(len(order))
    place[grouped] = (np.arange(len(order)) - starts + 0.5) / np.repeat(counts, counts)
    place[counts[shuffled] == 1] = 1.0
    return order[np.argsort(place, kind="stable")]


def _by_column(name: str, table: Table) -> Split:
    import numpy as np

    values = table.columns.get(name)
    if values is None:
        near = near_name(name, table.columns, likeness=0.0)
        raise DataError(f"split.column: there is no column {name!r}; did you mean {near!r}?")
    said = values.tolist()
    strange = next((value for value in said if value not in SPLITS), None) if None not in said else "nothing"
    if strange is not None:
        raise DataError(f"split.column: {name!r} says {strange!r} in some row, not train, validation or test")
    return Split(*(np.flatnonzero(values == split) for split in SPLITS))


def _sorted(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    return np.sort(rows)
