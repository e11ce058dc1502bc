"""A sentence or two for each verdict, with the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Callable

from models.diagnosis.symptoms import Symptoms
from models.diagnosis.verdicts import OVERFITTING_GAP, Verdict, has_risen, stops_early
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
    if found.noise > found.climb or math.isnan(found.climb):
        return (
            f"{found.watched} moves by {number(found.noise)} from epoch to epoch, around a level of "
            f"{number(found.level)}: which epoch is best is mostly chance."
        )
    return (
        f"Training did not keep what it had learned: train_loss, {number(found.start)} after one epoch and "
        f"{number(found.end_train - found.climb)} at its lowest, ends at {number(found.end_train)}."
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
        f"learn."
    )
    if stops_early(found.case) or not has_risen(found):
        return first
    end = f"{percent_of(found.rise, found.lowest)} higher" if found.lowest else "higher"
    return f"{first} val_loss was lowest around epoch {found.lowest_epoch} and ends {end}."


def _of_little(found: Symptoms) -> str:
    return (
        f"train_loss is {number(found.train)}, and always giving the same answer has "
        f"{number(found.baseline)}: {percent(max(found.learned, 0))} of what there is to know was learned"
    )


def _of_over_regularized(found: Symptoms) -> str:
    zeros = f"; {percent(found.zeros)} of its weights are zero" if found.zeros else ""
    return f"{_of_little(found)}, held back by its regularization{zeros}."


def _of_underfitting(found: Symptoms) -> str:
    return f"{_of_little(found)}. It is too small, too slow or too short, or the columns say little."


def _of_no_validation(found: Symptoms) -> str:
    return (
        f"train_loss came down to {number(found.train)}; without validation rows nobody knows what that is "
        f"worth on rows that were not seen."
    )


def _of_good_fit(found: Symptoms) -> str:
    chance = found.gap_share > OVERFITTING_GAP and found.gap_error
    luck = f", which {found.validation_rows or 'so few'} rows cannot tell from chance" if chance else ""
    return (
        f"The loss is {number(found.val)} on validation rows and {number(found.train)} on training rows: "
        f"{percent(found.learned)} of what there is to know was learned, the gap is "
        f"{percent(found.gap_share)} of it{luck}, and it no longer improves."
    )


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
