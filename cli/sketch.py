"""A small learning curve for a terminal while it grows, drawn in braille dots: two by four to a character."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from rich.style import Style
from rich.text import Text

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character by row and column of the dot."""
BLANK = 0x2800
LABEL_CELLS = 8

Cells = dict[tuple[int, int], tuple[int, str]]
"""(row, column) → dots and style of a character; where lines cross, the later line gives the style."""


def sketch(lines: Mapping[str, Sequence[float]], last: int, width: int, height: int) -> Text:
    """Lines by style (`{"blue": [0.7, 0.5, …]}`, a value an epoch), on axes that end at epoch `last`."""
    finite = [value for line in lines.values() for value in line if math.isfinite(value)]
    if not finite:
        return Text("\n" * (height - 1))
    low, high = min(finite), max(finite)
    columns = width - LABEL_CELLS - 1
    cells: Cells = {}
    for style, line in lines.items():
        for x, y in _dots(line, last, low, high, columns * 2, height * 4):
            row, column = y // 4, x // 2
            bits = cells.get((row, column), (0, style))[0] | DOTS[y % 4][x % 2]
            cells[row, column] = (bits, style)
    return Text("\n").join(_row(cells, row, columns, _label(row, height, low, high)) for row in range(height))


def _dots(
    line: Sequence[float], last: int, low: float, high: float, across: int, down: int
) -> Iterator[tuple[int, int]]:
    """The dots of a line, counted from the upper left; neighbours are joined, and a gap stays a gap."""
    before: tuple[int, int] | None = None
    for index, value in enumerate(line):
        if not math.isfinite(value):
            before = None
            continue
        x = round(index / max(last - 1, len(line) - 1, 1) * (across - 1))
        y = round((high - value) / ((high - low) or 1.0) * (down - 1))
        yield from _between(before or (x, y), (x, y))
        before = (x, y)


def _between(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    (x0, y0), (x1, y1) = start, end
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    for step in range(steps + 1):
        yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)


def _label(row: int, height: int, low: float, high: float) -> str:
    value = {0: high, height - 1: low}.get(row)
    return "" if value is None else f"{value:.3g}"


def _row(cells: Cells, row: int, columns: int, label: str) -> Text:
    text = Text(f"{label:>{LABEL_CELLS}} ", style="dim", end="")
    for column in range(columns):
        bits, style = cells.get((row, column), (0, ""))
        text.append(chr(BLANK + bits) if bits else " ", Style.parse(style) + Style(dim=False))
    return text
