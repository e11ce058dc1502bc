"""The small curve: right size, right places, gaps where there is nothing to draw."""

from __future__ import annotations

import math
from itertools import pairwise

from cli.sketch import BLANK, LABEL_CELLS, sketch


def rows(*values: float, last: int = 0, width: int = 29, height: int = 3) -> list[str]:
    return sketch({"cyan": values}, last or len(values), width, height).plain.split("\n")


def dots(row: str) -> list[int]:
    """The columns of a row that hold any dot."""
    return [i for i, character in enumerate(row[LABEL_CELLS + 1 :]) if ord(character) > BLANK]


def test_it_has_the_size_asked_for() -> None:
    drawn = rows(3.0, 2.0, 1.0, width=40, height=5)
    assert [len(row) for row in drawn] == [40] * 5


def test_a_falling_line_falls_from_corner_to_corner() -> None:
    top, middle, bottom = (dots(row) for row in rows(3.0, 2.0, 1.0))
    assert top[0] == 0
    assert bottom[-1] == 19
    assert max(top) <= min(middle) + 1
    assert max(middle) <= min(bottom) + 1


def test_the_axis_names_the_highest_and_the_lowest_value() -> None:
    drawn = rows(0.731, 0.5, 0.0123)
    assert drawn[0].split()[0] == "0.731"
    assert drawn[-1].split()[0] == "0.0123"


def test_it_leaves_room_for_the_epochs_to_come() -> None:
    assert max(dots("".join(rows(2.0, 1.0, last=20, height=1)))) < 3


def test_what_is_not_finite_is_a_gap() -> None:
    drawn = rows(1.0, 1.0, math.nan, math.inf, 1.0, 1.0, height=1)
    columns = dots(drawn[0])
    assert columns[0] == 0
    assert columns[-1] == 19
    assert any(second - first > 5 for first, second in pairwise(columns))


def test_a_single_value_is_a_dot_and_none_is_nothing() -> None:
    assert sum(len(dots(row)) for row in rows(0.5)) == 1
    assert sum(len(dots(row)) for row in rows(math.nan)) == 0


def test_where_lines_meet_the_later_one_shows() -> None:
    drawn = sketch({"cyan": [1.0, 1.0], "yellow": [1.0, 1.0]}, 2, 20, 1)
    assert {str(span.style) for span in drawn.spans} >= {"not dim yellow"}
    assert not any("cyan" in str(span.style) for span in drawn.spans)
