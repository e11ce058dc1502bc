"""What is filled in, what is refused, what is noted; and that a complete spec says the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.cost import Limits, complaints_about, estimate
from models.datasets import BUNDLED, Table, bundled
from models.defaults import Completed, complete
from models.errors import SpecError
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training
from tests.models.building import trained

TABLES = {name: bundled(name) for name in BUNDLED}
NEEDED = {"iris": 0.95, "wine": 0.97, "breast_cancer": 0.96, "digits": 0.97, "diabetes": 0.42}


def completed(dataset: str = "digits", **settings: Any) -> Completed:
    return complete(JobSpec.model_validate({"dataset": dataset, **settings}), TABLES[dataset].description)


def refused(dataset: str = "digits", **settings: Any) -> dict[str, str]:
    """Pointer → detail of every complaint."""
    with pytest.raises(SpecError) as caught:
        completed(dataset, **settings)
    return {complaint.pointer: complaint.detail for complaint in caught.value.complaints}


SPECS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in BUNDLED),
    (
        "digits",
        {"regularization": {"dropout": 0.5, "early_stopping": True}, "network": {"hidden": [8, 8, 8]}},
    ),
    ("digits", {"optimizer": {"kind": "adamw", "schedule": "reduce_on_plateau"}, "regularization": None}),
    ("iris", {"optimizer": {"kind": "sgd", "nesterov": True}, "metrics": []}),
    ("breast_cancer", {"optimizer": {"kind": "fista"}, "regularization": {"l1": 0.01}}),
    ("diabetes", {"split": {"validation": 0, "test": 0}}),
]


@pytest.mark.parametrize(("dataset", "settings"), SPECS)
def test_a_complete_spec_has_no_gaps_and_says_the_same_again(dataset: str, settings: dict[str, Any]) -> None:
    first = completed(dataset, **settings).spec
    again = complete(JobSpec.model_validate_json(first.model_dump_json()), TABLES[dataset].description).spec
    assert again == first
    assert None not in (
        first.network.hidden,
        first.training.max_epochs,
        first.training.batch_size,
        first.metrics,
    )
    assert first.regularization is not None


@pytest.mark.long
@pytest.mark.parametrize("dataset", BUNDLED)
def test_the_defaults_give_a_good_network(dataset: str) -> None:
    """Mean test score over three split seeds."""
    metric = "r2" if dataset == "diabetes" else "accuracy"
    results = [trained(TABLES[dataset], split={"seed": seed}).result() for seed in range(3)]
    assert np.mean([result["test"][metric] for result in results]) >= NEEDED[dataset]


def test_left_out_regularization_is_a_cocktail_and_none_is_none() -> None:
    assert set(completed().spec.regularization.techniques()) == {
        "l2",
        "dropout",
        "batch_norm",
        "early_stopping",
    }
    assert completed(regularization=None).spec.regularization.techniques() == {}


def test_the_cocktail_needs_no_validation_rows() -> None:
    spec = completed(split={"validation": 0, "test": 0.2}).spec
    assert spec.regularization.early_stopping is None


def test_a_rate_for_all_becomes_a_rate_a_layer() -> None:
    spec = completed(network={"hidden": [8, 4]}, regularization={"dropout": 0.5}).spec
    assert spec.regularization.dropout.hidden == [0.5, 0.5]


def test_what_is_monitored_is_measured() -> None:
    monitored = {"early_stopping": {"monitor": "val_balanced_accuracy"}}
    assert completed(regularization=monitored, metrics=["brier"]).spec.metrics == [
        "brier",
        "balanced_accuracy",
    ]


def test_fista_takes_every_row_and_a_linear_model() -> None:
    spec = completed("iris", optimizer={"kind": "fista"}).spec
    assert spec.network.hidden == []
    assert (spec.training.batch_size or 0) >= 150


REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("digits", {"regularization": {"dropout": [0.5]}}, "/regularization/dropout/hidden", "1 rates for 2"),
    (
        "digits",
        {"split": {"validation": 0}, "regularization": {"early_stopping": True}},
        "/regularization/early_stopping/monitors/0/metric",
        "needs validation rows",
    ),
    ("diabetes", {"metrics": ["r2", "accuracy"]}, "/metrics/1", "does not measure regression"),
    ("iris", {"metrics": ["f1"]}, "/metrics/0", "does not measure multiclass classification"),
    ("diabetes", {"split": {"stratify": True}}, "/split/stratify", "no classes"),
    ("iris", {"split": {"column": "fold"}}, "/split/column", "no feature column 'fold'"),
    (
        "iris",
        {"split": {"column": "petal length (cm)"}},
        "/split/column",
        "must say train, validation or test",
    ),
    (
        "iris",
        {"regularization": {"l1": {"strength": 1, "feature_weights": {"petal lenth (cm)": 2}}}},
        "/regularization/l1/feature_weights/petal lenth (cm)",
        "no feature column",
    ),
    (
        "iris",
        {"training": {"batch_size": 1}, "regularization": {"batch_norm": True}},
        "/training/batch_size",
        "variance",
    ),
    (
        "iris",
        {"optimizer": {"kind": "fista"}, "training": {"batch_size": 8}},
        "/training/batch_size",
        "full batch",
    ),
    (
        "iris",
        {"optimizer": {"kind": "fista"}, "regularization": {"dropout": {"input": 0.1}}},
        "/regularization/dropout",
        "random",
    ),
]


@pytest.mark.parametrize(("dataset", "settings", "pointer", "words"), REFUSALS)
def test_what_does_not_fit_is_refused(
    dataset: str, settings: dict[str, Any], pointer: str, words: str
) -> None:
    settings = {"network": {"hidden": [8, 4]}, **settings} if settings.get("optimizer") is None else settings
    assert words in refused(dataset, **settings)[pointer]


def test_every_complaint_comes_at_once() -> None:
    both = {"metrics": ["r2"], "regularization": {"dropout": [0.5]}}
    assert set(refused(network={"hidden": [8, 4]}, **both)) == {
        "/metrics/0",
        "/regularization/dropout/hidden",
    }


NOTICES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"regularization": {"batch_norm": True}, "training": {"batch_size": 8}},
        "/regularization/batch_norm",
        "noisy",
    ),
    (
        {"regularization": {"batch_norm": True}, "network": {"hidden": []}},
        "/regularization/batch_norm",
        "no effect",
    ),
    ({"regularization": {"l1": 0.1}, "network": {"hidden": []}}, "/regularization/l1", "approximate"),
    (
        {"regularization": {"dropout": 0.5}, "network": {"hidden": []}},
        "/regularization/dropout/hidden",
        "no effect",
    ),
    ({"regularization": {"l2": 0.1}, "preprocessing": {"numeric": "none"}}, "/regularization/l2", "units"),
]


@pytest.mark.parametrize(("settings", "pointer", "words"), NOTICES)
def test_what_one_should_know_is_noted(settings: dict[str, Any], pointer: str, words: str) -> None:
    assert any(
        notice.pointer == pointer and words in notice.detail for notice in completed(**settings).notices
    )


EQUIVALENTS: list[tuple[str, dict[str, float], dict[str, Any]]] = [
    (
        "breast_cancer",
        {"l1": 0.01},
        {"estimator": "LogisticRegression", "C": 1 / (0.01 * 341), "l1_ratio": 1.0},
    ),
    (
        "breast_cancer",
        {"l2": 0.01},
        {"estimator": "LogisticRegression", "C": 1 / (2 * 0.01 * 341), "l1_ratio": 0.0},
    ),
    ("diabetes", {"l2": 0.1}, {"estimator": "Ridge", "alpha": 0.1 * 266}),
    ("diabetes", {"l1": 0.1}, {"estimator": "Lasso", "alpha": 0.05}),
    ("diabetes", {"l1": 0.1, "l2": 0.1}, {"estimator": "ElasticNet", "alpha": 0.15, "l1_ratio": 1 / 3}),
]


@pytest.mark.parametrize(("dataset", "penalties", "expected"), EQUIVALENTS)
def test_penalties_are_named_as_elsewhere(
    dataset: str, penalties: dict[str, float], expected: dict[str, Any]
) -> None:
    """The conversions of the linear models' agreement with scikit-learn, the other way round."""
    found = completed(dataset, regularization=penalties, network={"hidden": []}).equivalents
    for name, value in expected.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-3))


def test_a_perceptron_whose_penalty_spares_layers_has_no_equivalent() -> None:
    penalties = {"l2": {"strength": 0.1, "scope": "input"}}
    assert completed(regularization=penalties, network={"hidden": [8]}).equivalents == {}
    assert completed(regularization={"l2": 0.1}, network={"hidden": [8]}).equivalents != {}


# ── cost ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "settings", [{}, {"network": {"hidden": [31, 7]}, "regularization": {"batch_norm": True}}]
)
@pytest.mark.parametrize("dataset", BUNDLED)
def test_the_estimate_counts_the_parameters_there_are(dataset: str, settings: dict[str, Any]) -> None:
    table: Table = TABLES[dataset]
    spec = completed(dataset, **settings).spec
    network = Training(spec, prepare(spec, table)).network
    assert estimate(spec, table.description).parameters == network.parameter_count()


def test_what_costs_too_much_is_said_with_estimate_and_limit() -> None:
    spec = completed(network={"hidden": [1_000_000_000]}).spec
    limits = Limits(parameters=50_000_000, operations=10**16, memory_bytes=8 * 2**30)
    found = complaints_about(estimate(spec, TABLES["digits"].description), limits)
    assert found[0].pointer == "/network/hidden"
    assert "7.7e+10 parameters; the limit is 5e+07" in found[0].detail
