"""Lists: what is asked of the server, the columns, and which job is marked as the best."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cli.exits import Exit
from cli.leaderboards import jobs_table, value_of
from tests.cli import answers
from tests.cli.scripted import Answer, Script

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
CATALOG = {"metrics": [{"name": "roc_auc", "better": "higher"}, {"name": "rmse", "better": "lower"}]}


def scored(job_id: str, value: float | None, dataset: str = "ds_1", name: str = "roc_auc") -> dict[str, Any]:
    result = {"validation": {"loss": 0.5, name: value}, "generalization_gap": 0.1, "best_epoch": 7}
    about = {"id": dataset, "name": dataset}
    return answers.job(id=job_id, name=job_id, result=result, dataset=about)


def test_a_list_is_filtered_and_sorted_by_the_server(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(CATALOG)
    script.answer(
        {"data": [scored("job_1", 0.9), scored("job_2", 0.8)], "next": None, "notices": ["Mind it."]}
    )
    asked = ("--name", "credit*", "--metadata", "team=a=b", "--sort", "-val_roc_auc", "--metric", "gap")
    assert run("jobs", *asked) == Exit.OK
    wanted = "/v1/jobs?limit=20&name=credit%2A&sort=-val_roc_auc&metadata.team=a%3Db"
    assert script.asked[1].path == wanted
    said = capsys.readouterr()
    assert "val_roc_auc" in said.out
    assert "★ 0.9000" in said.out
    assert "★ 0.8000" not in said.out
    assert "! Mind it." in said.err


def test_datasets_are_found_by_how_their_names_begin(run: Run, script: Script) -> None:
    script.answer({"data": [], "next": None})
    assert run("datasets", "--name", "credit*") == Exit.OK
    assert script.asked[0].path == "/v1/datasets?limit=50&name=credit%2A"


def test_as_json_nothing_but_the_jobs_is_asked_for(run: Run, script: Script, capsys: Captured) -> None:
    script.answer({"data": [scored("job_1", 0.9)], "next": None})
    assert run("jobs", "--metric", "val_roc_auc", "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out)[0]["id"] == "job_1"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(("--metric", "val_auc"), "did you mean val_roc_auc?"), (("--metadata", "team"), "is no KEY=VALUE")],
)
def test_what_cannot_be_meant_is_said(
    run: Run, script: Script, capsys: Captured, wrong: tuple[str, ...], words: str
) -> None:
    script.answer(CATALOG)
    assert run("jobs", *wrong) == Exit.USAGE
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_an_unknown_sort_is_for_the_server_to_refuse(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(CATALOG)
    problem = {
        "title": "No.",
        "errors": [{"pointer": "/query/sort", "detail": "unknown", "suggestion": "-x"}],
    }
    script.answer(problem, 422)
    assert run("jobs", "--sort", "-val_auc") == Exit.REFUSED
    assert "/query/sort" in capsys.readouterr().err


def drawn(jobs: list[dict[str, Any]], better: str | None, name: str = "val_roc_auc") -> str:
    console = Console(width=200, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(jobs_table(jobs, [name], {name: better}))
    return capture.get()


def starred(text: str) -> set[str]:
    return {line.split()[0] for line in text.splitlines() if "★" in line and line.startswith("job_")}


@pytest.mark.parametrize(("better", "best"), [("higher", {"job_2"}), ("lower", {"job_1"}), (None, set())])
def test_the_best_follows_the_metric_not_the_order(better: str | None, best: set[str]) -> None:
    jobs = [scored("job_1", 0.2), scored("job_2", 0.4), scored("job_3", None), answers.job(id="job_4")]
    assert starred(drawn(jobs, better)) == best


def test_each_dataset_has_its_own_best_and_one_alone_has_none() -> None:
    first = [scored("job_1", 0.2), scored("job_2", 0.4)]
    second = [scored("job_3", 0.1, "ds_2"), scored("job_4", 0.1, "ds_2")]
    text = drawn([*first, *second, scored("job_5", 0.9, "ds_3")], "higher")
    assert starred(text) == {"job_2", "job_3", "job_4"}
    assert "★ the best listed of its dataset" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("val_loss", 0.06),
        ("train_accuracy", 1.0),
        ("test_loss", None),
        ("gap", 0.05),
        ("duration", 1.9),
        ("best_epoch", 14),
        ("parameters", 17226),
    ],
)
def test_numbers_go_by_the_names_that_lists_are_sorted_by(name: str, value: float | None) -> None:
    assert value_of(answers.job(), name) == value
    assert value_of(answers.job(result=None, duration_seconds=None), name) is None


# ── edit ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("thing", "path"),
    [("job_1", "/v1/jobs/job_1"), ("ds_1", "/v1/datasets/ds_1"), ("my data", "/v1/datasets/my%20data")],
)
def test_edit_changes_a_job_or_a_dataset(
    run: Run, script: Script, capsys: Captured, thing: str, path: str
) -> None:
    about = {
        "id": "x_1",
        "name": "new",
        "metadata": {"team": "risk"},
        "notes": "see it",
        "user_notes": "see it",
    }
    script.answer(about)
    changes = (
        "--name",
        "new",
        "--notes",
        "see it",
        "--set",
        "team=risk",
        "--set",
        "year=2026",
        "--remove",
        "old",
    )
    assert run("edit", thing, *changes) == Exit.OK
    (asked,) = script.asked
    assert (asked.method, asked.path) == ("PATCH", path)
    labels = {"team": "risk", "year": 2026, "old": None}
    assert json.loads(asked.body) == {"name": "new", "notes": "see it", "metadata": labels}
    said = capsys.readouterr().out
    assert all(part in said for part in ("new", "team=risk", "see it", "x_1"))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("true", True),
        ('"5"', "5"),
        ("1e400", "1e400"),
        ("null", "null"),
        ("[1]", "[1]"),
    ],
)
def test_a_label_is_a_scalar_or_text(run: Run, script: Script, written: str, value: object) -> None:
    script.answer({"id": "job_1", "name": "a", "metadata": {}, "notes": None})
    assert run("edit", "job_1", "--set", f"k={written}") == Exit.OK
    assert json.loads(script.asked[0].body) == {"metadata": {"k": value}}


def test_notes_are_cleared_by_an_empty_text(run: Run, script: Script) -> None:
    script.answer({"id": "job_1", "name": "a", "metadata": {}, "notes": None})
    assert run("edit", "job_1", "--notes", "") == Exit.OK
    assert json.loads(script.asked[0].body) == {"notes": ""}


def test_nothing_to_change_is_no_request(run: Run, script: Script) -> None:
    assert run("edit", "job_1") == Exit.USAGE
    assert script.asked == []


def test_what_became_of_an_uploads_name_is_said(
    run: Run, script: Script, capsys: Captured, tmp_path: Any
) -> None:
    (tmp_path / "wine.csv").write_text("a,kind\n1,red\n")
    known = {**answers.dataset(), "notices": ["these bytes are already here as 'wine'"]}
    script.answers.append(Answer(json.dumps(known).encode()))
    assert run("upload", "wine.csv", "--name", "other") == Exit.OK
    assert "! these bytes are already here" in capsys.readouterr().out
