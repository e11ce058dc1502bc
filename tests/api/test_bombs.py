"""Bombs and lying files, sent to a real server: refused, with its memory as it was and its disk clean."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import polars as pl
import psutil
import pytest

from tests.chaos.fuzz import Served, served

MOST_GROWTH_BYTES = 200 * 1024**2
"""Over what the server took before, at any moment."""
MiB = 1024**2


def npy(shape: str, data: bytes = b"", *, kind: str = "<f8") -> bytes:
    """A .npy whose header says whatever it likes."""
    said = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header = said.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return packed.getvalue()


def zeros(rows: int) -> bytes:
    """An .npz of much nothing."""
    packed = io.BytesIO()
    np.savez_compressed(packed, X=np.zeros((rows, 10)), y=np.zeros(rows))
    return packed.getvalue()


def parquet(columns: int, rows: int) -> bytes:
    packed = io.BytesIO()
    table = pl.DataFrame({f"c{number}": pl.zeros(rows, eager=True) for number in range(columns)})
    table.write_parquet(packed, compression="zstd")
    return packed.getvalue()


Y = npy("(3,)", b"\x00" * 24)
# Files that only lie, and are small, are refused by what reads them: see `tests/models/test_readers.py`.
BOMBS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "an array of 64 GiB in 192 bytes": lambda: ("a.npz", npz(X=npy(f"({2**33},)"), y=Y)),
    "a thousand members": lambda: ("a.npz", npz(**{f"m{number}": Y for number in range(1000)})),
    "zeros that unfold to 130 MB": lambda: ("a.npz", zeros(1_500_000)),
    "a line of 64 MiB": lambda: ("a.csv.gz", gzip.compress(b"a,b\n1," + b"x" * 64 * MiB)),
    "lines without end": lambda: ("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 6_000_000)),
    "a gzip within a gzip": lambda: ("a.csv.gz", gzip.compress(gzip.compress(b"\x00" * 20 * MiB))),
    "too many columns": lambda: (
        "a.csv",
        b",".join(b"c%d" % n for n in range(60_000)) + b"\n" + b"1," * 60_000,
    ),
    "a parquet that is mostly hot air": lambda: ("a.parquet", parquet(40, 500_000)),
    "nothing but quotes": lambda: ("a.csv", b'a,b\n"' + b'"' * MiB),
    "nothing but NULs": lambda: ("a.csv", b"\x00" * MiB),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, prepared_folder: Path) -> Iterator[Served]:
    """A server that lets a reading child take 2 GiB and some seconds."""
    limits = {"describe_bytes": 2 * 1024**3, "describe_seconds": 20, "max_rows": 5_000_000}
    folder = tmp_path_factory.mktemp("bombs")
    shutil.copytree(prepared_folder, folder / "data")
    with served(folder, **limits) as server:
        ready = httpx2.post(f"{server.address}/v1/jobs/validate", json={"dataset": "iris"}, timeout=60)
        assert ready.status_code == 200
        yield server


@pytest.fixture(scope="module")
def growth(server: Served) -> Iterator[Callable[[], int]]:
    """By how much the server has outgrown itself since the first bomb, at the worst moment."""
    process, over = psutil.Process(server.process.pid), threading.Event()
    before = process.memory_info().rss
    most = [before]

    def watch() -> None:
        while not over.wait(0.02):
            most[0] = max(most[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    yield lambda: most[0] - before
    over.set()
    thread.join()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_leaves_nothing(server: Served, growth: Callable[[], int], name: str) -> None:
    filename, content = BOMBS[name]()
    files = {"file": (filename, content)}
    response = httpx2.post(f"{server.address}/v1/datasets", files=files, timeout=110)
    assert 400 <= response.status_code < 500, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert list((server.settings.data_dir / "uploads").iterdir()) == []
    assert growth() < MOST_GROWTH_BYTES


JSON_BOMBS = {
    "deep": b'{"dataset":' * 100_000,
    "wide": b'{"metadata": {' + b",".join(b'"k%d": 1' % n for n in range(60_000)) + b"}}",
    "one long string": b'{"dataset": "' + b"x" * (MiB - 100) + b'"}',
    "one long number": b'{"dataset": ' + b"9" * (MiB - 100) + b"}",
    "a list of lists": b'{"network": {"hidden": [' + b"[]," * 300_000 + b"[]]}}",
    "the same key again and again": b'{"dataset": "iris"' + b', "dataset": 1' * 60_000 + b"}",
    "laughs": b"a: &a [x, x]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 121)),
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_a_hostile_document_is_refused_quickly(server: Served, growth: Callable[[], int], name: str) -> None:
    media_type = "application/yaml" if name == "laughs" else "application/json"
    started = time.monotonic()
    response = httpx2.post(
        f"{server.address}/v1/jobs",
        content=JSON_BOMBS[name],
        headers={"Content-Type": media_type},
        timeout=60,
    )
    assert 400 <= response.status_code < 500, response.text[:500]
    assert time.monotonic() - started < 10
    assert growth() < MOST_GROWTH_BYTES


COSTLY = {
    "a layer of a billion": {"network": {"hidden": [1_000_000_000]}},
    "layers that multiply": {"network": {"hidden": [100_000] * 8}},
    "epochs": {"training": {"max_epochs": 10**9}},
    "steps": {"training": {"max_epochs": 100_000, "batch_size": 1}, "dataset": "digits"},
    "many layers": {"network": {"hidden": [10_000] * 60}},
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_spec_that_costs_too_much_is_refused_at_once(server: Served, name: str) -> None:
    """In under 200 ms: the best of a few, for other processes may hold the machine."""
    body, best = {"dataset": "digits", **COSTLY[name]}, float("inf")
    with httpx2.Client(base_url=server.address, timeout=30) as client:
        for _ in range(20):
            started = time.perf_counter()
            response = client.post("/v1/jobs", json=body)
            best = min(best, time.perf_counter() - started)
            assert response.status_code == 422, response.text[:500]
    assert best < 0.2
    (complaint, *_) = response.json()["errors"]
    assert complaint["pointer"]
    assert complaint["suggestion"]


def test_uploads_that_break_off_leave_nothing(server: Served) -> None:
    """A client that goes away in the middle, and one that announces more than it sends."""
    import socket

    port = int(server.address.rpartition(":")[2])
    head = (
        b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    )
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(head + b"a,b\n" * 200_000)
    deadline = time.monotonic() + 20
    while list((server.settings.data_dir / "uploads").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list((server.settings.data_dir / "uploads").iterdir()) == []
    assert httpx2.get(f"{server.address}/healthz").status_code == 200
