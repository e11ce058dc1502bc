"""How training goes: its steps and batches, how long it lasts, and what is looked at meanwhile."""

from __future__ import annotations

import math

from models.diagnosis.case import Case
from models.diagnosis.evidence import SKEWED, has_small_batches, skew
from models.diagnosis.patches import Proposed, regularize, rounded
from models.diagnosis.restraint import DECADE, PATIENCE, STEP
from models.diagnosis.symptoms import Symptoms
from models.diagnosis.verdicts import LASTING, USUAL_RATE, is_dead, odd_rate
from models.diagnosis.words import number, percent
from models.notices import SMALL_BATCH

LEAST_EPOCHS = 30
"""The fewest that the defaults take."""
WARMUP = 5
VALIDATION = 0.2


# ── steps and time ──────────────────────────────────────────────────────────────────────────────────────────


def _rate(case: Case) -> float:
    return case.spec.optimizer.learning_rate or 0.0


def lower_rate(found: Symptoms) -> Proposed:
    """A third."""
    if not _rate(found.case):
        return None
    return _slower(
        found.case, _rate(found.case) / STEP, "smaller steps: the loss jumps over what it looks for"
    )


def much_lower_rate(found: Symptoms) -> Proposed:
    """A tenth."""
    if not _rate(found.case):
        return None
    return _slower(found.case, _rate(found.case) / DECADE, "the steps overshoot, each by more than the last")


def _slower(case: Case, then: float, why: str) -> Proposed:
    """From far above the usual rate straight back to it."""
    then = rounded(USUAL_RATE[case.spec.optimizer.kind] if odd_rate(case.spec) > 0 else then)
    word = f"{number(then)} instead of {number(_rate(case))}"
    return "learning_rate", f"{word}: {why}", {"optimizer": {"learning_rate": then}}


def mend_rate(found: Symptoms) -> Proposed:
    """Where the learning rate is far off, or so low that the loss still creeps down."""
    odd, now = odd_rate(found.case.spec), _rate(found.case)
    if odd > 0:
        return _slower(found.case, now, "steps this large throw the network about, and its units die")
    if now and is_dead(found):
        return _slower(found.case, now / STEP, "units of a hidden layer have died, as large steps make them")
    creeps = now < USUAL_RATE.get(found.case.spec.optimizer.kind, 0) / STEP and found.fall > 0
    if not now or not (odd < 0 or creeps):
        return None
    then = USUAL_RATE[found.case.spec.optimizer.kind] if odd < 0 else rounded(now * STEP)
    why = f"{number(then)} instead of {number(now)}: the loss creeps"
    return "learning_rate", why, {"optimizer": {"learning_rate": then}}


def longer_if_moving(found: Symptoms) -> Proposed:
    """More time where the loss still goes down, however slowly."""
    return more_epochs(found) if found.fall > LASTING * found.trend_error else None


def more_epochs(found: Symptoms) -> Proposed:
    """Whatever ended it, more of that."""
    training = found.case.spec.training
    if found.case.stop_reason == "max_runtime" and training.max_runtime_seconds:
        then = min(2 * training.max_runtime_seconds, 10_000_000)
        return (
            "max_runtime_seconds",
            "twice the time: it ran out",
            {"training": {"max_runtime_seconds": then}},
        )
    if found.case.stop_reason != "max_epochs" or not training.max_epochs:
        return None
    epochs = min(max(2 * training.max_epochs, LEAST_EPOCHS), 1_000_000)
    why = f"{epochs:,} instead of {training.max_epochs:,}: it was not done"
    why += "; early stopping ends it in time" if found.case.on.early_stopping else ""
    return "max_epochs", why, {"training": {"max_epochs": epochs}}


def more_patience(found: Symptoms) -> Proposed:
    """Twice, of every monitor."""
    technique = found.case.on.early_stopping
    if technique is None or found.case.stop_reason not in ("early_stopping", "max_epochs"):
        return None
    monitors = [each.model_dump(mode="json") for each in technique.monitors]
    for each in monitors:
        each["patience"] = min(max(2 * each["patience"], PATIENCE), 1_000_000)
    longest = max(each["patience"] for each in monitors)
    why = f"{longest} epochs: what moves from epoch to epoch by {number(found.noise)} may stall by chance"
    return "early_stopping", why, regularize(early_stopping={"monitors": monitors})


def patience_if_stopped(found: Symptoms) -> Proposed:
    """Where patience ended it."""
    return more_patience(found) if found.case.stop_reason == "early_stopping" else None


def anneal(found: Symptoms) -> Proposed:
    """A falling schedule where the rate is constant."""
    if found.case.is_exact or found.case.spec.optimizer.schedule != "constant":
        return None
    kind = "reduce_on_plateau" if found.case.on.early_stopping else "cosine"
    why = f"{kind}: large steps first and small ones last, so that the loss comes to rest"
    return "schedule", why, {"optimizer": {"schedule": kind}}


def warm_up(found: Symptoms) -> Proposed:
    """Where there is none."""
    if found.case.is_exact or found.case.spec.optimizer.warmup_epochs:
        return None
    why = f"{WARMUP} epochs of rising rate: the first steps, from random weights, are the most dangerous"
    return "warmup_epochs", why, {"optimizer": {"warmup_epochs": WARMUP}}


def larger_batches(found: Symptoms) -> Proposed:
    """Twice the rows."""
    now, rows = found.case.spec.training.batch_size or 0, found.training_rows
    if not now or found.case.is_exact or (rows is not None and 2 * now > rows):
        return None
    why = f"{2 * now:,} instead of {now:,} rows: the mean of a batch's gradients is steadier"
    return "batch_size", why, {"training": {"batch_size": 2 * now}}


def batches_for_norm(found: Symptoms) -> Proposed:
    """Batches that batch norm can take statistics of, or no batch norm."""
    if not has_small_batches(found.case):
        return None
    if (found.training_rows or 2 * SMALL_BATCH) < 2 * SMALL_BATCH:
        return (
            "batch_norm",
            "without it: there are too few rows for its statistics",
            regularize(batch_norm=None),
        )
    now = found.case.spec.training.batch_size
    why = f"{2 * SMALL_BATCH} instead of {now} rows: batch norm needs {SMALL_BATCH} and more"
    return "batch_size", why, {"training": {"batch_size": 2 * SMALL_BATCH}}


def normalize(found: Symptoms) -> Proposed:
    """Batch norm, where batches are large enough for it."""
    if (
        not found.case.hidden
        or found.case.on.batch_norm
        or (found.case.spec.training.batch_size or 0) < SMALL_BATCH
    ):
        return None
    why = "the objective becomes smoother, and the steps that it bears larger"
    return "batch_norm", why, regularize(batch_norm={"momentum": 0.1, "eps": 1e-5})


def standardize(found: Symptoms) -> Proposed:
    """Whatever is not."""
    preprocessing = found.case.spec.preprocessing
    off = {name: "standardize" for name in ("numeric", "target") if getattr(preprocessing, name) == "none"}
    if not off:
        return None
    return (
        "preprocessing",
        "one step size suits columns and targets of one scale only",
        {"preprocessing": off},
    )


# ── what can be seen ────────────────────────────────────────────────────────────────────────────────────────


def validate(found: Symptoms) -> Proposed:
    """A validation split, where there is none."""
    split = found.case.spec.split
    if found.is_validated or split.column is not None:
        return None
    share = min(VALIDATION, math.floor((1 - (split.test or 0)) * 50) / 100)
    why = f"{percent(share)} of the rows, which are not trained on, show what the network does on unseen ones"
    return "split", why, {"split": {"validation": share}}


_BALANCED = ("val_f1_macro", "val_balanced_accuracy", "val_f1", "val_average_precision", "val_recall")


def watch_small_classes(found: Symptoms) -> Proposed:
    """A metric in which every class counts alike, where classes are unequal."""
    if skew(found.case) < SKEWED:
        return None
    why = (
        f"one class has {number(skew(found.case))} times the rows of another, which the mean loss hardly sees"
    )
    technique = found.case.on.early_stopping
    if technique is None or not found.is_validated:
        names = list(dict.fromkeys([*(found.case.spec.metrics or []), "f1_macro"]))
        return "f1_macro", why, {"metrics": names}
    if any(each.metric in _BALANCED for each in technique.monitors):
        return None
    monitors = [each.model_dump(mode="json") for each in technique.monitors]
    also = {"metric": "val_f1_macro", "patience": monitors[0]["patience"], "min_delta": 0.0}
    return "f1_macro", why, regularize(early_stopping={"monitors": [*monitors, also], "combine": "all"})
