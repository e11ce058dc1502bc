"""One Ridgeline on a data folder, and where it listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import occupancy
from cli.occupancy import Occupant, OccupiedError, occupant, occupy

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from cli.occupancy import occupy
with occupy(Path(sys.argv[1])) as tenancy:
    tenancy.announce("http://127.0.0.1:1234")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "PATIENCE_SECONDS", 0.2)


def test_it_tells_who_runs_and_where_for_as_long_as_it_runs(tmp_path: Path) -> None:
    assert occupant(tmp_path) is None
    with occupy(tmp_path) as tenancy:
        assert occupant(tmp_path) == Occupant(os.getpid(), None)
        tenancy.announce("http://127.0.0.1:8000")
        assert occupant(tmp_path) == Occupant(os.getpid(), "http://127.0.0.1:8000")
    assert occupant(tmp_path) is None


def test_a_second_one_is_refused_and_told_where_the_first_is(tmp_path: Path) -> None:
    with occupy(tmp_path) as tenancy:
        tenancy.announce("http://127.0.0.1:8000")
        expected = rf"already runs on .* at http://127\.0\.0\.1:8000 \(process {os.getpid()}\)"
        with pytest.raises(OccupiedError, match=expected), occupy(tmp_path):
            pass


def test_the_folder_is_free_again_when_its_tenant_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as tenant:
        assert tenant.stdout is not None
        tenant.stdout.readline()
        assert occupant(tmp_path) == Occupant(tenant.pid, "http://127.0.0.1:1234")
        tenant.kill()
        tenant.wait()
    assert occupant(tmp_path) is None
    with occupy(tmp_path):
        pass


def test_the_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    with occupy(tmp_path / "not" / "yet"):
        assert (tmp_path / "not" / "yet").is_dir()
