"""A whole installation in one folder, and back: `python -m store.backup create FOLDER`, `… restore FOLDER`.

    FOLDER/manifest.json        what is in here, with a checksum for each table
    FOLDER/tables/jobs.jsonl    the rows, one JSON object a line
    FOLDER/files/weights/…      every file that a row points to, checked by its sha256

The tables are read in one snapshot while everything runs. Nothing in the folder belongs to one database: a
backup of SQLite can be restored into PostgreSQL, one of a folder into a bucket, and one of an older version
into this one. It holds the secrets of webhooks, so it is made readable for its owner alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from store import migrate, usage
from store.columns import Moment
from store.errors import BackupError, FileMissing, StoreError
from store.files import Files
from store.session import Connection, Database
from store.settings import Settings
from store.tables import metadata, projects

FORMAT = "ridgeline-backup-1"
LEFT_OUT = {"workers", "usage"}
"""Who is there says who is there: presence is not restored. Sums are those of what is."""
POINTERS = {
    "datasets": ("table_key", "table_sha256"),
    "weights": ("key", "sha256"),
    "checkpoints": ("key", "sha256"),
}
"""Table → its columns with a file's key and checksum."""
_ROWS_AT_ONCE = 500


@dataclass(slots=True)
class Contents:
    """What a backup holds."""

    revision: str
    """The migration that its rows fit."""
    created_at: str
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name → rows and sha256."""
    files: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)
    """Files whose rows were deleted while the backup ran; restoring leaves those rows out."""
    format: str = FORMAT


# ── there ───────────────────────────────────────────────────────────────────────────────────────────────────


def create(database: Database, files: Files, folder: Path) -> Contents:
    """Write a backup; under its name only when it is whole. `BackupError` where the folder exists already."""
    if folder.exists():
        raise BackupError(f"{folder} exists already; name a folder that does not")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "tables").mkdir(parents=True, mode=0o700)
    partial.chmod(0o700)
    contents = _write_tables(database, partial)
    _write_files(database, files, partial, contents)
    (partial / "manifest.json").write_bytes(orjson.dumps(contents, option=orjson.OPT_INDENT_2))
    os.sync()
    partial.rename(folder)
    return contents


def _write_tables(database: Database, folder: Path) -> Contents:
    migrate.check(database)
    with database.reading() as tx:
        if tx.dialect.name == "postgresql":
            # SQLite's readers see one snapshot as they are.
            tx.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        contents = Contents(migrate.revision_of(tx) or "", datetime.now(UTC).isoformat())
        for table in metadata.sorted_tables:
            name = str(table.name)  # SQLAlchemy's names are a kind of text that JSON does not take
            if name not in LEFT_OUT:
                contents.tables[name] = _write_table(tx, table, folder / "tables" / f"{name}.jsonl")
    return contents


def _write_table(tx: Connection, table: sa.Table, path: Path) -> dict[str, Any]:
    digest, count = hashlib.sha256(), 0
    rows = tx.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(table))
    with path.open("wb") as file:
        for row in rows.mappings():
            line = orjson.dumps({str(name): _written(value) for name, value in row.items()}) + b"\n"
            digest.update(line)
            file.write(line)
            count += 1
    return {"rows": count, "sha256": digest.hexdigest()}


def _written(value: Any) -> Any:
    """Bytes as base64; times and JSON as orjson has them."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _write_files(database: Database, files: Files, folder: Path, contents: Contents) -> None:
    for table, key, sha256 in _pointers(folder, contents):
        target = folder / "files" / key
        if target.exists():
            continue
        try:
            contents.bytes += files.fetch(key, target, sha256=sha256).stat().st_size
        except FileMissing as error:
            if _still_pointed_to(database, table, key):
                raise BackupError(f"{key} is missing, and a row of {table} points to it") from error
            contents.missing.append(key)
        else:
            contents.files += 1


def _pointers(folder: Path, contents: Contents) -> Iterator[tuple[str, str, str]]:
    """(table, key, sha256) of every file that a row of the backup points to."""
    for table, (key, sha256) in POINTERS.items():
        if table in contents.tables:
            for row in _rows(folder, table):
                yield table, row[key], row[sha256]


def _still_pointed_to(database: Database, table: str, key: str) -> bool:
    column = metadata.tables[table].c[POINTERS[table][0]]
    with database.reading() as tx:
        return tx.execute(sa.select(column).where(column == key)).first() is not None


# ── and back ────────────────────────────────────────────────────────────────────────────────────────────────


def restore(folder: Path, database: Database, files: Files) -> Contents:
    """Fill an empty installation from a backup: the files first, then all rows in one transaction.

    Broken off, it can be run again. `BackupError` where the backup is damaged or the database is not empty.
    """
    contents = _read_manifest(folder)
    migrate.upgrade(database, contents.revision)
    _check_empty(database)
    for _, key, sha256 in _pointers(folder, contents):
        if key not in contents.missing:
            _put(files, folder / "files" / key, key, sha256)
    with database.writing() as tx:
        if "projects" in contents.tables:
            tx.execute(projects.delete())  # the migration made the first one
        for table in metadata.sorted_tables:
            if table.name in contents.tables:
                _restore_table(tx, table, folder, contents)
    migrate.upgrade(database)
    with database.writing() as tx:
        usage.correct(tx)
    return contents


def _read_manifest(folder: Path) -> Contents:
    try:
        contents = Contents(**orjson.loads((folder / "manifest.json").read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError) as error:
        raise BackupError(f"{folder} is no backup: its manifest.json cannot be read") from error
    if contents.format != FORMAT:
        raise BackupError(f"{folder} is a backup of another kind: {contents.format}")
    for table, about in contents.tables.items():
        path = folder / "tables" / f"{table}.jsonl"
        if not path.is_file() or _sha256(path) != about["sha256"]:
            raise BackupError(f"{path} is damaged: its sha256 is not the one in the manifest")
    return contents


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_empty(database: Database) -> None:
    with database.reading() as tx:
        for name in ("jobs", "datasets"):
            if tx.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first():  # noqa: S608 - our own names
                raise BackupError(f"the database holds {name} already; restore into an empty one")


def _put(files: Files, path: Path, key: str, sha256: str) -> None:
    if not path.is_file() or files.put(key, path).sha256 != sha256:
        raise BackupError(f"{path} is damaged or missing")


def _restore_table(tx: Connection, table: sa.Table, folder: Path, contents: Contents) -> None:
    """The rows with the columns that they were written with, which an older schema may have fewer of."""
    pointer = POINTERS.get(table.name, ("",))[0]
    rows = (row for row in _rows(folder, table.name) if row.get(pointer) not in contents.missing)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        columns = [sa.column(name, table.c[name].type) for name in some[0]]
        read = [{name: _read(value, table.c[name].type) for name, value in row.items()} for row in some]
        tx.execute(sa.insert(sa.table(table.name, *columns)), read)


def _read(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    if value is None:
        return None
    if isinstance(kind, Moment):
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(kind, sa.LargeBinary) else value


def _rows(folder: Path, table: str) -> Iterator[Mapping[str, Any]]:
    with (folder / "tables" / f"{table}.jsonl").open("rb") as file:
        for line in file:
            yield orjson.loads(line)


# ── the program ─────────────────────────────────────────────────────────────────────────────────────────────


def main(arguments: Sequence[str] | None = None) -> int:
    """Back up or restore what the settings name."""
    parser = argparse.ArgumentParser(prog="python -m store.backup", description="Back up or restore.")
    parser.add_argument("action", choices=("create", "restore"))
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args(arguments)
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    files = Files(settings.files)
    with Database(settings.database) as database:
        try:
            if asked.action == "create":
                contents = create(database, files, asked.folder.absolute())
            else:
                contents = restore(asked.folder.absolute(), database, files)
        except StoreError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    jobs = contents.tables["jobs"]["rows"]
    sys.stdout.write(f"{jobs:,} jobs, {contents.files:,} files, {contents.bytes:,} bytes of files\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
