"""What a chart shows, before anybody draws it: words, panels, lines and marks, for paper and terminals.

One job: a panel for each quantity, in it a colour for training and one for validation. Several jobs: a panel
for each quantity, in it a colour for each job. Everything in a chart is safe to draw: texts are plain and
short, values are finite and of drawable size or NaN for a gap, and lines have a bounded number of points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from api.charts.curve import LOSSES, Curve
from api.charts.lettering import number, plain
from api.charts.reading import detail, ending, judged, labels, reading, winner
from api.charts.scale import Scale, epoch_scale, scale_of
from api.charts.thinning import thin

_LARGEST, _SMALLEST = 1e100, 1e-100
_TITLE_CELLS, _LABEL_CELLS = 64, 30


@dataclass(frozen=True, slots=True)
class Line:
    """One series of one job."""

    series: str
    label: str
    epochs: list[int]
    values: list[float]
    """NaN is a gap."""
    hue: int
    """Which colour of the palette."""
    dashed: bool
    """Training beside validation."""
    best: tuple[int, float] | None
    """The best epoch and the value there, on the lines that are marked with it."""

    def points(self) -> list[tuple[int, float]]:
        """Those that are not gaps."""
        return [(epoch, value) for epoch, value in self._all() if not math.isnan(value)]

    def strokes(self) -> list[tuple[tuple[int, float], tuple[int, float]]]:
        """Neighbours to be joined by a line."""
        return [(start, end) for start, end in pairwise(self._all()) if not math.isnan(start[1] + end[1])]

    def lone_points(self) -> list[tuple[int, float]]:
        """Points between gaps, which a line would not show."""
        joined = {point for stroke in self.strokes() for point in stroke}
        return [point for point in self.points() if point not in joined]

    def _all(self) -> Iterator[tuple[int, float]]:
        return zip(self.epochs, self.values, strict=True)


@dataclass(frozen=True, slots=True)
class Panel:
    """The lines that share a vertical axis."""

    title: str
    reading: str
    """What a reader should take from it; empty for several jobs."""
    lines: list[Line]
    scale: Scale
    pair: tuple[Line, Line] | None = None
    """Training and validation of one job, with the gap between them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in the legend of several."""

    label: str
    value: str
    """Its best value."""
    detail: str
    """Where it was, and what else to know."""
    hue: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything to be drawn."""

    title: str
    summary: str
    ending: str
    """How training ended; empty while it runs, and for several jobs."""
    panels: list[Panel]
    epochs: Scale
    best_epoch: int | None = None
    stopped_at: int | None = None
    diverged_at: int | None = None
    entries: tuple[Entry, ...] = ()
    """The legend of several jobs; empty for one."""


def compose(curves: Sequence[Curve], series: Sequence[str] | None, points: int) -> Chart:
    """The chart of one job or of several; `series` chooses what is shown, by default the losses."""
    names = _shown(curves, series)
    return _one_job(curves[0], names, points) if len(curves) == 1 else _several_jobs(curves, names, points)


def _shown(curves: Sequence[Curve], series: Sequence[str] | None) -> list[str]:
    recorded = {name for curve in curves for name, values in curve.series.items() if _has_points(values)}
    losses = [name for name in ("train_loss", "val_loss") if name in recorded]
    by_default = losses if len(curves) == 1 else losses[-1:]
    return [name for name in (dict.fromkeys(series) if series else by_default) if name in recorded]


def _one_job(curve: Curve, names: list[str], points: int) -> Chart:
    drawn = _drawn(curve, names, points)
    panels = []
    for quantity, group in _by_quantity(names).items():
        lines = [_line(drawn, name, name, hue, group) for name, hue in zip(group, _hues(group), strict=True)]
        title, said = plain(quantity, _TITLE_CELLS), reading(curve, group)
        panels.append(Panel(title, said, lines, _scale(lines), _pair(lines)))
    best = [f"best epoch {curve.best_epoch:,}"] if curve.best_epoch is not None else []
    return Chart(
        title=labels([curve], _TITLE_CELLS)[0],
        summary=" · ".join([*best, panels[0].reading]) if panels else "no epochs yet",
        ending=ending(curve),
        panels=panels,
        epochs=epoch_scale(curve.epochs),
        best_epoch=curve.best_epoch,
        stopped_at=curve.stopped[0] if curve.stopped else None,
        diverged_at=curve.diverged_at(),
    )


def _several_jobs(curves: Sequence[Curve], names: list[str], points: int) -> Chart:
    drawn = [_drawn(curve, names, points) for curve in curves]
    called = labels(curves, _LABEL_CELLS)
    panels = []
    for group in _by_quantity(names).values():
        pairs = [(name, job) for name in group for job, curve in enumerate(drawn) if name in curve.series]
        lines = [_line(drawn[job], name, called[job], job, group) for name, job in pairs]
        panels.append(Panel(plain(_overlay_title(group), _TITLE_CELLS), "", lines, _scale(lines)))
    best = winner(curves, names)
    return Chart(
        title=f"{len(curves)} jobs compared",
        summary=f"best {reading(curves[best], names)} · {called[best]}" if best is not None else "",
        ending="",
        panels=panels,
        epochs=epoch_scale(epoch for curve in curves for epoch in curve.epochs[:1] + curve.epochs[-1:]),
        entries=tuple(_entry(curve, names, called[job], job) for job, curve in enumerate(curves)),
    )


def _entry(curve: Curve, names: list[str], label: str, hue: int) -> Entry:
    value = curve.value(judged(names), curve.best_epoch)
    return Entry(label, "" if value is None else number(value), detail(curve, names), hue)


def _overlay_title(group: list[str]) -> str:
    return ", ".join(f"{name} (dashed)" if _is_beside_validation(name, group) else name for name in group)


def _by_quantity(names: Iterable[str]) -> dict[str, list[str]]:
    """Series that are measured in the same unit, together; losses first."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: name not in LOSSES):
        groups.setdefault(_quantity(name), []).append(name)
    return groups


def _quantity(name: str) -> str:
    if name in LOSSES:
        return "loss"
    return "penalty" if name.startswith("penalty_") else name.removeprefix("train_").removeprefix("val_")


def _hues(group: list[str]) -> list[int]:
    """Training and validation keep their colours in every panel; others take the next ones."""
    others = [name for name in group if not name.startswith(("train_", "val_"))]
    fixed = {"train": 0, "val": 1}
    return [2 + others.index(name) if name in others else fixed[name.partition("_")[0]] for name in group]


def _is_beside_validation(name: str, group: list[str]) -> bool:
    return name.startswith("train_") and any(other.startswith("val_") for other in group)


def _drawn(curve: Curve, names: list[str], points: int) -> Curve:
    """The series that have anything to draw, in drawable numbers and few enough points."""
    series: dict[str, list[float | None]] = {}
    for name, values in curve.only(names).series.items():
        if _has_points(values):
            series[name] = [_drawable(value) for value in values]
    return thin(replace(curve, series=series), points)[0]


def _pair(lines: list[Line]) -> tuple[Line, Line] | None:
    by_split = {line.series.partition("_")[0]: line for line in lines}
    return (by_split["train"], by_split["val"]) if {"train", "val"} <= by_split.keys() else None


def _line(curve: Curve, name: str, label: str, hue: int, group: list[str]) -> Line:
    values = [math.nan if value is None else value for value in curve.series[name]]
    best = curve.best_epoch if name == judged(group) else None
    value = curve.value(name, best)
    return Line(
        series=name,
        label=plain(label, _LABEL_CELLS),
        epochs=curve.epochs,
        values=values,
        hue=hue,
        dashed=_is_beside_validation(name, group),
        best=None if best is None or value is None else (best, value),
    )


def _drawable(value: float | None) -> float:
    """A gap for what no axis can hold, zero for what no axis can tell from it."""
    if value is None or not abs(value) <= _LARGEST:
        return math.nan
    return value if abs(value) >= _SMALLEST else 0.0


def _has_points(values: Iterable[float | None]) -> bool:
    return any(value is not None and abs(value) <= _LARGEST for value in values)


def _scale(lines: Iterable[Line]) -> Scale:
    return scale_of(value for line in lines for value in line.values if math.isfinite(value))
