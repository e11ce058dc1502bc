"""The columns that a network was trained on: each reads the cells of a request as its file's were read.

Which sign is the decimal one, which number of a date is the month and which texts are levels, the column's
description tells, because one cell cannot. No polars: a web server reads these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from models.complaints import pointer, printable, said, shown
from models.datasets import cells
from models.datasets.dates import DateForm
from models.datasets.description import Column, Kind, TextForm
from models.datasets.levels import Levels
from models.datasets.numbers import PERCENT, NumberForm
from models.errors import Complaint, Notice

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING_TEXT: Final = ""
"""Says that there is no value: no reader leaves a level that is empty."""

_MISSING_NUMBER: Final = float("nan")
_WANTED: Final[dict[Kind, tuple[str, str]]] = {
    "numeric": ("numbers", "a number, or null where there is none"),
    "boolean": ("true or false", "true, false or null"),
    "datetime": ("dates", "a date such as 2026-01-31, or null"),
    "categorical": ("text", "text, or null where there is none"),
}
_PLAIN_NUMBERS: Final = {int, float}
_ONE_MARK: Final = re.compile(r"[-+]?[1-9][0-9]{0,2}[.,][0-9]{3}", re.ASCII)
"""Thousands, or three digits of a fraction: a cell alone does not tell."""
_TWO_NUMBERS: Final = re.compile(r"([0-9]{1,2})[/-]([0-9]{1,2})[/-][0-9]{4}(?![0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """One column as the network knows it."""

    about: Column
    levels: Levels
    month_first: bool
    """Whether 3/4/2026 is in March, where the description does not say how dates are written."""

    def read(self, values: Sequence[Any], *, decimal_comma: bool, most: int) -> _Read:
        """JSON values or text, (n,), as an array (n,) and complaints about at most `most` of them.

        Numbers, truths and dates become float64 with NaN for missing, text objects with `MISSING_TEXT`.
        `decimal_comma`: `1,5` is a number, since commas separate nothing in what was sent.
        """
        import numpy as np

        # Most columns of most requests are numbers and nothing else: those need no look at each.
        if self.about.kind == "numeric" and set(map(type, values)) <= _PLAIN_NUMBERS:
            with suppress(OverflowError):
                return _Read(np.array(values, dtype=np.float64), [])
        read = self._cell_reader(decimal_comma=decimal_comma)
        found = [read(value) for value in values]
        wrong = [row for row, value in enumerate(found) if value is None][:most]
        complaints = [self._complaint(row, values[row]) for row in wrong]
        if self.about.kind == "categorical":
            texts = np.empty(len(found), dtype=object)
            texts[:] = found
            return _Read(texts, complaints)
        return _Read(np.array(found, dtype=np.float64), complaints)

    def unknown_level(self, texts: Sequence[str], *, hint: bool) -> Notice | None:
        """What to say of levels among cells that were read which the network does not know.

        `hint`: also what may have been meant.
        """
        if not self.levels:
            return None
        strange = [row for row, text in enumerate(texts) if text and text not in self.levels]
        if not strange:
            return None
        name, text, others = self.about.name, texts[strange[0]], len(strange) - 1
        near = self.levels.nearest(text) if hint else None
        meant = f"; did you mean {printable(near)!r}?" if near else ""
        more = f", nor are those of {others} more row{'s' if others > 1 else ''}" if others else ""
        detail = f"{printable(text)!r} is no level of column {printable(name)!r} that the network knows{more}"
        return Notice(pointer(["rows", strange[0], name]), detail + meant)

    # ── cells ───────────────────────────────────────────────────────────────────────────────────────────────

    def _cell_reader(self, *, decimal_comma: bool) -> Callable[[Any], float | str | None]:
        """A function from a cell to what it holds; None where that does not fit the column."""
        if self.about.kind == "categorical":
            return self._text
        by_text: Mapping[Kind, Callable[[str], float | None]] = {
            "numeric": lambda cell: self._number(cell, decimal_comma=decimal_comma),
            "boolean": cells.truth,
            "datetime": self._days,
        }
        return lambda value: _measure(value, self.about.kind, by_text[self.about.kind])

    def _number(self, cell: str, *, decimal_comma: bool) -> float | None:
        written = self.about.written
        if isinstance(written, NumberForm):
            number = written.parse(cell)
            # Among percentages, 0.45 may be less than one of them or nearly half of all.
            if number is not None or written.unit == PERCENT or self._is_ambiguous(cell):
                return number
        return cells.number(cell, decimal_comma=decimal_comma and not self._is_ambiguous(cell))

    def _is_ambiguous(self, cell: str) -> bool:
        """Whether one mark before three digits may be the decimal one or not, as far as the column tells."""
        written = self.about.written
        decimal = written.decimal if isinstance(written, NumberForm) else "."
        return decimal not in cell and _ONE_MARK.fullmatch(cell) is not None

    def _days(self, cell: str) -> float | None:
        written = self.about.written
        if self._may_be_month_or_day(cell):
            return None
        return (
            written.parse(cell)
            if isinstance(written, DateForm)
            else cells.days(cell, month_first=self.month_first)
        )

    def _may_be_month_or_day(self, cell: str) -> bool:
        """Whether 3/4/2026 is in March or in April, as far as the column tells; dots have the day first."""
        if isinstance(self.about.written, DateForm) or self.month_first:
            return False
        found = _TWO_NUMBERS.match(cell)
        return found is not None and found[1] != found[2] and max(int(found[1]), int(found[2])) <= 12

    def _text(self, value: Any) -> str | None:
        """The level that a cell means, `MISSING_TEXT` for no value; None where the cell cannot be a level."""
        if value is None:
            return MISSING_TEXT
        if isinstance(value, str):
            # A level may be called `None` or `NA` where the file said so; elsewhere that is no value.
            stripped = value.replace("\x00", "").strip()[: cells.MAX_TEXT]
            if (found := self.levels.level_of(stripped)) is not None:
                return found
            written = self.about.written
            verbatim = isinstance(written, TextForm) and written.verbatim
            return stripped if verbatim else cells.text(value) or MISSING_TEXT
        if not isinstance(value, int | float):
            return None
        # A level that looks like a number, or a truth, is written as one by many who send it.
        found = self.levels.level_of(value)
        return (None if isinstance(value, bool) else str(value)) if found is None else found

    def _complaint(self, row: int, value: Any) -> Complaint:
        name, kind = self.about.name, self.about.kind
        where = pointer(["rows", row, name])
        if kind == "numeric" and isinstance(value, str) and self._is_ambiguous(text := value.strip()):
            whole, point = re.sub("[.,]", "", text), text.replace(",", ".")
            detail = f"{said(value)} in column {printable(name)!r} may be {whole} or {point}"
            return Complaint(where, detail, shown(value), "write it as a JSON number, or without the mark")
        if kind == "datetime" and isinstance(value, str) and self._may_be_month_or_day(value.strip()):
            detail = f"{said(value)} in column {printable(name)!r} may have the month first or the day"
            return Complaint(where, detail, shown(value), "write the year first: 2026-01-31")
        holds, write = _WANTED[kind]
        if isinstance(self.about.written, NumberForm) and self.about.written.unit == PERCENT:
            holds, write = "percentages", "45% for 45, or a JSON number"
        detail = f"column {printable(name)!r} holds {holds}, not {said(value)}"
        return Complaint(where, detail, shown(value), write)


@dataclass(frozen=True, slots=True)
class _Read:
    """A column's cells that were read, and what is wrong with others."""

    values: NDArray[Any]
    complaints: list[Complaint]


def _measure(value: Any, kind: Kind, by_text: Callable[[str], float | None]) -> float | None:
    """A cell as a number, NaN for no value; None where it does not fit the column."""
    if value is None:
        return _MISSING_NUMBER
    if isinstance(value, str):
        text = value.replace("\x00", "").strip()
        if (number := by_text(text)) is not None:
            return number
        return _MISSING_NUMBER if cells.is_marker(text) or cells.text(text) is None else None
    if isinstance(value, bool):
        return float(value) if kind == "boolean" else None
    fits = kind == "numeric" or (kind == "boolean" and value in (0, 1))
    if not fits or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # A whole number of more than 308 digits.
        return None
