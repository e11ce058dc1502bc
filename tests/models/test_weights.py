"""A trained network survives its file to the last bit, and its weights say what they mean in both spaces."""

from __future__ import annotations

import errno
import itertools
import json
import math
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression, Ridge

from models.datasets import Table, bundled
from models.datasets.inference import table as described
from models.defaults import complete
from models.errors import WeightsError
from models.preprocessing import Prepared, prepare
from models.spec import JobSpec
from models.stacks import Stack
from models.tensors import write
from models.training import Training
from models.weights import load, save, summarize

MIXED = {
    "a": [1.0, None, 3.0, 5.0, 8.0, 2.0] * 20,
    "colour": ["red", "blue", "blue", None, "red", "teal"] * 20,
    "same": [1.0] * 120,
}
LINEAR = {"network": {"hidden": []}, "optimizer": {"kind": "fista"}}


def mixed(y: list[Any]) -> Table:
    return described(pl.DataFrame({**MIXED, "y": y}), target="y", task=None, notes=[])


def train(table: Table, **asked: Any) -> tuple[Training, Prepared]:
    spec = complete(JobSpec.model_validate({"dataset": "given", **asked}), table.description).spec
    prepared = prepare(spec, table)
    training = Training(spec, prepared)
    for _ in training:
        pass
    return training, prepared


def saved(path: Path, training: Training, prepared: Prepared, table: Table) -> None:
    save(
        path,
        network_state=training.network.state_dict(),
        spec=training.spec,
        preprocessor=prepared.preprocessor,
        description=table.description,
    )


def summary(training: Training, prepared: Prepared) -> dict[str, Any]:
    told = summarize(training.network, training.spec, prepared.preprocessor)
    json.dumps(told, allow_nan=False)
    return told


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("iris", {"training": {"max_epochs": 3}, "regularization": {"batch_norm": True, "dropout": 0.2}}),
        ("breast_cancer", {"training": {"max_epochs": 2}, "optimizer": {"kind": "sgd"}}),
        ("diabetes", {"training": {"max_epochs": 3}, "preprocessing": {"numeric": "quantile"}}),
        ("wine", LINEAR | {"training": {"max_epochs": 5}}),
    ],
)
def test_a_network_answers_the_same_from_its_file(name: str, asked: dict[str, Any], tmp_path: Path) -> None:
    table = bundled(name)
    training, prepared = train(table, **asked)
    saved(tmp_path / "w.safetensors", training, prepared, table)
    loaded = load(tmp_path / "w.safetensors")
    assert (loaded.spec, loaded.description) == (training.spec, table.description)
    assert not loaded.network.training
    x = loaded.preprocessor.transform(table.columns)
    with torch.no_grad():
        rows = torch.from_numpy(x).to(training.data.train.x.dtype)
        assert torch.equal(loaded.network(rows), training.network(rows))


@pytest.mark.parametrize("name", ["iris", "breast_cancer", "diabetes"])
def test_reported_metrics_are_those_of_the_saved_weights(name: str, tmp_path: Path) -> None:
    """Recomputed from the file alone, with scikit-learn-like NumPy in place of the training's own code."""
    table = bundled(name)
    training, prepared = train(table, training={"max_epochs": 8})
    saved(tmp_path / "w.safetensors", training, prepared, table)
    reported, loaded = training.result(), load(tmp_path / "w.safetensors")
    for split in ("train", "validation", "test"):
        rows = getattr(prepared, split).indices
        x = loaded.preprocessor.transform({key: values[rows] for key, values in table.columns.items()})
        with torch.no_grad():
            outputs = loaded.network(torch.from_numpy(x).float()).double().numpy()
        truth, scale = table.target[rows], loaded.preprocessor.target
        if scale is not None:
            error = outputs[:, 0] - (truth - scale.mean) / scale.sd
            expected = {"loss": np.mean(error**2), "rmse": scale.sd * math.sqrt(np.mean(error**2))}
        else:
            logits = outputs if outputs.shape[1] > 1 else np.column_stack([np.zeros(len(outputs)), outputs])
            chances = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            picked = chances[np.arange(len(truth)), truth]
            expected = {"loss": -picked.mean(), "accuracy": np.mean(logits.argmax(1) == truth)}
        for metric, value in expected.items():
            assert reported[split][metric] == pytest.approx(value, abs=1e-6, rel=1e-6), (split, metric)


def test_saving_changes_nothing_and_shares_nothing(tmp_path: Path) -> None:
    training, prepared = train(bundled("iris"), training={"max_epochs": 2})
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    saved(tmp_path / "w.safetensors", training, prepared, bundled("iris"))
    assert all(torch.equal(before[name], tensor) for name, tensor in training.network.state_dict().items())


EQUAL: dict[str, Any] = {
    "network": {"hidden": [6]},
    "regularization": {"batch_norm": True, "dropout": 0.2, "l1": {"strength": 1e-3, "feature_weights": {}}},
    "training": {"max_epochs": 3, "batch_size": 16},
    "metadata": {"b": 1, "a": "ä"},
}


def test_equal_trainings_give_equal_files_alone_and_in_a_stack(tmp_path: Path) -> None:
    """Also where the names of the spec were written in another order."""
    table = mixed(["p", "q", "q"] * 40)
    turned = {name: EQUAL[name] for name in reversed(EQUAL)} | {"metadata": {"a": "ä", "b": 1}}
    asked = [EQUAL, turned, EQUAL | {"training": EQUAL["training"] | {"seed": 5, "max_epochs": 4}}]
    chosen = [
        complete(JobSpec.model_validate({"dataset": "given", **each}), table.description).spec
        for each in asked
    ]
    prepared = prepare(chosen[0], table)
    stacked = [Training(spec, prepared) for spec in chosen]
    for _ in Stack(stacked).pulses():
        pass
    for number, training in enumerate([*(train(table, **each)[0] for each in asked), *stacked]):
        saved(tmp_path / str(number), training, prepared, table)
    files = [(tmp_path / str(number)).read_bytes() for number in range(6)]
    assert files[0] == files[1] == files[3] == files[4]
    assert files[2] == files[5] != files[0]


KINDS = [torch.float64, torch.float32, torch.int64, torch.int32, torch.int16, torch.uint8, torch.bool]


def test_a_files_bytes_do_not_hang_on_the_order_of_names(tmp_path: Path) -> None:
    """Nor on a process's, see `test_command.py`. The format's own library reads tensors of every kind."""
    tensors = {str(kind): torch.arange(-3, 3).view(2, 3).to(kind) for kind in KINDS}
    tensors |= {"one": torch.tensor(2.5), "none": torch.zeros(0, 4)}
    tensors |= {"turned": torch.arange(6.0).view(2, 3).T}
    for number, names in enumerate(itertools.permutations(("format", "z", "a", "m")), start=1):
        turned = sorted(tensors, key=lambda name: hash((number, name)))
        words = {name: f"{name} é\n" for name in names}
        write(tmp_path / str(number), {name: tensors[name] for name in turned}, words)
        assert (tmp_path / "1").read_bytes() == (tmp_path / str(number)).read_bytes()
    assert metadata_of(tmp_path / "1") == {name: f"{name} é\n" for name in ("format", "z", "a", "m")}
    found = load_file(tmp_path / "1")
    assert (found["one"].item(), found["none"].shape) == (2.5, (0, 4))
    assert torch.equal(found["turned"], torch.arange(6.0).view(2, 3).T)
    for kind in KINDS:
        assert torch.equal(found[str(kind)], torch.arange(-3, 3).view(2, 3).to(kind))


def test_a_file_that_the_formats_library_wrote_opens(good: Path, tmp_path: Path) -> None:
    """As earlier versions left them, words in any order."""
    save_file(load_file(good), tmp_path / "w", metadata=dict(reversed(metadata_of(good).items())))
    one, other = load(good), load(tmp_path / "w")
    assert (one.spec, one.preprocessor, one.description) == (
        other.spec,
        other.preprocessor,
        other.description,
    )
    assert all(
        torch.equal(own, others)
        for own, others in zip(
            one.network.state_dict().values(), other.network.state_dict().values(), strict=True
        )
    )


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    saved(path, *train(bundled("iris"), training={"max_epochs": 1}), bundled("iris"))
    return path


def metadata_of(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def test_a_cut_or_foreign_file_is_refused(good: Path, tmp_path: Path) -> None:
    whole, path = good.read_bytes(), tmp_path / "w"
    for data in (
        b"",
        b"x" * 100,
        whole[:-1],
        whole[: len(whole) // 2],
        b"\xff" * 8 + whole[8:],
        whole + b"x",
    ):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match="damaged"):
            load(path)
    with pytest.raises(WeightsError):
        load(tmp_path / "absent")
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="not written by this program"):
        load(path)


@pytest.mark.parametrize("part", ["spec", "preprocessor", "description"])
@pytest.mark.parametrize("damage", ["", "{}", "null", "[1", None])
def test_damaged_words_are_refused(good: Path, tmp_path: Path, part: str, damage: str | None) -> None:
    metadata = metadata_of(good)
    if damage is None:
        del metadata[part]
    else:
        metadata[part] = damage
    save_file(load_file(good), tmp_path / "w", metadata=metadata)
    with pytest.raises(WeightsError, match="damaged"):
        load(tmp_path / "w")


def test_weights_of_another_network_are_refused_before_it_is_built(good: Path, tmp_path: Path) -> None:
    metadata, tensors = metadata_of(good), load_file(good)
    spec = json.loads(metadata["spec"])
    for hidden in ([], [10**9], [7], [*spec["network"]["hidden"], 4]):
        changed = json.dumps(spec | {"network": spec["network"] | {"hidden": hidden}})
        save_file(tensors, tmp_path / "w", metadata=metadata | {"spec": changed})
        with pytest.raises(WeightsError, match="shapes"):
            load(tmp_path / "w")
    without = {name: tensor for name, tensor in tensors.items() if name != "output.bias"}
    save_file(without, tmp_path / "w", metadata=metadata)
    with pytest.raises(WeightsError, match="do not belong"):
        load(tmp_path / "w")


# ── what the weights say ────────────────────────────────────────────────────────────────────────────────────


def test_layers_are_measured() -> None:
    training, prepared = train(bundled("iris"), network={"hidden": [5, 3]}, training={"max_epochs": 1})
    with torch.no_grad():
        training.network.hidden_1.weight[:2] = 0
    told = summary(training, prepared)
    assert [(layer["name"], layer["shape"]) for layer in told["layers"]] == [
        ("hidden_1", [5, 4]),
        ("hidden_2", [3, 5]),
        ("output", [3, 3]),
    ]
    weight = training.network.hidden_1.weight.detach().double().numpy()
    first = told["layers"][0]
    assert (first["zeros"], first["sparsity"]) == (8, 0.4)
    assert first["l1_norm"] == pytest.approx(np.abs(weight).sum())
    assert first["l2_norm"] == pytest.approx(np.linalg.norm(weight))
    assert first["max_abs"] == pytest.approx(np.abs(weight).max())
    assert told["linear"] is None


def test_inputs_are_the_files_columns() -> None:
    """The inputs of `a` and those of `colour` count as one column each; a constant one is not heard."""
    training, prepared = train(
        mixed(["p", "q", "q"] * 40), network={"hidden": [6]}, training={"max_epochs": 1}
    )
    told = summary(training, prepared)["inputs"]
    weight = training.network.hidden_1.weight.detach().double().numpy()
    owners = [feature.column for feature in prepared.preprocessor.features]
    norms = {column: np.linalg.norm(weight[:, [owner == column for owner in owners]]) for column in MIXED}
    assert norms["same"] > 0
    norms["same"] = 0.0
    assert [one["column"] for one in told] == list(MIXED)
    assert [one["kept"] for one in told] == [True, True, False]
    for one in told:
        assert one["norm"] == pytest.approx(norms[one["column"]])
        assert one["share"] == pytest.approx(norms[one["column"]] / sum(norms.values()))


def test_a_column_is_kept_unless_all_its_weights_are_exactly_zero() -> None:
    training, prepared = train(
        mixed(["p", "q", "q"] * 40), network={"hidden": [6]}, training={"max_epochs": 1}
    )
    columns = [feature.column for feature in prepared.preprocessor.features]
    with torch.no_grad():
        training.network.hidden_1.weight[:, [column == "colour" for column in columns]] = 0
        training.network.hidden_1.weight[3, columns.index("colour")] = 1e-30
        training.network.hidden_1.weight[:, [column == "a" for column in columns]] = 0
    told = {one["column"]: one for one in summary(training, prepared)["inputs"]}
    assert (told["a"]["kept"], told["a"]["share"]) == (False, 0.0)
    assert told["colour"]["kept"]


@pytest.mark.parametrize("numeric", ["standardize", "robust", "none"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "unscaled regression"])
def test_both_spaces_say_what_the_network_says(numeric: str, kind: str) -> None:
    """Coefficients times the data, in either space, are the network's own answers, also halfway."""
    y = {
        "binary": ["p", "q", "q"] * 40,
        "multiclass": ["p", "q", "r"] * 40,
    }.get(kind, [n * 1.5 - 100 for n in range(120)])
    table = mixed(y)
    target = "none" if kind == "unscaled regression" else "standardize"
    asked = {"preprocessing": {"numeric": numeric, "target": target}, "training": {"max_epochs": 20}}
    training, prepared = train(table, **LINEAR, **asked, regularization={"l2": 0.01})
    linear = summary(training, prepared)["linear"]
    features, scale = prepared.preprocessor.features, prepared.preprocessor.target
    z = prepared.preprocessor.transform(table.columns)
    with torch.no_grad():
        answers = training.network(torch.from_numpy(z).to(training.data.train.x.dtype)).double().numpy()
    assert list(linear["trained"]["coefficients"]) == [feature.name for feature in features]
    trained = z @ np.array(list(linear["trained"]["coefficients"].values())) + linear["trained"]["intercept"]
    np.testing.assert_allclose(trained, answers, atol=1e-9)
    own = {
        "a": np.where(
            np.isnan(table.columns["a"]), prepared.preprocessor.columns[0].fill, table.columns["a"]
        ),  # type: ignore[union-attr]
        "same": table.columns["same"],
    }
    x = np.column_stack([own.get(feature.name, z[:, index]) for index, feature in enumerate(features)])
    original = (
        x @ np.array(list(linear["original"]["coefficients"].values())) + linear["original"]["intercept"]
    )
    expected = answers * scale.sd + scale.mean if scale else answers
    np.testing.assert_allclose(original, expected, rtol=1e-9, atol=1e-9)
    outputs = {"binary": ["q"], "multiclass": ["p", "q", "r"]}.get(kind, ["y"])
    assert linear["trained"]["outputs"] == linear["original"]["outputs"] == outputs


def test_original_coefficients_are_scikit_learns_on_the_raw_columns() -> None:
    table, everything = bundled("breast_cancer"), {"validation": 0, "test": 0}
    columns = ["mean radius", "mean texture"]
    frame = table.frame.select(*columns, "target")
    small = described(frame, target="target", task=None, notes=[])
    training, prepared = train(small, **LINEAR, split=everything, regularization={})
    told = summary(training, prepared)["linear"]["original"]
    raw = np.column_stack([small.columns[column] for column in columns])
    exact = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(raw, small.target)
    got = [told["coefficients"][column][0] for column in columns]
    np.testing.assert_allclose(got, exact.coef_[0], rtol=1e-4)
    np.testing.assert_allclose(told["intercept"], exact.intercept_, rtol=1e-4)


def test_original_coefficients_of_a_regression_are_in_the_targets_units() -> None:
    table = bundled("diabetes")
    training, prepared = train(table, **LINEAR, split={"validation": 0, "test": 0}, regularization={})
    told = summary(training, prepared)["linear"]["original"]
    raw = np.column_stack(list(table.columns.values()))
    exact = Ridge(alpha=0, solver="svd").fit(raw, table.target)
    np.testing.assert_allclose([value[0] for value in told["coefficients"].values()], exact.coef_, rtol=1e-4)
    np.testing.assert_allclose(told["intercept"], exact.intercept_, rtol=1e-4)


def test_quantiles_have_no_coefficients_in_the_original_space_and_say_why() -> None:
    asked = {"preprocessing": {"numeric": "quantile"}, "training": {"max_epochs": 2}}
    training, prepared = train(bundled("wine"), **LINEAR, **asked)
    linear = summary(training, prepared)["linear"]
    assert linear["original"] is None
    assert "quantiles" in linear["reason"]
    assert linear["trained"]["space"] == "trained"


def test_a_diverged_network_is_told_in_json() -> None:
    training, prepared = train(bundled("iris"), network={"hidden": []}, training={"max_epochs": 1})
    with torch.no_grad():
        training.network.output.weight.fill_(math.nan)
    told = summary(training, prepared)
    assert told["layers"][0]["l1_norm"] is None
    assert told["inputs"][0]["share"] is None


def test_a_full_disk_is_the_systems_error(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk. Nothing half written is left behind."""
    size, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            write(tmp_path / "w", {"x": torch.zeros(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        signal.signal(signal.SIGXFSZ, before)
    assert refused.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


# ── silent units ────────────────────────────────────────────────────────────────────────────────────────────


def test_units_that_never_open_are_counted_layer_by_layer() -> None:
    """By NumPy, on a network two of whose rectifiers were shut and one of whose units lost its weights."""
    table = bundled("iris")
    training, prepared = train(
        table, network={"hidden": [6, 4]}, training={"max_epochs": 1}, regularization={"batch_norm": False}
    )
    (_, first), (_, second), _ = training.network.linears()
    with torch.no_grad():
        first.bias[:2] = -1e3
        second.weight[3] = 0.0
    x = training.data.train.x
    told = summarize(training.network, training.spec, prepared.preprocessor, x)
    hidden = np.maximum(x.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    deeper = np.maximum(hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy(), 0)
    expected = [int((layer.std(axis=0) == 0).sum()) for layer in (hidden, deeper)]
    assert [layer["silent"] for layer in told["layers"]] == [*expected, None]
    assert expected[0] >= 2
    assert expected[1] >= 1
    unasked = summarize(training.network, training.spec, prepared.preprocessor)
    assert [layer["silent"] for layer in unasked["layers"]] == [None, None, None]
