"""Measuring a network on a split: loss and metrics in evaluation mode, the data term alone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
from torch import Tensor

from models.losses import Readout
from models.metrics import METRICS
from models.network import Network
from models.preprocessing import Prepared, Rows

_T = TypeVar("_T")

CHUNK_ROWS = 16_384
"""Rows a forward pass: bounds the activations' memory, and the wait between two pulses."""


@dataclass(frozen=True, slots=True)
class SplitTensors:
    """The rows of one split as resident tensors."""

    x: Tensor
    """(n, features)"""
    targets: Tensor
    """(n,), in the trained space: standardized values, class indices, or 0.0 and 1.0."""
    truth: Tensor
    """(n,), as metrics want it: in the target's own units, or class indices."""
    readout: Readout

    @classmethod
    def of(cls, rows: Rows, *, readout: Readout, floating: torch.dtype, device: str) -> Self:
        targets = torch.from_numpy(rows.y)
        return cls(
            torch.from_numpy(rows.x).to(device=device, dtype=floating),
            targets.to(device=device, dtype=readout.target_dtype(floating)),
            readout.truth(targets).to(device),
            readout,
        )

    def __len__(self) -> int:
        return len(self.x)


def resident(
    prepared: Prepared, readout: Readout, floating: torch.dtype, device: str
) -> tuple[SplitTensors, SplitTensors | None, SplitTensors | None]:
    """Training, validation and test rows where the network is; None for a split without rows."""

    def of(rows: Rows) -> SplitTensors:
        return SplitTensors.of(rows, readout=readout, floating=floating, device=device)

    return (
        of(prepared.train),
        of(prepared.validation) if prepared.validation else None,
        of(prepared.test) if prepared.test else None,
    )


@torch.no_grad()
def evaluate(
    network: Network, split: SplitTensors, metrics: list[str], *, prefix: str
) -> Generator[None, None, dict[str, Tensor]]:
    """`<prefix>loss` and `<prefix><metric>` as scalar tensors; yields between chunks of rows."""
    was_training = network.training
    network.eval()
    outputs = []
    for start in range(0, len(split), CHUNK_ROWS):
        outputs.append(network(split.x[start : start + CHUNK_ROWS]))
        if start:
            yield
    network.train(was_training)
    together = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    predictions = split.readout.predictions(together)
    measured = {f"{prefix}loss": split.readout.loss(together, split.targets)}
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
