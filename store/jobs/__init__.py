"""Jobs: the row that is the truth, its state machine, who has it, and what may be asked of it.

`arrows` is the state machine and alone writes `status`; `leases` is what a worker and the reconciler do with
time; `actions` is what people ask, `editing` what they say of a job; `reading` only looks. Every function
takes the transaction first.
"""

from __future__ import annotations

from store.jobs.actions import delete, request_cancel, request_finish, request_pause, request_resume
from store.jobs.arrows import add, cancelled, claim, fail, paused, release, succeed
from store.jobs.editing import Described, edit
from store.jobs.filters import Filters
from store.jobs.leases import Beat, Expired, Renewal, beat, beat_all, expire, surrender
from store.jobs.places import MOST_AHEAD, Place, place
from store.jobs.queues import MOST_COUNTED, Waiting, any_waits, counts, waiting
from store.jobs.reading import Found, Glance, get, glance, page, walk
from store.jobs.row import FINAL, UNFINISHED, Action, Job, Status, allowed_actions
from store.jobs.warnings import add_warnings

__all__ = [
    "FINAL",
    "MOST_AHEAD",
    "MOST_COUNTED",
    "UNFINISHED",
    "Action",
    "Beat",
    "Described",
    "Expired",
    "Filters",
    "Found",
    "Glance",
    "Job",
    "Place",
    "Renewal",
    "Status",
    "Waiting",
    "add",
    "add_warnings",
    "allowed_actions",
    "any_waits",
    "beat",
    "beat_all",
    "cancelled",
    "claim",
    "counts",
    "delete",
    "edit",
    "expire",
    "fail",
    "get",
    "glance",
    "page",
    "paused",
    "place",
    "release",
    "request_cancel",
    "request_finish",
    "request_pause",
    "request_resume",
    "succeed",
    "surrender",
    "waiting",
    "walk",
]
