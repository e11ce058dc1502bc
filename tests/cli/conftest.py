"""A server that says what the test tells it to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.client import Client
from tests.cli.scripted import Script, scripted


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as running:
        yield running


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    with Client(script.address) as opened:
        yield opened
