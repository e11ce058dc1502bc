"""Backups: everything comes back, into any database, and a damaged one is refused with nothing changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from store import backup, checkpoints, datasets, ids, jobs, migrate, tables, weights
from store.columns import now
from store.curves import record
from store.errors import BackupError, SchemaOutdated
from store.files import Files, Stored
from store.jobs import Job
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases
from tests.store.examples import add_dataset, add_job, claim, look, points, snapshot

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what does not depend on where a backup comes from."""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(str(tmp_path / "files"))


@pytest.fixture
def lived_in(database: Database, files: Files, tmp_path: Path) -> Database:
    """A database with something in most tables, and the files that its rows point to."""
    dataset_id = ids.new("ds")
    with database.writing() as tx:
        table = _file(files, tmp_path, datasets.table_key(dataset_id))
        add_dataset(tx, dataset_id=dataset_id, table=table, name="naïve\u2028data")
        tx.execute(
            tables.idempotency.insert().values(
                project_id=DEFAULT_PROJECT, key="k", fingerprint="f", token="t", body=b"\x00\xff{}"
            )
        )
    ended = _running(database, dataset_id)
    with database.writing() as tx:
        assert record(tx, ended.id, ended.fence, [*points(1, 3)])
        stored = _file(files, tmp_path, weights.key(ended.id, ended.fence))
        assert weights.put(tx, ended.id, ended.fence, stored, {"layers": []})
        assert jobs.succeed(tx, ended.id, ended.fence, stop_reason="max_epochs", result={"test": None})
    _running(database, dataset_id)
    add_job(database, dataset_id=dataset_id, metadata={"team": "risk"})
    return database


def _running(database: Database, dataset_id: str) -> Job:
    add_job(database, dataset_id=dataset_id)
    return claim(database)


def _file(files: Files, folder: Path, key: str) -> Stored:
    path = folder / "content"
    path.write_bytes(key.encode() * 100)
    return files.put(key, path)


def _rows(database: Database) -> dict[str, object]:
    """All that a backup keeps, times to the millisecond, as SQLite has them."""
    kept = {str(name): rows for name, rows in snapshot(database).items() if name not in backup.LEFT_OUT}
    return orjson.loads(orjson.dumps(kept, default=_milliseconds, option=orjson.OPT_PASSTHROUGH_DATETIME))  # type: ignore[no-any-return]


def _milliseconds(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat(timespec="milliseconds")  # type: ignore[attr-defined]


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Another database, without a table."""
    if request.param == "sqlite":
        with Database(f"sqlite:///{tmp_path}/elsewhere.db") as database:
            yield database
    else:
        databases: Databases = request.getfixturevalue("postgres_databases")
        with databases.fresh(migrated=False) as url, Database(url) as database:
            yield database


def test_everything_comes_back_into_either_database(
    lived_in: Database, files: Files, elsewhere: Database, tmp_path: Path
) -> None:
    there = tmp_path / "backup"
    made = backup.create(lived_in, files, there)
    assert made.files == 2
    assert made.missing == []

    other = Files(str(tmp_path / "other files"))
    backup.restore(there, elsewhere, other)
    assert _rows(elsewhere) == _rows(lived_in)
    for found in files.list("weights"):
        assert other.exists(found.key)
    migrate.check(elsewhere)


@ON_SQLITE
def test_what_was_running_goes_on_after_a_restore(lived_in: Database, files: Files, tmp_path: Path) -> None:
    backup.create(lived_in, files, tmp_path / "backup")
    with Database(f"sqlite:///{tmp_path}/restored.db") as unbound:
        backup.restore(tmp_path / "backup", unbound, files)
        with unbound.writing() as tx:
            tx.execute(tables.jobs.update().values(lease_expires_at=sa.null()))
            running = tables.jobs.c.status == "running"
            tx.execute(tables.jobs.update().where(running).values(lease_expires_at=now(-1)))
        with unbound.writing() as tx:
            assert len(jobs.expire(tx, max_attempts=3, backoff_seconds=0).requeued) == 1
        restored = unbound.of(DEFAULT_PROJECT)
        assert look(restored, claim(restored)).status == "running"


@ON_SQLITE
def test_a_backup_is_readable_for_its_owner_alone(lived_in: Database, files: Files, tmp_path: Path) -> None:
    backup.create(lived_in, files, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


@ON_SQLITE
def test_an_existing_folder_is_left_alone(database: Database, files: Files, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="exists already"):
        backup.create(database, files, tmp_path)


@ON_SQLITE
def test_a_row_without_its_file_is_said(lived_in: Database, files: Files, tmp_path: Path) -> None:
    for found in list(files.list("weights")):
        files.delete(found.key)
    with pytest.raises(BackupError, match="is missing, and a row of weights points to it"):
        backup.create(lived_in, files, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@ON_SQLITE
def test_what_is_deleted_meanwhile_is_left_out(
    lived_in: Database, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables = backup._write_tables

    def and_delete(database: Database, folder: Path) -> backup.Contents:
        contents = write_tables(database, folder)
        with lived_in.writing() as tx:
            tx.execute(tables.weights.delete())
        for found in list(files.list("weights")):
            files.delete(found.key)
        return contents

    monkeypatch.setattr(backup, "_write_tables", and_delete)
    made = backup.create(lived_in, files, tmp_path / "backup")
    assert len(made.missing) == 1
    with Database(f"sqlite:///{tmp_path}/restored.db") as restored:
        backup.restore(tmp_path / "backup", restored, files)
        with restored.reading() as tx:
            assert tx.execute(sa.select(tables.weights)).all() == []
            assert len(tx.execute(sa.select(tables.jobs)).all()) == 3


def _cut_a_table(folder: Path) -> None:
    path = folder / "tables" / "jobs.jsonl"
    path.write_bytes(path.read_bytes()[:-1])


def _change_a_file(folder: Path) -> None:
    path = next((folder / "files" / "weights").iterdir())
    path.write_bytes(b"x")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "is no backup"),
    "half a manifest": (lambda folder: (folder / "manifest.json").write_bytes(b'{"format":'), "is no backup"),
    "another format": (
        lambda folder: (folder / "manifest.json").write_bytes(
            b'{"format": "x", "revision": "1", "created_at": ""}'
        ),
        "another kind",
    ),
    "a table cut short": (_cut_a_table, "jobs.jsonl is damaged"),
    "a table gone": (lambda folder: (folder / "tables" / "points.jsonl").unlink(), "points.jsonl is damaged"),
    "a file changed": (_change_a_file, "damaged or missing"),
    "files gone": (lambda folder: shutil.rmtree(folder / "files"), "damaged or missing"),
}


@ON_SQLITE
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_backup_is_refused_whole(
    lived_in: Database, files: Files, tmp_path: Path, damage: str
) -> None:
    backup.create(lived_in, files, tmp_path / "backup")
    do, said = DAMAGE[damage]
    do(tmp_path / "backup")
    with Database(f"sqlite:///{tmp_path}/restored.db") as restored:
        with pytest.raises(BackupError, match=said):
            backup.restore(tmp_path / "backup", restored, Files(str(tmp_path / "other")))
        with restored.reading() as tx:
            if sa.inspect(tx).has_table("jobs"):
                assert tx.execute(sa.select(tables.jobs)).all() == []


def test_a_database_in_use_is_not_overwritten(lived_in: Database, files: Files, tmp_path: Path) -> None:
    backup.create(lived_in, files, tmp_path / "backup")
    before = snapshot(lived_in)
    with pytest.raises(BackupError, match="holds jobs already"):
        backup.restore(tmp_path / "backup", lived_in, files)
    assert snapshot(lived_in) == before


@ON_SQLITE
def test_a_backup_of_a_newer_version_is_refused(lived_in: Database, files: Files, tmp_path: Path) -> None:
    backup.create(lived_in, files, tmp_path / "backup")
    manifest = tmp_path / "backup" / "manifest.json"
    manifest.write_bytes(orjson.dumps(orjson.loads(manifest.read_bytes()) | {"revision": "9999"}))
    with Database(f"sqlite:///{tmp_path}/restored.db") as restored, pytest.raises(SchemaOutdated):
        backup.restore(tmp_path / "backup", restored, files)


def test_a_checkpoint_is_a_file_like_any_other() -> None:
    """Whoever adds a table that points to files must tell the backup."""
    pointing = {
        table.name for table in tables.metadata.sorted_tables if {"sha256", "key"} <= set(table.c.keys())
    }
    assert pointing <= set(backup.POINTERS)
    assert checkpoints.key("job_x", 1, 1).startswith("checkpoints/")
