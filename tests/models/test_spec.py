"""The job spec: its shorthands, its bounds, its refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.spec import JobSpec


def regularization(**techniques: Any) -> dict[str, Any]:
    spec = JobSpec.model_validate({"dataset": "iris", "regularization": techniques})
    assert spec.regularization is not None
    return spec.regularization.model_dump(exclude_none=True)


SHORTHANDS = [
    ({"l1": 1e-5}, {"l1": {"strength": 1e-5}}),
    ({"l2": 1}, {"l2": {"strength": 1.0}}),
    ({"dropout": 0.5}, {"dropout": {"hidden": 0.5}}),
    ({"dropout": [0.5, 0.3]}, {"dropout": {"hidden": [0.5, 0.3]}}),
    ({"batch_norm": True}, {"batch_norm": {}}),
    ({"early_stopping": True}, {"early_stopping": {"monitors": [{"metric": "val_loss", "patience": 10}]}}),
    (
        {"early_stopping": {"monitor": "val_f1_macro", "patience": 3, "min_epochs": 5}},
        {"early_stopping": {"monitors": [{"metric": "val_f1_macro", "patience": 3}], "min_epochs": 5}},
    ),
    ({"l1": None, "l2": False, "dropout": False, "batch_norm": False, "early_stopping": False}, {}),
]


@pytest.mark.parametrize(("short", "full"), SHORTHANDS)
def test_a_shorthand_is_its_full_form(short: dict[str, Any], full: dict[str, Any]) -> None:
    assert regularization(**short) == regularization(**full)


def test_left_out_regularization_differs_from_none() -> None:
    assert JobSpec.model_validate({"dataset": "iris"}).regularization is None
    for nothing in (None, {}, False):
        spec = JobSpec.model_validate({"dataset": "iris", "regularization": nothing})
        assert spec.regularization is not None
        assert spec.regularization.techniques() == {}


def test_the_full_form_validates_to_itself() -> None:
    for short, _ in SHORTHANDS:
        spec = JobSpec.model_validate({"dataset": "iris", "regularization": short})
        assert JobSpec.model_validate(json.loads(spec.model_dump_json())) == spec


def test_the_schema_shows_the_shorthands() -> None:
    schema = JobSpec.model_json_schema(mode="validation")
    offered = schema["$defs"]["Regularization"]["properties"]["dropout"]["anyOf"]
    assert {"type": "array"}.items() <= {
        k: v for o in offered for k, v in o.items() if o.get("type") == "array"
    }.items()
    assert any(option.get("type") == "number" for option in offered)


REFUSED = [
    {"dataset": ""},
    {"dataset": 3},
    {},
    {"dataset": "iris", "learning_rate": 1},
    {"dataset": "iris", "optimizer": {"kind": "adam", "momentum": 0.9}},
    {"dataset": "iris", "optimizer": {"kind": "sgd", "betas": [0.9, 0.99]}},
    {"dataset": "iris", "optimizer": {"learning_rate": float("nan")}},
    {"dataset": "iris", "optimizer": {"learning_rate": float("inf")}},
    {"dataset": "iris", "optimizer": {"kind": "fista"}, "network": {"hidden": [8]}},
    {"dataset": "iris", "regularization": {"dropout": 1.0}},
    {"dataset": "iris", "regularization": {"dropout": [0.1, -0.1]}},
    {"dataset": "iris", "regularization": {"l1": True}},
    {"dataset": "iris", "regularization": {"early_stopping": {"monitor": "val_lss"}}},
    {"dataset": "iris", "training": {"batch_size": 0}},
    {"dataset": "iris", "training": {"max_epochs": "30"}},
    {"dataset": "iris", "training": {"seed": 2**63}},
    {"dataset": "iris", "split": {"validation": 0.6, "test": 0.4}},
    {"dataset": "iris", "split": {"column": "fold", "test": 0.4}},
    {"dataset": "iris", "metrics": ["acuracy"]},
    {"dataset": "iris", "name": "a\x00b"},
    {"dataset": "iris", "name": "a\ud800b"},
    {"dataset": "iris", "metadata": {"k": {"nested": 1}}},
]


@pytest.mark.parametrize("given", REFUSED, ids=lambda given: json.dumps(given)[:60])
def test_what_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate(given)
