"""More regularization or less: what may be turned up or down in a spec, by how much, and why."""

from __future__ import annotations

from models.diagnosis.case import Case
from models.diagnosis.patches import Patch, Proposed, regularize, rounded
from models.diagnosis.symptoms import Symptoms
from models.diagnosis.verdicts import SEEN_GAP, STRONG_DECAY, rates
from models.diagnosis.words import number, percent

PATIENCE = 10
"""Epochs: the default of early stopping."""
HALF_THE_UNITS, A_THIRD = 0.5, 0.3
"""Rates of dropout to begin with, for a severe gap and for a moderate one; 0.5 leaves the most networks to
average over (Srivastava et al. 2014)."""
SEVERE_GAP = 0.3
"""Of the baseline."""
FIRST_L2, FIRST_L1 = 1e-2, 1e-4
"""Strengths to begin with. Of overfitting jobs drawn at random an L2 of 0.01 made 50 of 61 better on fresh
rows, 0.1 made 34 of 67, dropout of 0.3 30 of 56; of L1 a linear model bears ten times as much."""
GENTLE_L2 = 1e-3
"""… where training rows are known by heart and the losses are small: there an L2 of 0.01 costs more than it
brings. Of 12 networks on `digits` 0.001 made 10 better on the test rows, 0.01 two, dropout of 0.3 one."""
STRONG = 1e-2
"""The upper end of the usual ranges, where what was far beyond comes back to."""
STEP = 3.0
"""Half a decade: strengths work on a logarithmic scale."""
DECADE = 10.0
WEAKEST = 1e-6
"""A strength that would fall below is switched off."""
STRONGEST = 0.3
"""No penalty is made stronger than this: beyond, hardly a weight survives."""
MANY_INPUTS = 20
"""Columns from which on it is worth asking which of them matter …"""
ROWS_AN_INPUT = 20.0
"""… where there are fewer rows than this for each of them."""
WIDEST = 1024
"""The width that doubling stops at."""
HIDDEN = [32, 16]
"""The first hidden layers of what was a linear model."""


# ── more ────────────────────────────────────────────────────────────────────────────────────────────────────


def stop_early(found: Symptoms) -> Proposed:
    """Early stopping where it is off: the same network sooner, since the best weights are kept anyway."""
    if not found.is_validated or found.case.is_exact or found.case.on.early_stopping:
        return None
    saved = found.epochs - found.lowest_epoch - PATIENCE
    spared = f" and spares some {saved} epochs" if saved > 0 else ""
    best = f"val_loss was lowest around epoch {found.lowest_epoch}"
    why = f"{best}: stopping {PATIENCE} epochs later saves time{spared}; the network stays the same"
    monitors = [{"metric": "val_loss", "patience": PATIENCE, "min_delta": 0.0}]
    return "early_stopping", why, regularize(early_stopping={"monitors": monitors})


def back_to_best(found: Symptoms) -> Proposed:
    """The best epoch's weights, where the last one's are kept and are worse."""
    technique = found.case.on.early_stopping
    if not found.is_validated or technique is None or technique.restore_best_weights:
        return None
    why = f"go back to the best epoch, around {found.lowest_epoch}, instead of keeping the last one"
    return "early_stopping", why, regularize(early_stopping={"restore_best_weights": True})


def more_dropout(found: Symptoms) -> Proposed:
    """On hidden layers; rates of a half stay."""
    if not found.case.hidden:
        return None
    now = _hidden_rates(found.case)
    start = HALF_THE_UNITS if found.gap_share > SEVERE_GAP else A_THIRD
    then = [
        round(min(max(rate + 0.2, start), HALF_THE_UNITS), 3) if rate < HALF_THE_UNITS else rate
        for rate in now
    ]
    why = "no unit of a wide layer may rely on another being there"
    why += "; give early stopping twice the patience" if found.case.on.early_stopping else ""
    word = (
        f"from {_listed(now)} to {_listed(then)}" if any(now) else f"{_listed(then)} after the hidden layers"
    )
    return "dropout", f"{word}: {why}", regularize(dropout={"hidden": then})


def _hidden_rates(case: Case) -> list[float]:
    given = rates(case.on.dropout)[1:]
    return given if len(given) == len(case.hidden) else (given or [0.0])[:1] * len(case.hidden)


def _listed(numbers: list[float]) -> str:
    return " and ".join(dict.fromkeys(number(each) for each in numbers))


def more_l2(found: Symptoms) -> Proposed:
    """Nearly always a little; beside L1 it makes the elastic net."""
    why = "large weights follow single rows; a ridge shrinks the directions most in which the data vary least"
    if found.case.on.l1 and not _strength(found.case, "l2"):
        why = "of columns that say the same L1 keeps one, by chance; with some L2 they share the weight"
    return _stronger(found.case, "l2", FIRST_L2 if found.gap_share > SEEN_GAP else GENTLE_L2, why)


def more_l1(found: Symptoms) -> Proposed:
    """Where there are many columns for the rows, or where it is on."""
    columns = len(found.case.description.columns) if found.case.description else found.inputs or 0
    crowded = columns >= MANY_INPUTS and (found.training_rows or 0) < ROWS_AN_INPUT * columns
    if not crowded and not _strength(found.case, "l1"):
        return None
    why = f"of {columns} columns few may matter: it sets the weights of the others to zero"
    return _stronger(found.case, "l1", FIRST_L1 if found.case.hidden else DECADE * FIRST_L1, why)


def _strength(case: Case, name: str) -> float:
    penalty = case.on.penalties().get(name)
    return penalty.strength if penalty else 0.0


def _stronger(case: Case, name: str, first: float, why: str) -> Proposed:
    now = _strength(case, name)
    then = rounded(max(now * STEP, first))
    if then > STRONGEST:
        return None
    word = f"{number(then)} instead of {number(now)}" if now else f"a strength of {number(then)}"
    return name, f"{word}: {why}", regularize(**{name: {"strength": then}})


def _widths(widths: list[int]) -> str:
    return "-".join(map(str, widths)) or "no hidden"


def share_among_columns(found: Symptoms) -> Proposed:
    """L1 alone, and half of many columns gone."""
    if (
        not found.inputs
        or found.inputs_kept is None
        or not _strength(found.case, "l1")
        or _strength(found.case, "l2")
    ):
        return None
    crowded = found.inputs >= MANY_INPUTS and found.inputs_kept <= found.inputs / 2
    return more_l2(found) if crowded else None


# ── less ────────────────────────────────────────────────────────────────────────────────────────────────────


def less_l1(found: Symptoms) -> Proposed:
    """A tenth."""
    zeros = f"{percent(found.zeros)} of the weights are zero" if found.zeros else "it holds every weight back"
    return _weaker(found.case, "l1", zeros)


def less_l2(found: Symptoms) -> Proposed:
    """A tenth."""
    return _weaker(found.case, "l2", f"penalties are {percent(found.penalty_share)} of what is minimized")


def _weaker(case: Case, name: str, why: str) -> Proposed:
    """A tenth of it; from far beyond the usual range back to the upper end."""
    now = _strength(case, name)
    if not now:
        return None
    then = rounded(min(now / DECADE, STRONG))
    if then < WEAKEST:
        return name, f"without it: {why}", regularize(**{name: None})
    return name, f"{number(then)} instead of {number(now)}: {why}", regularize(**{name: {"strength": then}})


def less_dropout(found: Symptoms) -> Proposed:
    """Half the rates."""
    dropout = found.case.on.dropout
    if dropout is None or not any(rates(dropout)):
        return None
    entering, then = round(dropout.input / 2, 3), [round(rate / 2, 3) for rate in _hidden_rates(found.case)]
    entering = entering if entering > 0.05 else 0.0
    why = "a network that underfits gets worse with every unit that is missing: half the rates"
    return "dropout", why, regularize(dropout={"input": entering, "hidden": then})


def less_decay(found: Symptoms) -> Proposed:
    """A tenth of it; from far beyond the usual range back to the upper end."""
    optimizer = found.case.spec.optimizer
    now = optimizer.weight_decay
    if not now:
        return None
    then = rounded(min(now / DECADE, STRONG_DECAY.get(optimizer.kind, now)))
    why = f"{number(then)} instead of {number(now)}: decay shrinks every weight at every step"
    return "weight_decay", why, {"optimizer": {"weight_decay": then}}


def larger_network(found: Symptoms) -> Proposed:
    """Twice the width of every layer, or layers where there are none."""
    now = found.case.hidden
    if not now:
        return _with_hidden_layers(found.case)
    then = [max(width, min(2 * width, WIDEST)) for width in now]
    why = f"from {_widths(now)} to {_widths(then)} units: room for what the columns say together"
    return ("network", why, {"network": {"hidden": then}}) if then != now else None


def _with_hidden_layers(case: Case) -> Proposed:
    """What a linear model cannot say; rates are given a layer, and FISTA is for linear models."""
    patch: Patch = {"network": {"hidden": HIDDEN}}
    if case.on.dropout:
        patch |= regularize(dropout={"hidden": 0.0})
    if case.is_exact:
        patch |= {"optimizer": {"kind": "adam", "tolerance": None}}
        patch |= {"training": {"batch_size": None, "max_epochs": None}}
    return "network", "a linear model adds columns up; hidden layers let them act together", patch
