"""What holds even where the code above it is wrong: the database's own keys, the order of writing a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store import tables
from store.curves import record
from store.files import Files
from store.session import Database
from tests.store.examples import points, running


def insert(database: Database, table: sa.Table, **values: Any) -> None:
    with database.writing() as tx:
        tx.execute(table.insert().values(values))


def test_the_database_itself_refuses_an_epoch_twice(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 3))
    again = {"job_id": job.id, "epoch": 3, "event": 100, "values": {}}
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, tables.points, **again)
    insert(database, tables.points, **{**again, "epoch": 4})


def test_the_database_itself_refuses_a_number_twice(database: Database) -> None:
    """Two epochs under one number would be one event to whoever follows the stream."""
    job = running(database)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 3))
        taken = tx.execute(sa.select(sa.func.max(tables.points.c.event))).scalar_one()
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, tables.points, job_id=job.id, epoch=4, event=taken, values={})
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, tables.events, job_id=job.id, number=1, kind="status", data={})


def test_a_job_has_one_set_of_weights(database: Database) -> None:
    job = running(database)
    about = {"key": "weights/a", "sha256": "a" * 64, "bytes": 1, "summary": {}}
    insert(database, tables.weights, job_id=job.id, **about)
    with pytest.raises(sa.exc.IntegrityError):
        insert(database, tables.weights, job_id=job.id, **about)


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes, then its name, then the folder that holds the name; only then does anybody hear of it."""
    done: list[str] = []

    def noted(what: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            kind = "folder" if what == "sync" and Path(f"/dev/fd/{arguments[0]}").is_dir() else "file"
            done.append(f"{what} {kind}")
            return act(*arguments)

        return noting

    source = tmp_path / "source"
    source.write_bytes(b"weights")
    (tmp_path / "files" / "weights").mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", noted("sync", os.fsync))
    monkeypatch.setattr(Path, "replace", noted("name", Path.replace))
    Files((tmp_path / "files").as_uri()).put("weights/a", source)
    assert done == ["sync file", "name file", "sync folder"]
    done.clear()
    files = Files((tmp_path / "files").as_uri())
    for name in ("b", "c"):
        files.put(f"weights/{name}", source, settle=False)
    files.settle("weights")
    assert done == ["sync file", "name file", "sync file", "name file", "sync folder"]
