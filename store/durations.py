"""Durations as people write them in a setting: `5s, 30m, 2h`."""

from __future__ import annotations

import re
from typing import Final

LONGEST_SECONDS: Final = 30 * 86_400.0
MOST: Final = 50
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_ONE = re.compile(r"(?P<number>[0-9]{1,7}(?:\.[0-9]{1,3})?)(?P<unit>[smhd])")


def parse(text: str) -> tuple[float, ...]:
    """Seconds of each duration of a comma-separated list; ValueError says which cannot be read, and why."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST:
        raise ValueError(f"at most {MOST} durations, and here are {len(parts)}")
    return tuple(_seconds(part) for part in parts)


def _seconds(part: str) -> float:
    found = _ONE.fullmatch(part)
    if found is None:
        raise ValueError(
            f"{part[:40]!r} is no duration: write a number and s, m, h or d, such as `5s, 30m, 2h`"
        )
    seconds = float(found["number"]) * _UNITS[found["unit"]]
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"{part[:40]!r} is not between nothing and 30 days")
    return seconds
