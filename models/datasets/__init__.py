"""Every file format and bundled set, and the table in memory. Add one here.

Importing this package loads neither polars nor NumPy nor scikit-learn, so a web server may use what it says
of datasets; whoever reads one pays for them. A `Description` is what is known without the rows, a `Table` has
the rows. Files come from strangers: a reader holds them against `ReadLimits` before it believes them.
"""

from __future__ import annotations

from pathlib import Path

from models.datasets.description import ClassCount, Column, Description
from models.datasets.limits import ReadLimits
from models.datasets.table import Table

__all__ = [
    "BUNDLED",
    "FORMATS",
    "ClassCount",
    "Column",
    "Description",
    "ReadLimits",
    "Table",
    "bundled",
    "bundled_csv",
    "read",
]

BUNDLED = ("iris", "wine", "breast_cancer", "digits", "diabetes")

FORMATS = {
    "csv": "text, a row a line, the first one naming the columns; commas, semicolons, tabs or | between",
    "csv.gz": "the same, packed by gzip",
    "parquet": "Apache Parquet with flat columns",
    "npz": "NumPy's archive with the arrays X (rows × columns) and y (rows)",
}


def read(
    path: Path,
    *,
    filename: str,
    target: str | None = None,
    task: str | None = None,
    limits: ReadLimits | None = None,
) -> Table:
    """Read a file of any known format; raises `DatasetError` with a way out wherever it is not a dataset."""
    from models.datasets.reading import read

    return read(path, filename=filename, target=target, task=task, limits=limits or ReadLimits())


def bundled(name: str) -> Table:
    """A bundled dataset as a table."""
    if name not in BUNDLED:
        raise KeyError(name)
    from models.datasets.bundles import bundled

    return bundled(name)


def bundled_csv(name: str, path: Path) -> None:
    """Write a bundled dataset as the CSV somebody might upload."""
    if name not in BUNDLED:
        raise KeyError(name)
    from models.datasets.bundles import bundled_csv

    bundled_csv(name, path)
