"""Apache Parquet: its own types are kept, and only columns that are flat are read."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from models.datasets.arrow import categories, index_columns
from models.datasets.date_columns import without_zone
from models.datasets.description import TextForm
from models.datasets.findings import Findings
from models.datasets.frames import TypedFrame
from models.datasets.limits import ReadLimits
from models.datasets.names import check_names
from models.datasets.table import as_labels
from models.datasets.values import ROUNDED, finite, note_large, verbatim
from models.errors import DatasetError

_MICROSECONDS = 1e6
_NANOSECONDS = 1e9


def read(path: Path, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    """The columns of a Parquet file."""
    try:
        schema = pl.read_parquet_schema(path)
        _affordable(path, schema, limits)
        frame = pl.read_parquet(path, glob=False, n_rows=limits.max_rows)
        metadata = pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DatasetError("the Parquet file is damaged", suggestion="write it again") from error
    # The footer may lie about sizes, so what came out is measured too.
    if frame.estimated_size() > limits.max_expanded_bytes:
        raise DatasetError(f"the file unpacks to more than {limits.max_expanded_bytes:,} bytes")
    if frame.is_empty():
        raise DatasetError("the file has columns but no rows")
    findings, named = Findings(), categories(metadata)
    typed = pl.DataFrame([_plain(column, findings, category=column.name in named) for column in frame])
    notes += findings.notes()
    written = {name: TextForm(verbatim=True) for name, kind in typed.schema.items() if kind == pl.String}
    return TypedFrame(typed, dict(written), index=index_columns(metadata), rounded=findings.columns(ROUNDED))


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


def _plain(column: pl.Series, findings: Findings, *, category: bool) -> pl.Series:
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
        return verbatim(column.cast(pl.String), findings)
    if category:
        return as_labels(column)
    if kind.is_float():
        return finite(column.cast(pl.Float64), findings)
    if kind == pl.Boolean:
        return column
    note_large(column, findings)
    whole = column.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)
