"""What is worth saying of a file's columns: a sentence each for a few, one for all others of a kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

_FEW = 5


class Findings:
    """Collects sentences about columns by kind, so that a thousand columns do not make a thousand notes."""

    def __init__(self) -> None:
        self._by_kind: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def add(self, kind: str, column: str, say: Callable[[], str] | None = None) -> None:
        """Say something of a column; `kind` says it of many, without the figures, or of one if that is all.

        Whoever is one of many is not asked: to look for a cell and its line takes time.
        """
        known = self._by_kind[kind]
        known[column] = say() if say is not None and len(known) < _FEW else kind

    def has(self, column: str) -> bool:
        """Whether anything was said of a column."""
        return any(column in said for said in self._by_kind.values())

    def columns(self, kind: str) -> frozenset[str]:
        """The columns of which this was said."""
        return frozenset(self._by_kind.get(kind, ()))

    def notes(self) -> list[str]:
        """All sentences, each naming its column in quotes."""
        notes = []
        for kind, said in self._by_kind.items():
            columns = list(said)
            notes += [f"column {column!r}: {said[column]}" for column in columns[:_FEW]]
            if rest := columns[_FEW:]:
                notes.append(f"{some_columns(rest)}: {kind}")
        return notes


def some_columns(names: list[str]) -> str:
    """`columns 'a', 'b' and 3 more`."""
    return ("column " if len(names) == 1 else "columns ") + some([repr(name) for name in names])


def some(names: list[str]) -> str:
    """The first five, and how many more."""
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
