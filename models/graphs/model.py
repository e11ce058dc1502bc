"""The whole file: inputs a column each, the graph between, outputs, and what it says of itself.

Opset 15 and version 2 of `ai.onnx.ml` are read by ONNX Runtime 1.10 (2021) and everything since.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from models.datasets.known_columns import MISSING_TEXT
from models.errors import WeightsError
from models.graphs import columns as preprocessing
from models.graphs import heads, layers
from models.graphs.columns import Columns
from models.graphs.sheet import ML, Sheet
from models.trained import About, Stored

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

FORMAT: Final = "ridgeline-onnx-1"
OPSET: Final = 15
ML_OPSET: Final = 2
IR_VERSION: Final = 8
MOST_BYTES: Final = 2**31 - 2**20
"""What a protobuf can hold."""

NUMBERS, TEXTS = "numbers", "texts"
"""The inputs of a graph that takes the columns of a kind together."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a network comes from: told in the file, and nothing more."""

    job_id: str = ""
    dataset_name: str = ""
    dataset_sha256: str = ""
    weights_sha256: str = ""
    version: str = ""
    """Of Ridgeline."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output, as the file and the model card tell of it."""

    name: str
    type: str
    """`float64`, `float32`, `string`."""
    shape: list[str | int]
    """`rows` is whatever is sent."""
    about: str
    kind: str | None = None
    """An input's kind of column; None for an output."""

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


_ELEMENTS: Final = {"float64": "DOUBLE", "float32": "FLOAT", "string": "STRING"}

_READ_AS: Final = {
    "numeric": "a number; NaN says that there is none",
    "boolean": "1 for true, 0 for false; NaN says that there is none",
    "datetime": "days since 1970-01-01 UTC, with fractions; NaN says that there is none",
    "categorical": "text without space around it; the empty string says that there is none",
}


def inputs(about: About) -> list[Port]:
    """One a column of the network, of its very name, in the order of the file."""
    ports, kinds = [], {column.name: column.kind for column in about.description.columns}
    for column in about.preprocessor.columns:
        kind = kinds.get(column.name, column.kind)
        type_ = "string" if column.kind == "categorical" else "float64"
        ports.append(Port(column.name, type_, ["rows", 1], _READ_AS[kind], kind))
    return ports


def outputs(about: About, floating: str) -> list[Port]:
    """`label` and `probabilities`, or `value`; where a column is called so, the output gets a number.

    `floating` is what the weights are: `float32`, or `float64` for those that FISTA solved.
    """
    taken = {column.name for column in about.preprocessor.columns}
    classes, target = about.description.classes, about.description.target.name
    if classes is None:
        return [Port(_free("value", taken), "float64", ["rows"], f"{target}, in its own units")]
    order = "the probability of each class, in the order of the classes in the metadata"
    return [
        Port(_free("label", taken), "string", ["rows"], f"{target}: the most probable class"),
        Port(_free("probabilities", taken), floating, ["rows", len(classes)], order),
    ]


def _free(name: str, taken: Collection[str]) -> str:
    names = (name if number == 1 else f"{name} ({number})" for number in count(1))
    return next(each for each in names if each not in taken)


def model(stored: Stored, origin: Origin | None = None, *, together: bool = False) -> ModelProto:
    """The network as an ONNX model: the same weights, the same bytes.

    `together` has it take two matrices instead of a vector a column: `numbers` (rows, n) and `texts`
    (rows, m), each with the columns of its kind in the order that `inputs` has them. ONNX Runtime takes a
    millisecond for every hundred inputs, and more than that where there are thousands.

    `WeightsError` where the weights are not those of the network that the file tells of, or are too many.
    """
    from onnx import helper

    if sum(tensor.nbytes for tensor in stored.tensors.values()) > MOST_BYTES:
        raise WeightsError("the network has more weights than an ONNX file can hold")
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
    graph = _graph(stored, together=together)
    origin = origin or Origin()
    written = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=IR_VERSION,
        producer_name="ridgeline",
        producer_version=origin.version,
        doc_string="Preprocessing and network: the data's own columns in, predictions out.",
    )
    helper.set_model_props(written, _metadata(stored, origin))
    return written


def floating(stored: Stored) -> str:
    """What the weights are: `float32` or `float64`."""
    return str(stored.matrix("output").dtype)


def _graph(stored: Stored, *, together: bool) -> GraphProto:
    from onnx import helper

    about = stored.about
    columns = Columns.of(about.preprocessor.columns)
    entering = _matrices(columns) if together else inputs(about)
    leaving = outputs(about, floating(stored))
    sheet = Sheet([port.name for port in (*entering, *leaving)])
    raw = layers.behind_first(sheet, stored, _first(sheet, stored, columns, together=together))
    heads.head(sheet, about, raw, [port.name for port in leaving])
    return helper.make_graph(
        sheet.written,
        "ridgeline",
        [_value_info(port) for port in entering],
        [_value_info(port) for port in leaving],
        sheet.constants,
    )


def _first(sheet: Sheet, stored: Stored, columns: Columns, *, together: bool) -> str:
    numbers = levels = None
    if columns.numbers:
        given = NUMBERS if together else _side_by_side(sheet, [one.name for one in columns.numbers])
        numbers = (preprocessing.numbers(sheet, columns, given), columns.of_numbers())
    if columns.texts:
        names = [one.name for one in columns.texts]
        split = sheet.nodes("Split", TEXTS, axis=1, names=["text"] * len(names)) if together else names
        levels = (preprocessing.levels(sheet, columns, split), columns.of_texts())
    return layers.first_linear(sheet, stored, numbers=numbers, levels=levels)


def _side_by_side(sheet: Sheet, names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else sheet.node("Concat", *names, axis=1, name="numbers")


def _matrices(columns: Columns) -> list[Port]:
    counts = ((NUMBERS, "float64", len(columns.numbers)), (TEXTS, "string", len(columns.texts)))
    return [
        Port(name, type_, ["rows", width], "columns side by side") for name, type_, width in counts if width
    ]


def _value_info(port: Port) -> ValueInfoProto:
    from onnx import TensorProto, helper

    element = TensorProto.DataType.Value(_ELEMENTS[port.type])
    return helper.make_tensor_value_info(port.name, element, port.shape, doc_string=port.about)


def _metadata(stored: Stored, origin: Origin) -> dict[str, str]:
    about = stored.about
    classes = about.description.classes
    said: dict[str, Any] = {
        "format": FORMAT,
        "ridgeline": origin.version,
        "job_id": origin.job_id,
        "weights_sha256": origin.weights_sha256,
        "dataset": {"name": origin.dataset_name, "sha256": origin.dataset_sha256},
        "task": about.task,
        "target": about.description.target.name,
        "classes": None if classes is None else [one.label for one in classes],
        "inputs": [port.told() for port in inputs(about)],
        "outputs": [port.told() for port in outputs(about, floating(stored))],
        "missing": {"float64": "NaN", "string": MISSING_TEXT},
        "spec": about.spec.model_dump(mode="json"),
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in said.items()
    }
