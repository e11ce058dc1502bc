"""Datasets by their names: a name, or with an `@` behind it the first letters of the sha256."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa

from store import ids
from store.datasets import Listed, select_listed
from store.projects import only
from store.session import Connection
from store.tables import datasets

FEWEST_LETTERS: Final = 4
"""Of a sha256 behind an `@`."""
MOST_CALLED: Final = 10
"""Datasets of one name that are told of."""
_LETTERS: Final = re.compile(rf"(.+)@([0-9a-f]{{{FEWEST_LETTERS},64}})", re.DOTALL | re.IGNORECASE)
_MOST_NAMES: Final = 200


def find_called(tx: Connection, word: str) -> list[Listed]:
    """The datasets of this project that a word stands for, the newest first: one more than are told of.

    An id is nothing else. Other words may stand for several: a name may look like another's with its letters.
    """
    by_age = (datasets.c.created_at.desc(), datasets.c.id.desc())
    for meant in (_by_id(word), _by_name(word)):
        found = select_listed().where(only(tx, datasets), meant).order_by(*by_age).limit(MOST_CALLED + 1)
        if rows := tx.execute(found).all():
            return [Listed(**row._mapping) for row in rows]
    return []


def _by_id(word: str) -> sa.ColumnElement[bool]:
    return datasets.c.id == word if ids.possible(word) else sa.false()


def _by_name(word: str) -> sa.ColumnElement[bool]:
    """A name, or a name with letters of the sha256."""
    called = datasets.c.name == word
    if (written := _LETTERS.fullmatch(word)) is None:
        return called
    begins = datasets.c.sha256.startswith(written[2].lower(), autoescape=True)
    return sa.or_(called, sa.and_(datasets.c.name == written[1], begins))


def ids_called(tx: Connection, word: str) -> list[str]:
    """The ids of all that a word may stand for: a list is narrowed to all of them."""
    found = sa.select(datasets.c.id).where(only(tx, datasets), sa.or_(_by_id(word), _by_name(word)))
    return list(tx.execute(found).scalars())


def recent_names(tx: Connection) -> list[str]:
    """The names of the newest datasets, for whoever misspelt one."""
    by_age = (datasets.c.created_at.desc(), datasets.c.id.desc())
    found = sa.select(datasets.c.name).where(only(tx, datasets)).order_by(*by_age).limit(_MOST_NAMES)
    return list(dict.fromkeys(tx.execute(found).scalars()))
