"""How do jobs end there? Through the worker's runner, and by errors that leave a context whole, or do not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch

from benchmarks.on_device.agreement import SHORT, Found, told
from store import migrate
from store.files import Files
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.models.networks import mixed_table
from tests.worker.building import SHORT as IRIS
from tests.worker.building import Workshop
from worker import devices
from worker.endings import of

NO_ROOM = 2**45
"""So many numbers nobody has room for."""
LIVES = "lives"


def endings(device: str, _quick: bool) -> Iterator[Found]:
    """Jobs through the worker's runner; then what errors are taken for, and whether the process survives.

    An assertion within a kernel is last, since on a GPU it leaves nothing that works.
    """
    yield from through_the_runner(device)
    too_much = "an allocation that nobody has room for"
    yield taken_for(too_much, lambda: torch.empty(NO_ROOM, device=device), wanted="out_of_memory")
    yield survived("the next job after it", device, wanted=LIVES)
    beyond = torch.tensor([7], device=device)
    yield taken_for("an index beyond the end", lambda: torch.zeros(4, device=device)[beyond].sum().item())
    yield survived("the next job after that", device, wanted=LIVES if device == "cpu" else None)


def through_the_runner(device: str) -> Iterator[Found]:
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/ridgeline.db") as database:
        migrate.upgrade(database)
        workshop = Workshop(database.of(DEFAULT_PROJECT), Files(f"{folder}/files"))
        try:
            single = [workshop.add_job(), workshop.add_job(mixed_table("regression"), **SHORT)]
            seeds = ({"training": {"max_epochs": 6, "seed": seed}} for seed in range(3))
            stacked = workshop.add_stack(None, *seeds, **IRIS)
            with patch.object(devices, "choose", lambda *_, **__: device):
                while workshop.run(at_most=64):
                    pass
            for what, jobs in (("jobs alone, from claim to end", single), ("three in a stack", stacked)):
                done = [workshop.look(job) for job in jobs]
                details = "; ".join({each.stop_detail or "" for each in done if each.status != "succeeded"})
                ended = ", ".join(dict.fromkeys(each.status for each in done))
                yield ending(what, ended, "succeeded", detail=details)
        finally:
            workshop.stop()


def taken_for(what: str, act: Callable[[], object], *, wanted: str | None = None) -> Found:
    """What a job would end as, of which this is a part."""
    try:
        act()
    except Exception as error:
        found = of(error, delay_seconds=0.0)
        ended = str(getattr(found, "reason", type(found).__name__.lower()))
        return ending(what, ended, wanted, detail=told(error))
    return ending(what, "nothing", wanted or "an error")


def survived(what: str, device: str, *, wanted: str | None) -> Found:
    try:
        torch.zeros(4, device=device).sum().item()
    except Exception as error:
        return ending(what, "the context is lost", wanted, detail=told(error))
    return ending(what, LIVES, wanted)


def ending(what: str, ended: str, wanted: str | None, *, detail: str = "") -> Found:
    """`wanted`: None where nothing in particular is."""
    lines = detail.splitlines() or [""]
    ok = None if wanted is None else ended == wanted
    return {"what": what, "ended": ended, "wanted": wanted or "", "ok": ok, "detail": lines[0][:60]}
