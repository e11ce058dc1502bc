"""Text in CSV that a spreadsheet would run: made harmless, in a way that can be undone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_RUN: Final = re.compile("[ ']*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet takes for a formula, be it in wide letters; and apostrophes before it, to tell ours."""
_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def as_cell(text: str) -> str:
    """Text, with an apostrophe in front where a spreadsheet would run it; `-1` and `+.5e3` are numbers.

    To undo it, take the apostrophe away in front of what would get one: `original`.
    """
    return f"'{text}" if _is_run(text) else text


def as_cells(texts: Iterable[str]) -> list[str]:
    return [as_cell(text) for text in texts]


def original(cell: str) -> str:
    """The text of which `as_cell` made this cell."""
    return cell[1:] if cell.startswith("'") and _is_run(cell[1:]) else cell


def _is_run(text: str) -> bool:
    return _RUN.match(text) is not None and _NUMBER.fullmatch(text) is None
