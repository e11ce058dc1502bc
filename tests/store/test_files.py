"""Files in a folder and in a bucket: whole or not at all, and checked when they are read."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from store.errors import FileDamaged, FileMissing, FilesFull, FilesUnavailable
from store.files import CHUNK, Files, Folder, Stored
from tests.forks import forked
from tests.store.processes import put

KEY = "weights/job_1.1.safetensors"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server that speaks S3's protocol over HTTP."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def bucket(s3_server: str) -> Any:
    """Through a client of its own, which takes a while to make."""
    known = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.resource("s3", endpoint_url=s3_server, **known).Bucket("ridgeline")


@pytest.fixture
def bucket_url(s3_server: str, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    settings = {"ENDPOINT_URL": s3_server, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    for name, value in {**settings, "REGION": "us-east-1", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket.create()
    yield "s3://ridgeline/some/prefix"
    bucket.objects.delete()
    bucket.delete()


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """The same test on both."""
    if request.param == "folder":
        return Files(f"file://{tmp_path / 'stored'}")
    return Files(request.getfixturevalue("bucket_url"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"three layers")
    return path


def _stored(path: Path, key: str = KEY) -> Stored:
    content = path.read_bytes()
    return Stored(key, hashlib.sha256(content).hexdigest(), len(content))


def test_what_is_put_is_fetched_and_read_in_pieces(files: Files, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for size in (0, 1, CHUNK, 6 * CHUNK + 17):
        source.write_bytes(os.urandom(size))
        stored = files.put(KEY, source)
        assert stored == _stored(source)
        fetched = files.fetch(KEY, tmp_path / "new folder" / "fetched", sha256=stored.sha256)
        assert fetched == tmp_path / "new folder" / "fetched"
        assert fetched.read_bytes() == source.read_bytes()
        assert list(fetched.parent.iterdir()) == [fetched]
        assert b"".join(files.read(KEY, sha256=stored.sha256)) == source.read_bytes()


def test_what_is_read_is_whole_or_lacks_its_last_piece(files: Files, tmp_path: Path) -> None:
    """Damage is told before the last piece is given, in a small file before anything is."""
    source = tmp_path / "source"
    for size in (12, 2 * CHUNK + 17):
        source.write_bytes(b"a" * size)
        stored = files.put(KEY, source)
        source.write_bytes(b"a" * (size - 1) + b"b")
        files.put(KEY, source)
        given: list[bytes] = []
        with pytest.raises(FileDamaged):
            given.extend(files.read(KEY, sha256=stored.sha256))
        assert sum(map(len, given)) < size
        assert given or size < CHUNK
    with pytest.raises(FileMissing):
        next(files.read("weights/none", sha256=""))


def test_what_is_put_again_replaces(files: Files, source: Path, tmp_path: Path) -> None:
    old = files.put(KEY, source)
    source.write_bytes(b"four layers")
    new = files.put(KEY, source)
    assert files.fetch(KEY, tmp_path / "fetched", sha256=new.sha256).read_bytes() == b"four layers"
    with pytest.raises(FileDamaged, match=KEY):
        files.fetch(KEY, tmp_path / "fetched", sha256=old.sha256)


def test_a_damaged_file_is_not_handed_out(files: Files, source: Path, tmp_path: Path) -> None:
    stored = files.put(KEY, source)
    source.write_bytes(b"three lbyers")
    files.put(KEY, source)
    target = tmp_path / "fetched"
    target.write_bytes(b"what was there before")
    with pytest.raises(FileDamaged):
        files.fetch(KEY, target, sha256=stored.sha256)
    assert target.read_bytes() == b"what was there before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["fetched", "source"]


def test_what_is_not_there(files: Files, tmp_path: Path) -> None:
    assert not files.exists(KEY)
    with pytest.raises(FileMissing):
        files.fetch(KEY, tmp_path / "fetched", sha256="0" * 64)
    assert list(files.list("weights")) == []
    files.delete(KEY)


def test_deleting(files: Files, source: Path) -> None:
    files.put(KEY, source)
    files.put("weights/other", source)
    assert files.exists(KEY)
    files.delete(KEY)
    assert not files.exists(KEY)
    assert files.exists("weights/other")


def test_a_listing_tells_size_and_age(files: Files, source: Path) -> None:
    files.put("weights/a", source)
    files.put("weights/b", source)
    files.put("datasets/c", source)
    found = {one.key: one for one in files.list("weights")}
    assert set(found) == {"weights/a", "weights/b"}
    assert all(one.bytes == len(b"three layers") and 0 <= one.age_seconds < 60 for one in found.values())


OUTSIDE = ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a b", "a\x00", "ä", "a\n"]


@pytest.mark.parametrize("key", [*OUTSIDE, "-a"])
def test_a_key_stays_inside(source: Path, tmp_path: Path, key: str) -> None:
    """Whatever the place is: it is not even asked."""
    files = Files("s3://nowhere/prefix")
    for use in (
        lambda: files.put(key, source),
        lambda: files.fetch(key, tmp_path / "fetched", sha256=""),
        lambda: files.exists(key),
        lambda: files.delete(key),
        lambda: list(files.list(key)),
    ):
        with pytest.raises(ValueError, match="not the key of a file"):
            use()


def test_paths_and_urls_of_folders(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "a folder, 100 % ours"
    for url in (str(odd), f"file://{tmp_path}/a%20folder%2C%20100%20%25%20ours", "./a folder, 100 % ours"):
        Files(url).put(KEY, source)
        assert (odd / KEY).read_bytes() == source.read_bytes()
        (odd / KEY).unlink()


def test_a_put_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(KEY, [b"old"])

    def breaking() -> Iterator[bytes]:
        yield b"new, but"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write(KEY, breaking())
    assert b"".join(folder.read(KEY)) == b"old"
    assert [one.key for one in folder.list("weights")] == [KEY]


def test_sigkill_in_the_middle_of_a_put_leaves_the_old_file(tmp_path: Path, source: Path) -> None:
    files = Files(str(tmp_path / "stored"))
    old = files.put(KEY, source)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with forked(put, files.url, KEY, str(pipe)) as process, pipe.open("wb") as writing:
        writing.write(b"x" * 3 * CHUNK)
        writing.flush()
        while len(list(files.list("weights"))) < 2:
            assert process.is_alive()
        process.kill()
        process.join()
    assert files.fetch(KEY, tmp_path / "fetched", sha256=old.sha256).read_bytes() == b"three layers"
    (left,) = [one.key for one in files.list("weights") if one.key != KEY]
    files.delete(left)
    assert [one.key for one in files.list("weights")] == [KEY]


@pytest.mark.parametrize(
    ("code", "named"), [(errno.ENOSPC, FilesFull), (errno.EDQUOT, FilesFull), (errno.EIO, FilesUnavailable)]
)
def test_what_the_system_refuses_is_named(
    tmp_path: Path, source: Path, code: int, named: type[Exception]
) -> None:
    class Refusing(Folder):
        def write(self, key: str, chunks: object, *, settle: bool = True) -> None:
            raise OSError(code, os.strerror(code))

    files = Files(str(tmp_path))
    vars(files)["_place"] = Refusing(tmp_path)
    with pytest.raises(named, match=os.strerror(code)):
        files.put(KEY, source)


def test_a_folder_that_cannot_be_made(source: Path) -> None:
    with pytest.raises(FilesUnavailable):
        Files(f"{source}/below a file").put(KEY, source)


def test_a_bucket_that_is_not_there(bucket_url: str, source: Path) -> None:
    with pytest.raises((FilesUnavailable, FileMissing)):
        Files(bucket_url.replace("ridgeline", "elsewhere")).put(KEY, source)


def test_a_store_of_no_known_kind(source: Path) -> None:
    with pytest.raises(FilesUnavailable):
        Files("gopher://somewhere").put(KEY, source)


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    Files(f"file://{tmp_path}/later")
    Files("gopher://somewhere")
    assert list(tmp_path.iterdir()) == []
