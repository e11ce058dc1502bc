"""What people see says what the server said, and nothing that a stranger typed can steer a terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType

from cli import views
from cli.client import RefusedError, UnreachableError
from cli.leaderboards import jobs_table
from tests.cli import answers


def seen(picture: RenderableType) -> str:
    console = Console(width=160, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(picture)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.08712, "0.0871"),
        (0, "0.0000"),
        (12.3456, "12.3456"),
        (0.00095, "9.5e-4"),
        (1.5e10, "1.5e10"),
        (math.nan, "–"),
        (None, "–"),
        (True, "–"),
    ],
)
def test_numbers_as_people_read_them(value: object, shown: str) -> None:
    assert views.number(value) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-22T11:59:30Z", "30 s ago"),
        ("2026-11-22T11:30:00+00:00", "30 min ago"),
        ("2026-11-22T07:00:00Z", "5 h ago"),
        ("2026-11-20T12:00:00Z", "2 d ago"),
        ("2026-11-22T12:00:01Z", "0 s ago"),
    ],
)
def test_moments_as_people_read_them(moment: str, shown: str) -> None:
    assert views.ago(moment, datetime(2026, 11, 22, 12, tzinfo=UTC)) == shown


def test_an_outcome_says_why_it_ended_and_how_well() -> None:
    said = seen(views.outcome(answers.job()))
    assert said.splitlines()[0] == (
        "✓ digits succeeded after 1.9 s: val_loss has not improved for 3 epochs since epoch 14"
    )
    assert "validation   0.0600     0.9800" in said
    assert "test" not in said, "there were no test rows"
    assert "best epoch 14 of 17 · 17,226 parameters · generalization gap 0.0500" in said


def test_an_outcome_without_a_result_tells_the_error() -> None:
    failed = {"status": "failed", "stop_reason": "data_error", "stop_detail": None, "result": None}
    said = seen(views.outcome(answers.job(**failed, error={"detail": "the dataset is gone"})))
    assert said == "✗ digits failed after 1.9 s: the dataset is gone"


def test_warnings_are_shown_with_their_place() -> None:
    warning = {"pointer": "/regularization/batch_norm", "detail": "batches are small"}
    assert "! /regularization/batch_norm: batches are small" in seen(
        views.outcome(answers.job(warnings=[warning]))
    )


def test_the_full_spec_leaves_out_what_says_nothing() -> None:
    said = seen(views.job(answers.job()))
    assert "hidden: [128, 64]" in said
    assert "metadata" not in said
    assert "null" not in said


def test_names_are_neither_markup_nor_commands_for_the_terminal() -> None:
    nasty = "[red]x[/red]\x1b[2J\nsecond\u202e"
    for picture in (
        views.outcome(answers.job(name=nasty)),
        jobs_table([answers.job(name=nasty)]),
        views.datasets_table([answers.dataset(name=nasty)]),
        views.dataset_summary(answers.dataset(notes=[nasty])),
        views.workers_table([answers.worker(host=nasty)]),
        views.trouble(RefusedError(422, {"detail": nasty})),
    ):
        said = seen(picture)
        assert "[red]x[/red]�[2J second�" in said
        assert "\x1b" not in said


def test_a_refusal_names_each_place_and_what_to_write_instead() -> None:
    complaints = [
        {"pointer": "/network/hiden", "detail": "there is no field 'hiden'", "suggestion": "hidden"}
    ]
    error = RefusedError(422, {"title": "The request is wrong", "detail": "…", "errors": complaints})
    assert seen(views.trouble(error)).splitlines() == [
        "✗ The request is wrong",
        "  /network/hiden  there is no field 'hiden'",
        "    → hidden",
    ]


def test_a_refusal_without_places_gives_its_detail() -> None:
    assert seen(views.trouble(RefusedError(404, {"title": "Not found", "detail": "no job"}))) == "✗ no job"


def test_a_failing_server_is_named_with_the_request() -> None:
    said = seen(views.trouble(RefusedError(500, {"detail": "it broke", "request_id": "req_7"})))
    assert "req_7" in said


def test_a_server_that_is_away_is_told_with_the_way_out() -> None:
    said = seen(views.trouble(UnreachableError("http://127.0.0.1:8000", "refused")))
    assert "no answer from http://127.0.0.1:8000 (refused)" in said
    assert "ridgeline up" in said


def test_a_dataset_is_told_with_what_was_made_of_it() -> None:
    said = seen(views.dataset_summary(answers.dataset()))
    for part in (
        "wine.csv  1,780 rows, 13 features, classification of kind",
        "holds text",
        "is a date",
        "ds_1",
    ):
        assert part in said


def test_the_catalog_names_everything_by_kind() -> None:
    entries = [{"name": "l1", "summary": "Lasso\n penalty", "good_for": "few columns matter"}]
    said = seen(views.catalog({"techniques": entries, "spec": {"type": "object"}}))
    assert said.splitlines() == ["techniques", "  l1  Lasso penalty", "      few columns matter"]


def test_a_validation_tells_the_cost() -> None:
    cost = {
        "parameters": 17610,
        "features": 64,
        "steps": 5016,
        "operations": 2.2e10,
        "memory_bytes": 14 * 2**20,
    }
    said = seen(views.validation({"cost": cost, "warnings": [], "spec": {"dataset": "digits"}}))
    for part in ("17,610", "5,016", "14 MiB", "dataset: digits"):
        assert part in said


def test_workers_say_what_they_are_at_and_whose_job_is_not_ours() -> None:
    busy = {"state": "busy", "job_id": "job_7"}
    table = views.workers_table([answers.worker(), answers.worker(**busy), answers.worker(state="busy")])
    idle, ours, others = seen(table).splitlines()[-3:]
    assert "idle" in idle
    assert "job_" not in idle
    assert "job_7" in ours
    assert "of another project" in others
    words = ("worker_1", "gpu, cpu", "cuda:0 NVIDIA H200", "machine", "0.1.0", "2 s ago")
    assert all(word in idle for word in words)


def test_what_is_wrong_with_a_worker_is_seen() -> None:
    wrong = answers.worker(device="cpu", device_name=None, problem="it takes no jobs that ask for a GPU")
    assert "it takes no jobs that ask for a GPU" in " ".join(seen(views.workers_table([wrong])).split())
    older = {
        name: value for name, value in answers.worker().items() if name not in ("device_name", "problem")
    }
    assert "cuda:0" in seen(views.workers_table([older])), "a server of the version before"


@pytest.mark.parametrize(
    ("ahead", "exact", "words"),
    [
        (0, True, "gpu, the next"),
        (1, True, "gpu, 1 job before it"),
        (64, False, "gpu, 64 or more jobs before it"),
    ],
)
def test_a_job_that_waits_tells_its_place_and_whether_anybody_will_come(
    ahead: int, exact: bool, words: str
) -> None:
    waiting = {
        "queue": "gpu",
        "ahead": ahead,
        "ahead_is_exact": exact,
        "workers": 0,
        "notice": "none\x1b",
    }
    said = seen(views.job({**answers.job(status="queued", result=None), "waiting": waiting}))
    assert words in said
    assert "! none\ufffd" in said
