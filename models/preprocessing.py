"""From columns to the network's inputs: fitted on training rows only, and travelling with the network.

A fitted `Preprocessor` is a frozen model of plain numbers, so it is stored as JSON and gives the same inputs
to the last bit when it is read back. It knows neither the network nor the rows it was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from models.encoding import (
    CategoricalColumn,
    Feature,
    NumericColumn,
    fit_categorical,
    fit_numeric,
    moments,
    most_inputs,
)
from models.errors import DataError
from models.frozen import Frozen
from models.splits import Split, split_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.datasets import Description, Table
    from models.spec import JobSpec, PreprocessingSpec

__all__ = ["Prepared", "Preprocessor", "Rows", "Split", "TargetScale", "fit", "prepare", "split_rows"]


class TargetScale(Frozen):
    """A regression target is trained on as (y − mean)/sd."""

    mean: float
    sd: float


class Preprocessor(Frozen):
    """What was learnt from the training rows, and how it is applied to any rows."""

    columns: list[Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]]
    target: TargetScale | None
    """None for classification, and where the target is trained on as it is."""
    classes: list[str] | None
    """In the order of the network's outputs; None for regression."""
    target_name: str
    """What is predicted."""

    @cached_property
    def features(self) -> list[Feature]:
        """One for each input of the network, in order; no two have the same name."""
        return _distinct([feature for column in self.columns for feature in column.features()])

    def transform(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The network's inputs, (rows, features): always finite."""
        import numpy as np

        absent = next((column.name for column in self.columns if column.name not in columns), None)
        if absent is not None:
            raise DataError(f"there is no column {absent!r}")
        parts = [column.transform(columns[column.name]) for column in self.columns]
        return np.concatenate(parts, axis=1)

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls.model_validate_json(text)


@dataclass(frozen=True, slots=True)
class Rows:
    """A split, ready for the network."""

    x: NDArray[np.float64]
    """(rows, features)."""
    y: NDArray[Any]
    """Class indices (int64), or the target in the space that is trained in (float64)."""
    target: NDArray[Any]
    """The target as the table has it: class indices (int64), or values in its own units (float64)."""
    indices: NDArray[np.int64]
    """Their numbers in the table."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset as a job trains on it."""

    preprocessor: Preprocessor
    task: Literal["binary", "multiclass", "regression"]
    outputs: int
    """Of the network: one for binary (a logit) and regression, else one a class."""
    train: Rows
    validation: Rows | None
    test: Rows | None


def fit(
    spec: PreprocessingSpec, table: Table, rows: NDArray[np.int64], *, exclude: str | None = None
) -> Preprocessor:
    """Learn from these rows of the table and from no other; `exclude` is the column that tells the splits."""
    described = [column for column in table.description.columns if column.name != exclude]
    if not described:
        raise DataError("no columns are left to learn from")
    columns: list[NumericColumn | CategoricalColumn] = []
    for column in described:
        values = table.columns[column.name][rows]
        categorical = column.kind == "categorical"
        columns.append((fit_categorical if categorical else fit_numeric)(column.name, values, spec))
    classes = table.description.classes
    return Preprocessor(
        columns=columns,
        target=_target_scale(spec, table, rows),
        classes=None if classes is None else [one.label for one in classes],
        target_name=table.description.target.name,
    )


def prepare(spec: JobSpec, table: Table) -> Prepared:
    """Split, fit on the training rows, transform all; the spec is complete.

    Raises `DataError` where the rows that there are cannot be trained on as the spec has it.
    """
    split = split_rows(spec.split, table)
    if (
        len(split.train) == 1
        and spec.network.hidden
        and spec.regularization
        and spec.regularization.batch_norm
    ):
        raise DataError(
            "batch norm needs two training rows, and there is one: set regularization.batch_norm to null"
        )
    preprocessor = fit(spec.preprocessing, table, split.train, exclude=spec.split.column)
    task = task_of(table.description)

    def rows(indices: NDArray[np.int64]) -> Rows | None:
        return _rows(preprocessor, table, indices) if len(indices) else None

    return Prepared(
        preprocessor=preprocessor,
        task=task,
        outputs=len(preprocessor.classes or ()) if task == "multiclass" else 1,
        train=_rows(preprocessor, table, split.train),
        validation=rows(split.validation),
        test=rows(split.test),
    )


def task_of(description: Description) -> Literal["binary", "multiclass", "regression"]:
    """What the network's head has to answer."""
    if description.classes is None:
        return "regression"
    return "binary" if len(description.classes) == 2 else "multiclass"


def most_features(spec: PreprocessingSpec, description: Description, *, exclude: str | None = None) -> int:
    """No fit on these columns makes more inputs than this; for costing a job before it has a split."""
    rows = description.rows
    return sum(
        most_inputs(
            spec,
            categorical=column.kind == "categorical",
            rows=rows,
            levels=column.cardinality,
            missing=column.missing,
        )
        for column in description.columns
        if column.name != exclude
    )


def _distinct(features: list[Feature]) -> list[Feature]:
    """A column may be called what an input of another would be: number the later ones."""
    seen: set[str] = set()
    distinct = []
    for feature in features:
        names = (feature.name if number == 1 else f"{feature.name} ({number})" for number in count(1))
        name = next(name for name in names if name not in seen)
        seen.add(name)
        distinct.append(feature if name == feature.name else replace(feature, name=name))
    return distinct


def _target_scale(spec: PreprocessingSpec, table: Table, rows: NDArray[np.int64]) -> TargetScale | None:
    if table.description.classes is not None or spec.target == "none":
        return None
    mean, sd = moments(table.target[rows])
    return TargetScale(mean=mean, sd=sd or 1.0)


def _rows(preprocessor: Preprocessor, table: Table, indices: NDArray[np.int64]) -> Rows:
    x = preprocessor.transform({name: values[indices] for name, values in table.columns.items()})
    target, scale = table.target[indices], preprocessor.target
    return Rows(x, target if scale is None else (target - scale.mean) / scale.sd, target, indices)
