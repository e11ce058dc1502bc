"""A multipart upload, streamed to disk as it arrives: never held in memory, counted, and hashed on the way.

Starlette's own form parser spools files with no limit on their total, so the parser below it is driven here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from fastapi import Request
from pydantic import Field
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api import bodies
from api.errors import BodyTooLargeError, InvalidInputError, MalformedRequestError
from api.file_work import FileWork
from api.limits import announced_bytes
from api.problems import printable
from models.errors import Complaint
from models.frozen import Frozen
from models.spec import Text
from store.errors import FilesFull

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PATH = re.compile(r"/v1/datasets")
FIELD_BYTES = 8192
MOST_PARTS = 20
_BATCH = 256 * 1024


class UploadFields(Frozen):
    """What an upload may say besides its file."""

    name: Text | None = None
    """What people will call the dataset; default: the file's name."""
    target: Text | None = Field(default=None, examples=["species"])
    """The column to predict; default: the last one."""
    task: Literal["classification", "regression"] | None = None
    """Default: inferred from the target, and said why."""


def form_schema() -> dict[str, Any]:
    """The whole form for the OpenAPI document. A form knows no null: what is not to be said is left out."""
    schema = UploadFields.model_json_schema()
    said = {
        name: {
            **{word: value for word, value in given.items() if word in ("description", "examples")},
            **next(option for option in given["anyOf"] if option["type"] != "null"),
        }
        for name, given in schema["properties"].items()
    }
    about = "CSV, CSV.gz, Parquet, or NPZ with `X` and `y`."
    file = {"type": "string", "format": "binary", "description": about}
    return {
        "type": "object",
        "required": ["file"],
        "properties": {"file": file, **said},
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on disk, and what was said of it."""

    path: Path
    filename: str
    sha256: str
    bytes: int
    fields: UploadFields


async def receive(
    request: Request, folder: Path, work: FileWork, *, most_bytes: int, reserve_bytes: int
) -> Upload:
    """Stream the request's file into `folder`; raises for everything that is not one whole file.

    `reserve_bytes` of the disk are left alone: the database needs room while people upload.
    """
    boundary = _boundary(request)

    def take(content: bytes, *, of: int = 0) -> None:
        _check_room(folder, max(of, len(content)), reserve_bytes)
        with path.open("ab") as target:
            form.feed(content, target)

    # Opened for each batch: an upload that is slow holds no file open, and no thread.
    path, form = folder / "upload", _Form(boundary, most_bytes)
    with _faults_named():
        await work.run(take, b"", of=announced_bytes(request.scope))
        batch = bytearray()
        async for chunk in request.stream():
            batch += chunk
            if len(batch) >= _BATCH:
                await work.run(take, bytes(batch))
                batch.clear()
        await work.run(take, bytes(batch))
    return form.finished(path)


def _boundary(request: Request) -> bytes:
    kind, parameters = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        bodies.require(request, ("multipart/form-data",))
    if not parameters.get(b"boundary"):
        raise MalformedRequestError("the Content-Type of a multipart body names its boundary")
    return parameters[b"boundary"]


def _check_room(folder: Path, wanted: int, reserve_bytes: int) -> None:
    if shutil.disk_usage(folder).free < wanted + reserve_bytes:
        raise FilesFull


@contextlib.contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise MalformedRequestError(f"the body is not multipart/form-data: {printable(str(error))}") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FilesFull from error
        raise


@dataclass(slots=True)
class _Part:
    """A part of the form while it comes in."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header: bytes = b""
    value: bytes = b""
    name: str = ""
    filename: str | None = None
    content: bytearray = field(default_factory=bytearray)


class _Form:
    """Takes a form's bytes in pieces of any size."""

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._over,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError:
            raise MalformedRequestError("the boundary of the multipart body is too long") from None
        self._target: BinaryIO | None = None
        self._most_bytes = most_bytes
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._part = _Part()
        self._parts = 0
        self._fields: dict[str, str] = {}
        self._filename: str | None = None
        self._is_over = False

    def feed(self, content: bytes, target: BinaryIO) -> None:
        """Some more of the body, whose file goes into `target`."""
        self._target = target
        if content and not self._is_over:
            self._parser.write(content)

    def finished(self, path: Path) -> Upload:
        """The whole upload, once the body has ended."""
        if not self._is_over:
            raise MalformedRequestError("the multipart body breaks off before its closing boundary")
        if self._filename is None:
            missing = Complaint("/file", "there is no part named file", suggestion="curl -F file=@data.csv …")
            raise InvalidInputError(errors=[missing])
        if not self._bytes:
            raise InvalidInputError(errors=[Complaint("/file", "the file is empty")])
        fields = bodies.validated(UploadFields, dict(self._fields))
        return Upload(path, self._filename, self._digest.hexdigest(), self._bytes, fields)

    def _begin(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise MalformedRequestError(f"a form may have at most {MOST_PARTS} parts")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _header_end(self) -> None:
        part = self._part
        part.headers[part.header.strip().lower()] = part.value
        part.header = part.value = b""

    def _headers_finished(self) -> None:
        part = self._part
        _, parameters = parse_options_header(part.headers.get(b"content-disposition", b""))
        part.name = parameters.get(b"name", b"").decode(errors="replace")
        if part.name != "file":
            self._check_fresh_field(part.name)
            return
        if self._filename is not None:
            raise InvalidInputError(errors=[Complaint("/file", "there are two parts named file; send one")])
        self._filename = _last_part(parameters.get(b"filename", b"upload").decode(errors="replace"))

    def _check_fresh_field(self, name: str) -> None:
        if name in self._fields:
            raise InvalidInputError(
                errors=[Complaint(f"/{name[:80]}", "this field is there twice; send it once")]
            )

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._part.name == "file":
            self._bytes += len(piece)
            if self._bytes > self._most_bytes:
                raise BodyTooLargeError(f"a dataset's file may have at most {self._most_bytes:,} bytes")
            self._digest.update(piece)
            assert self._target is not None  # noqa: S101 - parts come only while something is fed
            self._target.write(piece)
            return
        self._part.content += piece
        if len(self._part.content) > FIELD_BYTES:
            raise BodyTooLargeError(f"a field of the form may have at most {FIELD_BYTES:,} bytes")

    def _end(self) -> None:
        if self._part.name != "file":
            self._fields[self._part.name] = self._part.content.decode(errors="replace")

    def _over(self) -> None:
        self._is_over = True


def _last_part(filename: str) -> str:
    """The bare name: browsers of old send whole paths, and nobody may choose one of ours."""
    bare = PureWindowsPath(PurePosixPath(filename).name).name
    return printable(bare[-200:]) or "upload"
