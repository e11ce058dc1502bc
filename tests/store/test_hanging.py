"""An object store that hangs: what asks it fails within seconds, and what gets on is never cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from store import breaker as breaker_module
from store.breaker import Breaker
from store.bucket import Bucket, Patience
from store.errors import FileMissing, FilesUnavailable
from tests.silent import Hanging, dripping, dripping_head, hanging, silent, steady, unavailable
from tests.store.examples import together

HURRIED = Patience(small=0.1, part=0.2, pause=0.1, slow=0.15, slow_bytes=4096)
"""A fortieth of what an installation has."""
SECONDS = 1.0
"""Two tries at 0.1 s, or one of 0.2 s behind them, with room for a machine that is busy."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    with hanging() as server:
        settings = {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
        for name, value in {**settings, "REGION": "us-east-1", "ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield server


def _bucket() -> Bucket:
    return Bucket("s3://ridgeline/prefix", HURRIED)


CALLS: dict[str, Callable[[Bucket], object]] = {
    "head": lambda bucket: bucket.exists("weights/a"),
    "small get": lambda bucket: list(bucket.read("weights/a")),
    "small put": lambda bucket: bucket.write("weights/a", [b"abc"]),
    "large put": lambda bucket: bucket.write("weights/a", [b"x" * 2**20] * 8),
    "delete": lambda bucket: bucket.delete("weights/a"),
    "list": lambda bucket: list(bucket.list("weights")),
    "check": lambda bucket: bucket.check(),
}


@pytest.mark.parametrize(
    ("calls", "conduct"), [(CALLS, silent), (["head"], dripping_head), (["list"], unavailable)]
)
def test_whatever_is_asked_fails_in_time(
    store: Hanging, calls: Iterable[str], conduct: Callable[..., None]
) -> None:
    """All at once, each of a bucket of its own."""
    store.conduct = conduct

    def fail(call: str) -> float:
        bucket, started = _bucket(), time.monotonic()
        with pytest.raises(FilesUnavailable):
            CALLS[call](bucket)
        return time.monotonic() - started

    assert max(together([partial(fail, call) for call in calls])) < SECONDS


def test_a_stream_that_drips_is_given_up(store: Hanging) -> None:
    """Each byte is in time for a single read, and the million of them would take five hours."""
    store.conduct = dripping
    started = time.monotonic()
    with pytest.raises(FilesUnavailable, match="drips"):
        list(_bucket().read("weights/a"))
    assert time.monotonic() - started < SECONDS


def test_a_long_transfer_that_gets_on_is_not_cut(store: Hanging) -> None:
    """It takes six times what a small request may."""
    store.conduct = steady(pieces=40, seconds=0.6)
    assert b"".join(_bucket().read("weights/a")) == b"y" * 40 * 4096


def test_a_slow_reader_is_not_the_stores_fault(store: Hanging) -> None:
    store.conduct = steady(pieces=300, seconds=0.1, size=8192)
    pieces = _bucket().read("weights/a")
    taken = len(next(pieces))
    time.sleep(1.5 * HURRIED.slow)
    assert taken + sum(map(len, pieces)) == 300 * 8192


def test_what_refuses_the_connection_fails_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging() as gone:
        address = gone.url
    for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "key", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    started = time.monotonic()
    with pytest.raises(FilesUnavailable):
        _bucket().exists("weights/a")
    assert time.monotonic() - started < SECONDS


def test_after_a_hang_nobody_waits(store: Hanging) -> None:
    """A stack of 64 jobs that all keep a checkpoint would wait for 64 hangs; so would as many requests."""
    bucket = _bucket()
    with pytest.raises(FilesUnavailable):
        bucket.exists("weights/a")
    came, started = len(store.connections), time.monotonic()
    for _ in range(100):
        with pytest.raises(FilesUnavailable, match="does not answer"):
            bucket.write("weights/a", [b"abc"])
    assert time.monotonic() - started < 0.1
    assert len(store.connections) == came


def test_a_breaker_lets_one_through_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "FIRST_REST_SECONDS", 0.05)
    breaker = Breaker("it", hang_seconds=0.01)

    def hang(seconds: float) -> None:
        time.sleep(seconds)
        raise FilesUnavailable("too long")

    def fail(seconds: float = 0.02) -> None:
        with pytest.raises(FilesUnavailable, match="too long"), breaker.watching():
            hang(seconds)

    def refused() -> None:
        with pytest.raises(FilesUnavailable, match="it does not answer"), breaker.watching():
            pytest.fail("it was let through")

    fail(0)  # a refusal is no hang
    fail()
    refused()
    time.sleep(0.06)
    with breaker.watching():
        refused()  # one is looking
        with breaker.watching(begun=True):  # what was let through before goes on
            pass
    fail()
    time.sleep(0.06)
    fail()
    time.sleep(0.06)
    refused()  # the second in a row rests it for twice as long
    time.sleep(0.06)
    with breaker.watching():
        pass
    with breaker.watching():
        pass


def test_something_missing_is_an_answer() -> None:
    breaker = Breaker("it", hang_seconds=0.0)
    for _ in range(2):
        with pytest.raises(FileMissing), breaker.watching():
            raise FileMissing


def test_the_limits_of_an_installation(tmp_path: Path) -> None:
    """Small requests fail within ten seconds; a gigabyte may take as long as it takes at 10 MB/s."""
    patience = Patience()
    assert 2 * patience.small + 1 < 10
    assert 2 * patience.pause + 1 < 10
    four_parts = 4 * 5 * 2**20
    assert four_parts / patience.part < 1e6
