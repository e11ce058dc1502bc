"""Delimited text as people have it: every row is read or a line named, and first lines are told apart."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import re
from pathlib import Path

import polars as pl
import pytest

from models.datasets import ReadLimits, Table, read
from models.datasets.delimited import read_text
from models.datasets.layout import layout
from models.datasets.records import Records
from models.datasets.rows import Reader
from models.errors import DatasetError, RowsError
from tests.models.mangled import Written, written

LIMITS = ReadLimits()
ROWS = "".join(f"{n},{n % 3},{'pq'[n % 2]}\n" for n in range(8))


def table(folder: Path, data: str | bytes, filename: str = "data.csv") -> Table:
    path = folder / "upload"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read(path, filename=filename)


def text(folder: Path, data: str | bytes) -> tuple[Records, list[str]]:
    """The rows as text, and the notes."""
    path, notes = folder / "upload", list[str]()
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_text(path, LIMITS, notes)[0], notes


def cells(records: Records) -> list[list[str]]:
    """Rows as a reader of the file sees them: spaces around cells say nothing."""
    return [[(cell or "").strip() for cell in row] for row in records.frame.rows()]


def refusal(folder: Path, data: str | bytes, filename: str = "data.csv") -> DatasetError:
    with pytest.raises(DatasetError) as refused:
        table(folder, data, filename)
    return refused.value


# ── rows read are rows there ────────────────────────────────────────────────────────────────────────────────


def _check(folder: Path, made: Written) -> str:
    """What became of a file: `read` as it was written, or `refused` with a line."""
    try:
        records, notes = text(folder, made.content)
    except DatasetError as error:
        return "refused" if re.search(r"\bline \d|no rows|is empty", str(error)) else f"no line: {error}"
    found = cells(records)
    if made.damaged:
        assert _bare(found) in _readings(made.content, made.style.delimiter, *_bare([records.names])), (
            made,
            found,
        )
        assert len(found) >= len(made.rows) or made.cut_off or notes, (made, found)
        return "read"
    assert records.names == [name.strip() for name in made.names], made
    assert found == [[cell.strip() for cell in row] for row in made.rows], made
    assert all(any(said in note for note in notes) for said in made.noted), (made, notes)
    return "read"


def _readings(content: bytes, delimiter: str, names: list[str]) -> list[list[list[str]]]:
    """What Python's reader makes of the rows under the names, strict, in each of the ways that are read."""
    lines = list(io.StringIO(content.decode("utf-8-sig").rstrip("\x1a"), newline=""))
    lines = [line for line in lines if line.strip() != "\x1a"]
    above = itertools.takewhile(lambda line: re.match(r"\f?(#|//|%|sep=|\s*$)", line), lines)
    body, readings = "".join(lines[len(list(above)) :]), []
    for options in (
        {},
        {"skipinitialspace": True},
        {"escapechar": "\\"},
        {"escapechar": "\\", "skipinitialspace": True},
        {"quotechar": "'"},
    ):
        reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True, **options)
        with contextlib.suppress(csv.Error):
            rows = _bare([[cell.strip() for cell in row] for row in reader])
            below = rows[rows.index(names) + 1 :] if names in rows else []
            readings.append([row for row in below if any(row) and row != names])
    return readings


def _bare(rows: list[list[str]]) -> list[list[str]]:
    """Rows without backslashes: only some of those are escapes."""
    return [[cell.replace("\\", "") for cell in row] for row in rows]


@pytest.mark.parametrize("block", range(2))
def test_a_file_is_read_as_it_was_written_or_a_line_is_named(tmp_path: Path, block: int) -> None:
    made = [written(seed) for seed in range(block * 150, block * 150 + 150)]
    outcomes = [(one, _check(tmp_path, one)) for one in made]
    usual = [outcome for one, outcome in outcomes if one.is_usual()]
    assert len(usual) > 40
    assert set(usual) == {"read"}
    assert {outcome for _, outcome in outcomes} == {"read", "refused"}


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_many_files_are_read_as_they_were_written_or_a_line_is_named(tmp_path: Path, block: int) -> None:
    for seed in range(10_000 + block * 2000, 12_000 + block * 2000):
        made = written(seed)
        outcome = _check(tmp_path, made)
        assert outcome == "read" or (outcome == "refused" and not made.is_usual()), (made, outcome)


@pytest.mark.parametrize("blank", ["", "\n"])
def test_both_readers_read_the_same(tmp_path: Path, blank: str) -> None:
    """A file without quotes goes to polars, with an empty line to Python's reader."""
    body = "a,b,y\n" + "".join(f"{n}, x{n} ,{n % 2}\r\n" for n in range(70_000)) + blank
    records, _ = text(tmp_path, body)
    assert records.frame.shape == (70_000, 3)
    assert records.frame["1"].equals(pl.Series("1", [f" x{n} " for n in range(70_000)]))
    assert records.lines.equals(pl.Series(range(2, 70_002), dtype=pl.UInt32))


def test_stretches_of_quoted_rows_are_put_together_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.datasets.records._STRETCH_CELLS", 20 * 70)
    wide = ",".join(f"c{n}" for n in range(20))
    rows = [[f"{row} {n}" for n in range(20)] for row in range(400)]
    rows[300][7], rows[399][0] = "two\r\nlines", "\x1e and \x1f"
    body = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    records, _ = text(tmp_path, f"{wide}\n{body}\n")
    assert [list(row) for row in records.frame.rows()] == rows
    assert records.lines.to_list() == [*range(2, 303), *range(304, 403)]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('id,size,y\n0,"24\\" monitor",p\n1,plain,q\n2,"27\\" tv",p\n', ['24" monitor', "plain", '27" tv']),
        ('id,size,y\n0,"a \\"b\\"",p\n1,"",q\n2,"C:\\\\x \\N",p\n', ['a "b"', None, "C:\\x \\N"]),
        ("id\tsize\ty\n0\ta\\\tb\tp\n1\t\\N\tq\n2\ttwo\\\nlines\tp\n", ["a\tb", "\\N", "two\nlines"]),
        ('id, size, y\n0, "a, b", p\n1, "x", q\n2, plain, p\n', ["a, b", "x", "plain"]),
        ('id, size, y\n0, "x", p\n1, "24"" tv", q\n2, plain, p\n', ["x", '24" tv', "plain"]),
        ('id,size,y\n0,24",p\n1,5" x 7",q\n2,27" tv,p\n', ['24"', '5" x 7"', '27" tv']),
        ('id,size,y\n0,"C:\\dir\\",p\n1,"C:\\other\\",q\n2,x,p\n', ["C:\\dir\\", "C:\\other\\", "x"]),
        ('id,size,y\n0,"say ""a, ""b""",p\n1,x,q\n2,z,p\n', ['say "a, "b"', "x", "z"]),
        ('id,size,y\n0,"{""a"": ""x\\""y""}",p\n1,x,q\n2,z,p\n', ['{"a": "x\\"y"}', "x", "z"]),
        ("id,'size',y\n0,'a, b',p\n1,'it''s',q\n2,'',p\n", ["a, b", "it's", None]),
        ("id,size,y\n'0','a','p'\n'1','b','q'\n'2','c','p'\n", ["a", "b", "c"]),
        ("id,size,y\n0,'tis,p\n1,dogs',q\n2,rock 'n' roll,p\n", ["'tis", "dogs'", "rock 'n' roll"]),
        ("id,size,y\n0,'a',p\n1,b,q\n2,'c,p\n", ["'a'", "b", "'c"]),
        ("id,size,y\r0,a,p\r1,b,q\r2,c,p\r", ["a", "b", "c"]),
        ("id,size,y\r\r\n0,a,p\r\r\n1,b,q\r\r\n2,c,p\r\r\n", ["a", "b", "c"]),
        ("id,size,y\r\n0,a,p\n1,b,q\r\n2,c,p", ["a", "b", "c"]),
        ('id,size,y\r0,"a\nb",p\r1,b,q\r2,c,p', ["a\nb", "b", "c"]),
        ("id,size,y\n0,a\u2028b,p\n1,b\x0c,q\n\x0c\n2,\x85c,p\n", ["a\u2028b", "b", "c"]),
        ("id,size,y\n0,a,p\n1,b,q\n2,c,p\n\x1a", ["a", "b", "c"]),
        ('id,size,y\n0,a,p\n1,"b",q\n2,c,"p"\x1a\n', ["a", "b", "c"]),
        ("\ufeff\ufeffid,size,y\n0,a,p\n1,b,q\n2,c,p\n", ["a", "b", "c"]),
        ("id,size,y,\n0,a,p,\n1,b,q,\n2,c,p,\n", ["a", "b", "c"]),
        ("id,size,y\n0,a,p\n   \n1,b,q\n\n2,c,p\n\n\n", ["a", "b", "c"]),
    ],
)
def test_cells_are_what_they_were(tmp_path: Path, body: str, rows: list[str | None]) -> None:
    records, _ = text(tmp_path, body)
    assert records.names[:3] == ["id", "size", "y"]
    assert [row[0] for row in cells(records)] == ["0", "1", "2"]
    assert [cell and cell.strip(" \x0c\x85") for cell in records.frame["1"]] == rows
    assert [cell[2] for cell in cells(records)] == ["p", "q", "p"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('a,b,y\n1,"24\\" tv",p\n2,x,q\n', "escapes, as Spark and MySQL write them"),
        ('a,b,y\n1, "x, z",p\n2,x,q\n', "spaces between a delimiter and a quote"),
        ("a,b,y\n1,'x, z',p\n2,x,q\n", "single quotes around cells"),
        (f'a,b,y\n{ROWS}9,"27 in,p\n{ROWS}20,24",q\n', "line 10: a quoted cell goes on to line 19"),
        ('a,b,y\n1,"27 in,p\n2,24",q\n', "line 2: a quoted cell goes on to line 3"),
        (f"a,b,y\n{ROWS},,\n , ,\n{ROWS}", "2 lines without a single value left out, the first in line 10"),
        (f"a,b,y\n{ROWS}a,b,y\n{ROWS}a,b,y\n{ROWS}", "2 lines that repeat the names of the columns left out"),
        (f"\ufeffa,b,y\n{ROWS}\ufeffa,b,y\n{ROWS}", "line 10, that repeats the names"),
        (f"a,b,y\n--,---,--\n{ROWS}", "line 2, of dashes under the names"),
        ('a,b,y\n"1\n2",b,y\n,,\n2,,\n', "line 4, without a single value"),
    ],
)
def test_what_is_not_read_as_it_stands_is_said(tmp_path: Path, body: str, said: str) -> None:
    _, notes = text(tmp_path, body)
    assert any(said in note for note in notes), notes


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ('a,b,y\n1,2,p\n2,"3,q\n3,4,p\n4,5,q\n', 3, "never closed"),
        ('a,b,y\n1,"x\ny","z\n2,3,q\n', 3, "never closed"),
        ('a,b,y\n1,"x ""z"" ","z\n2,3,q\n', 2, "never closed"),
        ('a,b,y\n1,2,p\n2,"24" tv",q\n', 3, "text follows the quote"),
        ('a,b,y\n1,"24" tv,p\n2,"27" tv",q\n', 2, "text follows the quote"),
        ('a,b,y\n1,"2,p\n2,"3",q\n', 3, "begins in line 2"),
        ('a,b,"y\n1,2,p\n2,3,"\n3,4,q\n4,5,p\n', 1, "go on to line 3"),
        ("a,b,y\n1,2,p\n2,3\n3,4,q\n", 3, "2 cells where there are 3"),
        ('a,b,y\n1,"2\n2",p\n2,3,4,q\n3,4,q\n', 4, "4 cells where there are 3"),
        ("a,b,y\n1,2\n3,4,q,\n", 2, "2 cells where there are 3"),
        ("a,b,y\n1,2,p\n2,3,q\n3,4,q,", 4, "4 cells where there are 3"),
        ("a,b,y\n1,2,p\n2,3\r4,q\n", 3, "2 cells where there are 3"),
        (f"a,b,y\n{ROWS}(8 rows affected)\n", 10, "1 cell where there are 3"),
        ('a,b,y\n1,"x\\\\",p\n2,z,q\n3,z,q\n', 2, "read in two ways"),
        ('"a","b","y"\n1,5,6,p\n2,6,7,q\n3,6,7,p\n', 2, "as R writes them"),
        ("a,b,y\n1,2,p,\n2,3,q,\n3,3,p,\n", 2, "end in a delimiter"),
        ("a,b,y\n1,2,p\n1,\0,q\n", 3, "NUL"),
        (b"a,b,y\n1,2,p\r\n1,\xe4,q\n", 3, "'ä' in Latin-1"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, body: str | bytes, line: int, said: str) -> None:
    detail = str(refusal(tmp_path, body))
    assert f"line {line} " in detail
    assert said in detail


def test_a_cell_longer_than_any_names_the_line_where_it_began(tmp_path: Path) -> None:
    (tmp_path / "upload").write_text('a,b,y\n1,2,p\n2,"3,q\n' + "3,4,p\n" * 300_000)
    usual = csv.field_size_limit(1_000_000)
    try:
        with pytest.raises(DatasetError, match="line 3 cannot be read: a cell that begins there has more"):
            read(tmp_path / "upload", filename="x", limits=ReadLimits(max_line_bytes=500_000))
    finally:
        csv.field_size_limit(usual)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_text_is_called_by_its_name(tmp_path: Path, encoding: str) -> None:
    error = refusal(tmp_path, f"a,b,y\n{ROWS}".encode(encoding))
    assert encoding[:6].upper() in str(error)
    assert "UTF-8" in (error.suggestion or "")


def test_more_rows_than_are_read_are_counted_as_rows(tmp_path: Path) -> None:
    """A cell may hold lines; they are no rows."""
    path = tmp_path / "upload"
    path.write_text("a,y\n" + '"x\n\n\n\n",1.5\n' * 10 + "z,2.5\n")
    assert read(path, filename="x.csv", limits=ReadLimits(max_rows=11)).rows == 11
    with pytest.raises(DatasetError, match="more than 10 rows"):
        read(path, filename="x.csv", limits=ReadLimits(max_rows=10))


# ── first lines ─────────────────────────────────────────────────────────────────────────────────────────────

IRIS = "".join(
    f"{4 + n / 10:.1f},{3.5 - n / 20:.2f},{1 + n / 9:.1f},Iris-{('a', 'b')[n % 2]}\n" for n in range(20)
)
PASSENGERS = "".join(
    f'{n},{n % 2},{n % 3},"N {n}, Mr",{("male", "female")[n % 2]},{20 + n},T{n},{n / 3:.2f},{"SC"[n % 2]}\n'
    for n in range(1, 30)
)
MUSHROOMS = "".join(f"{'pe'[n % 2]},{'xbs'[n % 3]},{'nyw'[n % 3]},{'tf'[n % 2]}\n" for n in range(20))


@pytest.mark.parametrize(
    "body",
    [
        IRIS,
        IRIS.replace(",", "\t"),
        IRIS.replace(",", ";").replace(".", ","),
        PASSENGERS,
        MUSHROOMS,
        "".join(f"2019-01-{n:02},{n * 7 % 5}.1,{'pq'[n % 2]}\n" for n in range(1, 20)),
        "sample,5.1,3.5,1.2\n" + "".join(f"s{n},{4 + n / 10},{3 + n / 10},{1 + n / 10}\n" for n in range(20)),
        "5.1,3.5,0\n4.9,3.0,1\n4.7,3.2,0\n",
        "5,1;3,5;1,4\n4,9;3,0;1,5\n4,7;3,2;1,3\n",
    ],
)
def test_a_first_row_is_not_taken_for_names(tmp_path: Path, body: str) -> None:
    error = refusal(tmp_path, body)
    assert "names" in str(error)
    assert "x1" in (error.suggestion or "")


@pytest.mark.parametrize(
    "body",
    [
        "good film\t1\nbad film\t0\nso so\t1\nnice\t1\nawful\t0\n",
        "1,2,3\n1,2,3\n2,3,1\n3,1,2\n1,2,1\n",
        "a,0.25,0.5,0.75\n" + "".join(f"c{n},{n / 20},{n / 15},{n / 10}\n" for n in range(9)),
        "good one,pos\nbad one,neg\nnice one,pos\nbad two,neg\nso so,neg\n",
    ],
)
def test_a_first_line_that_may_be_a_row_is_noted(tmp_path: Path, body: str) -> None:
    assert any("may be a row" in note for note in text(tmp_path, body)[1])


@pytest.mark.parametrize(
    "body",
    [
        "country,2019,2020,2021,y\n" + "".join(f"c{n},{n}00,{n}01,{n}03,{n % 2}\n" for n in range(9)),
        "country,2019,2020,2021\n"
        + "".join(f"c{n},{1500 + n * 100},{1400 + n},{2020 - n}\n" for n in range(9)),
        "2019,2020,2021\n" + "".join(f"{n * 1.5},{n * 1.1},{n % 2}\n" for n in range(9)),
        "0,1,2,3\n" + "".join(f"{n * 1.5},{n * 1.1},{n % 7},{'ab'[n % 2]}\n" for n in range(9)),
        "sample,400.5,402.5,404.7,406.1,y\n" + "".join(f"s{n},.1,.2,.3,{n / 9},{n % 2}\n" for n in range(9)),
        "city,2019-01-01,2019-02-01\n" + "".join(f"c{n},{n},{n * 2}\n" for n in range(9)),
        "text,label\n" + "".join(f"some text {n},{'ab'[n % 2]}\n" for n in range(9)),
        "id,b,y\n" + ROWS + "id,b,y\n" + ROWS,
    ],
)
def test_names_stay_names(tmp_path: Path, body: str) -> None:
    records, notes = text(tmp_path, body)
    assert records.names == body.split("\n")[0].split(",")
    assert not any("may be a row" in note for note in notes)


@pytest.mark.parametrize(
    ("above", "names", "said"),
    [
        ("sep=;\n", "a;b;y", "sep="),
        ('"sep=;"\n', "a;b;y", "sep="),
        ("\ufeffsep=\t\n", "a\tb\ty", "sep="),
        ("SEP=,\n\n", "a,b,y", "sep="),
        ("sep=;\n", "a,b,y", "sep="),
        ("# made, by, me\n", "a,b,y", "1 comment line"),
        ('% "unclosed\n%\n', "a,b,y", "2 comment lines"),
        ("// a | b\n\n# c\n", "a|b|y", "2 comment lines"),
        ("", "#a,b,y", "begins as a comment does"),
        ("", "#,b,y", "begins as a comment does"),
        ("# of 2019\n", "#a,b,y", "1 comment line"),
    ],
)
def test_what_stands_above_the_names_is_told(tmp_path: Path, above: str, names: str, said: str) -> None:
    delimiter = next(mark for mark in ",;\t|" if mark in names)
    records, notes = text(tmp_path, above + names + "\n" + ROWS.replace(",", delimiter))
    assert records.names == names.split(delimiter)
    assert len(records.lines) == 8
    assert records.lines[0] == above.count("\n") + 2
    assert any(said in note for note in notes)


def test_names_that_numpy_wrote_are_read(tmp_path: Path) -> None:
    body = "# a,b,y\n" + "".join(f"{n}.0e+00,{n * 2},{n * 1.5}\n" for n in range(5))
    assert text(tmp_path, body)[0].names == ["# a", "b", "y"]


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("Report of 2019\n", 2),
        ("Report of 2019\n\n", 3),
        ("Report,,\n,,\n", 3),
        ("Report, 2019\n", 2),
        ("Report\nby me, 2019\n", 3),
        ("# remark\nReport\n", 3),
    ],
)
def test_titles_are_refused_and_the_table_pointed_at(tmp_path: Path, above: str, line: int) -> None:
    assert f"the table seems to begin in line {line}" in str(refusal(tmp_path, f"{above}id,b,y\n{ROWS}"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("% comment\n\n@RELATION iris\n@attribute a real\n@data\n1,2\n", "ARFF"),
        ('\n  [\n  {"a": 1,\n   "b": 2}]\n', "JSON"),
        ("[[1, 2], [3, 4]]", "JSON"),
        ('{"a": 1, "b": 2}\n{"a": 2, "b": 3}\n', "JSON, an object a line"),
        ("<!DOCTYPE html>\n<html><body>Log in</body></html>", "HTML"),
        ("<?xml version='1.0'?>\n<rows/>", "XML"),
        ("a: 1\nb: 2\nc:\n  - 3\n", "YAML"),
        ("---\n- a: 1\n  b: 2\n", "YAML"),
        ("1 1:0.5 3:0.2\n-1 2:0.1\n1 1:0.3\n", "LIBSVM"),
        ("INSERT INTO t VALUES (1, 2);\n", "SQL"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        ("%%MatrixMarket matrix\n1 2 3\n", "Matrix Market"),
        ("a b y\n1 2 p\n2 3 q\n3 4 p\n", "spaces"),
        ("name      age y\nJohn Doe   22 p\nAnn         3 q\nJoe         4 q\n", "fixed widths"),
        ("a:b:y\n1:2:p\n2:3:q\n", "colons"),
        ('"a,b,y"\n"1,2,p"\n"2,""3"",q"\n', "every line stands in quotes"),
        ("a^b^y\n1^2^p\n2^3^q\n", "carets"),
        ("1::2::5\n2::3::4\n", "double colons"),
        (b"<stata_dta><header>", "Stata"),
        (b"s\x02\x01\x00", "Stata"),
        (b"$FL2@(#) SPSS", "SPSS"),
        (b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14", "SAS"),
        (b"FEA1\0\0\0\0", "Feather"),
        (b"ORC\x08\x03\x10", "ORC"),
        (b"Obj\x01\x04\x14", "Avro"),
        (b"X\n\0\0\0\x02", "R object"),
        (b"RDX3\nX\n", "R workspace"),
        (b"\x80\x02}q\0.", "pickle"),
        (b"a" * 257 + b"ustar\0", "tar"),
    ],
)
def test_other_formats_are_told_packed_or_not(tmp_path: Path, body: str | bytes, said: str) -> None:
    data = body.encode() if isinstance(body, str) else body
    for content, filename in ((data, "data.csv"), (gzip.compress(data), "data.csv.gz")):
        error = refusal(tmp_path, content, filename)
        assert said in str(error)
        assert error.suggestion


def test_formats_packed_twice_are_told(tmp_path: Path) -> None:
    for inner, said in ((gzip.compress(b"a,y\n"), "gzip"), (b"PAR1\x15\x04", "Parquet"), (b"PK\3\4", "zip")):
        assert said in str(refusal(tmp_path, gzip.compress(inner), "data.csv.gz"))


@pytest.mark.parametrize(
    "names", ["[id],[b],[y]", "<ID>,<B>,<Y>", "PARENT,b,y", "PAR1,b,y", "ORC,b,FEA1", "a:b,b:c,y"]
)
def test_names_that_look_like_other_formats_are_names(tmp_path: Path, names: str) -> None:
    records, _ = text(tmp_path, f"{names}\n{ROWS}")
    assert records.names == names.split(",")


# ── delimiters ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("names", "row", "delimiter"),
    [
        ("id;text;y", "{n};hello, dear, world, {n};p", ";"),
        ("id;text;y", "{n};hello, world;p", ";"),
        ("id\ttext\ty", "{n}\t2,288\tp", "\t"),
        ("id|text|y", "{n}|a;b,c|p", "|"),
        ("a, cm;b, cm;y, cm", "1,{n};2,{n};3,{n}", ";"),
        ("a;b;y", "1,{n};2,{n};3,{n}", ";"),
        ("id,from;to,y", "{n},a;b,p", ","),
        ("id,text,y", '{n},"a;b;c;d",p', ","),
        ("id;text;y", '{n};"a, b, c, d";p', ";"),
        ("id,when,y", "{n},10:30|11:45,p", ","),
        ("id, text, y", "{n}, a b, p", ","),
        ("id\tb\ty", '{n}\t"24\\" tv, x, x"\tp', "\t"),
    ],
)
def test_the_delimiter_makes_a_table_of_most_lines(names: str, row: str, delimiter: str) -> None:
    body = "\n".join([names, *(row.format(n=n) for n in range(150))])
    found = layout(body)
    assert found.delimiter == delimiter
    assert found.names == [name.strip() for name in names.split(delimiter)]


def test_a_few_odd_lines_do_not_decide_the_delimiter(tmp_path: Path) -> None:
    rows = [f"{n};text, of, words;{n % 2}" for n in range(100)]
    rows[7] = "7;short"
    assert layout("id;text;y\n" + "\n".join(rows)).delimiter == ";"
    assert "line 9 has 2 cells" in str(refusal(tmp_path, "id;text;y\n" + "\n".join(rows)))


def test_layout_of_a_torn_sample_is_that_of_the_whole() -> None:
    body = "id,text,y\n" + "".join(f'{n},"two\nlines, {n}",p\n' for n in range(40))
    for end in range(60, len(body), 7):
        found = layout(body[:end], whole=False)
        assert (found.delimiter, found.names) == (",", ["id", "text", "y"])


def test_rows_that_come_with_a_request_may_have_lines_above_them(tmp_path: Path) -> None:
    description = table(tmp_path, "a,b,y\n" + ROWS).description
    reader = Reader(description, ["a", "b"], {}, most_rows=100, most_cells=1000)
    for above in ("sep=;\n", "# a remark\n", "\ufeff\n\nsep=;\n// x; y\n"):
        assert reader.delimited((above + "a;b\n1;2\n3;4\n").encode()).columns["b"].tolist() == [2.0, 4.0]
    assert reader.delimited(b'a, "b"\r1, "2"\r3, "4"\r').columns["b"].tolist() == [2.0, 4.0]
    with pytest.raises(RowsError, match="line 4 has 1 cells"):
        reader.delimited(b"# x\na,b\n1,2\n3\n")
