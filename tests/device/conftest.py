"""Tests on a pretended accelerator. They need a process of their own, which `tests/test_device.py` runs:

PRETENDED_DEVICE=1 python -m pytest -n 0 tests/device
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

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
