"""What a job will cost, worked out before anything is spent: an estimate from above."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from models.datasets import Description
from models.errors import Complaint
from models.footprint import footprint
from models.preprocessing import most_features
from models.spec import JobSpec


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
    """Peak in the host's memory: the table as read and prepared, and the training unless it is on a GPU."""
    member_bytes: int
    """What of it is a network's own: each further member of a stack takes as much."""
    device_bytes: int
    """Peak in a GPU's memory, where it is trained on one; 0 where the job asks for the CPU."""
    device_member_bytes: int
    """What each further member of a stack takes of that."""

    def stack_bytes(self, members: int) -> int:
        """Peak in the host's memory of so many such networks trained together, which share the data."""
        return self.memory_bytes + (members - 1) * self.member_bytes

    def members_within(self, limits: Limits, *, on_gpu: bool) -> int:
        """How many such networks, which share the data, may be trained together within limits; 1 at least."""
        further = (limits.memory_bytes - self.memory_bytes) // self.member_bytes
        if on_gpu and limits.device_bytes is not None:
            there = (limits.device_bytes - self.device_bytes) // self.device_member_bytes
            further = min(further, there)
        return max(1, 1 + further)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may cost."""

    parameters: int
    operations: int
    memory_bytes: int
    device_bytes: int | None = None
    """Of a GPU's memory, by a job that insists on one; None: as much as there is."""


def estimate(spec: JobSpec, description: Description) -> Cost:
    """The cost of a complete spec on data like this."""
    features = most_features(spec.preprocessing, description, exclude=spec.split.column)
    outputs = len(description.classes) if description.classes and len(description.classes) > 2 else 1
    widths = [features, *(spec.network.hidden or []), outputs]
    weights = sum(entering * leaving for entering, leaving in pairwise(widths))
    batch_norm = 2 * sum(widths[1:-1]) if spec.regularization and spec.regularization.batch_norm else 0
    parameters = weights + sum(widths[1:]) + batch_norm
    epochs, batch = spec.training.max_epochs or 1, min(spec.training.batch_size or 32, description.rows)
    held = footprint(spec, description.rows, widths, parameters)
    return Cost(
        features=features,
        parameters=parameters,
        steps=epochs * -(-description.rows // batch),
        # Two operations a weight and row forward, twice that backward, and one forward pass to evaluate.
        operations=8 * weights * description.rows * epochs,
        memory_bytes=held.host_bytes,
        member_bytes=held.host_member_bytes,
        device_bytes=held.device_bytes,
        device_member_bytes=held.device_member_bytes,
    )


def complaints_about(cost: Cost, limits: Limits, *, on_gpu: bool = False) -> list[Complaint]:
    """Why this may not be spent, with the estimate and the limit; empty where it may.

    `on_gpu`: the job insists on a GPU; one that may be trained elsewhere is not held to a GPU's memory.
    """
    smaller = "use fewer or narrower layers"
    asked: list[tuple[str, str, int, int, str]] = [
        (
            "/network/hidden",
            "parameters",
            cost.parameters,
            limits.parameters,
            "use narrower or fewer hidden layers",
        ),
        ("/network/hidden", "bytes of memory", cost.memory_bytes, limits.memory_bytes, smaller),
        (
            "/training/max_epochs",
            "operations",
            cost.operations,
            limits.operations,
            "use fewer epochs or a smaller network",
        ),
    ]
    if on_gpu and limits.device_bytes is not None:
        instead = f"{smaller}, smaller batches, or device 'auto'"
        asked.append(
            ("/network/hidden", "bytes of GPU memory", cost.device_bytes, limits.device_bytes, instead)
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
