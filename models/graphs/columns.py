"""The preprocessing as nodes: columns on their way to the first layer, all columns of a kind together.

What is done to each is `models.encoding`, in the same order and the same precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from models.datasets.known_columns import MISSING_TEXT
from models.encoding import REACH, CategoricalColumn, NumericColumn
from models.graphs.sheet import ML, Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Columns:
    """A preprocessor's columns by kind, and which of the network's inputs are theirs."""

    lines: list[NumericColumn]
    curves: list[NumericColumn]
    texts: list[CategoricalColumn]
    places: dict[str, int]
    """The first of each column's inputs."""

    @classmethod
    def of(cls, columns: Sequence[NumericColumn | CategoricalColumn]) -> Columns:
        places, place = {}, 0
        for column in columns:
            places[column.name] = place
            place += len(column.features())
        numbers = [column for column in columns if isinstance(column, NumericColumn)]
        lines = [column for column in numbers if column.knots is None]
        curves = [column for column in numbers if column.knots is not None]
        texts = [column for column in columns if isinstance(column, CategoricalColumn)]
        return cls(lines, curves, texts, places)

    @property
    def numbers(self) -> list[NumericColumn]:
        """All numeric columns, in the order in which they become inputs."""
        return self.lines + self.curves

    def of_numbers(self) -> list[int]:
        """The network's inputs that numbers become, in the order of `numbers`' result: values, indicators."""
        values = [self.places[column.name] for column in self.numbers]
        return values + [self.places[column.name] + 1 for column in self.numbers if column.indicator]

    def of_texts(self) -> list[int]:
        """The network's inputs that texts become, one range after another."""
        widths = [(self.places[column.name], len(column.features())) for column in self.texts]
        return [start + step for start, width in widths for step in range(width)]


def numbers(sheet: Sheet, columns: Columns, given: str) -> str:
    """Numbers (rows, columns) → network inputs (rows, of `of_numbers`), float64.

    `given` has the columns in the order of `columns.numbers`, NaN where a value is missing.
    """
    missing = sheet.node(
        "Or",
        sheet.node("IsNaN", given, name="is_nan"),
        sheet.node("IsInf", given, name="is_infinite"),
        name="missing",
    )
    fill = _row(sheet, [column.fill for column in columns.numbers], "fill")
    filled = sheet.node("Where", missing, fill, given, name="filled")
    held = _held(sheet, filled, _row(sheet, [-REACH], "lowest"), _row(sheet, [REACH], "highest"))
    lines, curves = len(columns.lines), len(columns.curves)
    parts = []
    if lines:
        parts.append(_lines(sheet, columns.lines, _part(sheet, held, 0, lines, whole=not curves)))
    if curves:
        parts.append(
            _curves(sheet, columns.curves, _part(sheet, held, lines, lines + curves, whole=not lines))
        )
    indicated = [place for place, column in enumerate(columns.numbers) if column.indicator]
    if indicated:
        parts.append(_indicators(sheet, missing, indicated))
    return parts[0] if len(parts) == 1 else sheet.node("Concat", *parts, axis=1, name="inputs")


def _part(sheet: Sheet, given: str, start: int, stop: int, *, whole: bool) -> str:
    """Neighbouring columns of a matrix."""
    if whole:
        return given
    bounds = [_integers(sheet, [value], name) for value, name in ((start, "from"), (stop, "to"), (1, "axis"))]
    return sheet.node("Slice", given, *bounds, name="part")


def _indicators(sheet: Sheet, missing: str, places: list[int]) -> str:
    from onnx import TensorProto

    chosen = sheet.node("Gather", missing, _integers(sheet, places, "indicated"), axis=1, name="said_missing")
    return sheet.node("Cast", chosen, to=TensorProto.DOUBLE, name="indicators")


def _lines(sheet: Sheet, columns: list[NumericColumn], given: str) -> str:
    """(x − center)/scale within ± limit; a column that did not vary is held within ±0."""
    idle = [column.scale == 0 for column in columns]
    scale = [1.0 if still else column.scale for column, still in zip(columns, idle, strict=True)]
    limit = [0.0 if still else column.limit for column, still in zip(columns, idle, strict=True)]
    center = _row(sheet, [column.center for column in columns], "center")
    moved = sheet.node("Sub", given, center, name="centered")
    scaled = sheet.node("Div", moved, _row(sheet, scale, "scale"), name="scaled")
    low = _row(sheet, [-bound for bound in limit], "lower_limit")
    return _held(sheet, scaled, low, _row(sheet, limit, "upper_limit"))


def _curves(sheet: Sheet, columns: list[NumericColumn], given: str) -> str:
    """Straight lines between (knot, score), flat outside; every column's knots in one table.

    `place` is, for each column, the last of its knots that is no larger than the value (0 where none is),
    found by halving: all columns take the same few steps, however many of them there are.
    """
    table = _Table.of(columns)
    start, last = (
        _integer_row(sheet, row, name) for row, name in ((table.starts, "start"), (table.lasts, "last"))
    )
    knots = sheet.constant(table.knots, "knots")
    inside = _held(
        sheet, given, _row(sheet, table.lowest, "first_knot"), _row(sheet, table.highest, "last_knot")
    )
    place = _integer_row(sheet, [0] * len(columns), "first")
    for step in table.steps():
        ahead = sheet.node("Add", place, _integers(sheet, [step], "step"), name="ahead")
        ahead = sheet.node("Min", ahead, last, name="ahead")
        knot = sheet.node("Gather", knots, sheet.node("Add", start, ahead, name="at"), axis=0, name="knot")
        reached = sheet.node("LessOrEqual", knot, inside, name="reached")
        place = sheet.node("Where", reached, ahead, place, name="place")
    at = sheet.node("Add", start, place, name="at")
    knot, score, slope = (
        sheet.node("Gather", source, at, axis=0, name=name)
        for source, name in (
            (knots, "knot"),
            (sheet.constant(table.scores, "scores"), "score"),
            (sheet.constant(table.slopes, "slopes"), "slope"),
        )
    )
    beyond = sheet.node("Mul", slope, sheet.node("Sub", inside, knot, name="beyond"), name="rise")
    return sheet.node("Add", beyond, score, name="curved")


@dataclass(frozen=True, slots=True)
class _Table:
    """The knots of several columns, one after another."""

    knots: NDArray[Any]
    scores: NDArray[Any]
    slopes: NDArray[Any]
    """From each knot to the next; 0 from a column's last one."""
    starts: list[int]
    lasts: list[int]
    lowest: list[float]
    highest: list[float]

    @classmethod
    def of(cls, columns: list[NumericColumn]) -> _Table:
        import numpy as np

        knots = [np.array(column.knots, dtype=np.float64) for column in columns]
        scores = [np.array(column.scores, dtype=np.float64) for column in columns]
        lengths = [len(each) for each in knots]
        return cls(
            np.concatenate(knots),
            np.concatenate(scores),
            np.concatenate([_slopes(x, y) for x, y in zip(knots, scores, strict=True)]),
            [0, *accumulate(lengths[:-1])],
            [length - 1 for length in lengths],
            [float(each[0]) for each in knots],
            [float(each[-1]) for each in knots],
        )

    def steps(self) -> list[int]:
        """Powers of two from half of the longest column's knots down to 1."""
        return [1 << power for power in reversed(range(max(self.lasts).bit_length()))]


def _slopes(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    with np.errstate(over="ignore"):
        slopes = np.diff(y) / np.diff(x)
    # Between knots that are next to each other a slope may overflow; times no distance it must be nothing.
    return np.append(np.clip(slopes, -np.finfo(np.float64).max, np.finfo(np.float64).max), 0.0)


def levels(sheet: Sheet, columns: Columns, given: Sequence[str]) -> str:
    """Texts (rows, 1), one a column → which input each one lights, (rows, columns) int64.

    They are counted through all columns; one behind the last means none.
    """
    nowhere, first, places = len(columns.of_texts()), 0, []
    for column, name in zip(columns.texts, given, strict=True):
        places.append(_places(sheet, column, name, first, nowhere))
        first += len(column.features())
    return places[0] if len(places) == 1 else sheet.node("Concat", *places, axis=1, name="places")


def _places(sheet: Sheet, column: CategoricalColumn, given: str, first: int, nowhere: int) -> str:
    known = len(column.levels)
    # A single input says nothing: it stays dark whatever the text.
    dark = len(column.features()) < 2
    missing = nowhere if dark or not column.missing else first + known + column.rare
    unknown = nowhere if dark or not column.rare else first + known
    place = {MISSING_TEXT: missing} | {
        level: nowhere if dark else first + number for number, level in enumerate(column.levels)
    }
    return sheet.node(
        "LabelEncoder",
        given,
        domain=ML,
        name="place",
        keys_strings=list(place),
        values_int64s=list(place.values()),
        default_int64=unknown,
    )


def _held(sheet: Sheet, given: str, low: str, high: str) -> str:
    """Within bounds that each column may have of its own."""
    return sheet.node("Max", sheet.node("Min", given, high, name="below"), low, name="held")


def _row(sheet: Sheet, values: Sequence[float], name: str) -> str:
    import numpy as np

    return sheet.constant(np.array([values], dtype=np.float64), name)


def _integer_row(sheet: Sheet, values: Sequence[int], name: str) -> str:
    import numpy as np

    return sheet.constant(np.array([values], dtype=np.int64), name)


def _integers(sheet: Sheet, values: Sequence[int], name: str) -> str:
    import numpy as np

    return sheet.constant(np.array(values, dtype=np.int64), name)
