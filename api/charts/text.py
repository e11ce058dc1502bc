"""Curves for a terminal: lines of Braille dots that need no colour, so that `curl …?format=txt` is useful.

Validation is drawn solid and training dashed, and every line is named where it ends; several jobs have a
letter each. Colour is added on request and never says anything that black and white would not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.charts.chart import Chart, compose
from api.charts.curve import Curve
from api.charts.lettering import plain
from api.charts.lettering import width as cells
from api.charts.palette import TERMINAL_MUTED, terminal_color
from api.charts.plot import LETTERS, Plot, plot_panels

_WIDTHS, _HEIGHTS = (40, 400), (12, 400)
_FEWEST_ROWS = 5
_AROUND_A_PLOT = 3
"""Lines of a panel that are not its plot: the title, the axis, the epochs."""


def to_text(
    curves: Sequence[Curve],
    series: Sequence[str] | None = None,
    *,
    width: int = 80,
    height: int = 24,
    color: bool = False,
) -> str:
    """A chart of at most `width` columns, and of `height` lines wherever its panels and jobs fit in them.

    Widths from 40 and heights from 12 are obeyed; what is asked beyond the bounds is brought within them.
    """
    width, height = (
        min(max(asked, low), high) for asked, (low, high) in ((width, _WIDTHS), (height, _HEIGHTS))
    )
    chart, pen = compose(curves, series, points=2 * width), _Pen(color)
    head, foot = list(_head(chart, width, pen)), list(_foot(chart, width, pen))
    spare = (height - len(head) - len(foot)) // max(1, len(chart.panels)) - _AROUND_A_PLOT
    plots = plot_panels(chart, width, max(spare, _FEWEST_ROWS), color=color)
    body = [line for plot in plots for line in _panel(plot, width, pen)]
    return "\n".join(line.rstrip() for line in [*head, *body, *foot]) + "\n"


@dataclass(frozen=True, slots=True)
class _Pen:
    """Writes in colour, or does not."""

    color: bool

    def __call__(self, text: str, color: int | None = None, *, bold: bool = False) -> str:
        codes = [code for code, on in (("1", bold), (f"38;5;{color}", color is not None)) if on]
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.color and codes and text.strip() else text


def _head(chart: Chart, width: int, pen: _Pen) -> Iterator[str]:
    yield pen(plain(chart.title, width), bold=True)
    yield from _wrapped(chart.summary, width)
    if not chart.panels:
        yield "Nothing has been recorded yet."
    yield ""


def _panel(plot: Plot, width: int, pen: _Pen) -> Iterator[str]:
    """The title with the key at its right, the rows between their axes, the epochs."""
    yield _title(plot, width, pen)
    for row, label in enumerate(plot.labels):
        yield pen(label, TERMINAL_MUTED) + _runs(plot.sheet.line(row), pen)
    yield pen(plot.axis, TERMINAL_MUTED)
    yield pen(plot.epochs, TERMINAL_MUTED)


def _title(plot: Plot, width: int, pen: _Pen) -> str:
    """The key is left out where it does not fit: lines are named where they end as well."""
    key = [(f"{sample} {name}", f"{pen(sample, color)} {name}") for sample, name, color in plot.key]
    key = [(plot.note, pen(plot.note, TERMINAL_MUTED))] if plot.note else key
    space = width - cells(plot.title) - cells("   ".join(words for words, _ in key))
    right = " " * space + "   ".join(painted for _, painted in key) if space > 2 else ""
    return pen(plot.title, bold=True) + right


def _foot(chart: Chart, width: int, pen: _Pen) -> Iterator[str]:
    marks = [f"▲ best epoch {chart.best_epoch:,}"] if chart.best_epoch is not None and chart.panels else []
    if chart.ending:
        marks.append(f"{'×' if chart.diverged_at is not None else '■'} {chart.ending}")
    yield from _wrapped("   ".join(marks), width, separator="   ")
    room = min(max((cells(entry.detail) for entry in chart.entries), default=0), width - 13)
    for index, entry in enumerate(chart.entries):
        # Names come last in their line: letters that run from right to left reorder nothing but themselves.
        letter = pen(LETTERS[index % len(LETTERS)], terminal_color(entry.hue), bold=True)
        name = plain(entry.label, width - room - 5)
        yield f"{letter}  {plain(entry.detail, room):<{room}}  {name}"


def _wrapped(text: str, width: int, separator: str = " · ") -> Iterator[str]:
    """A text broken between its parts."""
    line = ""
    for part in text.split(separator) if text else ():
        longer = line + separator + part if line else part
        if line and cells(longer) > width:
            yield line
            longer = part
        line = plain(longer, width) if cells(longer) > width else longer
    if line:
        yield line


def _runs(row: list[tuple[str, int | None]], pen: _Pen) -> str:
    """Characters, with neighbours of one colour painted together."""
    parts: list[str] = []
    start = 0
    for end in range(1, len(row) + 1):
        if end == len(row) or row[end][1] != row[start][1]:
            parts.append(pen("".join(character for character, _ in row[start:end]), row[start][1]))
            start = end
    return "".join(parts)
