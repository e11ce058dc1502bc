"""Lists: what a client may say about the page it wants, how large one gets, and where the next one is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import Query, Request, Response
from pydantic import BaseModel

Row = TypeVar("Row")
PAGE_BYTES: Final = 4 * 1024**2
"""A page ends before the item that would make it larger than this, but has one at least."""

Limit = Annotated[int, Query(ge=1, le=200, description="Most items on the page, which also ends at 4 MB.")]
Cursor = Annotated[str | None, Query(min_length=1, max_length=2000, description="`next` of the page before.")]
Number = Annotated[int, Query(ge=0, le=2**53)]


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """`Link: …; rel="next"`: the same question, further on."""
    if cursor is None:
        return
    others = [
        (name, value) for name, value in request.query_params.multi_items() if name not in ("cursor", "after")
    ]
    query = urlencode([*others, ("cursor", cursor)])
    response.headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'


def page_of(
    request: Request,
    rows: Iterable[Row],
    *,
    limit: int,
    answer: Callable[[Row], BaseModel],
    cursor: Callable[[Row], str],
    notices: Sequence[str] = (),
) -> Response:
    """A `Listing` of at most `limit` of the rows and `PAGE_BYTES`; a row behind them tells that more follow.

    Each row becomes JSON before the next one is looked at: what a page of large rows takes as Python objects
    is many times what it takes as text, and rows behind the page's end are not even fetched.
    """
    text = io.BytesIO()
    text.write(b'{"data":[')
    last: Row | None = None
    following: str | None = None
    number = 0
    for row in rows:
        item = answer(row).model_dump_json().encode() if number < limit else b""
        if last is not None and (number == limit or text.tell() + len(item) > PAGE_BYTES):
            following = cursor(last)
            break
        text.write(b"," if number else b"")
        text.write(item)
        last, number = row, number + 1
    text.write(b'],"next":' + orjson.dumps(following))
    text.write(b',"notices":' + orjson.dumps(notices) + b"}" if notices else b"}")
    response = Response(text.getvalue(), media_type="application/json")
    link_next(request, response, following)
    return response
