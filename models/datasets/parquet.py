"""Apache Parquet: its own types are kept, and only columns that are flat are read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import polars as pl
from polars.datatypes import DataTypeClass

from models.datasets.arrow import categories, index_columns
from models.datasets.description import TextForm
from models.datasets.findings import Findings
from models.datasets.frames import TypedFrame
from models.datasets.limits import ReadLimits
from models.datasets.names import check_names
from models.datasets.table import as_labels
from models.datasets.values import ROUNDED, finite, note_large, verbatim
from models.errors import DatasetError

_MICROSECONDS: Final = 1e6
_NANOSECONDS: Final = 1e9
_LONGEST_DECIMAL: Final = 38
"""Digits."""
_SHOWN: Final = 60
"""Characters of a type's name."""
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""Of the years 1 and 9999, since 1970-01-01."""
_TICKS: Final = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""A second's, by the unit of a column."""
_TWICE: Final = re.compile(r"column with name '(.*)' has more than one occurrence", re.DOTALL)


def read(path: Path, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    """The columns of a Parquet file."""
    # Points in time are stored as UTC tells them, whatever their zone; polars stops at some.
    os.putenv("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")
    try:
        schema = pl.read_parquet_schema(path)
        _affordable(path, schema, limits)
        frame = pl.read_parquet(path, glob=False, n_rows=limits.max_rows)
        metadata = pl.read_parquet_metadata(path)
    except DatasetError:
        raise
    except pl.exceptions.DuplicateError as error:
        found = _TWICE.search(str(error))
        which = repr(found[1][:40]) if found else "by one name"
        raise DatasetError(
            f"two columns are called {which}", suggestion="give every column a name of its own"
        ) from error
    # What a stranger's bytes make of polars is not to be foreseen: it also panics.
    except (Exception, pl.exceptions.PanicException) as error:
        raise DatasetError("the Parquet file is damaged", suggestion="write it again") from error
    # The footer may lie about sizes, so what came out is measured too.
    if frame.estimated_size() > limits.max_expanded_bytes:
        raise DatasetError(f"the file unpacks to more than {limits.max_expanded_bytes:,} bytes")
    if frame.is_empty():
        raise DatasetError("the file has columns but no rows")
    findings, named = Findings(), categories(metadata)
    typed = pl.DataFrame([_typed(column, findings, category=column.name in named) for column in frame])
    notes += findings.notes()
    written = {name: TextForm(verbatim=True) for name, kind in typed.schema.items() if kind == pl.String}
    return TypedFrame(typed, dict(written), index=index_columns(metadata), rounded=findings.columns(ROUNDED))


def _affordable(path: Path, schema: dict[str, pl.DataType], limits: ReadLimits) -> None:
    check_names(list(schema))
    for name, kind in schema.items():
        _check_type(name, kind)
    rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    if rows > limits.max_rows:
        raise DatasetError(f"the file has {rows:,} rows; at most {limits.max_rows:,} are read")
    if len(schema) > limits.max_columns:
        raise DatasetError(f"the file has {len(schema):,} columns; at most {limits.max_columns:,} are read")
    if rows * len(schema) > limits.max_cells:
        raise DatasetError(
            f"the file has {rows * len(schema):,} cells; at most {limits.max_cells:,} are read"
        )


def _check_type(name: str, kind: pl.DataType) -> None:
    """Refuse a column that is no number, truth, point in time or text, nor stored as one."""
    stored: pl.DataType | DataTypeClass = kind
    of = ""
    while isinstance(stored, pl.BaseExtension):
        of = of or f"{stored.ext_name()[:_SHOWN]} values, which are "
        stored = stored.ext_storage()
    if stored == pl.Binary:
        raise DatasetError(f"column {name!r} holds {of}bytes", suggestion="write them as text")
    if stored.is_nested() or stored == pl.Object:
        raise DatasetError(
            f"column {name!r} holds {of}{str(stored)[:_SHOWN]} values, not one value a row",
            suggestion="give every element a column of its own",
        )
    if isinstance(stored, pl.Decimal) and (stored.precision or 0) > _LONGEST_DECIMAL:
        raise DatasetError(
            f"column {name!r} holds {of}decimals of {stored.precision} digits; "
            f"at most {_LONGEST_DECIMAL} are read",
            suggestion="write it as floating-point numbers",
        )


def _typed(column: pl.Series, findings: Findings, *, category: bool) -> pl.Series:
    """The column as `_plain` makes it of what it is stored as."""
    kind = column.dtype
    try:
        while isinstance(column.dtype, pl.BaseExtension):
            extension, column = column.dtype, column.ext.storage()
            if extension.ext_name() == "arrow.bool8":
                column = column != 0
            elif column.dtype != pl.String:
                stored = "numbers" if column.dtype.is_numeric() else f"{column.dtype} values"
                say = f"{extension.ext_name()[:_SHOWN]} values are read as the {stored} they are stored as"
                findings.add(say, column.name)
        return _plain(column, findings, category=category)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DatasetError(
            f"column {column.name!r} holds {str(kind)[:_SHOWN]} values that cannot be read",
            suggestion="write it as numbers, text or dates",
        ) from error


def _plain(column: pl.Series, findings: Findings, *, category: bool) -> pl.Series:
    """The column as one of few types: whole and other numbers, booleans, points in time, text."""
    kind = column.dtype
    if kind == pl.Null:
        return column.cast(pl.Float64)
    if kind == pl.Duration:
        return column.dt.total_microseconds().cast(pl.Float64) / _MICROSECONDS
    if kind == pl.Time:
        return column.cast(pl.Int64).cast(pl.Float64) / _NANOSECONDS
    if kind == pl.Date or kind == pl.Datetime:
        return _moments(column, findings)
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return verbatim(column.cast(pl.String), findings)
    if category:
        return as_labels(column)
    if kind.is_float():
        return finite(column.cast(pl.Float64), findings)
    if kind == pl.Boolean:
        return column
    note_large(column, findings)
    if isinstance(kind, pl.Decimal) and kind.scale:
        return column.cast(pl.Float64)
    whole = column.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)


def _moments(column: pl.Series, findings: Findings) -> pl.Series:
    """Days and points in time of whatever unit and zone as microseconds, in UTC."""
    ticks, unit = column.to_physical().cast(pl.Int64), getattr(column.dtype, "time_unit", None)
    a_day = 1 if unit is None else _TICKS[unit] * 86_400
    # Beyond, they overflow or have no name; a column of nanoseconds ends before.
    known = ticks.is_between(max(_FIRST_DAY * a_day, -(2**63)), min((_LAST_DAY + 1) * a_day - 1, 2**63 - 1))
    if not known.all():
        say = "dates outside the years 1 to 9999 count as missing"
        findings.add(say, column.name)
        ticks = ticks.set((~known).fill_null(False), None)
    if unit is None:
        return ticks.cast(pl.Int32).cast(pl.Date).cast(pl.Datetime("us"))
    return ticks.cast(pl.Datetime(unit)).cast(pl.Datetime("us"))
