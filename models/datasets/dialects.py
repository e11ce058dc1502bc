"""How cells of delimited text are quoted: the ways that are read, and where one of them fails. No polars.

Python's `csv`, strict, says what a row is wherever a file holds a quote. RFC 4180 is read first; others are
tried where that fails, or where what it reads could be meant in another way.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.errors import DatasetError

if TYPE_CHECKING:
    from _csv import Reader


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way to quote cells."""

    escaped: bool = False
    """A backslash stands before quotes, delimiters and line ends in cells, as Spark and MySQL write them."""
    spaced: bool = False
    """Spaces may stand between a delimiter and a quote."""
    quote: str = '"'

    def reader(self, lines: Iterable[str], delimiter: str) -> Reader:
        """Python's reader, strict; `csv.Error` where the lines are not written in this dialect."""
        return csv.reader(
            _only_escapes(lines, delimiter) if self.escaped else lines,
            delimiter=delimiter,
            quotechar=self.quote,
            # Without doublequote Python's reader is not strict; beside escapes it changes nothing.
            escapechar="\\" if self.escaped else None,
            skipinitialspace=self.spaced,
            strict=True,
        )

    @property
    def note(self) -> str | None:
        """What a dataset's notes say of it; None for RFC 4180."""
        said = []
        if self.escaped:
            said.append(
                "backslashes before quotes and delimiters are read as escapes, as Spark and MySQL write them"
            )
        if self.spaced:
            said.append("spaces between a delimiter and a quote are left out")
        if self.quote != '"':
            said.append("single quotes around cells are left out")
        return "; ".join(said) or None


PLAIN: Final = Dialect()
"""RFC 4180: a quote within a quoted cell is written twice. A quote within a plain cell is a character."""
ESCAPED: Final = Dialect(escaped=True)
SPACED: Final = Dialect(spaced=True)
ESCAPED_AND_SPACED: Final = Dialect(escaped=True, spaced=True)

SINGLE: Final = Dialect(quote="'")

DIALECTS: Final = (PLAIN, ESCAPED, SPACED, ESCAPED_AND_SPACED)
"""Those with double quotes."""


def _only_escapes(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    r"""Lines in which a backslash stays one before what needs no escape, as in `C:\dir` and `\N`."""
    literal = re.compile(rf'\\([\\"\r\n{re.escape(delimiter)}]?)')

    def kept(found: re.Match[str]) -> str:
        return found[0] if found[1] else "\\\\"

    for line in lines:
        # Of an escaped line end Python's reader takes one character only.
        yield literal.sub(kept, line).replace("\\\r\n", "\\\n") if "\\" in line else line


def is_blank(row: list[str], width: int) -> bool:
    """Whether a line is none of a table of so many columns: it is empty, or spaces."""
    return not row or (len(row) == 1 < width and not row[0].strip(" \t\f\x1a"))


def unreadable(
    error: csv.Error, lines: Iterable[str], begin: int, end: int, delimiter: str, dialect: Dialect
) -> DatasetError:
    """Say in which line the cell begins that strict reading fell over.

    `lines` are those from the row's first, whose number is `begin`, to the one that was read last, `end`.
    """
    cell = _open_cell(lines, begin, delimiter, dialect)
    if "unexpected end of data" in str(error):
        return DatasetError(
            f"line {cell} cannot be read: a quote that opens a cell there is never closed",
            suggestion="close every quoted cell by a quote, and write a quote inside one twice",
        )
    if "field larger than field limit" in str(error):
        return DatasetError(
            f"line {cell} cannot be read: a cell that begins there has more than {csv.field_size_limit():,} "
            "characters",
            suggestion="close every quoted cell by a quote, and write a quote inside one twice",
        )
    began = f" (the cell begins in line {cell})" if cell != end else ""
    return DatasetError(
        f"line {end} cannot be read: text follows the quote that closes a cell{began}",
        suggestion='write a quote inside a quoted cell twice, as in "24"" monitor"',
    )


def _open_cell(lines: Iterable[str], begin: int, delimiter: str, dialect: Dialect) -> int:
    """The line of the last quote that opens a cell."""
    spaces = " *" if dialect.spaced else ""
    opening = re.compile(rf"(?:^|{re.escape(delimiter)}){spaces}{dialect.quote}")
    escapes = r"\\[\s\S]|" if dialect.escaped else ""
    within = r'[^"\\]*+' if dialect.escaped else r'[^"]*+'
    closing = re.compile(f'{within}(?:(?:{escapes}""){within})*+"'.replace('"', dialect.quote))
    began, inside = begin, False
    for number, line in enumerate(lines, begin):
        position = 0
        while found := (closing.match if inside else opening.search)(line, position):
            inside, position = not inside, found.end()
            if inside:
                began = number
    return began
