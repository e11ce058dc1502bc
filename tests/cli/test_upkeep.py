"""Backup, restore and retention as an operator types them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli import main as program
from cli import upkeep
from cli.occupancy import occupy
from cli.processes import Program, StartError
from store import jobs, tables, usage
from store.files import Files
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.store.examples import add_job, snapshot


@dataclass
class Done:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Ridgeline = Callable[..., Done]


@pytest.fixture
def ridgeline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ridgeline:
    """Run `ridgeline …` on a data folder."""

    def ridgeline(data_dir: Path, *arguments: str) -> Done:
        monkeypatch.setenv("RIDGELINE_DATA_DIR", str(data_dir))
        monkeypatch.setattr(sys, "argv", ["ridgeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            program.main()
        code = ended.value.code
        printed = capsys.readouterr()
        return Done(code if isinstance(code, int) else 0, printed.out, printed.err)

    return ridgeline


@pytest.fixture
def store_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's programs run in this process, which has loaded the store."""
    monkeypatch.setattr(upkeep, "run_once", run_here)


def run_here(asked: Program) -> str:
    python, option, module, *arguments = asked.command
    assert (python, option) == (sys.executable, "-m")
    assert asked.environment["RIDGELINE_DATA_DIR"] == os.environ["RIDGELINE_DATA_DIR"]
    with redirect_stdout(StringIO()) as printed, redirect_stderr(printed):
        try:
            code = importlib.import_module(module).main(arguments)
        except SystemExit as ended:
            code = ended.code
    if code:
        raise StartError(f"{asked.name} failed\n{printed.getvalue().strip()}")
    return printed.getvalue()


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


def test_there_and_back_in_programs_of_their_own(
    database: Database, tmp_path: Path, ridgeline: Ridgeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ridgeline(tmp_path, "backup", str(tmp_path / "a backup"))
    assert (done.returncode, done.stdout) == (0, "1 jobs, 1 files, 5 bytes of files\n"), done.stderr

    restored = tmp_path / "restored"
    done = ridgeline(restored, "restore", str(tmp_path / "a backup"))
    assert done.returncode == 0, done.stderr
    with Database(f"sqlite:///{restored}/ridgeline.db") as found:
        assert snapshot(found) == snapshot(database)

    monkeypatch.setattr(upkeep, "run_once", run_here)
    again = ridgeline(restored, "restore", str(tmp_path / "a backup"))
    assert again.returncode == 1
    assert "holds jobs already; restore into an empty one" in again.stderr


def test_a_running_server_is_not_restored_under(tmp_path: Path, ridgeline: Ridgeline) -> None:
    with occupy(tmp_path):
        refused = ridgeline(tmp_path, "restore", str(tmp_path / "backup"))
    assert refused.returncode == 1
    assert "a server runs on this data folder" in refused.stderr


@pytest.mark.usefixtures("store_here")
def test_pruning(database: Database, tmp_path: Path, ridgeline: Ridgeline) -> None:
    dry = ridgeline(tmp_path, "prune", "--older-than", "0", "--unused-datasets", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "1 jobs, 0 datasets, 0 files would be deleted\n"), dry.stderr
    assert "deleted" in ridgeline(tmp_path, "prune", "--older-than", "0", "--status", "succeeded").stdout
    with database.reading() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(tables.jobs)).scalar() == 1
    done = ridgeline(tmp_path, "prune", "--older-than", "0", "--unused-datasets")
    assert done.stdout == "1 jobs, 1 datasets, 1 files deleted\n", done.stderr
    assert not (tmp_path / "files" / "datasets" / "a.parquet").exists()


@pytest.mark.usefixtures("store_here")
def test_a_misspelt_status_is_refused_with_the_choices(
    database: Database, tmp_path: Path, ridgeline: Ridgeline
) -> None:
    refused = ridgeline(tmp_path, "prune", "--older-than", "1", "--status", "done")
    assert refused.returncode != 0
    assert "succeeded" in refused.stderr
