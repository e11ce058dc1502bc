"""Each command as a user types it: what it asks the server, what it prints, how it exits."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cli.exits import Exit
from cli.main import COMMANDS
from cli.occupancy import occupy
from tests.cli import answers
from tests.cli.scripted import Answer, Script

Run = Callable[..., int]


def finishes(script: Script, **changes: Any) -> None:
    """The answers that a followed job takes."""
    script.answer(answers.job(status="running", result=None))
    script.stream((1, "epoch", {"epoch": 1, "values": {"val_loss": 0.5}}), (2, "end", {}))
    script.answer(answers.job(**changes))
    script.answers.append(Answer("the curve, drawn ⠉".encode(), media_type="text/plain"))
    script.answer(answers.diagnosis())


@pytest.mark.parametrize(
    ("name", "media_type"), [("a.json", "json"), ("a.yaml", "yaml"), ("a.yml", "yaml"), ("spec", "json")]
)
def test_submit_sends_the_file_as_it_stands(run: Run, script: Script, name: str, media_type: str) -> None:
    Path(name).write_text("dataset: iris")
    script.answer(answers.job(status="queued", result=None), 202)
    assert run("submit", name) == Exit.OK
    [asked] = script.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/jobs", b"dataset: iris")
    assert asked.headers["Content-Type"] == f"application/{media_type}"


@pytest.mark.parametrize(("text", "media_type"), [(' {"dataset": 1}', "json"), ("dataset: iris", "yaml")])
def test_submit_reads_standard_input(
    run: Run, script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, media_type: str
) -> None:
    (tmp_path / "typed").write_text(text)
    script.answer(answers.job(status="queued", result=None), 202)
    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        assert run("submit", "-") == Exit.OK
    assert script.asked[0].headers["Content-Type"] == f"application/{media_type}"


def test_submit_of_a_file_that_is_not_there_asks_nobody(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("submit", "nowhere.json") == Exit.USAGE
    assert "nowhere.json" in capsys.readouterr().err
    assert script.asked == []


@pytest.mark.parametrize(
    ("status", "code"), [("succeeded", Exit.OK), ("failed", Exit.FAILED), ("cancelled", Exit.CANCELLED)]
)
def test_following_a_job_exits_with_its_fate(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str], status: str, code: Exit
) -> None:
    Path("spec.json").write_text("{}")
    script.answer(answers.job(status="queued", result=None), 202)
    finishes(script, status=status)
    assert run("submit", "spec.json", "--watch") == code
    said = capsys.readouterr().out
    assert "epoch  1/50  val_loss 0.5000" in said
    assert f"digits {status} after 1.9 s" in said
    assert "the curve, drawn ⠉" in said
    assert said.splitlines()[-1] == (
        "overfitting: The gap is 28% of all there was to learn. `ridgeline diagnose job_1` says what to try."
    )


def test_a_job_that_nobody_can_judge_ends_without_a_verdict(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    finishes(script)
    script.answers.pop()
    script.answer({"title": "There is nothing to judge this job by", "status": 404}, 404)
    assert run("watch", "job_1") == Exit.OK
    assert capsys.readouterr().out.rstrip().endswith("the curve, drawn ⠉")


def test_followed_as_json_the_output_is_the_job_alone(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    finishes(script)
    assert run("watch", "job_1", "--json") == Exit.OK
    said = capsys.readouterr()
    assert json.loads(said.out) == answers.job()
    assert "epoch  1/50" in said.err


def test_ctrl_c_stops_the_watching_and_not_the_job(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    has_ended = Event()

    def interrupted() -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        has_ended.wait(20)  # The stream stays open while the user's Ctrl-C arrives.
        return Answer(status=204)

    script.answer(answers.job(status="running", result=None))
    script.by_path["/v1/jobs/job_1/events"] = interrupted
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    try:
        assert run("watch", "job_1") == Exit.INTERRUPTED
    finally:
        has_ended.set()
        signal.signal(signal.SIGINT, before)
    assert "The job goes on; `ridgeline watch job_1` follows it again." in capsys.readouterr().err
    assert [asked.method for asked in script.asked] == ["GET", "GET"], "nobody cancelled it"


READING = {
    ("jobs",): ({"data": [answers.job()], "next": None}, [answers.job()]),
    ("datasets",): ({"data": [answers.dataset()], "next": None}, [answers.dataset()]),
    ("job", "job_1"): (answers.job(), answers.job()),
    ("diagnose", "job_1"): (answers.diagnosis(), answers.diagnosis()),
    ("workers",): ({"data": [answers.worker()], "next": None}, [answers.worker()]),
    ("catalog",): ({"techniques": []}, {"techniques": []}),
}


@pytest.mark.parametrize("command", READING)
def test_reading_commands_speak_json(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    answer, expected = READING[command]
    script.answer(answer)
    assert run(*command, "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == expected


@pytest.mark.parametrize("command", READING)
def test_reading_commands_speak_to_people(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    script.answer(READING[command][0])
    assert run(*command) == Exit.OK
    said = capsys.readouterr().out
    assert said.strip()
    assert "{" not in said


def test_the_newest_job_goes_by_the_name_last(run: Run, script: Script) -> None:
    script.answer({"data": [{"id": "job_9"}], "next": None})
    script.answer(answers.job())
    assert run("cancel", "last") == Exit.OK
    assert [asked.path for asked in script.asked] == ["/v1/jobs?limit=1", "/v1/jobs/job_9/cancel"]


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "finish"])
def test_actions_are_posted(run: Run, script: Script, action: str) -> None:
    script.answer(answers.job())
    assert run(action, "job_1") == Exit.OK
    assert (script.asked[0].method, script.asked[0].path) == ("POST", f"/v1/jobs/job_1/{action}")


@pytest.mark.parametrize(("thing", "path"), [("job_1", "/v1/jobs/job_1"), ("ds_1", "/v1/datasets/ds_1")])
def test_delete_knows_jobs_from_datasets(run: Run, script: Script, thing: str, path: str) -> None:
    script.answers.append(Answer(status=204))
    assert run("delete", thing) == Exit.OK
    assert (script.asked[0].method, script.asked[0].path) == ("DELETE", path)


def test_upload_sends_the_file(run: Run, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wine.csv").write_text("a,kind\n1,red\n")
    script.answer(answers.dataset(), 201)
    assert run("upload", "wine.csv", "--target", "kind") == Exit.OK
    assert b"a,kind" in script.asked[0].body
    assert "ds_1" in capsys.readouterr().out


def test_validate_stores_nothing(run: Run, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    Path("spec.json").write_text("{}")
    cost = {"parameters": 1, "features": 1, "steps": 1, "operations": 1, "memory_bytes": 1}
    script.answer({"spec": {}, "warnings": [], "cost": cost})
    assert run("validate", "spec.json") == Exit.OK
    assert script.asked[0].path == "/v1/jobs/validate"
    assert "nothing was stored" in capsys.readouterr().out


def test_jobs_are_filtered_by_the_server(run: Run, script: Script) -> None:
    script.answer({"data": [], "next": None})
    assert run("jobs", "--status", "failed", "--dataset", "iris", "-n", "5") == Exit.OK
    assert script.asked[0].path == "/v1/jobs?limit=5&status=failed&dataset=iris"


def test_a_curve_is_written_in_the_format_of_its_file(run: Run, script: Script) -> None:
    script.answers.append(Answer(b"\x89PNG", media_type="image/png"))
    assert run("curve", "job_1", "--output", "curve.png") == Exit.OK
    assert script.asked[0].path == "/v1/jobs/job_1/curves?format=png"
    assert Path("curve.png").read_bytes() == b"\x89PNG"


def test_several_curves_are_overlaid(
    run: Run, script: Script, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    script.answers.append(Answer(b"epoch,a,b\n", media_type="text/csv"))
    assert run("curve", "job_1", "job_2", "-f", "csv", "--series", "val_loss") == Exit.OK
    assert script.asked[0].path == "/v1/curves?jobs=job_1%2Cjob_2&format=csv&series=val_loss"
    assert capfdbinary.readouterr().out == b"epoch,a,b\n"


def test_a_format_that_does_not_exist_asks_nobody(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("curve", "job_1", "--format", "gif") == Exit.USAGE
    assert "txt, png, svg, csv, json" in " ".join(capsys.readouterr().err.split())
    assert script.asked == []


def test_a_refusal_is_told_in_words(run: Run, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.answer({"detail": "there is no job 'job_1'"}, 404)
    assert run("job", "job_1") == Exit.REFUSED
    assert capsys.readouterr().err == "✗ there is no job 'job_1'\n"


def test_a_server_that_is_away_is_told_in_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("jobs", "--server", "http://127.0.0.1:9") == Exit.UNREACHABLE
    assert "no answer from http://127.0.0.1:9" in capsys.readouterr().err


def test_the_server_that_runs_here_is_found(
    run: Run, script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RIDGELINE_SERVER")
    script.answer({"data": [], "next": None})
    with occupy(tmp_path / "ridgeline-data") as tenancy:
        tenancy.announce(script.address)
        assert run("jobs") == Exit.OK
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "name", [command.__name__ for commands in COMMANDS.values() for command in commands] + ["database"]
)
def test_every_command_explains_itself(run: Run, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(name, "--help") == Exit.OK
    assert f"ridgeline {name}" in capsys.readouterr().out


def test_the_help_tells_every_exit_code(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("--help")
    said = " ".join(capsys.readouterr().out.split())
    for code in Exit:
        if code != Exit.INTERRUPTED:
            assert f" {int(code)} " in said.partition("Exit codes:")[2]


def test_the_version_is_the_installed_packages_and_asks_nobody(
    run: Run, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--version") == Exit.OK
    assert capsys.readouterr().out == f"ridgeline {version('ridgeline')}\n"
    assert script.asked == []
