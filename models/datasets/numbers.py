"""How numbers are written: which sign is the decimal one, which groups thousands, which unit stands beside.

A number that every program reads (`-12.5e3`) is plain and needs no form. All others are read by a form that a
whole column shares, since `2,288` alone is two numbers. `models.datasets.number_columns` finds a column's
form and reads the column by the very patterns that stand here; one cell is read by `NumberForm.parse`. No
polars: a web server reads cells.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, Literal

from models.frozen import Frozen

PERCENT: Final = "%"

LOOKALIKES: Final = {
    **dict.fromkeys("\t\u00a0\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))), " "),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
    **dict.fromkeys("\u2018\u2019\u2032\u00b4\u02bc`", "'"),
}
"""Spaces, minus signs and apostrophes of all kinds: each is read as its plain one."""

_CODES: Final = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HRK HUF IDR ILS INR ISK JPY KES KRW KZT "
    "MAD MXN MYR NGN NOK NZD PEN PHP PKR PLN QAR RMB RON RSD RUB SAR SEK SGD THB TRY TWD UAH USD UYU VND ZAR"
)
_NAMES: Final = r"[Ee]uros?|SFr\.?|Fr\.|[Kk]r\.?|zł|Kč|Ft|Rs\.?|руб\.?|р\.|元|円"
_SIGNS: Final = "$€£¥₹₽₩₪₺₴₫₱฿₦₡₲₵₸₼₾﷼￥￡"
UNIT: Final = (
    rf"[%‰]|[A-Z]{{0,3}}[{_SIGNS}]|{'|'.join(_CODES.split())}|{_NAMES}|{_CODES.lower().replace(' ', '|')}"
)
_SAME_UNIT: Final = {
    "EUR": "€",
    "EURO": "€",
    "EUROS": "€",
    "USD": "$",
    "US$": "$",
    "GBP": "£",
    "JPY": "¥",
    "RS": "₹",
}

LONGEST: Final = 200
"""Characters of a cell; a longer one is no number of a form."""
SPACES: Final = " {2,}"
"""Are one space."""

ANY_BODY: Final = r"[.,]?[0-9](?:[0-9.,' ]*[0-9])?(?:[.,]-{1,2}|[.,])?"
"""Digits and whatever may stand between and behind them, before it is known what the marks mean."""

_SHAPE: Final = (
    r"^(?P<open>\()? ?(?P<sign>[-+])? ?(?P<prefix>{unit})? ?(?P<inner>\()? ?(?P<after>[-+])? ?"
    r"(?P<body>{body})(?P<exponent>[eE][-+]?[0-9]+)? ?(?P<trail>-)? ?(?P<close>\))?"
    r" ?(?P<suffix>{unit})? ?(?P<behind>-)? ?(?P<last>\))?$"
)
SIGNS: Final = ("sign", "after", "trail", "behind")
"""Groups of which a number has one at most, or parentheses instead."""


def shape(body: str) -> str:
    """A pattern, for polars as for Python, that cuts a cell without lookalikes into sign, unit and digits."""
    return _SHAPE.format(unit=UNIT, body=body)


class NumberForm(Frozen):
    """How a column writes its numbers."""

    kind: Literal["number"] = "number"
    decimal: Literal[".", ","] = "."
    """The sign before the fraction."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    """The sign between groups of digits: three each, or two before the last three."""
    unit: str | None = None
    """`%`, or a currency as the column writes it; `45%` is 45."""

    def parse(self, cell: str) -> float | None:
        """A cell of the column as a number; None where it is none, or one of another form."""
        if len(cell) > LONGEST or not (found := _compiled(self.body()).fullmatch(plain_marks(cell))):
            return None
        parts = {name: part or "" for name, part in found.groupdict().items()}
        opened, closed = (sum(bool(parts[name]) for name in pair) for pair in (OPENING, CLOSING))
        signs = "".join(parts[name] for name in SIGNS)
        one_unit = not (parts["prefix"] and parts["suffix"])
        if opened != closed or opened + len(signs) > 1 or not one_unit:
            return None
        digits = parts["body"].rstrip("-")
        if self.thousands is not None:
            digits = digits.replace(self.thousands, "")
        number = float(digits.replace(self.decimal, ".") + parts["exponent"])
        unit = canonical_unit(parts["prefix"] or parts["suffix"])
        # Nothing is nothing in every unit.
        if not self.takes(unit) and not (unit is None and number == 0):
            return None
        return -number if opened or signs == "-" else number

    def takes(self, unit: str | None) -> bool:
        """Whether numbers with this unit (canonical; None for none) are of this form.

        An amount of money may lack its sign; in a column of percentages a bare number may be a fraction,
        unless it is 0.
        """
        own = canonical_unit(self.unit)
        return unit == own or (unit is None and own not in (None, PERCENT))

    def body(self) -> str:
        """A pattern of the digits, their groups and their fraction."""
        point, between = re.escape(self.decimal), self.thousands
        whole = "[0-9]+"
        if between is not None:
            mark = re.escape(between)
            grouped = rf"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+"
            indian = rf"|[1-9][0-9]?(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}" if between == "," else ""
            whole = f"(?:{grouped}{indian}|[0-9]+)"
        return rf"(?:{whole}{point}-{{1,2}}|{whole}(?:{point}[0-9]*)?|{point}[0-9]+)"


OPENING: Final = ("open", "inner")
CLOSING: Final = ("close", "last")


def plain_marks(cell: str) -> str:
    """The cell with plain spaces, minus signs and apostrophes, and none around it."""
    return _SPACES.sub(" ", cell.translate(_TRANSLATION)).strip(" ")


def canonical_unit(unit: str | None) -> str | None:
    """One name for `€`, `EUR` and `Euro`; None for no unit."""
    name = (unit or "").upper().rstrip(".")
    return _SAME_UNIT.get(name, name) or None


def unit_beside(cell: str) -> str | None:
    """The unit beside a number of whatever form, "" for none; None where the cell is no number."""
    found = _compiled(ANY_BODY).fullmatch(plain_marks(cell)) if len(cell) <= LONGEST else None
    return None if found is None else (found["prefix"] or found["suffix"] or "")


_TRANSLATION: Final = str.maketrans(LOOKALIKES)
_SPACES: Final = re.compile(SPACES)


@cache
def _compiled(body: str) -> re.Pattern[str]:
    return re.compile(shape(body))
