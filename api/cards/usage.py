"""Five lines of Python that load a network's ONNX file and ask it about one row; a test runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.datasets.cells import days
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


def usage(file: str, inputs: Sequence[Port], head: Sequence[Mapping[str, Any]]) -> str:
    """The code, with the first row of the data; of very wide data with a row of which nothing is known."""
    row = _ANY_ROW if len(inputs) > _MOST_WRITTEN else _written(inputs, head[0] if head else {})
    return _CODE.format(file=file, row=row)


def _written(inputs: Sequence[Port], row: Mapping[str, Any]) -> str:
    # `ascii` writes what would reorder the line, or end it, in letters that do neither.
    cells = [f"{port.name!a}: {_value(port, row.get(port.name))}" for port in inputs]
    return "{" + ", ".join(cells) + "}"


def _value(port: Port, value: Any) -> str:
    if port.type == "string":
        return ascii("" if value is None else str(value))
    number = days(value) if isinstance(value, str) else value
    return "numpy.nan" if number is None else repr(float(number))
