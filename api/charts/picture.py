"""Curves as PNG and SVG, drawn by matplotlib's objects: no pyplot, no state shared between two requests.

The same curves give the same bytes. Matplotlib is loaded when the first picture is asked for, not before; one
picture is drawn at a time, because its font machinery was not made for several threads.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from api.charts.chart import Chart, compose
from api.charts.curve import Curve
from api.charts.palette import THEMES, Theme, ThemeName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 160
_POINTS = 700
_WIDTH, _LEFT, _RIGHT, _LEGEND = 9.0, 0.72, 0.32, 2.95
_HEADER, _PANEL_HEADER, _AXIS = 0.82, 0.5, 0.5
_FIRST, _FIRST_AT_MOST, _OTHER, _COLUMN_GAP = 3.1, 4.6, 1.75, 0.7
_drawing = threading.Lock()


def to_png(
    curves: Sequence[Curve], series: Sequence[str] | None = None, *, theme: ThemeName = "light"
) -> bytes:
    """A picture 1440 pixels wide; its height follows the number of panels and jobs."""
    chart = compose(curves, series, _POINTS)
    written = io.BytesIO()
    with _drawing:
        _draw(chart, THEMES[theme]).savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def to_svg(
    curves: Sequence[Curve], series: Sequence[str] | None = None, *, theme: ThemeName = "light"
) -> str:
    """The same picture as scalable graphics, with its words as words."""
    chart = compose(curves, series, _POINTS)
    written = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Title": chart.title}
    with _drawing:
        from api.charts.words import finished, label_unfinished

        figure = _draw(chart, THEMES[theme])
        unfinished = label_unfinished(figure)
        figure.savefig(written, format="svg", metadata=metadata)
        return finished(written.getvalue(), unfinished)


def _draw(chart: Chart, theme: Theme) -> Figure:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from api.charts.drawing import draw_header, draw_legend, draw_nothing, draw_panel

    # These two have no other door than matplotlib's settings: stable ids, and words that stay words.
    mpl.rcParams.update({"svg.hashsalt": "ridgeline", "svg.fonttype": "none"})
    height = _height(chart)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DOTS_PER_INCH, facecolor=theme.paper)
    draw_header(figure, chart, theme, left=_LEFT / _WIDTH, right=1 - _RIGHT / _WIDTH)
    if not chart.panels:
        draw_nothing(figure, theme)
    for place, panel in zip(_places(chart), chart.panels, strict=True):
        axes = _axes(figure, place, height, theme)
        draw_panel(axes, chart, panel, theme, first=panel is chart.panels[0])
    if chart.entries:
        draw_legend(
            figure,
            chart,
            theme,
            left=_WIDTH - _LEGEND + 0.2,
            top=_HEADER + _PANEL_HEADER,
            wide=_LEGEND - 0.35,
        )
    return figure


def _height(chart: Chart) -> float:
    if not chart.panels:
        return _HEADER + _PANEL_HEADER + _legend_height(chart) + 1.0
    rows = math.ceil(max(len(chart.panels) - 1, 0) / 2)
    panels = _first_height(chart) + rows * (_PANEL_HEADER + _OTHER + _AXIS) + _AXIS
    return _HEADER + _PANEL_HEADER + max(panels, _legend_height(chart)) + 0.05


def _legend_height(chart: Chart) -> float:
    from api.charts.drawing import legend_pitch

    return legend_pitch(chart) * len(chart.entries)


def _first_height(chart: Chart) -> float:
    """The first panel grows with the legend beside it, within reason."""
    return min(max(_FIRST, _legend_height(chart)), _FIRST_AT_MOST)


def _places(chart: Chart) -> Iterator[tuple[float, float, float, float]]:
    """Left, top, width and height of each panel in inches: the first one large, the others two in a row."""
    width = _WIDTH - _LEFT - (_LEGEND if chart.entries else _RIGHT)
    half = (width - _COLUMN_GAP) / 2
    top = _HEADER + _PANEL_HEADER
    others = len(chart.panels) - 1
    if chart.panels:
        yield _LEFT, top, width, _first_height(chart)
    top += _first_height(chart) + _AXIS + _PANEL_HEADER
    for index in range(others):
        row, column = divmod(index, 2)
        alone = column == 0 and index == others - 1
        left = _LEFT + column * (half + _COLUMN_GAP)
        yield left, top + row * (_OTHER + _AXIS + _PANEL_HEADER), width if alone else half, _OTHER


def _axes(figure: Figure, place: tuple[float, float, float, float], height: float, theme: Theme) -> Axes:
    left, top, width, tall = place
    axes = figure.add_axes((left / _WIDTH, 1 - (top + tall) / height, width / _WIDTH, tall / height))
    axes.set_facecolor(theme.paper)
    return axes
