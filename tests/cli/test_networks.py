"""`ridgeline predict`, `model` and `card`: what they ask, what they print, what they leave on the disk."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from tests.cli.scripted import Answer, Script

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


CLASSES: dict[str, Any] = {
    "job_id": "job_1",
    "task": "classification",
    "target": "kind",
    "classes": ["red", "blue"],
    "predictions": [
        {"label": "red", "probabilities": {"red": 0.75, "blue": 0.25}},
        {"label": None, "probabilities": {"red": None, "blue": None}, "nonfinite": {"red": "nan"}},
    ],
    "notices": [],
}
VALUES: dict[str, Any] = {
    "job_id": "job_1",
    "task": "regression",
    "target": "\x1b[31mprice",
    "classes": None,
    "predictions": [{"value": 12.5}],
    "notices": [],
}

SENT = [
    ("rows.csv", b"a,b\n1,2\n", "text/csv", b"a,b\n1,2\n"),
    ("rows.tsv", b"a\tb\n", "text/csv", b"a\tb\n"),
    ("rows.json", b'{"rows": []}', "application/json", b'{"rows": []}'),
    ("rows.json", b' [{"a": 1}]', "application/json", b'{"rows": [{"a": 1}]}'),
    ("rows", b"a,b\n", "text/csv", b"a,b\n"),
    ("rows", b'[{"a": 1}]', "application/json", b'{"rows":[{"a": 1}]}'),
]


@pytest.mark.parametrize(("name", "content", "media_type", "body"), SENT)
def test_rows_are_sent_as_they_stand(
    run: Run, script: Script, name: str, content: bytes, media_type: str, body: bytes
) -> None:
    Path(name).write_bytes(content)
    script.answer(CLASSES)
    assert run("predict", "job_1", name) == Exit.OK
    [asked] = script.asked
    assert (asked.method, asked.path) == ("POST", "/v1/jobs/job_1/predict")
    assert (asked.headers["Content-Type"], asked.headers["Accept"]) == (media_type, "application/json")
    assert asked.body.replace(b": [", b":[") == body.replace(b": [", b":[")


def test_rows_come_from_standard_input(
    run: Run, script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "typed").write_text("a,b\n1,2\n")
    script.answer(CLASSES)
    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        assert run("predict", "job_1", "-") == Exit.OK
    assert script.asked[0].headers["Content-Type"] == "text/csv"


@pytest.mark.parametrize("answer", [CLASSES, VALUES], ids=["classes", "values"])
def test_predictions_for_people_and_for_programs(
    run: Run, script: Script, capsys: Captured, answer: dict[str, Any]
) -> None:
    Path("rows.csv").write_text("a\n1\n")
    script.answer(answer)
    assert run("predict", "job_1", "rows.csv") == Exit.OK
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert ("0.7500" in said and "–" in said) if answer is CLASSES else "12.5000" in said
    script.answer(answer)
    assert run("predict", "job_1", "rows.csv", "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == answer


def test_predictions_as_csv_are_the_servers(
    run: Run, script: Script, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    Path("rows.csv").write_text("a\n1\n")
    script.answers.append(Answer(b"label\nred\n", media_type="text/csv"))
    assert run("predict", "job_1", "rows.csv", "--csv") == Exit.OK
    assert script.asked[0].headers["Accept"] == "text/csv"
    assert capfdbinary.readouterr().out == b"label\nred\n"
    assert run("predict", "job_1", "rows.csv", "--csv", "--json") == Exit.USAGE
    assert run("predict", "job_1", "nowhere.csv") == Exit.USAGE
    assert len(script.asked) == 1


NOTICE = {"pointer": "/rows/0/zip", "detail": "'2134' is no level of column 'zip' that training knew"}


def test_what_to_know_about_predictions_is_told_beside_them(
    run: Run, script: Script, capsys: Captured
) -> None:
    """On standard error, so that what is piped on stays a table."""
    Path("rows.csv").write_text("zip\n2134\n")
    script.answer(CLASSES | {"notices": [NOTICE]})
    assert run("predict", "job_1", "rows.csv") == Exit.OK
    assert "/rows/0/zip: '2134' is no level" in capsys.readouterr().err
    headers = {"Ridgeline-Notice": json.dumps(NOTICE)}
    script.answers.append(Answer(b"label\nred\n", media_type="text/csv", headers=headers))
    assert run("predict", "job_1", "rows.csv", "--csv") == Exit.OK
    assert "/rows/0/zip: '2134' is no level" in capsys.readouterr().err


def test_what_is_wrong_with_rows_is_told_in_words(run: Run, script: Script, capsys: Captured) -> None:
    Path("rows.csv").write_text("a\n1\n")
    error = {"pointer": "/rows/0/a", "detail": "the data have no column 'a'", "suggestion": "b"}
    script.answer({"title": "The rows", "detail": "x", "errors": [error]}, 422)
    assert run("predict", "job_1", "rows.csv") == Exit.REFUSED
    assert "/rows/0/a  the data have no column 'a'" in capsys.readouterr().err


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "form", "name"),
    [
        ((), "onnx", "job_1.onnx"),
        (("--format", "safetensors"), "safetensors", "job_1.safetensors"),
        (("-o", "net.safetensors"), "safetensors", "net.safetensors"),
        (("-o", "net.bin"), "onnx", "net.bin"),
    ],
)
def test_a_model_is_written(
    run: Run, script: Script, capsys: Captured, arguments: tuple[str, ...], form: str, name: str
) -> None:
    content = b"network" * 1000
    script.answers.append(tagged(content))
    assert run("model", "job_1", *arguments) == Exit.OK
    assert script.asked[0].path == f"/v1/jobs/job_1/model?format={form}"
    assert Path(name).read_bytes() == content
    assert f"{name}: 7,000 bytes" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == [name]


def tagged(content: bytes, *, of: bytes | None = None, cut: bool = False) -> Answer:
    digest = base64.b64encode(hashlib.sha256(content if of is None else of).digest()).decode()
    headers = {"Repr-Digest": f"sha-256=:{digest}:"}
    return Answer(content, media_type="application/octet-stream", cut=cut, headers=headers)


def test_what_did_not_arrive_whole_is_not_written(run: Run, script: Script, capsys: Captured) -> None:
    """Neither a part of it nor anything beside it; what was there stays."""
    Path("net.onnx").write_bytes(b"old")
    wrong = [tagged(b"part", cut=True), tagged(b"other", of=b"whole"), Answer(b"no digest")]
    for answer, code in zip(wrong, (Exit.UNREACHABLE, Exit.FAILED, Exit.FAILED), strict=True):
        script.answers.append(answer)
        assert run("model", "job_1", "-o", "net.onnx") == code
        assert Path("net.onnx").read_bytes() == b"old"
        assert [path.name for path in Path().iterdir()] == ["net.onnx"]
    script.answer({"detail": "this job is queued; its weights come when it ends"}, 404)
    assert run("model", "job_1", "-o", "net.onnx") == Exit.REFUSED
    assert "its weights come" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["net.onnx"]


def test_where_no_file_can_be_nobody_is_asked(run: Run, script: Script) -> None:
    Path("folder").mkdir()
    for place in ("folder", "nowhere/net.onnx"):
        assert run("model", "job_1", "-o", place) == Exit.USAGE
    assert run("model", "job_1", "--format", "pickle") == Exit.USAGE
    assert script.asked == []


# ── the card ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_card_is_markdown_or_json(run: Run, script: Script, capsys: Captured) -> None:
    script.answers.append(Answer(b"# Model card: flowers\n", media_type="text/markdown"))
    assert run("card", "job_1") == Exit.OK
    assert script.asked[0].path == "/v1/jobs/job_1/card?format=md"
    assert capsys.readouterr().out == "# Model card: flowers\n"
    script.answer({"job_id": "job_1"})
    assert run("card", "job_1", "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"job_id": "job_1"}
