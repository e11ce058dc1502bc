"""What the routes say of themselves: which methods a path answers, which query parameters a route knows."""

from __future__ import annotations

import difflib
from functools import lru_cache

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts

from models.errors import Complaint

FREE_PREFIX = "metadata."
"""Query parameters that begin so are named by the client: `?metadata.team=risk`."""


def allowed(request: Request) -> list[str]:
    """The methods that the path of a request answers; a path of its own is not one of a pattern's ids."""
    path = request.url.path
    fitting = [route for route in iter_route_contexts(request.app.routes) if route.path_regex.match(path)]
    own = [route for route in fitting if route.path_format == path]
    found = {"OPTIONS"}.union(*(route.methods or () for route in own or fitting))
    return sorted(found | {"HEAD"} if "GET" in found else found)


@lru_cache(maxsize=8)
def _query_names(app: FastAPI) -> dict[tuple[str, str], list[str]]:
    """Route and method → the query parameters that the OpenAPI document tells of."""
    return {
        (path, method.upper()): [each["name"] for each in said.get("parameters", ()) if each["in"] == "query"]
        for path, methods in app.openapi()["paths"].items()
        for method, said in methods.items()
    }


def unknown_queries(request: Request) -> list[Complaint]:
    """A complaint about each query parameter that the matched route does not know."""
    known = _query_names(request.app).get((request.scope["route"].path_format, request.method), [])
    return [_complaint(name, known) for name in request.query_params if not _knows(known, name)]


def _knows(known: list[str], name: str) -> bool:
    return name in known or (FREE_PREFIX in known and name.startswith(FREE_PREFIX) and name != FREE_PREFIX)


def _complaint(name: str, known: list[str]) -> Complaint:
    offered = f"it takes {', '.join(known)}" if known else "it takes none"
    near = difflib.get_close_matches(name, known, n=1)
    return Complaint(
        f"/query/{name}",
        f"there is no query parameter {name!r} here; {offered}",
        None,
        near[0] if near else None,
    )
