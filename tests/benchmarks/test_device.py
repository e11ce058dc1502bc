"""What `./run bench device` makes of its options, its parts and their processes; the whole of it on a CPU."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from benchmarks import device
from benchmarks.device import LIMITS, Options, measure_by, row
from benchmarks.on_device import __main__ as parts
from benchmarks.on_device.agreement import again, furthest, kinds
from models.spec import NetworkSpec
from tests.models.networks import TECHNIQUES


def test_options() -> None:
    assert Options.of([]) == Options(device="cuda", quick=False, seconds=450, out=None)
    words = ["--device", "cpu", "--quick", "--seconds", "60", "--out", "found.jsonl"]
    assert Options.of(words) == Options("cpu", True, 60, Path("found.jsonl"))
    with pytest.raises(SystemExit):
        Options.of(["--devices", "cpu"])


def test_every_part_is_a_function_and_has_a_row() -> None:
    assert LIMITS.keys() == device._ROWS.keys() == parts.PARTS.keys() - {"one_of_a_crowd"}
    assert all(callable(parts.part(name)) for name in parts.PARTS)
    assert sum(LIMITS.values()) <= device.SECONDS


def answers(code: str, seconds: float = 20) -> list[device.Found]:
    return device._answers("alike", [sys.executable, "-c", code], seconds)


def test_what_a_part_found_before_it_broke_counts() -> None:
    found = answers(
        "print('{\"what\": 1}', flush=True); print('[]'); print('{\"half'); raise ValueError('why')"
    )
    assert found == [
        {"part": "alike", "what": 1},
        {"part": "alike", "error": "ended with 1: ValueError: why"},
    ]
    assert answers("import os; print('{}', flush=True); os.abort()")[-1]["error"].startswith("ended with -6")


def test_a_part_that_hangs_is_killed_with_what_it_has_started() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    start = time.monotonic()
    assert answers(child, 0.5) == [{"part": "alike", "error": "killed after 0 s"}]
    assert time.monotonic() - start < 10


def test_a_part_for_which_no_time_is_left_is_not_begun(tmp_path: Path) -> None:
    rows = list(measure_by(["--device", "cpu", "--seconds", "0", "--out", str(tmp_path / "found")]))
    assert rows[0].ours == "not begun: the time is up"
    assert not rows[0].met
    (line,) = (tmp_path / "found").read_text().splitlines()
    assert json.loads(line) == {"part": "about", "error": "not begun: the time is up"}


def test_rows() -> None:
    alike = row({"part": "alike", "what": "gelu", "furthest": 3e-4, "where": "val_loss", "most": 0.02})
    assert (alike.what, alike.ours, alike.met) == ("gelu: against the CPU", "3.0e-04", True)
    assert not row({"part": "alike", "what": "", "furthest": float("inf"), "where": "", "most": 1}).met
    twice = {"part": "again", "what": "twice", "bits_equal": False, "furthest": 1e-9}
    assert not row({**twice, "most": None}).met
    assert row({**twice, "most": 1e-3}).met
    crowd = {"part": "crowd", "what": "W3", "members": 16, "alone": 100.0, "together": [50.0, 75.0]}
    assert row(crowd).ratio == "1.25×"
    broken = row({"part": "speed", "what": "W2", "members": 16, "error": "OutOfMemoryError: no"})
    assert (broken.what, broken.ours, broken.met) == ("speed W2 16", "OutOfMemoryError: no", False)


def test_what_is_furthest_apart() -> None:
    one = [[{"loss": 1.0, "auc": float("nan")}], [{"loss": 3.0}, {"loss": 2.0}]]
    assert furthest(one, one) == (0.0, "")
    assert furthest(one, [one[0], [{"loss": 3.0}, {"loss": 2.3}]])[0] == pytest.approx(0.3 / 3.3)
    for other in ([one[0], one[1][:1]], [[{"loss": float("nan"), "auc": float("nan")}], one[1]]):
        assert furthest(one, other)[0] == float("inf")
        assert furthest(other, one)[0] == float("inf")


def test_every_activation_and_technique_is_compared() -> None:
    names = " ".join(name for name, *_ in kinds())
    activations = NetworkSpec.model_fields["activation"].annotation.__args__  # type: ignore[union-attr]
    assert all(word in names for word in (*activations, *TECHNIQUES, "FISTA", "sgd", "adamw"))


def test_what_a_part_finds_has_a_row() -> None:
    rows = [row({"part": "again", **found}) for found in again("cpu", True)]
    assert [(each.ours, each.met) for each in rows] == [("the same bits", True)] * 3


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_whole_of_it_on_a_cpu() -> None:
    rows = list(measure_by(["--device", "cpu", "--quick"]))
    assert all(each.met is not False for each in rows), rows
    assert len(rows) >= 15
