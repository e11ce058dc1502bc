"""Which of the media types to be had here a client would rather have (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Depends, Request

from api.errors import NotAcceptableError

JSON = "application/json"


def chosen(accept: str, offered: Sequence[str]) -> str:
    """The offered type that the Accept header likes best, the first of several; 406 where it likes none."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    liked = [(_quality(kind, ranges), -place) for place, kind in enumerate(offered)]
    quality, place = max(liked)
    if quality <= 0:
        raise NotAcceptableError(f"this address answers in {', '.join(dict.fromkeys(offered))}")
    return offered[-place]


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weights = (parameter.removeprefix("q=") for parameter in parameters if parameter.startswith("q="))
    try:
        return kind, min(max(float(next(weights, "1")), 0.0), 1.0)
    except ValueError:
        return kind, 1.0


def _quality(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """What the most specific range that covers a type says of it."""
    family = kind.partition("/")[0] + "/*"
    for pattern in (kind, family, "*/*"):
        found = [quality for name, quality in ranges if name == pattern]
        if found:
            return max(found)
    return 0.0


async def _json(request: Request) -> None:
    chosen(request.headers.get("accept", ""), [JSON])


ANSWERS_JSON = Depends(_json)
"""For routes that answer in JSON and nothing else."""
