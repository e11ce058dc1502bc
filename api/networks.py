"""Trained networks taken out of the store: ready to be asked, or as a file to take away. No torch.

A network that was asked is kept ready under the sha256 of its weights, up to a number and an estimate of
bytes; the one asked least lately goes first. Of a file that was made, its sha256 and its size are kept. Who
may ask is decided before anybody comes here, by the row.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api import heap
from api.errors import NoWeightsError, UnavailableError
from api.file_work import FileWork
from api.footprint import footprint
from api.keeping import workspace
from models import graphs
from models.datasets.rows import Reader
from models.encoding import CategoricalColumn
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
"""Answers of much work that are computed at the same time, and files that are made; others wait without a
thread."""
LARGE_BYTES: Final = 64 * 1024
"""Bodies from here on are much work to read …"""
LARGE_CELLS: Final = 10_000
"""… rows × classes to write …"""
LARGE_PRODUCTS: Final = 10_000_000
"""… and rows × weights to compute: some five milliseconds each."""
_WEIGHT_BYTES: Final = 4
_GIVE_BACK_SECONDS: Final = 0.2
"""How long what much work took is kept after it, so that many answers in a row give it back together."""
_MOST_TOLD: Final = 1000


@contextmanager
def memory_is_an_outage() -> Iterator[None]:
    """`UnavailableError` where memory ran out: it may come back, and the weights are not at fault."""
    try:
        yield
    except MemoryError as error:
        raise UnavailableError("there is not enough memory for this network now") from error


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
    weights: int
    classes: int

    def is_much(self, body_bytes: int, rows: int) -> bool:
        """Whether an answer about so many rows would keep a thread for long."""
        work = (body_bytes, rows * self.classes, rows * self.weights)
        return any(each >= most for each, most in zip(work, _LARGE, strict=True))


_LARGE: Final = (LARGE_BYTES, LARGE_CELLS, LARGE_PRODUCTS)


@dataclass(frozen=True, slots=True)
class Made:
    """An ONNX file, told of without its bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Exported:
    """The same with what goes in and comes out."""

    sha256: str
    bytes: int
    inputs: list[Port]
    outputs: list[Port]


def _looked_at(task: asyncio.Task[Ready]) -> None:
    """Where all who waited have left, nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()


class Networks:
    """Of one server. What is ready, and which files were made, only the event loop's thread reads and writes,
    so nothing needs a lock; threads of the pool get settings and files, which do not change."""

    def __init__(self, settings: Settings, files: Files, work: FileWork, version: str) -> None:
        """`version` is what files tell of who wrote them."""
        self._settings = settings
        self._files = files
        self._work = work
        self._version = version
        self._ready: OrderedDict[str, Ready] = OrderedDict()
        self._taken: dict[str, int] = {}
        """Bytes of memory, estimated: of what is ready, and of what is being made and is to be kept."""
        self._making: dict[str, asyncio.Task[Ready]] = {}
        self._told: dict[tuple[str, str], Made] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._builds = asyncio.Semaphore(AT_ONCE)
        self._giving_back: asyncio.Task[None] | None = None

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
        """Room is made before the network is: together they would take more than is meant for them."""
        try:
            async with self._turns:
                network = await self._work.run(self._read, kept)
                size = footprint(network, kept.bytes)
                if size <= self._settings.ready_bytes:
                    self._taken[kept.sha256] = size
                    self._make_room()
                made = await self._work.run(self._make, network, kept.bytes)
                if kept.sha256 in self._taken:
                    self._ready[kept.sha256] = made
                    self._make_room()  # others may have been made at the same time
        except BaseException:
            self._taken.pop(kept.sha256, None)
            raise
        finally:
            del self._making[kept.sha256]
        del network
        await self._give_back()
        return made

    def _read(self, kept: Stored) -> Network:
        with memory_is_an_outage():
            return self.network(kept)

    def _make(self, network: Network, file_bytes: int) -> Ready:
        from models.prediction import Predictor

        with memory_is_an_outage():
            predictor = Predictor.of(network)
        about = predictor.about
        names = [column.name for column in about.preprocessor.columns]
        limits = {
            "most_rows": self._settings.max_predict_rows,
            "most_cells": self._settings.max_predict_cells,
        }
        levels = {
            column.name: column.levels
            for column in about.preprocessor.columns
            if isinstance(column, CategoricalColumn)
        }
        reader = Reader(about.description, names, levels, **limits)
        classes = len(about.description.classes or ())
        return Ready(predictor, reader, file_bytes // _WEIGHT_BYTES, classes)

    def _make_room(self) -> None:
        """Let those go that were asked least lately, until what is taken may be."""
        most, number = self._settings.ready_bytes, self._settings.ready_networks
        while self._ready and (len(self._taken) > number or sum(self._taken.values()) > most):
            sha256, _ = self._ready.popitem(last=False)
            del self._taken[sha256]

    async def _give_back(self) -> None:
        """Let the system have what has become free: a network is made of many copies."""
        with suppress(UnavailableError):
            await self._work.run(heap.give_back)

    def _give_back_soon(self) -> None:
        """The same without keeping anybody waiting, and once for all that were answered meanwhile."""
        if self._giving_back is None or self._giving_back.done():
            self._giving_back = asyncio.create_task(self._give_back_later())

    async def _give_back_later(self) -> None:
        await asyncio.sleep(_GIVE_BACK_SECONDS)
        await self._give_back()

    @asynccontextmanager
    async def turn(self, *, is_much: bool) -> AsyncIterator[None]:
        """While an answer is computed: what is little work goes ahead at once."""
        if not is_much:
            yield
            return
        async with self._turns:
            try:
                yield
            finally:
                self._give_back_soon()

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────

    def network(self, kept: Stored) -> Network:
        """A job's weights, read; `WeightsError` where the file is gone or damaged."""
        with workspace(self._settings) as folder:
            try:
                path = self._files.fetch(kept.key, folder / "weights.safetensors", sha256=kept.sha256)
            except (FileMissing, FileDamaged) as error:
                raise WeightsError(f"the stored weights cannot be used: {error}") from error
            return read(path)

    def made(self, job: Job, kept: Stored) -> Made | None:
        """What is known of a job's ONNX file without making it; None where nobody has asked for it yet."""
        return self._told.get((job.id, kept.sha256))

    async def exported(self, job: Job, kept: Stored) -> tuple[bytes, Made]:
        """A job's network as an ONNX file; `WeightsError` where the weights cannot be used."""
        async with self._builds:
            content, made = await self._work.run(self._export, job, kept)
        self._give_back_soon()
        self._remember(job, kept, made)
        return content, made

    async def told(self, job: Job, kept: Stored) -> Exported:
        """The same without its bytes, which are made once for that, and with its inputs and outputs."""
        async with self._builds:
            made, *ports = await self._work.run(self._tell, job, kept, self.made(job, kept))
        self._give_back_soon()
        self._remember(job, kept, made)
        return Exported(made.sha256, made.bytes, *ports)

    def _remember(self, job: Job, kept: Stored, made: Made) -> None:
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[job.id, kept.sha256] = made

    def _export(self, job: Job, kept: Stored) -> tuple[bytes, Made]:
        return self._written(self.network(kept), job, kept)

    def _tell(self, job: Job, kept: Stored, made: Made | None) -> tuple[Made, list[Port], list[Port]]:
        network = self.network(kept)
        leaving = graphs.outputs(network.about, graphs.floating(network))
        return made or self._written(network, job, kept)[1], graphs.inputs(network.about), leaving

    def _written(self, network: Network, job: Job, kept: Stored) -> tuple[bytes, Made]:
        origin = Origin(job.id, job.dataset_name, job.dataset_sha256, kept.sha256, self._version)
        content = graphs.model(network, origin).SerializeToString()
        return content, Made(hashlib.sha256(content).hexdigest(), len(content))
