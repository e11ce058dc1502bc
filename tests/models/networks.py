"""Networks on columns of every kind, with weights as if trained: for tests of what is made of their files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from models.datasets import Table
from models.datasets.inference import table as described
from models.defaults import complete
from models.losses import Readout
from models.metrics import Predictions
from models.network import build
from models.preprocessing import prepare
from models.spec import JobSpec
from models.weights import load, save

ROWS = 60
FEATURES: dict[str, list[Any]] = {
    "length": [1.5, None, 3.0, 5.25, 8.0, 2.0] * 10,
    "colour": ["red", "blue", "blue", None, "red", "teal"] * 9 + ["grey", "rare", "red", "red", None, "blue"],
    "same": [7.0] * ROWS,
    "empty": [None] * ROWS,
    "smoker": [True, False, None] * 20,
    "day": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(ROWS)],
    "city": ["Köln"] * ROWS,
    "wide": [10.0**n * (-1) ** n for n in range(-30, 30)],
    "whole": list(range(ROWS)),
}
TARGETS: dict[str, list[Any]] = {
    "binary": ["no", "yes", "yes"] * 20,
    "multiclass": ["a", "b", "c", "c"] * 15,
    "regression": [n * 1.5 - 40 for n in range(ROWS)],
}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "none": {},
    "dropout": {"dropout": {"input": 0.2, "hidden": 0.3}},
    "batch_norm": {"batch_norm": {"eps": 1e-3}},
    "penalties": {"l1": 1e-4, "l2": 1e-3, "early_stopping": True},
    "all": {"l1": 1e-4, "l2": 1e-4, "dropout": 0.2, "batch_norm": True, "early_stopping": True},
}


def mixed_table(task: str, features: Mapping[str, list[Any]] = FEATURES) -> Table:
    """Columns of every kind, with missing values, constant ones and rare levels."""
    frame = pl.DataFrame({**features, "target": TARGETS[task]}, strict=False)
    frame = frame.with_columns(
        pl.col(name).dt.replace_time_zone(None) for name in ("day",) if name in features
    )
    frame = frame.with_columns(pl.col(name).cast(pl.Float64) for name in ("empty",) if name in features)
    return described(frame, target="target", task=None, notes=[])


def written(path: Path, table: Table, *, seed: int = 0, **asked: Any) -> Path:
    """A weights file of a network with random weights and running statistics."""
    spec = complete(JobSpec.model_validate({"dataset": "given", **asked}), table.description).spec
    prepared = prepare(spec, table)
    network = build(spec, prepared.train.x.shape[1], prepared.outputs, seed)
    chance = torch.Generator().manual_seed(seed)
    state = {name: _drawn(name, tensor, chance) for name, tensor in network.state_dict().items()}
    if spec.optimizer.kind == "fista":
        state = {name: tensor.double() for name, tensor in state.items()}
    save(
        path,
        network_state=state,
        spec=spec,
        preprocessor=prepared.preprocessor,
        description=table.description,
    )
    return path


def _drawn(name: str, tensor: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    drawn = torch.randn(tensor.shape, generator=chance) * 0.5
    return drawn.square() + 0.1 if name.endswith("running_var") else drawn


Columns = dict[str, np.ndarray]
"""As a table has them: float64, or objects with None for missing."""


def strange_rows(table: Table) -> Columns:
    """Rows of the table, and others with what it has never seen."""
    odd = [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e12, -1e-12, 0.0]
    texts = np.array([None, "unknown", "", "red", "Köln", "rare", "x" * 300, "RED"], dtype=object)
    texts[2] = None
    kinds = {column.name: column.kind for column in table.description.columns}
    found = {}
    for place, (name, values) in enumerate(table.columns.items()):
        if kinds[name] == "categorical":
            found[name] = np.concatenate([values, np.roll(texts, place)])
        else:
            found[name] = np.concatenate([values, np.roll(odd, place)])
    return found


def by_torch(path: Path, columns: Columns) -> tuple[Predictions, np.ndarray]:
    """What torch says of these rows, and the largest input of each: single precision has 7 digits of that."""
    loaded = load(path)
    rows = torch.from_numpy(loaded.preprocessor.transform(columns))
    with torch.no_grad():
        raw = loaded.network(rows.to(next(loaded.network.parameters()).dtype))
    scale, classes = loaded.preprocessor.target, loaded.description.classes
    task = "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass"
    readout = Readout(task, scale.mean, scale.sd) if scale else Readout(task)  # type: ignore[arg-type]
    return readout.predictions(raw), rows.abs().amax(1).numpy() * readout.sd


def as_sent(columns: Columns) -> Columns:
    """The same columns as a graph takes them: no value is the empty text."""
    return {
        name: np.array(["" if value is None else value for value in values], dtype=object)
        if values.dtype == object
        else values
        for name, values in columns.items()
    }
