"""What only the dealt rows tell: classes without rows, metrics without a meaning, an l1 above λ_max."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.best import undefined_monitors
from models.checkpoints import load, save
from models.datasets import BUNDLED, Column, Table, bundled
from models.defaults import complete
from models.diagnosis.symptoms import symptoms
from models.errors import DataError, Notice
from models.metrics import METRICS
from models.preprocessing import Prepared, prepare
from models.row_notices import data_problems, row_notices, undefined_series
from models.spec import JobSpec
from models.training import Training
from tests.models.building import table
from tests.models.diagnosis.cases import case_of


def dealt(y: np.ndarray, splits: Sequence[str], *, seed: int = 0, columns: int = 3) -> Table:
    """Rows with these targets, dealt by a column that says so."""
    made = table(np.random.default_rng(seed).normal(size=(len(y), columns)), y)
    levels = sorted(set(splits))
    told = Column(
        name="split", kind="categorical", missing=0, cardinality=len(levels), constant=False, levels=levels
    )
    description = made.description.model_copy(update={"columns": [*made.description.columns, told]})
    return Table(made.frame.with_columns(split=pl.Series(list(splits))), description)


def readied(data: Table, **settings: Any) -> tuple[JobSpec, Prepared]:
    asked = {"dataset": "given", "split": {"column": "split"}, "network": {"hidden": [4]}, **settings}
    spec = complete(JobSpec.model_validate(asked), data.description).spec
    return spec, prepare(spec, data)


def told(data: Table, **settings: Any) -> list[Notice]:
    return list(row_notices(*readied(data, **settings)))


def trained(data: Table, **settings: Any) -> Training:
    done = Training(*readied(data, **settings))
    for _ in done:
        pass
    return done


THREE = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
ONE_CLASS = np.r_[np.arange(60) % 2, np.ones(20, int), np.arange(20) % 2]
"""Two classes in training and test, the second alone in validation."""
NO_POSITIVES = np.where(np.arange(100) // 60 == 1, 0, np.arange(100) % 2)


# ── classes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_class_that_nothing_teaches_is_named() -> None:
    y = np.arange(100) % 2
    y[[70, 71, 90]] = 2
    (notice,) = [each for each in told(dealt(y, THREE)) if "no training row" in each.detail]
    assert notice.pointer == "/split"
    assert "class '2'" in notice.detail
    assert "never be learned, and 3 rows" in notice.detail


def test_classes_that_are_not_looked_at_are_named() -> None:
    y = np.arange(100) % 8
    y[60:80] %= 2
    details = [each.detail for each in told(dealt(y, THREE))]
    assert any(
        "6 of 8 classes ('2', '3', '4', '5', '6', …) have no validation row" in each for each in details
    )


@pytest.mark.parametrize("name", BUNDLED)
def test_of_the_bundled_sets_there_is_nothing_to_tell(name: str) -> None:
    data = bundled(name)
    for seed in range(3):
        spec = JobSpec.model_validate({"dataset": name, "split": {"seed": seed}})
        spec = complete(spec, data.description).spec
        prepared = prepare(spec, data)
        assert [*row_notices(spec, prepared), *data_problems(spec, data, prepared)] == []


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────────


def stopping(*metrics: str, **more: Any) -> dict[str, Any]:
    monitors = [{"metric": metric, "patience": 3} for metric in metrics]
    return {
        "regularization": {"early_stopping": {"monitors": monitors, **more}},
        "training": {"max_epochs": 12},
        "optimizer": {"learning_rate": 1e-5},
    }


def test_a_monitor_without_a_value_ends_nothing_and_is_told() -> None:
    data, settings = dealt(ONE_CLASS, THREE), stopping("val_roc_auc")
    notices = {each.pointer: each.detail for each in told(data, **settings)}
    detail = notices["/regularization/early_stopping/monitors/0/metric"]
    assert detail.startswith("val_roc_auc is undefined: the validation rows hold one class")
    assert "lowest val_loss" in detail
    done = trained(data, **settings)
    assert done.stop_reason == "max_epochs"
    losses = [epoch.values["val_loss"] for epoch in done.history.epochs]
    assert done.best_epoch == done.restored_epoch == 1 + int(np.argmin(losses))


@pytest.mark.parametrize("metric", ["recall", "f1", "precision", "average_precision", "roc_auc"])
def test_a_monitor_whose_value_the_rows_decide_ends_nothing(metric: str) -> None:
    """Of no positives recall and its relatives are 0 whatever is learned: that is no lack of progress."""
    done = trained(dealt(NO_POSITIVES, THREE), **stopping(f"val_{metric}"))
    assert (done.stop_reason, len(done.history)) == ("max_epochs", 12)


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "average_precision", "r2", "roc_auc"])
def test_while_it_runs_the_best_epoch_is_that_of_the_training(metric: str) -> None:
    """Whatever an undefined metric's value is: NaN, 0, or 1. A diagnosis has the curve and the warnings."""
    y = NO_POSITIVES if metric != "r2" else np.r_[np.arange(60.0), np.full(20, 3.0), np.arange(20.0)]
    settings = stopping(f"val_{metric}") | {
        "optimizer": {"learning_rate": 0.05},
        "training": {"max_epochs": 9},
    }
    data = dealt(y, THREE)
    done = trained(data, **settings)
    stored = [asdict(each) for each in row_notices(done.spec, done.prepared)]
    undefined = undefined_monitors(done.spec, stored)
    assert undefined == {f"val_{metric}"}
    case = case_of(done, data)
    running = replace(case, result=None, stop_reason=None, undefined=undefined)
    assert symptoms(running).kept_epoch == done.best_epoch
    losses = case.numbers("val_loss")
    assert done.best_epoch == 1 + losses.index(min(losses))


@pytest.mark.parametrize("combine", ["all", "any"])
def test_the_other_monitors_decide(combine: str) -> None:
    data = dealt(ONE_CLASS, THREE)
    settings = stopping("val_roc_auc", "val_accuracy", combine=combine)
    done = trained(data, **settings)
    assert done.stop_reason == "early_stopping"
    assert "val_accuracy" in done.stop_detail
    assert "val_roc_auc" not in done.stop_detail


def test_r2_of_a_single_row_or_of_a_constant_says_nothing() -> None:
    y = np.random.default_rng(0).normal(size=62)
    single = ["train"] * 60 + ["validation", "test"]
    details = [each.detail for each in told(dealt(y, single))]
    assert any("val_r2 is undefined: the validation rows are a single one" in each for each in details)
    assert any("the test's r2 is undefined" in each for each in details)
    assert any("validation has 1, test has 1" in each for each in details)
    assert trained(dealt(y, single), **stopping("val_r2")).stop_reason == "max_epochs"
    y[58:62] = 3.0
    constant = ["train"] * 58 + ["validation"] * 4
    assert trained(dealt(y, constant), **stopping("val_r2")).stop_reason == "max_epochs"


def test_a_checkpoint_goes_on_without_what_is_undefined(tmp_path: Any) -> None:
    spec, prepared = readied(dealt(NO_POSITIVES, THREE), **stopping("val_recall"))
    begun = Training(spec, prepared)
    for epoch in begun:
        if epoch.number == 2:
            break
    save(tmp_path / "checkpoint", begun)
    resumed = Training(spec, prepared)
    resumed.resume(load(tmp_path / "checkpoint"))
    assert [epoch.number for epoch in resumed] == list(range(3, 13))
    assert resumed.stop_reason == "max_epochs"


@pytest.mark.parametrize("name", METRICS)
def test_what_a_metric_calls_undefined_no_answer_can_change(name: str) -> None:
    """By discovery: on rows where a metric is said to be undefined, every network has the same value."""
    import torch

    from models.metrics import Predictions

    stream, metric = np.random.default_rng(0), METRICS[name]
    truths: list[np.ndarray] = [np.ones(9, int), np.zeros(9, int), np.arange(9) % 2, np.array([1])]
    if metric.tasks == {"regression"}:
        truths = [np.full(9, 0.3), stream.normal(size=9), np.array([1.0])]
    for truth in truths:
        values = set()
        for _ in range(20):
            scores = torch.from_numpy(stream.random(len(truth)) * stream.random())
            said = Predictions(labels=(scores > 0.5).long(), probabilities=scores)
            if metric.tasks == {"regression"}:
                said = Predictions(values=scores)
            values.add(str(float(metric.function(torch.from_numpy(truth), said))))
        if metric.undefined(truth):
            assert len(values) == 1
        elif len(truth) > 1:
            assert len(values) > 1


def test_the_series_that_say_nothing_are_known() -> None:
    undefined = undefined_series(*readied(dealt(ONE_CLASS, THREE), metrics=["accuracy", "roc_auc"]))
    assert undefined == {"val_roc_auc": "the validation rows hold one class"}


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_batch_norm_of_one_training_row_is_an_error_before_it_diverges() -> None:
    y = np.random.default_rng(0).normal(size=40)
    splits = ["train"] + ["validation"] * 39
    with pytest.raises(DataError, match="batch norm needs two training rows"):
        readied(dealt(y, splits), regularization={"batch_norm": True})
    assert (
        trained(dealt(y, splits), regularization={}, training={"max_epochs": 3}).stop_reason == "max_epochs"
    )


def test_a_column_without_validation_rows_needs_no_early_stopping() -> None:
    data = dealt(np.arange(40) % 2, ["train"] * 30 + ["test"] * 10)
    spec, _ = readied(data)
    assert spec.regularization is not None
    assert spec.regularization.early_stopping is None
    with pytest.raises(Exception, match="needs validation rows, and column 'split' has none"):
        readied(data, regularization={"early_stopping": True})


# ── strengths and endings ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_lambda_max_is_where_the_first_weight_wakes(task: str) -> None:
    stream = np.random.default_rng(0)
    x = stream.normal(size=(120, 4))
    score = x @ [1.0, -1.0, 0.5, 0.0]
    y = {"regression": score, "binary": (score > 0).astype(int), "multiclass": np.digitize(score, [-1, 1])}[
        task
    ]
    made = table(x, y)

    def fitted(strength: float) -> tuple[bool, int]:
        asked = {
            "dataset": "given",
            "optimizer": {"kind": "fista", "tolerance": 1e-7},
            "regularization": {"l1": {"strength": strength, "feature_weights": {"x0": 2.0}}},
        }
        spec = complete(JobSpec.model_validate(asked), made.description).spec
        prepared = prepare(spec, made)
        is_told = any(each.pointer == "/regularization/l1/strength" for each in row_notices(spec, prepared))
        done = Training(spec, prepared)
        for _ in done:
            pass
        (_, layer), *_ = done.network.linears()
        return is_told, int((layer.weight != 0).sum())

    grid = [fitted(strength) for strength in np.geomspace(0.05, 3, 12)]
    assert [is_told for is_told, _ in grid] == [not weights for _, weights in grid]
    assert {is_told for is_told, _ in grid} == {True, False}


def test_the_largest_l1_is_found_without_a_copy_of_the_training_rows() -> None:
    stream = np.random.default_rng(0)
    made = dealt(stream.integers(0, 3, 20_000), ["train"] * 19_000 + ["validation"] * 1000, columns=40)
    spec, prepared = readied(made, network={"hidden": []}, regularization={"l1": 1.0})
    tracemalloc.start()
    (notice,) = [each for each in row_notices(spec, prepared) if each.pointer.endswith("/strength")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    x, truth = prepared.train.x.astype(float), np.eye(3)[prepared.train.y]
    assert f"{np.abs(x.T @ (truth - truth.mean(axis=0))).max() / len(x):.3g}" in notice.detail
    assert peak < prepared.train.x.nbytes / 2


@pytest.mark.parametrize(("epochs", "converges"), [(3, False), (10_000, True)])
def test_fista_that_has_not_converged_says_so(epochs: int, converges: bool) -> None:
    y = (np.random.default_rng(3).random(100) > 0.5).astype(int)
    done = trained(
        dealt(y, THREE),
        network={"hidden": []},
        optimizer={"kind": "fista"},
        regularization={"l2": 0.01},
        training={"max_epochs": epochs},
    )
    assert (done.stop_reason == "converged") is converges
    assert ("not converged" in done.stop_detail) is not converges
    assert [each.pointer for each in done.closing_notices()] == ["/training/max_epochs"] * (not converges)
