"""The tests that run on a pretended accelerator (`tests/pretended.py`), in the process that they need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sources import ROOT


def run(marked: str) -> None:
    """Their report is this test's, where one of them fails."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-m",
        marked,
        "tests/device",
    ]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=ROOT, env={**own, "PRETENDED_DEVICE": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_jobs_on_a_device() -> None:
    run("not long")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_more_jobs_on_a_device() -> None:
    run("long")
