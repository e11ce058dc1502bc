"""Is the first line of a table the names of its columns, or a row? Judged by what stands below it. No polars.

A name of text above numbers speaks for names, whatever else there is. Where there is none, numbers among
numbers of their size and words that occur again in their own column speak for a row: iris.data begins so. But
years, wavelengths and counted columns are names too, and they ascend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from models.datasets.cells import MISSING
from models.datasets.delimiters import is_number_like

Kind = Literal["number", "date", "truth", "text"]
Verdict = Literal["names", "doubtful", "row"]
"""`row` is certain enough to refuse the file, `doubtful` is worth a note."""

_MOST_CELLS: Final = 100_000
_MOSTLY: Final = 0.9
_INSIDE: Final = 0.8
_FEW_ROWS: Final = 3
"""Fewer rows than these make nothing certain."""
_DATE: Final = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}( .*)?")
_NO_VALUE: Final = {*MISSING, "none"}


@dataclass(slots=True)
class _Evidence:
    """What the columns below their names say."""

    headed: int = 0
    """Names of text above columns that hold none."""
    fresh: int = 0
    """Words above columns of text in which they do not occur."""
    recurring: list[str] = field(default_factory=list)
    """Words that occur again in their own column."""
    of_a_kind: list[str] = field(default_factory=list)
    """Dates above dates, truths above truths."""
    numbers: list[str] = field(default_factory=list)
    """Numbers above numbers."""
    inside: int = 0
    """Those of them that are of the size of the numbers below."""
    odd: int = 0
    """Names that occur twice, or mean that there is no value."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a first line holds names."""

    verdict: Verdict
    headed: bool
    """A name of text stands above a column of numbers, dates or truths."""
    within: bool
    """Numbers in it are of the size of those below."""
    against: str
    """What speaks against names, in words."""


def judge(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Judgement:
    """Judge a first line by the rows below it."""
    most = max(2, _MOST_CELLS // max(len(names), 1))
    # Names that stand again further down are names all the same.
    shown = [
        row
        for row in rows[:most]
        if len(row) == len(names)
        and any(row)
        and any(cell.strip() != name for cell, name in zip(row, names, strict=True))
    ]
    found = _evidence(names, shown)
    counting = _is_counting(found.numbers)
    ascending = len(found.numbers) > 2 and _ascends(found.numbers)
    sized = found.inside >= _INSIDE * len(found.numbers) or _are_measured(found.numbers, ascending=ascending)
    numbers = 0 if counting or not sized else len(found.numbers)
    words, others = len(found.recurring), len(found.of_a_kind)
    against = numbers + words + others
    within = bool(found.numbers) and found.inside >= _INSIDE * len(found.numbers)
    said = _said(found, numbers=numbers > 0 or within)
    if found.headed:
        outnumbered = against > 2 and against > 2 * found.headed
        return Judgement("doubtful" if outnumbered else "names", True, within, said)
    certain = (
        (numbers > 1 and not ascending)
        or (numbers > 0 and words + others > 0)
        or (words > 1 and words >= found.fresh)
        or (words > 0 and others > 0)
        or (others > 1)
        or (counting and words > 0 and not found.fresh and found.inside == len(found.numbers))
    )
    # One or two numbers count by chance, as a row that ends in the class 0 or 1 does.
    by_chance = counting and within and len(found.numbers) < 3
    doubtful: Verdict = "doubtful" if against + found.odd or by_chance else "names"
    return Judgement("row" if certain and len(shown) >= _FEW_ROWS else doubtful, False, within, said)


def is_counted(names: Sequence[str]) -> bool:
    """Whether names count the columns, as programs do for want of names, or ascend evenly, as years do."""
    return _is_counting(names) and (len(names) > 2 or names in (["0", "1"], ["1", "2"]))


def _evidence(names: Sequence[str], rows: Sequence[Sequence[str]]) -> _Evidence:
    found = _Evidence()
    filled = [name.strip() for name in names if name.strip()]
    found.odd = len(filled) - len(set(filled))
    for name, column in zip((name.strip() for name in names), zip(*rows, strict=True), strict=False):
        values = [cell for cell in map(str.strip, column) if cell.lower() not in _NO_VALUE]
        if not name or not values:
            continue
        if name.lower() in _NO_VALUE:
            found.odd += 1
            continue
        _weigh(found, name, values)
    return found


def _weigh(found: _Evidence, name: str, values: list[str]) -> None:
    named, held = _kind(name), _kind_of(values)
    if named == "text":
        if held != "text":
            found.headed += 1
        elif name in values:
            found.recurring.append(name)
        else:
            found.fresh += 1
    elif named == held == "number":
        found.numbers.append(name)
        found.inside += _is_inside(name, values)
    elif named == held:
        found.of_a_kind.append(name)


def _kind(cell: str) -> Kind:
    if is_number_like(cell):
        return "number"
    if _DATE.fullmatch(cell):
        return "date"
    return "truth" if cell.lower() in ("true", "false") else "text"


def _kind_of(values: list[str]) -> Kind:
    kinds = [_kind(value) for value in values]
    most = max(set(kinds), key=kinds.count)
    return most if kinds.count(most) >= _MOSTLY * len(kinds) else "text"


def _is_inside(name: str, values: list[str]) -> bool:
    """Whether a number lies among others, or as far from them as they from each other."""
    numbers = [number for number in map(_number, values) if number is not None]
    number = _number(name)
    if number is None or not numbers:
        return False
    low, high = min(numbers), max(numbers)
    return low - (high - low) <= number <= high + (high - low)


def _number(cell: str) -> float | None:
    digits = re.sub(r"[^\d.,eE+-]", "", cell).replace(",", ".")
    try:
        return float(digits)
    except ValueError:
        return None


def _numbers(names: Iterable[str]) -> list[float] | None:
    numbers = [_number(name) for name in names]
    return None if None in numbers else [number for number in numbers if number is not None]


def _is_counting(names: Sequence[str]) -> bool:
    """Whether names are whole numbers at even distances: 0, 1, 2 or 1990, 1995, 2000."""
    if not names or not all(name.isascii() and name.isdigit() for name in names):
        return False
    numbers = [int(name) for name in names]
    if len(numbers) == 1:
        return numbers[0] in (0, 1) or 1800 <= numbers[0] <= 2100
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) == 1 and min(steps) > 0


def _ascends(names: Sequence[str]) -> bool:
    numbers = _numbers(names)
    return numbers is not None and all(before < after for before, after in pairwise(numbers))


def _are_measured(names: Sequence[str], *, ascending: bool) -> bool:
    """Whether there are fractions among numbers in no order: no one calls columns so."""
    return not ascending and len(names) > 1 and any(re.fullmatch(r"[-+]?\d*[.,]\d+", name) for name in names)


def _said(found: _Evidence, *, numbers: bool) -> str:
    reasons = []
    if numbers:
        reasons.append(f"{_few(found.numbers)} above numbers")
    if found.recurring:
        reasons.append(f"{_few(found.recurring)} occurring again below")
    if found.of_a_kind:
        reasons.append(f"{_few(found.of_a_kind)} above such values")
    return ", ".join(reasons) or "names that occur twice or mean no value"


def _few(names: list[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:3])
    return shown + (", …" if len(names) > 3 else "")
