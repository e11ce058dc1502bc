"""The servers that the tests start for themselves: real, private, and gone with whoever started them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from kombu import Connection

from tests import servers

ROOT = Path(__file__).parents[1]

_START_ALL_AND_WAIT = """
import sys, time
from tests import servers
with servers.postgres() as database, servers.valkey() as broker:
    print(database, broker, sep="\\n", flush=True)
    time.sleep(600)
"""


def _answers(database: str, broker: str) -> tuple[bool, bool]:
    try:
        psycopg.connect(database).close()
        first = True
    except psycopg.OperationalError:
        first = False
    with Connection(broker) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0)
            second = True
        except Exception:
            second = False
    return first, second


def test_they_answer(postgres_url: str, broker_server: str) -> None:
    assert _answers(postgres_url, broker_server) == (True, True)


def _folder_of(url: str) -> Path:
    """Where a server lives, from its URL: the folder that its starter could not remove."""
    address = unquote(url.partition("?host=")[2] or urlsplit(url).path)
    return Path(address) if Path(address).is_dir() else Path(address).parent


if sys.platform == "linux":  # Elsewhere nothing tells a process of its parent's death.

    def test_they_die_with_whoever_started_them() -> None:
        starter = subprocess.Popen(
            [sys.executable, "-c", _START_ALL_AND_WAIT], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert starter.stdout is not None
        database, broker = (starter.stdout.readline().strip() for _ in range(2))
        assert _answers(database, broker) == (True, True)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
        starter.stdout.close()
        deadline = time.monotonic() + 15
        while _answers(database, broker) != (False, False):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for url in (database, broker):
            shutil.rmtree(_folder_of(url))


def test_one_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such option')"]

    def ready() -> None:
        raise ConnectionRefusedError

    with (
        pytest.raises(servers.ServerFailed, match="no such option"),
        servers.running(command, tmp_path, ready, 0, 0, signal.SIGTERM),
    ):
        pytest.fail("it started")
