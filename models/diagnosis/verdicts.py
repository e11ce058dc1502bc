"""Which of the field's words fits a curve: every verdict with its rule, the first that holds decides.

A threshold is a named number with its reason. Each is a share of the baseline or of the level, never a loss,
and what may be chance is measured against its standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from models.diagnosis.case import Case
from models.diagnosis.symptoms import Symptoms
from models.regularizers import Dropout
from models.spec import JobSpec

Verdict = Literal[
    "diverged",
    "too_short",
    "unstable",
    "still_improving",
    "overfitting",
    "over_regularized",
    "underfitting",
    "no_validation",
    "good_fit",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

LEAST_EPOCHS = 5
"""Fewer points than this show no shape: three to see where it was, two to see where it goes."""
BLOWN_UP = 3.0
"""Three times what it had been, and what a network has before its first step: running away."""
ABSURD = 30.0
"""Times that loss: no network begins there, whatever its weights (up to ten were seen on correlated columns),
so its first steps threw it there."""
SHATTERED = 1_000.0
"""Times that loss, at any epoch: a network that has learned nothing since has lost its units there."""
LEAPT = 10.0
"""Times that loss after one epoch: the first steps were leaps."""
UNSTABLE_NOISE = 0.12
"""The watched loss moves by an eighth of itself from one epoch to the next (one σ, by the tenth of the
epochs that move most): which epoch is best is then chance."""
UNSTABLE_SHARE = 0.04
"""… and by 4 % of the baseline: jumps between 0.001 and 0.002 hurt nobody."""
SURGE = 0.5
"""Of the baseline: train_loss lost half of all there is to know again, late and at once."""
CLIMBED = 0.15
"""Of the baseline, by which train_loss may climb again; an optimizer that works goes down."""
OVERFITTING_GAP = 0.1
"""A tenth of the baseline: what is known of the training rows alone weighs as much as a tenth of all there
was to know. Ridge on `diabetes`, which does not overfit, has a gap of 0.03."""
SEEN_GAP, SEEN_ERRORS = 0.09, 0.75
"""As it is seen through validation rows: the gap less so many of its standard errors, as a share of the
baseline. Below the tenth, since the val_loss of the best of many epochs flatters. On 500 jobs drawn at random
(`./run bench diagnosis`) this has a precision of 0.97 at a recall of 0.85; the tenth alone 0.93 at 0.91."""
MEMORIZED, MEMORIZED_GAP = 10.0, 0.02
"""… or as it is seen where both losses are small: val_loss ten times train_loss, and the gap a fiftieth of
the baseline. A network on `digits` without regularization has 0.078 and 0.0014, of 2.3: what it is sure of,
it is sure of on its training rows alone. Below a fiftieth no metric shows it."""
SIGNIFICANT = 2.0
"""Standard errors (95 %) that a gap has at least: of some sixty validation rows a few decide."""
LASTING = 3.0
"""Standard errors that a level must have moved by: the lowest of many levels is low by luck as well."""
OVERFITTING_RISE = 0.1
"""Prechelt's generalization loss: val_loss over its lowest level, less one. He stops at 5 % over the lowest
*value*; a level lies a little above that, and a verdict has more time."""
RISE_SHARE = 0.01
"""… and by 1 % of the baseline, below which hardly a metric shows it."""
LITTLE_LEARNED = 0.25
"""Whoever has removed less than a quarter of the baseline has a large bias, or nothing to learn from."""
HALF_LEARNED = 0.5
"""Less than a half is little where there is a reason for it: a strong penalty, an odd learning rate. Noisy
data (`diabetes`) allow no more than that, so it takes both."""
STRONG_PENALTY = 0.5
"""Penalties that make up half of the objective rule it."""
STRONG_STRENGTH, STRONG_RATE = 1e-2, 0.5
"""The upper ends of the usual ranges of `l1`, `l2` and of `dropout` …"""
STRONG_LINEAR = {"l1": 0.2, "l2": 0.5}
"""… and of penalties on a linear model, which bears more: on `diabetes` and on made data that are mostly
noise it predicts as well up to these, and a fifth worse at an L1 of 0.5 or an L2 of 1."""
STRONG_DECAY = {"adam": 1.0, "adamw": 1.0, "sgd": 0.2}
"""Adam's steps are as large as the learning rate, so decay keeps weights below 1/decay whatever that is. A
network on `iris` still learns nine tenths at 3, two thirds at 10, nothing at 100. That of SGD is an L2 of
0.01: at its usual momentum decay is twenty times that (`docs/regularizers.md`)."""
STRONG_PULL = 0.15
"""Of the baseline: were all penalized weights larger by a fraction, the loss would be lower by so much of
that fraction. On two half moons an L1 of 0.05 pulls by 0.3 and leaves a loss of 0.26; 0.02 can be had."""
FAR_TO_GO = 0.2
"""Of the baseline that is still there: of less not much can be gained."""
NEARLY_ALL = 0.95
"""Of the weights at zero: what is left can hardly listen to anything."""
STILL_FALLING = 0.03
"""Of its level, between the halves of the last quarter: at that pace as many epochs again bring a tenth."""
FALLING_SHARE = 0.01
"""… and 1 % of the baseline: tiny losses may fall by half for ever."""
CREEPING_SHARE = 0.001
"""Of the baseline: a network that overfits and creeps down by this still gains more by time than by restraint
(of jobs drawn at random 14 of 17, a sixth of the loss on fresh rows)."""
USUAL_RATE = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.05}
"""The default learning rates of small data; those of large data are a third of that."""
ODD_RATE = 10.0
"""A learning rate ten times larger or thirty times smaller than usual is a reason to look there first."""


# ── the rules ───────────────────────────────────────────────────────────────────────────────────────────────


def has_diverged(found: Symptoms) -> bool:
    """A loss is no number any more, or it ran away, or it did once and nothing has been learned since."""
    if found.case.stop_reason == "diverged" or found.broken_at is not None:
        return True
    lowest = found.end_train - found.train_rise
    ran_away = found.end_train > BLOWN_UP * max(found.untrained, lowest)
    thrown = found.end_train > ABSURD * found.untrained
    lost = (
        found.peak > SHATTERED * found.untrained and found.end_train > (1 - LITTLE_LEARNED) * found.baseline
    )
    return ran_away or thrown or lost


def is_too_short(found: Symptoms) -> bool:
    """Too few epochs, unless the optimum is reached."""
    return found.epochs < LEAST_EPOCHS and found.case.stop_reason != "converged"


def is_unstable(found: Symptoms) -> bool:
    """The loss jumps about, or training climbed again, or it began with a leap it never recovered from."""
    if found.case.is_exact:
        return False
    loud = found.unrest > max(UNSTABLE_SHARE * found.baseline, UNSTABLE_NOISE * found.level)
    surged = found.surge > SURGE * found.baseline
    learned_once = max(found.baseline, found.end_train - found.train_rise)
    climbed = found.train_rise > max(CLIMBED * learned_once, LASTING * found.noise)
    leapt = found.start > LEAPT * found.untrained and found.level > (1 - LITTLE_LEARNED) * found.baseline
    # A penalty that outgrows the loss makes it climb as well, and steadily.
    return loud or surged or leapt or (climbed and not is_strict(found))


def is_still_improving(found: Symptoms) -> bool:
    """The watched loss was going down when training ended. One that has learned little is told as that."""
    if found.case.stop_reason == "converged" or (found.case.stop_reason and has_learned_little(found)):
        return False
    return is_falling(found) and found.lowest_epoch > found.epochs - found.tail


def is_unfinished(found: Symptoms) -> bool:
    """The watched loss was at its lowest at the end, and moved there by more than chance, if slowly."""
    moved = found.fall > max(CREEPING_SHARE * found.baseline, LASTING * found.trend_error)
    return moved and found.lowest_epoch > found.epochs - found.tail


def is_falling(found: Symptoms) -> bool:
    """By enough to matter, and by more than its noise explains."""
    least = max(FALLING_SHARE * found.baseline, STILL_FALLING * found.before)
    return found.fall > max(least, LASTING * found.trend_error)


def is_overfitting(found: Symptoms) -> bool:
    """What was kept knows its training rows too well, by a tenth of the baseline or by heart; no chance."""
    seen = SEEN_GAP * found.baseline + SEEN_ERRORS * found.gap_error
    return found.gap > max(seen, SIGNIFICANT * found.gap_error) or has_memorized(found)


def has_memorized(found: Symptoms) -> bool:
    """val_loss is many times train_loss, and by more than chance, though both may be small."""
    least = max(MEMORIZED_GAP * found.baseline, SIGNIFICANT * found.gap_error)
    return found.gap > least and found.val > MEMORIZED * found.train


def may_be_overfitting(found: Symptoms) -> bool:
    """A gap that would be large, were there validation rows enough to tell it from chance."""
    return found.gap > OVERFITTING_GAP * found.baseline and not is_overfitting(found)


def has_risen(found: Symptoms) -> bool:
    """val_loss has left its lowest level for good."""
    least = max(RISE_SHARE * found.baseline, OVERFITTING_RISE * found.lowest)
    return found.is_validated and found.rise > max(least, LASTING * found.rise_error)


def stops_early(case: Case) -> bool:
    """Then val_loss rises for as long as its patience lasts, which is how it is meant."""
    return case.on.early_stopping is not None


def has_learned_little(found: Symptoms) -> bool:
    """Little of what there is to know; somewhat more is little where a reason for it is at hand."""
    if found.learned < LITTLE_LEARNED:
        return True
    return found.learned < HALF_LEARNED and (is_strict(found) or odd_rate(found.case.spec) != 0)


def is_dead(found: Symptoms) -> bool:
    """A whole hidden layer answers the same to every row, though nothing strong holds its weights down."""
    return found.silent == 1 and not is_strict(found)


def odd_rate(spec: JobSpec) -> int:
    """1 where the learning rate is far above the usual, −1 where it is far below it, else 0."""
    rate, usual = spec.optimizer.learning_rate, USUAL_RATE.get(spec.optimizer.kind)
    if rate is None or usual is None:
        return 0
    return int(rate >= ODD_RATE * usual) - int(rate <= usual / (3 * ODD_RATE))


def is_over_regularized(found: Symptoms) -> bool:
    """What is on is strong, and little was learned or much of what is left hangs on the penalties."""
    return is_strict(found) and (has_learned_little(found) or is_pulled_back(found))


def is_pulled_back(found: Symptoms) -> bool:
    """Penalties hold a slope in balance that would lead far down, where there is far to go."""
    return found.pull > STRONG_PULL * found.baseline and found.train > FAR_TO_GO * found.baseline


def is_strict(found: Symptoms) -> bool:
    """Penalties, rates or decay are above their usual range, or have the objective to themselves."""
    strengths = {name: penalty.strength for name, penalty in found.case.on.penalties().items()}
    usual = {} if found.case.hidden else STRONG_LINEAR
    return (
        any(strength > usual.get(name, STRONG_STRENGTH) for name, strength in strengths.items())
        or has_strong_decay(found.case.spec)
        or max(rates(found.case.on.dropout)) > STRONG_RATE
        or (found.penalty_share > STRONG_PENALTY and any(strengths.values()))
        or (found.zeros is not None and found.zeros > NEARLY_ALL)
    )


def has_strong_decay(spec: JobSpec) -> bool:
    """Weights shrink faster than they can grow to where they should be."""
    decay, usual = spec.optimizer.weight_decay, STRONG_DECAY.get(spec.optimizer.kind)
    return bool(decay and usual and decay > usual)


def rates(dropout: Dropout | None) -> list[float]:
    """Every rate of dropout, that of the input first."""
    if dropout is None:
        return [0.0]
    return [dropout.input, *(dropout.hidden if isinstance(dropout.hidden, list) else [dropout.hidden])]


RULES: dict[Verdict, Callable[[Symptoms], bool]] = {
    "diverged": has_diverged,
    "overfitting": is_overfitting,
    "too_short": is_too_short,
    "unstable": is_unstable,
    "still_improving": is_still_improving,
    "over_regularized": is_over_regularized,
    "underfitting": has_learned_little,
    "no_validation": lambda found: not found.is_validated,
    "good_fit": lambda _: True,
}
"""What makes every other number meaningless comes first. A gap that is no chance is one after four
epochs too, and in a network that still improves; what is left when nothing is wrong is good."""


def verdict(found: Symptoms) -> Verdict:
    """The first whose rule holds."""
    return next(name for name, holds in RULES.items() if holds(found))
