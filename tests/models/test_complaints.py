"""Every field of the spec, found by discovery, given what it must refuse: where, why, and what to write."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from models import allowed
from models.complaints import MOST, complaints, pointer
from models.errors import Complaint
from models.spec import JobSpec

FULL: dict[str, Any] = {
    "name": "digits-cocktail",
    "dataset": "digits",
    "split": {"validation": 0.2, "test": 0.2, "seed": 0, "stratify": True},
    "preprocessing": {
        "numeric": "standardize",
        "categorical": "one_hot",
        "rare_below": 2,
        "missing": "median",
        "target": "standardize",
    },
    "network": {"hidden": [128, 64], "activation": "relu"},
    "regularization": {
        "l1": {"strength": 1e-5, "scope": "input", "feature_weights": {"pixel": 2.0}},
        "l2": {"strength": 1e-4, "scope": "all", "feature_weights": {"pixel": 2.0}},
        "dropout": {"input": 0.1, "hidden": [0.5, 0.3]},
        "batch_norm": {"momentum": 0.1, "eps": 1e-5},
        "early_stopping": {
            "monitors": [{"metric": "val_loss", "patience": 3, "min_delta": 0.0}],
            "combine": "all",
            "min_epochs": 0,
            "restore_best_weights": True,
        },
    },
    "optimizer": {
        "kind": "adamw",
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "betas": [0.9, 0.999],
        "schedule": "reduce_on_plateau",
        "warmup_epochs": 1,
        "plateau_factor": 0.5,
        "plateau_patience": 5,
    },
    "training": {
        "max_epochs": 50,
        "batch_size": 32,
        "seed": 0,
        "max_runtime_seconds": 60.0,
        "device": "auto",
    },
    "metrics": ["accuracy", "f1_macro"],
    "metadata": {"team": "risk", "run": 3},
    "priority": 0,
}

OTHERS: dict[tuple[str | int, ...], dict[str, Any]] = {
    ("split", "column"): {"split": {"column": "fold"}},
    ("optimizer", "momentum"): {"optimizer": {"kind": "sgd", "momentum": 0.9}},
    ("optimizer", "nesterov"): {"optimizer": {"kind": "sgd", "nesterov": True}},
    ("optimizer", "tolerance"): {
        "optimizer": {"kind": "fista", "tolerance": 1e-9},
        "network": {"hidden": []},
    },
}
"""Fields that cannot stand beside those of the full spec."""

Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document below its root."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield (*path, key)
        yield from places(part, (*path, key))


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def changed(path: Path, value: Any) -> dict[str, Any]:
    """The full spec with another value in one place."""
    document = copy.deepcopy(FULL | OTHERS.get(path[:2], {}))
    at(document, path[:-1])[path[-1]] = value
    return document


PLACES = [*places(FULL), *OTHERS]
OBJECTS = [path for path in ((), *PLACES) if isinstance(at(FULL | OTHERS.get(path[:2], {}), path), dict)]
FREE = [path for path in OBJECTS if path[-1:] in (("metadata",), ("feature_weights",))]
"""Objects whose names are the asker's own."""

LEAVES = [path for path in PLACES if not isinstance(at(FULL | OTHERS.get(path[:2], {}), path), dict | list)]
NUMBERS = [path for path in LEAVES if type(at(FULL | OTHERS.get(path[:2], {}), path)) in (int, float)]


def named(path: Path) -> str:
    return pointer(path) or "/"


def complained(document: Any) -> list[Complaint]:
    with pytest.raises(ValidationError) as refused:
        JobSpec.model_validate(document)
    found = complaints(refused.value, JobSpec, document)
    for complaint in found:
        # Any answer can carry it: JSON without NaN, UTF-8 without surrogates, and short enough to read.
        carried = json.dumps(
            [complaint.pointer, complaint.detail, complaint.given, complaint.suggestion], allow_nan=False
        )
        assert json.loads(carried.encode().decode())
        assert carried.encode("utf-8", "strict")
        f"{complaint.pointer}{complaint.detail}{complaint.given}{complaint.suggestion}".encode()
        assert len(complaint.detail) < 1500
    return found


def the_one(document: Any) -> Complaint:
    found = complained(document)
    assert len(found) == 1, found
    return found[0]


def test_every_field_of_the_spec_is_tried() -> None:
    """A field that is added to the spec must be added here."""

    def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, field in model.model_fields.items():
            yield (*path, name)
            for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    yield from fields(part, (*path, name))

    tried = {tuple(step for step in path if isinstance(step, str)) for path in PLACES}
    assert set(fields(JobSpec)) <= tried


def test_the_full_spec_is_valid() -> None:
    JobSpec.model_validate(FULL)
    for others in OTHERS.values():
        JobSpec.model_validate(FULL | others)


@pytest.mark.parametrize("path", PLACES, ids=named)
def test_a_wrong_type_anywhere_is_pointed_at(path: Path) -> None:
    if path[:1] == ("metadata",) and len(path) > 1:
        wrong: list[Any] = [[1], {}]
    else:
        wrong = (
            [[[]], {"nested": {}}, "\u2028no"]
            if path not in [("name",), ("dataset",), ("split", "column")]
            else [1, []]
        )
    for value in wrong:
        if isinstance(value, dict) and isinstance(at(FULL | OTHERS.get(path[:2], {}), path), dict):
            continue
        if isinstance(value, list) and isinstance(at(FULL | OTHERS.get(path[:2], {}), path), list):
            value = "not a list"
        found = complained(changed(path, value))
        assert {complaint.pointer[: len(pointer(path))] for complaint in found} == {pointer(path)}
        assert all("must be" in complaint.detail or "choose from" in complaint.detail for complaint in found)


@pytest.mark.parametrize("path", LEAVES, ids=named)
def test_numbers_and_text_are_not_taken_for_each_other(path: Path) -> None:
    if path[0] == "metadata":
        return
    right = at(FULL | OTHERS.get(path[:2], {}), path)
    wrong = json.dumps(right) if not isinstance(right, str) else 7
    complaint = the_one(changed(path, wrong))
    assert complaint.pointer == pointer(path)
    assert complaint.given == wrong
    if not isinstance(right, str):
        assert json.loads(complaint.suggestion or "") == right


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("path", NUMBERS, ids=named)
def test_what_is_no_number_is_refused_everywhere(path: Path, value: float) -> None:
    complaint = the_one(changed(path, value))
    assert complaint.pointer == pointer(path)
    assert complaint.given is None
    assert str(value) in complaint.detail


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308, 2**63, -1e308])
@pytest.mark.parametrize("path", NUMBERS, ids=named)
def test_huge_numbers_are_refused_with_the_range(path: Path, value: float) -> None:
    if path[0] == "metadata":
        return
    complaint = the_one(changed(path, value))
    assert complaint.pointer == pointer(path)
    assert "number" in complaint.detail
    if complaint.suggestion is not None:
        suggested = json.loads(complaint.suggestion)
        JobSpec.model_validate(changed(path, suggested))


@pytest.mark.parametrize("path", NUMBERS, ids=named)
def test_just_out_of_range_suggests_what_lies_inside(path: Path) -> None:
    schema = allowed.schema_of(JobSpec)
    for node in allowed.place(schema, path):
        bounds = {
            "minimum": -1,
            "exclusiveMinimum": 0,
            "maximum": 1,
            "exclusiveMaximum": 0,
        }
        for key, beyond in bounds.items():
            if key not in node or path[0] == "metadata":
                continue
            complaint = the_one(changed(path, int(node[key]) + beyond))
            assert complaint.pointer == pointer(path)
            assert complaint.given in (int(node[key]) + beyond, None)
            JobSpec.model_validate(changed(path, json.loads(complaint.suggestion or "null")))


@pytest.mark.parametrize("path", [path for path in PLACES if isinstance(path[-1], str)], ids=named)
def test_a_misspelt_name_suggests_the_right_one(path: Path) -> None:
    if path[:-1] in FREE:
        return
    document = copy.deepcopy(FULL | OTHERS.get(path[:2], {}))
    holder = at(document, path[:-1])
    misspelt = f"{path[-1][:-1]}_{path[-1][-1]}"
    holder[misspelt] = holder[path[-1]]
    if path not in (("dataset",),) and path[-1] != "strength":
        del holder[path[-1]]
    found = [one for one in complained(document) if one.pointer == pointer((*path[:-1], misspelt))]
    assert [one.suggestion for one in found] == [path[-1]]
    assert path[-1] in found[0].detail


@pytest.mark.parametrize("path", OBJECTS, ids=named)
def test_an_unknown_name_lists_the_known_ones(path: Path) -> None:
    if path in FREE:
        return
    document = copy.deepcopy(FULL)
    at(document, path)["qqqqq"] = 1
    complaint = the_one(document)
    assert complaint.pointer == pointer((*path, "qqqqq"))
    assert complaint.suggestion is None
    assert all(name in complaint.detail for name in at(document, path) if name != "qqqqq")


@pytest.mark.parametrize(
    ("wrong", "suggestion"),
    [
        ({"lr": 0.1}, "optimizer.learning_rate"),
        ({"learning_rate": 0.1}, "optimizer.learning_rate"),
        ({"epochs": 5}, "training.max_epochs"),
        ({"bs": 5}, "training.batch_size"),
        ({"early_stopping": True}, "regularization.early_stopping"),
        ({"hidden": [3]}, "network.hidden"),
        ({"optimizer": {"max_epochs": 5}}, "training.max_epochs"),
        ({"regularization": {"early_stopping": {"monitors": [{}], "patience": 3}}}, "monitors.patience"),
    ],
)
def test_a_known_name_in_the_wrong_place_suggests_the_right_place(
    wrong: dict[str, Any], suggestion: str
) -> None:
    assert the_one({"dataset": "iris", **wrong}).suggestion == suggestion


@pytest.mark.parametrize(
    ("wrong", "where", "said", "suggestion"),
    [
        ({"dropout": 1.5}, "/dropout", "at least 0 and below 1", "0.9"),
        ({"dropout": [0.5, 2]}, "/dropout/1", "at least 0 and below 1", "0.9"),
        ({"dropout": "0.5"}, "/dropout", "must be", "0.5"),
        (
            {"dropout": {"hidden": "x"}},
            "/dropout/hidden",
            "a number of at least 0 and below 1, or a list",
            None,
        ),
        ({"l1": -1}, "/l1", "from 0 to 1000000", "0"),
        ({"l1": True}, "/l1", "false", None),
        ({"l2": "1e-4"}, "/l2", "a number from 0", "0.0001"),
        ({"l1": {}}, "/l1/strength", "is required", None),
        (
            {"l1": {"strength": 1, "feature_weights": {"a/b~c": -1}}},
            "/l1/feature_weights/a~1b~0c",
            "from 0",
            "0",
        ),
        ({"batch_norm": 5}, "/batch_norm", "true or false", None),
        ({"early_stopping": 3}, "/early_stopping", "must be", None),
        (
            {"early_stopping": {"monitor": "val_f1macro"}},
            "/early_stopping/monitor",
            "choose from",
            "val_f1_macro",
        ),
        ({"early_stopping": {"patience": 0}}, "/early_stopping/patience", "from 1 to 1000000", "1"),
        ({"early_stopping": {"min_delta": "x"}}, "/early_stopping/min_delta", "a number from 0", None),
        ({"early_stopping": {"patienc": 3}}, "/early_stopping/patienc", "no field", "patience"),
        (
            {"early_stopping": {"monitors": []}},
            "/early_stopping/monitors",
            "a list of 1 to 10 elements",
            None,
        ),
    ],
)
def test_shorthands_are_pointed_at_as_they_were_written(
    wrong: dict[str, Any], where: str, said: str, suggestion: str | None
) -> None:
    complaint = the_one({"dataset": "iris", "regularization": wrong})
    assert complaint.pointer == "/regularization" + where
    assert said in complaint.detail
    if suggestion is not None:
        assert complaint.suggestion == suggestion


@pytest.mark.parametrize(
    ("document", "where", "said"),
    [
        ({"dataset": "iris", "split": {"column": "f", "seed": 1}}, "/split", "either a column or fractions"),
        ({"dataset": "iris", "split": {"validation": 0.6, "test": 0.6}}, "/split", "no rows to train on"),
        (
            {"dataset": "iris", "optimizer": {"kind": "adam", "momentum": 0.9}},
            "/optimizer",
            "momentum is for sgd",
        ),
        (
            {"dataset": "iris", "optimizer": {"kind": "fista"}, "network": {"hidden": [3]}},
            "",
            "linear models",
        ),
        ({}, "/dataset", "dataset is required"),
        ([], "", "must be an object"),
        (None, "", "must be an object"),
        ("x" * 5000, "", "must be an object"),
        ({"dataset": "a\x00b"}, "/dataset", "NUL"),
        ({"dataset": "a\ud800b"}, "/dataset", "surrogate"),
        ({"dataset": "iris", "metadata": {"k\ud800": 1}}, "/metadata", "surrogate"),
        ({"dataset": "iris", "metadata": {"": 1}}, "/metadata/", "1 to 64 characters"),
        ({"dataset": "iris", "metadata": {"k" * 65: 1}}, "/metadata/" + "k" * 65, "1 to 64 characters"),
        ({"dataset": "iris", "metadata": {"k": "x" * 2001}}, "/metadata/k", "at most 2000 characters"),
        ({"dataset": "iris", "metadata": {str(n): n for n in range(51)}}, "/metadata", "at most 50 entries"),
        ({"dataset": "iris", "network": {"hidden": [1] * 65}}, "/network/hidden", "at most 64 elements"),
        ({"dataset": "iris", "metrics": ["accuracy"] * 21}, "/metrics", "at most 20 elements"),
        ({"dataset": "iris", "name": ""}, "/name", "1 to 200 characters"),
    ],
)
def test_what_concerns_more_than_one_value_is_pointed_at_where_it_is(
    document: Any, where: str, said: str
) -> None:
    complaint = the_one(document)
    assert complaint.pointer == where
    assert said in complaint.detail


@pytest.mark.parametrize(
    ("metric", "suggestion"),
    [("acuracy", "accuracy"), ("F1_Macro", "f1_macro"), ("r_2", "r2"), ("mse", "rmse")],
)
def test_an_unknown_metric_suggests_the_nearest(metric: str, suggestion: str) -> None:
    complaint = the_one({"dataset": "iris", "metrics": ["accuracy", metric]})
    assert (complaint.pointer, complaint.given, complaint.suggestion) == ("/metrics/1", metric, suggestion)


@pytest.mark.parametrize("choice", ["relu6", "RELU", "leaky-relu", "swish"])
def test_a_choice_is_suggested_from_those_there_are(choice: str) -> None:
    complaint = the_one({"dataset": "iris", "network": {"activation": choice}})
    assert "one of relu, leaky_relu, elu, gelu, silu, tanh, sigmoid" in complaint.detail
    JobSpec.model_validate({"dataset": "iris", "network": {"activation": complaint.suggestion}})


def test_hostile_names_and_texts_are_not_echoed() -> None:
    hostile = "\x1b[31m\u202e" + "x" * 100_000
    found = complained(
        {"dataset": hostile, hostile: 1, "metrics": [hostile], "network": {"activation": hostile}}
    )
    assert {one.given for one in found} <= {None, 1}
    for one in found:
        assert one.pointer.isprintable()
        assert one.detail.isprintable()
        assert len(one.pointer) < 200


def test_complaints_are_counted_not_listed_without_end() -> None:
    found = complained({"dataset": "iris", **{f"field {n}": n for n in range(5000)}})
    assert len(found) == MOST + 1
    assert "of 5000 mistakes" in found[-1].detail


def test_several_mistakes_are_all_said_at_once() -> None:
    document = {"dataset": 1, "network": {"hidden": [0, -1]}, "training": {"batch_size": 0}, "sed": 1}
    assert [one.pointer for one in complained(document)] == [
        "/dataset",
        "/network/hidden/0",
        "/network/hidden/1",
        "/training/batch_size",
        "/sed",
    ]
