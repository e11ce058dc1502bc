"""How a column writes its dates, found from all of its cells, and the column read by that form.

`31/12/2025` tells that the day comes first, `12/31/2025` that the month does. `3/4/2026` does not: then the
column's other cells decide, the file's other columns, and at last what is usual.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from models.datasets.dates import (
    DATE,
    LATEST_SHORT_YEAR,
    LONGEST,
    MICROSECONDS_A_DAY,
    MONTHS,
    ZONE,
    DateForm,
    Order,
    date_parts,
    looks_like_a_date,
)
from models.datasets.distinct import Cells, are_markers

_CLOCK: Final = "[T:, ] ?[0-9]{1,2}:[0-9]{2}.*$"
"""The time of a day and what is behind it."""
_USUAL: Final[dict[str, Order]] = {"/": "mdy", "-": "dmy", ".": "dmy"}
"""Who writes dates with slashes and nothing else to go by, writes the month first more often than not."""

_SECOND: Final = 1_000_000
_EARLIEST, _LATEST = (
    (moment - datetime(1970, 1, 1)).days * MICROSECONDS_A_DAY  # noqa: DTZ001 - days are the same everywhere
    for moment in (datetime.min, datetime.max)  # noqa: DTZ901
)
_FIRST_CALENDAR_NUMBER, _LAST_CALENDAR_NUMBER = 19000101, 21001231


_NUMBERED: Final = (
    r"^(?:[A-Za-z]+\.?,? )?(?P<first>[0-9]{1,2})(?P<mark>[-./])(?P<between>[0-9]{1,2})(?P<mark2>[-./])"
    r"(?P<last>[0-9]{4}|[0-9]{2})(?:[^0-9]|$)"
)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the cells of a column of dates look like; masks are over its distinct cells."""

    orders: dict[str, Counter[Order]]
    """By the mark between the numbers: how many cells tell an order for certain."""
    open: pl.Series
    """Cells whose order they do not tell: day and month may change places."""
    marks: set[str]
    short: bool
    """All years have two digits, and the cells are written alike."""


def plain_dates(column: Cells) -> pl.Series | None:
    """A column of dates with the year in front, all written alike; None where a cell is none."""
    if not column.sample or not all("year" in date_parts(cell) for cell in column.sample):
        return None
    return _read_alike(column.text, DateForm())


def survey(column: Cells) -> Survey | None:
    """Look at a column's cells; None where few may be dates."""
    if column.are_few(looks_like_a_date):
        return None
    likely = pl.col("cell").str.contains(DATE) & (pl.col("cell").str.len_chars() <= LONGEST)
    cells = column.values.lazy().with_columns(likely=likely, marker=are_markers(pl.col("cell")))
    cells = cells.with_columns(parts=pl.when("likely").then(pl.col("cell").str.extract_groups(_NUMBERED)))
    numbers = cells.unnest("parts").with_columns(
        same=pl.col("mark") == pl.col("mark2"),
        a=_whole("first"),
        b=_whole("between"),
        c=_whole("last"),
        short=pl.col("last").str.len_chars() == 2,
        padded=(pl.col("first").str.len_chars() == 2) & (pl.col("between").str.len_chars() == 2),
    )
    numbers = numbers.with_columns(
        day=pl.col("a").is_between(13, 31) & pl.col("b").is_between(1, 12),
        month=pl.col("b").is_between(13, 31) & pl.col("a").is_between(1, 12),
        year=pl.col("short") & (pl.col("a") > 31) & pl.col("b").is_between(1, 12),
        open=pl.col("a").is_between(1, 12) & pl.col("b").is_between(1, 12) & (pl.col("a") != pl.col("b")),
    )
    found = numbers.with_columns(open=(pl.col("same") & pl.col("open")).fill_null(False)).collect()
    others = found.filter(~pl.col("likely") & ~pl.col("marker"))["count"].sum()
    if found.filter("likely")["count"].sum() <= others:
        return None
    orders: dict[str, Counter[Order]] = {}
    if _have_years_first(found.filter("likely")):
        # 19-03-27 to 20-12-31: both ends may be days, and there are fewer years than days.
        found = found.with_columns(day=pl.lit(False), year="short")
    told: tuple[tuple[str, Order], ...] = (("day", "dmy"), ("month", "mdy"), ("year", "ymd"))
    for name, order in told:
        each = found.filter(pl.col("same") & pl.col(name)).group_by("mark").agg(pl.col("count").sum())
        for mark, count in each.iter_rows():
            orders.setdefault(mark, Counter())[order] += count
    return Survey(
        orders=orders,
        open=found["open"],
        marks=set(found["mark"].drop_nulls().unique()),
        short=_short_years(found.filter("likely")),
    )


def _have_years_first(dates: pl.DataFrame) -> bool:
    """Whether numbers of two digits between hyphens are year, month and day: the first vary less."""
    if not len(dates) or not (dates["short"] & (dates["mark"] == "-") & dates["same"]).fill_null(False).all():
        return False
    may_be = dates["b"].is_between(1, 12) & dates["c"].is_between(1, 31)
    return bool(may_be.all()) and dates["a"].n_unique() < dates["c"].n_unique()


def choose(found: Survey, file: dict[str, Counter[Order]]) -> tuple[DateForm | None, bool]:
    """The form of a column, None where its cells tell all themselves, and whether its order is a guess.

    `file` is what all columns tell of the order, by mark.
    """
    if not found.marks:
        return (DateForm(short_years=True) if found.short else None), False
    mark = min(found.marks)
    own = sum(found.orders.values(), Counter[Order]())
    others = set(file.get(mark, ())) - {"ymd"}
    if own:
        return DateForm(order=own.most_common(1)[0][0], short_years=found.short), False
    if len(others) == 1:
        return DateForm(order=others.pop(), short_years=found.short), False
    return DateForm(order=_USUAL[mark], short_years=found.short), bool(found.open.any()) and mark != "."


def read_dates(text: pl.Series, form: DateForm) -> pl.Series:
    """A column by its form, as `DateForm.moment` reads a cell; null for what is no date of the form."""
    if (alike := _read_alike(text, form)) is not None:
        return alike
    year, month, day = _calendar(form)
    moments = text.to_frame("cell").lazy().with_columns(parts=pl.col("cell").str.extract_groups(DATE))
    moments = moments.unnest("parts").with_columns(y=year, m=month, d=day).with_columns(_days(), _offset())
    hour = pl.col("hour").cast(pl.Int64).fill_null(0)
    half = pl.col("half").str.to_lowercase()
    hours = (
        pl.when(half.is_null()).then(hour).otherwise(hour % 12 + pl.when(half == "p").then(12).otherwise(0))
    )
    minute, second = (pl.col(name).cast(pl.Int64).fill_null(0) for name in ("minute", "second"))
    fraction = pl.col("fraction").str.pad_end(6, "0").str.head(6).cast(pl.Int64).fill_null(0)
    seconds = hours * 3600 + minute * 60 + second - pl.col("offset") * 60
    moment = pl.col("days") * MICROSECONDS_A_DAY + seconds * _SECOND + fraction
    on_clock = (hours < 24) & (half.is_null() | hour.is_between(1, 12)) & (minute < 60) & (second < 60)
    valid = (
        on_clock & (pl.col("offset").abs() < 24 * 60) & (pl.col("mark") == pl.col("mark2")).fill_null(True)
    )
    in_range = moment.is_between(_EARLIEST, _LATEST + MICROSECONDS_A_DAY - 1)
    short = pl.col("cell").str.len_chars() <= LONGEST
    read = pl.when(valid & in_range & short).then(moment).cast(pl.Datetime("us"))
    return moments.select(read).collect().to_series().alias(text.name)


def _read_alike(text: pl.Series, form: DateForm) -> pl.Series | None:
    """A column of dates that are all written alike, in a tenth of the time; None where they are not."""
    first = text.drop_nulls().head(1)
    format_ = _format(date_parts(first[0]), form) if len(first) else None
    if format_ is None:
        return None
    dates = text.str.to_datetime(format_, strict=False, time_unit="us")
    # What parses a format is lenient, so the pattern is to fit too; a year of two digits is another's.
    likely = text.str.contains(DATE) & _have_full_years(text)
    if dates.null_count() > text.null_count() or not likely.all():
        return None
    moments = without_zone(dates)
    # A zone may move the last day of the year 9999 out of what Python knows.
    in_range = moments.dt.epoch("us").is_between(_EARLIEST, _LATEST + MICROSECONDS_A_DAY - 1)
    return moments if in_range.all() else None


def _format(parts: dict[str, str], form: DateForm) -> str | None:
    """The format, in polars' letters, of the date that has these parts; None where it takes more than one."""
    if not parts or not parts.keys().isdisjoint(("month", "named", "half")):
        return None
    if "zone" in parts:
        return "%+" if "second" in parts and "d1" in parts else None
    mark = parts.get("mark") or {"d1": "-", "d2": "/", "d3": "."}[next(n for n in parts if n[0] == "d")]
    letters = "Ymd" if "year" in parts else ("mdY" if form.order == "mdy" else "dmY")
    clock = " %H:%M" if "minute" in parts else ""
    clock += ":%S" if "second" in parts else ""
    return mark.join(f"%{letter}" for letter in letters) + clock + ("%.f" if "fraction" in parts else "")


def without_zone(dates: pl.Series) -> pl.Series:
    """Points in time as UTC tells them."""
    zone = getattr(dates.dtype, "time_zone", None)
    return dates if zone is None else dates.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def calendar_numbers(numbers: pl.Series) -> bool:
    """Whether whole numbers are days such as 20190327, all of them."""
    present = numbers.drop_nulls()
    if not len(present) or not present.is_between(_FIRST_CALENDAR_NUMBER, _LAST_CALENDAR_NUMBER).all():
        return False
    return bool(present.unique().cast(pl.String).str.to_date("%Y%m%d", strict=False).is_not_null().all())


def _whole(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64, strict=False)


def _have_full_years(dates: pl.Series) -> pl.Series:
    """Which dates have a year of four digits; a fraction of a second may have four, and a zone too."""
    return dates.str.replace(_CLOCK, "").str.contains("[0-9]{4}")


def _short_years(dates: pl.DataFrame) -> bool:
    """Years of two digits are years where all are, written alike: `10.14.06` is a version as well as not."""
    if _have_full_years(dates["cell"]).any():
        return False
    numbered = dates.filter(pl.col("mark").is_not_null())
    alike = numbered["padded"] | (numbered["mark"] == "/")
    american = (numbered["mark"] == ".") & numbered["month"]
    return bool(numbered["mark"].n_unique() <= 1 and alike.all() and not american.any())


def _calendar(form: DateForm) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Year, month and day of `_parts`, null where the form knows none."""
    col = pl.col
    places = dict(zip(form.order, ("first", "between", "last"), strict=True))
    usual = dict(zip("dmy" if form.order == "ymd" else form.order, ("first", "between", "last"), strict=True))
    short = col("last").str.len_chars() == 2
    numbered: dict[str, pl.Expr] = {}
    for letter in "ymd":
        by_short = _year(places["y"]) if letter == "y" else _whole(places[letter])
        by_full = _year(usual["y"]) if letter == "y" else _whole(usual[letter])
        fits = col(places["y"]).str.len_chars() == 2 if form.short_years else pl.lit(False)
        numbered[letter] = pl.when(~short).then(by_full).when(short & fits).then(by_short)
    named_year = pl.coalesce("in", "of")
    known = (named_year.str.len_chars() == 4) | pl.lit(form.short_years)
    name = pl.coalesce("month", "named").str.to_lowercase()
    named_month = name.replace_strict(MONTHS, default=None, return_dtype=pl.Int64)
    return (
        pl.coalesce(_whole("year"), pl.when(known).then(_full_year(named_year)), numbered["y"]),
        pl.coalesce(*map(_whole, ("m1", "m2", "m3")), named_month, numbered["m"]),
        pl.coalesce(*map(_whole, ("d1", "d2", "d3", "day", "on")), numbered["d"]),
    )


def _year(name: str) -> pl.Expr:
    return _full_year(pl.col(name))


def _full_year(written: pl.Expr) -> pl.Expr:
    """As `dates.full_year` has it."""
    year = written.cast(pl.Int64, strict=False)
    century = pl.when(year <= LATEST_SHORT_YEAR).then(2000).otherwise(1900)
    return pl.when(written.str.len_chars() > 2).then(year).otherwise(year + century)


def _days() -> pl.Expr:
    """Days since 1970-01-01 of `y`, `m` and `d` of the Gregorian calendar; null where it has no such day."""
    y, m, d = pl.col("y"), pl.col("m"), pl.col("d")
    leap = ((y % 4 == 0) & (y % 100 != 0)) | (y % 400 == 0)
    longest = pl.when(m == 2).then(pl.when(leap).then(29).otherwise(28)).when(m.is_in([4, 6, 9, 11])).then(30)
    exists = y.is_between(1, 9999) & m.is_between(1, 12) & (d >= 1) & (d <= longest.otherwise(31))
    # Counted from March, so that the day that some years have more is their last.
    since = y - (m <= 2).cast(pl.Int64)
    of_year = (153 * ((m + 9) % 12) + 2) // 5 + d - 1
    days = since * 365 + since // 4 - since // 100 + since // 400 + of_year - 719468
    return pl.when(exists).then(days).alias("days")


def _offset() -> pl.Expr:
    """Minutes that the zone is ahead of UTC."""
    zone = pl.col("zone")
    hours, minutes = (zone.str.extract(ZONE, group).cast(pl.Int64, strict=False) for group in (1, 2))
    ahead = hours * 60 + minutes.fill_null(0)
    signed = pl.when(zone.str.contains("-", literal=True)).then(-ahead).otherwise(ahead)
    return signed.fill_null(0).alias("offset")


def orders_of(surveys: Iterable[Survey]) -> dict[str, Counter[Order]]:
    """What columns tell together of the order of day and month, by the mark between them."""
    told: defaultdict[str, Counter[Order]] = defaultdict(Counter)
    for found in surveys:
        for mark, orders in found.orders.items():
            told[mark] += orders
    return dict(told)
