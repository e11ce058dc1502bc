"""What a job will cost, worked out before anything is spent: an estimate from above."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from models.datasets import Description
from models.errors import Complaint
from models.preprocessing import most_features
from models.spec import JobSpec

_FLOAT = 4

_COPIES = 11
"""Of all parameters at the worst moment: weights, gradient, two moments, two penalties' strengths, three
intermediate results of a penalty, the best so far, and the one before until it is replaced. A checkpoint is
written from where these lie, and read as a part of the file that is mapped into memory: neither is a copy."""


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate from above."""

    features: int
    """Network inputs after preprocessing."""
    parameters: int
    """Weights, biases and norm parameters."""
    steps: int
    """Optimizer steps over all epochs."""
    operations: int
    """Floating-point operations of the whole training, evaluation included."""
    memory_bytes: int
    """Peak of data, parameters, optimizer state and activations."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may cost."""

    parameters: int
    operations: int
    memory_bytes: int


def estimate(spec: JobSpec, description: Description) -> Cost:
    """The cost of a complete spec on data like this."""
    features = most_features(spec.preprocessing, description, exclude=spec.split.column)
    outputs = len(description.classes) if description.classes and len(description.classes) > 2 else 1
    widths = [features, *(spec.network.hidden or []), outputs]
    weights = sum(entering * leaving for entering, leaving in pairwise(widths))
    batch_norm = 2 * sum(widths[1:-1]) if spec.regularization and spec.regularization.batch_norm else 0
    parameters = weights + sum(widths[1:]) + batch_norm
    epochs, batch = spec.training.max_epochs or 1, min(spec.training.batch_size or 32, description.rows)
    return Cost(
        features=features,
        parameters=parameters,
        steps=epochs * -(-description.rows // batch),
        # Two operations a weight and row forward, twice that backward, and one forward pass to evaluate.
        operations=8 * weights * description.rows * epochs,
        memory_bytes=_memory(description.rows, features, parameters, batch, widths),
    )


def _memory(rows: int, features: int, parameters: int, batch: int, widths: list[int]) -> int:
    data = rows * features * (2 * 8 + 3 * _FLOAT)  # as read, as transformed, resident, permuted, in flight
    state = parameters * _COPIES * _FLOAT
    activations = min(max(batch, 16_384), rows) * sum(widths) * 6 * _FLOAT
    return data + state + activations


def complaints_about(cost: Cost, limits: Limits) -> list[Complaint]:
    """Why this may not be spent, with the estimate and the limit; empty where it may."""
    asked = (
        (
            "/network/hidden",
            "parameters",
            cost.parameters,
            limits.parameters,
            "use narrower or fewer hidden layers",
        ),
        (
            "/network/hidden",
            "bytes of memory",
            cost.memory_bytes,
            limits.memory_bytes,
            "use fewer or narrower layers",
        ),
        (
            "/training/max_epochs",
            "operations",
            cost.operations,
            limits.operations,
            "use fewer epochs or a smaller network",
        ),
    )
    return [
        Complaint(
            pointer,
            f"this job would take about {value:.3g} {what}; the limit is {limit:.3g}",
            suggestion=instead,
        )
        for pointer, what, value, limit, instead in asked
        if value > limit
    ]
