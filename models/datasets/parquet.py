"""Apache Parquet: its own types are kept, and only columns that are flat are read."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from models.datasets.columns import (
    check_names,
    finite,
    index_of_rows,
    shortened,
    without_missing,
    without_zone,
)
from models.datasets.limits import ReadLimits
from models.errors import DatasetError

_INDEX = "__index_level_0__"
_BEYOND_INT64 = (pl.UInt64, pl.Int128)
_MICROSECONDS = 1e6
_NANOSECONDS = 1e9


def read(path: Path, limits: ReadLimits, notes: list[str]) -> pl.DataFrame:
    """The columns of a Parquet file."""
    try:
        schema = pl.read_parquet_schema(path)
        _affordable(path, schema, limits)
        frame = pl.read_parquet(path, glob=False, n_rows=limits.max_rows)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DatasetError("the Parquet file is damaged", suggestion="write it again") from error
    # The footer may lie about sizes, so what came out is measured too.
    if frame.estimated_size() > limits.max_expanded_bytes:
        raise DatasetError(f"the file unpacks to more than {limits.max_expanded_bytes:,} bytes")
    if frame.is_empty():
        raise DatasetError("the file has columns but no rows")
    return _without_index(pl.DataFrame([_plain(column, notes) for column in frame]), notes)


def _affordable(path: Path, schema: dict[str, pl.DataType], limits: ReadLimits) -> None:
    check_names(list(schema))
    nested = next((name for name, kind in schema.items() if kind.is_nested() or kind == pl.Binary), None)
    if nested is not None:
        raise DatasetError(
            f"column {nested!r} holds {schema[nested]} values, not one value a row",
            suggestion="give every element a column of its own",
        )
    rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    if rows > limits.max_rows:
        raise DatasetError(f"the file has {rows:,} rows; at most {limits.max_rows:,} are read")
    if len(schema) > limits.max_columns:
        raise DatasetError(f"the file has {len(schema):,} columns; at most {limits.max_columns:,} are read")
    if rows * len(schema) > limits.max_cells:
        raise DatasetError(
            f"the file has {rows * len(schema):,} cells; at most {limits.max_cells:,} are read"
        )


def _plain(column: pl.Series, notes: list[str]) -> pl.Series:
    """The column as one of few types: whole and other numbers, booleans, points in time, text."""
    kind = column.dtype
    if kind == pl.Null or kind.is_decimal():
        return column.cast(pl.Float64)
    if kind == pl.Duration:
        return column.dt.total_microseconds().cast(pl.Float64) / _MICROSECONDS
    if kind == pl.Time:
        return column.cast(pl.Int64).cast(pl.Float64) / _NANOSECONDS
    if kind == pl.Date or kind == pl.Datetime:
        return without_zone(column.cast(pl.Datetime("us", getattr(kind, "time_zone", None))))
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return shortened(without_missing(column.cast(pl.String)), notes)
    if kind.is_float() or kind in _BEYOND_INT64:
        return finite(column.cast(pl.Float64), notes)
    return column if kind == pl.Boolean else column.cast(pl.Int64)


def _without_index(frame: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    if _INDEX in frame.columns and index_of_rows(frame[_INDEX]):
        notes.append("pandas' numbers of the rows are left out")
        return frame.drop(_INDEX)
    return frame
