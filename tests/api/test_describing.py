"""The child that reads a stranger's file: what it is given, what it is kept from, and that it ends."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from api import describing
from api.describing import Describer
from models.errors import DatasetError
from store.settings import Settings

SECRETS = {
    "RIDGELINE_DATABASE_URL": "postgresql://me:hunter2@db/ridgeline",
    "RIDGELINE_BROKER_URL": "redis://:hunter2@broker",
    "RIDGELINE_KEY": "rl_1_hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "SOME_TOKEN": "hunter2",
    "PGPASSWORD": "hunter2",
}


def describe(settings: Settings, folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file read by a program of this test's own instead of the real one."""
    executable = folder / "python"
    (folder / "program.py").write_text(program)
    # A line that names its interpreter could not hold a path with a space.
    executable.write_text(
        f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(folder / 'program.py'))}\n"
    )
    executable.chmod(0o755)
    monkeypatch.setattr(describing.sys, "executable", str(executable))
    file = Describer(settings).file(folder / "x", filename="x", target=None, task=None, table=folder / "t")
    asyncio.run(file)


def test_the_child_inherits_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    program = f"import os, json; open({str(tmp_path / 'seen')!r}, 'w').write(json.dumps(dict(os.environ)))"
    with pytest.raises(json.JSONDecodeError):
        describe(Settings(data_dir=tmp_path), tmp_path, program, monkeypatch)
    seen = json.loads((tmp_path / "seen").read_text())
    assert "PATH" in seen
    assert not seen.keys() & SECRETS.keys()
    assert "hunter2" not in json.dumps(seen)


def test_a_child_that_talks_without_end_is_not_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "MOST_SAID", 1024**2)
    program = "import sys\nfor _ in range(40): sys.stdout.write('x' * 2**20); sys.stderr.write('y' * 2**20)"
    with pytest.raises(DatasetError, match="more memory or time"):
        describe(Settings(data_dir=tmp_path), tmp_path, program, monkeypatch)


def test_a_child_that_sleeps_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describing, "WALL_FACTOR", 0.2)
    settings = Settings(data_dir=tmp_path, describe_seconds=1)
    pid = tmp_path / "pid"
    program = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    with pytest.raises(DatasetError, match="too long"):
        describe(settings, tmp_path, program, monkeypatch)
    assert not pid.exists() or not Path(f"/proc/{pid.read_text()}").exists()


CONFINED = """
import resource, sys
limits = ["--memory-bytes=800000000", "--cpu-seconds=7", "--file-bytes=5000"]
sys.argv = ["describe", "nothing.csv", "--out=t", *limits]
from models import describe
describe._confine(describe._parser().parse_args())
for name in ("AS", "CPU", "FSIZE", "NOFILE", "CORE"):
    soft, hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name))
    print(name, soft, hard == soft)
"""


def test_the_child_cannot_take_more_than_its_share_nor_raise_it() -> None:
    done = subprocess.run([sys.executable, "-c", CONFINED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "AS 800000000 True",
        "CPU 7 True",
        "FSIZE 5000 True",
        "NOFILE 256 True",
        "CORE 0 True",
    ]


CUT_OFF = """
import ctypes, socket, sys
from models import describe
port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
told = []
class Library:
    def __init__(self, _): self.real = real(None)
    def prctl(self, *a): return self.real.prctl(*a)
    def unshare(self, flags): told.append(self.real.unshare(flags)); return told[0]
real, ctypes.CDLL = ctypes.CDLL, Library
describe._cut_off()
try:
    socket.create_connection(("127.0.0.1", port), timeout=2).close()
    print(told[0], "reachable")
except OSError:
    print(told[0], "cut off")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has networks to give away")
def test_where_the_kernel_grants_it_the_child_has_no_network() -> None:
    done = subprocess.run([sys.executable, "-c", CUT_OFF], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1)[0] != "0" or done.stdout.strip() == "0 cut off"
