"""From the bytes of a body to plain Python, or to a problem that says what is wrong with them.

FastAPI's own parsing echoes what it was given and breaks on NaN, infinities and lone surrogates; so bodies
are read raw, parsed by strict parsers, and only then shown to a model.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import orjson
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError

from api import yaml_documents
from api.errors import InvalidInputError, MalformedRequestError, UnsupportedMediaTypeError
from models.complaints import complaints

JSON = ("application/json",)
MERGE_PATCH = ("application/merge-patch+json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml")

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> tuple[str, str]:
    """The media type of a body, and its charset (UTF-8 where nothing is said)."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    pairs = (part.partition("=") for part in parameters.split(";"))
    charsets = [value.strip().strip('"') for name, _, value in pairs if name.strip().lower() == "charset"]
    return kind.strip().lower(), (charsets or ["utf-8"])[0].lower()


def require(request: Request, accepted: tuple[str, ...]) -> str:
    """The body's media type, which must be one of those accepted."""
    kind, charset = media_type(request)
    headers = {"Accept": ", ".join(accepted)}
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError(
            "bodies are taken uncompressed; leave Content-Encoding out", headers=headers
        )
    if kind not in accepted:
        given = f"not {kind[:80]!r}" if kind else "and no Content-Type was given"
        raise UnsupportedMediaTypeError(f"send {' or '.join(accepted)}, {given}", headers=headers)
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaTypeError(f"send the body in UTF-8, not {charset[:40]!r}", headers=headers)
    return kind


async def content(request: Request) -> bytes:
    """A body that may be large: the request does not keep it until its answer has been read."""
    return b"".join([piece async for piece in request.stream()])


async def document(
    request: Request, model: type[Model], *, accepted: tuple[str, ...] = JSON + YAML
) -> tuple[dict[str, Any], Model]:
    """A JSON or YAML body, which must be an object that the model takes: as it was sent, and as the model."""
    kind = require(request, accepted)
    body = await request.body()
    # In a thread, since a hostile body may take long to parse and to complain about.
    return await run_in_threadpool(_read, body, kind, model)


def _read(content: bytes, kind: str, model: type[Model]) -> tuple[dict[str, Any], Model]:
    given = yaml_documents.parse(content) if kind in YAML else parse_json(content)
    if not isinstance(given, dict):
        raise MalformedRequestError(f"the body must be an object, not {_named(given)}")
    return given, validated(model, given)


def parse_json(content: bytes) -> Any:
    """JSON by the letter: no NaN, no infinities, no lone surrogates, no bottomless nesting."""
    if not content.strip():
        raise MalformedRequestError("the body is empty; send a JSON object")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(f"the body is not JSON: {error}{_null_instead(content, error)}") from None


_NO_NUMBER: Final = re.compile(rb"[-+]?(NaN|nan|Infinity|inf)\b")
"""What programs write for a value that is no number, and JSON does not know."""


def _null_instead(content: bytes, error: orjson.JSONDecodeError) -> str:
    """What to write instead where the parser stopped at a NaN or an infinity."""
    at = len(content.decode("utf-8", "replace")[: error.pos].encode())
    # The parser stops at the word, or behind what it took for the start of a number or of null.
    found = _NO_NUMBER.match(content, max(at - 1, 0)) or _NO_NUMBER.match(content, at)
    return f"; JSON has no {found[1].decode()}: write null where there is no value" if found else ""


def validated(model: type[Model], given: dict[str, Any]) -> Model:
    """An instance of a model; raises with a complaint about everything that does not fit."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidInputError(errors=complaints(error, model, given)) from None


async def refuse(request: Request) -> None:
    """For actions that take no body: nothing, or an empty object, is all that may come."""
    content = (await request.body()).strip()
    if content and parse_json(content) != {}:
        raise InvalidInputError("this action takes no body; leave it out")


def _named(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
