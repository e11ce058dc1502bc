"""Real trainings that go wrong on purpose: the verdict is right whatever the seed, and its advice helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.datasets import Table, bundled
from models.defaults import complete
from models.diagnosis import Case, Diagnosis, diagnose
from models.diagnosis.patches import merged
from models.spec import JobSpec
from tests.models.building import table
from tests.models.diagnosis.cases import few_of_many, retrained, trained_case, two_clouds

SEEDS = [0, 1, pytest.param(2, marks=pytest.mark.long)]
WIDE: dict[str, Any] = {"network": {"hidden": [64]}, "training": {"max_epochs": 40}}
EXACT = {"optimizer": {"kind": "fista"}}
QUICK = {"learning_rate": 0.02}
LIGHT = {"l2": 1e-3, "early_stopping": True}


def settled(seed: int) -> Table:
    """A regression that a linear model meets."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(400, 4))
    return table(x, x.sum(axis=1) + 0.3 * random.normal(size=400))


def seeded(seed: int, **settings: Any) -> dict[str, Any]:
    training = settings.pop("training", {})
    return {**settings, "training": {**training, "seed": seed}, "split": {"seed": seed}}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wide_network_on_few_rows_overfits(seed: int) -> None:
    assert diagnose(trained_case(few_of_many(seed), **seeded(seed, **WIDE))).verdict == "overfitting"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_that_learns_wrong_labels_by_heart_overfits(seed: int) -> None:
    mislabelled = two_clouds(seed, rows=200, mislabelled=0.3)
    last = {"early_stopping": {"patience": 80, "restore_best_weights": False}}
    settings = seeded(seed, network={"hidden": [64]}, optimizer=QUICK, training={"max_epochs": 80})
    assert diagnose(trained_case(mislabelled, **settings, regularization=last)).verdict == "overfitting"
    # The weights from before it began to learn them by heart do not overfit; the epochs behind were in vain.
    best = diagnose(trained_case(mislabelled, **settings))
    assert best.verdict != "overfitting" or "l2" in {each.technique for each in best.suggestions}


def test_a_network_that_knows_its_rows_fifty_times_better_than_others_overfits() -> None:
    """Both losses are small, and 96 of 100 rows are answered rightly: the ratio tells. A gentle L2 helps."""
    digits = bundled("digits")
    settings = {"network": {"hidden": [128, 64]}, "training": {"max_epochs": 40, "batch_size": 32}}
    case = trained_case(digits, **settings)
    found = diagnose(case)
    losses = {split: case.measured(split, "loss") for split in ("train", "validation", "test")}
    assert losses["validation"] > 30 * losses["train"]
    assert losses["validation"] - losses["train"] < 0.05 * np.log(10)
    assert found.verdict == "overfitting"
    assert "times as much" in found.summary
    changed = merged(case.spec.model_dump(mode="json"), found.suggestions[0].patch)
    assert found.suggestions[0].technique == "l2"
    assert retrained(JobSpec.model_validate(changed), digits).measured("test", "loss") < losses["test"]


@pytest.mark.parametrize("seed", SEEDS)
def test_least_squares_with_half_as_many_columns_as_rows_overfits(seed: int) -> None:
    found = diagnose(trained_case(few_of_many(seed, rows=120, columns=60), **seeded(seed, **EXACT)))
    assert found.verdict == "overfitting"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_data_bear_out_is_a_good_fit(seed: int) -> None:
    linear = seeded(seed, network={"hidden": []}, optimizer=QUICK, regularization=LIGHT)
    for data in (settled(seed), two_clouds(seed)):
        assert diagnose(trained_case(data, **linear)).verdict == "good_fit"
        exact = seeded(seed, **EXACT, regularization={"l2": 1e-2})
        assert diagnose(trained_case(data, **exact)).verdict == "good_fit"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cocktail", [{"l2": 10.0}, {"l1": 2.0}, {"dropout": {"input": 0.9, "hidden": 0.9}}])
def test_what_is_held_down_is_over_regularized(seed: int, cocktail: dict[str, Any]) -> None:
    settings = seeded(seed, network={"hidden": [8]}, training={"max_epochs": 30}, regularization=cocktail)
    assert diagnose(trained_case(two_clouds(seed), **settings)).verdict == "over_regularized"


BORNE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"l2": 0.05}, {"l2": 3.0}),
    ({"l2": 0.1}, {"l2": 10.0}),
    ({"l1": 0.05}, {"l1": 0.5}),
    ({"l1": 0.1}, {"l1": 1.0}),
]


@pytest.mark.parametrize(("borne", "strict"), BORNE)
def test_a_linear_model_bears_a_ridge_and_a_lasso_of_the_usual_strengths(
    borne: dict[str, Any], strict: dict[str, Any]
) -> None:
    """On data that allow less than half to be learned it predicts as well with them as without."""
    scored = {**EXACT, "metrics": ["r2"]}
    for data in (few_of_many(0, rows=500, columns=10, noise=2.0), bundled("diabetes")):
        plain = trained_case(data, **scored).result
        case = trained_case(data, **scored, regularization=borne)
        assert plain
        assert case.result
        assert case.result["validation"]["r2"] > plain["validation"]["r2"] - 0.01
        assert diagnose(case).verdict == "good_fit"
        too_much = trained_case(data, **EXACT, regularization=strict)
        assert diagnose(too_much).verdict == "over_regularized"


def decayed(decay: float) -> Case:
    optimizer = {"kind": "adamw", "weight_decay": decay}
    settings = {"network": {"hidden": [64, 32]}, "training": {"max_epochs": 60}}
    return trained_case(bundled("iris"), optimizer=optimizer, **settings)


@pytest.mark.parametrize("decay", [30.0, 100.0])
def test_decay_that_shrinks_what_is_learned_is_over_regularized(decay: float) -> None:
    case = decayed(decay)
    found = diagnose(case)
    assert found.verdict == "over_regularized"
    assert found.suggestions[0].patch == {"optimizer": {"weight_decay": 1.0}}
    assert "weight_decay" in {each.name for each in found.evidence}
    again = retrained(advised(case, found), bundled("iris"))
    assert diagnose(again).verdict == "good_fit"


def test_decay_that_a_network_bears_is_none_of_it() -> None:
    assert diagnose(decayed(3.0)).verdict in ("good_fit", "still_improving")


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_too_small_to_get_anywhere_underfit(seed: int) -> None:
    slow = seeded(seed, optimizer={"learning_rate": 1e-6}, training={"max_epochs": 20})
    found = diagnose(trained_case(two_clouds(seed), **slow))
    assert found.verdict == "underfitting"
    assert found.suggestions[0].technique == "learning_rate"


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_that_say_nothing_underfit(seed: int) -> None:
    random = np.random.default_rng(seed)
    nothing = table(random.normal(size=(400, 3)), random.normal(size=400))
    linear = seeded(seed, network={"hidden": []}, training={"max_epochs": 20})
    assert diagnose(trained_case(nothing, **linear)).verdict == "underfitting"


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_too_large_diverge_or_get_nowhere(seed: int) -> None:
    sgd = {"kind": "sgd", "learning_rate": 20.0}
    settings = seeded(seed, network={"hidden": [8]}, optimizer=sgd, training={"max_epochs": 20})
    found = diagnose(trained_case(settled(seed), **settings))
    assert found.verdict == "diverged"
    assert found.suggestions[0].patch == {"optimizer": {"learning_rate": 0.05}}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_epochs_of_small_steps_are_not_done(seed: int) -> None:
    early = seeded(
        seed, network={"hidden": [8]}, optimizer={"learning_rate": 3e-4}, training={"max_epochs": 40}
    )
    assert diagnose(trained_case(settled(seed), **early)).verdict == "still_improving"


def advised(case: Case, found: Diagnosis) -> JobSpec:
    """The case's spec, changed as the first suggestion says."""
    changed = merged(case.spec.model_dump(mode="json"), found.suggestions[0].patch)
    assert case.description
    return complete(JobSpec.model_validate(changed), case.description).spec


ADVISED = {"a network": (WIDE, {}), "least squares": (EXACT, {"rows": 120, "columns": 60})}


@pytest.mark.parametrize("what", ADVISED)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_advice_narrows_the_gap(seed: int, what: str) -> None:
    """And validation loss falls with it. On fresh rows, of many jobs: `./run bench diagnosis`."""
    settings, shape = ADVISED[what]
    data = few_of_many(seed, **shape)
    before = trained_case(data, **seeded(seed, **settings))
    found = diagnose(before)
    assert found.suggestions[0].technique == "l2"
    after = retrained(advised(before, found), data)
    assert before.result
    assert after.result
    assert after.result["generalization_gap"] < before.result["generalization_gap"]
    assert after.result["validation"]["loss"] < before.result["validation"]["loss"]


def half_moons(seed: int) -> Table:
    """Two half circles around each other, hardly any noise: a loss of 0.02 and less can be had."""
    random = np.random.default_rng(seed)
    y, angle = random.integers(0, 2, 400), random.uniform(0, np.pi, 400)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 1, [1.0, 0.5] - circle, circle) + 0.1 * random.normal(size=(400, 2))
    return table(x, y)


MOONS: dict[str, Any] = {"network": {"hidden": [32, 16]}, "training": {"max_epochs": 60}}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_l1_that_keeps_half_moons_apart_from_their_shape_is_too_much(seed: int) -> None:
    data, settings = half_moons(seed), seeded(seed, **MOONS, optimizer={"learning_rate": 0.01})
    before = trained_case(data, **settings, regularization={"l1": 0.05})
    assert before.result
    assert before.result["train"]["loss"] > 0.2
    found = diagnose(before)
    assert found.verdict == "over_regularized"
    assert "pull" in {each.name for each in found.evidence}
    assert found.suggestions[0].patch == {"regularization": {"l1": {"strength": 0.005}}}
    after = retrained(advised(before, found), data)
    assert after.result
    assert after.result["validation"]["loss"] < 0.5 * before.result["validation"]["loss"]
    assert diagnose(after).verdict == "good_fit"


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_that_kill_units_are_made_smaller(seed: int) -> None:
    """At a hundred times the usual rate most rectifiers never open again."""
    settings = seeded(seed, **MOONS, optimizer={"learning_rate": 3.0})
    case = trained_case(half_moons(seed), **settings)
    found = diagnose(case)
    assert found.verdict in ("unstable", "underfitting", "diverged")
    assert {each.name: each.value for each in found.evidence}["silent_units"] > 0.5
    assert found.suggestions[0].technique == "learning_rate"
    after = retrained(advised(case, found), half_moons(seed))
    assert after.result
    assert after.result["train"]["loss"] < 0.05


def test_the_first_advice_lets_a_network_learn_that_was_held_down() -> None:
    data = two_clouds(0)
    small = {"network": {"hidden": [8]}, "optimizer": QUICK, "training": {"max_epochs": 60}}
    before = trained_case(data, **small, regularization={"l2": 10.0})
    after = retrained(advised(before, diagnose(before)), data)
    assert diagnose(after).verdict == "good_fit"
