"""`python -m api` as a process: it starts, answers, and stops in time whatever is open."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest


@pytest.fixture
def process(prepared_folder: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    shutil.copytree(prepared_folder, tmp_path / "with space")
    log = tmp_path / "api.log"
    environment = {**os.environ, "RIDGELINE_DATA_DIR": str(tmp_path / "with space"), "RIDGELINE_PORT": "0"}
    with log.open("wb") as out:
        child = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=out)
    try:
        yield child, address_of(child, log)
    finally:
        child.kill()
        child.wait()


def address_of(child: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text()):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def count_connections(process: int) -> int:
    """Clients that a server has right now."""
    return sum(each.status == psutil.CONN_ESTABLISHED for each in psutil.Process(process).net_connections())


def test_it_serves_and_stops_with_streams_and_polls_open(
    process: tuple[subprocess.Popen[bytes], str],
) -> None:
    child, address = process
    with httpx2.Client(base_url=address, timeout=30) as client:
        health = client.get("/healthz")
        assert health.status_code == 200
        assert "server" not in health.headers
        job = client.post("/v1/jobs", json={"dataset": "iris"}).json()["id"]
        headers = {"Accept": "text/event-stream"}
        with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as stream:
            lines = stream.iter_lines()
            next(lines)
            answers: list[int] = []
            waiting = threading.Thread(
                target=lambda: answers.append(
                    httpx2.get(f"{address}/v1/jobs/{job}?wait=60", timeout=30).status_code
                )
            )
            connected = count_connections(child.pid)
            waiting.start()
            while count_connections(child.pid) == connected:
                time.sleep(0.01)
            time.sleep(0.1)  # It has sent its request as soon as it was connected.
            child.send_signal(signal.SIGTERM)
            started = time.monotonic()
            list(lines)
            waiting.join(10)
            assert child.wait(10) in (0, -signal.SIGTERM)
            assert time.monotonic() - started < 4
            assert answers == [200]
