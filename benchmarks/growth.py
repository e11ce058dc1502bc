"""How time and memory grow: over members, rows, columns, epochs and jobs stored, each with its exponent.

Every point is measured in a process of its own. The exponent is the slope of a straight line through the
logarithms: 1 is proportional, and less than 1 means that something constant weighs in. The table and the
plot are written into docs/.
"""

from __future__ import annotations

import re
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks import ours, peaks
from benchmarks.errands import ROOT, Errand
from benchmarks.jobs import iris, run, through
from benchmarks.measuring import Row, seconds
from benchmarks.peaks import MEGABYTE
from benchmarks.workloads import W3
from models.datasets import bundled
from models.defaults import complete
from models.preprocessing import prepare
from models.spec import JobSpec
from models.training import Training
from store.session import Database
from store.tables import jobs
from tests.chaos.load import api_of
from tests.models.building import table
from tests.stacks import Stack, embedded

PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "growth.svg"
MARK = re.compile(r"(<!-- growth[^>]*-->\n).*?(<!-- end of growth -->)", re.S)
POINTS: Mapping[str, Sequence[int]] = {
    "members": (1, 4, 16, 64, 256),
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "columns": (10, 100, 1_000, 5_000),
    "epochs": (10, 100, 1_000, 5_000),
}
STORED = (100, 1_000, 10_000, 100_000)
MEANS = {
    "members": "W3, 5 epochs, stacks of at most 64: training",
    "rows": "20 columns, 64 hidden units, batch 256, one epoch: preparing and training",
    "columns": "1,000 rows, 64 hidden units, batch 32, one epoch: preparing and training",
    "epochs": "iris, 16 hidden units: training",
    "jobs stored": "submitting one, and the API's memory",
}
ASKED = 50
"""Submits that are timed at each number of jobs stored."""


@dataclass(frozen=True)
class Point:
    """What it took at one size."""

    size: int
    seconds: float
    megabytes: float


def measure() -> Iterator[Row]:
    """What is known so far is written after each axis: the later ones take minutes."""
    axes: dict[str, list[Point]] = {}
    for axis in (*POINTS, "jobs stored"):
        axes[axis] = [_point(axis, size) for size in POINTS[axis]] if axis in POINTS else _stored()
        _draw(axes)
        _write(axes)
        yield _row(axis, axes[axis])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the logarithms' least-squares line: values grow like size to this power."""
    return round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 6) + 0.0  # And no −0.


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────


def _point(axis: str, size: int) -> Point:
    with Errand("benchmarks.growth:taken", axis=axis, size=size) as errand:
        spent, taken = errand.ask()
    return Point(size, spent, taken / MEGABYTE)


def taken(axis: str, size: int) -> Callable[[Any], tuple[float, int]]:
    """Seconds, and bytes over what the process had when it had trained something small."""
    work = {"members": _members, "rows": _rows, "columns": _columns, "epochs": _epochs}[axis]
    ours.together(ours.variants(W3, 2), 2, 0)
    act = work(size)

    def measured(_: Any) -> tuple[float, int]:
        peaks.give_back_what_is_free()
        before = peaks.resident()
        peaks.forget_peak()
        return seconds(act), max(peaks.peak() - before, 1)

    return measured


def _members(size: int) -> Callable[[], object]:
    return lambda: ours.trained(ours.variants(W3, size), 5, 0)


def _rows(size: int) -> Callable[[], object]:
    return _synthetic(size, columns=20, batch=256)


def _columns(size: int) -> Callable[[], object]:
    return _synthetic(1_000, columns=size, batch=32)


def _synthetic(rows: int, *, columns: int, batch: int) -> Callable[[], object]:
    """Normal columns and a class that some of them tell."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((rows, columns))
    data = table(x, (x[:, :5].sum(1) > 0).astype(int))
    settings = replace(W3, hidden=(64,), rates=(0.3,), batch=batch).settings(1, 0)

    def act() -> None:
        spec = complete(JobSpec.model_validate(settings), data.description).spec
        _iterate(Training(spec, prepare(spec, data)))

    return act


def _epochs(size: int) -> Callable[[], object]:
    data = bundled("iris")
    spec = complete(JobSpec.model_validate(iris(size)), data.description).spec
    prepared = prepare(spec, data)
    return lambda: _iterate(Training(spec, prepared))


def _iterate(training: Training) -> None:
    for _ in training:
        pass


# ── jobs stored ─────────────────────────────────────────────────────────────────────────────────────────────


def _stored() -> list[Point]:
    """Submits to a server with so many finished jobs."""
    points = []
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), concurrency=1) as stack:
        run(stack.client, iris(1))
        job, there = stack.client.get("/v1/jobs", limit=1)["data"][0]["id"], 1
        for size in STORED:
            _multiply(stack.settings.database, job, range(there, size))
            there = size
            points.append(Point(size, _submit(stack), api_of(stack).memory_info().rss / MEGABYTE))
    return points


def _submit(stack: Stack) -> float:
    times = []
    for _ in range(ASKED):
        times.append(seconds(lambda: stack.client.post("/v1/jobs", iris(1))))
        stack.client.get("/v1/jobs", limit=50)
    through(stack.client, [iris(1)])  # Whatever was submitted has ended.
    return statistics.median(times)


def _multiply(database_url: str, job_id: str, numbers: range) -> None:
    """Copies of a finished job, each with an id of its own."""
    with Database(database_url) as database, database.writing() as tx:
        row = dict(tx.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one())
        for start in range(numbers.start, numbers.stop, 5_000):
            portion = range(start, min(start + 5_000, numbers.stop))
            tx.execute(sa.insert(jobs), [row | {"id": f"job_{number:032x}"} for number in portion])


# ── what is said of it ──────────────────────────────────────────────────────────────────────────────────────


def _exponents(points: Sequence[Point]) -> tuple[float, float]:
    sizes = [point.size for point in points]
    return (
        exponent(sizes, [point.seconds for point in points]),
        exponent(sizes, [point.megabytes for point in points]),
    )


def _row(axis: str, points: Sequence[Point]) -> Row:
    first, last = points[0], points[-1]
    time, memory = _exponents(points)
    return Row(
        f"{axis} {first.size:,} → {last.size:,}: {MEANS[axis]}",
        f"{first.seconds:.3g} → {last.seconds:.3g} s",
        f"{first.megabytes:.3g} → {last.megabytes:.3g} MB",
        f"n^{time:.2f}, n^{memory:.2f}",
        "",
        None,
    )


def _write(axes: Mapping[str, Sequence[Point]]) -> None:
    """The table between two marks in the page."""
    lines = ["| what grows | size: time, memory | time | memory |", "| --- | --- | --- | --- |"]
    for axis, points in axes.items():
        told = "; ".join(
            f"{point.size:,}: {point.seconds:.3g} s, {point.megabytes:.3g} MB" for point in points
        )
        time, memory = _exponents(points)
        lines.append(f"| {axis} ({MEANS[axis]}) | {told} | n^{time:.2f} | n^{memory:.2f} |")
    text = "\n".join(lines)
    PAGE.write_text(MARK.sub(lambda found: f"{found[1]}{text}\n{found[2]}", PAGE.read_text()))


def _draw(axes: Mapping[str, Sequence[Point]]) -> None:
    """Time above, memory below, both scales logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 8})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        2, len(axes), figsize=(2.2 * len(axes), 4), layout="constrained", squeeze=False
    )
    for (axis, points), (above, below) in zip(axes.items(), panels.T, strict=True):
        sizes = [point.size for point in points]
        for panel, values, power in zip(
            (above, below),
            ([point.seconds for point in points], [point.megabytes for point in points]),
            _exponents(points),
            strict=True,
        ):
            panel.loglog(sizes, values, "o-", markersize=3)
            panel.minorticks_off()
            panel.set_ylim(min(values) / 3, max(values) * 3)  # So that what is level looks level.
            panel.set_title(f"n^{power:.2f}", fontsize=8)
        below.set_xlabel(axis)
    panels[0][0].set_ylabel("seconds")
    panels[1][0].set_ylabel("MB")
    figure.savefig(PLOT, metadata={"Date": None})
