"""Units under the names of the columns: a first row that is none."""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from models.datasets.cells import is_marker
from models.datasets.distinct import without_missing

_LIKE_A_UNIT: Final = re.compile(r"[\[(<].*[\])>]|[^0-9]{0,3}[A-Za-zµμ°Ω%‰€$£/²³·^*.\- ]{1,12}[0-9²³]?")


def units(text: pl.DataFrame, numeric: list[str]) -> str | None:
    """The first column with a unit in the first row, where that row holds units; None where it is a row.

    `numeric` are columns whose other cells are numbers.
    """
    first = {name: cell for name in numeric if (cell := without_missing(text[name].head(1))[0]) is not None}
    found = {name: cell for name, cell in first.items() if not is_marker(cell)}
    if not found or not all(_LIKE_A_UNIT.fullmatch(cell) for cell in found.values()):
        return None
    # A `-` in place of a unit says nothing of the others; beside a single one it may be a value as elsewhere.
    brackets = all(cell[0] in "[(" for cell in found.values())
    if len(found) == 1 and not brackets:
        recurs = any((text[name].slice(1).str.strip_chars() == first[name]).any() for name in first)
        if len(numeric) == 1 or recurs:
            return None
    return next(iter(found))
