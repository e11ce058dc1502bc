"""How delimited text is laid out: what separates its cells, and what its columns are called. No polars."""

from __future__ import annotations

import csv
import io
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


def layout(text: str, *, whole: bool = True) -> Layout:
    """Find the delimiter that cuts the first lines most evenly, and the names of the columns.

    `whole` says that the last line of `text` is not torn. `DatasetError` where no line names the columns.
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
    names = [name.strip() for name in cuts[delimiter][0]]
    _names_not_values(names)
    return Layout(delimiter, names)


def _cut(text: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    """The first lines' cells; a sample's last line may be torn and does not count."""
    try:
        rows = [
            row
            for row in islice(csv.reader(io.StringIO(text), delimiter=delimiter), _SAMPLED_LINES + 1)
            if row
        ]
    except csv.Error:
        return [[text.split("\n", 1)[0]]]
    return rows if whole or len(rows) < 2 else rows[:-1]


def _evenness(rows: list[list[str]]) -> tuple[float, int]:
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
