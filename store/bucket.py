"""Files in an object store: S3, Google Cloud Storage or Azure, through obstore.

Credentials and endpoint come from the environment as each store's own tools have them (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, …).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from store.errors import FileMissing, FilesUnavailable
from store.files import CHUNK, Found


class Bucket:
    """A place in an object store. A write is atomic: an object is there wholly or not at all."""

    def __init__(self, url: str) -> None:
        with _faults_named(url):
            self._store = from_url(url)

    def write(self, key: str, chunks: Iterable[bytes], *, settle: bool = True) -> None:  # noqa: ARG002 - at once
        with _faults_named(key):
            obstore.put(self._store, key, chunks)

    def settle(self, prefix: str) -> None:
        """What was put is there to stay."""

    def read(self, key: str) -> Iterator[bytes]:
        with _faults_named(key):
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    def delete(self, key: str) -> None:
        with _faults_named(key):
            obstore.delete(self._store, key)

    def exists(self, key: str) -> bool:
        try:
            with _faults_named(key):
                obstore.head(self._store, key)
        except FileMissing:
            return False
        return True

    def list(self, prefix: str) -> Iterator[Found]:
        clock = datetime.now(UTC)
        with _faults_named(prefix):
            for batch in obstore.list(self._store, prefix=prefix):
                for about in batch:
                    age = max(0.0, (clock - about["last_modified"]).total_seconds())
                    yield Found(about["path"], about["size"], age)


@contextmanager
def _faults_named(key: str) -> Iterator[None]:
    """obstore's errors as the store's; its messages may hold signed addresses, so only their kind is told."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(f"there is no file {key}") from error
    except BaseError as error:
        raise FilesUnavailable(f"the object store refused {key}: {type(error).__name__}") from error
