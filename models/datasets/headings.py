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
    first = {name: without_missing(text[name].head(1))[0] for name in numeric}
    # A cell that says that there is no unit, `-`, says nothing of the others.
    found = {name: cell for name, cell in first.items() if cell is not None and not is_marker(cell)}
    if not found:
        return None
    likely = [_LIKE_A_UNIT.fullmatch(cell) is not None for cell in found.values()]
    brackets = all(cell[0] in "[(" for cell in found.values())
    return next(iter(found)) if all(likely) and (len(numeric) > 1 or brackets) else None
