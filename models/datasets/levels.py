"""Which level of a categorical column a cell of a request means: the one spelled so, or an equal number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from models.datasets import cells
from models.suggestions import near_name

_COMPARED: Final = 50
"""Levels that a misspelt one is compared with: of long ones each takes milliseconds."""
_ZERO_FIRST: Final = re.compile(r"[+-]?0\d")
"""`02134` is a code and no number: it differs from `2134`."""


class Levels:
    """The levels of one column that training knew.

    A cell is the level that is spelled like it. Where none is, and the cell and exactly one level are the
    same number (2, 2.0 and 2e0), it is that level; and JSON's true and false are the levels `true` and
    `False`. So the answer does not depend on how a program writes a number.
    """

    def __init__(self, known: Sequence[str]) -> None:
        """`known` are the levels with an input of their own; empty: nothing is known of them."""
        self._known = frozenset(known)
        self._by_value = _by_value(known)

    def __bool__(self) -> bool:
        return bool(self._known)

    def __contains__(self, text: str) -> bool:
        return text in self._known

    def level_of(self, cell: str | float) -> str | None:
        """The known level that `cell`, stripped text or a JSON value, stands for; None where none is."""
        written = str(cell)
        if written in self._known:
            return written
        return self._by_value.get(_value(cell)) if self._by_value else None

    def nearest(self, text: str) -> str | None:
        """A known level that may have been meant: `02134` for 2134; of few levels also `Red` for red."""
        bare = text.lstrip("0")
        padded = [level for level in self._known if level != text and level.lstrip("0") == bare]
        if padded or len(self._known) > _COMPARED:
            return min(padded, default=None)
        return near_name(text, sorted(self._known))


def _by_value(known: Sequence[str]) -> dict[tuple[str, float] | None, str]:
    """Level by the number or truth that it is, where no other level is the same."""
    values = {level: _value(level) for level in known}
    times = Counter(values.values())
    return {value: level for level, value in values.items() if value is not None and times[value] == 1}


def _value(cell: str | float) -> tuple[str, float] | None:
    """What a cell is worth: a number, or a truth; None for other text."""
    if isinstance(cell, bool):
        return "truth", float(cell)
    if not isinstance(cell, str):
        return "number", float(cell)
    if (truth := cells.truth(cell)) is not None:
        return "truth", truth
    number = None if _ZERO_FIRST.match(cell) else cells.number(cell)
    return None if number is None else ("number", number)
