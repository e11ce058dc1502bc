"""What was found, piece by piece: a name, a number, and words with the number in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.diagnosis.case import Case
from models.diagnosis.symptoms import Symptoms
from models.diagnosis.verdicts import (
    SEEN_ERRORS,
    SEEN_GAP,
    SIGNIFICANT,
    has_strong_decay,
    is_pulled_back,
    may_be_overfitting,
    odd_rate,
    rates,
)
from models.diagnosis.words import counted, number, percent, percent_of
from models.notices import SMALL_BATCH

SKEWED = 4.0
"""The largest class has four times the rows of the smallest: always answering it scores 80 % of the two."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was measured, as a number and in words."""

    name: str
    value: float
    """In the unit that the words name; always finite."""
    detail: str


def skew(case: Case) -> float:
    """Rows of the largest class over rows of the smallest that has any; 1 for a regression."""
    counts = [each.count for each in (case.description and case.description.classes) or [] if each.count]
    return max(counts) / min(counts) if counts else 1.0


def evidence(found: Symptoms) -> list[Evidence]:
    """Everything that can be said of the case, in the order in which one would look."""
    told = (Evidence(name, value, detail) for show in _SHOWN for name, value, detail in show(found))
    return [each for each in told if math.isfinite(each.value)]


_Told = Iterator[tuple[str, float, str]]


def _broken(found: Symptoms) -> _Told:
    if found.broken_at is not None:
        yield "not_finite", found.broken_at, f"the loss was not a finite number in epoch {found.broken_at}"


def _learned(found: Symptoms) -> _Told:
    always = "the mean" if found.case.is_regression else "the classes' frequencies"
    detail = (
        f"train_loss {number(found.train)} at epoch {found.kept_epoch}, where always answering with {always} "
        f"has {number(found.baseline)}: {percent(found.learned)} of that are gone"
    )
    yield "learned", found.learned, detail


def _gap(found: Symptoms) -> _Told:
    sure = f", standard error {percent(found.gap_error / found.baseline)}" if found.gap_error else ""
    detail = (
        f"val_loss {number(found.val)} less train_loss {number(found.train)} at epoch {found.kept_epoch}, "
        f"whose weights count: {percent(found.gap_share)} of the baseline{sure}"
    )
    yield "gap", found.gap, detail
    if may_be_overfitting(found):
        yield "gap_in_errors", found.gap / found.gap_error, _unsure(found)
    grown = found.end_gap - found.gap
    word = "grew" if grown > 0 else "shrank"
    yield "gap_growth", grown, f"the gap {word} to {number(found.end_gap)} by epoch {found.epochs}"


def _unsure(found: Symptoms) -> str:
    """An error falls with the root of the rows: how many it would take."""
    sure = f"a gap of {number(found.gap / found.gap_error)} standard errors may be chance"
    if not found.validation_rows:
        return f"{sure}: there are too few validation rows to tell"
    clear = found.gap - SEEN_GAP * found.baseline
    too_large = max(SEEN_ERRORS * found.gap_error / clear, SIGNIFICANT * found.gap_error / found.gap)
    enough = math.ceil(found.validation_rows * too_large**2)
    return f"{sure}: some {enough:,} validation rows could tell, and there are {found.validation_rows:,}"


def _rise(found: Symptoms) -> _Told:
    end, where = number(found.lowest + found.rise), f"around epoch {found.lowest_epoch}"
    # Of a lowest level of nothing there are no percents.
    above = f"{percent_of(found.rise, found.lowest)} over" if found.lowest else "where it was 0 at"
    yield "rise", found.rise, f"{found.watched} ends at {end}, {above} its lowest level, {where}"


def _trend(found: Symptoms) -> _Told:
    word = "fell" if found.fall > 0 else "rose"
    detail = (
        f"{found.watched} {word} from {number(found.before)} to {number(found.after)} between the halves "
        f"of the last {found.tail} epochs, standard error {number(found.trend_error)}"
    )
    yield "trend", -found.fall, detail


def _noise(found: Symptoms) -> _Told:
    share = found.unrest / found.level if found.level else math.nan
    detail = (
        f"from epoch to epoch {found.watched} moves by {number(found.unrest)}, {percent(share)} of its level"
    )
    yield "noise", share, detail


def _penalties(found: Symptoms) -> _Told:
    if found.penalty_share > 0:
        share = percent(found.penalty_share)
        detail = f"penalties are {share} of loss and penalties together at epoch {found.kept_epoch}"
        yield "penalties", found.penalty_share, detail
    if is_pulled_back(found):
        pull = found.pull / found.baseline
        detail = (
            f"weights larger by a hundredth would lower the loss by {percent(pull / 100)} of the baseline: "
            f"penalties hold them back"
        )
        yield "pull", pull, detail


def _dropout(found: Symptoms) -> _Told:
    rate = max(rates(found.case.on.dropout))
    if rate:
        yield "dropout", rate, f"training leaves out up to {percent(rate)} of a layer's units at a time"


def _decay(found: Symptoms) -> _Told:
    decay = found.case.spec.optimizer.weight_decay
    if decay and has_strong_decay(found.case.spec):
        yield "weight_decay", decay, f"a weight decay of {number(decay)} is above its usual range"


def _small_batches(found: Symptoms) -> _Told:
    size = found.case.spec.training.batch_size or 0
    if has_small_batches(found.case):
        off = f"a mean of so few is off by σ/{number(size**0.5)}"
        detail = f"batch norm takes mean and variance from {counted(size, 'row')}; {off}"
        yield "small_batches", size, detail


def has_small_batches(case: Case) -> bool:
    """Batch norm is on, on batches that are too small for it."""
    normalized = case.on.batch_norm is not None and bool(case.hidden)
    return normalized and (case.spec.training.batch_size or SMALL_BATCH) < SMALL_BATCH


def _silent(found: Symptoms) -> _Told:
    if found.silent:
        detail = (
            f"{percent(found.silent)} of the units of a hidden layer answer the same to every row, as "
            f"rectifiers do that never open"
        )
        yield "silent_units", found.silent, detail


def _zeros(found: Symptoms) -> _Told:
    if found.zeros:
        yield "zeros", found.zeros, f"{percent(found.zeros)} of the weights are exactly zero"


def _inputs(found: Symptoms) -> _Told:
    if found.inputs and found.inputs_kept is not None and found.inputs_kept < found.inputs:
        dropped = found.inputs - found.inputs_kept
        yield "inputs_dropped", dropped, f"{dropped} of {found.inputs} columns are not listened to at all"


def _rows(found: Symptoms) -> _Told:
    if found.validation_rows:
        detail = (
            f"{found.validation_rows:,} validation rows, beside {found.training_rows:,} that were trained on"
        )
        yield "validation_rows", found.validation_rows, detail


def _rate(found: Symptoms) -> _Told:
    optimizer, odd = found.case.spec.optimizer, odd_rate(found.case.spec)
    if optimizer.learning_rate and odd:
        word = "above" if odd > 0 else "below"
        detail = f"{number(optimizer.learning_rate)} is far {word} the usual rate of {optimizer.kind}"
        yield "learning_rate", optimizer.learning_rate, detail


def _skew(found: Symptoms) -> _Told:
    if skew(found.case) >= SKEWED:
        detail = f"the largest class has {number(skew(found.case))} times the rows of the smallest"
        yield "class_imbalance", skew(found.case), detail


_SHOWN: tuple[Callable[[Symptoms], _Told], ...] = (
    *(_broken, _learned, _gap, _rise, _trend, _noise),
    *(_penalties, _dropout, _decay, _small_batches, _silent, _zeros, _inputs, _rate, _rows, _skew),
)
