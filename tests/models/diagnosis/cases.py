"""Cases for the diagnosis: curves written down by hand, and real trainings that go wrong on purpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.datasets import ClassCount, Column, Description, Table
from models.defaults import complete
from models.diagnosis import Case
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training
from models.weights import summarize
from tests.models.building import table

BALANCED = (300, 300)


def description(
    counts: Sequence[int] | None = BALANCED, *, columns: int = 8, rows: int | None = None
) -> Description:
    """Numeric columns; classes with so many rows, or a regression where there are none."""
    target = Column(name="y", kind="numeric", missing=0, cardinality=9, constant=False)
    labels = [ClassCount(label=str(label), count=count) for label, count in enumerate(counts or ())]
    return Description(
        rows=rows or sum(counts or (600,)),
        columns=[target.model_copy(update={"name": f"x{index}"}) for index in range(columns)],
        target=target,
        task="classification" if counts else "regression",
        task_reason="the test says so",
        classes=labels or None,
        notes=[],
    )


def scripted(
    train: Sequence[float | None],
    val: Sequence[float | None] | None = None,
    *,
    stop: str | None = "max_epochs",
    data: Description | None = None,
    result: dict[str, Any] | None = None,
    weights: dict[str, Any] | None = None,
    more: dict[str, Sequence[float | None]] | None = None,
    **settings: Any,
) -> Case:
    """A case with these losses; without any regularization unless the settings name some."""
    known = data or description()
    asked = {"dataset": "given", "regularization": {}, "training": {"max_epochs": len(train)}, **settings}
    if val is None:
        asked["split"] = {"validation": 0}
    spec = complete(JobSpec.model_validate(asked), known).spec
    series = {"train_loss": train, "objective": train} | ({"val_loss": val} if val is not None else {})
    return Case(spec, series | (more or {}), result, stop, weights, known)


def decay(start: float, end: float, epochs: int, half_life: float) -> list[float]:
    """From `start` towards `end`, the distance halved every so many epochs."""
    return [end + (start - end) * 0.5 ** (epoch / half_life) for epoch in range(epochs)]


def noisy(values: Sequence[float], sd: float, seed: int = 0) -> list[float]:
    """Each value times a factor around 1."""
    draws = np.random.default_rng(seed).normal(size=len(values))
    return [value * math.exp(sd * draw) for value, draw in zip(values, draws.tolist(), strict=True)]


def case_of(done: Training, data: Table) -> Case:
    """What a worker would have recorded."""
    rows = done.history.epochs
    return Case(
        done.spec,
        {name: [epoch.values.get(name, math.nan) for epoch in rows] for name in done.history.series()},
        done.result(),
        done.stop_reason,
        summarize(done.network, done.spec, done.prepared.preprocessor, done.data.train.x),
        data.description,
    )


def trained_case(data: Table, **settings: Any) -> Case:
    """A real training of these settings, without any regularization or metrics unless they name some."""
    spec = JobSpec.model_validate({"dataset": "given", "regularization": {}, "metrics": [], **settings})
    return retrained(complete(spec, data.description).spec, data)


def retrained(spec: JobSpec, data: Table) -> Case:
    done = Training(spec, prepare(spec, data))
    for _ in done:
        pass
    return case_of(done, data)


def few_of_many(seed: int, rows: int = 150, columns: int = 30, noise: float = 1.0) -> Table:
    """A regression on three of many columns."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, columns))
    return table(x, x[:, :3].sum(axis=1) + noise * random.normal(size=rows))


def two_clouds(seed: int, rows: int = 300, distance: float = 1.5, mislabelled: float = 0.0) -> Table:
    """Two normal classes in six columns, some of them with the other one's label."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    x = random.normal(size=(rows, 6)) + distance * (2 * y[:, None] - 1) * np.eye(6)[0]
    return table(x, np.where(random.random(rows) < mislabelled, 1 - y, y))
