"""`ridgeline keys` and `ridgeline projects` against a real server that asks for keys; `--key` everywhere."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer

from api.app import create_app
from cli import main as program
from cli.client import Client
from cli.exits import Exit
from cli.keys import _made_there
from cli.main import app
from store.settings import Settings
from tests.api.sockets import listening
from tests.cli.scripted import Answer, scripted

Run = Callable[..., int]


@pytest.fixture(scope="module")
def settings(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("keys") / "data"
    shutil.copytree(prepared_folder, folder)
    return Settings(data_dir=folder, auth="keys", auth_failures_per_minute=1000)


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    """A server, as on a machine of its own: nothing leads from the data folder to it."""
    with listening(create_app(settings)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ridgeline …` on the server's own machine; gives the exit code."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # what the server logs is not read
    monkeypatch.setenv("RIDGELINE_DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("RIDGELINE_KEY", raising=False)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["ridgeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            program.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return run


@pytest.fixture(scope="module")
def first_key(settings: Settings) -> str:
    """Made on the machine, by a program that writes into the database."""
    printed = TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setenv("RIDGELINE_DATA_DIR", str(settings.data_dir))
        patch.setattr(sys, "argv", ["ridgeline", "keys", "create", "--local", "first"])
        with pytest.raises(SystemExit) as ended:
            program.main()
    assert ended.value.code in (None, Exit.OK)
    printed.seek(0)
    return printed.read().strip()


@pytest.fixture
def first(run: Run, address: str, first_key: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first key; it and the server are in the environment from then on."""
    monkeypatch.setenv("RIDGELINE_KEY", first_key)
    monkeypatch.setenv("RIDGELINE_SERVER", address)
    return first_key


def said(run: Run, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON that a command prints."""
    assert run(*arguments, "--json") == Exit.OK
    return json.loads(capsys.readouterr().out)


def test_nobody_is_let_in_without_a_key(
    run: Run, first: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("jobs") == Exit.OK
    monkeypatch.delenv("RIDGELINE_KEY")
    assert run("jobs") == Exit.REFUSED
    told = capsys.readouterr().err
    assert "RIDGELINE_KEY" in told
    assert "ridgeline keys create --local" in told
    assert run("jobs", "--key", first) == Exit.OK


def test_what_is_no_key_is_not_sent_nor_said_again(
    run: Run, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("jobs", "--key", f"{first}x") == Exit.USAGE
    told = capsys.readouterr()
    assert first[36:] not in told.out + told.err
    assert "rl_<id>_<secret>" in told.err


def test_a_key_is_made_used_listed_and_revoked(
    run: Run, first: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "create", "dashboard", "--scope", "read", "--days", "30") == Exit.OK
    told = capsys.readouterr()
    assert re.fullmatch(r"rl_[0-9a-f]{32}_[\w-]{43}\n", told.out)
    assert told.out.strip() not in told.err
    monkeypatch.setenv("RIDGELINE_KEY", told.out.strip())
    assert run("jobs") == Exit.OK
    assert run("keys", "list") == Exit.REFUSED
    assert "the scope admin" in capsys.readouterr().err
    monkeypatch.setenv("RIDGELINE_KEY", first)
    [made] = [key for key in said(run, capsys, "keys", "list") if key["name"] == "dashboard"]
    assert made["scopes"] == ["read"]
    assert run("keys", "list") == Exit.OK
    assert "dashboard" in capsys.readouterr().out
    assert run("keys", "revoke", made["id"]) == Exit.OK
    assert run("keys", "revoke", first) == Exit.USAGE
    assert run("keys", "list") == Exit.OK
    assert "revoked" in capsys.readouterr().out


def test_a_project_is_made_filled_and_limited(
    run: Run, first: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = said(run, capsys, "projects", "create", "risk", "--open-jobs", "7")
    assert made["quotas"]["open_jobs"] == 7
    assert run("keys", "create", "risk lead", "--scope", "admin", "--project", made["id"]) == Exit.OK
    monkeypatch.setenv("RIDGELINE_KEY", capsys.readouterr().out.strip())
    assert said(run, capsys, "projects", "show")["id"] == made["id"]
    assert [each["id"] for each in said(run, capsys, "projects", "list")] == [made["id"]]
    assert run("projects", "set", made["id"], "--open-jobs", "0") == Exit.REFUSED
    monkeypatch.setenv("RIDGELINE_KEY", first)
    capsys.readouterr()
    changed = said(
        run, capsys, "projects", "set", made["id"], "--open-jobs", "default", "--stored-bytes", "0"
    )
    assert changed["own_quotas"] == {"open_jobs": None, "stored_bytes": 0, "requests_per_minute": None}
    assert run("projects", "show", made["id"]) == Exit.OK
    assert "no limit, its own" in capsys.readouterr().out
    assert run("projects", "set", made["id"], "--open-jobs", "many") == Exit.USAGE
    assert run("keys", "create", "--local", "another", "--project", "project_none") == Exit.FAILED


def test_every_command_that_asks_a_server_takes_a_key() -> None:
    asking, lacking = 0, []
    waiting = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        options = {option for parameter in command.params for option in parameter.opts}
        if "--server" in options:
            asking += 1
            lacking += [command.name] if "--key" not in options else []
    assert asking > 20
    assert lacking == []


def test_a_key_whose_telling_was_lost_is_made_again() -> None:
    """The first answer never came; its repetition has no key in it."""
    with scripted() as script, Client(script.address) as client:
        script.answer({"id": "key_1", "name": "a", "key": None}, 201)
        script.answers.append(Answer(status=204))
        script.answer({"id": "key_2", "name": "a", "key": "rl_2"}, 201)
        assert _made_there(client, "a", None, None, None)["key"] == "rl_2"
    assert [(asked.method, asked.path) for asked in script.asked] == [
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/key_1"),
        ("POST", "/v1/keys"),
    ]
