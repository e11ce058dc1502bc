"""Column types that mean the same on SQLite and PostgreSQL, and refuse what either cannot hold.

PostgreSQL refuses NUL and lone surrogates, SQLite overflows at 2^63 and turns NaN into NULL, and each would
say so in its driver's own words in the middle of a statement. These types refuse first, with one clear error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from store.errors import UnstorableValue

DEEPEST = 100
LARGEST = 2**63 - 1
_SQLITE_FORMAT = "%Y-%m-%d %H:%M:%f"


class Unbindable(UnstorableValue, DontWrapMixin):
    """What SQLAlchemy leaves unwrapped although it is raised while a statement's parameters are prepared.

    It is not in `store.errors` because the command line, which reads settings, would load SQLAlchemy with it.
    """


def check_text(text: str) -> None:
    """Refuse NUL and lone surrogates."""
    if "\x00" in text:
        raise Unbindable("text may not contain NUL characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise Unbindable("text may not contain unpaired surrogates")


def printable(text: str | None, longest: int) -> str | None:
    """Text made storable: what a database would refuse is replaced, what is too long is cut."""
    if text is None:
        return None
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def printable_values(values: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """The same for every text among some values."""
    return {
        name: printable(value, longest) if isinstance(value, str) else value for name, value in values.items()
    }


def _check_integer(number: int) -> None:
    if not -LARGEST - 1 <= number <= LARGEST:
        raise Unbindable("whole numbers must lie within 64 bits, from -2^63 to 2^63 - 1")


def _check_float(number: float) -> None:
    if not math.isfinite(number):
        raise Unbindable("numbers must be finite")


def check_json(value: Any) -> None:
    """Refuse what a database's JSON cannot hold: NaN, infinities, huge integers, NUL, surrogates, depth."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        if not level:
            return
        level = [child for item in level for child in _checked_children(item)]
    raise Unbindable(f"JSON may be nested at most {DEEPEST} deep")


def _checked_children(item: Any) -> list[Any]:
    match item:
        case None | bool():
            return []
        case str():
            check_text(item)
        case int():
            _check_integer(item)
        case float():
            _check_float(item)
        case dict():
            return [*item.keys(), *item.values()]
        case list() | tuple():
            return list(item)
        case _:
            raise Unbindable(f"a {type(item).__name__} cannot be stored as JSON")
    return []


def json_text(document: Any) -> bytes:
    """A document's text, to compare it by: to Python 1, 1.0 and true are equal, to people they are not."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


class Text(TypeDecorator[str]):
    """A string of a declared greatest length; SQLite would ignore the length, so it is checked here."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        check_text(value)
        length = getattr(self.impl, "length", None)
        if length is not None and len(value) > length:
            raise Unbindable(f"text is limited to {length} characters, and this has {len(value)}")
        return value


class Name(Text):
    """A string that both databases sort by its code points, whatever language a PostgreSQL was set up for.

    Names that begin alike then lie side by side in an index, and lists by name are the same on both.
    """

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        length = getattr(self.impl, "length", None)
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(sa.String(length, collation=collation))


class Whole(TypeDecorator[int]):
    """A 64-bit integer."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> int | None:
        if value is not None:
            _check_integer(value)
        return value


class Real(TypeDecorator[float]):
    """A finite double."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, _dialect: Dialect) -> float | None:
        if value is not None:
            _check_float(value)
        return value


class Json(TypeDecorator[Any]):
    """JSON kept as the text that was written: PostgreSQL's `jsonb` would turn 1e300 into an integer."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> Any:
        check_json(value)
        return value


class Moment(TypeDecorator[datetime]):
    """A point in time: aware UTC in Python, `timestamptz` on PostgreSQL, sortable text on SQLite.

    SQLite's clock counts milliseconds, so its text has three decimals, and text sorts as time does.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind = sa.String(23) if dialect.name == "sqlite" else sa.DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise Unbindable("a time needs its zone")
        moment = value.astimezone(UTC)
        if dialect.name != "sqlite":
            return moment
        return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        moment: datetime = value.astimezone(UTC)
        return moment


class now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, optionally some seconds from now: clocks of workers never decide anything."""

    type = Moment()
    name = "now"
    inherit_cache = True

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(sa.bindparam("seconds", float(seconds), type_=sa.Double(), unique=True))


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: SQLCompiler, **options: Any) -> str:
    # statement_timestamp() is stable within a statement, so that comparisons with it can use an index.
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: SQLCompiler, **options: Any) -> str:
    shift = f"printf('%+.3f seconds', {compiler.process(element.clauses, **options)})"
    return f"strftime('{_SQLITE_FORMAT}', 'now', {shift})"
