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
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.errors import NoWeightsError, UnavailableError
from api.file_work import FileWork
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
_OVERHEAD_BYTES: Final = 2**20
"""What a small network takes besides its weights: a session, the preprocessing, the description."""
_COLUMN_BYTES: Final = 3 * 1024
"""What a column takes besides its weights: its place in the description, the preprocessing and the graph."""
_WEIGHT_BYTES: Final = 4
_COPIES: Final = 2
"""The runtime keeps weights as they are and as it likes to multiply by them."""
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
    bytes: int
    """Of memory, estimated."""
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
        self._making: dict[str, asyncio.Task[Ready]] = {}
        self._told: dict[tuple[str, str], Made] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._builds = asyncio.Semaphore(AT_ONCE)

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
                made = await self._work.run(self._make, kept)
            self._keep(kept.sha256, made)
        finally:
            del self._making[kept.sha256]
        return made

    def _make(self, kept: Stored) -> Ready:
        from models.prediction import Predictor

        with memory_is_an_outage():
            predictor = Predictor.of(self.network(kept))
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
        estimate = _COPIES * kept.bytes + _COLUMN_BYTES * len(names) + _OVERHEAD_BYTES
        classes = len(about.description.classes or ())
        return Ready(predictor, reader, estimate, kept.bytes // _WEIGHT_BYTES, classes)

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
    async def turn(self, *, is_much: bool) -> AsyncIterator[None]:
        """While an answer is computed: what is little work goes ahead at once."""
        if not is_much:
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

    def made(self, job: Job, kept: Stored) -> Made | None:
        """What is known of a job's ONNX file without making it; None where nobody has asked for it yet."""
        return self._told.get((job.id, kept.sha256))

    async def exported(self, job: Job, kept: Stored) -> tuple[bytes, Made]:
        """A job's network as an ONNX file; `WeightsError` where the weights cannot be used."""
        async with self._builds:
            content, made = await self._work.run(self._export, job, kept)
        self._remember(job, kept, made)
        return content, made

    async def told(self, job: Job, kept: Stored) -> Exported:
        """The same without its bytes, which are made once for that, and with its inputs and outputs."""
        async with self._builds:
            made, *ports = await self._work.run(self._tell, job, kept, self.made(job, kept))
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
