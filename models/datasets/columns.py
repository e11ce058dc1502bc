"""From cells to typed columns: names that can be used, and numbers, booleans, dates where text holds them."""

from __future__ import annotations

import unicodedata
from typing import Final

import polars as pl

from models.datasets.cells import (
    MAX_TEXT,
    MISSING,
    month_first_note,
)
from models.errors import DatasetError

MAX_NAME = 200
DATES: Final = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%+",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M:%S",
)
LOOKS_LIKE_A_DATE: Final = r"^(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4})([ T]\d|$)"
DECIMAL_COMMA: Final = r"^[+-]?\d*(,\d+)?([eE][+-]?\d+)?$"


def check_names(names: list[str]) -> None:
    """Refuse columns that could not be told apart, named in a spec or stored."""
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            raise DatasetError(
                f"column {position} has no name", suggestion="name it in the first line of the file"
            )
        if name in seen:
            raise DatasetError(
                f"two columns are called {name!r}", suggestion="give every column a name of its own"
            )
        if len(name) > MAX_NAME:
            raise DatasetError(
                f"the name of column {position}, {name[:40]!r}…, has {len(name)} characters",
                suggestion=f"column names may have at most {MAX_NAME}; is the first line the column names?",
            )
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise DatasetError(f"the name of column {position}, {name!r}, contains control characters")
        seen.add(name)


def typed(text: pl.Series, notes: list[str], *, decimal_comma: bool = False) -> pl.Series:
    """The numbers, booleans or dates that a column of text holds throughout, else the text."""
    # Most columns of most files are numbers and lack none: those are done here.
    numbers = _numbers(text)
    if numbers is not None:
        return finite(numbers, notes)
    text = without_missing(text)
    for recognize in (_numbers, _decimal_commas, _booleans) if decimal_comma else (_numbers, _booleans):
        recognized = recognize(text)
        if recognized is not None:
            return finite(recognized, notes)
    return shortened(_dates(text, notes), notes)


def without_missing(text: pl.Series) -> pl.Series:
    """Text without the space around it or NUL in it, and null for what means that there is no value."""
    stripped = text.str.replace_all("\x00", "", literal=True).str.strip_chars()
    missing = stripped.str.to_lowercase().is_in(list(MISSING)) | (stripped == "None")
    return stripped.set(missing.fill_null(True), None)


def finite(column: pl.Series, notes: list[str]) -> pl.Series:
    """Null for NaN and infinities; the latter are worth a note."""
    if not column.dtype.is_float() or column.is_finite().all():
        return column
    infinite = int(column.is_infinite().sum())
    if infinite:
        notes.append(f"column {column.name!r}: {infinite} infinite values count as missing")
    return column.set((~column.is_finite()).fill_null(False), None)


def shortened(column: pl.Series, notes: list[str]) -> pl.Series:
    """Text whose cells make bearable names of classes and levels."""
    if column.dtype != pl.String or not (column.str.len_chars() > MAX_TEXT).any():
        return column
    notes.append(f"column {column.name!r}: text is cut off after {MAX_TEXT} characters")
    return column.str.head(MAX_TEXT)


def index_of_rows(column: pl.Series) -> bool:
    """Whether a column only counts the rows, from 0 or 1, as programs add it when they write a table."""
    if not column.dtype.is_integer() or column.null_count() or not len(column):
        return False
    return column[0] in (0, 1) and bool((column.cast(pl.Int64).diff().drop_nulls() == 1).all())


def _numbers(text: pl.Series) -> pl.Series | None:
    whole = _cast(text, pl.Int64())
    return _cast(text, pl.Float64()) if whole is None else whole


def _decimal_commas(text: pl.Series) -> pl.Series | None:
    if not text.drop_nulls().str.contains(DECIMAL_COMMA).all():
        return None
    return _cast(text.str.replace(",", ".", literal=True), pl.Float64())


def _cast(text: pl.Series, kind: pl.DataType) -> pl.Series | None:
    cast = text.cast(kind, strict=False)
    return cast if cast.null_count() == text.null_count() else None


def _booleans(text: pl.Series) -> pl.Series | None:
    lowered = text.str.to_lowercase()
    if not lowered.drop_nulls().is_in(["true", "false"]).all():
        return None
    return lowered == "true"


def _dates(text: pl.Series, notes: list[str]) -> pl.Series:
    """The dates that a column of text holds throughout, else the text."""
    present = text.drop_nulls()
    if not len(present) or not present.str.contains(LOOKS_LIKE_A_DATE).all():
        return text
    for form in DATES:
        dates = text.str.to_datetime(form, strict=False, time_unit="us")
        if dates.null_count() == text.null_count():
            if form.startswith("%m/%d"):
                notes.append(month_first_note(text.name))
            return without_zone(dates)
    return text


def without_zone(dates: pl.Series) -> pl.Series:
    """Points in time as UTC tells them."""
    zone = getattr(dates.dtype, "time_zone", None)
    return dates if zone is None else dates.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
