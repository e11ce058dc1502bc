"""Curves written down by hand, whose verdicts are known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from models.datasets import Description
from models.diagnosis import VERDICTS, Case, diagnose
from tests.models.diagnosis.cases import decay, description, noisy, scripted

REGRESSION = description(None)
GROWING = [0.7 * 1.4**step for step in range(20)]
STOPPING = {"early_stopping": {"patience": 3}}


def good(epochs: int = 60, **more: Any) -> Case:
    return scripted(decay(0.7, 0.2, epochs, 4), decay(0.7, 0.22, epochs, 4), **more)


def memorized(epochs: int = 60, **more: Any) -> Case:
    """train_loss goes to nothing; val_loss turns at epoch 10 and climbs."""
    val = decay(0.7, 0.4, 10, 3) + [0.42 + 0.012 * step for step in range(epochs - 10)]
    return scripted(decay(0.7, 0.001, epochs, 4), val, **more)


CASES: dict[str, tuple[str, Case]] = {
    "settled": ("good_fit", good()),
    "settled and noisy": (
        "good_fit",
        scripted(noisy(decay(0.7, 0.2, 60, 4), 0.03), noisy(decay(0.7, 0.22, 60, 4), 0.06, 1)),
    ),
    "turned": ("overfitting", memorized()),
    "turned and noisy": (
        "overfitting",
        scripted(noisy(decay(0.7, 0.001, 60, 4), 0.1), noisy(memorized().series["val_loss"], 0.08, 1)),
    ),
    # What is kept is from before it turned.
    "turned, slowly": (
        "good_fit",
        scripted(decay(0.7, 0.3, 150, 4),
                 noisy([0.5 - 0.02 * t if t < 8 else 0.34 + 0.001 * t for t in range(150)], 0.05, 1),
                 result={"restored_epoch": 8, "train": {"loss": 0.33}, "validation": {"loss": 0.35}}),
    ),
    "turned, and stopped three epochs later": (
        "good_fit",
        scripted(decay(0.7, 0.33, 13, 2), [*decay(0.7, 0.36, 10, 2), 0.41, 0.42, 0.43],
                 stop="early_stopping", regularization=STOPPING),
    ),
    "a large gap, though it stopped in time": (
        "overfitting",
        scripted(decay(0.7, 0.05, 13, 2), [*decay(0.7, 0.4, 10, 2), 0.41, 0.42, 0.43],
                 stop="early_stopping", regularization=STOPPING),
    ),
    "a gap that thirty rows cannot show": (
        "good_fit",
        scripted(decay(0.7, 0.05, 40, 3), decay(0.7, 0.14, 40, 3), data=description((30, 30), rows=60)),
    ),
    # Both are small, and what was not seen costs fifty times as much: 4 % of the baseline, known by heart.
    "small losses, one of them fifty times the other": (
        "overfitting",
        scripted(decay(0.7, 0.0006, 60, 4), decay(0.7, 0.03, 60, 4)),
    ),
    "small losses, one of them six times the other": (
        "good_fit",
        scripted(decay(0.7, 0.005, 60, 4), decay(0.7, 0.03, 60, 4)),
    ),
    "losses so small that no metric shows them": (
        "good_fit",
        scripted(decay(0.7, 0.00001, 120, 4), decay(0.7, 0.01, 120, 4)),
    ),
    "fifty times the other, by a few rows": (
        "good_fit",
        scripted(decay(0.7, 0.0006, 60, 4), decay(0.7, 0.03, 60, 4), data=description((50, 50), rows=100)),
    ),
    "flat at the baseline": ("underfitting", scripted([0.7] * 30, [0.7] * 30)),
    "creeping near the baseline": (
        "underfitting",
        scripted([0.75 - 0.002 * step for step in range(30)], [0.76 - 0.002 * step for step in range(30)]),
    ),
    "held down": (
        "over_regularized",
        scripted([0.68] * 30, [0.68] * 30, regularization={"l2": 5.0}, more={"penalty_l2": [0.01] * 30}),
    ),
    "all weights zero": (
        "over_regularized",
        scripted([0.69] * 30, [0.69] * 30, regularization={"l1": 0.005}, more={"sparsity": [1.0] * 30}),
    ),
    "half the units missing on the way in": (
        "over_regularized",
        scripted([0.5] * 30, [0.5] * 30, regularization={"dropout": {"input": 0.8, "hidden": 0.2}}),
    ),
    "still going down": (
        "still_improving",
        scripted(decay(0.7, 0.05, 20, 15), decay(0.7, 0.1, 20, 15)),
    ),
    "still going down, and running": (
        "still_improving",
        scripted(decay(0.7, 0.05, 20, 15), decay(0.7, 0.1, 20, 15), stop=None),
    ),
    "a slow start of a running job": (
        "still_improving",
        scripted(decay(0.7, 0.2, 12, 20), decay(0.7, 0.2, 12, 20), stop=None),
    ),
    "too little patience": (
        "still_improving",
        scripted(decay(1.0, 0.1, 9, 6), [1.0, 0.8, 0.7, 0.65, 0.66, 0.6, 0.55, 0.52, 0.53],
                 stop="early_stopping", regularization={"early_stopping": {"patience": 1}}),
    ),
    "was no number": (
        "diverged",
        scripted([0.7, 0.9, math.nan], [0.8, 1.1, math.nan], stop="diverged"),
    ),
    "was infinite for an epoch": (
        "diverged",
        scripted([0.7, 0.6, 0.5, None, 0.5, 0.4], [0.7, 0.6, 0.5, None, 0.5, 0.4]),
    ),
    "ran away": ("diverged", scripted(GROWING, GROWING)),
    "jumps": ("unstable", scripted(noisy([0.4] * 40, 0.5), noisy([0.45] * 40, 0.5, 1))),
    "only validation jumps": ("unstable", scripted(decay(0.7, 0.2, 40, 5), noisy([0.4] * 40, 0.4, 1))),
    "forgot what it knew": (
        "unstable",
        scripted([*decay(0.7, 0.2, 10, 3), *[0.65] * 30], [*decay(0.7, 0.25, 10, 3), *[0.66] * 30]),
    ),
    "a single epoch": ("too_short", scripted([0.5], [0.5])),
    "four epochs": ("too_short", scripted([0.7, 0.6, 0.5, 0.45], [0.7, 0.6, 0.55, 0.5])),
    "four epochs to the optimum": (
        "overfitting",
        scripted([0.7, 0.1, 0.01, 0.01], [0.7, 0.6, 0.9, 0.9], stop="converged", optimizer={"kind": "fista"}),
    ),
    "no validation rows": ("no_validation", scripted(decay(0.7, 0.1, 40, 4))),
    "no validation rows, and nothing learned": ("underfitting", scripted([0.69] * 40)),
    "no validation rows, and going down": ("still_improving", scripted(decay(0.7, 0.05, 20, 15))),
    "tiny losses that still halve": (
        "good_fit",
        scripted(decay(1e-4, 0, 40, 10), decay(1.1e-4, 0, 40, 10), data=REGRESSION),
    ),
    "tiny losses, a hundred times apart": (
        "good_fit",
        scripted(decay(0.9, 1e-6, 60, 4), decay(0.9, 1e-4, 60, 4), data=REGRESSION),
    ),
    "a regression that knows its rows": (
        "overfitting",
        scripted(decay(0.9, 0.01, 60, 4), decay(0.9, 0.6, 60, 4), data=REGRESSION),
    ),
    "a regression in units of its own": (
        "overfitting",
        scripted(decay(4e6, 1e5, 60, 4), decay(4e6, 2e6, 60, 4), data=REGRESSION,
                 preprocessing={"target": "none"},
                 more={"train_r2": [1 - loss / 4e6 for loss in decay(4e6, 1e5, 60, 4)]}),
    ),
    "a gap after four epochs": ("overfitting", scripted([0.7, 0.3, 0.1, 0.05], [0.7, 0.6, 0.5, 0.45])),
    "a gap, and still going down": (
        "overfitting",
        scripted(decay(0.7, 0.05, 20, 15), decay(0.7, 0.4, 20, 15)),
    ),
    "thrown up by 1e9, and never back": (
        "diverged",
        scripted([1e9 * (1 + epoch % 3) for epoch in range(20)], [2e9] * 20),
    ),
    "up by 1e9 and down to knowing nothing": (
        "diverged",
        scripted([0.69, 0.6, 7e8, *[0.694] * 20], [0.69, 0.61, 9e8, *[0.694] * 20]),
    ),
    "a large start that falls": (
        "still_improving",
        scripted(decay(4.0, 0.5, 30, 20), decay(4.0, 0.55, 30, 20), data=REGRESSION, stop=None),
    ),
    "a raw target far from zero, falling slowly": (
        "underfitting",
        scripted(decay(400.0, 40.0, 30, 20), decay(400.0, 41.0, 30, 20),
                 data=REGRESSION, preprocessing={"target": "none"},
                 more={"train_r2": [1 - loss for loss in decay(400.0, 40.0, 30, 20)]}),
    ),
    "thrown away late": (
        "unstable",
        scripted([*decay(0.7, 0.1, 30, 4), 0.9, *decay(0.9, 0.1, 19, 3)],
                 [*decay(0.7, 0.12, 30, 4), 0.9, *decay(0.9, 0.12, 19, 3)]),
    ),
    "dead units": (
        "underfitting",
        scripted([0.71, *[0.694] * 29], [0.71, *[0.694] * 29], network={"hidden": [8, 4]},
                 optimizer={"learning_rate": 0.02},
                 weights={"layers": [{"name": "hidden_1", "shape": [8, 2], "silent": 8},
                                     {"name": "hidden_2", "shape": [4, 8], "silent": 4},
                                     {"name": "output", "shape": [1, 4], "silent": None}]}),
    ),
    "penalties that most of the loss hangs on": (
        "over_regularized",
        scripted(decay(0.7, 0.28, 60, 4), decay(0.7, 0.28, 60, 4), regularization={"l1": 0.05},
                 more={"penalty_l1": [0.22] * 60}),
    ),
    "penalties on a loss that is nearly gone": (
        "good_fit",
        scripted(decay(0.7, 0.03, 60, 4), decay(0.7, 0.03, 60, 4), regularization={"l1": 0.02},
                 more={"penalty_l1": [0.22] * 60}),
    ),
    "FISTA on its way": (
        "overfitting",
        scripted(decay(0.7, 0.001, 500, 30),
                 [*decay(0.7, 0.3, 20, 5), *[0.3 + 0.001 * step for step in range(480)]],
                 optimizer={"kind": "fista"}),
    ),
    "FISTA at λ_max": (
        "over_regularized",
        scripted([0.693] * 3, [0.693] * 3, stop="converged", optimizer={"kind": "fista"},
                 regularization={"l1": 2.0}),
    ),
    "lost with its worker": ("good_fit", good(stop="worker_lost")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_of(name: str) -> None:
    expected, case = CASES[name]
    found = diagnose(case)
    assert found.verdict == expected, found.summary


def test_every_verdict_has_a_case() -> None:
    assert {expected for expected, _ in CASES.values()} == set(VERDICTS)


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_change_the_verdict(seed: int) -> None:
    """Noise of 5 % an epoch, as small validation splits have it."""
    for expected, case in (CASES["settled"], CASES["turned"], CASES["flat at the baseline"]):
        train, val = (noisy(case.series[name], 0.05, seed) for name in ("train_loss", "val_loss"))
        assert diagnose(scripted(train, val)).verdict == expected


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_units_of_a_regression_change_nothing(unit: float) -> None:
    """Losses in the target's own units say what those of a standardized target say."""
    train, val = decay(0.9, 0.01, 60, 4), decay(0.9, 0.6, 60, 4)
    own = scripted(
        [unit * loss for loss in train],
        [unit * loss for loss in val],
        data=REGRESSION,
        preprocessing={"target": "none"},
        more={"train_r2": [1 - loss for loss in train]},
    )
    standardized = scripted(train, val, data=REGRESSION)
    assert diagnose(own).verdict == diagnose(standardized).verdict == "overfitting"
    gaps = [
        each.detail for case in (own, standardized) for each in diagnose(case).evidence if each.name == "gap"
    ]
    assert gaps[0].split(":")[1] == gaps[1].split(":")[1]


def test_a_wild_epoch_moves_no_verdict() -> None:
    val = list(good().series["val_loss"])
    val[40] = 30.0
    assert diagnose(scripted(good().series["train_loss"], val)).verdict == "good_fit"


def test_a_restored_epoch_is_judged_and_not_the_last() -> None:
    """Early stopping with long patience: what came after the best is thrown away."""
    train = decay(0.7, 0.01, 60, 6)
    val = [*decay(0.7, 0.3, 10, 4), *[0.4 + 0.02 * step for step in range(50)]]
    result = {"restored_epoch": 10, "train": {"loss": 0.35}, "validation": {"loss": 0.38}}
    patient = {"early_stopping": {"patience": 50}}
    kept = scripted(train, val, result=result, stop="early_stopping", regularization=patient)
    assert diagnose(kept).verdict == "good_fit"
    last = {"early_stopping": {"patience": 50, "restore_best_weights": False}}
    thrown = {"restored_epoch": 60, "train": {"loss": 0.01}, "validation": {"loss": 1.38}}
    found = diagnose(scripted(train, val, result=thrown, stop="early_stopping", regularization=last))
    assert found.verdict == "overfitting"


def test_evidence_and_summary_have_the_numbers_in_them() -> None:
    found = diagnose(memorized())
    told = {each.name: each for each in found.evidence}
    assert told["rise"].value == pytest.approx(1.01 - 0.43, abs=0.05)
    assert told["gap"].value > 0.25
    assert told["learned"].value == pytest.approx(1 - 0.147 / math.log(2), abs=0.1)
    assert "epoch 10" in told["rise"].detail
    assert "%" in found.summary
    assert all(math.isfinite(each.value) and "nan" not in each.detail for each in found.evidence)


def test_of_a_lowest_level_of_nothing_there_are_no_percents() -> None:
    case = scripted([0.0] * 60, [0.0] * 20 + [0.02 * step for step in range(40)], data=REGRESSION)
    found = diagnose(case)
    (rise,) = (each.detail for each in found.evidence if each.name == "rise")
    assert "no number" not in rise + found.summary
    assert rise.startswith("val_loss ends at 0.73, where it was 0 at its lowest level")
    assert found.verdict == "good_fit"
    assert "thrown away" in found.summary


def told_by_x0(count: int) -> Description:
    known = description((count, count))
    levels = {"kind": "categorical", "cardinality": 3, "levels": ["test", "train", "validation"]}
    first, *others = known.columns
    return known.model_copy(update={"columns": [first.model_copy(update=levels), *others]})


def test_a_gap_over_a_handful_of_rows_is_chance_whoever_split_them() -> None:
    """A column decides which rows validate; a fifth is assumed, and not said."""
    split = {"split": {"column": "x0"}}
    curves = decay(0.7, 0.05, 40, 3), decay(0.7, 0.14, 40, 3)
    few = diagnose(scripted(*curves, data=told_by_x0(30), **split))
    assert few.verdict == "good_fit"
    assert "which so few rows cannot tell from chance" in few.summary
    assert "validation_rows" not in {each.name for each in few.evidence}
    many = diagnose(scripted(*curves, data=told_by_x0(3000), **split))
    assert many.verdict == "overfitting"


def test_a_gap_that_may_be_chance_is_no_praise() -> None:
    """The standard error that was measured decides, not an assumed one; and it says how many rows could."""
    curves = decay(0.7, 0.1, 40, 3), decay(0.7, 0.25, 40, 3)
    results: list[dict[str, Any]] = [
        {"train": {"loss": 0.1}, "validation": {"loss": 0.25, "loss_se": error}} for error in (0.05, 0.15)
    ]
    sure, unsure = (diagnose(scripted(*curves, result=each)) for each in results)
    assert sure.verdict == "overfitting"
    assert unsure.verdict == "good_fit"
    assert "It may overfit" in unsure.summary
    assert "120 rows cannot tell from chance" in unsure.summary
    told = {each.name: each for each in unsure.evidence}
    assert told["gap_in_errors"].value == pytest.approx(1.0)
    # Two errors below the gap: 120 · (2 · 0.15/0.15)² rows.
    assert "some 480 validation rows could tell" in told["gap_in_errors"].detail
    assert "gap_in_errors" not in {each.name for each in sure.evidence}


def test_dead_units_are_evidence_and_larger_steps_no_answer() -> None:
    found = diagnose(CASES["dead units"][1])
    assert {each.name: each.value for each in found.evidence}["silent_units"] == 1
    assert "silent" in found.summary
    assert found.suggestions[0].patch == {"optimizer": {"learning_rate": 0.0067}}


def test_what_the_weights_say_is_evidence() -> None:
    inputs = [{"column": f"x{index}", "kept": index < 2} for index in range(8)]
    case = good(regularization={"l1": 1e-3}, weights={"inputs": inputs}, more={"sparsity": [0.6] * 60})
    told = {each.name: each.value for each in diagnose(case).evidence}
    assert told["inputs_dropped"] == 6
    assert told["zeros"] == pytest.approx(0.6)


def test_without_a_description_the_first_epoch_is_the_baseline() -> None:
    case = memorized()
    bare = Case(case.spec, case.series, None, case.stop_reason)
    assert diagnose(bare).verdict == "overfitting"


def test_a_curve_without_epochs_shows_nothing() -> None:
    with pytest.raises(ValueError, match="without epochs"):
        diagnose(scripted([], [], training={"max_epochs": 5}))


def test_huge_losses_do_no_harm() -> None:
    huge = [1e308, 0.5, *[1e307] * 20]
    assert diagnose(scripted(huge, [-value for value in huge])).verdict in VERDICTS


def test_a_hundred_thousand_epochs_take_no_time() -> None:
    import time

    train, val = decay(0.7, 0.1, 100_000, 9_000), decay(0.7, 0.4, 100_000, 9_000)
    case = scripted(noisy(train, 0.05), noisy(val, 0.05, 1))
    began = time.process_time()
    assert diagnose(case).verdict == "overfitting"
    assert time.process_time() - began < 1.0
