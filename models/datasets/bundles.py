"""The datasets that scikit-learn brings along, under the names and labels it gives them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from models.datasets.frames import TypedFrame
from models.datasets.inference import table
from models.datasets.table import Table


def bundled(name: str) -> Table:
    """A bundled dataset; its target is the last column, `target`."""
    return table(TypedFrame(_frame(name)), target="target", task=None, notes=[])


def bundled_csv(name: str, path: Path) -> None:
    """A bundled dataset as the file somebody might upload."""
    _frame(name).write_csv(path)


def _frame(name: str) -> pl.DataFrame:
    from sklearn import datasets

    # Diabetes comes standardized by default; its own units make better reading and the same network.
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    features = {column: bunch.data[:, index] for index, column in enumerate(bunch.feature_names)}
    labels = bunch.get("target_names")
    named = labels is not None and labels.dtype.kind == "U"
    return pl.DataFrame({**features, "target": labels[bunch.target].tolist() if named else bunch.target})
