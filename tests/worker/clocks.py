"""A clock that goes on when a test says so, and heartbeats that can be waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from worker import heartbeat
from worker.heartbeat import Heartbeat


class Clock:
    """What a module knows as `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Take no time but the clock's."""
        self.now += seconds

    @classmethod
    def of(cls, monkeypatch: pytest.MonkeyPatch, *modules: str) -> Clock:
        """By which these modules go from now on: all that compare their times with each other."""
        clock = cls()
        for module in modules:
            monkeypatch.setattr(f"{module}.time", clock)
        return clock


def beat_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have heartbeats that begin from now on beat many times a second, so that none has to be waited for."""
    monkeypatch.setattr(heartbeat, "_LONGEST_INTERVAL", 0.02)


class Beating(Heartbeat):
    """One whose beats are counted."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self.beats = 0
        super().__init__(*given, **options)

    def _beat(self) -> None:
        super()._beat()
        self.beats += 1

    def beat_again(self) -> None:
        """Wait until a beat has ended that began after this was called."""
        wanted = self.beats + 2
        until(lambda: self.beats >= wanted)


def until(true: Callable[[], Any], seconds: float = 15.0) -> None:
    """Wait for something that must come soon."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.005)
