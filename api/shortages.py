"""Disks that were lately found full, for `/readyz`."""

from __future__ import annotations

import time
from typing import Final

from store.errors import DatabaseFull, FilesFull

SHORTAGE_SECONDS: Final = 30.0
"""For so long a disk that refused a write is told of as full; one that stays so refuses the next one too."""


class FullError(Exception):
    """There is less room than is to be left alone, or a write was refused for want of it."""


class Shortages:
    """When the disk of the database, or that of the files, last refused a write."""

    def __init__(self) -> None:
        self._seen_at: dict[type[Exception], float] = {}

    def note(self, error: Exception) -> None:
        """Remember an error, if it is one of those that say so."""
        for kind in (DatabaseFull, FilesFull):
            if isinstance(error, kind):
                self._seen_at[kind] = time.monotonic()

    def check(self, kind: type[DatabaseFull] | type[FilesFull]) -> None:
        """Raise `FullError` where a write was refused a short while ago."""
        ago = time.monotonic() - self._seen_at.get(kind, float("-inf"))
        if ago < SHORTAGE_SECONDS:
            raise FullError(f"a write was refused {ago:.0f} seconds ago: the disk is full")
