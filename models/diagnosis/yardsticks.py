"""What losses are held against: that of knowing nothing, that before the first step, and chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.defaults import training_rows
from models.diagnosis.case import Case, finite

USUAL_VALIDATION = 0.2
"""Of the rows, where it is not known which share they are."""
SQUARED_ERRORS_VARY = 1.42
"""Standard deviation over mean of a regression's losses of single rows, where the result does not say: the
median of the jobs of `./run bench diagnosis`. Of normal errors it is √2."""
ENTROPIES_VARY = 0.64
"""A classification's losses of single rows vary by √(c·L) around their mean of L nats: the median of c."""


# ── knowing nothing ─────────────────────────────────────────────────────────────────────────────────────────


def baseline(case: Case) -> float:
    """The loss of always answering with the classes' frequencies or the mean; above 0."""
    found = math.nan
    counts = _class_counts(case)
    if counts:
        found = _entropy(counts)
    elif case.is_regression:
        found = 1.0 if case.spec.preprocessing.target == "standardize" else _variance(case)
    return found if found > 0 else first_loss(case)


def untrained(case: Case) -> float:
    """About the loss of a network before its first step, where that is above the baseline.

    It gives each class the same chance, and to each row of a target that is not standardized about zero.
    """
    counts, target = _class_counts(case), case.description.target if case.description else None
    known = baseline(case)
    if counts:
        return max(known, math.log(len(counts)))
    if case.is_regression and case.spec.preprocessing.target == "none":
        bounds = (finite(target.minimum), finite(target.maximum)) if target else ()
        farthest = max((abs(each) for each in bounds if not math.isnan(each)), default=math.nan)
        return max(known, farthest * farthest if not math.isnan(farthest) else first_loss(case))
    return known


def first_loss(case: Case) -> float:
    """Where nothing else is known: what the network knew first, which was next to nothing."""
    return next((value for value in case.numbers("train_loss") if value > 0), 1.0)


def _class_counts(case: Case) -> list[int]:
    return [each.count for each in (case.description and case.description.classes) or [] if each.count > 0]


def _entropy(counts: Sequence[int]) -> float:
    rows = sum(counts)
    return -sum(count / rows * math.log(count / rows) for count in counts)


def _variance(case: Case) -> float:
    """Of the target: r2 is 1 − loss/variance."""
    pairs = zip(case.numbers("train_loss"), case.numbers("train_r2"), strict=False)
    found = (loss / (1 - r2) for loss, r2 in pairs if loss > 0 and r2 < 1)
    return next((each for each in found if math.isfinite(each)), math.nan)


# ── chance ──────────────────────────────────────────────────────────────────────────────────────────────────


def row_counts(case: Case) -> tuple[int | None, int | None]:
    """Training and validation rows, as far as they are known."""
    described, split = case.description, case.spec.split
    if described is None:
        return None, None
    validated = None if split.column else round(described.rows * (split.validation or 0))
    return training_rows(split, described), validated


def loss_error(case: Case, loss: float) -> float:
    """Standard error of a validation loss: as it was measured, else from the rows' number; 0 without any."""
    measured = case.measured("validation", "loss_se")
    if not math.isnan(measured):
        return measured
    _, validated = row_counts(case)
    if validated is None and case.description and "val_loss" in case.series:
        # A column decides on rows: the usual shares are assumed.
        validated = round(case.description.rows * USUAL_VALIDATION)
    return _spread(case, loss) / math.sqrt(validated) if validated else 0.0


def _spread(case: Case, loss: float) -> float:
    """How much the losses of single rows vary around their mean."""
    if case.is_regression:
        return SQUARED_ERRORS_VARY * abs(loss)
    return math.sqrt(ENTROPIES_VARY * loss) if loss > 0 else abs(loss)
