"""What a Parquet file's metadata say of its columns: pandas' index, and which columns hold categories.

Arrow keeps its schema in the file as a FlatBuffer, in which a category is a field with a dictionary; polars
reads such a column of whole numbers as whole numbers. What is damaged says nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PREFIX: Final = 8
"""Bytes before the message: a continuation mark and its length."""
_HEADER, _FIELDS, _NAME, _DICTIONARY = 2, 1, 0, 4
"""Places of fields within their tables: of Message, Schema, Field and Field."""
_MOST_COLUMNS: Final = 100_000
_LONGEST_NAME: Final = 1000
"""Bytes; columns with longer names are refused anyway."""


def index_columns(metadata: Mapping[str, str]) -> frozenset[str]:
    """The columns in which pandas wrote the index of a frame."""
    named = _pandas(metadata).get("index_columns")
    return (
        frozenset(name for name in named if isinstance(name, str)) if isinstance(named, list) else frozenset()
    )


def categories(metadata: Mapping[str, str]) -> frozenset[str]:
    """The columns that pandas or Arrow wrote as categories, whatever their values are."""
    described = _pandas(metadata).get("columns")
    columns = [
        column for column in (described if isinstance(described, list) else ()) if isinstance(column, dict)
    ]
    categorical = [column for column in columns if column.get("pandas_type") == "categorical"]
    by_pandas = [column.get("field_name", column.get("name")) for column in categorical]
    try:
        schema = base64.b64decode(metadata.get("ARROW:schema", ""), validate=True)
        by_arrow = list(_dictionaries(schema[_PREFIX:])) if schema else []
    except (binascii.Error, struct.error, ValueError):
        by_arrow = []
    return frozenset(name for name in (*by_pandas, *by_arrow) if isinstance(name, str))


def _pandas(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        told = json.loads(metadata.get("pandas", "{}"))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _dictionaries(message: bytes) -> Iterator[str]:
    """Names of a schema's fields that have a dictionary; `ValueError`, `struct.error` where it is none."""
    schema = _followed(message, _field(message, _followed(message, 0), _HEADER))
    fields = _followed(message, _field(message, schema, _FIELDS))
    for number in range(min(_unsigned(message, fields), _MOST_COLUMNS)):
        field = _followed(message, fields + 4 * (number + 1))
        if _field(message, field, _DICTIONARY, optional=True):
            name = _followed(message, _field(message, field, _NAME))
            # All fields may point to one long name: such a file is told by the name, and not here.
            yield message[name + 4 : name + 4 + min(_unsigned(message, name), _LONGEST_NAME)].decode()


def _field(message: bytes, table: int, place: int, *, optional: bool = False) -> int:
    """Where a field of a table lies; 0 where the table has none."""
    (back,) = struct.unpack_from("<i", message, table)
    virtual = table - back
    entry = 4 + 2 * place
    if virtual < 0:
        raise ValueError("a table before the message")
    (size,) = struct.unpack_from("<H", message, virtual)
    offset = struct.unpack_from("<H", message, virtual + entry)[0] if entry + 2 <= size else 0
    if not offset and not optional:
        raise ValueError("a table without its field")
    return table + offset if offset else 0


def _followed(message: bytes, place: int) -> int:
    return place + _unsigned(message, place)


def _unsigned(message: bytes, place: int) -> int:
    value: int = struct.unpack_from("<I", message, place)[0]
    return value
