"""`ridgeline demo` for real, and its words, which must be true whatever the numbers are."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli import demo
from cli.processes import ROOMS, room

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demo prints into a pipe, and the temporary folder that it ran in."""
    folder = tmp_path_factory.mktemp("a demo")
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        [*room("cli"), "demo"], cwd=ROOMS, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, folder


def test_it_trains_on_an_uploaded_file_with_and_without_regularization(shown: tuple[str, Path]) -> None:
    said, _ = shown
    assert "digits.csv  1,797 rows, 64 features, classification of target" in said
    assert "✓ regularized succeeded" in said
    assert "✓ plain succeeded" in said
    assert said.count("train_loss") > 10
    assert said.count("best epoch") >= 4
    assert said.count("⠉") > 20, "two curves were drawn"


def test_it_shows_the_gaps_side_by_side(shown: tuple[str, Path]) -> None:
    numbers = r"\s+(-?\d+\.\d+)\s+(-?\d+\.\d+)"
    gap = re.search(rf"generalization gap{numbers}", shown[0])
    losses = {name: re.search(rf"{name} loss{numbers}", shown[0]) for name in ("training", "validation")}
    assert gap is not None
    for column in (1, 2):
        training, validation = (float(found[column]) for found in losses.values() if found)
        assert float(gap[column]) == pytest.approx(validation - training, abs=2e-4)


def test_it_says_where_the_server_is_and_leaves_nothing(shown: tuple[str, Path]) -> None:
    said, folder = shown
    assert re.search(r"The server is at http://127\.0\.0\.1:\d+", said)
    assert list(folder.iterdir()) == []
    assert processes_that_mention(folder) == []


def processes_that_mention(folder: Path) -> list[str]:
    """The command lines of processes that run on files in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return [command for command in found if str(folder) in command]


def result(gap: float, accuracy: float) -> dict[str, Any]:
    return {"generalization_gap": gap, "test": {"accuracy": accuracy}}


@pytest.mark.parametrize(
    ("with_it", "without", "words"),
    [
        (0.05, 0.2, "narrowed the gap between validation and training loss (0.200 without, 0.050 with)"),
        (
            0.2,
            0.05,
            "did not narrow the gap between validation and training loss (0.050 without, 0.200 with)",
        ),
        (0.1, 0.1, "did not narrow"),
    ],
)
def test_its_sentence_follows_the_numbers(with_it: float, without: float, words: str) -> None:
    said = demo.verdict(result(with_it, 0.97), result(without, 0.961))
    assert words in said
    assert said.endswith("test accuracy is 97.0% with it, 96.1% without.")
