"""What rows are counted as taking, beside files, in what a project stores.

A document counts with the bytes of the JSON text that is stored, so what people write and what training
tells counts as what it is. The rest of a row, its entries in indexes included, counts as a round number,
measured on PostgreSQL: an estimate, which no database answers for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

DATASET: Final = 800
JOB: Final = 1_000
LABEL: Final = 300
ATTEMPT: Final = 250
SCORE: Final = 300
"""A number that jobs are sorted by, and what finds it."""
EVENT: Final = 200
EPOCH: Final = 250
WEIGHTS: Final = 350


class Entry(Protocol):
    """Something that is told to a job's log."""

    @property
    def data(self) -> dict[str, Any]: ...


def of_documents(documents: Iterable[Any]) -> int:
    """The bytes of documents as they are stored: JSON text; None takes nothing."""
    return sum(_length(document) for document in documents if document is not None)


def _length(document: Any) -> int:
    try:
        return len(orjson.dumps(document))
    except TypeError:
        return 0  # It cannot be stored either, and the statement that tries says why.


def of_text(text: str | None) -> int:
    """The bytes of text as it is stored."""
    return len(text.encode("utf-8", "replace")) if text else 0


def of_job(values: Mapping[str, Any]) -> int:
    """A new job's row, and what finds it by its metadata."""
    documents = (values.get(name) for name in ("spec", "equivalents", "warnings", "metadata"))
    return JOB + of_documents(documents) + LABEL * len(values.get("metadata") or ())


def of_ending(values: Mapping[str, Any]) -> int:
    """What the end of a job adds to its row."""
    documents = (values.get(name) for name in ("result", "error", "environment"))
    return of_documents(documents) + of_text(values.get("stop_detail"))


def of_entries(entries: Sequence[Entry]) -> int:
    """Rows of a job's log."""
    return EVENT * len(entries) + of_documents(entry.data for entry in entries)


def of_stored(*documents: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """The bytes of documents that are there, as `of_documents` counted them when they were written."""
    total: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger)
    for document in documents:
        total = total + sa.func.coalesce(octets(document), 0)
    return total


class octets(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """The bytes of a stored document's text; NULL of NULL."""

    type = sa.BigInteger()
    name = "octets"
    inherit_cache = True


@compiles(octets, "postgresql")
def _octets_postgresql(element: octets, compiler: SQLCompiler, **options: Any) -> str:
    return f"octet_length(CAST({compiler.process(element.clauses, **options)} AS TEXT))"


@compiles(octets, "sqlite")
def _octets_sqlite(element: octets, compiler: SQLCompiler, **options: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"
