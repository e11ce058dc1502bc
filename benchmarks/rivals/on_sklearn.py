"""scikit-learn's MLPClassifier, an epoch at a time, so that it too is measured after every one."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks.workloads import LEARNING_RATE, Workload


class Sklearn:
    name = "scikit-learn MLP"
    lacks = "dropout, batch norm, L1"

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._splits = [part.numpy() for part in workload.splits]
        self._classes = np.unique(self._splits[1])

    def parameters(self) -> int:
        x, y, *_ = self._splits
        model = self._model(0).partial_fit(x, y, classes=self._classes)
        return sum(part.size for part in (*model.coefs_, *model.intercepts_))

    def train(self, epochs: int, seed: int) -> float:
        x, y, x_held_out, y_held_out = self._splits
        model, accuracy = self._model(seed), 0.0
        with threadpool_limits(1, user_api="blas"):
            for _ in range(epochs):
                model.partial_fit(x, y, classes=self._classes)
                accuracy = float(model.score(x_held_out, y_held_out))
        return accuracy

    def _model(self, seed: int) -> MLPClassifier:
        """Its alpha is α‖w‖²/2 over a batch's sum; ours is λ‖w‖² over its mean."""
        workload = self._workload
        return MLPClassifier(
            workload.hidden,
            alpha=2 * workload.l2 * workload.batch,
            batch_size=workload.batch,
            learning_rate_init=LEARNING_RATE,
            random_state=seed,
        )
