"""Trained networks taken out of the store: ready to be asked, or as a file to take away. No torch.

A network that was asked is kept ready under the sha256 of its weights, up to a number and an estimate of
bytes; the one asked least lately goes first. Who may ask is decided before anybody comes here, by the row.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi.concurrency import run_in_threadpool

from api.errors import NoWeightsError
from api.keeping import workspace
from models import graphs
from models.datasets.rows import Reader
from models.errors import WeightsError
from models.graphs import Origin, Port
from models.trained import read
from store import jobs
from store.errors import FileDamaged, FileMissing
from store.files import Files, Stored
from store.jobs import Job
from store.session import Connection
from store.settings import Settings

if TYPE_CHECKING:
    from models.prediction import Predictor
    from models.trained import Stored as Network

AT_ONCE: Final = 2
"""Requests of much work that are computed at the same time; others wait without a thread."""
LARGE_BYTES: Final = 64 * 1024
"""Bodies from here on are much work."""
_OVERHEAD_BYTES: Final = 2**20
"""What a small network takes besides its weights: a session, the preprocessing, the description."""
_COPIES: Final = 2
"""The runtime keeps weights as they are and as it likes to multiply by them."""
_MOST_TOLD: Final = 1000


def no_weights(tx: Connection, job_id: str) -> NoWeightsError:
    """What to say of a job without weights; `NotFound` where there is no such job at all."""
    status = jobs.glance(tx, job_id).status
    if status in jobs.FINAL:
        return NoWeightsError(f"this job ended as {status} before there were weights to keep")
    return NoWeightsError(f"this job is {status}; its weights come when it ends")


@dataclass(frozen=True, slots=True)
class Ready:
    """A network that can be asked, and what reads the rows that it is asked about."""

    predictor: Predictor
    reader: Reader
    bytes: int


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file, told of without its bytes."""

    sha256: str
    bytes: int
    inputs: list[Port]
    outputs: list[Port]


def _looked_at(task: asyncio.Task[Ready]) -> None:
    """Where all who waited have left, nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()


class Networks:
    """Of one server. What is ready is known to the event loop's thread alone, so nothing needs a lock."""

    def __init__(self, settings: Settings, files: Files, version: str) -> None:
        """`version` is what files tell of who wrote them."""
        self._settings = settings
        self._files = files
        self._version = version
        self._ready: OrderedDict[str, Ready] = OrderedDict()
        self._making: dict[str, asyncio.Task[Ready]] = {}
        self._told: dict[tuple[str, str], Exported] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ready(self, kept: Stored) -> Ready:
        """The network of these weights; however many ask for it at once, it is made once.

        `WeightsError` where the file is gone or damaged, or nothing can be made of it.
        """
        if (found := self._ready.get(kept.sha256)) is not None:
            self._ready.move_to_end(kept.sha256)
            return found
        task = self._making.get(kept.sha256)
        if task is None:
            task = self._making[kept.sha256] = asyncio.create_task(self._made(kept))
            task.add_done_callback(_looked_at)
        # Who stops waiting does not take it from the others.
        return await asyncio.shield(task)

    async def _made(self, kept: Stored) -> Ready:
        try:
            async with self._turns:
                made = await run_in_threadpool(self._make, kept)
            self._keep(kept.sha256, made)
        finally:
            del self._making[kept.sha256]
        return made

    def _make(self, kept: Stored) -> Ready:
        from models.prediction import Predictor

        predictor = Predictor.of(self.network(kept))
        about = predictor.about
        names = [column.name for column in about.preprocessor.columns]
        limits = {
            "most_rows": self._settings.max_predict_rows,
            "most_cells": self._settings.max_predict_cells,
        }
        reader = Reader(about.description, names, **limits)
        return Ready(predictor, reader, _COPIES * kept.bytes + _OVERHEAD_BYTES)

    def _keep(self, sha256: str, made: Ready) -> None:
        """Keep it if there is room for it at all, in the place of those asked least lately."""
        if made.bytes > self._settings.ready_bytes:
            return
        self._ready[sha256] = made
        while len(self._ready) > self._settings.ready_networks or self._bytes > self._settings.ready_bytes:
            self._ready.popitem(last=False)

    @property
    def _bytes(self) -> int:
        return sum(each.bytes for each in self._ready.values())

    @asynccontextmanager
    async def turn(self, body_bytes: int) -> AsyncIterator[None]:
        """While an answer is computed: what is little work goes ahead at once."""
        if body_bytes < LARGE_BYTES:
            yield
            return
        async with self._turns:
            yield

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────

    def network(self, kept: Stored) -> Network:
        """A job's weights, read; `WeightsError` where the file is gone or damaged."""
        with workspace(self._settings) as folder:
            try:
                path = self._files.fetch(kept.key, folder / "weights.safetensors", sha256=kept.sha256)
            except (FileMissing, FileDamaged) as error:
                raise WeightsError(f"the stored weights cannot be used: {error}") from error
            return read(path)

    def exported(self, job: Job, kept: Stored) -> tuple[bytes, Exported]:
        """A job's network as an ONNX file."""
        network = self.network(kept)
        origin = Origin(job.id, job.dataset_name, job.dataset_sha256, kept.sha256, self._version)
        content = graphs.model(network, origin).SerializeToString()
        about, digest = network.about, hashlib.sha256(content).hexdigest()
        leaving = graphs.outputs(about, graphs.floating(network))
        told = Exported(digest, len(content), graphs.inputs(about), leaving)
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[job.id, kept.sha256] = told
        return content, told

    def told(self, job: Job, kept: Stored) -> Exported:
        """The same without its bytes; it is made once for that."""
        return self._told.get((job.id, kept.sha256)) or self.exported(job, kept)[1]
