"""What files are that are no dataset: told by their content, with what to send instead. No polars."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

from models.errors import DatasetError

START_BYTES: Final = 512
"""So much of a file's beginning tells a binary format."""

_FROM_R: Final = "write the table in R: write.csv(data, 'data.csv', row.names = FALSE)"
_FROM_SAS: Final = "export it as CSV: proc export … dbms=csv"
_FROM_STATA: Final = (
    "export it as CSV: export delimited, or pandas.read_stata(path).to_csv('data.csv', index=False)"
)
_IMAGES: Final = "send a table; of images, NPZ with X (rows × …) and y"
_PACK: Final = "pack it by gzip, or not at all"
_UNPACK: Final = "send the CSV itself, or packed by gzip"
_NO_TEXT: Final = rb"(?![\t\n\r\x20-\x7e])"
"""After letters with which a column's name might begin too."""

_MAGIC: Final[list[tuple[bytes, str, str]]] = [
    (
        rb"\x93NUMPY",
        "a single NumPy array",
        "save X and y together: numpy.savez_compressed(path, X=X, y=y)",
    ),
    (rb"ARROW1\x00|FEA1" + _NO_TEXT, "an Arrow or Feather file", "save it as Parquet"),
    (rb"\xff\xff\xff\xff", "an Arrow stream", "save it as Parquet"),
    (rb"Obj\x01", "an Avro file", "save it as Parquet"),
    (rb"ORC" + _NO_TEXT, "an ORC file", "save it as Parquet"),
    (rb"PARE" + _NO_TEXT, "an encrypted Parquet file", "save it without encryption"),
    (rb"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV"),
    (rb"SQLite format 3\x00", "a SQLite database", "export the table as CSV"),
    (rb"\x00\x01\x00\x00Standard (Jet|ACE) DB", "an Access database", "export the table as CSV"),
    (rb".{8}DUCK", "a DuckDB database", "export the table as CSV or Parquet"),
    (rb"\x89HDF", "an HDF5 file", "save it as Parquet"),
    (rb"CDF[\x01\x02\x05]", "a NetCDF file", "save the table as Parquet"),
    (rb"MATLAB 5\.0 MAT-file", "a MATLAB file", "save the table as CSV: writetable(T, 'data.csv')"),
    (rb"<stata_dta>|[\x69-\x73][\x01\x02]\x01\x00", "a Stata file", _FROM_STATA),
    (rb"\$FL[23]@\(#\)|ASCII SPSS PORT FILE", "an SPSS file", "save it as CSV"),
    (rb"HEADER RECORD\*{7}", "a SAS transport file", _FROM_SAS),
    (rb"\x00{12}\xc2\xea\x81\x60", "a SAS file", _FROM_SAS),
    (rb"RD[AX][23]\n", "an R workspace", _FROM_R),
    (rb"[XA]\n\x00\x00\x00|A\n[23]\n\d+\n", "an R object", _FROM_R),
    (rb"%PDF-", "a PDF document", "send the table as CSV"),
    (rb"\{\\rtf", "an RTF document", "save the table as CSV"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a", "an image", _IMAGES),
    (
        rb"\x80[\x02-\x05][\x00-\x08\x0e-\xff]",
        "a Python pickle",
        "pickles are never opened; save it as Parquet or CSV",
    ),
    (rb"BZh[1-9]1AY&SY", "packed by bzip2", _PACK),
    (rb"\xfd7zXZ", "packed by xz", _PACK),
    (rb"\x28\xb5\x2f\xfd", "packed by zstd", _PACK),
    (rb"\x04\x22\x4d\x18", "packed by lz4", _PACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb".{257}ustar", "a tar archive", _UNPACK),
]
_WIDE: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_TABLE: Final = "send a table: a first line of column names, then a row a line"


def refuse_foreign(start: bytes) -> None:
    """`DatasetError` where a file's first `START_BYTES` are those of a format that is not read."""
    for magic, what, instead in _MAGIC:
        if re.match(magic, start, re.DOTALL):
            raise DatasetError(f"the file is {what}", suggestion=instead)
    if encoding := wide_encoding(start):
        raise DatasetError(
            f"the file is {encoding} text, not UTF-8",
            suggestion="save it again as CSV with the encoding UTF-8",
        )


def wide_encoding(start: bytes) -> str | None:
    """UTF-16 or UTF-32 where text begins with their mark, or has a NUL beside every other byte."""
    for mark, encoding in _WIDE.items():
        if start.startswith(mark):
            return encoding
    for text, nuls in ((start[::2], start[1::2]), (start[1::2], start[::2])):
        if len(nuls) > 3 and nuls.count(0) > 0.8 * len(nuls) and 0 not in text:
            return "UTF-16"
    return None


def refuse_foreign_text(lines: Sequence[str]) -> None:
    """`DatasetError` where the first lines of a text are those of another kind of text than a table."""
    filled = [line.strip() for line in lines[:_LOOKED_AT] if line.strip()]
    if not filled:
        return
    for is_such, what, instead in _KINDS:
        if is_such(filled):
            raise DatasetError(f"the file is {what}", suggestion=instead)


_LOOKED_AT: Final = 200
_JSON: Final = re.compile(r'\{(?!\w)|\[(?=$|[\s\[{\]"\d-])')
_MARKUP: Final = re.compile(r"<[!?a-zA-Z]")
_BRACKETED_NAME: Final = re.compile(r"<[^<>]*>\s*[,;\t|]")
_PAGE: Final = re.compile(r"<!doctype html|<html|<head|<body", re.I)
_KEY: Final = re.compile(r"(- +)*[\w.\"'-]+:(\s|$)|- ")
_SPARSE: Final = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?( +(qid|\d+):[-+.\deE]+)+ *(#.*)?")
_STATEMENT: Final = re.compile(
    r"(create\s+table|insert\s+into|drop\s+table|set\s+names)\b|-- (mysql|mariadb|postgresql) ",
    re.I,
)


def _is_arff(lines: list[str]) -> bool:
    stated = next((line for line in lines if not line.startswith("%")), "")
    return stated.lower().startswith("@relation")


def _is_json(lines: list[str]) -> bool:
    return _JSON.match(lines[0]) is not None


def _is_json_lines(lines: list[str]) -> bool:
    def parses(line: str) -> bool:
        try:
            return isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            return False

    return _is_json(lines) and len(lines) > 1 and all(map(parses, lines[:2]))


def _is_markup(lines: list[str]) -> bool:
    return _MARKUP.match(lines[0]) is not None and not _BRACKETED_NAME.match(lines[0])


def _is_page(lines: list[str]) -> bool:
    return _is_markup(lines) and any(_PAGE.match(line) for line in lines[:5])


def _is_yaml(lines: list[str]) -> bool:
    if lines[0] == "---" or lines[0].startswith("%YAML"):
        return True
    keys = sum(_KEY.match(line) is not None for line in lines)
    return len(lines) > 2 and _KEY.match(lines[0]) is not None and keys > 0.9 * len(lines)


def _is_sparse(lines: list[str]) -> bool:
    return all(_SPARSE.fullmatch(line) for line in lines[:5])


_KINDS: Final[list[tuple[Callable[[list[str]], bool], str, str]]] = [
    (
        _is_arff,
        "ARFF, the format of Weka",
        "save it as CSV: the names in the first line, without @relation and @data",
    ),
    (
        _is_json_lines,
        "JSON, an object a line",
        "send a table: pandas.read_json(path, lines=True).to_csv('data.csv', index=False)",
    ),
    (_is_json, "JSON", _TABLE),
    (
        _is_page,
        "a web page (HTML), perhaps a page to log in or an error that was saved in place of the data",
        "download the data themselves, as CSV",
    ),
    (_is_markup, "XML or HTML", _TABLE),
    (_is_yaml, "YAML", _TABLE),
    (
        _is_sparse,
        "in the format of LIBSVM: a label, then index:value",
        "send every column: X, y = sklearn.datasets.load_svmlight_file(path); "
        "numpy.savez('data.npz', X=X.toarray(), y=y)",
    ),
    (
        lambda lines: any(_STATEMENT.match(line) for line in lines[:5]),
        "SQL statements",
        "export the table as CSV",
    ),
    (
        lambda lines: lines[0].startswith("version https://git-lfs"),
        "a pointer of Git LFS, not the data",
        "fetch the data first: git lfs pull",
    ),
    (lambda lines: lines[0].startswith("%%MatrixMarket"), "a Matrix Market file", _TABLE),
]
