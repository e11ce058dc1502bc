"""scikit-learn's names are claimed where nothing else acts and nowhere else: setting by setting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge

from models.datasets import BUNDLED, Table, bundled
from models.defaults import complete
from models.equivalents import EXPRESSED
from models.regularizers import L1, L2, Regularization
from models.spec import JobSpec, NetworkSpec, OptimizerSpec, PreprocessingSpec, SplitSpec, TrainingSpec
from tests.models.building import coefficients, table, trained

TABLES = {name: bundled(name) for name in BUNDLED}
LINEAR: dict[str, Any] = {"network": {"hidden": []}, "regularization": {"l2": 0.01}}
DEEP: dict[str, Any] = {"network": {"hidden": [8]}, "regularization": {"l2": 0.01}}


def claimed(dataset: str = "breast_cancer", **settings: Any) -> dict[str, Any]:
    spec = JobSpec.model_validate({"dataset": dataset, **settings})
    return complete(spec, TABLES[dataset].description).equivalents


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    part, _, field = path.partition(".")
    return base | {part: base.get(part, {}) | {field: value}}


ACTING: dict[str, Any] = {
    "dropout": {"input": 0.5},
    "batch_norm": None,
    "early_stopping": {"monitor": "val_loss", "patience": 3},
}
"""Of techniques that scikit-learn has no word for, a setting that acts on a linear model; None: none does."""


def test_every_technique_is_expressed_or_tried_here() -> None:
    assert set(Regularization.model_fields) == {*EXPRESSED, *ACTING}
    for penalty in (L1, L2):
        assert set(penalty.model_fields) == {"strength", "scope", "feature_weights"}


@pytest.mark.parametrize("name", ACTING)
def test_whatever_else_acts_leaves_no_equivalent(name: str) -> None:
    assert claimed(**LINEAR)
    if ACTING[name] is not None:
        assert claimed(**changed(LINEAR, f"regularization.{name}", ACTING[name])) == {}
    on = {"dropout": 0.2, "batch_norm": True, "early_stopping": True}[name]
    assert claimed(**DEEP)
    assert claimed(**changed(DEEP, f"regularization.{name}", on)) == {}


def test_what_has_nothing_to_act_on_is_harmless() -> None:
    plain = claimed(**LINEAR)
    for name, on in (("dropout", 0.5), ("batch_norm", True), ("dropout", {"input": 0.0})):
        assert claimed(**changed(LINEAR, f"regularization.{name}", on)) == plain
    assert claimed(**changed(DEEP, "regularization.dropout", 0.0)) == claimed(**DEEP)


HARMLESS: dict[str, Any] = {
    "split.seed": 5,
    "split.stratify": False,
    "preprocessing.numeric": "robust",
    "preprocessing.categorical": "one_hot",
    "preprocessing.rare_below": 3,
    "preprocessing.missing": "mean",
    "network.activation": "tanh",
    "optimizer.kind": "sgd",
    "optimizer.learning_rate": 0.1,
    "optimizer.weight_decay": 0.0,
    "optimizer.betas": [0.8, 0.99],
    "optimizer.schedule": "one_cycle",
    "optimizer.warmup_epochs": 2,
    "training.max_epochs": 7,
    "training.seed": 9,
    "training.max_runtime_seconds": 5.0,
    "training.device": "cpu",
}
"""Settings that move neither the objective nor what scikit-learn calls it."""
TELLING = {
    "split.validation",  # another number of rows, which C depends on
    "split.test",
    "split.column",  # rows that are not known
    "preprocessing.target",  # another space
    "network.hidden",
    "optimizer.momentum",  # of SGD, tried below
    "optimizer.nesterov",
    "optimizer.plateau_factor",
    "optimizer.plateau_patience",
    "optimizer.tolerance",
    "training.batch_size",  # which a perceptron's alpha depends on
}
PARTS = {
    "split": SplitSpec,
    "preprocessing": PreprocessingSpec,
    "network": NetworkSpec,
    "optimizer": OptimizerSpec,
    "training": TrainingSpec,
}


def test_every_setting_was_thought_about() -> None:
    settings = {f"{part}.{field}" for part, model in PARTS.items() for field in model.model_fields}
    assert settings == set(HARMLESS) | TELLING


@pytest.mark.parametrize("path", HARMLESS)
def test_a_harmless_setting_changes_no_claim(path: str) -> None:
    for base in (LINEAR, DEEP):
        assert claimed(**changed(base, path, HARMLESS[path])) == claimed(**base)
    sgd = changed(LINEAR, "optimizer.kind", "sgd")
    for name, value in (("momentum", 0.5), ("nesterov", True)):
        assert claimed(**changed(sgd, f"optimizer.{name}", value)) == claimed(**LINEAR)


@pytest.mark.parametrize("base", [LINEAR, DEEP])
@pytest.mark.parametrize(
    "optimizer", [{"weight_decay": 1.0}, {"kind": "sgd", "weight_decay": 1e-4}, {"kind": "adamw"}]
)
def test_weight_decay_leaves_no_equivalent(base: dict[str, Any], optimizer: dict[str, Any]) -> None:
    assert claimed(**base, optimizer=optimizer) == {}


def test_the_default_cocktail_claims_nothing() -> None:
    assert claimed() == claimed("diabetes") == claimed(network={"hidden": []}) == {}


@pytest.mark.parametrize("activation", ["elu", "gelu", "silu", "leaky_relu"])
def test_scikit_learn_has_no_such_perceptron(activation: str) -> None:
    assert claimed(**changed(DEEP, "network.activation", activation)) == {}


def test_a_batch_has_no_more_rows_than_there_are() -> None:
    few = claimed("diabetes", **DEEP, training={"batch_size": 64})
    many = claimed("diabetes", **DEEP, training={"batch_size": 100_000})
    assert few["alpha"] == pytest.approx(0.01 * 64)
    assert many["alpha"] == pytest.approx(0.01 * 266)


def test_what_depends_on_rows_is_not_guessed_where_a_column_decides_on_them() -> None:
    data = TABLES["diabetes"].description
    levels = ["test", "train", "validation"]
    fold = data.columns[0].model_copy(update={"name": "fold", "kind": "categorical", "levels": levels})
    described = data.model_copy(update={"columns": [*data.columns, fold]})

    def found(**penalties: float) -> dict[str, Any]:
        spec = {"network": {"hidden": []}, "regularization": penalties, "split": {"column": "fold"}}
        return complete(JobSpec.model_validate({"dataset": "given", **spec}), described).equivalents

    assert found(l2=0.1) == {}
    assert found(l1=0.1)["alpha"] == pytest.approx(0.05)


def _made(task: str) -> Table:
    stream = np.random.default_rng(0)
    x = stream.normal(size=(400, 4))
    score = x @ [1.0, -1.0, 0.5, 0.0] + stream.normal(size=400)
    return table(x, (score > 0).astype(int) if task == "classification" else score)


@pytest.mark.parametrize(
    ("task", "penalties"), [("classification", {"l2": 0.01}), ("regression", {"l2": 0.1})]
)
@pytest.mark.parametrize("optimizer", [{"kind": "fista"}, {"kind": "sgd", "learning_rate": 0.1}])
def test_what_is_claimed_is_what_is_learned(
    task: str, penalties: dict[str, float], optimizer: dict[str, Any]
) -> None:
    data = _made(task)
    epochs = 10_000 if optimizer["kind"] == "fista" else 300
    done = trained(
        data,
        split={"validation": 0.0},
        network={"hidden": []},
        regularization=penalties,
        optimizer=optimizer,
        training={"max_epochs": epochs, "batch_size": 400},
    )
    said = complete(done.spec, data.description).equivalents
    rows = done.prepared.train
    estimator: Any = {
        "LogisticRegression": lambda: LogisticRegression(C=said["C"], tol=1e-10),
        "Ridge": lambda: Ridge(alpha=said["alpha"]),
        "ElasticNet": lambda: ElasticNet(alpha=said["alpha"], l1_ratio=said.get("l1_ratio", 1.0)),
    }[said["estimator"]]()
    fitted = estimator.fit(rows.x, rows.y)
    np.testing.assert_allclose(coefficients(done)[0].ravel(), np.ravel(fitted.coef_), atol=2e-4)
