"""Backup, restore and retention as an operator types them, each command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.occupancy import occupy
from store import jobs, tables, usage
from store.files import Files
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.store.examples import add_job, snapshot

ROOT = Path(__file__).parents[2]


def _ridgeline(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "RIDGELINE_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def database(sqlite_url: str, tmp_path: Path) -> Database:
    """An installation's database with one job that was cancelled; its data folder is `tmp_path`."""
    unbound = Database(sqlite_url)
    found = unbound.of(DEFAULT_PROJECT)
    job = add_job(found, metadata={"team": "risk"})
    with found.writing() as tx:
        jobs.request_cancel(tx, job.id)
        # Its dataset is made up: there is no file to back up.
        tx.execute(tables.datasets.update().values(table_key="datasets/a.parquet"))
    _put_file(tmp_path, found)
    return found


def _put_file(folder: Path, database: Database) -> None:
    path = folder / "content"
    path.write_bytes(b"table")
    stored = Files(str(folder / "files")).put("datasets/a.parquet", path)
    with database.writing() as tx:
        tx.execute(tables.datasets.update().values(table_sha256=stored.sha256, table_bytes=stored.bytes))
        usage.correct(tx)


def test_there_and_back(database: Database, tmp_path: Path) -> None:
    done = _ridgeline(tmp_path, "backup", str(tmp_path / "a backup"))
    assert (done.returncode, done.stdout) == (0, "1 jobs, 1 files, 5 bytes of files\n"), done.stderr

    restored = tmp_path / "restored"
    done = _ridgeline(restored, "restore", str(tmp_path / "a backup"))
    assert done.returncode == 0, done.stderr
    with Database(f"sqlite:///{restored}/ridgeline.db") as found:
        assert snapshot(found) == snapshot(database)

    again = _ridgeline(restored, "restore", str(tmp_path / "a backup"))
    assert again.returncode == 1
    assert "holds jobs already; restore into an empty one" in again.stderr


def test_a_running_server_is_not_restored_under(database: Database, tmp_path: Path) -> None:
    with occupy(tmp_path):
        refused = _ridgeline(tmp_path, "restore", str(tmp_path / "backup"))
    assert refused.returncode == 1
    assert "a server runs on this data folder" in refused.stderr


def test_pruning(database: Database, tmp_path: Path) -> None:
    dry = _ridgeline(tmp_path, "prune", "--older-than", "0", "--unused-datasets", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "1 jobs, 0 datasets, 0 files would be deleted\n"), dry.stderr
    assert "deleted" in _ridgeline(tmp_path, "prune", "--older-than", "0", "--status", "succeeded").stdout
    with database.reading() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(tables.jobs)).scalar() == 1
    done = _ridgeline(tmp_path, "prune", "--older-than", "0", "--unused-datasets")
    assert done.stdout == "1 jobs, 1 datasets, 1 files deleted\n", done.stderr
    assert not (tmp_path / "files" / "datasets" / "a.parquet").exists()


def test_a_misspelt_status_is_refused_with_the_choices(database: Database, tmp_path: Path) -> None:
    refused = _ridgeline(tmp_path, "prune", "--older-than", "1", "--status", "done")
    assert refused.returncode != 0
    assert "succeeded" in refused.stderr
