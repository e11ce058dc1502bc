"""In which dialect a file is read: the plain one, unless another was surely meant, and none by guessing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from models.datasets.dialects import DIALECTS, PLAIN, SINGLE, Dialect
from models.datasets.layout import Layout
from models.datasets.limits import ReadLimits
from models.datasets.records import Records, read_quoted
from models.datasets.survey import Survey
from models.errors import DatasetError

_SPACE_AND_QUOTE: Final = r'^ +"'


def read_in_its_dialect(path: Path, found: Layout, looked_over: Survey, limits: ReadLimits) -> Records:
    """Read a file in the only dialect that makes a table of it.

    `DatasetError` where none does: that of RFC 4180 says why; or where two do, and not the same.
    """

    def attempt(dialect: Dialect) -> Records | DatasetError:
        try:
            return read_quoted(path, found, looked_over, dialect, limits)
        except DatasetError as error:
            return error

    plain = attempt(PLAIN)
    read = {PLAIN: plain}
    spaced = looked_over.spaced_quotes and (
        isinstance(plain, DatasetError) or _has_spaced_quotes(plain.frame)
    )
    for dialect in DIALECTS[1:]:
        if dialect.escaped <= looked_over.escapes and dialect.spaced <= spaced:
            read[dialect] = attempt(dialect)
    if found.dialect == SINGLE and not looked_over.quotes:
        read[SINGLE] = attempt(SINGLE)
    tables = {dialect: one for dialect, one in read.items() if isinstance(one, Records)}
    if isinstance(plain, DatasetError) and not tables:
        raise plain
    return _only(tables)


def _has_spaced_quotes(frame: pl.DataFrame) -> bool:
    spaced = (column.filter(column.str.starts_with(" ")) for column in frame)
    return any(column.str.contains(_SPACE_AND_QUOTE).any() for column in spaced)


def _only(tables: dict[Dialect, Records]) -> Records:
    """The table that all dialects agree on, or the one that leaves out what stands around its cells."""
    dialect, chosen = next(iter(tables.items()))
    for other, table in tables.items():
        row = _first_difference(chosen, table)
        if row is None:
            continue
        adorned = other.spaced or other == SINGLE
        if adorned and other.escaped == dialect.escaped and chosen.lines.equals(table.lines):
            dialect, chosen = other, table
            continue
        lines = chosen.lines if row < len(chosen.lines) else table.lines
        what = "a quote after a space" if other.spaced else "a single quote"
        if other.escaped != dialect.escaped:
            what = "a backslash before a quote"
        raise DatasetError(
            f"line {lines[row]} can be read in two ways: {what} may be a character, or not",
            suggestion='write a quote inside a quoted cell twice, as in "24"" monitor"',
        )
    if dialect.note:
        chosen.notes.insert(0, dialect.note)
    return chosen


def _first_difference(one: Records, other: Records) -> int | None:
    """The first row in which two tables differ, spaces at the beginning of cells aside."""
    rows = min(len(one.lines), len(other.lines))
    if one.names != other.names:
        return 0
    differs = one.lines.head(rows) != other.lines.head(rows)
    for left, right in zip(one.frame.head(rows), other.frame.head(rows), strict=True):
        differs |= _unspaced(left).ne_missing(_unspaced(right))
    if differs.any():
        return int(differs.arg_max() or 0)
    return rows if len(one.lines) != len(other.lines) else None


def _unspaced(column: pl.Series) -> pl.Series:
    stripped = column.str.strip_chars_start(" ")
    return stripped.set(stripped == "", None)
