"""`python -m models`: the science with no server."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models import weights
from models.__main__ import INTERRUPTED, main
from models.datasets import bundled_csv


def write(folder: Path, document: Any) -> str:
    path = folder / "a spec.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return str(path)


BRIEF: dict[str, Any] = {"dataset": "iris", "training": {"max_epochs": 3}, "regularization": {}}
TOLD = "import time:"
"""How each line of `-X importtime` begins."""


@dataclass
class Process:
    """What one `python -m models` printed and loaded, and the weights that it wrote."""

    said: list[str]
    loaded: set[str]
    complaints: list[str]
    weights: Path


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Process:
    """One for all who ask, since it loads torch; its hashes, and so the order of its sets, are its own."""
    folder = tmp_path_factory.mktemp("process")
    options = [write(folder, BRIEF), "--weights", str(folder / "w.safetensors")]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "models", *options],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    loaded = {line.rpartition("|")[2].strip() for line in lines if line.startswith(TOLD)}
    complaints = [line for line in lines if not line.startswith(TOLD)]
    return Process(done.stdout.splitlines(), loaded, complaints, folder / "w.safetensors")


def test_it_trains_and_prints_the_epochs_in_a_process_of_its_own(process: Process) -> None:
    lines = process.said
    assert process.complaints == []
    assert [line.split()[:2] for line in lines[:3]] == [["epoch", "1"], ["epoch", "2"], ["epoch", "3"]]
    assert all("train_loss" in line and "val_loss" in line for line in lines[:3])
    assert lines[3].startswith("max_epochs: ")
    assert [line.split()[0] for line in lines[-3:]] == ["train", "validation", "test"]
    assert weights.load(process.weights).spec.dataset == "iris"


def test_training_loads_no_compiler(process: Process) -> None:
    """torch.optim would: two seconds of every process's start. And `skip_init` would load sympy."""
    assert {"torch", "models.training"} <= process.loaded
    assert process.loaded & {"torch._dynamo", "sympy", "sklearn"} == set()


def test_a_files_bytes_are_those_of_any_process(process: Process, tmp_path: Path) -> None:
    assert main([write(tmp_path, BRIEF), "--weights", str(tmp_path / "w.safetensors")]) == 0
    assert (tmp_path / "w.safetensors").read_bytes() == process.weights.read_bytes()


def test_it_trains_on_a_file_and_needs_no_dataset_in_the_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundled_csv("diabetes", tmp_path / "some data.csv")
    spec = write(tmp_path, {"training": {"max_epochs": 2}})
    assert main([spec, "--data", str(tmp_path / "some data.csv"), "--target", "bmi"]) == 0
    assert "val_rmse" in capsys.readouterr().out


def test_it_reads_a_spec_from_the_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"dataset": "wine", "training": {"max_epochs": 1}}'))
    assert main(["-"]) == 0
    assert "epoch    1" in capsys.readouterr().out


def test_it_prints_what_one_should_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"dataset": "iris", "training": {"max_epochs": 1, "batch_size": 4}}
    assert main([write(tmp_path, asked | {"regularization": {"batch_norm": True}})]) == 0
    assert "note /regularization/batch_norm: " in capsys.readouterr().out


def test_it_prints_what_the_rows_and_the_end_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{index % 7},{index % 3},{'ab'[index % 2]},{'ab'[index % 2]}" for index in range(60)]
    (tmp_path / "leak.csv").write_text("\n".join(["one,two,told,y", *rows]))
    spec = write(tmp_path, {"optimizer": {"kind": "fista"}, "training": {"max_epochs": 2}})
    assert main([spec, "--data", str(tmp_path / "leak.csv")]) == 0
    out = capsys.readouterr().out
    assert "note /dataset: column 'told' alone tells the target in 60 of 60 rows" in out
    assert out.index("max_epochs: ") < out.index("note /training/max_epochs: fista has not converged")


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The curve of the interrupted and the next run together is that of one run to the end."""
    spec = write(tmp_path, {"dataset": "wine", "training": {"max_epochs": 7}, "regularization": {}})
    kept = ["--checkpoint", str(tmp_path / "c")]
    printing = sys.stdout.write

    def press(text: str) -> int:
        if text.startswith("epoch    2"):
            signal.raise_signal(signal.SIGINT)
        return printing(text)

    with monkeypatch.context() as pressed:
        pressed.setattr(sys.stdout, "write", press)
        assert main([spec, *kept]) == INTERRUPTED
    first = capsys.readouterr().out.splitlines(keepends=True)
    assert first.pop().startswith(f"interrupted after epoch {len(first)}; ")
    assert len(first) == 2
    assert main([spec, *kept]) == 0
    rest = capsys.readouterr().out.splitlines(keepends=True)
    assert main([spec]) == 0
    assert [*first, *rest] == capsys.readouterr().out.splitlines(keepends=True)
    assert main([spec, *kept]) == 0
    assert capsys.readouterr().out.startswith("max_epochs: all 7 epochs are done")


def test_a_checkpoint_of_another_spec_is_explained_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ["--checkpoint", str(tmp_path / "c")]
    assert main([write(tmp_path, {"dataset": "iris", "training": {"max_epochs": 1}}), *kept]) == 0
    assert main([write(tmp_path, {"dataset": "iris", "training": {"max_epochs": 2}}), *kept]) == 2
    assert "another spec: training differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"dataset": "iris", "trainin": {}}, "/trainin: there is no field 'trainin'"),
        ({"dataset": "iris", "trainin": {}}, "(try training)"),
        ({"dataset": "irs"}, "/dataset: there is no bundled dataset 'irs'"),
        ({"dataset": "irs"}, "(try iris)"),
        ({"dataset": "iris", "metrics": ["rmse"]}, "/metrics/0: "),
        ({"dataset": "iris", "split": {"column": "fold"}}, "/split/column: "),
        ({}, "/dataset: dataset is required"),
        ("[1, 2", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"dataset": "iris", "optimizer": {"learning_rate": NaN}}', "/optimizer/learning_rate: "),
        ("[]", "/: the document must be an object"),
    ],
)
def test_a_bad_spec_is_explained_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Any, said: str
) -> None:
    assert main([write(tmp_path, document)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("data", "arguments", "said"),
    [
        (None, [], "cannot be read"),
        ("a,y\n1,2\n2,3\n", ["--target", "z"], "/target: there is no column 'z'"),
        ("no table", [], "/file: "),
        ("fold,y\ntrain,1.5\ntest,2.5\n", [], "no columns are left"),
    ],
)
def test_bad_data_is_explained_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str | None, arguments: list[str], said: str
) -> None:
    path = tmp_path / "data.csv"
    if data is not None:
        path.write_text(data)
    spec = write(tmp_path, {"split": {"column": "fold"}} if data and "fold" in data else {})
    assert main([spec, "--data", str(path), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_spec_that_is_not_there_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/nowhere/spec.json"]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
