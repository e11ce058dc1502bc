"""Finding jobs by their metadata: one row for each entry, in the order in which lists are paged."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from store.jobs.row import Job
from store.session import Connection
from store.tables import labels


def digest(key: str, value: Any) -> str:
    """What stands for one entry in the index: keys and values may be longer than an index takes."""
    written = f"{len(key)} {key} {_as_text(value)}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def _as_text(value: Any) -> str:
    """As one writes it in a query: text as it is, `true`, `null`, `5`, `0.1`."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def write(tx: Connection, job: Job) -> None:
    """Index a new job's metadata."""
    if not job.metadata:
        return
    shared = {"project_id": job.project_id, "created_at": job.created_at, "job_id": job.id}
    rows = [{**shared, "digest": digest(key, value)} for key, value in job.metadata.items()]
    tx.execute(labels.insert(), rows)
