"""What a curve shows, in numbers that are held against the *baseline* and not against each other.

The baseline is the loss of always answering with the mean (regression) or with the classes' frequencies: a
loss of 0 is perfect, and one as high as the baseline has learned nothing, whatever the units are. What the
numbers mean for the job is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.best import judge_of
from models.datasets import Description
from models.defaults import training_rows
from models.diagnosis.levels import (
    END,
    LEAST_END,
    LEAST_TAIL,
    TAIL,
    end,
    first_nan,
    level,
    lowest,
    noise,
    tail,
)
from models.metrics import METRICS, direction
from models.regularizers import Regularization
from models.spec import JobSpec

Series = Mapping[str, Sequence[float | None]]

USUAL_VALIDATION = 0.2
"""Of the rows, where it is not known which share they are."""
SQUARED_ERRORS_VARY = math.sqrt(2)
"""Standard deviation over mean of squared normal errors."""
LOSS_OF_A_MISTAKE = 3.0
"""Nats: P = 0.05 for what was true. A loss of L is then as good as L/3 mistakes a row, which come by chance
(Poisson), so that losses of rows vary by √(3·L)."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a job."""

    spec: JobSpec
    """Complete."""
    series: Series
    """The curve from epoch 1 on; None or NaN where a value was not finite."""
    result: Mapping[str, Any] | None = None
    stop_reason: str | None = None
    """None while it runs."""
    weights: Mapping[str, Any] | None = None
    """What the weights say (see `models.weights.summarize`)."""
    description: Description | None = None

    @property
    def epochs(self) -> int:
        return max(map(len, self.series.values()), default=0)

    @property
    def on(self) -> Regularization:
        """The cocktail; an empty one where there is none."""
        return self.spec.regularization or Regularization()

    @property
    def hidden(self) -> list[int]:
        """Widths of the hidden layers."""
        return self.spec.network.hidden or []

    @property
    def is_exact(self) -> bool:
        """Solved to the optimum, step by step downhill."""
        return self.spec.optimizer.kind == "fista"


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What was found; NaN or None where there is nothing to find it in."""

    case: Case
    epochs: int
    kept_epoch: int
    """The epoch whose weights were kept; while the job runs, the best so far."""
    broken_at: int | None
    """The first epoch with a loss that was not finite."""
    baseline: float
    train: float
    """Loss of the kept weights on the training rows."""
    val: float
    """The same on the validation rows; NaN without any."""
    gap_error: float
    """Standard error of the gap, from the number of validation rows."""
    rise: float
    """By how much the watched loss (val_loss, or train_loss where that is all) ends above its lowest."""
    lowest: float
    """That lowest level."""
    lowest_epoch: int
    train_rise: float
    """The same of train_loss."""
    end_gap: float
    """val_loss less train_loss at the end of the curve."""
    start: float
    """The first train_loss, after one epoch."""
    end_train: float
    """Level of train_loss at the end of the curve."""
    level: float
    """Of the watched loss in the second half."""
    noise: float
    """Its standard deviation from epoch to epoch, its trend and the first quarter aside."""
    before: float
    """Its level in the first half of the last quarter of the epochs …"""
    after: float
    """… and in the second half."""
    trend_error: float
    """Standard error of the difference of those two."""
    penalty_share: float
    """What the penalties make of the objective at the kept epoch."""
    zeros: float | None
    """Share of weights that are exactly zero."""
    inputs: int | None
    inputs_kept: int | None
    training_rows: int | None
    validation_rows: int | None

    @property
    def rise_error(self) -> float:
        """Standard error of `rise`, the difference of two medians over a tenth of the epochs each."""
        return self.noise * math.sqrt(math.pi / 2 * 2 / max(self.epochs // END, LEAST_END))

    @property
    def tail(self) -> int:
        """How many epochs the last quarter has."""
        return min(max(self.epochs // TAIL, LEAST_TAIL), self.epochs)

    @property
    def watched(self) -> str:
        """The series that tells how it goes."""
        return "val_loss" if self.is_validated else "train_loss"

    @property
    def is_validated(self) -> bool:
        return not math.isnan(self.val)

    @property
    def climb(self) -> float:
        """By how much train_loss ends above what it has been, or what was kept."""
        return max(self.train_rise, self.end_train - self.train)

    @property
    def gap(self) -> float:
        return self.val - self.train

    @property
    def gap_share(self) -> float:
        """The gap in units of the baseline."""
        return self.gap / self.baseline

    @property
    def learned(self) -> float:
        """Which share of the baseline is gone from train_loss."""
        return 1 - self.train / self.baseline

    @property
    def fall(self) -> float:
        """By how much the watched loss still fell within the last quarter."""
        return self.before - self.after


def symptoms(case: Case) -> Symptoms:
    """Everything that a curve of at least one epoch shows."""
    train, val = _numbers(case, "train_loss"), _numbers(case, "val_loss")
    watched = val or train
    kept = _kept_epoch(case)
    rows, validated_rows = _rows(case)
    kept_val = _kept(case, "validation", val, kept)
    lowest_epoch, least = lowest(watched)
    before, after, trend_error = tail(watched)
    return Symptoms(
        case=case,
        epochs=case.epochs,
        kept_epoch=kept,
        broken_at=first_nan(train, val, _numbers(case, "objective")),
        baseline=_baseline(case, train),
        train=_kept(case, "train", train, kept),
        val=kept_val,
        gap_error=_gap_error(case, kept_val, validated_rows),
        rise=end(watched) - least,
        lowest=least,
        lowest_epoch=lowest_epoch,
        train_rise=end(train) - lowest(train)[1],
        end_gap=end(val) - end(train),
        start=_start(train),
        end_train=end(train),
        level=level(watched[len(watched) // 2 :]),
        noise=noise(watched[len(watched) // 4 :]),
        before=before,
        after=after,
        trend_error=trend_error,
        penalty_share=_penalty_share(case, kept),
        training_rows=rows,
        validation_rows=validated_rows,
        **_of_weights(case, kept),
    )


def _numbers(case: Case, name: str) -> list[float]:
    """A series with NaN for whatever is not finite."""
    given = case.series.get(name, ())
    return [value if value is not None and math.isfinite(value) else math.nan for value in given]


def _at(values: Sequence[float | None], epoch: int) -> float:
    value = values[epoch - 1] if 0 < epoch <= len(values) else None
    return math.nan if value is None or not math.isfinite(value) else value


# ── what was kept, and against what it is measured ──────────────────────────────────────────────────────────


def _kept_epoch(case: Case) -> int:
    restored = (case.result or {}).get("restored_epoch")
    if restored:
        return int(restored)
    early_stopping = case.on.early_stopping
    judge = judge_of(case.spec, validated="val_loss" in case.series)
    values = _numbers(case, judge) if judge else []
    if judge is None or (early_stopping and not early_stopping.restore_best_weights):
        return case.epochs
    sign = -1.0 if direction(judge) == "higher" else 1.0
    finite = ((sign * value, epoch) for epoch, value in enumerate(values, 1) if not math.isnan(value))
    return min(finite, default=(0.0, case.epochs))[1]


def _kept(case: Case, split: str, values: Sequence[float], epoch: int) -> float:
    """Loss of the kept weights: as it was measured on them, else what the curve says of their epoch."""
    measured = ((case.result or {}).get(split) or {}).get("loss")
    return float(measured) if isinstance(measured, int | float) else _at(values, epoch)


def _baseline(case: Case, train: Sequence[float]) -> float:
    """The loss of always answering with the classes' frequencies or the mean."""
    described = case.description
    found = math.nan
    if described and described.classes:
        found = _entropy([each.count for each in described.classes])
    elif is_regression(case):
        found = 1.0 if case.spec.preprocessing.target == "standardize" else _variance(case, train)
    return found if found > 0 else _start(train)


def is_regression(case: Case) -> bool:
    """By the data's description; without it, as far as metrics tell."""
    if case.description:
        return case.description.task == "regression"
    return any(METRICS[name].tasks == {"regression"} for name in case.spec.metrics or [])


def _entropy(counts: Sequence[int]) -> float:
    rows = sum(counts)
    return -sum(count / rows * math.log(count / rows) for count in counts if count)


def _variance(case: Case, train: Sequence[float]) -> float:
    """Of the target: r2 is 1 − loss/variance."""
    pairs = zip(train, _numbers(case, "train_r2"), strict=False)
    return next((loss / (1 - r2) for loss, r2 in pairs if loss > 0 and r2 < 1), math.nan)


def _start(train: Sequence[float]) -> float:
    """Where nothing else is known: what the network knew first, which was next to nothing."""
    return next((value for value in train if value > 0), 1.0)


def _spread(case: Case, loss: float) -> float:
    """How much the losses of single rows vary around their mean."""
    if is_regression(case):
        return SQUARED_ERRORS_VARY * loss
    return math.sqrt(LOSS_OF_A_MISTAKE * loss) if loss > 0 else loss


def _gap_error(case: Case, loss: float, rows: int | None) -> float:
    """Standard error of the validation loss; where a column decides on rows, the usual fifth is assumed."""
    if rows is None and case.description and "val_loss" in case.series:
        rows = round(case.description.rows * USUAL_VALIDATION)
    return _spread(case, loss) / math.sqrt(rows) if rows else 0.0


def _rows(case: Case) -> tuple[int | None, int | None]:
    """Training and validation rows, as far as they are known."""
    described, split = case.description, case.spec.split
    if described is None:
        return None, None
    validated = None if split.column else round(described.rows * (split.validation or 0))
    return training_rows(split, described), validated


# ── penalties and weights ───────────────────────────────────────────────────────────────────────────────────


def _penalty_share(case: Case, epoch: int) -> float:
    costs = [_at(values, epoch) for name, values in case.series.items() if name.startswith("penalty_")]
    cost = sum(cost for cost in costs if cost > 0)
    whole = cost + _at(case.series.get("train_loss", ()), epoch)
    return cost / whole if whole > 0 else 0.0


def _of_weights(case: Case, kept: int) -> dict[str, Any]:
    inputs = (case.weights or {}).get("inputs") or []
    sparsity = _at(case.series.get("sparsity", ()), kept)
    return {
        "zeros": None if math.isnan(sparsity) else sparsity,
        "inputs": len(inputs) or None,
        "inputs_kept": sum(bool(each.get("kept")) for each in inputs) if inputs else None,
    }
