"""How delimited text is laid out: what stands above its names, what separates its cells. No polars."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from models.datasets import headers
from models.datasets.delimiters import DELIMITERS, Cut, best_cut, cut, is_number_like, refuse_other_separators
from models.datasets.dialects import PLAIN, Dialect
from models.datasets.first_line import notes_on_names, refuse_numbers, refuse_quoted_lines, refuse_titles
from models.datasets.foreign import refuse_foreign_text
from models.datasets.preamble import Preamble, preamble
from models.errors import DatasetError

__all__ = ["DELIMITERS", "Layout", "layout"]

_JUDGED: Final = 1000
"""Rows that a first line is held against."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the first lines tell."""

    delimiter: str
    names: list[str]
    skipped: int = 0
    """Lines that stand above the names: empty ones, comments, `sep=;`."""
    dialect: Dialect = PLAIN
    """The one that reads the first lines best."""
    notes: tuple[str, ...] = ()


def layout(text: str, *, whole: bool = True, known: Collection[str] = ()) -> Layout:
    """Find what stands above the table, the delimiter that cuts it most evenly, and the names of its columns.

    `whole` says that the last line of `text` is not torn; `known` are names that are names although they may
    be numbers. `DatasetError` where no line names the columns, or the text is no table.
    """
    if not text.strip("\ufeff \t\r\n\f\v"):
        raise DatasetError(
            "the file is empty", suggestion="send a first line of column names, then a row a line"
        )
    lines = list(io.StringIO(text, newline=""))
    above = preamble(lines)
    if not known:
        refuse_foreign_text(lines)
        refuse_foreign_text(lines[above.lines :])
    found, notes = _table(lines, above, whole=whole)
    if not found.rows:
        most = csv.field_size_limit()
        raise DatasetError(f"the first line cannot be read: a cell has more than {most:,} characters")
    names = clean_names(found.rows[0])
    if not known:
        if found.width < 2:
            refuse_quoted_lines(found)
            refuse_other_separators(lines[above.lines :])
        refuse_titles(found, above.lines)
        sample = cut(lines[above.lines :], found.delimiter, whole=whole, most=_JUDGED)
        notes += notes_on_names(names, sample, above.lines + 1)
    elif not set(names) <= {*known, ""}:
        refuse_numbers(names)
    return Layout(found.delimiter, names, above.lines, found.dialect, tuple(notes))


def clean_names(row: Sequence[str]) -> list[str]:
    """The names that a row of names holds, without what stands around them."""
    return [name.strip().lstrip("\ufeff").strip() for name in row]


def _table(lines: list[str], above: Preamble, *, whole: bool) -> tuple[Cut, list[str]]:
    """Cut what stands below the preamble; a comment that turns out to hold the names is given back to it."""
    found, notes = _cut_below(lines, above, whole=whole), []
    comments = len(above.comments)
    if above.comments and _holds_names(lines[above.comments[-1]], found):
        above.lines = above.comments[-1]
        comments -= 1
        found = _cut_below(lines, above, whole=whole)
        notes.append(
            f"line {above.lines + 1} begins as a comment does, and is read as the names of the columns"
        )
    if comments:
        notes.append(f"{comments} comment line{'s' if comments > 1 else ''} above the names left out")
    if above.delimiter:
        notes.append("the line sep= above the names, which tells programs the delimiter, left out")
    return found, notes


def _cut_below(lines: list[str], above: Preamble, *, whole: bool) -> Cut:
    below = lines[above.lines :]
    if above.delimiter in DELIMITERS:
        found = cut(below, above.delimiter, whole=whole)
        if found.share:
            return found
    return best_cut(below, whole=whole)


def _holds_names(comment: str, found: Cut) -> bool:
    """Whether a comment right above a table holds its names: as many, where the first line below is a row."""
    cells = next(iter(cut([comment], found.delimiter).rows), [])
    if (
        not found.rows
        or len(cells) != found.width
        or found.width < 2
        or not all(cell.strip() for cell in cells)
    ):
        return False
    first = [cell.strip() for cell in found.rows[0]]
    judged = headers.judge(first, found.rows[1:])
    if judged.verdict == "row" or all(is_number_like(cell) for cell in first if cell):
        return True
    # Words below words tell nothing: then a name follows its mark closely, and a remark does not.
    return not judged.headed and comment.lstrip()[1:2].isalnum()
