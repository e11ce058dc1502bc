"""How dates are written: one pattern, of which polars reads a column and `DateForm.parse` a cell.

A year of four digits in front (`2019-03-27`) and a month by its name tell all by themselves. Where day, month
and year are numbers with the year last, or a year has two digits, a column's form says which is which. No
polars: a web server reads cells.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final, Literal

from models.frozen import Frozen

MICROSECONDS_A_DAY: Final = 86_400_000_000
LONGEST: Final = 60
"""Characters of a cell; a longer one is no date."""
LATEST_SHORT_YEAR: Final = 68
"""Of two digits: 68 is 2068 and 69 is 1969, as POSIX has it."""

MONTHS: Final[dict[str, int]] = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar jänner janv janvier ene enero gennaio",
            "feb february februar febr févr fév février febrero febbraio",
            "mar march mär märz mrz mars marzo",
            "apr april avr avril abr abril aprile",
            "may mai mayo maggio mag",
            "jun june juni juin junio giugno giu",
            "jul july juli juil juillet julio luglio lug",
            "aug august août aoû ago agosto",
            "sep sept september septembre septiembre settembre set",
            "oct october okt oktober octobre octubre ottobre ott",
            "nov november novembre noviembre",
            "dec december dez dezember déc décembre dic diciembre dicembre",
        ),
        start=1,
    )
    for name in names.split()
}
"""Months by their names in small letters: English, German, French, Spanish, Italian."""

_NAMED: Final = r"[A-Za-zäéûÄÉÛ]{3,10}"
_DAY_NAME: Final = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Mo|Di|Mi|Do|Fr|Sa|So)[a-z]*\.?,? )?"
_TIME: Final = (
    r"(?:(?:[T:, ]|, ) ?(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?P<zone>[Zz]|(?:(?:UTC|GMT) ?)?[+-](?:[0-9]{2}(?::?[0-9]{2})?|[0-9](?::[0-9]{2})?)|UTC|GMT))?)?"
)
ZONE: Final = r"^(?:UTC ?|GMT ?)?[+-](?P<hours>[0-9]{1,2}?)(?::?(?P<minutes>[0-9]{2}))?$"
"""The zone of a date: how far it is ahead of UTC."""
DATE: Final = (
    rf"^{_DAY_NAME}(?:"
    r"(?P<year>[0-9]{4})(?:-(?P<m1>[0-9]{1,2})-(?P<d1>[0-9]{1,2})|/(?P<m2>[0-9]{1,2})/(?P<d2>[0-9]{1,2})"
    r"|\.(?P<m3>[0-9]{1,2})\.(?P<d3>[0-9]{1,2})\.?)"
    r"|(?P<first>[0-9]{1,2})(?P<mark>[-./])(?P<between>[0-9]{1,2})(?P<mark2>[-./])(?P<last>[0-9]{4}|[0-9]{2})"
    rf"|(?P<day>[0-9]{{1,2}})(?:\. |[-/. ])?"
    rf"(?P<month>{_NAMED})(?:[.,] |[-/., ])?(?P<in>[0-9]{{4}}|[0-9]{{2}})"
    rf"|(?P<named>{_NAMED})\.? (?P<on>[0-9]{{1,2}}),? (?P<of>[0-9]{{4}})"
    rf"){_TIME}$"
)
"""A date, with a time of the day or not, as polars and Python read patterns alike."""

_DATE: Final = re.compile(DATE)
_ZONE: Final = re.compile(ZONE)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - dates without a zone are told as UTC tells them
Order = Literal["ymd", "dmy", "mdy"]


class DateForm(Frozen):
    """How a column writes its dates where they do not tell it themselves."""

    kind: Literal["date"] = "date"
    order: Order = "dmy"
    """Of `3/4/2026` and, where years are short, of `3/4/26`; `ymd` has years of two digits in front."""
    short_years: bool = False
    """Whether years of two digits are years: `69` to `99` are 1969 to 1999."""

    def parse(self, cell: str) -> float | None:
        """A cell of the column as days since 1970-01-01 UTC; None where it is none, or of another form."""
        moment = self.moment(cell)
        # polars divides by a constant as it multiplies by its inverse; so do we, to the last bit.
        return None if moment is None else _microseconds(moment) * (1 / MICROSECONDS_A_DAY)

    def moment(self, cell: str) -> datetime | None:
        """A cell as a point in time as UTC tells it, without a zone; None where it is none."""
        parts = date_parts(cell)
        if not parts or not (day := self._day(parts)):
            return None
        try:
            return datetime(*day, *_time(parts)) - _offset(parts)  # noqa: DTZ001 - as above
        except (ValueError, OverflowError):
            return None

    def _day(self, parts: dict[str, str]) -> tuple[int, int, int] | None:
        """Year, month and day."""
        if year := parts.get("year"):
            month, day = (next(parts[f"{key}{n}"] for n in "123" if f"{key}{n}" in parts) for key in "md")
            return int(year), int(month), int(day)
        if name := parts.get("month") or parts.get("named"):
            number = MONTHS.get(name.lower())
            year = parts.get("in") or parts["of"]
            if number is None or (len(year) == 2 and not self.short_years):
                return None
            return full_year(year), number, int(parts.get("day") or parts["on"])
        numbers = parts["first"], parts["between"], parts["last"]
        return None if parts["mark"] != parts["mark2"] else self._numbered(numbers)

    def _numbered(self, parts: tuple[str, str, str]) -> tuple[int, int, int] | None:
        short = len(parts[2]) == 2
        if short and not self.short_years:
            return None
        order = self.order if short or self.order != "ymd" else "dmy"
        by_letter = dict(zip(order, parts, strict=True))
        if len(by_letter["y"]) != len(parts[2]):
            return None
        return full_year(by_letter["y"]), int(by_letter["m"]), int(by_letter["d"])


def looks_like_a_date(cell: str) -> bool:
    """Whether a cell is a date of some form, or a day that no calendar has."""
    return bool(date_parts(cell))


def date_parts(cell: str) -> dict[str, str]:
    """The groups of `DATE` that a cell has; none where it is no date."""
    found = _DATE.fullmatch(cell) if len(cell) <= LONGEST else None
    return {} if found is None else {name: part for name, part in found.groupdict().items() if part}


def full_year(written: str) -> int:
    """A year of four or two digits."""
    year = int(written)
    return year if len(written) > 2 else year + (2000 if year <= LATEST_SHORT_YEAR else 1900)


def _time(parts: dict[str, str]) -> tuple[int, int, int, int]:
    """Hour, minute, second and microsecond; `ValueError` for 13 PM."""
    hour, minute, second = (int(parts.get(name, "0")) for name in ("hour", "minute", "second"))
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError("an hour of half a day")
        hour = hour % 12 + (12 if half in "Pp" else 0)
    return hour, minute, second, int(parts.get("fraction", "0").ljust(6, "0")[:6])


def _offset(parts: dict[str, str]) -> timedelta:
    """How far the zone is ahead of UTC; `ValueError` where it is a day and more."""
    if not (found := _ZONE.fullmatch(parts.get("zone", ""))):
        return timedelta(0)
    ahead = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    if ahead >= timedelta(days=1):
        raise ValueError("a zone a day away")
    return -ahead if "-" in parts["zone"] else ahead


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
