"""Putting a chart on matplotlib's axes: lines, the gap between, marks, legends. Imported only to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from api.charts.chart import Chart, Line, Panel
from api.charts.palette import Theme
from api.charts.scale import epoch_ticks
from api.charts.words import LARGE, NORMAL, SMALL, width, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE_ABOVE, _MARKS_ABOVE = 24.0, 5.0
_FEW_ENTRIES = 9


def draw_header(figure: Figure, chart: Chart, theme: Theme, *, left: float, right: float) -> None:
    """The title, and beneath it what to take from the chart and how training ended."""
    high, wide = 72 * figure.get_figheight(), 72 * figure.get_figwidth() * (right - left)
    write(figure, chart.title, left, 1 - 30 / high, color=theme.ink, size=LARGE, weight="bold", within=wide)
    color = theme.muted if chart.diverged_at is None else theme.alarm
    taken = min(width(chart.ending, NORMAL), 0.6 * wide)
    y = 1 - 48 / high
    write(figure, chart.summary, left, y, color=theme.ink, size=NORMAL, within=wide - taken - 12)
    write(figure, chart.ending, right, y, color=color, size=NORMAL, within=taken + 1, ha="right")


def draw_nothing(figure: Figure, theme: Theme) -> None:
    """What stands where panels would, before the first epoch."""
    write(figure, "Nothing has been recorded yet.", 0.5, 0.3, color=theme.muted, within=300, ha="center")


def draw_panel(axes: Axes, chart: Chart, panel: Panel, theme: Theme, *, first: bool) -> None:
    """Everything of one panel; the first one also names its colours and its marks."""
    _frame(axes, chart, panel, theme)
    _band(axes, panel, theme)
    for line in panel.lines:
        _line(axes, line, chart, theme)
    _marks(axes, chart, theme, named=first)
    _panel_header(axes, chart, panel, theme, first=first)


def draw_legend(figure: Figure, chart: Chart, theme: Theme, *, left: float, top: float, wide: float) -> None:
    """The jobs beside the panels: a stroke in the job's colour, its name, and what it reached."""
    across, high = figure.get_figwidth(), figure.get_figheight()
    style: dict[str, Any] = {"va": "center_baseline"}
    for row, entry in enumerate(chart.entries):
        y, room = 1 - (top + 0.06 + legend_pitch(chart) * row) / high, 72 * (wide - 0.32)
        x, right = (left + 0.32) / across, (left + wide) / across
        color = _hue(theme, entry.hue, chart)
        figure.add_artist(Line2D([left / across, (left + 0.22) / across], [y, y], color=color, linewidth=2.4))
        if len(chart.entries) <= _FEW_ENTRIES:
            below = y - 0.165 / high
            write(figure, entry.detail, x, below, color=theme.muted, size=SMALL - 1, within=room, **style)
        else:
            write(figure, entry.value, right, y, color=theme.muted, within=60, ha="right", **style)
            room -= width(entry.value, SMALL) + 8
        write(figure, entry.label, x, y, color=theme.ink, within=room, **style)


def legend_pitch(chart: Chart) -> float:
    """Inches from one job in the legend to the next."""
    return 0.4 if len(chart.entries) <= _FEW_ENTRIES else 0.2


def _hue(theme: Theme, index: int, chart: Chart) -> str:
    """A colour from the palette; where that is too small, from a ramp that is ordered for every eye."""
    if len(chart.entries) <= len(theme.hues):
        return theme.hues[index % len(theme.hues)]
    low, high = theme.ramp
    return to_hex(colormaps["viridis"](low + (high - low) * index / (len(chart.entries) - 1)))


def _frame(axes: Axes, chart: Chart, panel: Panel, theme: Theme) -> None:
    axes.set_yscale("log" if panel.scale.log else "linear")
    axes.set_ylim(panel.scale.low, panel.scale.high)
    air = 0.012 * (chart.epochs.high - chart.epochs.low)
    axes.set_xlim(chart.epochs.low - air, chart.epochs.high + air)
    axes.minorticks_off()
    epochs = epoch_ticks(chart.epochs, max(4, int(_points_wide(axes) / 60)))
    values = panel.scale.ticks(max(4, int(_points_high(axes) / 32)))
    axes.set_xticks([place for place, _ in epochs], [label for _, label in epochs])
    axes.set_yticks([place for place, _ in values], [label for _, label in values])
    axes.tick_params(colors=theme.muted, labelsize=SMALL, length=0, pad=5)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("epoch", color=theme.muted, size=SMALL, labelpad=2)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=theme.muted, linewidth=0.8)


def _band(axes: Axes, panel: Panel, theme: Theme) -> None:
    """Shade what lies between training and validation of one job."""
    if panel.pair:
        training, validation = panel.pair
        band: dict[str, Any] = {"color": theme.hues[1], "alpha": 0.13, "linewidth": 0}
        axes.fill_between(training.epochs, training.values, validation.values, **band)


def _line(axes: Axes, line: Line, chart: Chart, theme: Theme) -> None:
    color = _hue(theme, line.hue, chart)
    weight = (1.1 if line.dashed else 1.9) * (0.7 if len(line.epochs) > 300 else 1.0)
    dashes: Any = (0, (4, 2)) if line.dashed and chart.entries else "solid"
    axes.plot(line.epochs, line.values, color=color, linewidth=weight, linestyle=dashes)
    for epoch, value in line.lone_points():
        axes.plot([epoch], [value], color=color, marker="o", markersize=4)
    if line.best:
        size = 7.0 if len(chart.entries) <= _FEW_ENTRIES else 5.0
        dot: dict[str, Any] = {"marker": "o", "markersize": size, "markeredgecolor": theme.paper}
        axes.plot([line.best[0]], [line.best[1]], color=color, clip_on=False, zorder=5, **dot)


def _marks(axes: Axes, chart: Chart, theme: Theme, *, named: bool) -> None:
    """Where the best epoch was, where training stopped, or where it diverged; from right to left."""
    stopped_at = chart.stopped_at if chart.stopped_at != chart.best_epoch else None
    ended: Any = (stopped_at, "stopped", theme.muted, "solid")
    diverged: Any = (chart.diverged_at, "diverged", theme.alarm, "solid")
    best: Any = (chart.best_epoch, "best", theme.ink, (0, (3, 2)))
    free = _points_wide(axes)
    for epoch, word, color, dashes in (ended if chart.diverged_at is None else diverged, best):
        if epoch is None or not chart.epochs.low <= epoch <= chart.epochs.high:
            continue
        axes.axvline(epoch, color=color, linewidth=0.9, linestyle=dashes, zorder=1.5)
        if named:
            free = _mark_label(axes, f"{word} · epoch {epoch:,}", epoch, color, free) - 8


def _mark_label(axes: Axes, words: str, epoch: int, color: str, free: float) -> float:
    """Write above the mark, moved left as far as the label to its right asks; answers where it begins."""
    low, high = axes.get_xlim()
    wide, half = _points_wide(axes), width(words, SMALL) / 2
    x = max(min((epoch - low) / (high - low) * wide, free - half), half)
    y = 1 + _MARKS_ABOVE / _points_high(axes)
    write(axes, words, x / wide, y, color=color, ha="center", within=wide, transform=axes.transAxes)
    return x - half


def _panel_header(axes: Axes, chart: Chart, panel: Panel, theme: Theme, *, first: bool) -> None:
    """Left: what is measured. Right: the colours, or what was reached where those are known already."""
    y = 1 + (_TITLE_ABOVE if first else _MARKS_ABOVE + 3) / _points_high(axes)
    wide = _points_wide(axes)
    title = panel.title + (" (log scale)" if panel.scale.log else "")
    write(axes, title, 0, y, color=theme.ink, within=0.55 * wide, weight="bold", transform=axes.transAxes)
    if chart.entries:
        return
    if first or (len(panel.lines) > 1 and not panel.pair):
        _legend(axes, chart, panel, theme, y)
    elif panel.pair:
        room = wide - min(width(title, SMALL, "bold"), 0.55 * wide) - 12
        write(axes, panel.reading, 1, y, color=theme.muted, within=room, ha="right", transform=axes.transAxes)


def _legend(axes: Axes, chart: Chart, panel: Panel, theme: Theme, y: float) -> None:
    """The colours and their names in a row that ends at the right edge of the panel."""
    wide, high = _points_wide(axes), _points_high(axes)
    keys = [(line.label, _hue(theme, line.hue, chart), 2.2, 1.0) for line in panel.lines]
    keys += [("gap", theme.hues[1], 9.0, 0.2)] if panel.pair else []
    free = wide
    for label, color, thickness, alpha in reversed(keys):
        ends_here: dict[str, Any] = {"ha": "right", "transform": axes.transAxes}
        write(axes, label, free / wide, y, color=theme.ink, within=wide / 4, **ends_here)
        free -= min(width(label, SMALL), wide / 4) + 6
        style: dict[str, Any] = {"alpha": alpha, "solid_capstyle": "butt", "clip_on": False}
        stroke = Line2D([(free - 14) / wide, free / wide], [y + 3.1 / high] * 2, color=color, **style)
        stroke.set(linewidth=thickness, transform=axes.transAxes)
        axes.add_line(stroke)
        free -= 28


def _points_high(axes: Axes) -> float:
    return 72 * float(axes.bbox.height) / axes.figure.dpi


def _points_wide(axes: Axes) -> float:
    return 72 * float(axes.bbox.width) / axes.figure.dpi
