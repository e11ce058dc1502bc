"""What to try next: the advice of `docs/regularizers.md`, as merge patches (RFC 7396) of the job's spec.

A remedy looks at the case and proposes one change or none; which are asked, and in which order, is a table by
verdict. Strengths are relative to what is set. Whatever would not be a spec for these data, or would leave
the spec as it is, is dropped here, so that every suggestion may be sent as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from models.defaults import complete
from models.diagnosis import pace, restraint
from models.diagnosis.case import Case
from models.diagnosis.patches import Patch, Proposed, merged
from models.diagnosis.symptoms import Symptoms
from models.diagnosis.verdicts import (
    Verdict,
    has_risen,
    has_strong_decay,
    is_falling,
    is_unfinished,
    odd_rate,
)
from models.errors import SpecError
from models.spec import JobSpec

MOST = 5
"""Suggestions; further down the list nobody tries them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One change to the spec that may help."""

    technique: str
    """What is changed: a technique or a setting by its name in the spec."""
    detail: str
    """Why, in words."""
    patch: Patch
    """An RFC 7396 merge patch of the job's spec."""


def suggestions(verdict: Verdict, found: Symptoms) -> list[Suggestion]:
    """At most five, the most promising first."""
    proposed = (remedy(found) for remedy in _remedies(verdict, found))
    told: list[Suggestion] = []
    for each in proposed:
        # Two remedies may come to the same, each for a reason of its own.
        if (
            each is not None
            and each[2] not in [one.patch for one in told]
            and _is_a_change(found.case, each[2])
        ):
            told.append(Suggestion(*each))
    return told[:MOST]


def _is_a_change(case: Case, patch: Patch) -> bool:
    """It makes another spec, and one that these data bear."""
    try:
        changed = JobSpec.model_validate(merged(case.spec.model_dump(mode="json"), patch))
        if case.description is not None:
            complete(changed, case.description)
    except (ValidationError, SpecError):
        return False
    return changed != case.spec


Remedy = Callable[[Symptoms], Proposed]

_HOLD_BACK: tuple[Remedy, ...] = (
    restraint.more_l2,
    restraint.more_dropout,
    restraint.more_l1,
)
_LET_GO: tuple[Remedy, ...] = (
    restraint.less_l1,
    restraint.less_l2,
    restraint.less_dropout,
    restraint.less_decay,
)
_ALWAYS: tuple[Remedy, ...] = (pace.batches_for_norm, pace.watch_small_classes, restraint.share_among_columns)
_BY_VERDICT: dict[Verdict, tuple[Remedy, ...]] = {
    "diverged": (pace.much_lower_rate, pace.standardize, pace.warm_up, pace.normalize),
    "too_short": (pace.more_epochs, pace.patience_if_stopped),
    "unstable": (
        pace.batches_for_norm,
        pace.lower_rate,
        pace.larger_batches,
        pace.anneal,
        pace.more_patience,
    ),
    "still_improving": (pace.patience_if_stopped, pace.more_epochs, pace.mend_rate),
    "overfitting": (*_HOLD_BACK, restraint.back_to_best, restraint.stop_early),
    "over_regularized": (*_LET_GO, pace.mend_rate, pace.longer_if_moving),
    "underfitting": (
        pace.mend_rate,
        restraint.larger_network,
        restraint.less_l2,
        restraint.less_l1,
        restraint.less_dropout,
        restraint.less_decay,
        pace.longer_if_moving,
    ),
    "no_validation": (pace.validate,),
    "good_fit": (restraint.back_to_best, restraint.stop_early),
}


def _remedies(verdict: Verdict, found: Symptoms) -> Iterator[Remedy]:
    chosen = _BY_VERDICT[verdict]
    if verdict == "overfitting" and is_unfinished(found):
        chosen = (pace.more_epochs, *chosen)
    if verdict == "overfitting" and odd_rate(found.case.spec) > 0:
        chosen = (pace.mend_rate, *chosen)
    if verdict == "good_fit" and not has_risen(found):
        chosen = ()
    if verdict == "over_regularized" and has_strong_decay(found.case.spec):
        chosen = (restraint.less_decay, *chosen)
    if verdict == "underfitting" and is_falling(found):
        chosen = (pace.mend_rate, pace.more_epochs, *chosen)
    yield from dict.fromkeys((*chosen, *_ALWAYS))
