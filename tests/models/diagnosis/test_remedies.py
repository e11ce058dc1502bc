"""Suggestions: each may be sent as it stands, changes something, and is not there already."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from models.defaults import complete
from models.diagnosis import Case, Suggestion, diagnose
from models.diagnosis.patches import merged
from models.spec import JobSpec
from tests.models.diagnosis.cases import decay, description, noisy, scripted
from tests.models.diagnosis.test_scripted import CASES

COCKTAILS: list[dict[str, Any]] = [
    {},
    {"l1": 1e-5, "l2": 1e-4, "dropout": [0.5, 0.3], "batch_norm": True, "early_stopping": {"patience": 3}},
    {"dropout": {"input": 0.1, "hidden": 0.6}, "l2": {"strength": 0.2, "scope": "input"}},
    {
        "l1": 0.3,
        "l2": 1e6,
        "early_stopping": {"monitors": [{"metric": "val_accuracy"}, {"metric": "val_loss"}]},
    },
    {"l1": 1e-6, "early_stopping": {"restore_best_weights": False}, "batch_norm": True},
]
OPTIMIZERS: list[dict[str, Any]] = [
    {},
    {"kind": "sgd", "learning_rate": 100.0, "schedule": "reduce_on_plateau"},
    {"kind": "adamw", "learning_rate": 1e-9, "warmup_epochs": 3},
    {"kind": "fista"},
]
SKEWED = description((570, 30), columns=40)


def cases_with(cocktail: dict[str, Any], optimizer: dict[str, Any]) -> list[Case]:
    """Every curve of the scripted ones, of another job."""
    found = []
    for (_, case), batch in zip(CASES.values(), itertools.cycle([None, 8, 64, 1024]), strict=False):
        exact = optimizer.get("kind") == "fista"
        shapes = {"dropout": {"input": 0.0}} if exact and "dropout" in cocktail else {}
        given = cocktail | shapes if "val_loss" in case.series else without_monitors(cocktail | shapes)
        if isinstance(given.get("dropout"), dict) and exact:
            given = {name: value for name, value in given.items() if name != "dropout"}
        found.append(
            scripted(
                case.series["train_loss"],
                case.series.get("val_loss"),
                stop=case.stop_reason,
                data=SKEWED,
                regularization=given,
                optimizer=optimizer,
                network={"hidden": [] if exact else [64, 32]},
                training={"max_epochs": 1_000_000} | ({"batch_size": batch} if batch and not exact else {}),
            )
        )
    return found


def without_monitors(cocktail: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cocktail.items() if name != "early_stopping"}


def check(case: Case, suggestion: Suggestion) -> None:
    document = case.spec.model_dump(mode="json")
    changed = JobSpec.model_validate_json(json.dumps(merged(document, suggestion.patch)))
    assert changed != case.spec
    assert case.description
    complete(changed, case.description)
    assert suggestion.detail
    assert "nan" not in suggestion.detail


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: each.get("kind", "adam"))
@pytest.mark.parametrize("cocktail", COCKTAILS, ids=["none", "full", "strong", "at the bounds", "odd"])
def test_every_patch_makes_another_spec_that_holds(
    cocktail: dict[str, Any], optimizer: dict[str, Any]
) -> None:
    suggestions = [
        (case, each) for case in cases_with(cocktail, optimizer) for each in diagnose(case).suggestions
    ]
    assert suggestions
    for case, suggestion in suggestions:
        check(case, suggestion)


@pytest.mark.parametrize("name", CASES)
def test_patches_of_the_scripted_cases_hold(name: str) -> None:
    case = CASES[name][1]
    found = diagnose(case).suggestions
    assert len({each.technique for each in found}) == len(found) <= 5
    for suggestion in found:
        check(case, suggestion)


def techniques(case: Case) -> list[str]:
    return [each.technique for each in diagnose(case).suggestions]


def patch(case: Case, technique: str) -> Any:
    return next(each.patch for each in diagnose(case).suggestions if each.technique == technique)


def overfitted(**settings: Any) -> Case:
    return scripted(decay(0.7, 0.01, 60, 4), decay(0.7, 0.4, 60, 4), network={"hidden": [64, 32]}, **settings)


def test_an_overfitting_network_gets_dropout_and_a_ridge() -> None:
    assert techniques(overfitted()) == ["l2", "dropout", "early_stopping"]
    assert patch(overfitted(), "dropout") == {"regularization": {"dropout": {"hidden": [0.5, 0.5]}}}
    assert patch(overfitted(), "l2") == {"regularization": {"l2": {"strength": 0.01}}}


def test_early_stopping_is_never_first_and_says_that_it_saves_time() -> None:
    """The best weights are kept anyway: with it the network is the same."""
    for name, (verdict, case) in CASES.items():
        if verdict == "overfitting" and (told := diagnose(case).suggestions):
            assert told[0].technique != "early_stopping", name
    last = diagnose(overfitted()).suggestions[-1]
    assert last.technique == "early_stopping"
    assert "saves time" in last.detail
    assert "the network stays the same" in last.detail


def test_where_the_last_weights_are_kept_going_back_to_the_best_changes_them() -> None:
    kept = {"early_stopping": {"patience": 60, "restore_best_weights": False}}
    told = diagnose(overfitted(regularization=kept)).suggestions
    assert [each.technique for each in told] == ["l2", "dropout", "early_stopping"]
    assert told[-1].patch == {"regularization": {"early_stopping": {"restore_best_weights": True}}}


def test_what_overfits_and_is_not_done_gets_time_first() -> None:
    case = scripted(decay(0.7, 0.05, 20, 15), decay(0.7, 0.4, 20, 15))
    assert diagnose(case).verdict == "overfitting"
    assert techniques(case)[0] == "max_epochs"


def test_strengths_are_relative_to_what_is_set() -> None:
    case = overfitted(regularization={"l2": {"strength": 4e-3, "scope": "input"}, "dropout": [0.2, 0.5]})
    assert patch(case, "dropout") == {"regularization": {"dropout": {"hidden": [0.5, 0.5]}}}
    assert patch(case, "l2") == {"regularization": {"l2": {"strength": 0.012}}}
    changed = JobSpec.model_validate(merged(case.spec.model_dump(mode="json"), patch(case, "l2")))
    assert changed.regularization
    assert changed.regularization.l2
    assert changed.regularization.l2.scope == "input"


def test_what_is_at_its_end_is_not_suggested() -> None:
    full = {"dropout": 0.5, "l2": 0.2, "early_stopping": True}
    assert techniques(overfitted(regularization=full)) == []


def test_where_only_what_came_later_is_bad_stopping_saves_time() -> None:
    val = [*decay(0.7, 0.2, 10, 3), *[0.22 + 0.004 * step for step in range(50)]]
    kept = {"restored_epoch": 10, "train": {"loss": 0.19}, "validation": {"loss": 0.21}}
    case = scripted(decay(0.7, 0.15, 60, 5), val, result=kept)
    assert diagnose(case).verdict == "good_fit"
    assert techniques(case) == ["early_stopping"]


def test_many_columns_for_few_rows_bring_l1_in() -> None:
    crowded = description((60, 60), columns=40)
    case = scripted(decay(0.7, 0.01, 60, 4), decay(0.7, 0.6, 60, 4), data=crowded)
    assert "l1" in techniques(case)
    assert "l1" not in techniques(overfitted())


def test_l1_alone_is_joined_by_a_ridge_where_it_dropped_many_columns() -> None:
    weights = {"inputs": [{"column": f"x{index}", "kept": index < 10} for index in range(40)]}
    settled = scripted(
        decay(0.7, 0.2, 60, 4),
        decay(0.7, 0.22, 60, 4),
        data=description(columns=40),
        regularization={"l1": 1e-3},
        weights=weights,
    )
    (suggestion,) = diagnose(settled).suggestions
    assert suggestion.technique == "l2"
    assert "same" in suggestion.detail


def test_small_batches_of_batch_norm_grow() -> None:
    curve = noisy(decay(0.7, 0.3, 40, 4), 0.02)
    case = scripted(
        curve, curve, regularization={"batch_norm": True}, training={"max_epochs": 40, "batch_size": 4}
    )
    assert patch(case, "batch_size") == {"training": {"batch_size": 32}}


def test_unequal_classes_bring_their_metric_in() -> None:
    curves = decay(0.19, 0.05, 40, 4), decay(0.19, 0.05, 40, 4)
    plain = scripted(*curves, data=SKEWED)
    assert "f1_macro" in patch(plain, "f1_macro")["metrics"]
    watched = scripted(*curves, data=SKEWED, regularization={"early_stopping": {"patience": 7}})
    monitors = patch(watched, "f1_macro")["regularization"]["early_stopping"]["monitors"]
    assert [each["metric"] for each in monitors] == ["val_loss", "val_f1_macro"]
    balanced = {"early_stopping": {"monitor": "val_f1_macro"}}
    assert techniques(scripted(*curves, data=SKEWED, regularization=balanced)) == []


def test_more_of_what_ended_it() -> None:
    moving = decay(0.7, 0.05, 20, 15)
    assert patch(scripted(moving, moving), "max_epochs") == {"training": {"max_epochs": 40}}
    timed = {"training": {"max_epochs": 50, "max_runtime_seconds": 10.0}, "stop": "max_runtime"}
    assert patch(scripted(moving, moving, **timed), "max_runtime_seconds")["training"] == {
        "max_runtime_seconds": 20.0
    }
    stopped = {"regularization": {"early_stopping": {"patience": 1}}, "stop": "early_stopping"}
    stopping = patch(scripted(moving, moving, **stopped), "early_stopping")["regularization"][
        "early_stopping"
    ]
    assert stopping["monitors"][0]["patience"] == 10
    assert techniques(scripted(moving, moving, stop=None)) == []


def test_no_validation_rows_bring_a_split() -> None:
    case = scripted(decay(0.7, 0.1, 40, 4))
    assert patch(case, "split") == {"split": {"validation": 0.2}}


def test_raw_columns_that_diverge_are_standardized() -> None:
    raw = {"preprocessing": {"numeric": "none"}}
    case = scripted([0.7, None], [0.7, None], stop="diverged", **raw)
    assert patch(case, "preprocessing") == {"preprocessing": {"numeric": "standardize"}}


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_as_the_rfc_has_it(document: Any, patch: Any, expected: Any) -> None:
    """Every example of RFC 7396, appendix A."""
    assert merged(document, patch) == expected
