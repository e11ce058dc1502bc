"""`ridgeline webhooks …` as a user types it: what it asks the server, what it prints, how it exits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import main as program
from cli import webhooks
from cli.exits import Exit
from tests.cli.scripted import Script

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `ridgeline webhooks …` against the scripted server; gives the exit code."""
    monkeypatch.setenv("RIDGELINE_SERVER", script.address)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webhooks, "_LOOK_SECONDS", 0.01)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["ridgeline", "webhooks", *arguments])
        with pytest.raises(SystemExit) as ended:
            program.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return run


def webhook(**changes: Any) -> dict[str, Any]:
    return {
        "id": "webhook_1",
        "url": "https://hooks.example.com/x",
        "events": ["job.failed", "job.succeeded"],
        "enabled": True,
        "disabled_detail": None,
        "created_at": "2026-11-22T12:00:00Z",
        **changes,
    }


def delivery(**changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "event": "job.failed",
        "job_id": "job_1",
        "status": "pending",
        "attempts": 1,
        "response_status": None,
        "detail": None,
        "created_at": "2026-11-22T12:00:00Z",
        "links": {"self": "/v1/webhooks/webhook_1/deliveries/msg_1"},
        **changes,
    }


def listing(*rows: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"data": list(rows), "next": following}


def test_create_shows_the_secret_once(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(webhook(secret="whsec_abc"), 201)
    assert (
        run("create", "https://hooks.example.com/x", "-e", "job.failed", "--description", "ours") == Exit.OK
    )
    [asked] = script.asked
    assert (asked.method, asked.path) == ("POST", "/v1/webhooks")
    assert json.loads(asked.body) == {
        "url": "https://hooks.example.com/x",
        "events": ["job.failed"],
        "description": "ours",
    }
    assert asked.headers["Idempotency-Key"]
    said = capsys.readouterr()
    assert "whsec_abc" in said.out
    assert "webhook_1" in said.out
    assert "shown this once" in said.err


def test_create_leaves_to_the_server_what_is_not_said(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(webhook(secret="whsec_abc"), 201)
    assert run("create", "https://hooks.example.com/x", "--json") == Exit.OK
    assert json.loads(script.asked[0].body) == {"url": "https://hooks.example.com/x"}
    assert json.loads(capsys.readouterr().out)["secret"] == "whsec_abc"


def test_an_address_that_is_refused_is_explained(run: Run, script: Script, capsys: Captured) -> None:
    wrong = {
        "pointer": "/url",
        "detail": "webhooks are sent over TLS only",
        "suggestion": "https://a.example/",
    }
    script.answer({"title": "A webhook cannot lead there", "status": 422, "errors": [wrong]}, 422)
    assert run("create", "http://a.example/") == Exit.REFUSED
    said = capsys.readouterr().err
    assert "/url" in said
    assert "→ https://a.example/" in said


def test_list_says_what_is_disabled_and_why(run: Run, script: Script, capsys: Captured) -> None:
    gone = webhook(id="webhook_2", enabled=False, disabled_detail="the receiver answered 410")
    script.answer(listing(webhook(), gone))
    assert run("list") == Exit.OK
    said = capsys.readouterr().out
    assert "failed, succeeded" in said
    assert "disabled: the receiver answered 410" in said
    script.answer(listing())
    assert run("list") == Exit.OK
    assert "No webhooks." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "method", "body"),
    [
        ("delete", "DELETE", b""),
        ("enable", "PATCH", b'{"enabled":true}'),
        ("disable", "PATCH", b'{"enabled":false}'),
    ],
)
def test_verbs_that_print_a_line(
    run: Run, script: Script, capsys: Captured, verb: str, method: str, body: bytes
) -> None:
    script.answer(webhook())
    assert run(verb, "webhook_1") == Exit.OK
    [asked] = script.asked
    assert (asked.method, asked.path, asked.body.replace(b": ", b":")) == (
        method,
        "/v1/webhooks/webhook_1",
        body,
    )
    assert f"webhook_1 is {verb.rstrip('e')}ed" in capsys.readouterr().out


def test_rotate_shows_the_new_secret(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(webhook(secret="whsec_new"))
    assert run("rotate", "webhook_1") == Exit.OK
    assert (script.asked[0].path, script.asked[0].body) == ("/v1/webhooks/webhook_1/rotate", b"")
    assert "whsec_new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        ({"status": "delivered", "response_status": 204}, Exit.OK, "answered 204"),
        (
            {"status": "dead", "detail": "the connection was refused"},
            Exit.FAILED,
            "the connection was refused",
        ),
    ],
)
def test_test_waits_for_what_comes_of_it(
    run: Run, script: Script, capsys: Captured, end: dict[str, Any], code: Exit, words: str
) -> None:
    script.answer(delivery(), 202)
    script.answer(delivery())
    script.answer(delivery(**end))
    assert run("test", "webhook_1") == code
    assert [asked.method for asked in script.asked] == ["POST", "GET", "GET"]
    assert words in capsys.readouterr().out


def test_test_does_not_wait_for_ever(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(delivery(), 202)
    assert run("test", "webhook_1", "--wait", "0") == Exit.FAILED
    assert "still on its way" in capsys.readouterr().out


def test_deliveries_by_status(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(listing(delivery(status="dead", detail="the receiver answered\x1b[31m 500")))
    assert run("deliveries", "webhook_1", "--status", "dead", "--job", "job_1") == Exit.OK
    assert script.asked[0].path == "/v1/webhooks/webhook_1/deliveries?limit=20&status=dead&job=job_1"
    said = capsys.readouterr().out
    assert "the receiver answered" in said
    assert "\x1b[31m" not in said
    script.answer(listing())
    assert run("deliveries", "webhook_1") == Exit.OK
    assert "No deliveries." in capsys.readouterr().out


def test_redeliver_one_or_all_that_are_dead(run: Run, script: Script, capsys: Captured) -> None:
    script.answer(delivery(), 202)
    assert run("redeliver", "webhook_1", "msg_1") == Exit.OK
    assert script.asked.pop().path == "/v1/webhooks/webhook_1/deliveries/msg_1/redeliver"
    assert "1 will be sent again" in capsys.readouterr().out
    script.answer(listing(delivery(id="msg_2"), following="more"))
    script.answer(listing(delivery(id="msg_3")))
    for _ in range(2):
        script.answer(delivery(), 202)
    assert run("redeliver", "webhook_1", "--dead") == Exit.OK
    assert [asked.path.rpartition("deliveries")[2] for asked in script.asked if asked.method == "POST"] == [
        "/msg_2/redeliver",
        "/msg_3/redeliver",
    ]


@pytest.mark.parametrize("said", [[], ["msg_1", "--dead"]])
def test_redeliver_wants_to_know_what(run: Run, script: Script, said: list[str]) -> None:
    assert run("redeliver", "webhook_1", *said) == Exit.USAGE
    assert script.asked == []


def test_a_wrong_setting_is_said_in_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.delenv("RIDGELINE_SERVER")
    monkeypatch.setenv("RIDGELINE_WEBHOOK_RETRIES", "5s, soon")
    assert run("list") == Exit.USAGE
    said = capsys.readouterr().err
    assert said.startswith(
        "✗ RIDGELINE_WEBHOOK_RETRIES: 'soon' is no duration: write a number and s, m, h or d"
    )
    assert len(said.splitlines()) == 1
