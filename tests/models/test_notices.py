"""What can do next to nothing is told, what cannot be carried out is refused, shares fit."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from models.datasets import BUNDLED, Column, Description, Table, bundled
from models.defaults import Completed, complete
from models.errors import DataError, SpecError
from models.preprocessing import prepare
from models.spec import JobSpec
from models.splits import sizes, split_rows
from models.training import Training
from tests.models.building import table

TABLES = {name: bundled(name) for name in BUNDLED}


def completed(dataset: str = "breast_cancer", **settings: Any) -> Completed:
    return complete(JobSpec.model_validate({"dataset": dataset, **settings}), TABLES[dataset].description)


def told(dataset: str = "breast_cancer", **settings: Any) -> dict[str, str]:
    """Pointer → detail of every notice."""
    return {notice.pointer: notice.detail for notice in completed(dataset, **settings).notices}


def stops(*monitors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"regularization": {"early_stopping": {"monitors": list(monitors), **more}}}


@pytest.mark.parametrize("dataset", BUNDLED)
def test_of_the_defaults_there_is_nothing_to_tell(dataset: str) -> None:
    assert told(dataset) == {}
    assert told(dataset, training={"max_epochs": 3}) == {}


# ── when training ends ──────────────────────────────────────────────────────────────────────────────────────

STOPPING = "/regularization/early_stopping"


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        (stops({"patience": 20}), f"{STOPPING}/monitors/0/patience"),
        (
            stops({"patience": 3}, {"metric": "val_accuracy", "patience": 25}),
            f"{STOPPING}/monitors/1/patience",
        ),
        (stops({"patience": 3}, min_epochs=20), f"{STOPPING}/min_epochs"),
        (stops({"metric": "val_accuracy", "min_delta": 1.0}), f"{STOPPING}/monitors/0/min_delta"),
        (stops({"min_delta": 0.7}), f"{STOPPING}/monitors/0/min_delta"),
    ],
)
def test_early_stopping_that_can_never_stop_is_told(settings: dict[str, Any], pointer: str) -> None:
    assert set(told(**settings, training={"max_epochs": 20})) == {pointer}


@pytest.mark.parametrize(
    "settings",
    [
        stops({"patience": 19}),
        stops({"patience": 3}, {"metric": "val_accuracy", "patience": 25}, combine="any"),
        stops({"patience": 3}, min_epochs=19),
        stops({"metric": "val_accuracy", "min_delta": 0.5}),
        stops({"min_delta": 0.6}),
    ],
)
def test_early_stopping_that_can_stop_is_not(settings: dict[str, Any]) -> None:
    assert told(**settings, training={"max_epochs": 20}) == {}


# ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "reduce_on_plateau"])
@pytest.mark.parametrize(("warmup", "is_told"), [(0, False), (5, False), (30, True), (50, True)])
def test_a_rate_that_never_gets_to_its_peak_is_told(schedule: str, warmup: int, is_told: bool) -> None:
    optimizer = {"schedule": schedule, "warmup_epochs": warmup}
    detail = told(optimizer=optimizer, training={"max_epochs": 30}, regularization={}).get(
        "/optimizer/warmup_epochs", ""
    )
    assert ("never" in detail or "one_cycle" in detail) is (
        is_told or (schedule == "one_cycle" and warmup > 0)
    )


def test_early_stopping_before_the_rate_is_up_is_told() -> None:
    warm = {"optimizer": {"warmup_epochs": 10}, "training": {"max_epochs": 50}}
    assert "min_epochs" in told(**warm, **stops({"patience": 5}))["/optimizer/warmup_epochs"]
    assert told(**warm, **stops({"patience": 5}, min_epochs=20)) == {}
    assert told(**warm, **stops({"patience": 12})) == {}


def plateau(patience: int | None, **more: Any) -> dict[str, Any]:
    given = {} if patience is None else {"plateau_patience": patience}
    return {"optimizer": {"schedule": "reduce_on_plateau", **given}, "training": {"max_epochs": 100}} | more


def test_a_plateau_that_never_comes_is_told() -> None:
    pointer = "/optimizer/plateau_patience"
    assert pointer in told(**plateau(10, **stops({"patience": 10})))
    assert pointer in told(**plateau(10, **stops({"patience": 4})))
    assert pointer in told(**plateau(100, regularization={}))
    assert told(**plateau(9, **stops({"patience": 10}))) == {}
    # Others may still improve while val_loss stalls, or nobody may stop yet.
    assert told(**plateau(10, **stops({"patience": 4}, {"metric": "val_accuracy"}))) == {}
    assert told(**plateau(10, **stops({"metric": "val_accuracy", "patience": 4}))) == {}
    assert told(**plateau(10, **stops({"patience": 4}, min_epochs=30))) == {}


@pytest.mark.parametrize(("patience", "expected"), [(None, 5), (10, 5), (6, 3), (3, 1), (2, 1)])
def test_by_default_the_rate_falls_before_training_ends(patience: int | None, expected: int) -> None:
    more = stops({"patience": patience}) if patience else {"regularization": {}}
    found = completed(**plateau(None, **more))
    assert found.spec.optimizer.plateau_patience == expected
    assert found.notices == []


# ── units ───────────────────────────────────────────────────────────────────────────────────────────────────


def described(low: float, high: float, *, column: tuple[float, float] = (0.0, 1.0)) -> Description:
    def numeric(name: str, ends: tuple[float, float]) -> Column:
        own = {"minimum": ends[0], "maximum": ends[1]}
        return Column(name=name, kind="numeric", missing=0, cardinality=99, constant=False, **own)

    return Description(
        rows=200,
        columns=[numeric("x", column), numeric("z", (0.0, 1.0))],
        target=numeric("y", (low, high)),
        task="regression",
        task_reason="the test says so",
        classes=None,
        notes=[],
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1.6e9 - 10, 1.6e9 + 10, "far from zero"),
        (-1001.0, -1000.0, "far from zero"),
        (0.0, 5e5, "learning rates"),
        (0.0, 1e-30, "learning rates"),
        (-1.0, 1.0, None),
        (10.0, 20.0, None),
        (0.0, 0.0, None),
    ],
)
def test_a_target_in_its_own_units_is_told_where_they_matter(
    low: float, high: float, words: str | None
) -> None:
    own = {"preprocessing": {"target": "none"}, "regularization": {}}
    for settings_, expected in ((own, words), ({}, None), (own | {"optimizer": {"kind": "fista"}}, None)):
        spec = JobSpec.model_validate({"dataset": "given", **settings_})
        found = {each.pointer: each.detail for each in complete(spec, described(low, high)).notices}
        assert (expected or "") in found.get("/preprocessing/target", "")
        assert ("/preprocessing/target" in found) is (expected is not None)


def test_columns_far_from_zero_are_told_where_nothing_scales_them() -> None:
    far = described(0, 1, column=(1.6e9, 1.6e9 + 10))
    for numeric, is_told in (("none", True), ("standardize", False), ("robust", False), ("quantile", False)):
        spec = JobSpec.model_validate({"dataset": "given", "preprocessing": {"numeric": numeric}})
        details = [each.detail for each in complete(spec, far).notices if each.pointer.endswith("numeric")]
        assert [("x lies" in each, "z lies" in each) for each in details] == [(True, False)] * is_told


# ── few rows, and shares ────────────────────────────────────────────────────────────────────────────────────


def small(rows: int, classes: int | None, seed: int = 0) -> Table:
    """So many rows; of each class one at least."""
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, 3))
    if classes is None:
        return table(x, stream.normal(size=rows), classes=False)
    y = np.concatenate([np.arange(classes), stream.integers(0, classes, rows - classes)])
    return table(x, stream.permutation(y))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (0.2, 0.2)),
        ({"validation": 0.8}, (0.8, 0.1)),
        ({"test": 0.8}, (0.1, 0.8)),
        ({"validation": 0.6}, (0.6, 0.2)),
        ({"validation": 0.65}, (0.65, 0.175)),
        ({"validation": 0.0}, (0.0, 0.2)),
        ({"validation": 0.8, "test": 0.0}, (0.8, 0.0)),
    ],
)
def test_a_share_that_is_left_out_fits_beside_the_other(
    asked: dict[str, float], expected: tuple[float, float]
) -> None:
    found = completed(split=asked)
    assert (found.spec.split.validation, found.spec.split.test) == expected
    left_out = {"validation", "test"} - asked.keys()
    shrunk = [name for name in left_out if getattr(found.spec.split, name) != 0.2]
    assert [notice.pointer for notice in found.notices] == [f"/split/{name}" for name in shrunk]


@pytest.mark.parametrize(
    ("rows", "classes", "expected"),
    [
        (2, None, {"train": 2, "validation": 0, "test": 0}),
        (3, None, {"train": 2, "validation": 1, "test": 0}),
        (4, None, {"train": 2, "validation": 1, "test": 1}),
        (2, 2, {"train": 2, "validation": 0, "test": 0}),
        (3, 2, {"train": 2, "validation": 1, "test": 0}),
        (6, 5, {"train": 5, "validation": 1, "test": 0}),
        (5, 5, {"train": 5, "validation": 0, "test": 0}),
    ],
)
def test_very_few_rows_are_trained_on_first(rows: int, classes: int | None, expected: dict[str, int]) -> None:
    data = small(rows, classes)
    found = complete(JobSpec.model_validate({"dataset": "given"}), data.description)
    assert sizes(found.spec.split, rows) == expected
    assert {notice.pointer for notice in found.notices} >= {"/split"}
    done = Training(found.spec, prepare(found.spec, data))
    for _ in done:
        pass
    assert done.stop_reason in ("max_epochs", "early_stopping")


def test_batch_norm_is_left_out_where_there_are_few_rows_and_refused_for_one() -> None:
    def norm(rows: int, **more: Any) -> Any:
        spec = JobSpec.model_validate({"dataset": "given", "network": {"hidden": [4]}, **more})
        return complete(spec, small(rows, None).description)

    assert norm(3).spec.regularization.batch_norm is None
    assert norm(20).spec.regularization.batch_norm is None
    assert norm(40).spec.regularization.batch_norm is not None
    asked = {"regularization": {"batch_norm": True}}
    assert "/regularization/batch_norm" in [each.pointer for each in norm(12, **asked).notices]
    with pytest.raises(SpecError) as caught:
        norm(3, **asked, split={"validation": 0.34, "test": 0.34})
    assert [each.pointer for each in caught.value.complaints] == ["/regularization/batch_norm"]


@pytest.mark.parametrize(
    ("rows", "classes", "split", "pointer"),
    [
        (3, None, {"validation": 0.5, "test": 0.4}, "/split/validation"),
        (2, None, {"validation": 0.1, "test": 0.1}, "/split/validation"),
        (4, 2, {"validation": 0.25, "test": 0.5}, "/split/test"),
        (10, None, {"validation": 0.99}, "/split/validation"),
    ],
)
def test_a_split_that_leaves_nothing_to_train_on_is_refused(
    rows: int, classes: int | None, split: dict[str, float], pointer: str
) -> None:
    with pytest.raises(SpecError) as caught:
        complete(
            JobSpec.model_validate({"dataset": "given", "split": split}), small(rows, classes).description
        )
    assert [each.pointer for each in caught.value.complaints] == [pointer]


def test_a_batch_larger_than_the_rows_is_told() -> None:
    assert "every step" in told(training={"batch_size": 500})["/training/batch_size"]
    assert told(training={"batch_size": 300}) == {}


# ── a complete spec may be sent again, and runs ─────────────────────────────────────────────────────────────

SHARES = some.sampled_from([None, 0.0, 0.01, 0.2, 0.4, 0.5, 0.8, 0.95, 0.999])
SPECS = some.fixed_dictionaries(
    {
        "split": some.fixed_dictionaries({}, optional={"validation": SHARES, "test": SHARES}),
        "network": some.sampled_from([{}, {"hidden": []}, {"hidden": [3]}]),
        "optimizer": some.sampled_from(
            [
                {},
                {"kind": "sgd", "learning_rate": 1e-3, "schedule": "one_cycle", "warmup_epochs": 2},
                {"schedule": "reduce_on_plateau"},
                {"kind": "adamw", "schedule": "cosine", "warmup_epochs": 9},
                {"kind": "fista"},
            ]
        ),
        "training": some.sampled_from([{"max_epochs": 2}, {"max_epochs": 3, "batch_size": 2}]),
    },
    optional={
        "regularization": some.sampled_from(
            [{}, {"batch_norm": True}, {"early_stopping": True}, {"l1": 0.1, "dropout": 0.3}]
        )
    },
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SPECS, some.integers(2, 40), some.sampled_from([None, 2, 3, 7]), some.integers(0, 3))
def test_what_is_accepted_is_complete_may_be_sent_again_and_runs(
    asked: dict[str, Any], rows: int, classes: int | None, seed: int
) -> None:
    data = small(max(rows, classes or 0), classes, seed)
    try:
        first = complete(JobSpec.model_validate({"dataset": "given", **asked}), data.description).spec
    except (SpecError, ValueError):
        return
    again = complete(JobSpec.model_validate_json(first.model_dump_json()), data.description).spec
    assert again == first
    with suppress(DataError):  # what is left of a class is the shuffle's
        _check_that_it_runs(first, data)


def _check_that_it_runs(first: JobSpec, data: Table) -> None:
    split = split_rows(first.split, data)
    assert sizes(first.split, data.rows) == {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
    }
    done = Training(first, prepare(first, data))
    for _ in done:
        pass
    assert done.stop_reason in ("max_epochs", "early_stopping", "converged")
    assert done.result()["train"]["loss"] >= 0
