"""The bundled datasets: stored once, when a server first starts on a database or somebody first asks."""

from __future__ import annotations

import asyncio

import structlog
from fastapi.concurrency import run_in_threadpool

from api.describing import Describer
from api.errors import UnavailableError
from api.keeping import Origin, keep, workspace
from models.datasets import BUNDLED
from models.errors import DatasetError
from store import datasets
from store.files import Files
from store.session import Database
from store.settings import Settings

log = structlog.get_logger(__name__)


class Bundles:
    """Sees to it that bundled datasets are there before anyone needs them."""

    def __init__(self, settings: Settings, database: Database, files: Files, describer: Describer) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        self._describer = describer
        self._stored: set[str] = set()
        self._storing: asyncio.Task[None] | None = None

    async def need(self, *names: str) -> None:
        """Return once these are stored; names that are no bundled dataset's are passed over."""
        wanted = {name for name in names if name in BUNDLED}
        if wanted <= self._stored:
            return
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_missing())
        try:
            await asyncio.shield(self._storing)
        except (DatasetError, OSError) as error:
            log.exception("bundled datasets could not be stored")
            raise UnavailableError("the bundled datasets cannot be stored now") from error

    async def need_all(self) -> None:
        """Return once every bundled dataset is stored."""
        await self.need(*BUNDLED)

    async def stop(self) -> None:
        """Give up what is not stored yet."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.gather(self._storing, return_exceptions=True)

    async def _store_missing(self) -> None:
        """All of them at once: whoever needs one waits no longer for five, which one child reads."""
        missing = await run_in_threadpool(self._missing)
        if not missing:
            return
        with workspace(self._settings) as folder:
            described = await self._describer.bundled(missing, folder)
            for name, each in described.items():
                await run_in_threadpool(keep, self._database, self._files, Origin(name=name), each)
                self._stored.add(name)
        log.info("bundled datasets stored", names=missing)

    def _missing(self) -> list[str]:
        with self._database.reading() as tx:
            self._stored |= {name for name in BUNDLED if datasets.find_bundled(tx, name)}
        return [name for name in BUNDLED if name not in self._stored]
