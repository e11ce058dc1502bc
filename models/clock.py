"""How long something has been going on, what was spent on it before included."""

from __future__ import annotations

import time


class Clock:
    """Stands still until it is started, and again once it is stopped."""

    def __init__(self, spent_seconds: float = 0.0) -> None:
        self._spent = spent_seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        return self._spent + (0.0 if self._since is None else time.monotonic() - self._since)

    def start(self) -> None:
        """Run; a clock that runs already goes on."""
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        self._spent, self._since = self.seconds, None

    def put_forward(self, seconds: float) -> None:
        """Show at least this much."""
        self._spent += max(seconds - self.seconds, 0.0)
