"""The data term of each task, and how raw network outputs become what people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.nn import functional

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

    def loss(self, outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy (one logit and a sigmoid for two classes, softmax for more) or squared error.

        Outputs (n, 1) or (n, classes); targets (n,): float for binary and regression, int64 for multiclass.
        """
        if self.task == "multiclass":
            return functional.cross_entropy(outputs, targets, reduction=reduction)
        if self.task == "binary":
            return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction=reduction)
        return functional.mse_loss(outputs[:, 0], targets, reduction=reduction)

    def predictions(self, outputs: Tensor) -> Predictions:
        """Labels and probabilities, or values in the target's own units."""
        if self.task == "multiclass":
            return Predictions(labels=outputs.argmax(dim=1), probabilities=outputs.softmax(dim=1))
        if self.task == "binary":
            logits = outputs[:, 0]
            return Predictions(labels=(logits > 0).long(), probabilities=logits.sigmoid())
        return Predictions(values=outputs[:, 0] * self.sd + self.mean)

    def truth(self, targets: Tensor) -> Tensor:
        """Targets as metrics want them: class indices, or values in the target's own units."""
        return targets * self.sd + self.mean if self.task == "regression" else targets.long()

    def target_dtype(self, floating: torch.dtype) -> torch.dtype:
        return torch.int64 if self.task == "multiclass" else floating

    def curvature(self) -> float:
        """Bound on the loss's second derivative in the outputs: 1/4, 1/2 (Böhning 1992), 2."""
        return {"binary": 0.25, "multiclass": 0.5, "regression": 2.0}[self.task]
