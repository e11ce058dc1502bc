"""Lists: what a client may say about the page it wants, and where the next one is."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response

from models.spec import Text

Limit = Annotated[int, Query(ge=1, le=200, description="Items on the page.")]
Cursor = Annotated[Text | None, Query(description="`next` of the page before.")]
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
