"""What a curve shows, in numbers that are held against the *baseline* and not against each other.

The baseline is the loss of always answering with the mean (regression) or with the classes' frequencies: a
loss of 0 is perfect, and one as high as the baseline has learned nothing, whatever the units are. What the
numbers mean for the job is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.best import best_of, judge_of
from models.diagnosis.case import Case, finite
from models.diagnosis.levels import (
    END,
    LEAST_END,
    LEAST_TAIL,
    TAIL,
    UNUSUAL,
    end,
    first_nan,
    level,
    lowest,
    noise,
    surge,
    tail,
)
from models.diagnosis.yardsticks import baseline, first_loss, loss_error, row_counts, untrained

PULLS = {"l1": 1.0, "l2": 2.0}
"""By how much a penalty grows with the weights, in units of itself: Σ|w| as they do, Σw² twice as fast."""


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
    untrained: float
    """About the loss before the first step; the baseline or more."""
    train: float
    """Loss of the kept weights on the training rows."""
    val: float
    """The same on the validation rows; NaN without any."""
    gap_error: float
    """Standard error of val_loss, from what the losses of single rows vary by. The loss of the very rows that
    were trained on is no estimate: it is what it is."""
    rise: float
    """By how much the watched loss (val_loss, or train_loss where that is all) ends above its lowest."""
    lowest: float
    """That lowest level."""
    lowest_epoch: int
    train_rise: float
    """By how much train_loss ends above its lowest level."""
    end_gap: float
    """val_loss less train_loss at the end of the curve."""
    start: float
    """The first train_loss above nothing, after an epoch."""
    end_train: float
    """Level of train_loss at the end of the curve."""
    peak: float
    """The largest train_loss of all epochs."""
    level: float
    """Of the watched loss in the second half."""
    noise: float
    """Its standard deviation from epoch to epoch, its trend and the first quarter aside."""
    unrest: float
    """The same of its second half, by the tenth of the epochs that jump most."""
    surge: float
    """By how much train_loss went above what it had been, in the second half of the epochs."""
    before: float
    """Its level in the first half of the last quarter of the epochs …"""
    after: float
    """… and in the second half."""
    trend_error: float
    """Standard error of the difference of those two."""
    penalty_share: float
    """What the penalties make of the objective at the kept epoch."""
    pull: float
    """By how much the loss would fall if all penalized weights grew by a fraction, for each unit of that
    fraction: what penalties hold in balance at the kept epoch."""
    silent: float | None
    """Of the hidden layer with the most of them, the share of units that answer the same to every row."""
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
    train, val = case.numbers("train_loss"), case.numbers("val_loss")
    watched = val or train
    kept = _kept_epoch(case)
    rows, validated_rows = row_counts(case)
    kept_train, kept_val = _kept(case, "train", kept), _kept(case, "validation", kept)
    lowest_epoch, least = lowest(watched)
    before, after, trend_error = tail(watched)
    return Symptoms(
        case=case,
        epochs=case.epochs,
        kept_epoch=kept,
        broken_at=first_nan(train, val, case.numbers("objective")),
        baseline=baseline(case),
        untrained=untrained(case),
        train=kept_train,
        val=kept_val,
        gap_error=loss_error(case, kept_val),
        rise=end(watched) - least,
        lowest=least,
        lowest_epoch=lowest_epoch,
        train_rise=end(train) - lowest(train)[1],
        end_gap=end(val) - end(train),
        start=first_loss(case),
        end_train=end(train),
        peak=max((value for value in train if not math.isnan(value)), default=math.nan),
        level=level(watched[len(watched) // 2 :]),
        noise=noise(watched[len(watched) // 4 :]),
        unrest=noise(watched[len(watched) // 2 :], UNUSUAL),
        surge=surge(train),
        before=before,
        after=after,
        trend_error=trend_error,
        training_rows=rows,
        validation_rows=validated_rows,
        **_of_penalties(case, kept),
        **_of_weights(case, kept),
    )


# ── what was kept ───────────────────────────────────────────────────────────────────────────────────────────


def _kept_epoch(case: Case) -> int:
    restored = finite((case.result or {}).get("restored_epoch"))
    if restored >= 1:
        return int(restored)
    early_stopping = case.on.early_stopping
    judge = judge_of(case.spec, validated="val_loss" in case.series, undefined=case.undefined)
    if judge is None or (early_stopping and not early_stopping.restore_best_weights):
        return case.epochs
    values = case.numbers(judge)
    return best_of(judge, values, range(1, len(values) + 1)) or case.epochs


_CURVES = {"train": "train_loss", "validation": "val_loss"}


def _kept(case: Case, split: str, epoch: int) -> float:
    """Loss of the kept weights: as it was measured on them, else what the curve says of their epoch."""
    measured = case.measured(split, "loss")
    return case.at(_CURVES[split], epoch) if math.isnan(measured) else measured


# ── penalties and weights ───────────────────────────────────────────────────────────────────────────────────


def _of_penalties(case: Case, epoch: int) -> dict[str, Any]:
    """What they make of the objective, and how hard they pull.

    At an optimum the loss's slope along any weight balances the penalty's; added up over all weights that is
    λ·Σ|w| for L1 and twice λ·Σw² for L2.
    """
    names = [name for name in case.series if name.startswith("penalty_")]
    costs = {name.removeprefix("penalty_"): max(case.at(name, epoch), 0.0) for name in names}
    costs = {name: cost for name, cost in costs.items() if not math.isnan(cost)}
    cost = sum(costs.values())
    whole = cost + case.at("train_loss", epoch)
    return {
        "penalty_share": cost / whole if whole > 0 and math.isfinite(whole) else 0.0,
        "pull": sum(PULLS.get(name, 1.0) * each for name, each in costs.items()),
    }


def _of_weights(case: Case, kept: int) -> dict[str, Any]:
    inputs = [each for each in _parts(case, "inputs") if "kept" in each]
    sparsity = case.at("sparsity", kept)
    return {
        "silent": _silent(_parts(case, "layers")),
        "zeros": None if math.isnan(sparsity) else sparsity,
        "inputs": len(inputs) or None,
        "inputs_kept": sum(bool(each["kept"]) for each in inputs) if inputs else None,
    }


def _parts(case: Case, name: str) -> list[Mapping[str, Any]]:
    return [each for each in (case.weights or {}).get(name) or [] if isinstance(each, Mapping)]


def _silent(layers: list[Mapping[str, Any]]) -> float | None:
    counts = ((finite(each.get("silent")), each.get("shape") or [0]) for each in layers)
    shares = [count / shape[0] for count, shape in counts if count >= 0 and shape[0]]
    return max(shares, default=None)
