"""Lines that have as many cells as the table and are none of its rows: left out, counted and said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from models.datasets.delimiters import is_number_like
from models.datasets.records import Records

_AROUND: Final = " \t\r\n\f\v\x85\xa0\u2028\u2029\ufeff"
_RULE: Final = re.compile(r":?[-=]{2,}:?")


def without_idle_rows(records: Records, notes: list[str]) -> Records:
    """Rows without a single value, or with the names once more, or of dashes under the names, left out."""
    nothing = _rows_of(records, [""] * len(records.names))
    records = _without(records, nothing, "without a single value", notes)
    if not all(is_number_like(name) for name in records.names if name):
        again = _rows_of(records, records.names)
        records = _without(records, again, "that repeats the names of the columns", notes)
    if len(records.lines) and _is_rule(records.frame.row(0)):
        records = _without(records, pl.Series([0], dtype=pl.UInt32), "of dashes under the names", notes)
    return records


def _rows_of(records: Records, cells: Sequence[str]) -> pl.Series:
    """The positions of rows that hold just these cells, spaces around them aside."""
    rows = pl.int_range(0, len(records.lines), dtype=pl.UInt32, eager=True)
    for column, cell in zip(records.frame, cells, strict=True):
        # Few rows pass the first column, so the others are hardly looked at.
        if rows.is_empty():
            break
        rows = rows.filter(column.gather(rows).str.strip_chars(_AROUND).fill_null("") == cell)
    return rows


def _without(records: Records, rows: pl.Series, what: str, notes: list[str]) -> Records:
    if rows.is_empty():
        return records
    count, first = len(rows), records.lines[int(rows[0])]
    if count == 1:
        notes.append(f"line {first}, {what}, left out")
    else:
        notes.append(
            f"{count:,} lines {what.replace('repeats', 'repeat')} left out, the first in line {first}"
        )
    left = pl.repeat(True, len(records.lines), eager=True, dtype=pl.Boolean).scatter(rows, False)
    return Records(records.names, records.frame.filter(left), records.lines.filter(left), records.notes)


def _is_rule(row: Sequence[str | None]) -> bool:
    cells = [cell.strip() for cell in row if cell and cell.strip()]
    return bool(cells) and all(_RULE.fullmatch(cell) for cell in cells)
