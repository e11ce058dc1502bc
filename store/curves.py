"""The learning curve: one row for each epoch, numbered from 1 without gaps or repeats, whatever crashed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from store import nonfinite, row_sizes, stretches, usage
from store.columns import Whole, now
from store.errors import GapInCurve
from store.fences import held
from store.projects import here, own, owned
from store.session import Connection
from store.stretches import Piece
from store.tables import jobs, points
from store.tables import stretches as stretched


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at the end of one epoch."""

    epoch: int
    """From 1."""
    values: Mapping[str, float]
    """Series name → number, NaN and infinities included."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve in columns."""

    epochs: list[int] = field(default_factory=list)
    series: dict[str, list[float | None]] = field(default_factory=dict)
    """For each series a number per epoch; None where it was not finite or not measured."""
    nonfinite: dict[str, dict[int, str]] = field(default_factory=dict)
    """Series → epoch → `nan`, `inf` or `-inf`."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Epochs of a running job, to be added to its curve."""

    job_id: str
    fence: int
    epochs: Sequence[Point]
    epochs_per_second: float | None = None


def record(
    tx: Connection,
    job_id: str,
    fence: int,
    epochs: Sequence[Point],
    *,
    epochs_per_second: float | None = None,
) -> bool:
    """Add epochs to one running job's curve; False where the job is no longer yours."""
    if not epochs:
        return True
    return bool(record_all(tx, [Recording(job_id, fence, epochs, epochs_per_second)]))


def record_all(tx: Connection, recordings: Sequence[Recording]) -> set[str]:
    """Add epochs to the curves of running jobs, many at a time; answers which of the jobs are still yours.

    Repeating a call whose answer was lost is harmless: epochs already there are passed over. Epochs that
    would leave a gap raise `GapInCurve`, and nothing is written.
    """
    columns = (jobs.c.epoch, jobs.c.last_event, jobs.c.project_id)
    mine = held(tx, {one.job_id: one.fence for one in recordings}, *columns)
    progress: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for one in recordings:
        if (there := mine.get(one.job_id)) and (missing := _missing(one.epochs, there.epoch)):
            last = there.last_event + len(missing)
            told = {"last": last, "reached": missing[-1].epoch, "rate": one.epochs_per_second}
            fresh = list(_rows(one.job_id, there.last_event + 1, missing))
            progress.append({"recorded": one.job_id, **told, "grown": sum(map(_size, fresh))})
            rows.extend(fresh)
    if progress:
        tx.execute(points.insert(), rows)
        for each in progress:
            there = mine[each["recorded"]]
            each["grown"] += stretches.fill(tx, each["recorded"], there.epoch + 1, each["reached"])
            usage.charge(tx, there.project_id, stored_bytes=each["grown"])
        tx.execute(_PROGRESS, progress)
    return set(mine)


_PROGRESS = (
    jobs.update()
    .where(jobs.c.id == sa.bindparam("recorded"))
    .values(
        last_event=sa.bindparam("last"),
        epoch=sa.bindparam("reached"),
        epochs_per_second=sa.bindparam("rate"),
        progress_at=now(),
        row_bytes=jobs.c.row_bytes + sa.bindparam("grown", type_=Whole),
    )
)
"""Of a job that is held under its fence: whoever would change it meanwhile waits."""


def _missing(epochs: Sequence[Point], there: int) -> list[Point]:
    """Those of some epochs that the curve lacks, which reaches to `there`; the first of them must be next."""
    missing = [point for point in epochs if point.epoch > there]
    numbers = [point.epoch for point in missing]
    if numbers != list(range(there + 1, there + 1 + len(numbers))):
        raise GapInCurve(f"epochs must follow each other; behind epoch {there} these do not: {numbers[:10]}")
    return missing


def _rows(job_id: str, first: int, epochs: Iterable[Point]) -> Iterable[dict[str, object]]:
    for number, point in enumerate(epochs, first):
        values, kinds = nonfinite.split(point.values)
        yield {
            "job_id": job_id,
            "epoch": point.epoch,
            "event": number,
            "values": values,
            "nonfinite": kinds or None,
        }


def _size(row: Mapping[str, Any]) -> int:
    """What one of `_rows` is counted as."""
    return row_sizes.EPOCH + row_sizes.of_documents((row["values"], row["nonfinite"]))


def rewind(tx: Connection, job_id: str, epoch: int) -> bool:
    """Delete what was recorded behind an epoch, in the transaction that sets the job back; was there any?"""
    behind = (points.c.job_id == job_id, points.c.epoch > epoch)
    sizes = row_sizes.EPOCH + row_sizes.of_stored(points.c["values"], points.c.nonfinite)
    freed = int(tx.execute(sa.select(sa.func.sum(sizes)).where(*behind)).scalar() or 0)
    freed += stretches.cut(tx, job_id, epoch)
    deleted = tx.execute(points.delete().where(*behind)).rowcount
    if freed:
        usage.grow(tx, job_id, -freed)
    return deleted > 0


@dataclass(frozen=True, slots=True)
class Packed:
    """A curve as packed numbers, which a long one is best taken as."""

    first: int = 1
    """Its first epoch; the others follow without gaps."""
    length: int = 0
    series: dict[str, array[float]] = field(default_factory=dict)
    """For each series a number per epoch; NaN where it was not finite or not measured."""
    nonfinite: stretches.Kinds = field(default_factory=dict)
    """Series → epoch → `nan`, `inf` or `-inf`."""

    def curve(self, rows: Sequence[int] | None = None) -> Curve:
        """All of it as plain numbers, or the rows that are named, in rising order."""
        epochs = [self.first + row for row in (range(self.length) if rows is None else rows)]
        chosen = self.series if rows is None else self._at(rows)
        series = {name: _numbers(column) for name, column in chosen.items()}
        return Curve(epochs, series, self.nonfinite if rows is None else self._nonfinite_at(set(epochs)))

    def _at(self, rows: Sequence[int]) -> dict[str, array[float]]:
        return {name: array("d", [numbers[row] for row in rows]) for name, numbers in self.series.items()}

    def _nonfinite_at(self, epochs: Set[int]) -> stretches.Kinds:
        found = {
            name: {epoch: kind for epoch, kind in kinds.items() if epoch in epochs}
            for name, kinds in self.nonfinite.items()
        }
        return {name: kinds for name, kinds in found.items() if kinds}


def _numbers(column: array[float]) -> list[float | None]:
    """With None for NaN. Most columns hold none, and their sum tells: whatever NaN is added to is NaN."""
    if math.isnan(sum(column)):
        return [None if math.isnan(number) else number for number in column]
    return list(column)


_OWNED = sa.select(jobs.c.id).where(jobs.c.id == sa.bindparam("job_id"), own(jobs)).scalar_subquery()
_AFTER = sa.bindparam("after", type_=Whole)
_STRETCHED = sa.select(sa.func.coalesce(sa.func.max(stretched.c.last), 0)).where(stretched.c.job_id == _OWNED)
_BEHIND = _STRETCHED.scalar_subquery()
_STORED = (
    sa.select(
        stretched.c.last.label("epoch"),
        sa.cast(stretched.c.series, sa.Text).label("told"),
        sa.cast(stretched.c.nonfinite, sa.Text).label("nonfinite"),
        stretched.c.data,
    )
    .where(stretched.c.job_id == _OWNED, stretched.c.last > _AFTER)
    .union_all(
        sa.select(
            points.c.epoch,
            sa.cast(points.c["values"], sa.Text),
            sa.cast(points.c.nonfinite, sa.Text),
            sa.cast(None, sa.LargeBinary),
        ).where(
            points.c.job_id == _OWNED,
            # One bound and not two: SQLite would begin at the lower one, and read all that it passes over.
            points.c.epoch > sa.case((_BEHIND > _AFTER, _BEHIND), else_=_AFTER),
        )
    )
)
"""Full stretches, and row by row what follows: one statement, hence one snapshot that mixes no attempts."""


def packed(tx: Connection, job_id: str, *, after: int = 0, series: Sequence[str] | None = None) -> Packed:
    """The curve behind epoch `after`, all series or those named; a name never recorded is left out."""
    rows = tx.execute(_STORED, {"job_id": job_id, "after": after, **here(tx)}).all()
    # Sorted here: a database that sorts them moves all their numbers about.
    pieces = [piece.behind(after) for piece in _pieces(sorted(rows, key=lambda row: row.epoch))]
    names = dict.fromkeys(name for piece in pieces for name in piece.series)
    wanted = names if series is None else [name for name in dict.fromkeys(series) if name in names]
    kinds: stretches.Kinds = {}
    for name, found in (pair for piece in pieces for pair in piece.nonfinite.items() if pair[0] in wanted):
        kinds.setdefault(name, {}).update(found)
    columns = {name: stretches.joined(pieces, name) for name in wanted}
    return Packed(after + 1, sum(piece.length for piece in pieces), columns, kinds)


def _pieces(rows: Iterable[sa.Row[Any]]) -> Iterator[Piece]:
    """Stretches as they are; the rows behind them some at a time, so that no curve takes much memory."""
    tail: list[tuple[str, str | None]] = []
    first = 0
    for row in rows:
        if row.data is not None:
            yield stretches.of_stretch(row.epoch, row.told, row.nonfinite, row.data)
            continue
        first = first if tail else row.epoch
        tail.append((row.told, row.nonfinite))
        if len(tail) == stretches.EPOCHS:
            yield stretches.of_rows(first, tail)
            tail = []
    if tail:
        yield stretches.of_rows(first, tail)


def read(tx: Connection, job_id: str, *, after: int = 0, series: Sequence[str] | None = None) -> Curve:
    """The same as plain numbers."""
    return packed(tx, job_id, after=after, series=series).curve()


def series_of(tx: Connection, job_id: str) -> list[str]:
    """The names of the series that the last epoch recorded; empty before the first."""
    last = (
        sa.select(points.c["values"])
        .where(points.c.job_id == owned(tx, job_id))
        .order_by(points.c.epoch.desc())
        .limit(1)
    )
    return list(tx.execute(last).scalar() or {})
