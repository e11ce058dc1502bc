"""Words and numbers made fit to be drawn: what others have chosen as a name becomes one plain, short line.

Names reach terminals and pictures. Control characters could steer a terminal, invisible ones could reorder
the line, piles of accents could climb over the chart: none of them gets through.
"""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
REPLACEMENT = "\ufffd"
_ACCENTS_IN_A_ROW = 2


def plain(text: str, cells: int) -> str:
    """`text` as one line of visible characters, at most `cells` terminal columns wide."""
    # Characters that take no room are bounded as well, so a prefix is enough to fill the line.
    visible = "".join(_visible(character) for character in text[: 16 * cells])
    line = " ".join(_without_piles(unicodedata.normalize("NFC", visible)).split())
    return line if width(line) <= cells else _clipped(line, cells - 1).rstrip() + ELLIPSIS


def padded(text: str, cells: int) -> str:
    """`text` with spaces after it to fill `cells` terminal columns."""
    return text + " " * (cells - width(text))


def width(text: str) -> int:
    """How many terminal columns a text takes."""
    return sum(_cells(character) for character in text)


def number(value: float) -> str:
    """A measured number as people read it: `0.0871`, `12.35`, `54,321`, `1.2e-5`."""
    size = abs(value)
    if value == 0:
        return "0"
    if 0.001 <= size < 10:
        return f"{value:.4f}"
    if 10 <= size < 1e7:
        return f"{value:,.2f}" if size < 1000 else f"{value:,.0f}"
    return _short_exponent(f"{value:.2e}")


def round_number(value: float, digits: int = 4) -> str:
    """A round number for an axis, with no more digits than it has: `0.02`, `1,000`, `1e-5`."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else _short_exponent(f"{value:.{digits}g}")


def _short_exponent(text: str) -> str:
    mantissa, letter, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if letter else text


def _visible(character: str) -> str:
    match unicodedata.category(character):
        case "Cc" | "Zl" | "Zp" | "Zs":
            return " "
        case "Cf":
            return ""
        case "Cs" | "Co" | "Cn":
            return REPLACEMENT
        case _:
            return character


def _without_piles(text: str) -> str:
    kept: list[str] = []
    pile = 0
    for character in text:
        pile = pile + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if pile <= _ACCENTS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)


def _clipped(text: str, cells: int) -> str:
    taken = 0
    for index, character in enumerate(text):
        taken += _cells(character)
        if taken > cells:
            return text[:index]
    return text


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
