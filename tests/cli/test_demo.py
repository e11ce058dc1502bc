"""`ridgeline demo` for real, and its words, which must be true whatever the numbers are."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections import Counter
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.demo_data import spoil
from cli.demo_results import RECIPES, comparison, conclusion
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


def test_it_trains_five_recipes_from_five_seeds_on_spoiled_digits(shown: tuple[str, Path]) -> None:
    said, _ = shown
    assert "spoiled-digits.csv  1,797 rows, 65 features, classification of target" in said
    assert said.count("train_loss") > 5, "one was watched"
    (together,) = re.findall(r"✓ 25 networks trained, up to (\d+) of them together as one stack", said)
    assert int(together) >= 10
    assert said.count("⠉") > 20, "two curves were drawn over each other"


def test_regularization_matters_on_test_rows(shown: tuple[str, Path]) -> None:
    """By what the table says: each step is there, and nothing is far worse than everything."""
    rows = re.findall(r"^  (\S.*?) +(?:● )?(\d+\.\d) ± (\d+\.\d) %", shown[0], re.M)
    accuracy = {name: float(mean) for name, mean, _ in rows}
    assert list(accuracy) == list(RECIPES)
    assert accuracy["nothing"] < 75 < 85 < accuracy["+ batch norm"]
    assert f"{accuracy['+ batch norm']:.1f}% are right with all of it" in " ".join(shown[0].split())
    assert shown[0].count("●") >= 3, "the best accuracy and the best loss are marked, and what the mark means"


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


def result(accuracy: float, *, train: float = 0.9, loss: float = 0.5, epoch: int = 7) -> dict[str, Any]:
    return {
        "test": {"accuracy": accuracy, "loss": loss},
        "train": {"accuracy": train},
        "generalization_gap": 0.1,
        "restored_epoch": epoch,
    }


def results(*accuracies: tuple[float, ...], **more: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [result(each, **more) for each in found]
        for name, found in zip(RECIPES, accuracies, strict=True)
    }


ONE = (0.7, 0.72)
SAME = [ONE] * len(RECIPES)


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        (
            [ONE, (0.8, 0.8), (0.9, 0.9), (0.9, 0.9), (0.91, 0.91)],
            "91.0% are right with all of it and 71.0% without",
        ),
        ([ONE, (0.8, 0.8), (0.9, 0.9), (0.9, 0.9), (0.91, 0.91)], "20.0 points more"),
        (
            [ONE, (0.8, 0.8), (0.9, 0.9), (0.9, 0.9), (0.91, 0.91)],
            "The largest step was dropout (+10.0 points).",
        ),
        ([ONE, ONE, ONE, ONE, (0.5, 0.52)], "20.0 points fewer"),
        ([ONE, ONE, ONE, ONE, (0.5, 0.52)], "No step by itself raised it."),
        (SAME, "a difference that may be the seeds' luck"),
        ([(0.6, 0.8), ONE, ONE, ONE, (0.7, 0.9)], "a difference that may be the seeds' luck"),
    ],
)
def test_its_words_follow_the_numbers(accuracies: list[tuple[float, ...]], words: str) -> None:
    said = conclusion(results(*accuracies, train=0.994), wrong_share=0.36)
    assert words in said
    assert said.startswith("Of the labels to train on, 36% are wrong.")
    assert "99.4% of these rows" in said


def test_the_best_cell_is_marked_whichever_it_is() -> None:
    found = results((0.9, 0.9), *SAME[1:], loss=0.5)
    found["early stopping"] = [result(0.7, loss=0.2)]
    text = console_text(found)
    marked = [line.split("±")[0].rstrip() for line in text.splitlines() if "●" in line]
    assert [re.sub(r" +", " ", line).strip() for line in marked] == ["nothing ● 90.0", "early stopping 70.0"]
    assert "● 0.20 ± 0.00" in text


def console_text(found: dict[str, list[dict[str, Any]]]) -> str:
    console = Console(width=100, record=True, file=StringIO())
    console.print(comparison(found))
    return console.export_text()


def test_a_table_is_no_wider_than_a_terminal() -> None:
    assert max(len(line.rstrip()) for line in console_text(results(*SAME)).splitlines()) <= 78


def test_only_labels_that_training_may_see_are_spoiled(tmp_path: Path) -> None:
    with (tmp_path / "clean.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["x", "target"], *([row, row % 10] for row in range(1000))])
    spoiled = spoil(tmp_path / "clean.csv", tmp_path / "spoiled.csv")
    with (tmp_path / "spoiled.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["x"] for row in rows] == [str(number) for number in range(1000)]
    assert spoiled.rows == {"train": 600, "validation": 200, "test": 200}
    wrong = Counter(row["split"] for row in rows if row["target"] != str(int(row["x"]) % 10))
    assert spoiled.wrong == {"train": wrong["train"], "validation": wrong["validation"], "test": 0}
    # Two in five are dealt out anew, and of ten classes one in ten comes back to where it was.
    assert 0.3 < spoiled.wrong_share < 0.4
    assert 0.3 < spoiled.wrong["validation"] / 200 < 0.4
    assert Counter(row["target"] for row in rows) == {str(label): 100 for label in range(10)}
