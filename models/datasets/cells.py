"""What one cell may hold, whoever reads it: which text means nothing, a number, a truth or a date.

A file is read column by column with polars (`models.datasets.columns`), rows that come with a request cell by
cell with nothing (`models.datasets.rows`); what both must agree on stands here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

MISSING: Final = ("", "na", "n/a", "#n/a", "nan", "null", "?")
"""Cells, in any case, that hold no value; `None` does so too, while `none` may well be a level."""

MAX_TEXT: Final = 200

DATES: Final = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%+",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M:%S",
)
"""In the order they are tried on a whole column, as polars writes them; `%+` is ISO 8601 with a time zone."""

LOOKS_LIKE_A_DATE: Final = r"^(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4})([ T]\d|$)"
DECIMAL_COMMA: Final = r"^[+-]?\d*(,\d+)?([eE][+-]?\d+)?$"
"""A number of a file whose cells are not separated by commas."""

MICROSECONDS_A_DAY: Final = 86_400_000_000

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - dates without a zone are told as UTC tells them
_NUMBER: Final = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.I)
_COMMA: Final = re.compile(DECIMAL_COMMA, re.ASCII)
_DATE: Final = re.compile(LOOKS_LIKE_A_DATE, re.ASCII)
_TRUTHS: Final = {"true": 1.0, "false": 0.0}
# Python's parser knows no optional fraction, and reads ISO 8601 without being told a form.
_FORMS: Final = [
    form.replace("%S%.f", second) for form in DATES for second in ("%S", "%S.%f") if form != "%+"
]


def month_first_note(column: str) -> str:
    """How a dataset's notes say that 3/4/2026 is in March: else it is in April."""
    return f"column {column!r}: dates are read as month/day/year"


def text(cell: str) -> str | None:
    """A cell without the space around it and NUL in it, no longer than a level may be; None for no value."""
    stripped = cell.replace("\x00", "").strip()
    return None if stripped.lower() in MISSING or stripped == "None" else stripped[:MAX_TEXT]


def number(cell: str, *, decimal_comma: bool = False) -> float | None:
    """A number as polars would read it; None where it is none."""
    if _NUMBER.fullmatch(cell):
        return float(cell)
    if decimal_comma and _COMMA.match(cell) and _NUMBER.fullmatch(cell.replace(",", ".", 1)):
        return float(cell.replace(",", ".", 1))
    return None


def truth(cell: str) -> float | None:
    """1 for true, 0 for false; None where it is neither."""
    return _TRUTHS.get(cell.lower())


def days(cell: str, *, month_first: bool = False) -> float | None:
    """A date as days since 1970-01-01 UTC; None where it is none."""
    found = _moment(cell, month_first=month_first) if _DATE.match(cell) else None
    if found is None:
        return None
    try:
        plain = found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None
    # polars divides by a constant as it multiplies by its inverse; so do we, to the last bit.
    return ((plain - _EPOCH) // timedelta(microseconds=1)) * (1 / MICROSECONDS_A_DAY)


def _moment(cell: str, *, month_first: bool) -> datetime | None:
    try:
        return datetime.fromisoformat(cell)
    except ValueError:
        other = "%d/%m" if month_first else "%m/%d"
        for form in _FORMS:
            if not form.startswith(other) and (found := _by_form(cell, form)):
                return found
    return None


def _by_form(cell: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(cell, form)  # noqa: DTZ007 - as above
    except ValueError:
        return None
