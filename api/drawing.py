"""Stored curves in each of the forms that a client may ask for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError

from api import charts, negotiation
from api.charts import Curve
from api.charts.curve import LOSSES
from api.schemas import CurveAnswer, Marker, Sampling
from models.best import best_of, judge_of, undefined_monitors
from models.spec import JobSpec
from store.curves import Curve as StoredCurve
from store.curves import Packed
from store.jobs import Job

Format = Literal["json", "csv", "png", "svg", "txt"]

MEDIA_TYPES: Final[dict[Format, str]] = {
    "json": "application/json",
    "csv": "text/csv",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}

_PIECE_EPOCHS: Final = 1000
"""Of a curve that is written as CSV, at a time."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a chart should look; only those for a terminal heed it."""

    width: int = 80
    height: int = 24
    color: bool = False


def chosen_format(accept: str, asked: Format | None) -> Format:
    """`?format=` decides, else the Accept header."""
    if asked is not None:
        return asked
    kind = negotiation.chosen(accept, list(MEDIA_TYPES.values()))
    return next(name for name, media_type in MEDIA_TYPES.items() if media_type == kind)


def drawn(curves: Sequence[Curve], series: Sequence[str] | None, form: Format, look: Look) -> bytes:
    """Curves as pictures and text."""
    draw: dict[Format, Callable[[], str | bytes]] = {
        "png": lambda: charts.to_png(curves, series),
        "svg": lambda: charts.to_svg(curves, series),
        "txt": lambda: charts.to_text(curves, series, width=look.width, height=look.height, color=look.color),
    }
    content = draw[form]()
    return content.encode() if isinstance(content, str) else content


def csv_of(stored: Sequence[tuple[Job, Packed]]) -> bytes:
    """Curves as CSV, never thinned; of a long one only some epochs at a time become Python numbers."""
    names = list(dict.fromkeys(name for _, packed in stored for name in packed.series))
    content = io.BytesIO()
    text = io.TextIOWrapper(content, encoding="utf-8", newline="")
    charts.write_csv(text, _pieces(stored), names, with_job=len(stored) != 1)
    text.flush()
    return content.getvalue()


def _pieces(stored: Sequence[tuple[Job, Packed]]) -> Iterator[Curve]:
    for job, packed in stored:
        for first in range(0, packed.length, _PIECE_EPOCHS):
            rows = range(first, min(first + _PIECE_EPOCHS, packed.length))
            piece = packed.curve(rows)
            yield Curve(job.id, "", piece.epochs, _with_nonfinite(piece))


def thinned(job: Job, stored: Packed, most: int) -> StoredCurve:
    """A curve as plain numbers, with at most so many epochs."""
    return stored.curve(_rows(job, stored, most) if stored.length > most else None)


def _with_nonfinite(stored: StoredCurve) -> dict[str, list[float | None]]:
    """A curve's series, with NaN and infinities where they were."""
    series = {name: list(values) for name, values in stored.series.items()}
    row_of = {epoch: row for row, epoch in enumerate(stored.epochs)} if stored.nonfinite else {}
    for name, kinds in stored.nonfinite.items():
        for epoch, kind in kinds.items():
            series[name][row_of[epoch]] = float(kind)
    return series


def curve_of(job: Job, stored: StoredCurve, *, whole: bool = True) -> Curve:
    """A stored curve as the charts take it; `whole` says that it begins at the first epoch."""
    best = _best(job, stored, whole=whole)
    return Curve(job.id, job.name or "", stored.epochs, _with_nonfinite(stored), best, _stopped(job))


def _best(job: Job, stored: StoredCurve, *, whole: bool) -> int | None:
    """The epoch whose weights were kept, or would be; of a part of a running job's curve nobody can tell."""
    if job.result:
        best: int | None = job.result.get("best_epoch")
        return best
    return _best_so_far(job, stored) if whole else None


def _stopped(job: Job) -> tuple[int, str] | None:
    """The last epoch and the reason, once the job has ended."""
    return (job.epoch, job.stop_reason or job.status) if job.is_final and job.epoch else None


def _best_so_far(job: Job, stored: StoredCurve) -> int | None:
    """As the worker judges; None where the last epoch is the best, and where the series was not asked for."""
    try:
        spec = JobSpec.model_validate(job.spec)
    except ValidationError:  # no spec that could be sent today
        return None
    judge = judge_of(spec, validated=True, undefined=undefined_monitors(spec, job.warnings))
    return best_of(judge, stored.series.get(judge, ()), stored.epochs) if judge else None


def answer_of(job: Job, stored: Packed, max_points: int, *, whole: bool = True) -> CurveAnswer:
    """A curve in columns, thinned where it has more points than asked for.

    What is left out never becomes a Python number: of a long curve that would be millions.
    """
    rows = _rows(job, stored, max_points) if stored.length > max_points else None
    curve = stored.curve(rows)
    # Made of what the store says, hundreds of numbers in a row, and not looked through again one by one.
    return CurveAnswer.model_construct(
        job_id=job.id,
        epochs=curve.epochs,
        series=curve.series,
        nonfinite={name: curve.nonfinite[name] for name in curve.series if name in curve.nonfinite},
        markers=_markers(_best(job, curve, whole=whole), _stopped(job)),
        sampling=Sampling(
            method="none" if rows is None else "lttb", returned=len(curve.epochs), total=stored.length
        ),
    )


def _rows(job: Job, stored: Packed, max_points: int) -> list[int]:
    """The rows that stay. The best epoch so far is an extreme of its series, and stays as such."""
    broken = (epoch for name in LOSSES for epoch in stored.nonfinite.get(name, ()))
    notable = [job.result.get("best_epoch") if job.result else None, min(broken, default=None)]
    rows = [epoch - stored.first for epoch in notable if epoch is not None]
    within = [row for row in rows if 0 <= row < stored.length]
    return charts.kept_rows(list(stored.series.values()), stored.length, max_points, within)


def _markers(best: int | None, stopped: tuple[int, str] | None) -> list[Marker]:
    markers = [] if best is None else [Marker(epoch=best, kind="best")]
    if stopped is None:
        return markers
    epoch, reason = stopped
    return [*markers, Marker(epoch=epoch, kind="stopped", reason=reason)]
