"""Which epoch is the best so far, and the weights to go back to. It judges the curve alone."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from models.flat import FlatParameters
from models.history import Epoch, History
from models.metrics import direction
from models.spec import JobSpec


class Best:
    """The best epoch's number, and a copy of its weights where they are to be restored."""

    def __init__(self, spec: JobSpec, *, validated: bool) -> None:
        """`validated`: there are validation rows to judge by."""
        early_stopping = spec.regularization.early_stopping if spec.regularization else None
        self._judge = judge_of(spec, validated=validated)
        self._restores = early_stopping is None or early_stopping.restore_best_weights
        self.epoch: int | None = None
        self.weights: dict[str, Tensor] = {}

    def see(self, history: History, flat: FlatParameters) -> None:
        """Look at the newest epoch, whose weights these are."""
        newest = history.epochs[-1]
        if not self._is_beaten_by(newest, history):
            return
        self.epoch = newest.number
        if self._restores:
            self.weights = {name: tensor.clone() for name, tensor in flat.state().items()}

    def _is_beaten_by(self, epoch: Epoch, history: History) -> bool:
        """Ties go to the earlier epoch; an epoch that is not a finite number is never the best."""
        value = epoch.values.get(self._judge or "train_loss", math.nan)
        if not math.isfinite(value):
            return False
        if self._judge is None or self.epoch is None:
            return True
        champion = history.epochs[self.epoch - 1].values[self._judge]
        return value > champion if direction(self._judge) == "higher" else value < champion

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, **self.weights}

    def resume(self, state: dict[str, Any], flat: FlatParameters) -> None:
        self.epoch = state["epoch"]
        kept = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
        self.weights = flat.copies(kept) if kept else {}


def judge_of(spec: JobSpec, *, validated: bool) -> str | None:
    """The series that says which epoch is best; None where the last one is."""
    if spec.regularization and spec.regularization.early_stopping:
        return spec.regularization.early_stopping.monitors[0].metric
    # FISTA was asked for the optimum, not for a stop on the way to it.
    return "val_loss" if validated and spec.optimizer.kind != "fista" else None
