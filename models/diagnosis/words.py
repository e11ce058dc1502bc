"""Numbers as they stand in sentences."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Three significant digits: a sentence is no table."""
    return "no number" if math.isnan(value) else f"{value:.3g}"


def percent(share: float) -> str:
    """Whole percents, one decimal below ten, and from ten times on times."""
    if math.isnan(share):
        return "no number"
    if abs(share) >= 10:
        return f"{share:,.0f} times" if abs(share) < 1e6 else f"{share:.3g} times"
    return f"{share:.0%}" if abs(share) >= 0.1 else f"{share:.1%}"


def percent_of(part: float, whole: float) -> str:
    """One in percent of another."""
    return percent(part / whole) if whole else "no number"


def counted(count: int, noun: str) -> str:
    """`1 epoch`, `1,200 epochs`"""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
