"""A job's dataset: its table fetched from the file store and checked, the last few kept in memory."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path

from models.datasets import Table
from store.datasets import Dataset
from store.files import Files

KEPT_TABLES = 4
KEPT_CELLS = 20_000_000
"""Rows × columns of all the tables kept; 160 MB as float64."""


class Tables:
    """Tables by the sha256 of their file, so that jobs in a row on one dataset read it once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._kept: OrderedDict[str, Table] = OrderedDict()

    def of(self, dataset: Dataset) -> Table:
        """The table of a dataset. Raises the store's file errors, and `DataError` where it cannot be read."""
        table = self._kept.pop(dataset.table_sha256, None) or self._read(dataset)
        self._kept[dataset.table_sha256] = table
        while len(self._kept) > KEPT_TABLES or sum(map(_cells, self._kept.values())) > KEPT_CELLS:
            self._kept.popitem(last=False)
        return table

    def _read(self, dataset: Dataset) -> Table:
        with tempfile.TemporaryDirectory(prefix="ridgeline-") as folder:
            path = self._files.fetch(
                dataset.table_key, Path(folder) / "table.parquet", sha256=dataset.table_sha256
            )
            return Table.load(path)


def _cells(table: Table) -> int:
    return table.rows * (len(table.description.columns) + 1)
