"""Stretches of a curve in columns: what a long curve is read from.

Reading a hundred thousand epochs row by row, each a JSON object, takes seconds and hundreds of megabytes. So
whenever `EPOCHS` of them are full, the very transaction that records the last one also keeps them as one row
of packed numbers. The points stay the truth; a stretch only says the same again, and goes where they go.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa

from store import row_sizes
from store.session import Connection
from store.tables import points, stretches

EPOCHS: Final = 250
"""In a stretch. What a curve has behind its last full stretch is read row by row."""

NOTHING: Final = float("nan")
"""Stands where a number was not finite or not measured; which of the two it was is told beside it."""
_WIDE: Final = 8
"""Bytes of a double."""

Kinds = dict[str, dict[int, str]]
"""Series → epoch → `nan`, `inf` or `-inf`."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some epochs of a curve that follow each other, in columns."""

    first: int
    """Its first epoch."""
    length: int
    series: Mapping[str, memoryview]
    """For each series a little-endian double per epoch, as they lie in the database."""
    nonfinite: Kinds

    def behind(self, epoch: int) -> Piece:
        """What of it comes after an epoch."""
        cut = max(0, epoch + 1 - self.first)
        if not cut:
            return self
        rest = {name: column[_WIDE * cut :] for name, column in self.series.items()}
        kept = {
            name: found
            for name, kinds in self.nonfinite.items()
            if (found := {each: kind for each, kind in kinds.items() if each > epoch})
        }
        return Piece(self.first + cut, self.length - cut, rest, kept)


def of_rows(first: int, rows: Sequence[tuple[str, str | None]]) -> Piece:
    """A piece from the JSON of epochs that follow each other: their values, and what was not finite."""
    # All epochs are parsed as one document: a call for each would be most of what a curve costs to read.
    columns = _columns(orjson.loads(f"[{','.join(values for values, _ in rows)}]"))
    nonfinite: Kinds = {}
    for epoch, (_, found) in enumerate(rows, first):
        for name, kind in orjson.loads(found).items() if found else ():
            nonfinite.setdefault(name, {})[epoch] = kind
    return Piece(first, len(rows), {name: _packed(column) for name, column in columns.items()}, nonfinite)


def _columns(epochs: list[dict[str, float | None]]) -> dict[str, list[float | None]]:
    """Series → a number per epoch, in the order in which they first appear."""
    names = dict.fromkeys(name for each in epochs[:1] for name in each)
    if all(each.keys() == names.keys() for each in epochs):
        return {name: [each[name] for each in epochs] for name in names}
    names |= dict.fromkeys(name for each in epochs for name in each)
    return {name: [each.get(name) for each in epochs] for name in names}


def _packed(column: list[float | None]) -> memoryview:
    numbers = array("d", [NOTHING if number is None else number for number in column])
    return memoryview(_little_endian(numbers)).cast("B")


def of_stretch(last: int, names: str, nonfinite: str | None, data: bytes) -> Piece:
    """A piece from a row of `stretches`."""
    series: list[str] = orjson.loads(names)
    whole, size = memoryview(data), _WIDE * EPOCHS
    columns = {name: whole[place * size : (place + 1) * size] for place, name in enumerate(series)}
    kinds = orjson.loads(nonfinite) if nonfinite else {}
    told = {name: {int(epoch): kind for epoch, kind in found.items()} for name, found in kinds.items()}
    return Piece(last + 1 - EPOCHS, EPOCHS, columns, told)


def joined(pieces: Sequence[Piece], name: str) -> array[float]:
    """A series over pieces that follow each other; `NOTHING` where one of them lacks it."""
    gap = _packed([None])
    parts = (piece.series.get(name, bytes(gap) * piece.length) for piece in pieces)
    numbers = array("d")
    numbers.frombytes(b"".join(parts))
    return _little_endian(numbers)


def _little_endian(column: array[float]) -> array[float]:
    """Doubles of this machine as they lie in the database, or the other way round."""
    if sys.byteorder == "big":
        column.byteswap()
    return column


def fill(tx: Connection, job_id: str, first: int, last: int) -> int:
    """Keep the stretches that were completed by recording these epochs, in the same transaction.

    A stretch follows another, or is the first: a curve that began before there were stretches never has any.
    Returns what their rows take, in bytes.
    """
    taken = 0
    for end in range(-(-first // EPOCHS) * EPOCHS, last + 1, EPOCHS):
        if end == EPOCHS or _ends(tx, job_id, end - EPOCHS):
            row = _row(job_id, end, _recorded(tx, job_id, end - EPOCHS))
            tx.execute(stretches.insert(), row)
            taken += len(row["data"]) + row_sizes.of_documents((row["series"], row["nonfinite"]))
    return taken


def cut(tx: Connection, job_id: str, epoch: int) -> int:
    """Forget the stretches that reach beyond an epoch; returns what their rows took, in bytes."""
    beyond = stretches.delete().where(stretches.c.job_id == job_id, stretches.c.last > epoch)
    sizes = sa.func.length(stretches.c.data) + row_sizes.of_stored(stretches.c.series, stretches.c.nonfinite)
    return sum(tx.execute(beyond.returning(sizes)).scalars())


def _ends(tx: Connection, job_id: str, last: int) -> bool:
    there = sa.select(stretches.c.last).where(stretches.c.job_id == job_id, stretches.c.last == last)
    return tx.execute(there).scalar() is not None


def _recorded(tx: Connection, job_id: str, after: int) -> Piece:
    """The next `EPOCHS` epochs as the points have them."""
    values, nonfinite = (sa.cast(points.c[name], sa.Text) for name in ("values", "nonfinite"))
    chosen = sa.select(values, nonfinite).where(points.c.job_id == job_id, points.c.epoch > after)
    rows = tx.execute(chosen.order_by(points.c.epoch).limit(EPOCHS)).all()
    return of_rows(after + 1, [(row[0], row[1]) for row in rows])


def _row(job_id: str, last: int, piece: Piece) -> dict[str, Any]:
    kinds = {
        name: {str(epoch): kind for epoch, kind in found.items()} for name, found in piece.nonfinite.items()
    }
    return {
        "job_id": job_id,
        "last": last,
        "series": list(piece.series),
        "nonfinite": kinds or None,
        "data": b"".join(piece.series.values()),
    }
