"""Measuring networks on a split: loss and metrics in evaluation mode, the data term alone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from models.losses import Readout
from models.metrics import METRICS
from models.preprocessing import Prepared, Rows
from models.stacked import StackedNetwork

_T = TypeVar("_T")

CHUNK_ROWS = 1_024
"""Rows a forward pass: their activations stay in the cache, and the caller is asked between two passes."""


@dataclass(frozen=True, slots=True)
class SplitTensors:
    """The rows of one split as resident tensors."""

    x: Tensor
    """(n, features)"""
    targets: Tensor
    """(n,), in the trained space: standardized values, class indices, or 0.0 and 1.0."""
    encoded: Tensor
    """(n, outputs): targets in the form of outputs."""
    truth: Tensor
    """(n,), as metrics want it: in the target's own units, or class indices."""
    readout: Readout

    @classmethod
    def of(cls, rows: Rows, prepared: Prepared, *, floating: torch.dtype, device: str) -> Self:
        readout = Readout.of(prepared)
        given = torch.from_numpy(rows.y)
        targets = given.to(device=device, dtype=readout.target_dtype(floating))
        return cls(
            torch.from_numpy(rows.x).to(device=device, dtype=floating),
            targets,
            readout.encoded(targets, prepared.outputs, floating),
            readout.truth(given).to(device),
            readout,
        )

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Data:
    """All splits as resident tensors, where the network is; None for a split without rows."""

    train: SplitTensors
    validation: SplitTensors | None
    test: SplitTensors | None

    @classmethod
    def of(cls, prepared: Prepared, floating: torch.dtype, device: str) -> Self:
        def of(rows: Rows) -> SplitTensors:
            return SplitTensors.of(rows, prepared, floating=floating, device=device)

        return cls(
            of(prepared.train),
            of(prepared.validation) if prepared.validation else None,
            of(prepared.test) if prepared.test else None,
        )

    @property
    def readout(self) -> Readout:
        return self.train.readout


@torch.no_grad()
def evaluate(
    network: StackedNetwork, split: SplitTensors, metrics: list[str], *, prefix: str
) -> Generator[list[Any], None, dict[str, Tensor]]:
    """`<prefix>loss` and `<prefix><metric>`, each (K,); yields an empty list between chunks of rows."""
    outputs = []
    for start in range(0, len(split), CHUNK_ROWS):
        outputs.append(network.evaluate(split.x[start : start + CHUNK_ROWS]))
        if start:
            yield []
    together = torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]
    predictions = split.readout.predictions(together)
    measured = {f"{prefix}loss": split.readout.losses(together, split.targets).double().mean(-1)}
    return measured | {
        f"{prefix}{name}": METRICS[name].function(split.truth, predictions) for name in metrics
    }


def drained(work: Generator[object, None, _T]) -> _T:
    """What a generator returns, with no stop on the way."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
