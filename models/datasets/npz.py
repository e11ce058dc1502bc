"""NumPy archives with X and y: headers are read here and held against the bytes that are present.

`numpy.load` believes a header, and a file of 192 bytes whose header claims 64 GiB asks for 64 GiB. Nothing is
unpickled.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.lib import format as npy
from numpy.typing import NDArray

from models.datasets.array_text import typed_text
from models.datasets.findings import Findings
from models.datasets.frames import TypedFrame
from models.datasets.limits import ReadLimits
from models.datasets.values import ROUNDED, finite, note_large
from models.errors import DatasetError

_MAX_MEMBERS = 100
_HEADER_BYTES = 10_000
_ENCRYPTED = 0x1
_HOW = "write it by numpy.savez_compressed(path, X=X, y=y)"


def read(path: Path, limits: ReadLimits, notes: list[str]) -> TypedFrame:
    """The columns x0, x1, … of X, then y."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, limits)
            x, y = (_array(archive, members[name], name, limits) for name in ("X", "y"))
    except DatasetError:
        raise
    # What a stranger's bytes make of zipfile and NumPy is not to be foreseen.
    except Exception as error:
        raise DatasetError("the NPZ file is damaged", suggestion=_HOW) from error
    x = _table_shaped(x, notes)
    if y.shape not in ((len(x),), (len(x), 1)):
        raise DatasetError(
            f"X has {len(x)} rows and y has the shape {y.shape}", suggestion="one y for each row of X"
        )
    if len(x) > limits.max_rows or x.shape[1] > limits.max_columns:
        raise DatasetError(
            f"X is {x.shape}; at most {limits.max_rows:,} rows and {limits.max_columns:,} columns are read"
        )
    findings = Findings()
    arrays = {f"x{position}": x[:, position] for position in range(x.shape[1])} | {"y": y.reshape(-1)}
    texts = {name: values for name, values in arrays.items() if values.dtype.kind == "U"}
    text = pl.DataFrame([pl.Series(name, values.tolist(), pl.String) for name, values in texts.items()])
    typed = typed_text(text, notes) if texts else TypedFrame(text)
    frame = pl.DataFrame(
        [
            typed.frame[name] if name in texts else _column(name, values, findings)
            for name, values in arrays.items()
        ]
    )
    notes += findings.notes()
    typed.frame, typed.rounded = frame, typed.rounded | findings.columns(ROUNDED)
    return typed


def _members(archive: zipfile.ZipFile, limits: ReadLimits) -> dict[str, zipfile.ZipInfo]:
    """The archive's arrays by name, where it holds X and y and no bomb."""
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise DatasetError(f"the archive has {len(infos)} members", suggestion=_HOW)
    members = {info.filename.removesuffix(".npy"): info for info in infos}
    if not {"X", "y"} <= members.keys():
        found = ", ".join(repr(name[:40]) for name in list(members)[:10]) or "nothing"
        raise DatasetError(f"the archive needs the arrays X and y and holds {found}", suggestion=_HOW)
    for info in (members["X"], members["y"]):
        if info.flag_bits & _ENCRYPTED:
            raise DatasetError("the archive is encrypted", suggestion="send it without a password")
        packed = info.file_size > limits.max_ratio * max(info.compress_size, 1)
        if info.file_size > limits.max_expanded_bytes or (
            packed and info.file_size > limits.ratio_free_bytes
        ):
            raise DatasetError(
                f"the array {info.filename} unpacks to {info.file_size:,} bytes, too many for its file"
            )
    return members


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, limits: ReadLimits) -> NDArray[Any]:
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, name)
        if dtype.kind not in "biufU" or dtype.hasobject:
            raise DatasetError(f"{name} holds {dtype} values", suggestion="save numbers, booleans or text")
        claimed = math.prod(shape) * dtype.itemsize
        present = info.file_size - file.tell()
        if claimed != present or claimed > limits.max_expanded_bytes or math.prod(shape) > limits.max_cells:
            raise DatasetError(
                f"{name} claims the shape {shape} of {dtype} but has {present:,} bytes", suggestion=_HOW
            )
        data = file.read(claimed + 1)
    if len(data) != claimed:
        raise DatasetError(f"{name} claims {claimed:,} bytes but has {len(data):,}", suggestion=_HOW)
    if dtype.kind == "U" and not _is_unicode(np.frombuffer(data, dtype.byteorder + "u4")):
        raise DatasetError(f"{name} holds text that is no Unicode", suggestion=_HOW)
    array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def _is_unicode(codes: NDArray[np.uint32]) -> bool:
    """NumPy believes any number to be a character, and what is made of such text breaks elsewhere."""
    surrogates = (codes >= 0xD800) & (codes < 0xE000)
    return not bool((surrogates | (codes > 0x10FFFF)).any())


def _header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type as an array's header claims them."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DatasetError(f"{name} is in version {version} of NumPy's format", suggestion=_HOW)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=_HEADER_BYTES)
    if any(length < 0 for length in shape):
        raise DatasetError(f"{name} claims the shape {shape}", suggestion=_HOW)
    return shape, fortran, dtype


def _table_shaped(x: NDArray[Any], notes: list[str]) -> NDArray[Any]:
    if x.ndim < 1 or not x.size:
        raise DatasetError(f"X has the shape {x.shape}, not rows × columns", suggestion=_HOW)
    if x.ndim > 2:
        notes.append(f"X of shape {x.shape} is laid flat to {math.prod(x.shape[1:])} columns")
    return x.reshape(len(x), -1)


def _column(name: str, values: NDArray[Any], findings: Findings) -> pl.Series:
    if values.dtype.kind == "f":
        # polars knows no long double; what is beyond a double becomes infinite, which is told.
        with np.errstate(over="ignore"):
            return finite(pl.Series(name, values.astype(np.float64)), findings)
    column = pl.Series(name, values)
    if values.dtype.kind == "b":
        return column
    note_large(column, findings)
    whole = column.cast(pl.Int64, strict=False)
    return column.cast(pl.Float64) if whole.null_count() else whole
