"""The datasets that scikit-learn brings along, under the names and labels it gives them.

Their files are read where it keeps them, without loading it: that would take longer than all the rest.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.datasets.frames import TypedFrame
from models.datasets.inference import table
from models.datasets.table import Table

_MEASURED = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
)
_FEATURES: dict[str, Sequence[str]] = {
    "iris": [f"{part} {size} (cm)" for part in ("sepal", "petal") for size in ("length", "width")],
    "wine": (
        *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
        *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
        *("od280/od315_of_diluted_wines", "proline"),
    ),
    "breast_cancer": [
        *(f"mean {one}" for one in _MEASURED),
        *(f"{one} error" for one in _MEASURED),
        *(f"worst {one}" for one in _MEASURED),
    ],
    "digits": [f"pixel_{row}_{column}" for row in range(8) for column in range(8)],
    "diabetes": ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
}
"""The columns of each, but for the target."""


def bundled(name: str) -> Table:
    """A bundled dataset; its target is the last column, `target`."""
    return table(TypedFrame(_frame(name)), target="target", task=None, notes=[])


def bundled_csv(name: str, path: Path) -> None:
    """A bundled dataset as the file somebody might upload."""
    _frame(name).write_csv(path)


def _frame(name: str) -> pl.DataFrame:
    try:
        x, target = _files(name)
    except FileNotFoundError:  # a scikit-learn that keeps them otherwise
        x, target = _load(name)
    features = {column: x[:, index] for index, column in enumerate(_FEATURES[name])}
    return pl.DataFrame({**features, "target": target})


def _files(name: str) -> tuple[np.ndarray[Any, Any], Any]:
    """Features (rows × columns) and targets as scikit-learn's files have them.

    Raises `FileNotFoundError` where they are not.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("scikit-learn is not installed as a folder")
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "data"
    match name:
        case "diabetes":  # in its own units, which make better reading than standardized ones
            return _numbers(folder / "diabetes_data_raw.csv.gz"), _numbers(folder / "diabetes_target.csv.gz")
        case "digits":
            rows = _numbers(folder / "digits.csv.gz", ",")
            return rows[:, :-1], rows[:, -1].astype(int)
        case "wine":
            return _read_labelled(folder / "wine_data.csv")
        case _:
            return _read_labelled(folder / f"{name}.csv")


def _numbers(path: Path, delimiter: str | None = None) -> np.ndarray[Any, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return np.loadtxt(file, delimiter=delimiter)


def _read_labelled(path: Path) -> tuple[np.ndarray[Any, Any], list[str]]:
    """The first line counts rows and columns and names the classes, whose numbers end the others."""
    with path.open(encoding="utf-8", newline="") as file:
        (_, _, *labels), *rows = csv.reader(file)
    return np.array([row[:-1] for row in rows], dtype=float), [labels[int(row[-1])] for row in rows]


def _load(name: str) -> tuple[np.ndarray[Any, Any], Any]:
    """The same, from scikit-learn itself."""
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    labels = bunch.get("target_names")
    named = labels is not None and labels.dtype.kind == "U"
    return bunch.data, labels[bunch.target].tolist() if named else bunch.target
