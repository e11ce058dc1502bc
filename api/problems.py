"""Problem documents (RFC 9457): the one shape in which this server says that something went wrong.

This module knows the shape and how to send it; which exception has which status is `api.errors`' table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"
_TOLD = "problem"
_KEY = re.compile(rb"rl_([0-9a-f]{32})_[A-Za-z0-9_-]{43}")


class InputError(BaseModel):
    """One thing that is wrong with what was sent."""

    pointer: str
    """Where, as a JSON Pointer: into the body (`/network/hidden/0`), or `/query/limit`, `/header/prefer`."""
    detail: str
    """What was wrong, and what is allowed."""
    given: str | float | int | bool | None = None
    """The offending value where it is short and printable."""
    suggestion: str | None = None
    """What to write instead."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(BaseModel):
    """Why a request was not carried out."""

    type: str
    """Names the kind of problem for good, and leads to its description."""
    title: str
    """The kind of problem in words; the same for every problem of this type."""
    status: int
    """The HTTP status, repeated."""
    detail: str
    """What went wrong this time."""
    instance: str
    """The path that was asked for."""
    request_id: str
    """Names this request in the server's log."""
    errors: list[InputError] | None = None
    """Each thing that is wrong with the input; present for bad input."""
    allowed_actions: list[str] | None = None
    """What may be done with the job instead; present where an action made no sense (409)."""
    quota: str | None = None
    """Which quota is used up (429): `open_jobs`, `stored_bytes` or `requests_per_minute`."""
    limit: int | None = None
    """How much that quota allows."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: a status with a name and a meaning."""

    code: str
    title: str
    status: int

    @property
    def type(self) -> str:
        return f"/docs/problems#{self.code}"


@dataclass(frozen=True, slots=True)
class Report:
    """A problem as it happened, before it is written down."""

    kind: Kind
    detail: str
    errors: Sequence[Any] = ()
    """Anything with pointer, detail, given and suggestion."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the document."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, more: Mapping[str, str]) -> Report:
        """The same with further headers."""
        return replace(self, headers={**self.headers, **more})


def respond(report: Report, scope: Scope) -> Response:
    """The HTTP answer that carries a report; which kind it is stays with the request, for whoever counts."""
    scope.setdefault("state", {})[_TOLD] = report.kind.code
    document = {
        "type": report.kind.type,
        "title": report.kind.title,
        "status": report.kind.status,
        "detail": report.detail,
        "instance": quote(scope["path"], errors="replace")[:2000],
        "request_id": scope.get("state", {}).get("request_id", ""),
        **({"errors": [_written(error) for error in report.errors]} if report.errors else {}),
        **report.more,
    }
    # Whoever put a key where an id belongs does not want to find it in what is kept of the answer.
    content = _KEY.sub(rb"rl_\1_***", orjson.dumps(document, default=str))
    return Response(content, report.kind.status, headers=dict(report.headers), media_type=MEDIA_TYPE)


def told(scope: Scope) -> str | None:
    """Which kind of problem a request was answered with; None where it was carried out."""
    kind: str | None = scope.get("state", {}).get(_TOLD)
    return kind


def _written(error: Any) -> dict[str, Any]:
    parts = {name: _sayable(getattr(error, name)) for name in ("pointer", "detail", "given", "suggestion")}
    return {name: value for name, value in parts.items() if value is not None}


def _sayable(value: Any) -> Any:
    """What JSON can carry of a value that a client sent; None for what it cannot."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int | float):
        return value if abs(value) < 2**63 else None
    return None


def printable(text: str, *, longest: int = 2000) -> str:
    """Text that can be echoed in JSON whatever a client put into it."""
    clean = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return clean if len(clean) <= longest else clean[:longest] + "…"


_MEANINGS = {
    400: "The request cannot be read.",
    401: "No valid API key came with the request.",
    403: "The API key does not go so far.",
    404: "There is no such thing.",
    405: "This address does not answer that method; `Allow` names those it does.",
    406: "None of the media types that were asked for is to be had here.",
    408: "The body did not arrive in time.",
    409: "It clashes with how things stand.",
    413: "The body is larger than this server takes.",
    414: "The address is longer than this server takes.",
    415: "The body is of a media type that is not understood here.",
    421: "The Host header names another server.",
    422: "The request was read, and something in it is wrong; `errors` says what.",
    429: "A quota is used up, or too many wrong keys came; try again after `Retry-After` seconds.",
    431: "The headers are more, or larger, than this server takes.",
    500: "A fault of the server; the log has it under `request_id`.",
    503: "Something the server needs is away; try again after `Retry-After` seconds.",
    507: "No room is left on the disk.",
}

EVERY_ROUTE = (400, 401, 403, 404, 405, 406, 413, 414, 421, 422, 429, 431, 500, 503)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says in the OpenAPI document about the problems it may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*EVERY_ROUTE, *statuses})
    }
