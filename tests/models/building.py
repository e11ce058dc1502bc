"""Small tables, and trainings on them, for tests that want numbers of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from models.datasets import ClassCount, Column, Description, Table
from models.defaults import complete
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training


def table(x: np.ndarray, y: np.ndarray, *, classes: bool | None = None) -> Table:
    """A table of numeric columns x0, x1, …; integer targets are classes."""
    frame = pl.DataFrame({f"x{index}": x[:, index].astype(float) for index in range(x.shape[1])})
    classified = np.issubdtype(y.dtype, np.integer) if classes is None else classes
    labels, counts = np.unique(y, return_counts=True)
    description = Description(
        rows=len(x),
        columns=[_column(f"x{index}", x[:, index]) for index in range(x.shape[1])],
        target=_column("y", y),
        task="classification" if classified else "regression",
        task_reason="the test says so",
        classes=[
            ClassCount(label=str(label), count=int(count))
            for label, count in zip(labels, counts, strict=True)
        ]
        if classified
        else None,
        notes=[],
    )
    return Table(frame.with_columns(y=pl.Series(y)), description)


def _column(name: str, values: np.ndarray) -> Column:
    distinct = len(np.unique(values))
    return Column(name=name, kind="numeric", missing=0, cardinality=distinct, constant=distinct == 1)


ALL_ROWS = {"validation": 0, "test": 0}


def training(data: Table, **settings: Any) -> Training:
    """A training of the completed spec, not yet iterated."""
    spec = complete(JobSpec.model_validate({"dataset": "given", **settings}), data.description).spec
    return Training(spec, prepare(spec, data))


def trained(data: Table, **settings: Any) -> Training:
    """The same, iterated to its end."""
    running = training(data, **settings)
    for _ in running:
        pass
    return running


def coefficients(done: Training) -> tuple[np.ndarray, np.ndarray]:
    """Weights (outputs, features) and intercepts (outputs,) of a linear model."""
    (_, layer), *rest = done.network.linears()
    assert not rest
    return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
