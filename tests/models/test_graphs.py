"""ONNX equals torch: every architecture, technique, preprocessing, kind of column and task, on any rows."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.catalog import choices
from models.datasets import bundled
from models.errors import WeightsError
from models.graphs import Origin, inputs, model, outputs
from models.prediction import Predictor
from models.spec import NetworkSpec, PreprocessingSpec
from models.trained import read
from tests.models.building import table as numeric_table
from tests.models.networks import (
    FEATURES,
    TARGETS,
    TECHNIQUES,
    as_sent,
    by_torch,
    mixed_table,
    strange_rows,
    written,
)

ACTIVATIONS = choices(NetworkSpec, "activation")
NUMERIC = choices(PreprocessingSpec, "numeric")
HIDDEN: tuple[list[int], ...] = ([], [6], [7, 5, 3])
CLOSE = 1e-5


def session(written: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        written.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def check(path: Path, table: Any) -> None:
    """Both graphs of a weights file are valid and say what torch says."""
    columns, stored = strange_rows(table), read(path)
    expected, largest = by_torch(path, columns)
    written = model(stored)
    onnx.checker.check_model(written, full_check=True)
    sent = as_sent(columns)
    found = session(written).run(None, {port.name: sent[port.name][:, None] for port in inputs(stored.about)})
    together = Predictor.of(stored).predict(sent)
    if stored.about.task == "regression":
        assert together.values is not None
        close(found[0], expected.values, largest)
        np.testing.assert_array_equal(found[0], together.values)
        return
    labels, probabilities = found
    assert together.labels == labels.tolist()
    np.testing.assert_array_equal(probabilities, together.probabilities)
    chances = np.asarray(expected.probabilities)
    chances = chances if chances.ndim > 1 else np.column_stack([1 - chances, chances])
    np.testing.assert_allclose(probabilities, chances, atol=CLOSE)
    classes = [one.label for one in stored.about.description.classes or ()]
    clear = np.ptp(np.sort(chances)[:, -2:], axis=1) > CLOSE
    said = np.array([classes[index] for index in np.asarray(expected.labels)])
    assert (labels[clear] == said[clear]).all()


def close(found: np.ndarray, expected: Any, largest: np.ndarray) -> None:
    wanted = np.asarray(expected, dtype=np.float64)
    assert (np.abs(found - wanted) <= CLOSE * (1 + np.abs(wanted) + largest)).all()


CASES = {
    "activation": st.sampled_from(ACTIVATIONS),
    "hidden": st.sampled_from(HIDDEN),
    "technique": st.sampled_from(sorted(TECHNIQUES)),
    "numeric": st.sampled_from(NUMERIC),
    "task": st.sampled_from(sorted(TARGETS)),
    "missing": st.sampled_from(choices(PreprocessingSpec, "missing")),
    "target": st.sampled_from(choices(PreprocessingSpec, "target")),
    "seed": st.integers(0, 5),
}


def spec(case: dict[str, Any]) -> dict[str, Any]:
    preprocessing = {name: case[name] for name in ("numeric", "missing", "target") if name in case}
    hidden = case["hidden"]
    technique = {
        name: part for name, part in TECHNIQUES[case["technique"]].items() if hidden or name != "batch_norm"
    }
    if not hidden and "dropout" in technique:
        technique["dropout"] = {"input": 0.1}
    return {
        "network": {"hidden": hidden, "activation": case["activation"]},
        "regularization": technique,
        "preprocessing": preprocessing,
    }


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=st.fixed_dictionaries(CASES))
def test_onnx_says_what_torch_says(case: dict[str, Any], tmp_path: Path) -> None:
    table = mixed_table(case["task"])
    check(written(tmp_path / "w", table, seed=case["seed"], **spec(case)), table)


@pytest.mark.long
@pytest.mark.parametrize(("task", "numeric"), [*product(sorted(TARGETS), NUMERIC)])
def test_onnx_says_what_torch_says_of_every_combination(task: str, numeric: str, tmp_path: Path) -> None:
    table = mixed_table(task)
    for activation, hidden, technique in product(ACTIVATIONS, HIDDEN, sorted(TECHNIQUES)):
        case = {"activation": activation, "hidden": hidden, "technique": technique, "numeric": numeric}
        check(written(tmp_path / "w", table, **spec(case)), table)


@pytest.mark.parametrize("numeric", NUMERIC)
def test_a_linear_model_in_double_precision(numeric: str, tmp_path: Path) -> None:
    table = mixed_table("multiclass")
    path = written(
        tmp_path / "w",
        table,
        network={"hidden": []},
        optimizer={"kind": "fista"},
        regularization={},
        preprocessing={"numeric": numeric},
    )
    assert outputs(read(path).about, "float64")[1].type == "float64"
    check(path, table)


@pytest.mark.parametrize("name", ["length", "colour", "same", "empty", "smoker", "day", "city"])
def test_a_single_column_of_any_kind(name: str, tmp_path: Path) -> None:
    table = mixed_table("binary", {name: FEATURES[name]})
    check(written(tmp_path / "w", table, preprocessing={"numeric": "quantile"}), table)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_the_bundled_datasets(name: str, tmp_path: Path) -> None:
    check(written(tmp_path / "w", bundled(name)), bundled(name))


HOSTILE = [
    *("label", "probabilities", "value", "numbers", "texts", "network/hidden_1", "network//missing"),
    *(" ", "\u200b", "列" * 200, "a/b~c", "<img onerror>", "\u202eright to left", "'\"\\", "rows", "x=1"),
]


@pytest.mark.parametrize("task", sorted(TARGETS))
def test_columns_may_be_called_anything(task: str, tmp_path: Path) -> None:
    """Also what the outputs are called, or a node within."""
    kinds = list(FEATURES.values())
    table = mixed_table(task, {name: kinds[place % len(kinds)] for place, name in enumerate(HOSTILE)})
    path = written(tmp_path / "w", table)
    check(path, table)
    names = [port.name for port in outputs(read(path).about, "float32")]
    assert names == (["value (2)"] if task == "regression" else ["label (2)", "probabilities (2)"])
    assert [port.name for port in inputs(read(path).about)] == HOSTILE


def test_a_slope_that_no_number_holds_leads_to_finite_inputs(tmp_path: Path) -> None:
    """Neighbouring knots may be as near as numbers get."""
    near = [0.0, 5e-324, 1e-323, 1.0] * 15
    table = mixed_table("regression", {"near": near, "length": FEATURES["length"]})
    check(written(tmp_path / "w", table, preprocessing={"numeric": "quantile"}), table)


def test_many_knots_are_thinned_and_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=3000), rng.integers(0, 3, 3000), np.exp(rng.normal(size=3000))])
    table = numeric_table(x, rng.normal(size=3000))
    check(written(tmp_path / "w", table, preprocessing={"numeric": "quantile"}), table)


def test_a_network_that_diverged_says_nan_like_torch(tmp_path: Path) -> None:
    table = mixed_table("regression")
    path = written(tmp_path / "w", table, regularization={})
    tensors = load_file(path)
    tensors["hidden_1.bias"][:] = float("nan")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata=metadata)
    found = Predictor.of(read(path)).predict(as_sent(table.columns))
    assert found.values is not None
    assert np.isnan(found.values).all()
    assert torch.isnan(by_torch(path, table.columns)[0].values).all()  # type: ignore[arg-type]


# ── what the file says ──────────────────────────────────────────────────────────────────────────────────────


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    stored = read(written(tmp_path / "w", mixed_table("multiclass")))
    origin = Origin("job_1", "my data", "d" * 64, "f" * 64, "1.2.3")
    made = model(stored, origin)
    said = {prop.key: prop.value for prop in made.metadata_props}
    assert (said["format"], said["job_id"], said["ridgeline"]) == ("ridgeline-onnx-1", "job_1", "1.2.3")
    assert json.loads(said["dataset"]) == {"name": "my data", "sha256": "d" * 64}
    assert json.loads(said["classes"]) == ["a", "b", "c"]
    assert json.loads(said["spec"])["network"] == stored.about.spec.network.model_dump(mode="json")
    kinds = {port["name"]: port["kind"] for port in json.loads(said["inputs"])}
    assert kinds == {column.name: column.kind for column in mixed_table("multiclass").description.columns}
    for port in (*made.graph.input, *made.graph.output):
        assert port.doc_string
    assert "1970" in next(port.doc_string for port in made.graph.input if port.name == "day")
    assert model(stored, origin).SerializeToString() == made.SerializeToString()
    assert {opset.domain: opset.version for opset in made.opset_import} == {"": 15, "ai.onnx.ml": 2}


def test_nothing_on_the_way_loads_torch(tmp_path: Path) -> None:
    path = written(tmp_path / "w", bundled("iris"))
    program = (
        "import sys; from pathlib import Path\n"
        "import models.graphs, models.prediction, models.datasets.rows\n"
        "light = not {'numpy', 'onnx', 'onnxruntime', 'polars'} & set(sys.modules)\n"
        "from models.trained import read\n"
        "models.prediction.Predictor.of(read(Path(sys.argv[1])))\n"
        "print(light, 'torch' in sys.modules, 'polars' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "w", bundled("iris"), regularization={"batch_norm": True})
    whole, tensors = path.read_bytes(), load_file(path)
    for content in (b"", whole[:-1], b"x" * 64):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="damaged"):
            read(path)
    path.write_bytes(whole)
    metadata = read(path).about.metadata()
    for name in ("hidden_1.bias", "hidden_1_norm.running_var", "output.bias"):
        save_file({key: each for key, each in tensors.items() if key != name}, path, metadata=metadata)
        with pytest.raises(WeightsError, match="do not belong"):
            Predictor.of(read(path))
    save_file(tensors | {"hidden_1.bias": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(WeightsError, match="do not belong"):
        Predictor.of(read(path))


def test_what_the_runtime_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    """Tensors of two types fit each other nowhere, and rows of the wrong kind fit no network."""
    path = written(tmp_path / "w", bundled("iris"), network={"hidden": [4, 3]})
    stored = read(path)
    with pytest.raises(WeightsError, match="cannot be run"):
        Predictor.of(stored).predict(
            {name: values.astype(object) for name, values in bundled("iris").columns.items()}
        )
    mixed_up = load_file(path) | {"hidden_2.weight": load_file(path)["hidden_2.weight"].double()}
    save_file(mixed_up, path, metadata=stored.about.metadata())
    with pytest.raises(WeightsError, match="could be made"):
        Predictor.of(read(path))


def test_rows_that_are_too_many_at_once_go_through_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = mixed_table("binary")
    stored = read(written(tmp_path / "w", table))
    whole = Predictor.of(stored).predict(as_sent(table.columns))
    monkeypatch.setattr("models.prediction.MOST_AT_ONCE", 1_000)
    parts = Predictor.of(stored)
    runs: list[slice] = []
    run = parts._run
    monkeypatch.setattr(parts, "_run", lambda columns, rows: runs.append(rows) or run(columns, rows))
    found = parts.predict(as_sent(table.columns))
    assert len(runs) > 2
    assert found.labels == whole.labels
    np.testing.assert_array_equal(found.probabilities, whole.probabilities)
