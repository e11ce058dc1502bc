"""Files from strangers: every format, every way of being broken, and what lies about its size."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.datasets import FORMATS, ReadLimits, Table, read
from models.errors import DatasetError

CSV = b"a,b,y\n1,x,p\n2,z,q\n3,x,p\n"
LIMITS = ReadLimits()


def of(tmp_path: Path, data: bytes, filename: str = "data.csv", limits: ReadLimits = LIMITS) -> Table:
    path = tmp_path / "an upload"
    path.write_bytes(data)
    return read(path, filename=filename, limits=limits)


def refusal(
    tmp_path: Path, data: bytes, filename: str = "data.csv", limits: ReadLimits = LIMITS
) -> DatasetError:
    with pytest.raises(DatasetError) as refused:
        of(tmp_path, data, filename, limits)
    assert refused.value.pointer == "/file"
    assert not (tmp_path / "unpacked.csv").exists()
    return refused.value


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def fixed_checksums(data: bytes) -> bytes:
    """A changed archive with the sums of what it holds now."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as changed, zipfile.ZipFile(file, "w") as archive:
        for info in changed.infolist():
            start = data.index(info.filename.encode()) + len(info.filename) + len(info.extra)
            start = data.index(b"\x93NUMPY", start)
            archive.writestr(info.filename, data[start : start + info.file_size])
    return file.getvalue()


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


# ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_format_that_is_announced_is_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x0": [1.5, 2.5, 3.5], "y": ["p", "q", "p"]})
    text = frame.write_csv().encode()
    files = {
        "csv": text,
        "csv.gz": gzip.compress(text),
        "parquet": parquet(frame),
        "npz": npz(X=frame[["x0"]].to_numpy(), y=frame["y"].to_numpy().astype("U1")),
    }
    assert files.keys() == FORMATS.keys()
    for suffix, data in files.items():
        table = of(tmp_path, data, f"data.{suffix}")
        assert table.columns["x0"].tolist() == [1.5, 2.5, 3.5]
        assert table.target.tolist() == [0, 1, 0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_even_in_decoy(tmp_path: Path, delimiter: str) -> None:
    rows = [["name, first", "b;c", "y"], ['"1, 2"', "3", "p"], ['"4, 5"', "6", "q"], ['"4, 5"', "6", "q"]]
    rows[0] = [f'"{cell}"' for cell in rows[0]]
    table = of(tmp_path, "\n".join(delimiter.join(row) for row in rows).encode())
    assert [column.name for column in table.description.columns] == ["name, first", "b;c"]
    assert table.columns["name, first"].tolist() == ["1, 2", "4, 5", "4, 5"]


def test_decimal_commas_where_semicolons_separate(tmp_path: Path) -> None:
    table = of(tmp_path, b"a;b;y\n1,5;x;p\n-2,25;1,5;q\n;x;p\n")
    np.testing.assert_array_equal(table.columns["a"], [1.5, -2.25, np.nan])
    assert table.columns["b"].tolist() == ["x", "1,5", "x"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + CSV,
        CSV.replace(b"\n", b"\r\n"),
        CSV.rstrip(b"\n"),
        CSV + b"\n\n",
        b"\n\n" + CSV,
        CSV.replace(b"a,b", b'"a", b '),
        CSV.replace(b"1,x", b" 1 , x "),
        CSV.replace(b"\n", b",\n"),
        b",a,b,y\n0,1,x,p\n1,2,z,q\n2,3,x,p\n",
    ],
    ids=[
        "BOM",
        "CRLF",
        "no last end",
        "blank last",
        "blank first",
        "quoted",
        "spaced",
        "open ends",
        "row numbers",
    ],
)
def test_text_in_all_its_dialects_is_the_same_table(tmp_path: Path, data: bytes) -> None:
    table = of(tmp_path, data)
    assert {name: values.tolist() for name, values in table.columns.items()} == {
        "a": [1.0, 2.0, 3.0],
        "b": ["x", "z", "x"],
    }
    assert [one.label for one in table.description.classes or []] == ["p", "q"]


def test_quotes_hold_delimiters_line_ends_and_quotes(tmp_path: Path) -> None:
    table = of(tmp_path, b'a,y\n"1,\n""2""",p\nz,q\nz,q\n')
    assert table.columns["a"].tolist() == ['1,\n"2"', "z", "z"]


def test_columns_that_are_named_by_their_numbers_are_read(tmp_path: Path) -> None:
    table = of(tmp_path, b"0,1,2\n5.5,6,p\n7.5,8,q\n7.5,8,q\n")
    assert list(table.columns) == ["0", "1"]


def test_images_are_laid_flat_and_said_so(tmp_path: Path) -> None:
    table = of(tmp_path, npz(X=np.arange(24).reshape(4, 2, 3), y=np.array([[0], [1], [0], [1]])), "x.npz")
    assert list(table.columns) == [f"x{n}" for n in range(6)]
    assert table.columns["x5"].tolist() == [5.0, 11.0, 17.0, 23.0]
    assert any("laid flat" in note for note in table.description.notes)


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<i1", ">u8", "|b1"])
def test_numpy_numbers_of_all_kinds(tmp_path: Path, kind: str) -> None:
    x = np.asfortranarray(np.array([[1, 0], [0, 1], [1, 1]]).astype(kind))
    table = of(tmp_path, npz(X=x, y=np.array([0.5, 1.5, 2.5])), "x.npz")
    assert table.columns["x1"].tolist() == [0.0, 1.0, 1.0]


# ── broken text ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "said", "suggestion"),
    [
        (b"", "empty", "column names"),
        (b"\n \n", "empty", "column names"),
        (b"a,y\n", "no rows", None),
        (b"a,y\n,\n,\n", "no rows", None),
        (b"a,a,y\n1,2,3\n", "two columns are called 'a'", "a name of its own"),
        (b"a,,y\n1,2,3\n2,3,4\n", "column 2 has no name", "name it"),
        (b"a," + b"n" * 300 + b",y\n1,2,3\n", "300 characters", "at most 200"),
        (b"a\x01,y\n1,2\n", "control characters", None),
        (b"1.5,2,3\n4,5,6\n", "numbers only", "x1,x2,y"),
        (b"a,b,y\n1,2,3\n4,5\n6,7,8\n", "line 3 has 2 cells where there are 3", "double quotes"),
        (b"a,b,y\n1,2,3\n4,5,6,7\n", "line 3 has 4 cells where there are 3", "double quotes"),
        (b'a,b,y\n1,"2,3\n4,5,6\n', "cannot be read", "close every quoted cell"),
        ("a,y\nä,1\n".encode("latin-1"), "byte 0xe4", "UTF-8"),
        ("a,y\n1,2\n".encode("utf-16"), "not UTF-8", "UTF-8"),
        (b"a,y\n1,\x00\n", "NUL", "UTF-8"),
        (b"just one line of prose", "no rows", None),
        (b'{"a": [1, 2]}', "JSON", "column names"),
    ],
)
def test_broken_text_is_refused_with_a_way_out(
    tmp_path: Path, data: bytes, said: str, suggestion: str | None
) -> None:
    error = refusal(tmp_path, data)
    assert said in str(error)
    assert (suggestion or "") in (error.suggestion or "")


@pytest.mark.parametrize(
    ("data", "filename", "said"),
    [
        (CSV, "data.parquet", "called .parquet"),
        (CSV, "data.csv.gz", "called .gz"),
        (CSV, "DATA.XLSX", "called .xlsx"),
        (b"\x93NUMPY\x01\x00", "x.npy", "single NumPy array"),
        (b"\x80\x04\x95\x00\x00", "x.pkl", "pickle"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "x.xls", "Excel"),
        (zipped(**{"[Content_Types].xml": b""}).replace(b".xml.npy", b".xml"), "x.xlsx", "damaged"),
        (b"SQLite format 3\x00", "x.db", "SQLite"),
        (b"%PDF-1.7", "x.csv", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "x.csv", "image"),
        (b"\x89pnG\r\n\x1a\n", "x.csv", "not UTF-8"),
    ],
)
def test_other_formats_are_named_whatever_they_are_called(
    tmp_path: Path, data: bytes, filename: str, said: str
) -> None:
    assert said in str(refusal(tmp_path, data, filename))


def test_workbooks_and_plain_archives_are_told_apart(tmp_path: Path) -> None:
    for member, said in {"[Content_Types].xml": "Excel workbook", "data.csv": "zip archive"}.items():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, CSV)
        assert said in str(refusal(tmp_path, file.getvalue(), "data.zip"))


# ── broken and lying binaries ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npz(X=np.ones((2, 2))), "needs the arrays X and y"),
        (npz(X=np.array([{}, {}]), y=np.array([0, 1])), "object"),
        (npz(X=np.ones((2, 2), complex), y=np.array([0, 1])), "complex"),
        (npz(X=np.ones((2, 2)), y=np.array([0, 1, 2])), "X has 2 rows"),
        (npz(X=np.ones((2, 2)), y=np.ones((2, 2))), "y has the shape"),
        (npz(X=np.float64(1), y=np.array([0, 1])), "rows × columns"),
        (npz(X=np.ones((0, 2)), y=np.ones(0)), "rows"),
        (zipped(X=npy_header((2**33, 1)), y=npy_header((2**33,))), "claims the shape"),
        (zipped(X=npy_header((2**62, 2**62)), y=npy_header((1,))), "claims the shape"),
        (zipped(X=npy_header((2, 1)) + b"\0" * 8, y=npy_header((2,))), "claims the shape"),
        (zipped(X=npy_header((-1, 1)) + b"\0" * 8, y=npy_header((1,))), "claims the shape"),
        (zipped(X=b"not an array", y=b""), "damaged"),
        (npz(X=np.ones((2, 2)), y=np.array([0, 1]))[:-30], "damaged"),
        (zipped(**dict.fromkeys(map(str, range(200)), b"")), "200 members"),
    ],
)
def test_archives_that_are_broken_or_lie_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in str(refusal(tmp_path, data, "data.npz"))


def test_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    data = npz(X=np.array([["ab"], ["cd"]]), y=np.array([0.5, 1.5]))
    assert of(tmp_path, data, "x.npz").columns["x0"].tolist() == ["ab", "cd"]
    for code in (0xD800, 0x110000):
        lone = data.replace("ab".encode("utf-32-le"), code.to_bytes(4, "little") + "b".encode("utf-32-le"))
        said = str(refusal(tmp_path, fixed_checksums(lone), "x.npz"))
        assert "no Unicode" in said


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (tmp_path / "sprung",)

    trapped = np.array([Trap(), Trap()], dtype=object)
    refusal(tmp_path, npz(X=trapped, y=np.array([0, 1])), "data.npz")
    refusal(tmp_path, npz(X=np.ones((2, 1)), y=trapped), "data.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("cut", [6, 60, 200])
def test_damaged_parquet_and_gzip_are_refused(tmp_path: Path, cut: int) -> None:
    whole = parquet(pl.DataFrame({"a": range(100), "y": [n % 2 for n in range(100)]}))
    assert "damaged" in str(refusal(tmp_path, whole[:-cut], "x.parquet"))
    flipped = whole[:10] + bytes(byte ^ 0xFF for byte in whole[10 : 10 + cut]) + whole[10 + cut :]
    assert "damaged" in str(refusal(tmp_path, flipped, "x.parquet"))
    packed = gzip.compress(b"a,y\n" + np.random.default_rng(0).bytes(300).hex().encode())
    assert "damaged" in str(refusal(tmp_path, packed[:-cut], "x.csv.gz"))


@pytest.mark.parametrize("values", [[[1], [2]], [{"k": 1}, {"k": 2}], [b"1", b"2"]])
def test_nested_parquet_columns_are_refused_by_name(tmp_path: Path, values: list[Any]) -> None:
    data = parquet(pl.DataFrame({"deep": values, "y": [1, 2]}))
    assert "'deep'" in str(refusal(tmp_path, data, "x.parquet"))


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────


def formats(frame: pl.DataFrame) -> dict[str, bytes]:
    text = frame.write_csv().encode()
    x, y = frame[:, :-1].to_numpy(), frame[:, -1].to_numpy()
    return {"csv": text, "csv.gz": gzip.compress(text), "parquet": parquet(frame), "npz": npz(X=x, y=y)}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "limits",
    [{"max_rows": 99}, {"max_columns": 9}, {"max_cells": 800}],
    ids=lambda limits: next(iter(limits)),
)
def test_rows_columns_and_cells_are_limited_in_every_format(
    tmp_path: Path, suffix: str, limits: dict[str, int]
) -> None:
    frame = pl.DataFrame({f"x{n}": np.arange(101.0) for n in range(10)} | {"y": np.arange(101.0) + 0.5})
    data = formats(frame)[suffix]
    assert of(tmp_path, data, f"x.{suffix}").rows == 101
    refusal(tmp_path, data, f"x.{suffix}", ReadLimits(**limits))


def test_lines_may_be_only_so_long(tmp_path: Path) -> None:
    limits = ReadLimits(max_line_bytes=3_000_000)
    data = b"a,y\n" + b"1" * 2_999_990 + b",p\n2,q\n2,q\n"
    assert of(tmp_path, data, limits=limits).rows == 3
    assert "more than 3,000,000 bytes" in str(
        refusal(tmp_path, data.replace(b"1,p", b"1" * 100 + b",p"), limits=limits)
    )


def test_a_gzip_bomb_is_cut_off_while_it_unpacks(tmp_path: Path) -> None:
    bomb = gzip.compress(b"a,y\n" + b"1,2\n" * 5_000_000)
    error = refusal(tmp_path, bomb, "x.csv.gz", ReadLimits(ratio_free_bytes=1_000_000, max_ratio=20))
    assert "unpacks to more than 1,000,000 bytes" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["an upload"]


def test_an_archive_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    zeros = npy_header((10_000_000, 1), "|b1") + bytes(10_000_000)
    bomb = zipped(zipfile.ZIP_DEFLATED, X=zeros, y=npy_header((10_000_000,), "|b1") + bytes(10_000_000))
    assert len(bomb) < 50_000
    assert "too many for its file" in str(
        refusal(tmp_path, bomb, "x.npz", ReadLimits(ratio_free_bytes=1_000_000))
    )
    assert "unpacks to" in str(refusal(tmp_path, bomb, "x.npz", ReadLimits(max_expanded_bytes=1_000_000)))


def test_a_parquet_bomb_is_measured_after_it_has_unpacked(tmp_path: Path) -> None:
    bomb = parquet(pl.DataFrame({"a": np.zeros(2_000_000), "y": np.zeros(2_000_000)}))
    assert len(bomb) < 100_000
    assert "unpacks to" in str(refusal(tmp_path, bomb, "x.parquet", ReadLimits(max_expanded_bytes=1_000_000)))


# ── the process that reads for others ───────────────────────────────────────────────────────────────────────


def describe(*arguments: object) -> subprocess.CompletedProcess[str]:
    # The errors of a parser that runs out of memory can be endless.
    return subprocess.run(
        [sys.executable, "-m", "models.describe", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=110,
    )


def test_the_child_describes_and_writes_the_table(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(CSV)
    out = tmp_path / "table.parquet"
    done = describe(tmp_path / "a file", "--filename", "data.csv", "--target", "b", "--head", 2, "--out", out)
    assert done.returncode == 0
    table = Table.load(out)
    answer = json.loads(done.stdout)
    assert answer["description"] == table.description.model_dump(mode="json")
    assert answer["head"] == table.head(2)
    assert table.description.target.name == "b"


def test_the_child_describes_bundled_sets(tmp_path: Path) -> None:
    done = describe("--bundled", "iris", "--out", tmp_path / "iris.parquet")
    assert json.loads(done.stdout)["description"]["rows"] == 150
    assert Table.load(tmp_path / "iris.parquet").rows == 150


def test_the_child_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(CSV)
    done = describe(tmp_path / "upload", "--out", tmp_path / "out", "--target", "Y")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "error": {
            "detail": "there is no column 'Y'; the columns are a, b, y",
            "suggestion": "y",
            "pointer": "/target",
        }
    }
    limited = describe(tmp_path / "upload", "--out", tmp_path / "out", "--limits", '{"max_columns": 2}')
    assert "3 columns" in json.loads(limited.stdout)["error"]["detail"]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource limits")
def test_the_child_dies_instead_of_its_parent(tmp_path: Path) -> None:
    digits = pl.format("{}", pl.int_range(1_000_000)).str.zfill(30)
    pl.select(a=digits, y=pl.int_range(1_000_000) % 2).write_csv(tmp_path / "upload")
    starved = describe(tmp_path / "upload", "--out", tmp_path / "out", "--cpu-seconds", 1)
    assert starved.returncode != 0
    small = describe(tmp_path / "upload", "--out", tmp_path / "out", "--memory-bytes", 700_000_000)
    assert small.returncode != 0 or "memory" in json.loads(small.stdout)["error"]["detail"]


# ── anything at all ─────────────────────────────────────────────────────────────────────────────────────────

CELLS = st.one_of(
    st.sampled_from(
        ["", "1", "-2.5", "1e999", "nan", "true", "2024-01-01", '"', '"a', "a;b", "\t", "NA", "\ufeff"]
    ),
    st.text(max_size=5),
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6)
MAGIC = st.sampled_from([b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x93NUMPY", b""])
TEXTS = ROWS.map(lambda rows: "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass"))
BYTES = st.tuples(MAGIC, st.binary(max_size=200)).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(data=TEXTS | BYTES)
def test_any_bytes_are_a_table_or_a_refusal(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upload")
        path.write_bytes(data)
        try:
            table = read(path, filename="data.csv")
        except DatasetError:
            return
    assert table.rows == len(table.target) == len(table.columns[table.description.columns[0].name]) > 0
    json.dumps(table.description.model_dump(), allow_nan=False).encode()
