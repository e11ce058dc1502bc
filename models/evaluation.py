"""Measuring networks on splits: loss and metrics in evaluation mode, the data term alone."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from models.lanes import whole_lanes
from models.losses import Readout
from models.metrics import METRICS
from models.preprocessing import Prepared, Rows
from models.stacked import StackedNetwork

_T = TypeVar("_T")

CHUNK_ROWS = 1_024
"""Rows a forward pass: their activations stay in the cache, and the caller is asked between two passes."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The rows of some splits, one split behind the other: what is measured in one pass.

    Each begins on a whole vector; the rows between them are zeros, and what comes of those is not looked at.
    """

    x: Tensor
    """(rows, features)"""
    targets: Tensor
    """(rows,), in the trained space: standardized values, class indices, or 0.0 and 1.0."""
    spans: Mapping[str, slice]
    """The splits' names, and where their rows are."""
    truths: Mapping[str, Tensor]
    """(n,) a split, as metrics want it: float64 in the target's own units, or class indices."""
    readout: Readout

    @classmethod
    def of(cls, splits: Mapping[str, Rows], prepared: Prepared, floating: torch.dtype, device: str) -> Self:
        readout, spans, end = Readout.of(prepared), dict[str, slice](), 0
        for name, rows in splits.items():
            spans[name] = slice(end, end + len(rows.x))
            end = whole_lanes(end + len(rows.x))
        columns = prepared.train.x.shape[1]
        x = torch.zeros(end, columns, dtype=floating)
        targets = torch.zeros(end, dtype=readout.target_dtype(floating))
        for name, rows in splits.items():
            x[spans[name]] = torch.from_numpy(rows.x)
            targets[spans[name]] = torch.from_numpy(rows.y)
        # Never by way of the trained space: of a target far from zero single precision has no digits left.
        truths = {name: torch.from_numpy(rows.target).to(device) for name, rows in splits.items()}
        return cls(x.to(device), targets.to(device), spans, truths, readout)


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The training split as batches are made of it."""

    x: Tensor
    """(n, features)"""
    targets: Tensor
    """(n,)"""
    encoded: Tensor
    """(n, outputs): targets in the form of outputs."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Data:
    """All splits as resident tensors, where the network is."""

    train: TrainingRows
    watched: Splits
    """What is measured every epoch: `train`, and `val` where there are validation rows."""
    test: Splits | None
    """`test`, apart: it is looked at once."""

    @classmethod
    def of(cls, prepared: Prepared, floating: torch.dtype, device: str) -> Self:
        validation, test = prepared.validation, prepared.test
        named = {"train": prepared.train} | ({"val": validation} if validation else {})
        watched = Splits.of(named, prepared, floating, device)
        span = watched.spans["train"]
        x, targets = watched.x[span], watched.targets[span]
        encoded = watched.readout.encoded(targets, prepared.outputs, floating)
        return cls(
            TrainingRows(x, targets, encoded),
            watched,
            Splits.of({"test": test}, prepared, floating, device) if test else None,
        )

    @property
    def readout(self) -> Readout:
        return self.watched.readout


def evaluate(
    network: StackedNetwork, splits: Splits, metrics: list[str], *, with_errors: bool = False
) -> Generator[list[Any], None, dict[str, dict[str, Tensor]]]:
    """Each split's `loss` and metrics by name, (K,) each; yields an empty list between chunks of rows.

    `with_errors` adds `loss_se`, the standard error of the loss, where a split has two rows and more.
    """
    outputs = []
    for start in range(0, len(splits.x), CHUNK_ROWS):
        if start:
            yield []
        with torch.inference_mode():
            outputs.append(network.evaluate(splits.x[start : start + CHUNK_ROWS]))
    return _measured(splits, outputs, metrics, with_errors)


@torch.inference_mode()
def _measured(
    splits: Splits, parts: list[Tensor], metrics: list[str], with_errors: bool
) -> dict[str, dict[str, Tensor]]:
    outputs = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
    losses = splits.readout.losses(outputs, splits.targets).double()
    predictions = splits.readout.predictions(outputs)
    measured = {}
    for name, span in splits.spans.items():
        own, truth = predictions.of(span), splits.truths[name]
        measured[name] = {"loss": losses[..., span].mean(-1)}
        measured[name] |= {metric: METRICS[metric].function(truth, own) for metric in metrics}
        if with_errors and len(truth) > 1:
            measured[name]["loss_se"] = _standard_error(losses[..., span])
    return measured


def _standard_error(losses: Tensor) -> Tensor:
    """Of the mean over the rows, (K, n) → (K,): s/√n with s² = Σ (loss − mean)²/(n − 1).

    By the same sums as the mean is, so that a network has the same number alone and in a stack.
    """
    rows = losses.shape[-1]
    off = losses - losses.mean(-1, keepdim=True)
    return (off.square().mean(-1) / (rows - 1)).sqrt()


def drained(work: Generator[object, None, _T]) -> _T:
    """What a generator returns, with no stop on the way."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
