"""What may stand above the names in delimited text: empty lines, Excel's `sep=;`, comments. No polars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

COMMENT_MARKS: Final = ("#", "//", "%")

_SEP: Final = re.compile(r'("?)sep=(.|\\t)\1[\s,;|]*', re.IGNORECASE)


@dataclass(slots=True)
class Preamble:
    """The lines before the first that may belong to the table."""

    lines: int = 0
    delimiter: str | None = None
    """What `sep=` names."""
    comments: list[int] = field(default_factory=list)
    """Positions of lines that begin as comments do; the last may yet hold the names."""


def preamble(lines: Sequence[str]) -> Preamble:
    """Look for what stands above the table."""
    found = Preamble()
    for position, line in enumerate(lines):
        text = line.lstrip("\ufeff").rstrip("\r\n")
        if text.lstrip().startswith(COMMENT_MARKS):
            found.comments.append(position)
        elif found.delimiter is None and (said := _SEP.fullmatch(text)):
            found.delimiter = "\t" if said[2] == "\\t" else said[2]
        elif text.strip():
            found.lines = position
            return found
    # Nothing but such lines: then they are the table, whatever they look like.
    return Preamble()
