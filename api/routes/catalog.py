"""Everything that may be written into a spec, with what it is for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.problems import documented
from models import catalog

router = APIRouter(tags=["catalog"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)


@router.get("/v1/catalog", responses=documented())
def get_catalog() -> dict[str, Any]:
    """Every technique, metric, optimizer, schedule, activation and format: schema, range, purpose, source."""
    return catalog.catalog()
