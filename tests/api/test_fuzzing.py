"""Schemathesis against a real server, with and without keys: a few cases of everything.

`./run chaos fuzz` runs many more; the seed makes either repeatable. See `tests/chaos/fuzz.py`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.chaos.fuzz import UNTHROTTLED, Served, admin_key, faults, fuzz, is_well, present, served

EXAMPLES = int(os.environ.get("RIDGELINE_TEST_FUZZ_EXAMPLES", "1"))
PHASES = ("examples", "fuzzing", "stateful")
"""Coverage takes minutes, and what is answered without a key has its own table."""
WAYS = ("key", pytest.param("off", marks=pytest.mark.long))
"""A server without keys has the same operations, each open to everybody."""


@contextmanager
def serving(prepared: Path, folder: Path, broker: str, auth: str) -> Iterator[Served]:
    shutil.copytree(prepared, folder / "data")
    with ExitStack() as running:
        server = running.enter_context(served(folder, auth=auth, broker_url=broker, **UNTHROTTLED))
        running.enter_context(present(server.settings))
        yield server


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_the_document_allows_breaks_the_server(
    way: str, prepared_folder: Path, tmp_path: Path, broker_server: str
) -> None:
    auth = "off" if way == "off" else "keys"
    with serving(prepared_folder, tmp_path, broker_server, auth) as server:
        key = admin_key(server.settings) if way == "key" else None
        done = fuzz(server, examples=EXAMPLES, seed=1, key=key, phases=PHASES)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert re.search(r"[1-9]\d* generated", done.stdout)
        assert faults(server) == []
        assert is_well(server)
