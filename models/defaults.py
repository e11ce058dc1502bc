"""From what was asked to what will be done: a complete spec, checked against the data's description.

What the asker left out follows the data. A complete spec has no gaps, says the same thing again when it is
sent again (`complete` leaves it as it is), and carries notices about what the asker should know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pydantic import ValidationError

from models.checks import complaints_about, has_validation_rows, monitored
from models.complaints import MOST, and_more, complaints
from models.datasets import Description
from models.equivalents import equivalents
from models.errors import Notice, SpecError
from models.metrics import Task
from models.notices import SMALL_BATCH, notices_about
from models.preprocessing import task_of
from models.regularizers import L2, BatchNorm, Dropout, EarlyStopping, Monitor, Regularization
from models.spec import JobSpec, NetworkSpec, OptimizerSpec, SplitSpec, TrainingSpec
from models.splits import filled_shares, sizes

ASSUMED_TRAINING_SHARE = 0.6
"""Of the rows, where a column of the data decides: three fifths, as by default."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A spec without gaps, and what to know about it."""

    spec: JobSpec
    notices: list[Notice] = field(default_factory=list)
    equivalents: dict[str, Any] = field(default_factory=dict)
    """What the same penalties are called in scikit-learn."""


def complete(spec: JobSpec, description: Description) -> Completed:
    """Fill in what was left out; raises `SpecError` with all complaints where it does not fit the data.

    What is filled in is validated as what was asked is, so a complete spec may be sent again.
    """
    split = _split(spec.split, description)
    rows = training_rows(split, description)
    network = _network(spec, description, rows)
    training = _training(spec, description, rows)
    regularization = _regularization(spec, network, description, split, training, rows)
    optimizer = _optimizer(spec.optimizer, regularization, rows)
    filled = spec.model_copy(
        update={
            "split": split,
            "network": network,
            "regularization": regularization,
            "optimizer": optimizer,
            "training": training,
            "metrics": _metrics(spec.metrics, regularization, task_of(description)),
        }
    )
    found = complaints_about(filled, spec, description, rows)
    if first := list(islice(found, MOST)):
        more = sum(1 for _ in found)
        raise SpecError([*first, *([and_more(more)] if more else [])])
    filled = _validated(filled)
    notices = list(notices_about(filled, spec, description, rows))
    return Completed(filled, notices, equivalents(filled, description, rows))


def _validated(filled: JobSpec) -> JobSpec:
    document = filled.model_dump(mode="json")
    try:
        return JobSpec.model_validate(document)
    except ValidationError as error:
        raise SpecError(complaints(error, JobSpec, document)) from error


def training_rows(split: SplitSpec, description: Description) -> int:
    """How many rows will be trained on; where a column decides, the usual three fifths are assumed."""
    dealt = sizes(split, description.rows)
    rows = dealt["train"] if dealt else round(description.rows * ASSUMED_TRAINING_SHARE)
    return max(rows, 1)


def _split(split: SplitSpec, description: Description) -> SplitSpec:
    """Fractions leave two rows, and one for each class, where they were left out."""
    if split.column is not None:
        return split
    least = max(2, len(description.classes or ()))
    validation, test = filled_shares(split, description.rows, least)
    stratify = description.task == "classification"
    filled: dict[str, Any] = {"validation": validation, "test": test, "seed": 0, "stratify": stratify}
    given = {name: value for name, value in split.model_dump().items() if value is not None}
    return split.model_copy(update=filled | given)


def _network(spec: JobSpec, description: Description, rows: int) -> NetworkSpec:
    if spec.network.hidden is not None:
        return spec.network
    if spec.optimizer.kind == "fista":
        return spec.network.model_copy(update={"hidden": []})
    width = 2 ** round(math.log2(min(max(2 * len(description.columns), math.sqrt(8 * rows), 32), 256)))
    return spec.network.model_copy(update={"hidden": [width, max(width // 2, 16)]})


def _optimizer(optimizer: OptimizerSpec, regularization: Regularization, rows: int) -> OptimizerSpec:
    adam: dict[str, Any] = {"learning_rate": 3e-3 if rows < 5_000 else 1e-3, "betas": [0.9, 0.999]}
    filled: dict[str, Any] = {
        "adam": adam | {"weight_decay": 0.0},
        "adamw": adam | {"weight_decay": 0.01},
        "sgd": {"learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.9, "nesterov": False},
        "fista": {"tolerance": 1e-10},
    }[optimizer.kind]
    if optimizer.schedule == "reduce_on_plateau":
        filled |= {"plateau_factor": 0.5, "plateau_patience": _plateau_patience(regularization)}
    given = {name: value for name, value in optimizer.model_dump().items() if value is not None}
    return optimizer.model_copy(update=filled | given)


def _plateau_patience(regularization: Regularization) -> int:
    """Five epochs, or half of what early stopping waits: the rate is to fall before training ends."""
    early_stopping = regularization.early_stopping
    waits = [monitor.patience for monitor in early_stopping.monitors] if early_stopping else []
    return max(1, min(5, min(waits, default=10) // 2))


def _training(spec: JobSpec, description: Description, rows: int) -> TrainingSpec:
    """Batches grow slowly with the data; epochs are as many as some 3,000 updates take, 30 at least."""
    asked = spec.training
    if spec.optimizer.kind == "fista":
        whole = max(description.rows, asked.batch_size or 0)
        return asked.model_copy(update={"batch_size": whole, "max_epochs": asked.max_epochs or 10_000})
    batch_size = asked.batch_size or 2 ** round(math.log2(min(max(rows / 30, 16), 256)))
    steps = math.ceil(rows / batch_size)
    max_epochs = asked.max_epochs or min(max(round(3_000 / steps), 30), 200)
    return asked.model_copy(update={"batch_size": batch_size, "max_epochs": max_epochs})


def _regularization(
    spec: JobSpec,
    network: NetworkSpec,
    description: Description,
    split: SplitSpec,
    training: TrainingSpec,
    rows: int,
) -> Regularization:
    asked = spec.regularization
    if asked is None:
        validated = has_validation_rows(split, description)
        return _cocktail(spec, network, training, min(training.batch_size or 1, rows), validated=validated)
    hidden = network.hidden or []
    if asked.dropout and not isinstance(asked.dropout.hidden, list):
        rates = [asked.dropout.hidden] * len(hidden)
        asked = asked.model_copy(update={"dropout": asked.dropout.model_copy(update={"hidden": rates})})
    return asked


def _cocktail(
    spec: JobSpec, network: NetworkSpec, training: TrainingSpec, batch_rows: int, *, validated: bool
) -> Regularization:
    """Worth having before anything is known: a little ridge, some dropout, batch norm, early stopping."""
    linear, exact = not network.hidden, spec.optimizer.kind == "fista"
    patience = max(10, (training.max_epochs or 0) // 5)
    return Regularization(
        l2=L2(strength=1e-3 if linear else 1e-4),
        dropout=None if linear else Dropout(hidden=[0.2] * len(network.hidden or [])),
        batch_norm=None if linear or batch_rows < SMALL_BATCH else BatchNorm(),
        early_stopping=EarlyStopping(monitors=[Monitor(patience=patience)])
        if validated and not exact
        else None,
    )


def _metrics(asked: list[str] | None, regularization: Regularization, task: Task) -> list[str]:
    """What was asked for, or the task's usual ones, and whatever a monitor watches."""
    usual = {
        "binary": ["accuracy", "f1", "roc_auc"],
        "multiclass": ["accuracy", "f1_macro"],
        "regression": ["rmse", "r2"],
    }
    chosen = list(dict.fromkeys(usual[task] if asked is None else asked))
    watched = (name for name in map(_metric_of, monitored(regularization)) if name != "loss")
    return list(dict.fromkeys([*chosen, *watched]))


def _metric_of(series: str) -> str:
    return series.partition("_")[2]
