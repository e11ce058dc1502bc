"""What is made of the first line of a table: names, or a refusal that says what it is instead. No polars."""

from __future__ import annotations

from typing import Final

from models.datasets import headers
from models.datasets.delimiters import Cut, best_cut, is_number_like
from models.errors import DatasetError

_EVEN: Final = 0.9
_NAMED: Final = 12
_COUNTED: Final = 3
"""No row counts further by chance."""
_DOUBT: Final = (
    "line {} is read as the names of the columns, though it may be a row ({}): "
    "if it is one, add a line of names above it"
)


def refuse_titles(found: Cut, skipped: int) -> None:
    """`DatasetError` where the first line is no row of names, but stands above one or lacks a name."""
    first, width = found.rows[0], found.width
    filled = [sum(bool(cell.strip()) for cell in row) for row in found.rows]
    even = [len(row) == width for row in found.rows]
    if width < 2:
        return
    start = next((at for at in range(1, len(even)) if even[at] and filled[at] > width / 2), 0)
    if len(first) == width:
        is_title = width > 2 and filled[0] == 1
    else:
        below = headers.judge(found.rows[start], found.rows[start + 1 :])
        is_title = len(first) < width and (len(first) == 1 or start > 1 or below.headed)
    is_table = start and sum(even[start:]) >= max(2, _EVEN * (len(even) - start))
    if is_title and is_table and not any(is_number_like(cell.strip()) for cell in found.rows[start]):
        line = skipped + found.lines[start] + 1
        raise DatasetError(
            f"line {skipped + 1} does not name the columns: the table seems to begin in line {line}",
            suggestion=f"leave out the lines above line {line}",
        )
    if 1 < len(first) == width - 1 and len(even) > 2 and all(even[1:]):
        _refuse_nameless_cells(found, skipped)


def refuse_quoted_lines(found: Cut) -> None:
    """`DatasetError` where every cell is a line of a table, as it is once a whole line was quoted."""
    inner = best_cut([f"{cell}\n" for row in found.rows for cell in row], whole=True)
    if len(found.rows) > 1 and inner.headed and inner.share >= _EVEN:
        raise DatasetError(
            "every line stands in quotes as a whole, so that it is one cell",
            suggestion="take away the quotes around the lines",
        )


def _refuse_nameless_cells(found: Cut, skipped: int) -> None:
    """`DatasetError` for rows that all have one cell more than there are names."""
    line, width = skipped + found.lines[1] + 1, found.width
    said = f"line {line} has {width} cells where there are {width - 1} columns, and so has every other"
    if not any(row[-1].strip() for row in found.rows[1:]):
        raise DatasetError(
            f"{said}: they end in a delimiter, and the line of names does not",
            suggestion=f"end the first line by {found.delimiter!r} too, or no line",
        )
    raise DatasetError(
        f"{said}: where the first cells number or name the rows, as R writes them, they need a name too",
        suggestion="write.csv(data, path, row.names = FALSE), or a name for the first column",
    )


def notes_on_names(names: list[str], found: Cut, line: int) -> list[str]:
    """Notes on names that may be a row; `DatasetError` where they surely are."""
    judged = headers.judge(names, found.rows[1:])
    if all(is_number_like(name) for name in names):
        if not headers.is_counted(names):
            refuse_numbers(names)
        if not judged.within or len(names) > _COUNTED:
            return []
        if not _count_columns(names):
            raise _no_names(line, judged.against, _made_names(len(names), found.delimiter))
        return [_DOUBT.format(line, judged.against)]
    if judged.verdict == "row":
        raise _no_names(line, judged.against, _made_names(len(names), found.delimiter))
    if judged.verdict == "doubtful":
        return [_DOUBT.format(line, judged.against)]
    return []


def _no_names(line: int, against: str, instead: str) -> DatasetError:
    return DatasetError(
        f"line {line} seems to be a row and not the names of the columns: {against}",
        suggestion=f"add a first line of names, such as {instead}",
    )


def refuse_numbers(names: list[str]) -> None:
    """A first line of numbers is a row, unless it counts the columns as programs do for want of names."""
    if not all(_is_number(name) for name in names) or _count_columns(names):
        return
    raise DatasetError(
        "the first line holds numbers only, so the columns have no names",
        suggestion=f"add a first line such as {_made_names(len(names), ',')}",
    )


def _count_columns(names: list[str]) -> bool:
    return names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))])


def _made_names(count: int, delimiter: str) -> str:
    if count > _NAMED:
        return delimiter.join(["x1", "x2", "…", "y"])
    return delimiter.join([f"x{number}" for number in range(1, count)] + ["y"])


def _is_number(text: str) -> bool:
    return is_number_like(text) or text.lower().lstrip("+-") in ("nan", "inf", "infinity")
