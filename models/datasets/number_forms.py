"""How a column writes its numbers, found from all of its cells.

Both separators in a cell, or one of them twice, tell for certain which of them is the decimal sign; so do
`12,5` and `0.123`. `2,288` does not: then the column's other cells decide, the file's other columns, and
at last what is usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from models.datasets.dates import looks_like_a_date
from models.datasets.distinct import Cells, are_markers
from models.datasets.number_columns import are_one_number, are_taken, count_groups, number_parts, units_beside
from models.datasets.numbers import (
    ANY_BODY,
    LONGEST,
    OPENING,
    PERCENT,
    NumberForm,
    canonical_unit,
    unit_beside,
)

Mark = Literal[".", ","]

_GROUP: Final = "[1-9][0-9]{0,2}"
_WHOLE: Final = "^[0-9]+$"
_LEADING_ZERO: Final = "^0[0-9]"
_OTHER: Final[dict[Mark, Mark]] = {".": ",", ",": "."}
_GROUPING: Final[dict[Mark, str]] = {".": "points", ",": "commas"}
_CELL: Final = pl.col("cell")
_NOTHING: Final = (pl.col("unit") == "") & ~pl.col("body").str.contains("[1-9]")
"""Is 0 in any unit."""
_SPACED: Final = rf"^{_GROUP}(?:[ '][0-9]{{3}})+"
_OF_POINTS: Final = ("$", "£", "¥", "₹", "₩", "₪")
"""Currencies of countries that write a decimal point."""


def _either(mark: Mark) -> str:
    """A pattern of `2,288`, which is a number with a fraction or one with thousands."""
    return rf"^{_GROUP}\{mark}[0-9]{{3}}$"


def _fraction(mark: Mark) -> str:
    """A pattern of `12,5`, of `12,-` and of `2,288`."""
    return rf"^(?:[0-9]*\{mark}[0-9]+|[0-9]+\{mark}-{{0,2}})$"


def _grouped(between: Mark) -> str:
    """A pattern of numbers in which a mark groups thousands for certain: it is there twice, or both are."""
    fraction = rf"\{_OTHER[between]}(?:[0-9]*|-{{1,2}})"
    group = rf"\{between}[0-9]{{3}}"
    certain = rf"{_GROUP}(?:(?:{group}){{2,}}(?:{fraction})?|{group}{fraction})"
    indian = r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]*)?" if between == "," else ""
    return rf"^(?:{certain}{indian})$"


@dataclass(frozen=True, slots=True)
class Evidence:
    """How many cells tell the decimal sign for certain."""

    point: int = 0
    comma: int = 0

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(self.point + other.point, self.comma + other.comma)

    def __bool__(self) -> bool:
        return bool(self.point or self.comma)

    @property
    def decimal(self) -> Mark | None:
        """The only sign there is evidence for."""
        if bool(self.point) == bool(self.comma):
            return None
        return "." if self.point else ","


@dataclass(frozen=True, slots=True)
class Survey:
    """What the cells of a column of numbers look like, as far as a cell tells by itself.

    Masks are over the column's distinct cells.
    """

    numbers: pl.Series
    """Cells that are numbers of some form, with the column's unit or none."""
    unit: str | None
    evidence: Evidence
    either: dict[Mark, pl.Series]
    """Cells such as `2,288`, by the mark in them."""
    grouping: set[Mark]
    """Marks that group thousands for certain."""
    spaces: Literal[" ", "'"] | None
    """What groups thousands besides."""
    small: bool
    """Whole numbers without any mark are there, and all are below 1000 …"""
    large: bool
    """… or some are not."""
    zeros: pl.Series
    """Cells with a zero before another digit."""
    fixed: bool
    """Of the cells in `either` one ends in a zero, as no fraction does that is written as short as can be."""
    notes: bool
    """All stand in parentheses and have no unit: as negative numbers do, and as notes do."""


def is_told_by_others(found: Survey) -> bool:
    """Whether what a mark means in the column is told by the file's other columns, or by none."""
    return not found.evidence and any(which.any() for which in found.either.values())


def survey(column: Cells) -> Survey | None:
    """Look at a column's cells; None where few are numbers."""
    if column.are_few(lambda cell: unit_beside(cell) is not None and not looks_like_a_date(cell)):
        return None
    cells = column.values.lazy().with_columns(marker=are_markers(_CELL), parts=number_parts(_CELL, ANY_BODY))
    short = _CELL.str.len_chars() <= LONGEST
    parted = (
        cells.unnest("parts").with_columns(number=short & are_one_number(), unit=units_beside()).collect()
    )
    unit = _usual_unit(parted)
    own = pl.col("number") & (are_taken(parted["unit"], unit) | _NOTHING)
    looked = parted.lazy().with_columns(body=pl.when(own).then("body").otherwise(pl.lit("")))
    looked = looked.with_columns(
        mantissa=pl.when(pl.col("exponent").fill_null("") == "").then("body").otherwise(pl.lit(""))
    )
    return _summed_up(_classified(looked).collect(), unit)


def _classified(cells: pl.LazyFrame) -> pl.LazyFrame:
    """What the digits of each cell may mean: `number`, and by mark `either`, `groups` and `tells`."""
    body, mantissa, spaced = pl.col("body"), pl.col("mantissa"), pl.col("spaced")
    looks = {"spaced": body.str.contains(_SPACED), "whole": mantissa.str.contains(_WHOLE)}
    cells = cells.with_columns(**looks, zero=body.str.contains(_LEADING_ZERO))
    # Where spaces group thousands, a single comma does not.
    either = {f"either{mark}": mantissa.str.contains(_either(mark)) & ~spaced.any() for mark in _OTHER}
    groups = {f"groups{mark}": body.str.contains(_grouped(mark)) for mark in _OTHER}
    cells = cells.with_columns(**either, **groups)
    tells = {
        f"tells{mark}": (body.str.contains(_fraction(mark)) & ~pl.col(f"either{mark}"))
        | pl.col(f"groups{_OTHER[mark]}")
        | (spaced & body.str.contains(rf"\{mark}[0-9]*$"))
        for mark in _OTHER
    }
    known = ("spaced", *tells, *either)
    return cells.with_columns(**tells).with_columns(
        number=pl.any_horizontal(*known) | body.str.contains(_WHOLE)
    )


def _summed_up(cells: pl.DataFrame, unit: str | None) -> Survey | None:
    col, count = pl.col, pl.col("count")
    whole = col("mantissa").filter("whole").cast(pl.Float64)
    ambiguous = col("mantissa").filter(col("either.") | col("either,"))
    bare = col("number") & (count_groups(OPENING) == 0)
    sums = cells.select(
        numbers=count.filter("number").sum(),
        others=count.filter(~col("number") & ~col("marker")).sum(),
        bare=bare.any(),
        point=count.filter("tells.").sum(),
        comma=count.filter("tells,").sum(),
        points=col("groups.").any(),
        commas=col("groups,").any(),
        spaced=col("spaced").sum(),
        apostrophes=(col("spaced") & col("body").str.contains("'")).sum(),
        small=(whole < 1000).all() & col("whole").any(),
        large=(whole >= 1000).any(),
        fixed=ambiguous.str.ends_with("0").any(),
    ).row(0, named=True)
    if sums["numbers"] <= sums["others"]:
        return None
    spaces: Literal[" ", "'"] = "'" if sums["apostrophes"] * 2 > sums["spaced"] else " "
    return Survey(
        numbers=cells["number"],
        unit=unit,
        evidence=Evidence(sums["point"], sums["comma"]),
        either={mark: cells[f"either{mark}"] for mark in _OTHER},
        grouping={mark for mark, name in _GROUPING.items() if sums[name]},
        spaces=spaces if sums["spaced"] else None,
        small=bool(sums["small"]),
        large=bool(sums["large"]),
        zeros=cells["zero"],
        fixed=bool(sums["fixed"]),
        notes=unit is None and not sums["bare"],
    )


def choose(found: Survey, file: Evidence, delimiter: str) -> tuple[NumberForm, Mark | None]:
    """The form of a column, and the mark that is read by what is usual, since nothing in the file tells.

    `file` is the evidence of all columns.
    """
    either = {mark for mark, which in found.either.items() if which.any()}
    own = found.evidence
    doubt: Mark | None = None
    if own.point or own.comma:
        decimal: Mark = "." if own.point >= own.comma else ","
    elif not either:
        decimal = "."
    elif "," in either and found.small:
        # 998 beside 2,288 is below a thousand: the column tells, whatever commas mean elsewhere.
        decimal, doubt = ".", None if file.decimal == "." else ","
    elif file.decimal is not None:
        decimal = file.decimal
    else:
        decimal = _usual(found, either, delimiter)
        # Where commas separate the cells and nothing else, nobody doubts that 1.047 is hardly more than one.
        if "," in either or delimiter != "," or file.comma:
            doubt = "," if "," in either else "."
    other = _OTHER[decimal]
    thousands = found.spaces or (other if other in found.grouping | either else None)
    return NumberForm(decimal=decimal, thousands=thousands, unit=found.unit), doubt


def _usual(found: Survey, either: set[Mark], delimiter: str) -> Mark:
    """The decimal sign that is more likely where nothing in the file tells it."""
    if len(either) == 2:
        return "."
    money = canonical_unit(found.unit) not in (None, PERCENT)
    if "," in either:
        # Fractions would hardly all have three digits or none: 998 beside 2,288 is below a thousand.
        if found.small or money:
            return "."
        return "," if found.large or delimiter == ";" else "."
    if money and canonical_unit(found.unit) not in _OF_POINTS:
        return ","
    return "," if delimiter != "," and found.small and found.fixed else "."


def other_reading(form: NumberForm, mark: Mark) -> NumberForm:
    """The form by which a cell such as `2,288` is the number that `form` does not read."""
    other = _OTHER[mark]
    if form.decimal == mark:
        return NumberForm(decimal=other, thousands=mark, unit=form.unit)
    return NumberForm(decimal=mark, unit=form.unit)


def plain_evidence(text: pl.Series) -> Evidence:
    """What a column of plain numbers tells: nothing where all its points stand before three digits."""
    return Evidence(point=int((text.str.contains(r"\.") & ~text.str.contains(_either("."))).sum()))


def _usual_unit(cells: pl.DataFrame) -> str | None:
    """The unit of most numbers, as most of them write it; money where any has, since it may be left out."""
    totals = (
        cells.lazy()
        .filter(pl.col("number") & ~_NOTHING)
        .group_by("unit")
        .agg(pl.col("count").sum())
        .sort("count", "unit")
    )
    counts = dict(totals.collect().iter_rows())
    bare = counts.pop("", 0)
    if not counts:
        return None
    usual: str = list(counts)[-1]
    return usual if usual != PERCENT or counts[usual] > bare else None
