"""From a described table to a dataset that is stored: the file first, then the row that points to it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from api.describing import Described
from api.errors import QuotaExceededError, UnavailableError
from api.file_work import FileWork
from store import datasets, ids
from store.datasets import Dataset
from store.errors import IdempotencyInFlight, StoreError
from store.files import Files, Stored
from store.session import Connection, Database
from store.settings import Settings

_ABANDONED_SECONDS = 24 * 3600

log = structlog.get_logger(__name__)


@contextmanager
def workspace(settings: Settings) -> Iterator[Path]:
    """A folder on the disk of the data, for as long as an upload takes."""
    folder = settings.data_dir / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="upload-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@asynccontextmanager
async def workspace_in_threads(settings: Settings, work: FileWork) -> AsyncIterator[Path]:
    """A folder on the disk of the data, for whoever is on the event loop's thread: it waits for no disk."""
    made = workspace(settings)
    folder = await work.run(made.__enter__)
    try:
        yield folder
    finally:
        # What cannot be removed now, a later start of the server sweeps.
        with suppress(UnavailableError):
            await work.run(made.__exit__, None, None, None)


def sweep_workspaces(settings: Settings) -> None:
    """Remove what a killed server left behind, once no upload can still be using it."""
    for folder in (settings.data_dir / "uploads").glob("upload-*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a dataset came from."""

    name: str
    filename: str | None = None
    sha256: str | None = None
    """Of the uploaded bytes; None for a bundled dataset, which is known by its table's."""
    size: int = 0


def keep(
    database: Database,
    files: Files,
    origin: Origin,
    described: Described,
    *,
    also: Callable[[Connection, Dataset, bool], None] | None = None,
) -> tuple[Dataset, bool]:
    """Store table and row; the dataset, and whether it is new. `also` joins the row's transaction."""
    dataset_id = ids.new("ds")
    table = files.put(datasets.table_key(dataset_id), described.table)
    try:
        with database.writing() as tx:
            dataset, created = _added(tx, dataset_id, origin, described, table)
            if also is not None:
                also(tx, dataset, created)
    except (QuotaExceededError, IdempotencyInFlight):
        # Raised before the commit, unlike an outage: for certain no row points to it.
        discard(files, [table.key])
        raise
    if not created:
        discard(files, [table.key])
    return dataset, created


def _added(
    tx: Connection, dataset_id: str, origin: Origin, described: Described, table: Stored
) -> tuple[Dataset, bool]:
    about = described.description
    return datasets.add(
        tx,
        dataset_id=dataset_id,
        name=origin.name,
        filename=origin.filename,
        bundled=origin.sha256 is None,
        sha256=origin.sha256 or table.sha256,
        size=origin.size or table.bytes,
        target=about.target.name,
        task=about.task,
        rows=about.rows,
        features=len(about.columns),
        description=about.model_dump(mode="json") | {"head": described.head},
        table=table,
    )


async def discard_in_threads(files: Files, keys: Sequence[str], work: FileWork) -> None:
    """Delete files that no row points to, in a thread; where none is free, they are swept later."""
    if not keys:
        return
    try:
        await work.run(discard, files, keys)
    except UnavailableError as error:
        log.warning("files left behind", keys=list(keys), reason=str(error))


def discard(files: Files, keys: Iterable[str]) -> None:
    """Delete files that no row points to any more; what cannot be deleted now, the reconciler sweeps."""
    for key in keys:
        try:
            files.delete(key)
        except StoreError as error:
            log.warning("file left behind", key=key, reason=str(error))
