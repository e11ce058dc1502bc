"""A dataset in memory, and its canonical file: Parquet with the description in its metadata."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from models.datasets.dates import MICROSECONDS_A_DAY
from models.datasets.description import Description, Kind
from models.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_METADATA_KEY = "ridgeline"
_OF_SYSTEM = re.compile(r"\(os error (\d+)\)$")
"""How polars ends what it says where the system refused."""


class Table:
    """The rows of a dataset, typed as they were read; arrays are made when they are first asked for."""

    def __init__(self, frame: pl.DataFrame, description: Description) -> None:
        self.frame = frame
        """Every column of the file, the target among them, in the order of the file."""
        self.description = description

    @property
    def rows(self) -> int:
        return self.description.rows

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Features by name: float64 with NaN where a value is missing, or objects (text or None)."""
        return {
            column.name: as_array(self.frame[column.name], column.kind) for column in self.description.columns
        }

    @cached_property
    def target(self) -> NDArray[Any]:
        """Class indices (int64), or values (float64)."""
        import polars as pl

        series = self.frame[self.description.target.name]
        if self.description.classes is None:
            return as_array(series, self.description.target.kind)
        if series.dtype == pl.String:
            index = {one.label: position for position, one in enumerate(self.description.classes)}
            return series.replace_strict(index, return_dtype=pl.Int64).to_numpy()
        # Labels are as the file writes them; classes are numbered by the values they stand for.
        return (series.rank("dense").cast(pl.Int64) - 1).to_numpy()

    def head(self, limit: int) -> list[dict[str, Any]]:
        """The first rows as plain JSON values; dates in ISO 8601."""
        return _plain(self.frame.head(limit))

    def save(self, path: Path) -> None:
        """Write the canonical file; `load` gives back the same table. `OSError` where it cannot be."""
        import polars as pl

        try:
            self.frame.write_parquet(path, metadata={_METADATA_KEY: self.description.model_dump_json()})
        except pl.exceptions.PolarsError as error:
            # What the system said is there in words alone.
            if told := _OF_SYSTEM.search(str(error)):
                raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error
            raise

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a canonical file."""
        import polars as pl

        try:
            described = pl.read_parquet_metadata(path).get(_METADATA_KEY)
            frame = pl.read_parquet(path, glob=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise DataError("the stored dataset cannot be read") from error
        if described is None:
            raise DataError("the stored file is not a dataset")
        return cls(frame, Description.model_validate_json(described))


def as_array(series: pl.Series, kind: Kind) -> NDArray[Any]:
    """A typed column as NumPy has it: float64 with NaN for missing, or objects (text or None)."""
    import polars as pl

    if kind == "categorical":
        return series.to_numpy()
    if kind == "datetime":
        series = series.dt.epoch("us").cast(pl.Float64) / MICROSECONDS_A_DAY
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def as_labels(series: pl.Series) -> pl.Series:
    """A target's values as the names of its classes: 3.0 is `3`, a boolean is `true` or `false`."""
    import polars as pl

    whole = series.dtype.is_float() and ((series % 1 == 0) & (series.abs() < 2**53)).all()
    if whole:
        series = series.cast(pl.Int64)
    return series.cast(pl.String)


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    import polars.selectors as select

    return frame.with_columns(select.datetime().dt.to_string("%Y-%m-%dT%H:%M:%S")).to_dicts()
