"""Who works: the worker processes that were heard of lately, and what they are at."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from api.deps import CallerDep, ServerDep
from api.negotiation import ANSWERS_JSON
from api.outgoing import PiecewiseRoute
from api.problems import documented
from api.schemas import Listing, WorkerAnswer
from store import workers
from store.settings import Settings

QUIET_SECONDS: Final = 15.0
"""A worker that was heard of within this time, or within half a lease if that is longer, is there."""

router = APIRouter(tags=["operation"], dependencies=[ANSWERS_JSON], route_class=PiecewiseRoute)


def alive_seconds(settings: Settings) -> float:
    """How long a worker may be quiet and still counts as there."""
    return max(QUIET_SECONDS, settings.lease_seconds / 2)


@router.get("/v1/workers", responses=documented())
def list_workers(server: ServerDep, caller: CallerDep) -> Listing[WorkerAnswer]:
    """Worker processes that were heard of lately, those that started first before the others; on one page.

    A worker serves every project. What it trains is named where the job is yours, its machine to operators.
    """
    with caller.database.reading() as tx:
        found = workers.seen_from_here(tx, alive_seconds(server.settings))
    shown = [WorkerAnswer.of(worker, to_operator=caller.is_operator) for worker in found]
    return Listing(data=shown, next=None)
