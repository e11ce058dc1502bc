"""Whatever was stored of a job, its diagnosis is one: no exception, and no number that is none."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.defaults import complete
from models.diagnosis import VERDICTS, Case, diagnose
from models.diagnosis.patches import merged
from models.errors import SpecError
from models.spec import JobSpec
from tests.models.diagnosis.cases import description

VALUES = st.one_of(
    st.none(),
    st.floats(),
    st.floats(0, 3),
    st.sampled_from([0.0, -0.0, 1e-308, 1e308, -1e308, math.inf, -math.inf, math.nan]),
)
CURVES = st.dictionaries(
    st.sampled_from(
        ["train_loss", "val_loss", "objective", "penalty_l1", "penalty_l2", "sparsity", "train_r2", "val_f1"]
    ),
    st.lists(VALUES, max_size=25),
)
MEASURED = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["loss", "loss_se", "accuracy", "nonfinite"]), VALUES),
)
RESULTS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "restored_epoch": st.one_of(st.none(), st.integers(-1, 40)),
            "train": MEASURED,
            "validation": MEASURED,
            "test": MEASURED,
        },
    ),
)
LAYER = st.fixed_dictionaries(
    {"shape": st.lists(st.integers(0, 9), min_size=2, max_size=2)},
    optional={"silent": st.one_of(st.none(), st.integers(0, 9)), "name": st.just("hidden_1")},
)
WEIGHTS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "layers": st.one_of(st.none(), st.lists(LAYER, max_size=3)),
            "inputs": st.one_of(
                st.none(), st.lists(st.fixed_dictionaries({"kept": st.booleans()}), max_size=3)
            ),
        },
    ),
)
DATA = {
    "two classes": description((300, 300)),
    "a rare class": description((599, 1, 0)),
    "a regression": description(None),
    "two rows": description((1, 1)),
}
SPECS: list[dict[str, Any]] = [
    {},
    {"regularization": {"l1": 0.05, "l2": 1e6, "dropout": 0.5, "batch_norm": True}},
    {"regularization": {"early_stopping": {"monitor": "val_f1", "restore_best_weights": False}}},
    {"optimizer": {"kind": "fista"}, "regularization": {"l1": 0.3}},
    {
        "preprocessing": {"target": "none", "numeric": "none"},
        "optimizer": {"kind": "sgd", "learning_rate": 50.0},
    },
    {"split": {"validation": 0}, "regularization": {}},
    {"split": {"validation": 0.79}},
]
STOPS = st.sampled_from(
    [None, "max_epochs", "early_stopping", "converged", "diverged", "max_runtime", "cancelled"]
)


@settings(max_examples=150, deadline=None)
@given(CURVES, RESULTS, WEIGHTS, STOPS, st.sampled_from(SPECS), st.sampled_from([None, *DATA]), st.booleans())
def test_any_case_has_a_diagnosis(
    series: dict[str, Any],
    result: dict[str, Any] | None,
    weights: dict[str, Any] | None,
    stop: str | None,
    asked: dict[str, Any],
    data: str | None,
    completed: bool,
) -> None:
    known = DATA[data] if data else None
    spec = JobSpec.model_validate({"dataset": "given", **asked})
    if completed:
        with suppress(SpecError):  # One that does not fit these data is taken as it was asked for.
            spec = complete(spec, known or DATA["two classes"]).spec
    case = Case(spec, series, result, stop, weights, known)
    if not case.epochs:
        return
    found = diagnose(case)
    assert found.verdict in VERDICTS
    told = " ".join([found.summary, *(each.detail for each in (*found.evidence, *found.suggestions))])
    assert "nan" not in told.replace("dominant", "")
    assert all(math.isfinite(each.value) for each in found.evidence)
    for each in found.suggestions:
        assert JobSpec.model_validate(merged(spec.model_dump(mode="json"), each.patch)) != spec
