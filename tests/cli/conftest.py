"""A server that says what the test tells it to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import main as program
from cli.client import Client
from tests.cli.scripted import Script, scripted


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as running:
        yield running


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    with Client(script.address) as opened:
        yield opened


@pytest.fixture
def run(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run `ridgeline …` against the scripted server; gives the exit code."""
    monkeypatch.setenv("RIDGELINE_SERVER", script.address)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["ridgeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            program.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return run
