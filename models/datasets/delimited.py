"""Delimited text → typed columns: looked over, laid out, read without losing a row, then typed."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

import polars as pl

from models.datasets.columns import typed_frame
from models.datasets.dialects import PLAIN
from models.datasets.frames import TypedFrame
from models.datasets.idle_rows import without_idle_rows
from models.datasets.layout import DELIMITERS, Layout, layout
from models.datasets.limits import ReadLimits
from models.datasets.names import check_names, index_of_rows, names_rows
from models.datasets.quoting import read_in_its_dialect
from models.datasets.records import Records, check_size, read_lines
from models.datasets.survey import END_OF_TEXT, Survey, survey
from models.errors import DatasetError

_SAMPLE: Final = 2**20
_LINE_END: Final = re.compile(rb"[\r\n]")


def read(path: Path, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    """The typed columns of a delimited file."""
    records, delimiter = read_text(path, limits, notes)
    names, text = _named(records.names, records.frame, notes)
    check_names(names)
    text.columns = names
    typed = typed_frame(text, notes, delimiter=delimiter, line_of=lambda row: int(records.lines[row]))
    if delimiter != ",":
        notes.append(f"columns are separated by {DELIMITERS[delimiter]}")
    return typed


def read_text(path: Path, limits: ReadLimits, notes: list[str]) -> tuple[Records, str]:
    """Every row of a delimited file as text, and the delimiter; `notes` gets what was left out."""
    looked_over = survey(path, limits)
    # Python's reader would stop at cells of 128 KiB.
    csv.field_size_limit(max(limits.max_line_bytes, csv.field_size_limit()))
    found = _layout(path)
    _check_size(found, looked_over, limits)
    records = _records(path, found, looked_over, limits)
    notes += [*found.notes, *records.notes]
    records = without_idle_rows(records, notes)
    if not len(records.lines):
        raise DatasetError("the file has column names but no rows")
    return records, found.delimiter


def _layout(path: Path) -> Layout:
    """What the first lines of a file tell."""
    with path.open("rb") as file:
        start, whole = b"", False
        # The names may take a long line; half a sample below them is for the rows.
        while not whole and not _LINE_END.search(start, 0, max(0, len(start) - _SAMPLE // 2)):
            more = file.read(_SAMPLE)
            start, whole = start + more, len(more) < _SAMPLE
    text = start.decode("utf-8-sig", errors="ignore")
    return layout(text.rstrip(END_OF_TEXT) if whole else text, whole=whole)


def _check_size(found: Layout, looked_over: Survey, limits: ReadLimits) -> None:
    """Refuse what is too large before it is read, as far as lines are rows."""
    below = looked_over.lines - found.skipped - 1
    if below < 1:
        raise DatasetError("the file has column names but no rows")
    check_size(0 if looked_over.quotes else min(below, limits.max_rows), len(found.names), limits)


def _records(path: Path, found: Layout, looked_over: Survey, limits: ReadLimits) -> Records:
    """Every row as text."""
    records = read_lines(path, found) if looked_over.plain and found.dialect == PLAIN else None
    if records is None:
        records = read_in_its_dialect(path, found, looked_over, limits)
    check_size(len(records.lines), len(records.names), limits)
    return records


def _named(names: list[str], text: pl.DataFrame, notes: list[str]) -> tuple[list[str], pl.DataFrame]:
    """Drop columns without a name that hold nothing, or only the numbers of the rows."""
    dropped = [
        position
        for position, name in enumerate(names)
        if not name and _is_idle(text[:, position], leading=not any(names[:position]))
    ]
    if dropped:
        plural = "s" if len(dropped) > 1 else ""
        notes.append(
            f"{len(dropped)} column{plural} without a name left out: empty, or numbers or names of rows"
        )
    kept = [position for position in range(len(names)) if position not in dropped]
    return [names[position] for position in kept], text[:, kept]


def _is_idle(column: pl.Series, *, leading: bool) -> bool:
    """Whether it is empty or counts the rows; in front of all others, if it numbers or names them."""
    if column.null_count() == len(column):
        return True
    numbers = column.cast(pl.Float64, strict=False)
    whole = numbers.cast(pl.Int64, strict=False)
    if numbers.null_count() == len(column):  # Names, as R writes those of rows.
        return leading and not column.null_count() and column.n_unique() == len(column)
    return bool((whole == numbers).all()) and (index_of_rows(whole) or (leading and names_rows(whole)))
