"""Following a job: what a scene knows, what a pipe gets, what a terminal shows."""

from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console

from cli import watching
from cli.client import Client, Event
from cli.watching import Scene, watch
from tests.cli import answers
from tests.cli.scripted import Script

RUNNING = answers.job(
    status="running", stop_reason=None, result=None, progress={"epoch": 0, "max_epochs": 50}
)


def epoch(number: int, val_loss: float | None = 0.5) -> tuple[int, str, dict[str, object]]:
    return number + 1, "epoch", {"epoch": number, "values": {"train_loss": 0.4, "val_loss": val_loss}}


def event(told: tuple[int, str, dict[str, object]]) -> Event:
    return Event(*told)


def script_a_job(script: Script, epochs: int = 20) -> None:
    script.answer(RUNNING)
    script.stream(
        (1, "status", {"status": "running"}), *map(epoch, range(1, epochs + 1)), (epochs + 2, "end", {})
    )
    script.answer(answers.job())


def test_a_scene_keeps_the_losses_by_epoch() -> None:
    scene = Scene(RUNNING)
    for told in (epoch(1), epoch(2, None)):
        scene.take(event(told))
    assert scene.epoch == 2
    assert scene.curves["train_loss"] == [0.4, 0.4]
    assert scene.curves["val_loss"][0] == 0.5
    assert math.isnan(scene.curves["val_loss"][1])


def test_a_scene_forgets_what_another_attempt_measured() -> None:
    scene = Scene(RUNNING)
    for told in (epoch(1), epoch(2), (4, "rewound", {}), epoch(1, 0.9)):
        scene.take(event(told))
    assert scene.epoch == 1
    assert scene.curves["val_loss"] == [0.9]


def test_a_pipe_gets_some_ten_lines_and_the_job(script: Script, client: Client) -> None:
    script_a_job(script)
    output = io.StringIO()
    done = watch(client, "job_1", Console(file=output, width=80))
    assert done["status"] == "succeeded"
    lines = output.getvalue().splitlines()
    assert lines[0] == "digits: running"
    assert lines[1] == "  epoch  1/50  train_loss 0.4000  val_loss 0.5000"
    assert [int(line.split()[1].split("/")[0]) for line in lines[1:]] == [1, 5, 10, 15, 20]


def test_a_pipe_gets_a_line_now_and_then_of_a_slow_job(
    script: Script, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SECONDS_BETWEEN_LINES", 0.0)
    script_a_job(script, epochs=4)
    output = io.StringIO()
    watch(client, "job_1", Console(file=output, width=80))
    assert len(output.getvalue().splitlines()) == 1 + 4


def test_a_pipe_is_told_of_warnings_and_new_attempts(script: Script, client: Client) -> None:
    script.answer(RUNNING)
    script.stream(
        (1, "warning", {"detail": "small batches"}), (2, "rewound", {"detail": "again"}), (3, "end", {})
    )
    script.answer(answers.job())
    output = io.StringIO()
    watch(client, "job_1", Console(file=output, width=80))
    assert output.getvalue().splitlines()[1:] == ["  warning: small batches", "  rewound: again"]


def test_a_terminal_shows_bar_losses_and_curve_and_cleans_up(script: Script, client: Client) -> None:
    script_a_job(script)
    output = io.StringIO()
    watch(client, "job_1", Console(file=output, width=100, force_terminal=True, _environ={}))
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())
    assert "20/50" in drawn
    assert "val_loss 0.5000" in drawn
    assert "━" in drawn
    assert any(0x2800 < ord(character) < 0x2900 for character in drawn), "no curve was drawn"
    assert output.getvalue().rstrip("\r").endswith("\x1b[2K"), "the picture was left behind"


def test_a_terminal_says_what_it_waits_for(script: Script, client: Client) -> None:
    script.answer({**RUNNING, "status": "queued"})
    script.stream((1, "status", {"status": "queued"}), (2, "end", {"status": "cancelled"}))
    script.answer(answers.job(status="cancelled"))
    output = io.StringIO()
    watch(client, "job_1", Console(file=output, width=100, force_terminal=True, _environ={}))
    assert "queued, waiting for a worker" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())


def test_a_lost_connection_is_told_and_mended(script: Script, client: Client) -> None:
    script.answer(RUNNING)
    script.stream(epoch(1), cut=True)
    script.stream((3, "end", {}))
    script.answer(answers.job())
    output = io.StringIO()
    watch(client, "job_1", Console(file=output, width=80))
    assert "connection lost, trying again" in output.getvalue()


UNHEARD = {"queue": "gpu", "ahead": 12, "ahead_is_exact": True, "workers": 0, "notice": "nobody takes it"}


@pytest.mark.parametrize("is_terminal", [False, True])
def test_who_watches_a_job_that_waits_is_told_its_place_and_that_nobody_takes_it(
    script: Script, client: Client, is_terminal: bool
) -> None:
    script.answer({**answers.job(status="queued", result=None), "waiting": UNHEARD})
    script.stream((1, "status", {"status": "queued"}), (2, "end", {}))
    script.answer(answers.job())
    output = io.StringIO()
    watch(client, "job_1", Console(file=output, width=120, force_terminal=is_terminal))
    assert "waiting for a worker (gpu, 12 jobs before it)" in output.getvalue()
    assert "! nobody takes it" in output.getvalue()
