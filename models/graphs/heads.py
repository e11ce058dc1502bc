"""From the network's raw outputs to what people read: labels with probabilities, or values."""

from __future__ import annotations

from collections.abc import Sequence

from models.graphs.sheet import Sheet
from models.trained import About


def head(sheet: Sheet, about: About, raw: str, names: Sequence[str]) -> None:
    """Give the graph's outputs: label and probabilities, or value."""
    if about.task == "regression":
        _value(sheet, about, raw, names[0])
    elif about.task == "binary":
        _two_classes(sheet, about, raw, *names)
    else:
        chosen = sheet.node("ArgMax", raw, axis=1, keepdims=0, name="class")
        sheet.output("Softmax", raw, axis=1, output=names[1])
        _label(sheet, about, chosen, names[0])


def _two_classes(sheet: Sheet, about: About, raw: str, label: str, probabilities: str) -> None:
    """The one logit speaks for the second class; σ(−z) is 1 − σ(z) without the loss of digits."""
    from onnx import TensorProto

    other = sheet.node("Neg", raw, name="other_logit")
    both = sheet.node("Concat", other, raw, axis=1, name="logits")
    sheet.output("Sigmoid", both, output=probabilities)
    second = sheet.node("Less", other, raw, name="is_second")
    index = sheet.node("Cast", _flat(sheet, second), to=TensorProto.INT64, name="class")
    _label(sheet, about, index, label)


def _label(sheet: Sheet, about: About, chosen: str, output: str) -> None:
    import numpy as np

    labels = [one.label for one in about.description.classes or ()]
    sheet.output(
        "Gather", sheet.constant(np.array(labels, dtype=object), "classes"), chosen, axis=0, output=output
    )


def _value(sheet: Sheet, about: About, raw: str, output: str) -> None:
    """z·sd + mean, in double precision: a target may be larger than single precision reaches."""
    import numpy as np
    from onnx import TensorProto

    value = sheet.node("Cast", _flat(sheet, raw), to=TensorProto.DOUBLE, name="standardized")
    scale = about.preprocessor.target
    sd, mean = (scale.sd, scale.mean) if scale else (1.0, 0.0)
    spread = sheet.node("Mul", value, sheet.constant(np.array(sd), "sd"), name="spread")
    sheet.output("Add", spread, sheet.constant(np.array(mean), "mean"), output=output)


def _flat(sheet: Sheet, given: str) -> str:
    """(rows, 1) → (rows,)"""
    import numpy as np

    return sheet.node(
        "Squeeze", given, sheet.constant(np.array([1], dtype=np.int64), "last_axis"), name="flat"
    )
