"""Rows that come with a request, as the columns of a dataset that is known: read as its file was.

Cells may be JSON values or text; text means what it means in a file. Every column that a network was trained
on must be named in every row, as `null` where there is no value: a name left out is more often forgotten than
missing. What else was in the file (the target, the column that told the splits) may come along and is not
looked at; a name that was not in it is refused. No polars: a web server reads these.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from models.complaints import MOST, pointer, printable, said, shown
from models.datasets import cells
from models.datasets.description import Description
from models.datasets.known_columns import KnownColumn
from models.datasets.layout import Layout, layout
from models.datasets.levels import Levels
from models.errors import Complaint, DatasetError, Notice, RowsError
from models.suggestions import Effort, near_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW: Final = 5
_HINTS: Final = 3
"""Notices of one request that say what may have been meant: to find it costs far more than to read a row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were read: their columns by name, (n,) each."""

    columns: dict[str, NDArray[Any]]
    """float64 with NaN for missing, or objects: text, `""` for missing."""
    count: int
    notices: list[Notice]
    """What the asker should know: levels that training did not know."""


class Reader:
    """Reads rows for one network."""

    def __init__(
        self,
        description: Description,
        names: Sequence[str],
        levels: Mapping[str, Sequence[str]],
        *,
        most_rows: int,
        most_cells: int,
    ) -> None:
        """`names` are the columns that the network was trained on, `levels` what training knew of them.

        Cells are those of the rows or, where classes outnumber columns, those of the answer.
        """
        wanted, unknown = set(names), Levels(())
        self._columns = {
            column.name: KnownColumn(
                column,
                Levels(levels[column.name]) if column.name in levels else unknown,
                month_first=cells.month_first_note(column.name) in description.notes,
            )
            for column in description.columns
            if column.name in wanted
        }
        known = {column.name for column in (*description.columns, description.target)}
        self._idle = (known | set(description.left_out)) - wanted
        widest = max(len(names), len(description.classes or ()), 1)
        self._most_rows = max(1, min(most_rows, most_cells // widest))
        self._limit = "rows" if self._most_rows == most_rows else "cells"

    def objects(self, rows: Any) -> Rows:
        """Of JSON: a list of objects, column → value. `RowsError` says of each cell what is wrong."""
        if not isinstance(rows, list):
            raise RowsError(
                [Complaint("/rows", f"rows must be a list of objects, not {said(rows)}", shown(rows))]
            )
        self._affordable(len(rows))
        complaints: list[Complaint] = []
        effort = Effort()
        for number, row in enumerate(rows):
            complaints += self._row(number, row, effort)
            if len(complaints) > MOST:
                break
        if complaints:
            raise RowsError(_few(complaints))
        given = {name: [row[name] for row in rows] for name in self._columns}
        return self._read(given, len(rows), decimal_comma=False)

    def delimited(self, content: bytes) -> Rows:
        """Of delimited text with a header line; a column without a name is passed over: row numbers."""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RowsError([Complaint("", "the body is not UTF-8 text")]) from None
        try:
            found = layout(text, known=self._columns.keys() | self._idle)
        except DatasetError as error:
            detail = str(error).replace("the file", "the body")
            raise RowsError([Complaint("", detail, suggestion=error.suggestion)]) from None
        if complaints := self._header(found.names):
            raise RowsError(_few(complaints))
        lines = self._lines(text, found)
        columns = dict(zip(found.names, zip(*lines, strict=True), strict=True)) if lines else {}
        given = {name: columns.get(name, ()) for name in self._columns}
        return self._read(given, len(lines), decimal_comma=found.delimiter != ",")

    # ── names ───────────────────────────────────────────────────────────────────────────────────────────────

    def _row(self, number: int, row: Any, effort: Effort) -> list[Complaint]:
        if not isinstance(row, dict):
            detail = f"a row must be an object of columns, not {said(row)}"
            return [Complaint(pointer(["rows", number]), detail, shown(row))]
        if row.keys() == self._columns.keys():
            return []
        unknown = [name for name in row if name not in self._columns and name not in self._idle]
        return [self._unknown(number, name, effort) for name in unknown[:MOST]] + self._absent(number, row)

    def _header(self, names: list[str]) -> list[Complaint]:
        counted = Counter(name for name in names if name)
        twice = [name for name, times in counted.items() if times > 1][:MOST]
        unknown = [name for name in counted if name not in self._columns and name not in self._idle][
            : MOST + 1
        ]
        effort = Effort()
        return [
            *(
                Complaint(pointer(["rows", 0, name]), f"two columns are called {printable(name)!r}")
                for name in twice
            ),
            *(self._unknown(0, name, effort) for name in unknown),
            *self._absent(0, counted),
        ]

    def _unknown(self, number: int, name: str, effort: Effort) -> Complaint:
        near = near_name(name, self._columns, effort=effort)
        detail = f"the data have no column {printable(name)!r}"
        return Complaint(pointer(["rows", number, name]), detail, shown(name), near)

    def _absent(self, number: int, row: Mapping[str, Any]) -> list[Complaint]:
        absent = [name for name in self._columns if name not in row]
        if not absent:
            return []
        shown_names = ", ".join(repr(printable(name)) for name in absent[:_FEW])
        more = f" and {len(absent) - _FEW} more" if len(absent) > _FEW else ""
        detail = (
            f"the row does not name {shown_names}{more}; a value that is missing is null, or an empty cell"
        )
        return [Complaint(pointer(["rows", number]), detail)]

    # ── cells ───────────────────────────────────────────────────────────────────────────────────────────────

    def _lines(self, text: str, found: Layout) -> list[list[str]]:
        lines: list[list[str]] = []
        source, width = io.StringIO(text, newline=""), len(found.names)
        for _ in range(found.skipped):
            next(source)
        reader = found.dialect.reader(source, found.delimiter)
        try:
            next(line for line in reader if line)
            for line in _filled(reader, width):
                if len(line) != width:
                    line_number = found.skipped + reader.line_num
                    detail = f"line {line_number} has {len(line)} cells where there are {width} columns"
                    raise RowsError([Complaint(pointer(["rows", len(lines)]), detail)])
                lines.append(line)
                self._affordable(len(lines))
        except csv.Error as error:
            detail = f"line {found.skipped + reader.line_num} cannot be read: {error}"
            raise RowsError([Complaint(pointer(["rows", len(lines)]), detail)]) from None
        return lines

    def _affordable(self, rows: int) -> None:
        if rows > self._most_rows:
            which = f"of {self._limit}, RIDGELINE_MAX_PREDICT_{self._limit.upper()}"
            detail = (
                f"at most {self._most_rows:,} rows of this network are taken at once, by the limit {which}"
            )
            raise RowsError([Complaint("/rows", detail, suggestion="send them in several requests")])

    def _read(self, given: Mapping[str, Sequence[Any]], count: int, *, decimal_comma: bool) -> Rows:
        complaints: list[Complaint] = []
        columns = {}
        for name, values in given.items():
            read = self._columns[name].read(values, decimal_comma=decimal_comma, most=MOST + 1)
            columns[name] = read.values
            complaints += read.complaints
            if len(complaints) > MOST:
                break
        if complaints:
            raise RowsError(_few(sorted(complaints, key=_row_of)))
        return Rows(columns, count, list(islice(self._unknown_levels(columns), MOST)))

    def _unknown_levels(self, columns: Mapping[str, NDArray[Any]]) -> Iterator[Notice]:
        hints = _HINTS
        for name, column in self._columns.items():
            texts = columns[name].tolist() if column.levels else []
            if notice := column.unknown_level(texts, hint=hints > 0):
                hints -= 1
                yield notice


def _filled(lines: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Lines that have cells. Of a single column an empty line is one without a value, unless it ends all."""
    blank = 0
    for line in lines:
        if line:
            yield from ([""] for _ in range(blank))
            yield line
            blank = 0
        elif width == 1:
            blank += 1


def _row_of(complaint: Complaint) -> int:
    return int(complaint.pointer.split("/")[2])


def _few(complaints: list[Complaint]) -> list[Complaint]:
    if len(complaints) <= MOST:
        return complaints
    return [*complaints[:MOST], Complaint("/rows", f"there is more: these are the first {MOST}")]
