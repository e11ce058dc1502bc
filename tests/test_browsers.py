"""The browser of the tests, and what becomes of them where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import browsers
from tests.sources import ROOT


@pytest.mark.browser
def test_it_runs_scripts_and_has_what_pages_use() -> None:
    with browsers.chromium() as browser:
        page = browser.new_page()
        assert page.evaluate("typeof EventSource + typeof fetch") == "functionfunction"


def without_browsers(tmp_path: Path, *arguments: str) -> str:
    """What pytest says of one browser test and one other on a machine that has no browser."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *  # noqa\n")
    (tmp_path / "test_two.py").write_text(
        "import pytest\n"
        "from tests.browsers import chromium\n"
        "@pytest.mark.browser\n"
        "def test_page():\n    with chromium(): pass\n"
        "def test_plain(): pass\n"
    )
    own = {name: value for name, value in os.environ.items() if name != "CI"}
    nowhere = {"PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments, str(tmp_path)],
        env=own | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_without_one_its_tests_are_left_out_and_a_line_says_so(tmp_path: Path) -> None:
    said = without_browsers(tmp_path, "-n", "1")
    assert f"1 browser tests left out: {browsers.ADVICE}" in said, said
    assert "1 passed" in said, said
    assert "failed" not in said


def test_in_ci_they_stay_and_fail_and_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("CI", "true")
    for name in ("PATH", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(browsers, "executable", browsers.executable.__wrapped__)
    request.node.add_marker("browser")
    items = [request.node]
    browsers.leave_out(request.config, items)
    assert items == [request.node]
    with pytest.raises(browsers.NoBrowser, match=r"\./run browser"), browsers.chromium():
        pass


def test_the_machines_own_is_taken_before_playwrights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "google-chrome"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("google-chrome") == str(browser)
    assert browsers.executable.__wrapped__() == str(browser)
