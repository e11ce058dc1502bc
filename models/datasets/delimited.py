"""Delimited text: looked over in one pass before any of it is parsed, then typed column by column."""

from __future__ import annotations

import codecs
import csv
from pathlib import Path

import polars as pl

from models.datasets.columns import check_names, index_of_rows, typed
from models.datasets.layout import DELIMITERS, Layout, layout
from models.datasets.limits import ReadLimits
from models.errors import DatasetError

_CHUNK = 2**20
_SAMPLE = 2**20


def read(path: Path, limits: ReadLimits, notes: list[str]) -> pl.DataFrame:
    """The typed columns of a delimited file."""
    lines = _looked_over(path, limits)
    # Python's own reader, which judges the layout, would stop at cells of 128 KiB.
    csv.field_size_limit(max(limits.max_line_bytes, csv.field_size_limit()))
    found = _layout(path)
    _affordable(len(found.names), lines, limits)
    text = _text(path, found)
    names, text = _named(found.names, text, notes)
    check_names(names)
    text.columns = names
    comma = found.delimiter != ","
    columns = [typed(column, notes, decimal_comma=comma) for column in text]
    if comma:
        notes.append(f"columns are separated by {DELIMITERS[found.delimiter]}")
    return pl.DataFrame(columns)


def _looked_over(path: Path, limits: ReadLimits) -> int:
    """Count the lines while making sure that this is UTF-8 text whose lines end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, length = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            _decodable(decoder, chunk)
            length = _open_line(chunk, length, limits)
            lines += chunk.count(b"\n")
            if lines > limits.max_rows + 1:
                raise DatasetError(
                    f"the file has more than {limits.max_rows:,} rows", suggestion="send a sample of it"
                )
    _decodable(decoder, b"", final=True)
    return lines + (length > 0)


def _decodable(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> None:
    try:
        text = decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"the file is not UTF-8 text: byte 0x{error.object[error.start]:02x} is none of its characters",
            suggestion="save it again as CSV with the encoding UTF-8",
        ) from None
    if "\x00" in text:
        raise DatasetError(
            "the file contains NUL bytes, so it is not text", suggestion="save it as UTF-8 CSV"
        )


def _open_line(chunk: bytes, length: int, limits: ReadLimits) -> int:
    """The length of the line that the chunk leaves open, after making sure that none is too long."""
    first, *others = (len(piece) for piece in chunk.split(b"\n"))
    if max(length + first, *others, 0) > limits.max_line_bytes:
        raise DatasetError(
            f"a line has more than {limits.max_line_bytes:,} bytes",
            suggestion="write one row a line, ended by a newline",
        )
    return others[-1] if others else length + first


def _layout(path: Path) -> Layout:
    """What the first lines of a file tell."""
    with path.open("rb") as file:
        start = file.readline() + file.read(_SAMPLE)
        whole = not file.read(1)
    return layout(start.decode("utf-8-sig", errors="ignore"), whole=whole)


def _affordable(columns: int, lines: int, limits: ReadLimits) -> None:
    if columns > limits.max_columns:
        raise DatasetError(f"the file has {columns:,} columns; at most {limits.max_columns:,} are read")
    if columns * lines > limits.max_cells:
        raise DatasetError(
            f"the file has {columns * lines:,} cells; at most {limits.max_cells:,} are read",
            suggestion="send a sample of the rows",
        )
    if lines < 2:
        raise DatasetError("the file has column names but no rows")


def _text(path: Path, found: Layout) -> pl.DataFrame:
    """Every cell as text; lines without a single value are no rows."""
    width = len(found.names)
    try:
        frame = pl.read_csv(path, separator=found.delimiter, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _irregular(path, found) or DatasetError("the file is not regular delimited text") from error
    if frame.width != width:
        raise DatasetError(f"the first line has {width} names where {frame.width} are expected")
    # A line that ends early is read as if its last cells were empty: only then is it worth another pass.
    if frame[:, -1].null_count() and (complaint := _irregular(path, found)):
        raise complaint
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if frame.is_empty():
        raise DatasetError("the file has column names but no rows")
    return frame


def _irregular(path: Path, found: Layout) -> DatasetError | None:
    """Find the line that does not have as many cells as there are names."""
    width = len(found.names)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=found.delimiter, strict=True)
        try:
            for row in reader:
                if len(row) not in (0, width):
                    return DatasetError(
                        f"line {reader.line_num} has {len(row)} cells where there are {width} columns",
                        suggestion='put cells that contain the delimiter or line ends into "double quotes"',
                    )
        except csv.Error as error:
            return DatasetError(
                f"line {reader.line_num} cannot be read: {error}",
                suggestion="close every quoted cell by a quote",
            )
    return None


def _named(names: list[str], text: pl.DataFrame, notes: list[str]) -> tuple[list[str], pl.DataFrame]:
    """Drop columns without a name that hold nothing, or only the numbers of the rows."""
    dropped = [position for position, name in enumerate(names) if not name and _is_idle(text[:, position])]
    if dropped:
        plural = "s" if len(dropped) > 1 else ""
        notes.append(f"{len(dropped)} column{plural} without a name left out: empty, or row numbers")
    kept = [position for position in range(len(names)) if position not in dropped]
    return [names[position] for position in kept], text[:, kept]


def _is_idle(column: pl.Series) -> bool:
    return column.null_count() == len(column) or index_of_rows(column.cast(pl.Int64, strict=False))
