"""One panel laid out in terminal cells: the sheet with its lines and marks, and the axes around it."""

from __future__ import annotations

from dataclasses import dataclass

from api.charts.braille import ACROSS, DOWN, Sheet
from api.charts.chart import Chart, Line, Panel
from api.charts.lettering import plain
from api.charts.palette import TERMINAL_MUTED, terminal_color
from api.charts.scale import Scale, epoch_ticks

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SOLID, _DASHED = "━━", "╍╍"


@dataclass(frozen=True, slots=True)
class Plot:
    """A panel, ready to be written line by line."""

    title: str
    key: list[tuple[str, str, int]]
    """Sample of a line, its name, its colour; empty for several jobs."""
    note: str
    """What was reached, in panels whose lines need no key because the first panel has the same."""
    labels: list[str]
    """What stands left of each row of the sheet: a number where there is a round one, and the axis."""
    sheet: Sheet
    axis: str
    epochs: str


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where epochs and values lie among the dots."""

    columns: int
    rows: int
    epochs: Scale
    values: Scale

    def dot(self, epoch: float, value: float) -> tuple[int, int]:
        x = self.epochs.position(epoch) * (ACROSS * self.columns - 1)
        y = (1 - self.values.position(value)) * (DOWN * self.rows - 1)
        return round(x), round(y)

    def column(self, epoch: float) -> int:
        return self.dot(epoch, self.values.low)[0] // ACROSS

    def row(self, value: float) -> int:
        return self.dot(self.epochs.low, value)[1] // DOWN

    def shows(self, epoch: float) -> bool:
        return self.epochs.low <= epoch <= self.epochs.high


def plot_panels(chart: Chart, width: int, rows: int, *, color: bool) -> list[Plot]:
    """Lay all panels out in `width` columns with `rows` rows for their lines, epochs beneath each other.

    Dashes tell training from validation, unless colours do.
    """
    dashes = bool(chart.entries) or not color
    ticks = [panel.scale.ticks(max(3, 2 * rows // 5)) for panel in chart.panels]
    margin = 1 + max((len(label) for found in ticks for _, label in found), default=0)
    names = [_end_name(chart, line) for panel in chart.panels for line in panel.lines]
    beside = 2 + max((len(name) for name in names), default=0)
    columns = width - margin - 2 - beside
    plots = []
    for panel, found in zip(chart.panels, ticks, strict=True):
        grid = _Grid(columns, rows, chart.epochs, panel.scale)
        plots.append(
            Plot(
                title=panel.title + (" (log scale)" if panel.scale.log else ""),
                key=_key(chart, panel, dashes=dashes),
                note=panel.reading if panel is not chart.panels[0] and panel.pair else "",
                labels=_labels(grid, found, margin),
                sheet=_sheet(chart, panel, grid, beside=beside, dashes=dashes),
                axis=_axis(chart, grid, margin),
                epochs=_epochs(grid, margin, width),
            )
        )
    return plots


def _end_name(chart: Chart, line: Line) -> str:
    if chart.entries:
        return LETTERS[line.hue % len(LETTERS)]
    split = line.series.partition("_")[0]
    return split if split in ("train", "val") else plain(line.label, 12)


def _key(chart: Chart, panel: Panel, *, dashes: bool) -> list[tuple[str, str, int]]:
    if chart.entries:
        return []
    return [
        (_DASHED if line.dashed and dashes else _SOLID, line.label, terminal_color(line.hue))
        for line in panel.lines
    ]


def _labels(grid: _Grid, ticks: list[tuple[float, str]], margin: int) -> list[str]:
    at_row = {grid.row(value): label for value, label in ticks}
    found = ((at_row.get(row, ""), "┤" if row in at_row else "│") for row in range(grid.rows))
    return [f"{label:>{margin - 1}} {stroke}" for label, stroke in found]


def _sheet(chart: Chart, panel: Panel, grid: _Grid, *, beside: int, dashes: bool) -> Sheet:
    sheet = Sheet(grid.columns + beside, grid.rows)
    # Training first, so that where lines cross the cell has the colour of validation.
    lines = sorted(panel.lines, key=lambda line: not line.dashed)
    for line in lines:
        _draw(sheet, grid, line, dashed=line.dashed and dashes)
    for line in lines:
        if line.best:
            epoch, value = line.best
            sheet.put(grid.column(epoch), grid.row(value), "●", terminal_color(line.hue))
        _name(sheet, grid, line, _end_name(chart, line))
    if chart.best_epoch is not None and grid.shows(chart.best_epoch):
        for row in range(grid.rows):
            sheet.put(grid.column(chart.best_epoch), row, "┊", TERMINAL_MUTED, behind=True)
    return sheet


def _draw(sheet: Sheet, grid: _Grid, line: Line, *, dashed: bool) -> None:
    color = terminal_color(line.hue)
    for start, end in line.strokes():
        sheet.stroke(grid.dot(*start), grid.dot(*end), color, dashed=dashed)
    for epoch, value in line.lone_points():
        sheet.put(grid.column(epoch), grid.row(value), "•", color)


def _name(sheet: Sheet, grid: _Grid, line: Line, name: str) -> None:
    """Write a line's name after its last point, on the nearest row that is free."""
    epoch, value = line.points()[-1]
    column, row = grid.column(epoch) + 2, grid.row(value)
    places = sorted(range(sheet.rows), key=lambda other: (abs(other - row), other))
    free = next((other for other in places if sheet.is_free(column, other, len(name))), row)
    for offset, character in enumerate(name):
        sheet.put(column + offset, free, character, terminal_color(line.hue))


def _axis(chart: Chart, grid: _Grid, margin: int) -> str:
    strokes = ["─"] * grid.columns
    marks: list[tuple[float | None, str]] = [(epoch, "┬") for epoch, _ in _ticks(grid)]
    ended = (chart.diverged_at, "×") if chart.diverged_at is not None else (chart.stopped_at, "■")
    for epoch, mark in [*marks, ended, (chart.best_epoch, "▲")]:
        if epoch is not None and grid.shows(epoch):
            strokes[grid.column(epoch)] = mark
    return " " * margin + "└" + "".join(strokes)


def _epochs(grid: _Grid, margin: int, width: int) -> str:
    """The numbers of epochs, centred beneath their ticks, and what they are."""
    word = "epoch"
    line = ""
    for epoch, label in _ticks(grid):
        start = margin + 1 + grid.column(epoch) - len(label) // 2
        if len(line) <= start <= width - len(word) - len(label) - 1:
            line = line.ljust(start) + label + " "
    return line.ljust(width - len(word)) + word


def _ticks(grid: _Grid) -> list[tuple[float, str]]:
    return epoch_ticks(grid.epochs, max(3, grid.columns // 10))
