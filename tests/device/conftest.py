"""Tests on a pretended accelerator. They need a process of their own, which `tests/test_device.py` runs:

PRETENDED_DEVICE=1 python -m pytest -n 0 tests/device
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.files import Files
from store.session import Database
from store.tables import DEFAULT_PROJECT

if TYPE_CHECKING:
    from tests.worker.building import Workshop

if os.environ.get("PRETENDED_DEVICE"):
    import torch

    from tests.pretended import Accelerator

    torch.set_num_threads(1)  # as workers have
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def gpu() -> Iterator[Accelerator]:
    """A device that works, with nothing on it."""
    with Accelerator() as running:
        yield running


@pytest.fixture
def workshop(
    gpu: Accelerator, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workshop]:
    """A store, and whoever works with it, whose jobs are trained on the device."""
    from tests.pretended import DEVICE
    from tests.worker.building import Workshop
    from worker import devices

    monkeypatch.setattr(devices, "choose", lambda *_, **__: DEVICE)
    with Database(sqlite_url) as database:
        made = Workshop(database.of(DEFAULT_PROJECT), Files(str(tmp_path / "files")))
        yield made
        made.stop()
