"""Asking for things by their names: a whole name, or with a `*` behind it how names begin."""

from __future__ import annotations

import sys

import sqlalchemy as sa

_STAR = "*"
_LITERAL = "\\*"


def is_prefix(word: str) -> bool:
    """Whether a word stands for all names that begin so: `credit*`, but not `credit\\*`, which has a star."""
    return word.endswith(_STAR) and not word.endswith(_LITERAL)


def match_name(column: sa.ColumnElement[str], word: str) -> sa.ColumnElement[bool]:
    """The rows that a word asks for; as a range where it is a prefix, which an index answers."""
    if not is_prefix(word):
        return column == (word[: -len(_LITERAL)] + _STAR if word.endswith(_LITERAL) else word)
    prefix = word[: -len(_STAR)]
    behind = _behind(prefix)
    begins = column >= prefix
    return begins if behind is None else sa.and_(begins, column < behind)


def _behind(prefix: str) -> str | None:
    """The first text behind all that begins so, in the order of code points; None where there is no end."""
    kept = prefix.rstrip(chr(sys.maxunicode))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Between 0xD800 and 0xDFFF lie surrogates, which are no characters.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)
