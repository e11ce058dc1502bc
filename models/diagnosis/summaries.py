"""A sentence or two for each verdict, with the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Callable

from models.diagnosis.symptoms import Symptoms
from models.diagnosis.verdicts import (
    Verdict,
    has_learned_little,
    has_memorized,
    has_risen,
    is_dead,
    may_be_overfitting,
    stops_early,
)
from models.diagnosis.words import counted, number, percent, percent_of


def summary(verdict: Verdict, found: Symptoms) -> str:
    """One or two sentences, with the numbers in them."""
    return _SUMMARIES[verdict](found)


def _of_diverged(found: Symptoms) -> str:
    if found.broken_at is not None or found.case.stop_reason == "diverged":
        return f"The loss stopped being a finite number in epoch {found.broken_at or found.epochs}."
    return (
        f"train_loss ran away to {number(found.end_train)}, where always giving the same answer has "
        f"{number(found.baseline)}."
    )


def _of_too_short(found: Symptoms) -> str:
    return f"{counted(found.epochs, 'epoch')} show no shape yet; nothing can be said of the fit."


def _of_unstable(found: Symptoms) -> str:
    climb = max(found.train_rise, found.surge)
    if found.unrest > climb or math.isnan(climb):
        return (
            f"{found.watched} moves by {number(found.unrest)} from epoch to epoch, around a level of "
            f"{number(found.level)}: which epoch is best is mostly chance."
        )
    return (
        f"Training did not keep what it had learned: train_loss, {number(found.start)} after one epoch and "
        f"{number(found.end_train - found.train_rise)} at its lowest, ends at {number(found.end_train)}."
    )


def _of_still_improving(found: Symptoms) -> str:
    when = "is still falling" if found.case.stop_reason is None else "was still falling when training ended"
    return (
        f"{found.watched} {when}: from {number(found.before)} to {number(found.after)} within the last "
        f"{found.tail} of {counted(found.epochs, 'epoch')}."
    )


def _of_overfitting(found: Symptoms) -> str:
    first = (
        f"At epoch {found.kept_epoch} the loss is {number(found.val)} on validation rows and "
        f"{number(found.train)} on training rows: the gap is {percent(found.gap_share)} of all there was to "
        f"learn{_times(found)}."
    )
    if stops_early(found.case) or not has_risen(found):
        return first
    end = f"{percent_of(found.rise, found.lowest)} higher" if found.lowest else "higher"
    return f"{first} val_loss was lowest around epoch {found.lowest_epoch} and ends {end}."


def _times(found: Symptoms) -> str:
    """Both losses may be small: then it is their ratio that tells."""
    if not has_memorized(found) or found.train <= 0:
        return ""
    return f", and rows that were not seen cost {number(found.val / found.train)} times as much"


def _of_little(found: Symptoms) -> str:
    return (
        f"train_loss is {number(found.train)}, and always giving the same answer has "
        f"{number(found.baseline)}: {percent(max(found.learned, 0))} of what there is to know was learned"
    )


def _of_over_regularized(found: Symptoms) -> str:
    if not has_learned_little(found):
        return (
            f"train_loss is {number(found.train)}, {percent(found.train / found.baseline)} of the loss of "
            f"always giving the same answer, and penalties keep it from falling: the weights hang on them."
        )
    zeros = f"; {percent(found.zeros)} of its weights are zero" if found.zeros else ""
    return f"{_of_little(found)}, held back by its regularization{zeros}."


def _of_underfitting(found: Symptoms) -> str:
    if is_dead(found):
        return f"{_of_little(found)}. A whole hidden layer is silent: it answers the same to every row."
    return f"{_of_little(found)}. It is too small, too slow or too short, or the columns say little."


def _of_no_validation(found: Symptoms) -> str:
    return (
        f"train_loss came down to {number(found.train)}; without validation rows nobody knows what that is "
        f"worth on rows that were not seen."
    )


def _of_good_fit(found: Symptoms) -> str:
    first = (
        f"The loss is {number(found.val)} on validation rows and {number(found.train)} on training rows: "
        f"{percent(found.learned)} of what there is to know was learned"
    )
    if may_be_overfitting(found):
        gap, rows = percent(found.gap_share), found.validation_rows or "so few"
        return f"{first}. It may overfit: the gap is {gap} of it, which {rows} rows cannot tell from chance."
    after = ""
    if has_risen(found) and not stops_early(found.case):
        after = f" What came after epoch {found.lowest_epoch} only made it worse, and was thrown away."
    return f"{first}, the gap is {percent(found.gap_share)} of it, and it no longer improves.{after}"


_SUMMARIES: dict[Verdict, Callable[[Symptoms], str]] = {
    "diverged": _of_diverged,
    "too_short": _of_too_short,
    "unstable": _of_unstable,
    "still_improving": _of_still_improving,
    "overfitting": _of_overfitting,
    "over_regularized": _of_over_regularized,
    "underfitting": _of_underfitting,
    "no_validation": _of_no_validation,
    "good_fit": _of_good_fit,
}
