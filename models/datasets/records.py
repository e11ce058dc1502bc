"""The rows of delimited text as columns of text, read so that none is lost, each with its line in the file.

Where no quote stands in a file, and no carriage return but at line ends, a line is a row: polars reads it,
after every line has been counted through. Everything else Python's `csv` reads, a stretch of rows at a time.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import polars as pl

from models.datasets.dialects import Dialect, is_blank, unreadable
from models.datasets.layout import Layout, clean_names
from models.datasets.limits import ReadLimits
from models.datasets.survey import END_OF_TEXT, Survey
from models.errors import DatasetError

if TYPE_CHECKING:
    from _csv import Reader

_STRETCH_CELLS: Final = 2**18
_CELL_END: Final = "\x1f"
_RECORD_END: Final = "\x1e"
_QUOTE_CELLS: Final = 'put cells that contain the delimiter or line ends into "double quotes"'


@dataclass(slots=True)
class Records:
    """Rows, a column of text for each name; an empty cell is null."""

    names: list[str]
    frame: pl.DataFrame
    lines: pl.Series
    """The line of the file in which each row begins, counted from 1."""
    notes: list[str] = field(default_factory=list)


def read_lines(path: Path, found: Layout) -> Records | None:
    """Read a file without quotes of which every line is a row; None where a line is blank, short or long."""
    width, above = len(found.names), found.skipped + 1
    with path.open("rb") as file:
        counted = Counter(map(bytes.count, islice(file, above, None), repeat(found.delimiter.encode())))
    rows = counted[width - 1]
    if width < 2 or len(counted) != 1 or not rows:
        return None
    try:
        frame = pl.read_csv(
            path,
            separator=found.delimiter,
            has_header=False,
            skip_lines=above,
            schema=_text_columns(width),
            quote_char=None,
            glob=False,
        )
    except pl.exceptions.PolarsError:
        return None
    except pl.exceptions.PanicException as error:
        # Of regular text polars panics for want of memory only, and is of no use from then on.
        raise DatasetError(
            "reading the file takes more memory than there is", suggestion="send a sample of the rows"
        ) from error
    if frame.height != rows:
        return None
    return Records(found.names, frame, _counted_from(above + 1, rows))


def _counted_from(first: int, rows: int) -> pl.Series:
    return pl.int_range(first, first + rows, dtype=pl.UInt32, eager=True)


def read_quoted(path: Path, found: Layout, survey: Survey, dialect: Dialect, limits: ReadLimits) -> Records:
    """Read a file as Python's `csv` does in a dialect; `DatasetError` names the line that it cannot read."""
    with _opened(path, survey, found.skipped) as lines:
        source = _Source(dialect.reader(lines, found.delimiter), found, limits)
        try:
            return source.records()
        except csv.Error as caught:
            error, begin, end = caught, source.begin, found.skipped + source.reader.line_num
    with _opened(path, survey, begin - 1) as lines:
        raise unreadable(error, islice(lines, end - begin + 1), begin, end, found.delimiter, dialect)


@contextmanager
def _opened(path: Path, survey: Survey, skipped: int) -> Iterator[Iterable[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _ in islice(file, skipped):
            pass
        yield _unmarked(file) if survey.end_mark else file


def _unmarked(file: TextIO) -> Iterator[str]:
    """Lines without the mark that ends the last of them."""
    for line in file:
        yield line if not line.rstrip("\r\n").endswith(END_OF_TEXT) else line.replace(END_OF_TEXT, "")


class _Source:
    """Takes rows from Python's reader into columns."""

    def __init__(self, reader: Reader, found: Layout, limits: ReadLimits) -> None:
        self.reader = reader
        self.begin = found.skipped + 1
        """The line in which the row begins that is being read."""
        self._found = found
        self._limits = limits
        self._long: list[tuple[int, int]] = []
        """First and last lines of quoted cells that seem to have swallowed rows."""

    def records(self) -> Records:
        names = self._names()
        frames: list[pl.DataFrame] = []
        lines: list[pl.Series] = []
        rows = 0
        for stretch, begins in self._stretches(len(names)):
            rows += len(stretch)
            check_size(rows, len(names), self._limits)
            frames.append(_frame(stretch, len(names)))
            lines.append(pl.Series(begins, dtype=pl.UInt32))
        if not frames:
            raise DatasetError("the file has column names but no rows")
        return Records(names, pl.concat(frames), pl.concat(lines), self._notes())

    def _names(self) -> list[str]:
        for row in self.reader:
            begin, self.begin = self.begin, self._found.skipped + self.reader.line_num + 1
            if not is_blank(row, 2):
                names = clean_names(row)
                _check_ends(names, begin, self.begin - 1)
                return names
        raise DatasetError("the file has column names but no rows")

    def _stretches(self, width: int) -> Iterator[tuple[list[list[str]], list[int]]]:
        reader, skipped, size = self.reader, self._found.skipped, max(1, _STRETCH_CELLS // width)
        rows: list[list[str]] = []
        begins: list[int] = []
        begin = self.begin
        try:
            for row in reader:
                after = skipped + reader.line_num + 1
                if len(row) == width:
                    rows.append(row)
                    begins.append(begin)
                    if after - begin > 1:
                        self._look_within(row, begin)
                    if len(rows) == size:
                        yield rows, begins
                        rows, begins = [], []
                elif not is_blank(row, width):
                    raise _uneven(begin, len(row), width)
                begin = after
        finally:
            self.begin = begin
        if rows:
            yield rows, begins

    def _look_within(self, row: list[str], begin: int) -> None:
        """Take note of a cell whose lines, were they not quoted, would be rows of this table."""
        delimiter, others = self._found.delimiter, len(row) - 1
        for position, cell in enumerate(row):
            if "\n" not in cell and "\r" not in cell:
                continue
            pieces = cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            within = [piece.count(delimiter) for piece in pieces]
            # The first and the last of a cell's lines hold the row's other cells too.
            within[0] += position
            within[-1] += others - position
            if others in within[1:-1] or within[0] == others == within[-1]:
                self._long.append((begin, begin + len(pieces) - 1))
                return
            begin += len(pieces) - 1

    def _notes(self) -> list[str]:
        if not self._long:
            return []
        first, last = self._long[0]
        more = f"; so do {len(self._long) - 1} other cells" if len(self._long) > 1 else ""
        return [
            f"line {first}: a quoted cell goes on to line {last}, over lines that look like rows of the table"
            f"{more}; where they are rows, a quote is missing"
        ]


def _check_ends(names: list[str], begin: int, end: int) -> None:
    """`DatasetError` for a name of several lines: rows may have got into it."""
    for position, name in enumerate(names, start=1):
        if "\n" in name or "\r" in name:
            raise DatasetError(
                f"the names begin in line {begin} and go on to line {end}: that of column {position}, "
                f"{name[:40]!r}, holds a line end",
                suggestion="write every name in one line, and close its quote",
            )


def _uneven(line: int, cells: int, width: int) -> DatasetError:
    has = "1 cell" if cells == 1 else f"{cells} cells"
    columns = "is 1 column" if width == 1 else f"are {width} columns"
    instead = f"leave the line out if it is no row, or {_QUOTE_CELLS}" if cells == 1 else _QUOTE_CELLS
    return DatasetError(f"line {line} has {has} where there {columns}", suggestion=instead)


def _frame(rows: list[list[str]], width: int) -> pl.DataFrame:
    """Rows as columns of text, in which an empty cell is null."""
    # polars takes text in one piece much faster than cell by cell, where nothing in it looks like its marks.
    text = _RECORD_END.join(map(_CELL_END.join, rows))
    marks = text.count(_CELL_END), text.count(_RECORD_END)
    if (
        width > 1
        and marks == (len(rows) * (width - 1), len(rows) - 1)
        and "\r" not in text
        and text[:1] != "\ufeff"
    ):
        frame = pl.read_csv(
            text.encode(),
            separator=_CELL_END,
            eol_char=_RECORD_END,
            quote_char=None,
            has_header=False,
            schema=_text_columns(width),
        )
        if frame.height == len(rows):
            return frame
    frame = pl.DataFrame(list(zip(*rows, strict=True)), schema=_text_columns(width), orient="col")
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def _text_columns(width: int) -> dict[str, type[pl.String]]:
    return {f"{position}": pl.String for position in range(width)}


def check_size(rows: int, columns: int, limits: ReadLimits) -> None:
    """`DatasetError` where a table has more rows, columns or cells than are read."""
    if columns > limits.max_columns:
        raise DatasetError(f"the file has {columns:,} columns; at most {limits.max_columns:,} are read")
    if rows > limits.max_rows:
        raise DatasetError(
            f"the file has more than {limits.max_rows:,} rows", suggestion="send a sample of it"
        )
    if columns * rows > limits.max_cells:
        raise DatasetError(
            f"the file has more than {limits.max_cells:,} cells", suggestion="send a sample of the rows"
        )
