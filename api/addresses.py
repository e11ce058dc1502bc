"""What the routes say of themselves: which methods a path answers, which query parameters a route knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from models.complaints import MOST, printable
from models.errors import Complaint
from models.suggestions import Effort, near_name

FREE_PREFIX = "metadata."
"""Query parameters that begin so are named by the client: `?metadata.team=risk`."""
MOST_PARAMETERS: Final = 100
"""Query parameters of a request; no route knows a fifth of that."""


def allowed(request: Request) -> list[str]:
    """The methods that the path of a request answers; a path of its own is not one of a pattern's ids."""
    path = request.url.path
    fitting = [route for route in iter_route_contexts(request.app.routes) if route.path_regex.match(path)]
    own = [route for route in fitting if route.path_format == path]
    found = {"OPTIONS"}.union(*(route.methods or () for route in own or fitting))
    return sorted(found | {"HEAD"} if "GET" in found else found)


def query_names(route: APIRoute) -> list[str]:
    """The query parameters that a route takes, in the order in which the OpenAPI document tells of them."""
    return list(dict.fromkeys(_queries_of(route.dependant)))


def _queries_of(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _queries_of(each)


def wrong_queries(request: Request) -> list[Complaint]:
    """A complaint about each query parameter that the matched route does not know, or that is given twice.

    No route takes a list of values: of two, one would be passed over, and another question answered.
    """
    if not (given := request.query_params.multi_items()):
        return []
    if len(given) > MOST_PARAMETERS:
        detail = f"a request has at most {MOST_PARAMETERS} query parameters, and these are {len(given)}"
        return [Complaint("/query", detail, len(given))]
    known = query_names(request.scope["route"])
    effort = Effort()
    counted = Counter(name for name, _ in given)
    unknown = [_unknown(name, known, effort) for name in counted if not _knows(known, name)]
    repeated = [_repeated(name, times) for name, times in counted.items() if times > 1]
    return [*unknown, *repeated][:MOST]


def _knows(known: list[str], name: str) -> bool:
    return name in known or (FREE_PREFIX in known and name.startswith(FREE_PREFIX) and name != FREE_PREFIX)


def _unknown(name: str, known: list[str], effort: Effort) -> Complaint:
    offered = f"it takes {', '.join(known)}" if known else "it takes none"
    detail = f"there is no query parameter {printable(name)!r} here; {offered}"
    return Complaint(f"/query/{name}", detail, None, near_name(name, known, effort=effort))


def _repeated(name: str, times: int) -> Complaint:
    detail = f"{printable(name)} is given {times} times; it takes one value"
    return Complaint(f"/query/{name}", detail, None, "give it once")
