"""What one cell may hold, whoever reads it: which text means nothing, a number, a truth or a date.

A file is read column by column with polars (`models.datasets.columns`), rows that come with a request cell by
cell with nothing (`models.datasets.rows`); what both must agree on stands here, in `models.datasets.numbers`
and in `models.datasets.dates`.
"""

from __future__ import annotations

import re
from string import ascii_lowercase
from typing import Final

from models.datasets.dates import DateForm
from models.datasets.numbers import UNIT, plain_marks

MISSING: Final = ("", "na", "n/a", "#n/a", "nan", "null", "?")
"""Cells, in any case, that hold no value; `None` does so too, while `none` may well be a level."""

_SYMBOLS: Final = "- -- --- – — − ‐ . .. ... … * ** *** ?? _ / : #"
_SPREADSHEETS: Final = (
    "#div/0! #value! #ref! #name? #num! #null! #spill! #calc! #field! #error! #blocked! #connect! #unknown! "
    "#getting_data #na #n/d #nv #n/v #wert! #bezug! #zahl! #valeur! #nombre! #nom? #nul! #¡valor! #¡div/0! "
    "#¡ref! #¡num! #¿nombre?"
)
_PROGRAMS: Final = (
    r"<na> <null> <none> <nan> \n (null) (none) (na) (blank) (empty) [null] nil none nat undefined -nan +nan "
    "nan(ind) -nan(ind) 1.#qnan -1.#qnan 1.#ind -1.#ind 1.#snan 1.#inf -1.#inf na_integer_ na_real_"
)
_PEOPLE: Final = (
    "missing n.a. n.a n/d n.d. nd n/v k.a. k.a k/a n.v. s.o. s/o nodata unknown blank empty fehlt fehlend "
    "unbekannt"
)
_WORDS: Final = (
    "n. a.",
    "k. a.",
    "not available",
    "not applicable",
    "not known",
    "no data",
    "no value",
    "keine angabe",
    "non disponible",
    "#n/a n/a",
)
MARKERS: Final = frozenset(
    (
        *" ".join((_SYMBOLS, _SPREADSHEETS, _PROGRAMS, _PEOPLE)).split(),
        *_WORDS,
        # SAS has 27 kinds of missing besides the dot.
        *(f".{letter}" for letter in (*ascii_lowercase, "_")),
    )
)
"""In small letters: cells that hold no value where a column is otherwise numbers, dates or truths."""

MARKER_FORMS: Final = (
    r"^(?:(?:0{4}[-/.]00?[-/.]00?|00?[-/.]00?[-/.](?:0{4}|00))(?:[ T][0:.]+Z?)?"
    rf"|(?:{UNIT}) ?-{{1,2}}|-{{1,2}} ?(?:{UNIT}))$"
)
"""Cells that hold no value either: `0000-00-00` of a database, `$ -` of a spreadsheet's accounts."""

MAX_TEXT: Final = 200
LONGEST_NUMBER: Final = 1000
"""Characters; reading more digits takes the square of their number."""

_NUMBER: Final = re.compile(
    r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE
)
_COMMA: Final = re.compile(r"[+-]?\d*(,\d+)?([eE][+-]?\d+)?", re.ASCII)
_MARKER: Final = re.compile(MARKER_FORMS)
_TRUTHS: Final = {"true": 1.0, "false": 0.0}
_BY_ORDER: Final = {True: DateForm(order="mdy"), False: DateForm(order="dmy")}


def month_first_note(column: str) -> str:
    """How a dataset's notes say that 3/4/2026 is in March: else it is in April."""
    return f"column {column!r}: dates are read as month/day/year"


def text(cell: str) -> str | None:
    """A cell without the space around it and NUL in it, no longer than a level may be; None for no value."""
    stripped = cell.replace("\x00", "").strip()
    return None if stripped.lower() in MISSING or stripped == "None" else stripped[:MAX_TEXT]


def number(cell: str, *, decimal_comma: bool = False) -> float | None:
    """A number as polars would read it; None where it is none, or longer than any number is."""
    if len(cell) > LONGEST_NUMBER:
        return None
    if _NUMBER.fullmatch(cell):
        return float(cell)
    if decimal_comma and _COMMA.fullmatch(cell) and _NUMBER.fullmatch(cell.replace(",", ".", 1)):
        return float(cell.replace(",", ".", 1))
    return None


def truth(cell: str) -> float | None:
    """1 for true, 0 for false; None where it is neither."""
    return _TRUTHS.get(cell.lower())


def days(cell: str, *, month_first: bool = False) -> float | None:
    """A date as days since 1970-01-01 UTC; None where it is none."""
    return _BY_ORDER[month_first].parse(cell)


def is_marker(cell: str) -> bool:
    """Whether the cell of a column of numbers, dates or truths says that there is no value."""
    lowered = cell.lower()
    return lowered in MARKERS or lowered in MISSING or bool(_MARKER.fullmatch(plain_marks(cell)))
