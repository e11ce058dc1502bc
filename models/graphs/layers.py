"""The network's layers as nodes, in evaluation mode: from preprocessed columns to its raw outputs.

Dropout is nothing here. Batch norm stays a node of its own, so that it rounds as in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from models.graphs.sheet import Sheet
from models.regularizers import BatchNorm
from models.trained import Stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

Activation = Callable[[Sheet, str], str]


def _by(operator: str, **attributes: Any) -> Activation:
    return lambda sheet, given: sheet.node(operator, given, name="active", **attributes)


def _silu(sheet: Sheet, given: str) -> str:
    return sheet.node("Mul", given, sheet.node("Sigmoid", given, name="gate"), name="active")


def _gelu(sheet: Sheet, given: str) -> str:
    """x·Φ(x) = x/2·(1 + erf(x/√2)); an operator of that name is younger than many runtimes."""
    import numpy as np

    root, one, half = (
        sheet.constant(np.array(value, dtype=np.float32), name)
        for value, name in ((2**0.5, "root_of_2"), (1.0, "one"), (0.5, "half"))
    )
    erf = sheet.node("Erf", sheet.node("Div", given, root, name="scaled"), name="erf")
    doubled = sheet.node("Mul", given, sheet.node("Add", erf, one, name="raised"), name="doubled")
    return sheet.node("Mul", doubled, half, name="active")


ACTIVATIONS: Final[dict[str, Activation]] = {
    "relu": _by("Relu"),
    "leaky_relu": _by("LeakyRelu", alpha=0.01),
    "elu": _by("Elu", alpha=1.0),
    "gelu": _gelu,
    "silu": _silu,
    "tanh": _by("Tanh"),
    "sigmoid": _by("Sigmoid"),
}
"""As torch has them by default."""


def first_linear(
    sheet: Sheet,
    stored: Stored,
    *,
    numbers: tuple[str, list[int]] | None,
    levels: tuple[str, list[int]] | None,
) -> str:
    """x·Wᵀ + b of the layer where columns enter: (rows, width).

    `numbers` are inputs (rows, n) and which of the network's they are. `levels` says which input each text
    lights (rows, columns): 1 times a column of W is that column, so it is looked up instead of multiplied.
    """
    name = "hidden_1" if stored.about.hidden else "output"
    weight = stored.matrix(name)
    bias = sheet.constant(stored.vector(f"{name}.bias", len(weight)), f"{name}.bias")
    looked_up = _looked_up(sheet, weight, name, *levels) if levels else None
    if numbers is None:
        if looked_up is None:
            raise ValueError("a network has columns of one kind at least")
        return sheet.node("Add", looked_up, bias, name=name)
    cast = sheet.node("Cast", numbers[0], to=_element(weight), name="cast")
    matrix = sheet.constant(weight[:, numbers[1]], f"{name}.weight_of_numbers")
    summed = sheet.node("Gemm", cast, matrix, bias, transB=1, name=name)
    return summed if looked_up is None else sheet.node("Add", summed, looked_up, name=name)


def _looked_up(sheet: Sheet, weight: NDArray[Any], name: str, places: str, inputs: list[int]) -> str:
    import numpy as np

    nothing = np.zeros((1, len(weight)), dtype=weight.dtype)
    table = sheet.constant(np.concatenate([weight[:, inputs].T, nothing]), f"{name}.weight_of_texts")
    found = sheet.node("Gather", table, places, axis=0, name="looked_up")
    return sheet.node("ReduceSum", found, _axis(sheet), keepdims=0, name="looked_up")


def _axis(sheet: Sheet) -> str:
    import numpy as np

    return sheet.constant(np.array([1], dtype=np.int64), "axis")


def behind_first(sheet: Sheet, stored: Stored, given: str) -> str:
    """Everything after the first Linear: (rows, outputs)."""
    for index in range(len(stored.about.hidden)):
        if index:
            given = _linear(sheet, stored, f"hidden_{index + 1}", given)
        given = _normed(sheet, stored, index, given)
        given = ACTIVATIONS[stored.about.spec.network.activation](sheet, given)
    return _linear(sheet, stored, "output", given) if stored.about.hidden else given


def _linear(sheet: Sheet, stored: Stored, name: str, given: str) -> str:
    matrix = stored.matrix(name)
    weight = sheet.constant(matrix, f"{name}.weight")
    bias = sheet.constant(stored.vector(f"{name}.bias", len(matrix)), f"{name}.bias")
    return sheet.node("Gemm", given, weight, bias, transB=1, name=name)


_PARTS: Final = ("weight", "bias", "running_mean", "running_var")


def _normed(sheet: Sheet, stored: Stored, index: int, given: str) -> str:
    technique = _batch_norm(stored)
    if technique is None:
        return given
    name, width = f"hidden_{index + 1}_norm", stored.about.hidden[index]
    tensors = {part: stored.vector(f"{name}.{part}", width) for part in _PARTS}
    parts = [sheet.constant(tensor, f"{name}.{part}") for part, tensor in tensors.items()]
    return sheet.node("BatchNormalization", given, *parts, epsilon=technique.eps, name=name)


def _batch_norm(stored: Stored) -> BatchNorm | None:
    regularization = stored.about.spec.regularization
    return regularization.batch_norm if regularization else None


def _element(values: NDArray[Any]) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(values.dtype))
