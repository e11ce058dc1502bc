"""Which epoch is the best so far. It judges the curve alone; whose weights those were is not known here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from models.history import Epoch, History
from models.metrics import direction
from models.spec import JobSpec

_MONITOR = re.compile(r"/regularization/early_stopping/monitors/(\d+)/metric")


class Best:
    """The best epoch's number, and whether its weights are to be restored."""

    def __init__(self, spec: JobSpec, *, validated: bool, undefined: Set[str] = frozenset()) -> None:
        """`validated`: there are validation rows; `undefined`: series that say nothing on them."""
        early_stopping = spec.regularization.early_stopping if spec.regularization else None
        self._judge = judge_of(spec, validated=validated, undefined=undefined)
        self.restores = early_stopping is None or early_stopping.restore_best_weights
        self.epoch: int | None = None

    def see(self, history: History) -> bool:
        """Look at the newest epoch: is it the best?"""
        newest = history.epochs[-1]
        if not self._is_beaten_by(newest, history):
            return False
        self.epoch = newest.number
        return True

    def _is_beaten_by(self, epoch: Epoch, history: History) -> bool:
        """Ties go to the earlier epoch; an epoch that is not a finite number is never the best."""
        value = epoch.values.get(self._judge or "train_loss", math.nan)
        if not math.isfinite(value):
            return False
        if self._judge is None or self.epoch is None:
            return True
        champion = history.epochs[self.epoch - 1].values[self._judge]
        return value > champion if direction(self._judge) == "higher" else value < champion


def judge_of(spec: JobSpec, *, validated: bool, undefined: Set[str] = frozenset()) -> str | None:
    """The series that says which epoch is best; None where the last one is.

    It is the first monitor's, or val_loss where that one is undefined on its rows.
    """
    if spec.regularization and spec.regularization.early_stopping:
        series = spec.regularization.early_stopping.monitors[0].metric
        if series not in undefined:
            return series
    # FISTA was asked for the optimum, not for a stop on the way to it.
    return "val_loss" if validated and spec.optimizer.kind != "fista" else None


def undefined_monitors(spec: JobSpec, warnings: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Monitored series that a job's warnings, notices as they are stored, call undefined on its rows.

    Their values do not show it: an f1 that is undefined is 0 in every epoch.
    """
    early_stopping = spec.regularization.early_stopping if spec.regularization else None
    monitors = early_stopping.monitors if early_stopping else []
    found = (
        _MONITOR.fullmatch(str(each.get("pointer"))) for each in warnings if each.get("kind") == "undefined"
    )
    indices = {int(match[1]) for match in found if match}
    return frozenset(monitor.metric for index, monitor in enumerate(monitors) if index in indices)


def best_of(judge: str, values: Sequence[float | None], epochs: Sequence[int]) -> int | None:
    """The epoch with the best value of the series that judges; the first of equals, None without a number."""
    sign = -1.0 if direction(judge) == "higher" else 1.0
    known = (
        (sign * value, epoch)
        for value, epoch in zip(values, epochs, strict=False)
        if value is not None and math.isfinite(value)
    )
    return min(known, default=(0.0, None))[1]
