"""Files in an object store: S3, Google Cloud Storage or Azure, through obstore.

Credentials and endpoint come from the environment as each store's own tools have them (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, …).

A store may accept a connection and never answer. What is small has to be done within seconds; what is large
may take as long as it likes while it gets on. What has hung is left alone for a while (`store/breaker.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import from_url

from store.breaker import HANG_SECONDS, Breaker
from store.errors import FileMissing, FilesFull, FilesUnavailable
from store.files import CHUNK, Found

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, ClientConfig, ObjectStore, RetryConfig

SMALL_BYTES: Final = 256 * 1024
"""An object of so much goes up as one small request."""
PART_BYTES: Final = 5 * 1024 * 1024
PARTS_AT_ONCE: Final = 4
"""A larger one goes up in parts of this size, which is the least that S3 takes, so many at the same time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an object store may take, in seconds; none of them bounds a transfer that gets on."""

    small: float = 4.0
    """A small request, from its connection to the end of its answer; tried twice where nothing comes."""
    part: float = 30.0
    """A part on its way up: four at the same time, at 0.7 MB/s in all, just manage it."""
    pause: float = 4.0
    """Until an answer begins, and between two of its pieces on the way down."""
    slow: float = 10.0
    """While pieces come down, so long must bring `slow_bytes`."""
    slow_bytes: int = 64 * 1024


class Bucket:
    """A place in an object store. A write is atomic: an object is there wholly or not at all."""

    def __init__(self, url: str, patience: Patience = Patience()) -> None:
        self._patience = patience
        self._breaker = Breaker("the object store", hang_seconds=min(HANG_SECONDS, patience.small / 2))
        small, part, pause = (
            timedelta(seconds=each) for each in (patience.small, patience.part, patience.pause)
        )
        with _faults_named(url):
            self._small = _store(url, patience, timeout=small)
            self._up = _store(url, patience, timeout=part)
            self._down = _store(url, patience, timeout=_FOR_EVER, read_timeout=pause)

    def write(self, key: str, chunks: Iterable[bytes], *, settle: bool = True) -> None:  # noqa: ARG002 - at once
        left = iter(chunks)
        first = next(left, b"")
        second = next(left, b"")
        if not second and len(first) <= SMALL_BYTES:
            self._ask(key, lambda: obstore.put(self._small, key, first))
            return
        # A part has long to go up: whether anybody is there at all is found out sooner.
        with suppress(_Forbidden):
            self.exists(key)
        content = chain([first, second], left)
        self._ask(key, lambda: self._put_in_parts(key, content))

    def _put_in_parts(self, key: str, content: Iterator[bytes]) -> None:
        obstore.put(self._up, key, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def settle(self, prefix: str) -> None:
        """What was put is there to stay."""

    def read(self, key: str) -> Iterator[bytes]:
        stream = iter(self._ask(key, lambda: obstore.get(self._down, key).stream(min_chunk_size=1)))
        while piece := self._ask(key, lambda: self._gathered(stream), begun=True):
            yield piece

    def _gathered(self, stream: Iterator[Any]) -> bytes:
        """The next CHUNK of a stream, which comes in whatever pieces the network makes.

        `FilesUnavailable` where it drips, which is as good as silence. Only the time spent waiting for the
        store counts, not what its reader does in between.
        """
        gathered = bytearray()
        since, before = time.monotonic(), 0
        for piece in stream:
            gathered += piece
            if len(gathered) >= CHUNK:
                break
            if (waited := time.monotonic() - since) >= self._patience.slow:
                if len(gathered) - before < self._patience.slow_bytes:
                    raise FilesUnavailable(f"the object store drips: little came in {waited:.1f} seconds")
                since, before = time.monotonic(), len(gathered)
        return bytes(gathered)

    def delete(self, key: str) -> None:
        self._ask(key, lambda: obstore.delete(self._small, key))

    def exists(self, key: str) -> bool:
        try:
            self._ask(key, lambda: obstore.head(self._small, key))
        except FileMissing:
            return False
        return True

    def list(self, prefix: str) -> Iterator[Found]:
        clock = datetime.now(UTC)
        batches = iter(obstore.list(self._small, prefix=prefix))
        begun = False
        while batch := self._ask(prefix, lambda: next(batches, None), begun=begun):
            begun = True
            for about in batch:
                age = max(0.0, (clock - about["last_modified"]).total_seconds())
                yield Found(about["path"], about["size"], age)

    def check(self) -> None:
        """Raise `FilesUnavailable` unless the store answers, whatever it has."""
        try:
            self._ask(_NOBODYS, lambda: obstore.head(self._small, _NOBODYS))
        except FileMissing:
            return

    def free_bytes(self) -> int | None:
        """An object store does not say."""
        return None

    def _ask(self, key: str, act: Callable[[], T], *, begun: bool = False) -> T:
        with self._breaker.watching(begun=begun):
            try:
                with _faults_named(key):
                    return act()
            except FileMissing:
                pass  # An answer like another, for the breaker.
        raise FileMissing(f"there is no file {key}")


_NOBODYS: Final = "readiness"
"""A key under which nothing is ever put."""
_FOR_EVER: Final = timedelta(days=3650)
_PREFIXES: Final = {
    "s3": "AWS",
    "s3a": "AWS",
    "gs": "GOOGLE",
    "az": "AZURE",
    "azure": "AZURE",
    "abfs": "AZURE",
}
_OPTIONS: Final = (
    *("allow_http", "allow_invalid_certificates", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_url", "proxy_ca_certificate", "proxy_excludes", "root_certificate"),
    *("randomize_addresses", "user_agent"),
)
"""What obstore lets the environment say of its connections; options given by us would replace them all."""


def _store(url: str, patience: Patience, **limits: timedelta) -> ObjectStore:
    prefix = _PREFIXES.get(urlsplit(url).scheme, "")
    said = {name: os.environ.get(f"{prefix}_{name.upper()}") for name in _OPTIONS}
    small = timedelta(seconds=patience.small)
    options: ClientConfig = {
        **{name: value for name, value in said.items() if value},  # type: ignore[typeddict-item]
        "connect_timeout": small / 2,
        **limits,
    }
    backoff: BackoffConfig = {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    }
    # A refusal is tried four times within a second; what hangs, twice.
    retries: RetryConfig = {"max_retries": 3, "retry_timeout": 1.25 * small, "backoff": backoff}
    return from_url(url, client_options=options, retry_config=retries)


class _Forbidden(FilesUnavailable):
    """The store answers, and does not let us: to know that something is missing may be a right of its own."""


@contextmanager
def _faults_named(key: str) -> Iterator[None]:
    """obstore's errors as the store's; its messages may hold signed addresses, so only their kind is told."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(f"there is no file {key}") from error
    except BaseError as error:
        if "507 Insufficient Storage" in str(error):
            raise FilesFull("the object store is full") from error
        kind = _Forbidden if isinstance(error, PermissionDeniedError) else FilesUnavailable
        raise kind(f"the object store failed at {key}: {type(error).__name__}") from error
