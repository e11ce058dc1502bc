"""Colours that people with any colour vision can tell apart: Okabe & Ito (2008), tuned for each ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture."""

    paper: str
    ink: str
    muted: str
    """For what matters less than the lines: axis labels, notes."""
    grid: str
    alarm: str
    hues: tuple[str, ...]
    """Training, validation, and others; or the jobs, in order."""
    ramp: tuple[float, float]
    """The part of viridis that is legible on the paper, for more jobs than there are hues."""


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        paper="#ffffff",
        ink="#1c2128",
        muted="#636c76",
        grid="#e6e9ed",
        alarm="#b3261e",
        hues=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#5f6670"),
        ramp=(0.0, 0.88),
    ),
    "dark": Theme(
        paper="#0f1419",
        ink="#e8ebee",
        muted="#9aa4ae",
        grid="#252c34",
        alarm="#ff8a80",
        hues=("#56b4e9", "#f08a3c", "#2fc296", "#e59ac4", "#f0e442", "#9ad0f5", "#b79bd8", "#b4bac1"),
        ramp=(0.25, 1.0),
    ),
}

TERMINAL = (33, 166, 36, 169, 172, 38, 97, 244)
"""The same hues among a terminal's 256 colours, chosen to be legible on black and on white."""
TERMINAL_MUTED = 244


def terminal_color(hue: int) -> int:
    """The number of a hue among a terminal's 256 colours."""
    return TERMINAL[hue % len(TERMINAL)]
