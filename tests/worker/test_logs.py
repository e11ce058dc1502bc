"""Log lines: JSON, and never lost for what somebody's text holds."""

from __future__ import annotations

import json

import pytest
import structlog

from worker import logs


@pytest.mark.parametrize("text", ["plain", "Grüße", "a surrogate \ud800", "a NUL \x00"])
def test_whatever_text_holds_it_is_one_line_of_json(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger("test").warning("told", text=text)
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["text"] == text
