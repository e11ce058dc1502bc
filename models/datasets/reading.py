"""A file from a stranger → a table: its content says what it is, its name only what its owner thinks."""

from __future__ import annotations

import gzip
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from models.datasets import delimited, inference, npz, parquet
from models.datasets.foreign import START_BYTES, refuse_foreign
from models.datasets.frames import TypedFrame
from models.datasets.limits import ReadLimits
from models.datasets.table import Table
from models.errors import DatasetError

_Reader = Callable[[Path, ReadLimits, list[str]], TypedFrame]

_CHUNK = 2**20

_FORMATS: dict[bytes, str] = {
    rb"\x1f\x8b": "gzip",
    # A column of text may be called PAR1 too.
    rb"PAR1(?![\t\n\r\x20-\x7e])": "parquet",
    rb"PK(\x03\x04|\x05\x06)": "npz",
}

_PACKED = {"gzip": "a gzip file", "parquet": "a Parquet file", "npz": "an NPZ file or a zip archive"}

_SUFFIXES = {".parquet": "parquet", ".npz": "npz", ".gz": "gzip", ".xlsx": "npz", ".xls": "", ".pkl": ""}


def read(path: Path, *, filename: str, target: str | None, task: str | None, limits: ReadLimits) -> Table:
    """Read, type and describe a file."""
    notes: list[str] = []
    frame = _frame(path, filename, limits, notes)
    return inference.table(frame, target=target, task=task, notes=notes)


def _frame(path: Path, filename: str, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if not start:
        raise DatasetError(
            "the file is empty", suggestion="send a first line of column names, then a row a line"
        )
    found = _format(start)
    refuse_foreign(start)
    _name_agrees(filename, found)
    return _READERS[found](path, limits, notes)


def _format(start: bytes) -> str:
    return next((name for magic, name in _FORMATS.items() if re.match(magic, start)), "csv")


def _name_agrees(filename: str, found: str) -> None:
    suffix = Path(filename).suffix.lower()
    expected = _SUFFIXES.get(suffix, found)
    if expected != found:
        raise DatasetError(
            f"the file is called {suffix} but its content is not",
            suggestion="send CSV, CSV packed by gzip, Parquet, or NPZ with X and y",
        )


def _gzipped(path: Path, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    """Unpack beside the file, no further than the limits allow, and read the text."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unpacked = Path(folder, "unpacked.csv")
        _unpack(path, unpacked, limits)
        with unpacked.open("rb") as file:
            start = file.read(START_BYTES)
        refuse_foreign(start)
        if (found := _format(start)) != "csv":
            raise DatasetError(
                f"the file is {_PACKED[found]}, packed by gzip", suggestion="send it as it is, not packed"
            )
        return delimited.read(unpacked, limits, notes)


def _unpack(path: Path, unpacked: Path, limits: ReadLimits) -> None:
    most = max(limits.ratio_free_bytes, limits.max_ratio * path.stat().st_size)
    most, size = min(most, limits.max_expanded_bytes), 0
    try:
        with gzip.open(path) as packed, unpacked.open("wb") as file:
            while chunk := packed.read(_CHUNK):
                size += len(chunk)
                if size > most:
                    raise DatasetError(f"the file unpacks to more than {most:,} bytes")
                file.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError("the gzip file is damaged or cut off", suggestion="pack it again") from error


def _zipped(path: Path, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    """NumPy's archives and Excel's workbooks are both zip files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError, struct.error) as error:
        raise DatasetError("the NPZ file is damaged or cut off", suggestion="write it again") from error
    if "[Content_Types].xml" in names:
        raise DatasetError("the file is an Excel workbook", suggestion="save the sheet as CSV")
    if names and not any(name.endswith(".npy") for name in names):
        raise DatasetError("the file is a zip archive", suggestion="send the CSV itself, or packed by gzip")
    return npz.read(path, limits, notes)


_READERS: dict[str, _Reader] = {
    "csv": delimited.read,
    "gzip": _gzipped,
    "parquet": parquet.read,
    "npz": _zipped,
}
