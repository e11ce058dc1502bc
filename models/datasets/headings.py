"""Rows of a table that are no rows: the names of the columns once more, and units under them."""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from models.datasets.cells import is_marker
from models.datasets.distinct import stripped_text, without_missing
from models.datasets.findings import counted
from models.datasets.frames import LineOf
from models.datasets.number_columns import plain_numbers
from models.errors import DatasetError

_LIKE_A_UNIT: Final = re.compile(r"[\[(<].*[\])>]|[^0-9]{0,3}[A-Za-zµμ°Ω%‰€$£/²³·^*.\- ]{1,12}[0-9²³]?")


def without_repeated_names(
    text: pl.DataFrame, line_of: LineOf, notes: list[str]
) -> tuple[pl.DataFrame, LineOf]:
    """Leave out rows that repeat the names of all columns, as files do that were put together of several."""
    names = pl.Series(text.columns)
    first = text.columns[0]
    # Columns may be called 0, 1, 2, and a row may hold just these.
    if not (text[first] == first).any() or plain_numbers(names) is not None:
        return text, line_of
    stripped = text.select(stripped_text(column) for column in text)
    repeated = stripped.select(pl.all_horizontal(pl.col(name) == name for name in text.columns)).to_series()
    repeated = repeated.fill_null(False)
    if not repeated.any():
        return text, line_of
    if repeated.all():
        raise DatasetError("the file has column names but no rows")
    line = line_of(int(repeated.arg_max() or 0))
    rows = counted(int(repeated.sum()), "row")
    notes.append(f"{rows} left out that only repeat the names of the columns, the first in line {line}")
    kept = (~repeated).arg_true()
    return text.filter(~repeated), lambda row: line_of(int(kept[row]))


def units(text: pl.DataFrame, numeric: list[str]) -> str | None:
    """The first column with a unit in the first row, where that row holds units; None where it is a row.

    `numeric` are columns whose other cells are numbers.
    """
    first = {name: without_missing(text[name].head(1))[0] for name in numeric}
    found = {name: cell for name, cell in first.items() if cell is not None}
    if not found or any(is_marker(cell) for cell in found.values()):
        return None
    likely = [_LIKE_A_UNIT.fullmatch(cell) is not None for cell in found.values()]
    brackets = all(cell[0] in "[(" for cell in found.values())
    return next(iter(found)) if all(likely) and (len(numeric) > 1 or brackets) else None
