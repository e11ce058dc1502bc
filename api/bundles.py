"""The bundled datasets: stored once, when a server first starts on a database or somebody first asks.

Their files are the default project's; another project gets rows of its own for them when it first needs one.
"""

from __future__ import annotations

import asyncio

import structlog
from fastapi.concurrency import run_in_threadpool

from api.describing import Describer
from api.errors import UnavailableError, outage
from api.file_work import FileWork
from api.keeping import Origin, keep, workspace_in_threads
from models.datasets import BUNDLED
from models.errors import DatasetError
from store import datasets
from store.files import Files
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT

log = structlog.get_logger(__name__)


class Bundles:
    """Sees to it that bundled datasets are there before anyone needs them."""

    def __init__(
        self, settings: Settings, database: Database, files: Files, describer: Describer, work: FileWork
    ) -> None:
        self._settings = settings
        self._database = database.of(DEFAULT_PROJECT)
        self._files = files
        self._describer = describer
        self._work = work
        self._stored: set[str] = set()
        self._shared_with: set[str] = {DEFAULT_PROJECT}
        self._storing: asyncio.Task[None] | None = None

    async def need(self, database: Database, *names: str) -> None:
        """Return once a project has these; names that are no bundled dataset's are passed over."""
        wanted = {name for name in names if name in BUNDLED}
        if not wanted <= self._stored:
            await self._store()
        if wanted and database.project_id not in self._shared_with:
            await run_in_threadpool(self._share, database)

    async def _store(self) -> None:
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_missing())
        try:
            await asyncio.shield(self._storing)
        except OSError as error:
            log.exception("bundled datasets could not be stored")
            raise outage(error) or UnavailableError("the bundled datasets cannot be stored now") from error
        except DatasetError as error:
            log.exception("bundled datasets could not be stored")
            raise UnavailableError("the bundled datasets cannot be stored now") from error

    def _share(self, database: Database) -> None:
        with database.writing() as tx:
            datasets.share_bundled(tx, BUNDLED)
        if database.project_id is not None:
            self._shared_with.add(database.project_id)

    async def need_all(self, database: Database) -> None:
        """Return once a project has every bundled dataset."""
        await self.need(database, *BUNDLED)

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
        # Before a child reads them all for nothing.
        await self._work.run(self._files.check)
        async with workspace_in_threads(self._settings, self._work) as folder:
            described = await self._describer.bundled(missing, folder)
            for name, each in described.items():
                await self._work.run(keep, self._database, self._files, Origin(name=name), each)
                self._stored.add(name)
        log.info("bundled datasets stored", names=missing)

    def _missing(self) -> list[str]:
        with self._database.reading() as tx:
            self._stored |= {name for name in BUNDLED if datasets.find_bundled(tx, name)}
        return [name for name in BUNDLED if name not in self._stored]
