"""What a job will cost, worked out before anything is spent: an estimate from above."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from models.datasets import Description
from models.errors import Complaint
from models.preprocessing import most_features
from models.spec import JobSpec

_FLOAT = 4

_COPIES = 9
"""Of all parameters at the worst moment: weights, gradient, two moments, the best so far, and of a proximal
penalty its step, its threshold and two intermediate results. A strength that is the same everywhere is one
number; where feature weights make it differ, it is one copy more."""

_AHEAD_BYTES = 3 * 2**20
"""Rows, masks and outputs that a stack works out ahead or behind (`models.batches`, `models.masks`)."""
_CHUNK_ROWS = 1_024
"""Rows that are evaluated at a time (`models.evaluation`)."""
_LANES = 32
"""Units are filled up to a multiple of these for batch norm (`models.lanes`, which loads torch)."""


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
    member_bytes: int
    """What of it is a network's own: each further member of a stack takes as much."""

    def stack_bytes(self, members: int) -> int:
        """Peak of so many such networks trained together, which share the data."""
        return self.memory_bytes + (members - 1) * self.member_bytes


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
    own = _of_network(spec, description.rows, parameters, batch, widths)
    return Cost(
        features=features,
        parameters=parameters,
        steps=epochs * -(-description.rows // batch),
        # Two operations a weight and row forward, twice that backward, and one forward pass to evaluate.
        operations=8 * weights * description.rows * epochs,
        memory_bytes=_of_data(description.rows, features) + own,
        member_bytes=own,
    )


def _of_data(rows: int, features: int) -> int:
    """As read, as transformed, what is between the two, and resident."""
    return rows * features * (3 * 8 + _FLOAT) + _AHEAD_BYTES


def _of_network(spec: JobSpec, rows: int, parameters: int, batch: int, widths: list[int]) -> int:
    penalties = spec.regularization.penalties().values() if spec.regularization else ()
    uneven = sum(bool(penalty.feature_weights) or penalty.scope != "all" for penalty in penalties)
    state = parameters * (_COPIES + uneven) * _FLOAT
    # Layers have their places for a batch, and for a last one that is shorter, at worst by a row. Of a chunk
    # that is evaluated there are a layer and the next.
    sizes = 2 if batch < rows else 1
    normed = widths[1:-1] if spec.regularization and spec.regularization.batch_norm else []
    filling = sum(-width % _LANES for width in normed)
    kept = sizes * batch * (7 * sum(widths[1:]) + 4 * filling + 3 * widths[0])
    passing = min(rows, _CHUNK_ROWS) * max(map(sum, pairwise(widths[1:])), default=widths[-1])
    activations = (kept + passing) * _FLOAT
    of_rows = rows * (1 + 8 * widths[-1]) * _FLOAT  # its order of them, and what it says when measured
    return state + activations + of_rows


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
