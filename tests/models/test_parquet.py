"""Apache Parquet from strangers: types that polars lacks, or knows and cannot turn into numbers."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pytest

from models.datasets import Table, read
from models.errors import DatasetError

# Written by pyarrow 26 as columns `a` and `y`, packed by zlib: polars writes none of these.
HALF_HOUR_ZONE: Final = (
    b"c-m!BK}!Nr5Pom9WhoCPKG~%`c*qT5H4U@~J<RHAl9oyl-4YQkD0QvGPMtbMf1v-;t$TkW=oB3~bZlmKOQK<S=Hq+w&3y1)6WUo3"
    b"6d94J3t6xTW9;MgCGxny*k|*3jq1tmij7q;5fxEWC?brVvW}e+{(&Vau*z@*9@eqY2#)-S(ilY%5&0)lI1em}pjOB+Ri1PQz4ML;"
    b";*f--@=hXJzhBl(Mj=8(%@V9m(wL&@nrSc{r8y>tHS8A1#_l+N#(|+EO|l>)avR1{NXnWa$*3h&=tnhkRfE{Tc;dzb|EI!5sACH4"
    b"eCIL6P_QsfS3}Tl?;mY@menu5PO%9TE%0I&U<y_rDgb>b^<B=g02%~J05zAGSMZ>R+`M;&L$?sv7274<AvXL5K`ZC?+y3enSS^}g"
    b"1?WO~e&|JO=r-;AvFgLB?VE6Y*T^^czC2gQl$=KSFyFW#SS&I%KI%B*tKMa*I~t`rjx(IbuY1nqba)Zp$fq;utY+es(XGAVOK9RV"
    b"`vwBDc*_"
)
DECIMAL_256: Final = (
    b"c-n1J%}&BV5Z*1MX_OE`n5Ip7;2=#f1%DEVF?g6_K_e>V;>Al-3234~Q3)5Gz_SnFbNCn@J$d#CJUP2XFoDT-X8L{e%}lb}#?Brj"
    b"VFt4nsKBypt-Y=Tf7W2!0R}n9IiNv?8mbn73Vn%9C9%b55|J$mViG5ODBOrdS;(%4G|m$nkTh!*W~k$^-@OkY$si5epcp(T5C=ET"
    b"weVC8sRE(X0&5Aqu9=qU*vx{oSz&6%Bmoere{eeX8@IKhBNhRLk;_o16;;z#R1ynW>Q6S6vcBH8UljY3uc&Ae>6j*lzAL(BYZRDi"
    b"87b^^F0T&b#f@*iBdpp(G9P0*L!6-7!v<mx>ykp(MLZWt9r08G%ZPCrXVPEXQPTrTyoM)1*~G(ziPWvk>%IACA6;McZz6_xyd-1u"
    b"Ls@i!|5u%-O;7CUi=VpOb0C<h<a>*?j+l`j2GQuL`&bHx!%`4MgGv6m8;x%V5BdFSdAGc0I&@Fss=nwAwCNrG0_e$c7X"
)
TWO_OF_ONE_NAME: Final = (
    b"c-qBN%Syvg5WRU2F49F?dP4$Pbkk6wtyZw0ROqB{jMxN3T$Wm@3vJq}q0rCpGyDX<!j&J;wM*B|&7&=77lPmrawhXQXYO#*1Gmg%"
    b"R%11rQAW~)2qZKyLMcKyLPl7IWeQlGWC~LZjm8;`#=R=Z{}4^3B3del(vtk2EE3rWv8=~m6BJ0Z^je@o^1?(Dyp482+F`P89}-QO"
    b"4Q_^aeWoB?PSk|{8WSAnIbs`pBB~pD)g%V?9TFv}V+q5k`XS(BUYqoH2hj_BZYJ_|BoV5+if$5$$*mf1qWLNOrAi`JnFlHhbzwfs"
    b"=2F_+*f$1TM9iVS%PKV~0?`dE0j_&~c^vLjdlC1z9gP6ZfzVC?e6U8)0vJI(NP%SmoN=cP&<z4>gfM0Ku@_R+XPi3db%Ws5x*k^U"
    b"&<X4DqshH;51TlX(+x5$*c>f#+q|^VjQ9aAqKxJ6`Pu*jXhaIlRbR;0*~-Vy<MaLwKX*LiM&$|7vR;2Wc^p0z2cB2#Pp4x)`!t-+"
    b"ZpZi8gGy<?RMx9_4a0}L;w|ps|NaGfhL9W"
)


def of(tmp_path: Path, data: bytes | pl.DataFrame) -> Table:
    path = tmp_path / "upload"
    if isinstance(data, pl.DataFrame):
        data.write_parquet(path)
    else:
        path.write_bytes(data)
    return read(path, filename="data.parquet")


def refusal(tmp_path: Path, data: bytes | pl.DataFrame) -> str:
    with pytest.raises(DatasetError) as refused:
        of(tmp_path, data)
    return str(refused.value)


def unpacked(packed: bytes) -> bytes:
    return zlib.decompress(base64.b85decode(packed))


def extended(name: str, values: list[Any], storage: Any) -> pl.DataFrame:
    """A frame whose column `a` is of an extension type that is stored as another."""
    kind = pl.Extension(name, storage, "")
    return pl.DataFrame([pl.Series("a", values, storage).ext.to(kind), pl.Series("y", list("pqpq"))])


# ── extension types ─────────────────────────────────────────────────────────────────────────────────────────


def test_extension_types_are_read_as_what_they_are_stored_as(tmp_path: Path) -> None:
    periods = of(tmp_path, extended("pandas.period", [600, 601, None, 603], pl.Int64))
    np.testing.assert_array_equal(periods.columns["a"], [600, 601, np.nan, 603])
    note = "column 'a': pandas.period values are read as the numbers they are stored as"
    assert note in periods.description.notes
    truths = of(tmp_path, extended("arrow.bool8", [0, 1, None, 2], pl.Int8))
    assert truths.description.columns[0].kind == "boolean"
    np.testing.assert_array_equal(truths.columns["a"], [0, 1, np.nan, 1])
    texts = of(tmp_path, extended("arrow.json", ['{"k": 1}', "NA", None, "2"], pl.String))
    assert texts.columns["a"].tolist() == ['{"k": 1}', "NA", None, "2"]


@pytest.mark.parametrize(
    ("name", "storage", "value"),
    [
        ("pandas.interval", pl.Struct({"left": pl.Int64}), {"left": 1}),
        ("arrow.opaque", pl.List(pl.Int32), [1]),
        ("geoarrow.wkb", pl.Binary, b"0123456789abcdef"),
    ],
)
def test_extension_types_that_hold_no_single_value_are_refused(
    tmp_path: Path, name: str, storage: Any, value: Any
) -> None:
    said = refusal(tmp_path, extended(name, [value] * 4, storage))
    assert "column 'a'" in said
    assert name in said


# ── points in time ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_zone_of_half_hours_is_read_as_utc_and_nothing_is_printed(tmp_path: Path) -> None:
    table = of(tmp_path, unpacked(HALF_HOUR_ZONE))
    np.testing.assert_allclose(table.columns["a"], [18262.5, 18262 + 37 / 24, np.nan, 18265])
    code = (
        "import sys, pathlib, models.datasets as d; d.read(pathlib.Path(sys.argv[1]), filename='x.parquet')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "upload")]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_moments_that_no_calendar_has_count_as_missing(tmp_path: Path, unit: Any) -> None:
    ticks = [0, 2**62, -(2**62), 10**15]
    column = pl.Series("a", ticks).cast(pl.Datetime(unit, "Europe/Berlin"))
    table = of(tmp_path, pl.DataFrame([column, pl.Series("y", list("pqpq"))]))
    a_day = {"ms": 864e5, "us": 864e8, "ns": 864e11}[unit]
    within = [tick / a_day if abs(tick / a_day) < 1e6 else np.nan for tick in ticks]
    np.testing.assert_allclose(table.columns["a"], within)
    assert any("outside the years 1 to 9999" in note for note in table.description.notes) == (unit != "ns")
    assert len(table.head(4)) == 4


def test_days_that_no_calendar_has_count_as_missing(tmp_path: Path) -> None:
    column = pl.Series("a", [0, 2**31 - 1, -(2**31), 2_932_896], pl.Int32).cast(pl.Date)
    table = of(tmp_path, pl.DataFrame([column, pl.Series("y", list("pqpq"))]))
    np.testing.assert_array_equal(table.columns["a"], [0, np.nan, np.nan, 2_932_896])
    assert table.head(4)[3]["a"] == "9999-12-31T00:00:00"


# ── what cannot be read ─────────────────────────────────────────────────────────────────────────────────────


def test_the_reason_is_the_true_one(tmp_path: Path) -> None:
    assert "column 'a' holds decimals of 50 digits" in refusal(tmp_path, unpacked(DECIMAL_256))
    assert "two columns are called 'a'" in refusal(tmp_path, unpacked(TWO_OF_ONE_NAME))
    assert "holds bytes" in refusal(tmp_path, pl.DataFrame({"a": [b"1", b"2"], "y": ["p", "q"]}))


def test_every_damage_is_a_refusal(tmp_path: Path) -> None:
    file = io.BytesIO()
    extended("pandas.period", [600, 601, None, 603], pl.Int64).write_parquet(file)
    whole, changes = file.getvalue(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[int(changes.integers(4, len(whole) - 4))] ^= int(changes.integers(1, 256))
        try:
            of(tmp_path, bytes(damaged))
        except DatasetError:
            continue


# ── decimals ────────────────────────────────────────────────────────────────────────────────────────────────


def test_decimals_too_long_to_be_told_apart_are_pointed_out(tmp_path: Path) -> None:
    names = [Decimal(12345678901234567890 + row) for row in range(4)]
    column = pl.Series("a", names, pl.Decimal(38, 0))
    notes = of(tmp_path, pl.DataFrame([column, pl.Series("y", list("pqpq"))])).description.notes
    assert any(
        "column 'a': whole numbers beyond 2^53, such as 12345678901234567890" in note for note in notes
    )
    assert not any("the same in every row," in note for note in notes)
    assert any("'a': the same in every row once rounded to about 16 digits" in note for note in notes)
    said = refusal(tmp_path, pl.DataFrame({"x": [1, 2, 3, 4], "a": column}))
    assert "in every row once rounded to about 16 digits" in said


def test_decimals_keep_their_fractions(tmp_path: Path) -> None:
    column = pl.Series("a", [Decimal("1.50"), Decimal("2.25"), None, Decimal(3)], pl.Decimal(10, 2))
    table = of(tmp_path, pl.DataFrame([column, pl.Series("y", list("pqpq"))]))
    np.testing.assert_array_equal(table.columns["a"], [1.5, 2.25, np.nan, 3])
