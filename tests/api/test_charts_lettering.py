"""Names and numbers as they may be shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.charts.lettering import number, plain, round_number, width


@given(st.text() | st.text(alphabet="\x1b\u202e\u0301数😀 \ud800a"), st.integers(1, 40))
def test_any_text_becomes_one_visible_line_of_bounded_width(text: str, cells: int) -> None:
    shown = plain(text, cells)
    assert width(shown) <= cells
    assert len(shown) <= 4 * cells
    assert not {unicodedata.category(character) for character in shown} & {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
        "Zl",
        "Zp",
    }
    assert plain(shown, cells) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("digits-cocktail", "digits-cocktail"),
        ("  two\n\tlines ", "two lines"),
        ("\x1b[31mred\x07", "[31mred"),
        ("\u202egnp.exe", "gnp.exe"),
        ("x" * 30, "x" * 19 + "…"),
        ("数" * 30, "数" * 9 + "…"),
        ("e" + "\u0301" * 9, "é\u0301\u0301"),
        ("\ud800", "\ufffd"),
        ("\x00", ""),
        ("$x^2$ <b>", "$x^2$ <b>"),
    ],
)
def test_names(text: str, shown: str) -> None:
    assert plain(text, 20) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0871234, "0.0871"),
        (-0.0, "0"),
        (12.345, "12.35"),
        (-54321.4, "-54,321"),
        (0.0000123, "1.23e-5"),
        (1e30, "1.00e30"),
        (9.99999, "10.0000"),
    ],
)
def test_numbers(value: float, shown: str) -> None:
    assert number(value) == shown


def test_round_numbers() -> None:
    assert [round_number(value) for value in (0.02, 1000.0, 100_000.0, 1e-5, 1e9)] == [
        "0.02", "1,000", "100,000", "1e-5", "1e9",
    ]  # fmt: skip
