"""The data term of each task, and how raw network outputs become what people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.nn import functional

from models.lanes import in_whole_vectors
from models.metrics import Predictions, Task

if TYPE_CHECKING:
    from models.preprocessing import Prepared


@dataclass(frozen=True, slots=True)
class Readout:
    """What stands behind the last layer: the loss in the trained space, the predictions in people's units."""

    task: Task
    mean: float = 0.0
    """Regression: the training targets' mean, put back into predictions."""
    sd: float = 1.0
    """Regression: the training targets' standard deviation."""

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """How a network's outputs are read for this data."""
        scale = prepared.preprocessor.target
        return cls(prepared.task, scale.mean, scale.sd) if scale else cls(prepared.task)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Each row's loss: cross-entropy (a sigmoid for two classes, softmax for more), or squared error.

        Outputs (…, n, 1) or (…, n, classes); targets (…, n): int64 for multiclass, else float.
        """
        if self.task == "multiclass":
            chosen = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
            return -outputs.log_softmax(-1).gather(-1, chosen).squeeze(-1)
        values = outputs[..., 0]
        targets = targets.expand(values.shape)
        if self.task == "regression":
            return (values - targets).square()
        return in_whole_vectors(_logistic_losses, values.contiguous(), targets.contiguous())

    def encoded(self, targets: Tensor, classes: int, floating: torch.dtype) -> Tensor:
        """Targets in the form of outputs, (…, n, outputs): one-hot rows, or a column."""
        if self.task == "multiclass":
            return functional.one_hot(targets, classes).to(floating)
        return targets.to(floating).unsqueeze(-1)

    def gradient(self, outputs: Tensor, encoded: Tensor, *, to: Tensor | None = None) -> Tensor:
        """Of the mean loss over the rows in the outputs, (K, n, outputs) → the same shape, if wanted in `to`.

        (softmax(z) − y)/n, (σ(z) − y)/n, 2·(z − y)/n, with y encoded as `encoded` does.
        """
        rows = outputs.shape[-2]
        if self.task == "regression":
            return torch.mul(outputs - encoded, 2 / rows, out=to)
        is_binary = self.task == "binary"
        chances = in_whole_vectors(torch.sigmoid, outputs) if is_binary else outputs.softmax(-1)
        return torch.mul(chances.sub_(encoded), 1 / rows, out=to)

    def predictions(self, outputs: Tensor) -> Predictions:
        """Labels and probabilities, or values in the target's own units; leading dimensions are kept.

        In double precision: in single precision a target far from zero has no digits for its differences
        (neighbours of 1.6e9 are 128 apart), and 1 − P is 0 for P above 1 − 6e-8.
        """
        if self.task == "multiclass":
            return Predictions(labels=outputs.argmax(dim=-1), probabilities=outputs.double().softmax(dim=-1))
        values = outputs[..., 0].double().contiguous()
        if self.task == "binary":
            probabilities = in_whole_vectors(torch.sigmoid, values)
            return Predictions(labels=(values > 0).long(), probabilities=probabilities)
        return Predictions(values=values * self.sd + self.mean)

    def target_dtype(self, floating: torch.dtype) -> torch.dtype:
        return torch.int64 if self.task == "multiclass" else floating

    def curvature(self) -> float:
        """Bound on the loss's second derivative in the outputs: 1/4, 1/2 (Böhning 1992), 2."""
        return {"binary": 0.25, "multiclass": 0.5, "regression": 2.0}[self.task]


def _logistic_losses(z: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(z, y, reduction="none")
