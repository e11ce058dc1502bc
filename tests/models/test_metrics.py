"""Every metric, found by discovery, against scikit-learn's figure for the same rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from numpy.typing import NDArray

from models.metrics import METRICS, Predictions, Task, direction

Array = NDArray[np.float64]
Case = tuple[NDArray[np.int64] | Array, Array]

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


def taken(scores: Array) -> NDArray[np.int64]:
    """The class a network would answer with."""
    return (scores > 0.5).astype(np.int64) if scores.ndim == 1 else scores.argmax(1)


def said(task: Task, scores: Array) -> Predictions:
    if task == "regression":
        return Predictions(values=torch.as_tensor(scores))
    return Predictions(labels=torch.as_tensor(taken(scores)), probabilities=torch.as_tensor(scores))


def ours(name: str, task: Task, case: Case) -> float:
    truth, scores = case
    answer = METRICS[name].function(torch.as_tensor(truth), said(task, scores))
    assert answer.shape == ()
    return float(answer)


def columns(scores: Array) -> int:
    return 2 if scores.ndim == 1 else scores.shape[1]


def auc(truth: NDArray[np.int64], scores: Array) -> float:
    if scores.ndim == 1:
        return float(reference.roc_auc_score(truth, scores))
    return float(reference.roc_auc_score(truth, scores, multi_class="ovr", labels=np.arange(scores.shape[1])))


SKLEARN: dict[str, Callable[..., float]] = {
    "accuracy": lambda y, p: reference.accuracy_score(y, taken(p)),
    "balanced_accuracy": lambda y, p: reference.balanced_accuracy_score(y, taken(p)),
    "f1": lambda y, p: reference.f1_score(y, taken(p), zero_division=0),
    "f1_macro": lambda y, p: reference.f1_score(y, taken(p), average="macro", zero_division=0),
    "precision": lambda y, p: reference.precision_score(y, taken(p), zero_division=0),
    "recall": lambda y, p: reference.recall_score(y, taken(p), zero_division=0),
    "roc_auc": auc,
    "average_precision": reference.average_precision_score,
    "log_loss": lambda y, p: reference.log_loss(y, p, labels=np.arange(columns(p))),
    "brier": lambda y, p: reference.brier_score_loss(
        y, p, labels=np.arange(columns(p)), scale_by_half=p.ndim == 1
    ),
    "rmse": reference.root_mean_squared_error,
    "mae": reference.mean_absolute_error,
    "r2": reference.r2_score,
}


def random_case(task: Task, seed: int, rows: int, *, ties: bool) -> Case:
    generator = np.random.default_rng(seed)
    if task == "regression":
        truth = generator.normal(size=rows) * 50 + 10
        return truth, truth + generator.normal(size=rows) * 20
    classes = 2 if task == "binary" else int(generator.integers(3, 7))
    truth = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)])
    scores = generator.dirichlet(np.ones(classes), rows) + 0.3 * np.eye(classes)[truth]
    scores /= scores.sum(1, keepdims=True)
    if ties:
        # Coarse counts over a common total: rows still sum to one, and most scores occur several times.
        scores = np.eye(classes)[(scores.cumsum(1) > 0.5).argmax(1)] * 0.75 + 0.25 / classes
    return truth, scores[:, 1] if task == "binary" else scores


PAIRS = [(name, task) for name, metric in METRICS.items() for task in TASKS if task in metric.tasks]


@pytest.mark.parametrize(("name", "task"), PAIRS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("seed", "rows"), [(0, 9), (1, 50), (2, 400), (3, 3000)])
def test_every_metric_agrees_with_scikit_learn(
    name: str, task: Task, ties: bool, seed: int, rows: int
) -> None:
    case = random_case(task, seed, rows, ties=ties)
    assert ours(name, task, case) == pytest.approx(SKLEARN[name](*case), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_declared_direction_is_the_one_that_perfection_lies_in(name: str, task: Task) -> None:
    truth, scores = random_case(task, 7, 60, ties=False)
    perfect = truth.astype(np.float64) if task != "multiclass" else np.eye(scores.shape[1])[truth]
    best, usual = ours(name, task, (truth, perfect)), ours(name, task, (truth, scores))
    assert (best > usual) is (METRICS[name].better == "higher")
    assert best == pytest.approx(1.0 if METRICS[name].better == "higher" else 0.0)


def test_predictions_in_single_precision_agree_too() -> None:
    truth, scores = random_case("multiclass", 11, 200, ties=False)
    for name, task in PAIRS:
        if task == "multiclass":
            single = said(task, scores.astype(np.float32))  # type: ignore[arg-type]
            got = float(METRICS[name].function(torch.as_tensor(truth), single))
            assert got == pytest.approx(SKLEARN[name](truth, scores), rel=1e-5)


def test_certain_but_wrong_costs_no_infinity() -> None:
    truth = np.array([0, 1, 1])
    for scores in (np.array([1.0, 0.0, 1.0]), np.eye(2)[[1, 0, 1]]):
        task: Task = "binary" if scores.ndim == 1 else "multiclass"
        for kind in (np.float64, np.float32):
            case = (truth, scores.astype(kind))
            assert ours("log_loss", task, case) == pytest.approx(SKLEARN["log_loss"](*case), rel=1e-6)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_what_is_undefined_counts_as_zero(name: str) -> None:
    nothing: Case = (np.zeros(4, np.int64), np.full(4, 0.1))
    assert ours(name, "binary", nothing) == 0.0
    assert ours(name, "binary", (np.array([1, 1, 0]), np.array([0.1, 0.2, 0.9]))) == 0.0


def test_classes_without_rows_are_left_out_of_averages() -> None:
    """Class 2 of 4 neither occurs nor is predicted, class 3 is only predicted."""
    truth = np.array([0, 0, 1, 1, 1])
    scores = np.array([[8, 1, 0, 1], [1, 1, 0, 8], [1, 8, 0, 1], [2, 7, 0, 1], [7, 1, 0, 2]]) / 10
    assert ours("f1_macro", "multiclass", (truth, scores)) == pytest.approx(
        reference.f1_score(truth, taken(scores), average="macro")
    )
    assert ours("balanced_accuracy", "multiclass", (truth, scores)) == pytest.approx((1 / 2 + 2 / 3) / 2)
    one_against_rest = [reference.roc_auc_score(truth == k, scores[:, k]) for k in (0, 1)]
    assert ours("roc_auc", "multiclass", (truth, scores)) == pytest.approx(np.mean(one_against_rest))


def test_no_ranking_without_both_classes() -> None:
    only: Case = (np.ones(3, np.int64), np.array([0.2, 0.5, 0.5]))
    assert np.isnan(ours("roc_auc", "binary", only))
    assert ours("average_precision", "binary", only) == 1.0
    assert ours("average_precision", "binary", (np.zeros(3, np.int64), only[1])) == 0.0


def test_equal_scores_rank_as_a_coin() -> None:
    same: Case = (np.array([0, 1, 0, 1, 1]), np.full(5, 0.4))
    assert ours("roc_auc", "binary", same) == 0.5
    assert ours("average_precision", "binary", same) == pytest.approx(0.6)


def test_r2_of_a_constant_target_and_of_one_row() -> None:
    constant = np.full(4, 3.0)
    assert ours("r2", "regression", (constant, constant)) == 1.0
    assert ours("r2", "regression", (constant, constant + 1)) == 0.0
    assert np.isnan(ours("r2", "regression", (constant[:1], constant[:1])))


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_one_row_is_enough_for_an_answer(name: str, task: Task) -> None:
    scores = np.array([[0.2, 0.5, 0.3]]) if task == "multiclass" else np.array([0.7])
    truth = np.array([0.5]) if task == "regression" else np.array([1])
    answer = ours(name, task, (truth, scores))
    assert np.isfinite(answer) or name in ("roc_auc", "r2")


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_metric_changes_none_of_its_arguments(name: str, task: Task) -> None:
    truth, scores = random_case(task, 5, 30, ties=False)
    before = truth.copy(), scores.copy()
    ours(name, task, (truth, scores))
    np.testing.assert_array_equal(before[0], truth)
    np.testing.assert_array_equal(before[1], scores)


def test_a_metric_of_another_task_is_an_error() -> None:
    with pytest.raises(TypeError, match="another task"):
        METRICS["rmse"].function(torch.zeros(2), Predictions(labels=torch.zeros(2)))


def test_every_metric_says_what_it_is() -> None:
    assert all(metric.summary and metric.name == name for name, metric in METRICS.items())
    assert set(SKLEARN) == set(METRICS)


def test_directions_are_declared_never_guessed() -> None:
    assert direction("val_f1_macro") == "higher"
    assert direction("val_loss") == direction("train_loss") == "lower"
    assert {name: direction(f"val_{name}") for name in METRICS} == {
        name: metric.better for name, metric in METRICS.items()
    }
    for unknown in ("loss", "f1_macro", "val_", "val_auc", "test_accuracy", ""):
        with pytest.raises(ValueError, match="there is no series"):
            direction(unknown)


def test_the_registry_loads_no_heavy_library() -> None:
    probe = "import sys, models.metrics; print(*{'torch', 'numpy', 'sklearn', 'polars'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


# ── targets of any size, anywhere ───────────────────────────────────────────────────────────────────────────

SCALES = [1.0, 1e-30, 1e30, 1e-200, 1e200, 1e300]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_regression_is_measured_alike_in_every_unit(name: str, scale: float) -> None:
    """Errors are in the target's unit and R² has none; squares of 1e200 leave a double's range."""
    truth, guessed = random_case("regression", 3, 200, ties=False)
    plain = ours(name, "regression", (truth, guessed))
    scaled = ours(name, "regression", (truth * scale, guessed * scale))
    assert scaled == pytest.approx(plain if name == "r2" else plain * scale, rel=1e-9, abs=0)


@pytest.mark.parametrize("offset", [0.0, 1.6e9, -1e12])
def test_a_target_far_from_zero_keeps_its_score(offset: float) -> None:
    truth, guessed = random_case("regression", 4, 300, ties=False)
    for name in ("rmse", "mae", "r2"):
        far = ours(name, "regression", (truth + offset, guessed + offset))
        assert far == pytest.approx(ours(name, "regression", (truth, guessed)), rel=1e-5)


def test_r2_of_a_constant_whose_mean_is_off_by_a_rounding() -> None:
    """The mean of ten times 0.1 is 0.09999999999999999: that is no variance."""
    tenth = np.full(10, 0.1)
    assert ours("r2", "regression", (tenth, tenth)) == 1.0
    assert ours("r2", "regression", (tenth, tenth + 1e-9)) == 0.0


@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_answers_that_are_no_numbers_give_no_number(name: str) -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert not np.isfinite(ours(name, "regression", (truth, np.array([1.0, np.nan, 3.0]))))
    assert not np.isfinite(ours(name, "regression", (truth, np.array([1.0, np.inf, 3.0]))))
