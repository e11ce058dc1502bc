"""Files that outlive a process: written whole or not at all, and checked by their sha256 when read.

`Files` is a folder or a bucket, by its URL. Keys are relative paths such as `datasets/ds_….parquet`. Nothing
is opened before the first use, and a bucket must not be used before a fork: its client has threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from store.errors import DISK_FULL, FileDamaged, FileMissing, FilesFull, FilesUnavailable

CHUNK = 1024 * 1024
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is safely stored."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """A file as a listing tells of it."""

    key: str
    bytes: int
    age_seconds: float


class Place(Protocol):
    """Where bytes can lie: what a folder and a bucket have in common."""

    def write(self, key: str, chunks: Iterable[bytes], *, settle: bool = True) -> None: ...
    def settle(self, prefix: str) -> None: ...
    def read(self, key: str) -> Iterator[bytes]: ...
    def delete(self, key: str) -> None: ...
    def exists(self, key: str) -> bool: ...
    def list(self, prefix: str) -> Iterator[Found]: ...
    def check(self) -> None: ...
    def free_bytes(self) -> int | None: ...


class Files:
    """The file store of an installation: `file:///folder`, a plain path, `s3://bucket/prefix`, `gs://…`, `az://…`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def put(self, key: str, path: Path, *, settle: bool = True) -> Stored:
        """Store the file at `path` under `key`, wholly or not at all, replacing what was there.

        Where many go into one place, `settle` may be left to one call for all of them: until then a crash of
        the machine may take back the name, and no row may point to it.
        """
        digest = hashlib.sha256()
        size = 0

        def measured() -> Iterator[bytes]:
            nonlocal size
            for chunk in _chunks(path):
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        with _faults_named():
            self._place.write(_checked(key), measured(), settle=settle)
        return Stored(key, digest.hexdigest(), size)

    def settle(self, prefix: str) -> None:
        """Have the names of files right under `prefix/` survive a crash of the machine."""
        with _faults_named():
            self._place.settle(_checked(prefix))

    def fetch(self, key: str, to: Path, *, sha256: str) -> Path:
        """Bring a file to the path `to`. `FileDamaged` unless its bytes are those that were stored."""
        digest = hashlib.sha256()
        to.parent.mkdir(parents=True, exist_ok=True)
        partial = to.with_name(f".{to.name}.{uuid4().hex}.partial")
        try:
            with _faults_named(), partial.open("wb") as target:
                for chunk in self._place.read(_checked(key)):
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != sha256:
                raise _damaged(key)
            with _faults_named():
                return partial.replace(to)
        finally:
            partial.unlink(missing_ok=True)

    def read(self, key: str, *, sha256: str) -> Iterator[bytes]:
        """The bytes of a file, some at a time.

        The last ones are given only if all were those that were stored, else `FileDamaged`: whoever passes
        them on under a length that was told before passes on a whole file or none.
        """
        digest, held = hashlib.sha256(), b""
        with _faults_named():
            for chunk in self._place.read(_checked(key)):
                digest.update(chunk)
                if held:
                    yield held
                held = chunk
        if digest.hexdigest() != sha256:
            raise _damaged(key)
        yield held

    def exists(self, key: str) -> bool:
        """Whether there is a file under this key."""
        with _faults_named():
            return self._place.exists(_checked(key))

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is deleted already."""
        with _faults_named():
            self._place.delete(_checked(key))

    def list(self, prefix: str) -> Iterator[Found]:
        """Every file under `prefix/`, half-written ones included, for whoever sweeps orphans."""
        with _faults_named():
            yield from self._place.list(_checked(prefix))

    def check(self) -> None:
        """Raise `FilesUnavailable` unless files could be written and read now."""
        with _faults_named():
            self._place.check()

    def free_bytes(self) -> int | None:
        """Room that is left; None where nobody can say, as of an object store."""
        with _faults_named():
            return self._place.free_bytes()

    @cached_property
    def _place(self) -> Place:
        scheme = urlsplit(self.url).scheme
        if scheme == "file":
            return Folder(Path(unquote(urlsplit(self.url).path)))
        if scheme in ("", *_DRIVES):
            return Folder(Path(self.url).absolute())
        from store.bucket import Bucket

        return Bucket(self.url)


_DRIVES = "abcdefghijklmnopqrstuvwxyz"


def _damaged(key: str) -> FileDamaged:
    return FileDamaged(f"file {key} is damaged: its sha256 is not the one that was stored")


class Folder:
    """Files in a local or shared folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, chunks: Iterable[bytes], *, settle: bool = True) -> None:
        """Temporary name, fsync, rename, fsync of the folder: a crash leaves the old file or the new one."""
        path = self.root / key
        _make_folder(path.parent)
        partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
        try:
            with partial.open("xb") as target:
                for chunk in chunks:
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if settle:
            _sync_folder(path.parent)

    def settle(self, prefix: str) -> None:
        _sync_folder(self.root / prefix)

    def read(self, key: str) -> Iterator[bytes]:
        return _chunks(self.root / key)

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        return (self.root / key).is_file()

    def list(self, prefix: str) -> Iterator[Found]:
        for path in (self.root / prefix).rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                if path.is_file():
                    key = path.relative_to(self.root).as_posix()
                    yield Found(key, about.st_size, max(0.0, time.time() - about.st_mtime))

    def check(self) -> None:
        folder = _nearest(self.root)
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise FilesUnavailable(f"nothing can be written into {folder}")

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(_nearest(self.root)).free


def _nearest(folder: Path) -> Path:
    """The folder itself or, as long as nothing was written, the one in which it will be made."""
    return next(above for above in (folder, *folder.parents) if above.exists())


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, and have them survive a crash of the machine."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for above in missing:
        _sync_folder(above.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not the key of a file")
    return key


@contextlib.contextmanager
def _faults_named() -> Iterator[None]:
    """Turn what the system says into the store's errors."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(f"there is no file {error.filename or ''}".rstrip()) from error
    except OSError as error:
        kind = FilesFull if error.errno in DISK_FULL else FilesUnavailable
        raise kind(f"files cannot be used now: {error.strerror}") from error
