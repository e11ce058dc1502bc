"""Five lines of Python that load a network's ONNX file and ask it about one row; a test runs them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from models.datasets import Column
from models.datasets.rounding import round_within
from models.graphs import Port

_MOST_WRITTEN: Final = 20
"""Columns of a row that is written out."""

_CODE: Final = """\
import numpy, onnxruntime
session = onnxruntime.InferenceSession({file!r})
row = {row}
feed = {{name: numpy.array([[value]]) for name, value in row.items()}}
print(session.run(None, feed))
"""
_ANY_ROW: Final = '{one.name: "" if "string" in one.type else numpy.nan for one in session.get_inputs()}'


def usage(file: str, inputs: Sequence[Port], columns: Mapping[str, Column]) -> str:
    """The code, with a row of medians and commonest levels; of very wide data with one that says nothing.

    A card is handed on, so no row of the data is in it.
    """
    row = _ANY_ROW if len(inputs) > _MOST_WRITTEN else _written(inputs, columns)
    return _CODE.format(file=file, row=row)


def _written(inputs: Sequence[Port], columns: Mapping[str, Column]) -> str:
    # `ascii` writes what would reorder the line, or end it, in letters that do neither.
    cells = [f"{port.name!a}: {_value(port, columns.get(port.name))}" for port in inputs]
    return "{" + ", ".join(cells) + "}"


def _value(port: Port, column: Column | None) -> str:
    typical = column.typical if column else None
    if port.type == "string":
        return ascii(typical if isinstance(typical, str) else "")
    if isinstance(typical, float) and math.isfinite(typical):
        return repr(typical)
    return "numpy.nan" if column is None else _middle(column)


def _middle(column: Column) -> str:
    """Of a column that was described before medians were: half way between its ends."""
    if column.kind == "boolean":
        return "0.0"
    low, high = column.minimum, column.maximum
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "numpy.nan"
    return repr(round_within(low / 2 + high / 2, low, high))
