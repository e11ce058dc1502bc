"""A file from a stranger → a table: its content says what it is, its name only what its owner thinks."""

from __future__ import annotations

import gzip
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from models.datasets import delimited, inference, npz, parquet
from models.datasets.limits import ReadLimits
from models.datasets.table import Table
from models.errors import DatasetError

_Reader = Callable[[Path, ReadLimits, list[str]], pl.DataFrame]

_CHUNK = 2**20

_FORMATS: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"PAR1": "parquet",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",
}

_FOREIGN: dict[bytes, tuple[str, str]] = {
    b"\x93NUMPY": ("a single NumPy array", "save X and y together: numpy.savez_compressed(path, X=X, y=y)"),
    b"ARROW1": ("an Arrow file", "save it as Parquet"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    b"SQLite format 3": ("a SQLite database", "export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "save it as Parquet"),
    b"%PDF": ("a PDF document", "send the table as CSV"),
    b"\x80\x04\x95": ("a Python pickle", "pickles are never opened; save it as Parquet or CSV"),
    b"\x80\x05\x95": ("a Python pickle", "pickles are never opened; save it as Parquet or CSV"),
    b"BZh": ("packed by bzip2", "pack it by gzip, or not at all"),
    b"\xfd7zXZ": ("packed by xz", "pack it by gzip, or not at all"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "pack it by gzip, or not at all"),
    b"{": ("JSON", "send a table: a first line of column names, then a row a line"),
    b"[{": ("JSON", "send a table: a first line of column names, then a row a line"),
}

_SUFFIXES = {".parquet": "parquet", ".npz": "npz", ".gz": "gzip", ".xlsx": "npz", ".xls": "", ".pkl": ""}


def read(path: Path, *, filename: str, target: str | None, task: str | None, limits: ReadLimits) -> Table:
    """Read, type and describe a file."""
    notes: list[str] = []
    frame = _frame(path, filename, limits, notes)
    return inference.table(frame, target=target, task=task, notes=notes)


def _frame(path: Path, filename: str, limits: ReadLimits, notes: list[str]) -> pl.DataFrame:
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise DatasetError(
            "the file is empty", suggestion="send a first line of column names, then a row a line"
        )
    found = next((name for magic, name in _FORMATS.items() if start.startswith(magic)), "csv")
    _no_foreign_format(start)
    _name_agrees(filename, found)
    return _READERS[found](path, limits, notes)


def _no_foreign_format(start: bytes) -> None:
    for magic, (what, instead) in _FOREIGN.items():
        if start.startswith(magic):
            raise DatasetError(f"the file is {what}", suggestion=instead)


def _name_agrees(filename: str, found: str) -> None:
    suffix = Path(filename).suffix.lower()
    expected = _SUFFIXES.get(suffix, found)
    if expected != found:
        raise DatasetError(
            f"the file is called {suffix} but its content is not",
            suggestion="send CSV, CSV packed by gzip, Parquet, or NPZ with X and y",
        )


def _gzipped(path: Path, limits: ReadLimits, notes: list[str]) -> pl.DataFrame:
    """Unpack beside the file, no further than the limits allow, and read the text."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unpacked = Path(folder, "unpacked.csv")
        _unpack(path, unpacked, limits)
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


def _zipped(path: Path, limits: ReadLimits, notes: list[str]) -> pl.DataFrame:
    """NumPy's archives and Excel's workbooks are both zip files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
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
