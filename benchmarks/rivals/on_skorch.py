"""skorch: the textbook's module in a scikit-learn estimator; penalties where its manual puts them."""

from __future__ import annotations

from typing import Any

import torch
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

from benchmarks.rivals.textbook import count, network, penalty
from benchmarks.workloads import LEARNING_RATE, Workload


class Skorch:
    name = "skorch"
    lacks = ""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def parameters(self) -> int:
        return count(network(self._workload))

    def train(self, epochs: int, seed: int) -> float:
        torch.manual_seed(seed)
        workload = self._workload
        x, y, x_held_out, y_held_out = (part.numpy() for part in workload.splits)
        binary = workload.widths[-1] == 1
        kind = _penalized(NeuralNetBinaryClassifier if binary else NeuralNetClassifier, workload)
        net = kind(
            network(workload),
            max_epochs=epochs,
            batch_size=workload.batch,
            lr=LEARNING_RATE,
            optimizer=torch.optim.Adam,
            iterator_train__shuffle=True,
            train_split=predefined_split(Dataset(x_held_out, y_held_out)),
            verbose=0,
            **({} if binary else {"criterion": nn.CrossEntropyLoss}),
        )
        net.fit(x, y)
        return float(net.history[-1, "valid_acc"])


def _penalized(kind: Any, workload: Workload) -> Any:
    class Penalized(kind):  # type: ignore[misc]
        def get_loss(self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False) -> Tensor:
            loss: Tensor = super().get_loss(y_pred, y_true, X=X, training=training)
            return loss + penalty(self.module_, workload) if training else loss

    return Penalized
