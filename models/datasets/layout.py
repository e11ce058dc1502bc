"""How delimited text is laid out: what separates its cells, and what its columns are called. No polars."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from models.errors import DatasetError

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_SAMPLED_LINES = 100


@dataclass(frozen=True, slots=True)
class Layout:
    """What the first lines tell."""

    delimiter: str
    names: list[str]


def layout(text: str, *, whole: bool = True, known: Collection[str] = ()) -> Layout:
    """Find the delimiter that cuts the first lines most evenly, and the names of the columns.

    `whole` says that the last line of `text` is not torn; `known` are names that are names although they may
    be numbers. `DatasetError` where no line names the columns.
    """
    if not text.strip():
        raise DatasetError(
            "the file is empty", suggestion="send a first line of column names, then a row a line"
        )
    if "\r" in text and "\n" not in text:
        raise DatasetError(
            "lines end with a bare carriage return", suggestion="save it with ordinary line ends"
        )
    cuts = {delimiter: _cut(text, delimiter, whole=whole) for delimiter in DELIMITERS}
    delimiter = max(cuts, key=lambda one: _evenness(cuts[one]))
    if not cuts[delimiter]:
        most = csv.field_size_limit()
        raise DatasetError(f"the first line cannot be read: a cell has more than {most:,} characters")
    names = [name.strip() for name in cuts[delimiter][0]]
    if not known or not set(names) <= {*known, ""}:
        _names_not_values(names)
    return Layout(delimiter, names)


def _cut(text: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    """The first lines' cells; a sample's last line may be torn and does not count."""
    filled = (row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row)
    rows: list[list[str]] = []
    # What stands before a line that cannot be read is told all the same; whoever reads on says what is wrong.
    with suppress(csv.Error):
        rows.extend(islice(filled, _SAMPLED_LINES + 1))
    return rows if whole or len(rows) < 2 else rows[:-1]


def _evenness(rows: list[list[str]]) -> tuple[float, int]:
    if not rows:
        return 0.0, 0
    width = len(rows[0])
    even = sum(len(row) == width for row in rows) / len(rows)
    return (round(even, 1) if width > 1 else 0.0, width)


def _names_not_values(names: list[str]) -> None:
    """A first line of numbers is a row, unless it counts the columns as programs do for want of names."""
    if not all(_is_number(name) for name in names):
        return
    if names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))]):
        return
    raise DatasetError(
        "the first line holds numbers only, so the columns have no names",
        suggestion="add a first line such as "
        + ",".join([f"x{i}" for i in range(1, min(len(names), 4))] + ["y"]),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
