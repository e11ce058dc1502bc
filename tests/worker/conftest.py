"""A workshop for each test, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from store.files import Files
from store.session import Database
from tests.worker.building import Workshop

# As a worker's child does: with more threads than processors every small training crawls.
torch.set_num_threads(1)


@pytest.fixture
def workshop(database: Database, tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(database, Files(str(tmp_path / "files")))
    yield made
    made.stop()


@pytest.fixture
def small_workshop(sqlite_database: Database, tmp_path: Path) -> Iterator[Workshop]:
    """On SQLite alone, for what does not depend on the database."""
    made = Workshop(sqlite_database, Files(str(tmp_path / "files")))
    yield made
    made.stop()
