"""What separates the cells of delimited text: judged by its first lines. No polars."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from models.datasets.dialects import DIALECTS, PLAIN, SINGLE, Dialect, is_blank
from models.errors import DatasetError

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_OTHERS: Final = {
    "::": "double colons",
    ":": "colons",
    "^": "carets",
    "~": "tildes",
    "\x01": "the character 0x01, as Hive writes it",
    "\x1f": "the character 0x1f",
    "¦": "broken bars",
    "§": "section signs",
}
_SAMPLED: Final = 100
_SCORED: Final = 20
_ALIKE: Final = 0.1
_NEARLY_ALL: Final = 0.9
_NUMBER: Final = re.compile(r"[-+]?[$€£]?\s?(\d[\d.,' ]*|[.,]\d+)([eE][-+]?\d+)?\s?%?")


@dataclass(frozen=True, slots=True)
class Cut:
    """The first lines of a file as one delimiter cuts them."""

    delimiter: str
    dialect: Dialect
    rows: list[list[str]]
    """Lines that hold something, the names among them."""
    lines: list[int]
    """Where each begins, counted from 0."""
    broken: bool = False
    """A line could not be read."""

    @property
    def width(self) -> int:
        """How many cells most rows have."""
        return Counter(map(len, self.rows)).most_common(1)[0][0] if self.rows else 0

    @property
    def share(self) -> float:
        """Which part of the rows has as many cells as most; 0 where that is one."""
        width = self.width
        even = sum(len(row) == width for row in self.rows)
        return even / (len(self.rows) + self.broken) if width > 1 else 0.0

    @property
    def headed(self) -> bool:
        """Whether the first row has as many cells as most."""
        return bool(self.rows) and len(self.rows[0]) == self.width

    def numbers(self) -> float:
        """Which part of the cells holds a number, or nothing."""
        cells = [cell.strip() for row in self.rows[1 : _SCORED + 1] for cell in row]
        return sum(not cell or is_number_like(cell) for cell in cells) / max(len(cells), 1)

    def prose(self) -> bool:
        """Whether every cell but a row's first begins with a space, as words do after a comma."""
        cells = [cell for row in self.rows for cell in row[1:]]
        return bool(cells) and all(cell.startswith(" ") for cell in cells)

    def spaced_quotes(self) -> bool:
        """Whether cells begin with spaces and a quote: few mean that quote to stand in the cell."""
        return not self.dialect.spaced and any(
            cell.startswith(" ") and cell.lstrip(" ").startswith('"') for row in self.rows for cell in row
        )

    def single_quotes(self) -> bool:
        """Whether nearly every row under the names has cells in single quotes, and none is left open."""
        begun = [[cell.strip() for cell in row if cell.strip().startswith("'")] for row in self.rows[1:]]
        closed = all(len(cell) > 1 and cell.endswith("'") for row in begun for cell in row)
        return bool(begun) and closed and sum(map(bool, begun)) >= _NEARLY_ALL * len(begun)


def is_number_like(cell: str) -> bool:
    """Whether a cell looks like a number, however thousands, decimals, money or percent are written."""
    return _NUMBER.fullmatch(cell) is not None


def best_cut(lines: Sequence[str], *, whole: bool, most: int = _SAMPLED) -> Cut:
    """Cut the first lines by the delimiter under which they make a table most clearly.

    What decides is that most lines have equally many cells, the names among them; where several delimiters do
    that, as a comma within every cell does, it is the one that leaves numbers, or the more columns.
    `whole` says that the last line is not torn off.
    """
    cuts = [cut(lines, delimiter, whole=whole, most=most) for delimiter in DELIMITERS]
    best = max(one.share for one in cuts)
    alike = [one for one in cuts if one.share > 0 and one.share >= best - _ALIKE]
    if not alike:
        return max(cuts, key=lambda one: len(one.rows[0]) if one.rows else 0)
    return max(alike, key=lambda one: (one.headed, round(one.numbers(), 1), not one.prose(), one.width))


def cut(lines: Sequence[str], delimiter: str, *, whole: bool = True, most: int = _SAMPLED) -> Cut:
    """Cut the first lines, in the dialect that reads them most evenly."""
    best, shown = _cut(lines, delimiter, PLAIN, whole=whole, most=most), "".join(lines[: most + 1])
    if best.broken or best.share < 1 or best.spaced_quotes():
        # Most files hold neither escapes nor spaces before quotes, and need not be looked at again.
        escaped, spaced = "\\" in shown, ' "' in shown
        for dialect in DIALECTS[1:]:
            if dialect.escaped <= escaped and dialect.spaced <= spaced:
                other = _cut(lines, delimiter, dialect, whole=whole, most=most)
                better = other.share > best.share or (
                    other.share == best.share and not other.broken and best.spaced_quotes()
                )
                best = other if better else best
    if best.dialect == PLAIN and "'" in shown and '"' not in shown:
        other = _cut(lines, delimiter, SINGLE, whole=whole, most=most)
        best = other if other.share > best.share or best.single_quotes() else best
    return best if best.rows else _loosely_cut(lines, delimiter)


def _cut(lines: Sequence[str], delimiter: str, dialect: Dialect, *, whole: bool, most: int) -> Cut:
    rows: list[list[str]] = []
    begins: list[int] = []
    reader, begin, broken = dialect.reader(lines, delimiter), 0, False
    try:
        for row in reader:
            if not is_blank(row, 2):
                rows.append(row)
                begins.append(begin)
                if len(rows) > most:
                    return Cut(delimiter, dialect, rows, begins)
            begin = reader.line_num
    except csv.Error as error:
        # A quoted cell that the sample's end tears off is no fault of the dialect.
        broken = whole or "unexpected end of data" not in str(error)
    else:
        if not whole and len(rows) > 1:
            rows.pop(), begins.pop()
    return Cut(delimiter, dialect, rows, begins, broken)


def _loosely_cut(lines: Sequence[str], delimiter: str) -> Cut:
    """The first row, of which strict reading makes nothing; whoever reads on says what is wrong with it."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(islice(filter(None, csv.reader(lines, delimiter=delimiter)), 1))
    return Cut(delimiter, PLAIN, rows, [0] * len(rows), broken=True)


def refuse_other_separators(lines: Iterable[str]) -> None:
    """`DatasetError` where lines that no delimiter cuts are cut evenly by something that is not read."""
    filled = [line.rstrip("\r\n") for line in lines if line.strip()][:_SAMPLED]
    if len(filled) < 2:
        return
    for mark, name in _OTHERS.items():
        if _is_even([line.count(mark) for line in filled]):
            raise DatasetError(
                f"the cells are separated by {name}",
                suggestion="separate them by commas, semicolons, tabs or |",
            )
    if _is_even([len(line.split()) - 1 for line in filled]) or _has_gutter(filled):
        raise DatasetError(
            "the cells are separated by spaces, or have fixed widths",
            suggestion="separate them by commas: pandas.read_fwf(path).to_csv('data.csv', index=False)",
        )


def _is_even(counts: list[int]) -> bool:
    """Whether the first line holds a separator, and nearly all others equally many."""
    return counts[0] > 0 and sum(count == counts[0] for count in counts) >= _NEARLY_ALL * len(counts)


def _has_gutter(lines: list[str]) -> bool:
    """Whether there is a column of spaces between the texts of all lines."""
    width = max(map(len, lines))
    padded = [line.ljust(width) for line in lines]
    free = [all(line[position] == " " for line in padded) for position in range(width)]
    inked = [position for position, is_free in enumerate(free) if not is_free]
    return len(lines) > 2 and any(free[inked[0] : inked[-1]])
